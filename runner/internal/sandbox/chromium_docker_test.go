//go:build docker

package sandbox

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/client"

	"github.com/secureclaw/secureclaw/internal/run"
)

// webImage is the image of the web executor, which images/build.sh makes.
const webImage = "secureclaw/executor-web:latest"

// chromiumBox is a container of the web executor's own image, with two programs of ours in it:
// /browser starts Chromium, /probe tries the walls. What is around them is [spec]'s.
type chromiumBox struct {
	*bed
	image string
}

func newChromiumBox(t *testing.T) *chromiumBox {
	t.Helper()
	b := newBed(t)
	base, err := b.c.ImageInspect(t.Context(), webImage)
	if err != nil {
		t.Fatalf("%v: build it with images/build.sh", err)
	}
	programs := map[string][]byte{}
	sum := sha256.New()
	sum.Write([]byte(base.ID))
	for name, source := range map[string]string{"browser": "./testdata/browser", "probe": "./testdata/executor"} {
		file := filepath.Join(t.TempDir(), name)
		build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", file, source)
		build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", source, err, out)
		}
		if programs[name], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		sum.Write(programs[name])
	}
	box := &chromiumBox{b, "secureclaw-test/chromium:" + hex.EncodeToString(sum.Sum(nil)[:8])}
	if _, err := b.c.ImageInspect(t.Context(), box.image); err == nil {
		return box
	}
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	for name, data := range programs {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o555, Size: int64(len(data))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	created, err := b.c.ContainerCreate(t.Context(), client.ContainerCreateOptions{Image: webImage})
	if err != nil {
		t.Fatal(err)
	}
	defer b.drop(t, created.ID)
	if _, err := b.c.CopyToContainer(t.Context(), created.ID, client.CopyToContainerOptions{DestinationPath: "/", Content: &files}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.c.ContainerCommit(t.Context(), created.ID, client.ContainerCommitOptions{Reference: box.image}); err != nil {
		t.Fatal(err)
	}
	return box
}

func (b *bed) drop(t *testing.T, id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if _, err := b.c.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true}); err != nil {
		t.Error(err)
	}
}

// webLimits are those of executors.web in the configuration that we ship.
func webLimits(task Task) Task {
	task.Kind = "web"
	task.Memory, task.NanoCPUs, task.Pids, task.Tmp, task.FileSize = 1<<30, 2e9, 512, 256<<20, 256<<20
	return task
}

