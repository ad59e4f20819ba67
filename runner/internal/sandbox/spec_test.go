package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"pgregory.net/rapid"
)

func exampleTask() Task {
	return Task{
		ID: "00112233445566778899aabbccddeeff", Call: "call-7", Kind: "shell", Image: "secureclaw/executor-shell:latest", Runtime: "runc",
		Memory: 512 << 20, NanoCPUs: 1_500_000_000, Pids: 256, Tmp: 64 << 20, FileSize: 100 << 20,
		Mounts: []Mount{
			{Source: "/home/ada/workspace", Target: "/workspace", Writable: true},
			{Source: "/home/ada/notes", Target: "/notes"},
		},
		Timeout: 62 * time.Second, VerifyKey: "VkVSSUZZLUtFWQ", Envelope: []byte(`{"token":"SECRET-TOKEN","task":{"command":"SECRET-COMMAND"}}`),
	}
}

func examplePlace() place {
	return place{
		imageID: "sha256:" + strings.Repeat("ab", 32), entrypoint: []string{"/usr/local/bin/executor-shell"},
		instance: "0123456789abcdef", boot: "boot-1", deadline: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
		covers: covers{
			hidden: [][]covered{1: {{hidden: hidden{rel: ".env"}}, {hidden: hidden{rel: "a:b\nc/.ssh", dir: true}}}},
			veil:   veil{file: "/state/runner/file", dir: "/state/runner/folder"},
		},
	}
}

// The request as a reviewer reads it. The system call filter has its own test and is cut here.
func TestSpecGolden(t *testing.T) {
	for _, kind := range []string{"shell", "web"} {
		task := exampleTask()
		task.Kind = kind
		config, host := spec(task, examplePlace())
		host.SecurityOpt[1] = fmt.Sprintf("seccomp=<%s profile>", map[bool]string{true: "browser", false: "sealed"}[host.SecurityOpt[1] == "seccomp="+browserProfile])
		var got bytes.Buffer
		enc := json.NewEncoder(&got)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(map[string]any{"Config": config, "HostConfig": host}); err != nil {
			t.Fatal(err)
		}
		golden := "testdata/spec-" + kind + ".golden.json"
		if *update {
			if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Errorf("spec differs from %s (-want +got):\n%s", golden, diff)
		}
	}
}

