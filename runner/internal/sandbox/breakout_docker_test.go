//go:build docker

package sandbox

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/secureclaw/secureclaw/internal/run"
)

// insideOf probes a container and returns what it could do, as the kernel says it.
func insideOf(t *testing.T, b *bed, task Task) map[string]string {
	t.Helper()
	result := b.do(t, task)
	if result.Outcome != run.Finished {
		t.Fatalf("Run(probe) = %+v, want finished", result)
	}
	var got map[string]string
	if err := json.Unmarshal(result.Output.Value, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

const noCaps = "0000000000000000"

func TestSealedFromInside(t *testing.T) {
	bothWays(t, func(t *testing.T, b *bed) {
		got := insideOf(t, b, b.task(t, "probe", ""))
		want := map[string]string{
			"pid": "1", "args": "/executor", "Uid": "1000 1000 1000 1000", "Gid": "1000 1000 1000 1000", "Groups": "1000",
			"CapInh": noCaps, "CapPrm": noCaps, "CapEff": noCaps, "CapBnd": noCaps, "CapAmb": noCaps,
			"NoNewPrivs": "1", "Seccomp": "2",
			"env": "HOME HOSTNAME LANG PATH SECURECLAW_VERIFY_KEY",
			"net": "lo 3 lines", "routes": "1 lines ok", "dial": "EPERM",
			"socket unix": "EPERM", "socket inet": "EPERM", "socket inet6": "EPERM", "socket inet+2^32": "EPERM", "socket packet": "EPERM",
			"socket alg": "EPERM", "socket vsock": "EPERM", "socket netlink": "EPERM", "socket xdp": "EPERM",
			"clone newuser": "EPERM", "clone newns": "EPERM", "clone newnet": "EPERM", "clone3": "ENOSYS",
			"write /tmp/x": "ok", "exec in /tmp": "EACCES", "writable": "/tmp",
			"write /dev/mqueue/x": "EROFS", "write /dev/shm/x": "ENOENT", "write /dev/x": "EACCES",
			"write /proc/sys/kernel/core_pattern": "EROFS",
		}
		for _, name := range []string{
			"unshare user", "unshare mount", "setns", "mount", "pivot_root", "chroot", "ptrace", "process_vm_readv", "process_vm_writev",
			"pidfd_getfd", "bpf", "keyctl", "add_key", "request_key", "io_uring_setup", "perf_event_open", "userfaultfd", "open_by_handle_at",
			"init_module", "kexec_load", "syslog", "personality",
		} {
			want[name] = "EPERM"
		}
		for _, path := range []string{"/x", "/etc/x", "/usr/x", "/run/x", "/var/tmp/x", "/home/x"} {
			want["write "+path] = "EROFS"
		}
		for _, name := range slices.Sorted(maps.Keys(want)) {
			if got[name] != want[name] {
				t.Errorf("inside, %s = %q, want %q", name, got[name], want[name])
			}
		}
		if got["x32"] == "ok" {
			t.Errorf("inside, a system call of the x32 table went through")
		}
		if got["read /proc/kcore"] == "ok" {
			t.Errorf("inside, /proc/kcore can be read")
		}
	})
}

// The browser's filter gives a user namespace, which Chromium's own sandbox is made of, and no more.
func TestBrowserFilterFromInside(t *testing.T) {
	bothWays(t, func(t *testing.T, b *bed) {
		task := b.webTask(t, "probe", "")
		got := insideOf(t, b, task)
		for name, want := range map[string]string{
			"clone newuser": "ok", "clone newns": "EPERM", "clone3": "ENOSYS", "unshare mount": "EPERM", "setns": "EPERM",
			"mount": "EPERM", "ptrace": "EPERM", "bpf": "EPERM", "io_uring_setup": "EPERM", "keyctl": "EPERM",
			"socket packet": "EPERM", "socket alg": "EPERM", "socket vsock": "EPERM", "net": "lo 3 lines", "routes": "1 lines ok", "CapEff": noCaps, "NoNewPrivs": "1", "Seccomp": "2",
		} {
			if got[name] != want {
				t.Errorf("inside, %s = %q, want %q", name, got[name], want)
			}
		}
		if got["dial"] != "ENETUNREACH" {
			t.Errorf("inside, dial = %q, want ENETUNREACH", got["dial"])
		}
	})
}

// The engine is told to leave the network alone, and still makes a namespace of its own for each container:
// neither ours nor another container's.
func TestNetworkOfItsOwn(t *testing.T) {
	bothWays(t, func(t *testing.T, b *bed) {
		ours, err := os.Readlink("/proc/self/ns/net")
		if err != nil {
			t.Fatal(err)
		}
		first := b.task(t, "probe", "")
		var other string
		// The second is asked while the first is there: a namespace's number is used again after its end.
		result, refusal := b.Run(t.Context(), first, func(run.Started) error {
			other = insideOf(t, b, b.webTask(t, "probe", ""))["netns"]
			return nil
		})
		if refusal != nil || result.Outcome != run.Finished {
			t.Fatalf("Run(probe) = %+v, %+v, want finished", result, refusal)
		}
		var got map[string]string
		if err := json.Unmarshal(result.Output.Value, &got); err != nil {
			t.Fatal(err)
		}
		for what, netns := range map[string]string{"the shell's container": got["netns"], "the browser's": other} {
			if !strings.HasPrefix(netns, "net:[") || netns == ours {
				t.Errorf("network namespace of %s = %q, want one that is not ours (%q)", what, netns, ours)
			}
		}
		if got["netns"] == other {
			t.Errorf("two containers share the network namespace %q", other)
		}
	})
}

func TestMountsFromInside(t *testing.T) {
	bothWays(t, func(t *testing.T, b *bed) {
		real := t.TempDir()
		link := filepath.Join(t.TempDir(), "link")
		if err := os.Symlink(real, link); err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{real} {
			if err := os.Chmod(dir, 0o777); err != nil {
				t.Fatal(err)
			}
		}
		for name, tc := range map[string]struct {
			mount Mount
			want  string
		}{
			"granted for writing":    {Mount{Source: real, Target: "/work", Writable: true}, `"ok"`},
			"granted for reading":    {Mount{Source: real, Target: "/work"}, `"EROFS"`},
			"a link on the host":     {Mount{Source: link, Target: "/work", Writable: true}, `"ok"`},
			"another place inside":   {Mount{Source: real, Target: "/notes", Writable: true}, `"EROFS"`},
			"made below the root fs": {Mount{Source: real, Target: "/work/deep/er", Writable: true}, `"EROFS"`},
		} {
			t.Run(name, func(t *testing.T) {
				task := b.task(t, "write", "/work/f")
				task.Mounts = []Mount{tc.mount}
				got := b.do(t, task)
				if got.Outcome != run.Finished || string(got.Output.Value) != tc.want {
					t.Errorf("write with %+v = %+v, want %s", tc.mount, got, tc.want)
				}
			})
		}
	})
}

func TestLimitsFromInside(t *testing.T) {
	bothWays(t, func(t *testing.T, b *bed) {
		t.Run("processes", func(t *testing.T) {
			task := b.task(t, "forks", "")
			task.Pids = 32
			got := b.do(t, task)
			if got.Outcome != run.Finished || !strings.Contains(string(got.Output.Value), "EAGAIN") {
				t.Errorf("a fork bomb under 32 processes = %+v, want EAGAIN", got)
			}
		})
		t.Run("memory", func(t *testing.T) {
			task := b.task(t, "memory", "")
			task.Memory = 48 << 20
			if got := b.do(t, task); got.Outcome != run.OutOfMem {
				t.Errorf("a memory bomb under 48 MiB = %+v, want %s", got, run.OutOfMem)
			}
		})
		t.Run("size of /tmp", func(t *testing.T) {
			task := b.task(t, "fsize", "/tmp/big")
			task.Tmp, task.FileSize = 1<<20, 64<<20
			got := b.do(t, task)
			if got.Outcome != run.Finished || !strings.Contains(string(got.Output.Value), "ENOSPC") {
				t.Errorf("filling a /tmp of 1 MiB = %+v, want ENOSPC", got)
			}
		})
		t.Run("size of a file", func(t *testing.T) {
			task := b.task(t, "fsize", "/tmp/big")
			task.FileSize = 128 << 10
			got := b.do(t, task)
			// SIGXFSZ ends a program that does not ignore it.
			if got.Outcome == run.Finished && !strings.Contains(string(got.Output.Value), `131072 EFBIG`) {
				t.Errorf("a file under 128 KiB = %s, want EFBIG or the signal", got.Output.Value)
			}
		})
	})
}