// run starts a program in the container that a task's spec makes, and returns its stdout and the head of its stderr.
func (b *chromiumBox) run(t *testing.T, task Task, program ...string) (stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	image, err := b.c.ImageInspect(ctx, b.image)
	if err != nil {
		t.Fatal(err)
	}
	config, host := spec(task, place{imageID: image.ID, entrypoint: program, instance: b.instance, boot: b.boot, deadline: time.Now().Add(time.Minute)})
	created, err := b.c.ContainerCreate(ctx, client.ContainerCreateOptions{Config: config, HostConfig: host})
	if err != nil {
		t.Fatal(err)
	}
	defer b.drop(t, created.ID)
	stream, err := b.c.ContainerAttach(ctx, created.ID, client.ContainerAttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	defer context.AfterFunc(ctx, stream.Close)()
	if _, err := b.c.ContainerStart(ctx, created.ID, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Conn.Write(append(task.Envelope, '\n')); err != nil {
		t.Fatal(err)
	}
	d := newDemux(stream.Reader)
	out, err := io.ReadAll(d)
	if err != nil {
		t.Fatalf("%s: %v after %.500q, stderr %.500q", program, err, out, d.stderr)
	}
	return string(out), string(d.stderr)
}

// chromiumReport is what testdata/browser prints.
type chromiumReport struct {
	Answered  bool
	Said      string
	Processes []chromiumProcess
	Own       chromiumProcess
}

type chromiumProcess struct {
	Type, Subtype, Args, Seccomp, Filters, NoNewPrivs, CapEff, Uid, UserNS, PidNS, NetNS string
}

func (b *chromiumBox) browse(t *testing.T, task Task) chromiumReport {
	t.Helper()
	stdout, stderr := b.run(t, task, "/browser")
	var got chromiumReport
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatalf("/browser = %.500q, stderr %.500q: %v", stdout, stderr, err)
	}
	return got
}

// Whatever handles bytes of a page is shut in twice: by the container's filter, and by Chromium's own
// namespaces and filter. Nobody gave it a way to do without.
func TestChromiumKeepsItsOwnSandbox(t *testing.T) {
	b := newChromiumBox(t)
	got := b.browse(t, webLimits(b.task(t, "none", "")))
	if !got.Answered {
		t.Fatalf("Chromium does not start: %.2000s", got.Said)
	}
	count := map[string]int{}
	for _, p := range got.Processes {
		kind := p.Type
		if p.Subtype != "" {
			kind = strings.TrimSuffix(p.Subtype, ".mojom."+p.Subtype[strings.LastIndex(p.Subtype, ".")+1:])
		}
		count[kind]++
		for _, arg := range []string{"--no-sandbox", "--disable-namespace-sandbox", "--disable-seccomp-filter-sandbox", "--single-process", "--in-process-gpu", "--allow-sandbox-debugging"} {
			if strings.Contains(p.Args+" ", arg+" ") {
				t.Errorf("%s was started with %s", kind, arg)
			}
		}
		if p.Uid != "1000 1000 1000 1000" || p.NoNewPrivs != "1" || p.Seccomp != "2" {
			t.Errorf("%s has Uid %s, NoNewPrivs %s, Seccomp %s, want 1000, 1, 2", kind, p.Uid, p.NoNewPrivs, p.Seccomp)
		}
		filtered, apart := p.Filters != got.Own.Filters, p.UserNS != got.Own.UserNS && p.PidNS != got.Own.PidNS && p.NetNS != got.Own.NetNS
		switch kind {
		case "renderer", "storage":
			if !filtered || !apart || p.CapEff != noCaps {
				t.Errorf("%s: filters %s (container %s), user %s, pid %s, net %s, CapEff %s: want a filter and namespaces of its own, no capability", kind, p.Filters, got.Own.Filters, p.UserNS, p.PidNS, p.NetNS, p.CapEff)
			}
		case "gpu-process", "network", "broker":
			// They live in the container's namespaces, which have no network either.
			if !filtered || p.CapEff != noCaps {
				t.Errorf("%s: filters %s (container %s), CapEff %s: want a filter of its own, no capability", kind, p.Filters, got.Own.Filters, p.CapEff)
			}
		case "", "zygote":
			// The browser reads no page; a zygote is what the others are forked from.
		default:
			if !filtered {
				t.Errorf("%s, which this test has not heard of: filters %s, want one of its own", kind, p.Filters)
			}
		}
	}
	for _, kind := range []string{"", "zygote", "renderer", "gpu-process", "network"} {
		if count[kind] == 0 {
			t.Errorf("no process of type %q among %v", kind, count)
		}
	}
}

// Where there are no user namespaces Chromium ends. Nothing opens a page without its sandbox.
func TestChromiumWithoutNamespacesEnds(t *testing.T) {
	b := newChromiumBox(t)
	task := webLimits(b.task(t, "none", ""))
	task.Kind = "shell" // the strict filter
	got := b.browse(t, task)
	if got.Answered || len(got.Processes) > 0 {
		t.Fatalf("under the strict filter Chromium answers, with %+v", got.Processes)
	}
	if !strings.Contains(got.Said, "No usable sandbox!") {
		t.Errorf("under the strict filter Chromium said %.2000q, want that there is no usable sandbox", got.Said)
	}
}

// The walls around the browser's container, climbed from inside of the real image.
func TestWebFromInside(t *testing.T) {
	b := newChromiumBox(t)
	stdout, stderr := b.run(t, webLimits(b.task(t, "probe", "")), "/probe")
	var out run.Output
	if err := json.Unmarshal([]byte(stdout), &out); err != nil {
		t.Fatalf("/probe = %.500q, stderr %.500q: %v", stdout, stderr, err)
	}
	var got map[string]string
	if err := json.Unmarshal(out.Value, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"pid": "1", "Uid": "1000 1000 1000 1000", "Gid": "1000 1000 1000 1000", "Groups": "1000",
		"CapInh": noCaps, "CapPrm": noCaps, "CapEff": noCaps, "CapBnd": noCaps, "CapAmb": noCaps,
		"NoNewPrivs": "1", "Seccomp": "2",
		"env": "HOME HOSTNAME LANG PATH SECURECLAW_VERIFY_KEY",
		"net": "lo 3 lines", "dial": "ENETUNREACH",
		"socket netlink": "EPERM", "socket packet": "EPERM", "socket alg": "EPERM", "socket vsock": "EPERM", "socket xdp": "EPERM", "socket inet+2^32": "EPERM",
		"clone newuser": "ok", "clone newns": "EPERM", "clone3": "ENOSYS",
		"write /tmp/x": "ok", "exec in /tmp": "EACCES", "writable": "/tmp",
		"write /dev/mqueue/x": "EROFS", "write /dev/shm/x": "ENOENT", "write /dev/x": "EACCES",
		"write /proc/sys/kernel/core_pattern": "EROFS", "write /etc/x": "EROFS", "write /x": "EROFS",
	}
	for _, name := range []string{
		"unshare mount", "setns", "mount", "pivot_root", "ptrace", "process_vm_readv", "process_vm_writev",
		"pidfd_getfd", "bpf", "keyctl", "add_key", "request_key", "io_uring_setup", "perf_event_open", "userfaultfd", "open_by_handle_at",
		"init_module", "kexec_load", "syslog", "personality",
	} {
		want[name] = "EPERM"
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			t.Errorf("inside, %s = %q, want %q", name, got[name], want[name])
		}
	}
	if got["x32"] == "ok" {
		t.Errorf("inside, a system call of the x32 table went through")
	}
}