// Whatever the task, its container has what the task says and nothing else.
func TestSpecKeepsToItsTask(t *testing.T) {
	path := rapid.StringMatching(`/[a-z ,:=]{1,8}(/[a-z]{1,4}){0,2}`)
	rapid.Check(t, func(t *rapid.T) {
		task := Task{
			ID:        rapid.StringMatching(`[0-9a-f]{32}`).Draw(t, "id"),
			Call:      rapid.String().Draw(t, "call"),
			Kind:      rapid.SampledFrom([]string{"shell", "file", "web", "", "x"}).Draw(t, "kind"),
			Image:     rapid.String().Draw(t, "image"),
			Runtime:   rapid.SampledFrom([]string{"", "runc", "runsc"}).Draw(t, "runtime"),
			Memory:    rapid.Int64Range(1, 1<<40).Draw(t, "memory"),
			NanoCPUs:  rapid.Int64Range(1, 1e12).Draw(t, "cpus"),
			Pids:      rapid.Int64Range(1, 1<<20).Draw(t, "pids"),
			Tmp:       rapid.Int64Range(1, 1<<40).Draw(t, "tmp"),
			FileSize:  rapid.Int64Range(1, 1<<40).Draw(t, "fsize"),
			Timeout:   time.Hour,
			VerifyKey: "KEY",
			Envelope:  []byte("TASK-AND-TOKEN"),
			Mounts: rapid.SliceOf(rapid.Custom(func(t *rapid.T) Mount {
				return Mount{Source: path.Draw(t, "source"), Target: path.Draw(t, "target"), Writable: rapid.Bool().Draw(t, "writable")}
			})).Draw(t, "mounts"),
		}
		p := examplePlace()
		p.hidden = rapid.SliceOf(rapid.SliceOf(rapid.Custom(func(t *rapid.T) covered {
			return covered{hidden: hidden{rel: path.Draw(t, "rel")[1:], dir: rapid.Bool().Draw(t, "dir")}}
		}))).Draw(t, "hidden")
		config, host := spec(task, p)

		// Every mount is a granted one, or a cover inside a granted one that is read-only; and
		// behind each of those stand all of its covers.
		rest := host.Mounts
		for i, granted := range task.Mounts {
			if len(rest) == 0 {
				t.Fatalf("no mount for %+v", granted)
			}
			m := rest[0]
			rest = rest[1:]
			if m.Type != mount.TypeBind || m.Source != granted.Source || m.Target != granted.Target || m.ReadOnly == granted.Writable {
				t.Errorf("mount %+v, granted was %+v", m, granted)
			}
			if granted.Writable || i >= len(p.hidden) {
				continue
			}
			for _, h := range p.hidden[i] {
				if len(rest) == 0 {
					t.Fatalf("no cover for %+v", h)
				}
				m := rest[0]
				rest = rest[1:]
				want := map[bool]string{false: p.veil.file, true: p.veil.dir}[h.dir]
				if m.Type != mount.TypeBind || m.Source != want || m.Target != granted.Target+"/"+h.rel || !m.ReadOnly {
					t.Errorf("cover %+v, hidden was %+v in %+v", m, h, granted)
				}
			}
		}
		if len(rest) > 0 {
			t.Errorf("mounts that nobody granted: %+v", rest)
		}
		for _, m := range host.Mounts {
			if o := m.BindOptions; o == nil || o.Propagation != mount.PropagationRPrivate || !o.NonRecursive || o.CreateMountpoint {
				t.Errorf("bind options %+v", m.BindOptions)
			}
		}
		if len(host.Binds)+len(host.VolumesFrom)+len(host.Devices)+len(host.DeviceRequests)+len(host.CapAdd)+len(host.GroupAdd)+len(host.PortBindings)+len(host.Sysctls)+len(host.ExtraHosts)+len(host.DNS) > 0 {
			t.Errorf("something nobody granted: %+v", host)
		}
		if !config.NetworkDisabled || host.NetworkMode != "none" || host.Privileged || host.PidMode != "" || host.UTSMode != "" || host.UsernsMode != "" || host.CgroupnsMode != "private" || host.Cgroup != "" {
			t.Errorf("namespaces: %+v, network disabled: %v", host, config.NetworkDisabled)
		}
		if host.IpcMode != "none" {
			t.Errorf("IpcMode = %s for %q", host.IpcMode, task.Kind)
		}
		if !host.ReadonlyRootfs || !slices.Equal(host.CapDrop, []string{"ALL"}) || host.LogConfig.Type != "none" || host.RestartPolicy.Name != "no" || host.AutoRemove || *host.Init {
			t.Errorf("fences: %+v", host)
		}
		if host.SecurityOpt[0] != "no-new-privileges" || host.SecurityOpt[1] != "seccomp="+profile(task.Kind) || len(host.SecurityOpt) != 2 {
			t.Errorf("SecurityOpt = %.80q", host.SecurityOpt)
		}
		if (host.SecurityOpt[1] == "seccomp="+browserProfile) != (task.Kind == "web") {
			t.Errorf("the browser's filter for %q", task.Kind)
		}
		if host.Memory != task.Memory || host.MemorySwap != task.Memory || host.NanoCPUs != task.NanoCPUs || *host.PidsLimit != task.Pids || host.Runtime != task.Runtime {
			t.Errorf("limits %+v, granted were %+v", host.Resources, task)
		}
		for name, options := range host.Tmpfs {
			if !strings.Contains(options, "noexec,nosuid,nodev,size=") || name != "/tmp" && !strings.HasPrefix(options, "ro,") {
				t.Errorf("tmpfs %s: %s", name, options)
			}
		}
		if config.User != "1000:1000" || config.Tty || config.Image != p.imageID || len(config.Volumes)+len(config.Cmd) > 0 || !slices.Equal(config.Entrypoint, p.entrypoint) {
			t.Errorf("config: %+v", config)
		}
		if got := names(config.Env); !slices.Equal(got, []string{"HOME", "LANG", "PATH", VerifyKeyEnv}) {
			t.Errorf("Env has %q", got)
		}
		data, err := json.Marshal(map[string]any{"config": config, "host": host})
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, task.Envelope) {
			t.Error("the task or its token is in the request")
		}
	})
}

// created is what an engine shows that did exactly what was asked.
func created(t testing.TB, config *container.Config, host *container.HostConfig, p place) container.InspectResponse {
	t.Helper()
	data, err := json.Marshal(map[string]any{"Config": config, "HostConfig": host, "Image": p.imageID})
	if err != nil {
		t.Fatal(err)
	}
	var got container.InspectResponse
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	for _, m := range host.Mounts {
		got.Mounts = append(got.Mounts, container.MountPoint{Type: m.Type, Source: m.Source, Destination: m.Target, RW: !m.ReadOnly, Propagation: mount.PropagationRPrivate})
	}
	return got
}