// Chromium's sandbox needs user namespaces, so whoever took it over can have them. What makes them
// dangerous is what the kernel lets root of a network namespace do, and that is not there.
func TestUserNamespaceOfTheBrowserIsEmpty(t *testing.T) {
	b := newChromiumBox(t)
	stdout, stderr := b.run(t, webLimits(b.task(t, "none", "")), "/browser", "outside")
	var got map[string]string
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatalf("/browser outside = %.500q, stderr %.500q: %v", stdout, stderr, err)
	}
	const no = "operation not permitted"
	want := map[string]string{
		"raw": no, "raw6": no, "icmp": no, "route": no, "netfilter": no, "packet": no, "seqpacket": no,
		"tcp": "ok", "option nodelay": "ok", "option tos": "ok",
		"option iptables": no, "option ip6tables": no, "option arptables": no, "option level raw": no,
	}
	// Without capabilities the kernel itself would say no, and this would show nothing.
	if got["CapEff"] == noCaps || got["CapEff"] == "" {
		t.Fatalf("CapEff = %q in a user namespace, want capabilities", got["CapEff"])
	}
	delete(got, "CapEff")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("in a user namespace (-want +got):\n%s", diff)
	}
}

// The image has what Chromium needs and nothing that helps somebody who took it over.
func TestWebImageHoldsChromiumOnly(t *testing.T) {
	c := rawClient(t)
	created, err := c.ContainerCreate(t.Context(), client.ContainerCreateOptions{Image: webImage})
	if err != nil {
		t.Fatalf("%v: build it with images/build.sh", err)
	}
	defer (&bed{c: c}).drop(t, created.ID)
	export, err := c.ContainerExport(t.Context(), created.ID, client.ContainerExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer export.Close()
	// The engine puts these into every container, empty, to mount its own over them.
	engines := []string{"/.dockerenv", "/dev/console", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf"}
	var programs []string
	var fonts int
	for files := tar.NewReader(export); ; {
		h, err := files.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		name, mode := "/"+h.Name, h.FileInfo().Mode()
		if slices.Contains(engines, name) {
			continue
		}
		switch {
		case mode&(os.ModeSetuid|os.ModeSetgid) != 0:
			t.Errorf("%s has mode %v", name, mode)
		case h.Typeflag == tar.TypeReg && (h.Uid != 0 || h.Gid != 0):
			t.Errorf("%s belongs to %d:%d, want root", name, h.Uid, h.Gid)
		case mode.Perm()&0o002 != 0 && h.Typeflag != tar.TypeSymlink && name != "/tmp/":
			t.Errorf("%s can be written by everybody: %v", name, mode)
		}
		if strings.HasPrefix(name, "/usr/share/fonts/") && h.Typeflag == tar.TypeReg {
			fonts++
		}
		if h.Typeflag == tar.TypeReg && mode.Perm()&0o111 != 0 && !strings.Contains(name, ".so") {
			programs = append(programs, name)
		}
	}
	slices.Sort(programs)
	if want := []string{"/executor", "/usr/lib/chromium/chromium"}; !slices.Equal(programs, want) {
		t.Errorf("programs in the image: %q, want %q", programs, want)
	}
	if fonts < 20 {
		t.Errorf("%d fonts in the image, want those of every living script", fonts)
	}
}