// An engine that leaves out one fence, or adds one thing, is noticed.
func TestDifferences(t *testing.T) {
	config, host := spec(exampleTask(), examplePlace())
	if diff := differences(config, host, examplePlace(), created(t, config, host, examplePlace())); len(diff) > 0 {
		t.Fatalf("differences of an honest engine = %q, want none", diff)
	}
	if diff := differences(config, host, examplePlace(), container.InspectResponse{}); len(diff) == 0 {
		t.Error("an engine that shows nothing is believed")
	}
	for name, change := range map[string]func(*container.InspectResponse){
		"swap ignored":       func(r *container.InspectResponse) { r.HostConfig.MemorySwap = -1 },
		"memory ignored":     func(r *container.InspectResponse) { r.HostConfig.Memory = 0 },
		"pids ignored":       func(r *container.InspectResponse) { r.HostConfig.PidsLimit = nil },
		"network":            func(r *container.InspectResponse) { r.HostConfig.NetworkMode = "bridge" },
		"capabilities kept":  func(r *container.InspectResponse) { r.HostConfig.CapDrop = nil },
		"capability added":   func(r *container.InspectResponse) { r.HostConfig.CapAdd = []string{"CAP_SYS_ADMIN"} },
		"privileged":         func(r *container.InspectResponse) { r.HostConfig.Privileged = true },
		"seccomp lost":       func(r *container.InspectResponse) { r.HostConfig.SecurityOpt = r.HostConfig.SecurityOpt[:1] },
		"another filter":     func(r *container.InspectResponse) { r.HostConfig.SecurityOpt[1] = "seccomp=unconfined" },
		"writable root":      func(r *container.InspectResponse) { r.HostConfig.ReadonlyRootfs = false },
		"shared ipc":         func(r *container.InspectResponse) { r.HostConfig.IpcMode = "host" },
		"host cgroups":       func(r *container.InspectResponse) { r.HostConfig.CgroupnsMode = "host" },
		"host pids":          func(r *container.InspectResponse) { r.HostConfig.PidMode = "host" },
		"another runtime":    func(r *container.InspectResponse) { r.HostConfig.Runtime = "crun" },
		"docker-init":        func(r *container.InspectResponse) { yes := true; r.HostConfig.Init = &yes },
		"log driver":         func(r *container.InspectResponse) { r.HostConfig.LogConfig.Type = "json-file" },
		"fewer masked paths": func(r *container.InspectResponse) { r.HostConfig.MaskedPaths = r.HostConfig.MaskedPaths[1:] },
		"ulimit lost":        func(r *container.InspectResponse) { r.HostConfig.Ulimits = r.HostConfig.Ulimits[1:] },
		"ulimit raised":      func(r *container.InspectResponse) { r.HostConfig.Ulimits[1].Hard++ },
		"device": func(r *container.InspectResponse) {
			r.HostConfig.Devices = []container.DeviceMapping{{PathOnHost: "/dev/kvm"}}
		},
		"writable mount":   func(r *container.InspectResponse) { r.HostConfig.Mounts[1].ReadOnly = false },
		"recursive mount":  func(r *container.InspectResponse) { r.HostConfig.Mounts[0].BindOptions.NonRecursive = false },
		"mounted writable": func(r *container.InspectResponse) { r.Mounts[1].RW = true },
		"cover lost":       func(r *container.InspectResponse) { r.Mounts = r.Mounts[:len(r.Mounts)-1] },
		"cover not asked": func(r *container.InspectResponse) {
			r.HostConfig.Mounts = r.HostConfig.Mounts[:len(r.HostConfig.Mounts)-1]
		},
		"cover elsewhere":   func(r *container.InspectResponse) { r.Mounts[2].Destination = "/notes/.ENV" },
		"cover is another":  func(r *container.InspectResponse) { r.Mounts[2].Source = "/home/ada/notes/.env" },
		"cover is writable": func(r *container.InspectResponse) { r.Mounts[2].RW = true },
		"mounted elsewhere": func(r *container.InspectResponse) { r.Mounts[1].Source = "/" },
		"volume of the image": func(r *container.InspectResponse) {
			r.Mounts = append(r.Mounts, container.MountPoint{Type: mount.TypeVolume, Destination: "/data", RW: true})
		},
		"declared volume":      func(r *container.InspectResponse) { r.Config.Volumes = map[string]struct{}{"/data": {}} },
		"another image":        func(r *container.InspectResponse) { r.Image = "sha256:0" },
		"root":                 func(r *container.InspectResponse) { r.Config.User = "" },
		"tty":                  func(r *container.InspectResponse) { r.Config.Tty = true },
		"entry point":          func(r *container.InspectResponse) { r.Config.Entrypoint = []string{"/bin/sh"} },
		"arguments":            func(r *container.InspectResponse) { r.Config.Cmd = []string{"-x"} },
		"variable of an image": func(r *container.InspectResponse) { r.Config.Env = append(r.Config.Env, "LD_PRELOAD=/x.so") },
		"changed variable":     func(r *container.InspectResponse) { r.Config.Env[1] = "PATH=/work" },
		"label lost":           func(r *container.InspectResponse) { delete(r.Config.Labels, labelBoot) },
		"health check":         func(r *container.InspectResponse) { r.Config.Healthcheck = nil },
	} {
		t.Run(name, func(t *testing.T) {
			got := created(t, config, host, examplePlace())
			change(&got)
			if diff := differences(config, host, examplePlace(), got); len(diff) == 0 {
				t.Error("differences = none, want the one that was made")
			}
		})
	}
	t.Run("what may differ", func(t *testing.T) {
		got := created(t, config, host, examplePlace())
		got.Config.Labels["maintainer"] = "the image's own"
		got.Config.NetworkDisabled = false
		got.HostConfig.Binds = []string{}
		slices.Reverse(got.HostConfig.Ulimits)
		if diff := differences(config, host, examplePlace(), got); len(diff) > 0 {
			t.Errorf("differences = %q, want none", diff)
		}
	})
}
