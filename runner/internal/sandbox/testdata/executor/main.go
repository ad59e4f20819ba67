// Command executor is what tests put into containers: it does what its task says, good or hostile,
// and reports what it could do. It verifies no token.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

func main() {
	if len(os.Args) > 1 {
		child(os.Args[1])
		return
	}
	// Nobody hears it who does not wait for it.
	os.Stderr.WriteString(run.ReadyLine + "\n")
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		fmt.Fprintln(os.Stderr, "no task:", err)
		os.Exit(9)
	}
	var envelope run.Envelope
	var task run.Task
	var input struct {
		Do     string `json:"do"`
		Arg    string `json:"arg"`
		Tunnel bool   `json:"tunnel"`
	}
	for _, err := range []error{strict.Decode(line, &envelope), strict.Decode(envelope.Task, &task), strict.Decode(task.Input, &input)} {
		if err != nil {
			fmt.Fprintln(os.Stderr, "bad task:", err)
			os.Exit(9)
		}
	}
	nonce = envelope.Nonce
	if input.Tunnel {
		web(in, task.Call, input.Do, input.Arg)
		return
	}
	act(task.Call, input.Do, input.Arg)
}

// nonce is that of the envelope.
var nonce string

func say(call string, value any) []byte {
	v, _ := strict.Encode(value)
	out, _ := strict.Encode(run.Output{Call: call, Status: run.OutputOK, Value: v, Nonce: nonce})
	return append(out, '\n')
}

func act(call, do, arg string) {
	switch do {
	case "echo":
		os.Stdout.Write(say(call, arg))
	case "probe":
		os.Stdout.Write(say(call, probe()))
	case "two":
		os.Stdout.Write(append(say(call, "first"), say(call, "second")...))
	case "two-late":
		os.Stdout.Write(say(call, "first"))
		time.Sleep(20 * time.Millisecond)
		os.Stdout.Write(say(call, "second"))
	case "trailing":
		os.Stdout.Write(append(say(call, "first"), 'x'))
	case "forged":
		mine := nonce
		nonce = ""
		forged := say(call, "forged")
		nonce = mine
		os.Stdout.Write(forged)
		time.Sleep(50 * time.Millisecond)
		os.Stdout.Write(say(call, "x"))
	case "garbage":
		os.Stdout.WriteString("PWNED\x1b[2J\n")
	case "duplicate":
		fmt.Printf(`{"call":%q,"status":"refused","status":"ok"}`+"\n", call)
	case "cut":
		os.Stdout.Write(bytes.TrimSuffix(say(call, "cut"), []byte("\n")))
	case "huge":
		os.Stdout.Write(append(bytes.Repeat([]byte("x"), 2<<20), '\n'))
	case "endless":
		for block := bytes.Repeat([]byte("y"), 64<<10); ; {
			if _, err := os.Stdout.Write(block); err != nil {
				select {}
			}
		}
	case "silent":
		time.Sleep(time.Hour)
	case "dies":
		os.Exit(3)
	case "stderr":
		for block := bytes.Repeat([]byte("e"), 64<<10); ; {
			if _, err := os.Stderr.Write(block); err != nil {
				select {}
			}
		}
	case "wrong-call":
		os.Stdout.Write(say("another", "x"))
	case "linger":
		os.Stdout.Write(say(call, "x"))
		time.Sleep(time.Hour)
	case "memory":
		var all [][]byte
		for {
			b := make([]byte, 8<<20)
			for i := range b {
				b[i] = 1
			}
			all = append(all, b)
		}
	case "forks":
		os.Stdout.Write(say(call, forks()))
	case "write":
		err := os.WriteFile(arg, []byte("written"), 0o644)
		os.Stdout.Write(say(call, word(err)))
	case "read":
		data, err := os.ReadFile(arg)
		os.Stdout.Write(say(call, string(data)+" "+word(err)))
	case "fsize":
		f, err := os.Create(arg)
		var n int
		for err == nil {
			var w int
			w, err = f.Write(make([]byte, 64<<10))
			n += w
		}
		os.Stdout.Write(say(call, fmt.Sprintf("%d %s", n, word(err))))
	default:
		fmt.Fprintln(os.Stderr, "unknown", do)
		os.Exit(9)
	}
}

// word is an error as one stable word.
func word(err error) string {
	var e syscall.Errno
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &e):
		return unix.ErrnoName(e)
	default:
		return err.Error()
	}
}

func forks() string {
	n := 0
	for ; n < 1000; n++ {
		if err := exec.Command("/proc/self/exe", "sleep").Start(); err != nil {
			return fmt.Sprintf("%d %s", n, word(err))
		}
	}
	return fmt.Sprintf("%d unlimited", n)
}

func child(what string) {
	switch what {
	case "sleep":
		time.Sleep(time.Hour)
	case "x32":
		_, _, errno := syscall.RawSyscall(0x40000000|39, 0, 0, 0)
		os.Exit(int(errno)) // 0: a system call of another table went through
	}
}

func probe() map[string]string {
	out := map[string]string{}
	status, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(status), "\n") {
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp":
			out[name] = strings.Join(strings.Fields(value), " ")
		}
	}
	out["pid"] = fmt.Sprint(os.Getpid())
	var env []string
	for _, e := range os.Environ() {
		name, _, _ := strings.Cut(e, "=")
		env = append(env, name)
	}
	sort.Strings(env)
	out["env"] = strings.Join(env, " ")
	out["args"] = strings.Join(os.Args, " ")

	var links []string
	entries, _ := os.ReadDir("/sys/class/net")
	for _, e := range entries {
		links = append(links, e.Name())
	}
	dev, _ := os.ReadFile("/proc/net/dev")
	out["net"] = strings.Join(links, " ") + fmt.Sprintf(" %d lines", strings.Count(string(dev), "\n"))
	routes, err := os.ReadFile("/proc/self/net/route")
	out["routes"] = fmt.Sprintf("%d lines %s", strings.Count(string(routes), "\n"), word(err))
	out["netns"], err = os.Readlink("/proc/self/ns/net")
	if err != nil {
		out["netns"] = word(err)
	}
	_, err = net.DialTimeout("tcp", "1.1.1.1:443", time.Second)
	out["dial"] = word(err)
	for name, family := range map[string]int{
		"inet": unix.AF_INET, "inet6": unix.AF_INET6, "packet": unix.AF_PACKET, "alg": unix.AF_ALG, "vsock": unix.AF_VSOCK,
		"netlink": unix.AF_NETLINK, "xdp": unix.AF_XDP, "unix": unix.AF_UNIX, "inet+2^32": 1<<32 | unix.AF_INET,
	} {
		_, _, errno := unix.RawSyscall(unix.SYS_SOCKET, uintptr(family), unix.SOCK_DGRAM, 0)
		out["socket "+name] = errnoWord(errno)
	}
	raw := func(name string, number, a, b, c uintptr) {
		_, _, errno := unix.RawSyscall(number, a, b, c)
		out[name] = errnoWord(errno)
	}
	var zero [256]byte
	p := uintptr(unsafe.Pointer(&zero))
	raw("unshare user", unix.SYS_UNSHARE, unix.CLONE_NEWUSER, 0, 0)
	raw("unshare mount", unix.SYS_UNSHARE, unix.CLONE_NEWNS, 0, 0)
	raw("setns", unix.SYS_SETNS, 0, 0, 0)
	raw("mount", unix.SYS_MOUNT, p, p, p)
	raw("pivot_root", unix.SYS_PIVOT_ROOT, p, p, 0)
	raw("chroot", unix.SYS_CHROOT, p, 0, 0)
	raw("ptrace", unix.SYS_PTRACE, 0, 0, 0)
	raw("process_vm_readv", unix.SYS_PROCESS_VM_READV, 1, p, 0)
	raw("process_vm_writev", unix.SYS_PROCESS_VM_WRITEV, 1, p, 0)
	raw("pidfd_getfd", unix.SYS_PIDFD_GETFD, 0, 0, 0)
	raw("bpf", unix.SYS_BPF, 0, p, 0)
	raw("keyctl", unix.SYS_KEYCTL, 0, 0, 0)
	raw("add_key", unix.SYS_ADD_KEY, p, p, p)
	raw("request_key", unix.SYS_REQUEST_KEY, p, p, 0)
	raw("io_uring_setup", unix.SYS_IO_URING_SETUP, 1, p, 0)
	raw("perf_event_open", unix.SYS_PERF_EVENT_OPEN, p, 0, 0)
	raw("userfaultfd", unix.SYS_USERFAULTFD, 1, 0, 0)
	raw("open_by_handle_at", unix.SYS_OPEN_BY_HANDLE_AT, 0, p, 0)
	raw("init_module", unix.SYS_INIT_MODULE, p, 0, p)
	raw("kexec_load", unix.SYS_KEXEC_LOAD, 0, 0, 0)
	raw("syslog", unix.SYS_SYSLOG, 10, 0, 0)
	raw("clone3", unix.SYS_CLONE3, p, 0, 0)
	raw("personality", unix.SYS_PERSONALITY, 0x0040000, 0, 0) // ADDR_NO_RANDOMIZE
	for name, flag := range map[string]uintptr{"clone newuser": unix.CLONE_NEWUSER, "clone newns": unix.CLONE_NEWNS, "clone newnet": unix.CLONE_NEWNET} {
		out[name] = cloneWith(flag)
	}
	if runtime.GOARCH == "amd64" {
		out["x32"] = x32()
	}
	for _, path := range []string{"/x", "/etc/x", "/usr/x", "/dev/x", "/dev/shm/x", "/dev/mqueue/x", "/proc/sys/kernel/core_pattern", "/sys/fs/cgroup/x", "/run/x", "/var/tmp/x", "/home/x"} {
		out["write "+path] = word(os.WriteFile(path, []byte("x"), 0o600))
	}
	out["write /tmp/x"] = word(os.WriteFile("/tmp/x", []byte("x"), 0o600))
	self, _ := os.ReadFile("/proc/self/exe")
	_ = os.WriteFile("/tmp/run", self, 0o700)
	out["exec in /tmp"] = word(exec.Command("/tmp/run", "none").Run())
	_, err = os.ReadFile("/proc/kcore")
	out["read /proc/kcore"] = word(err)
	out["writable"] = strings.Join(writable(), " ")
	out["mounts"] = mountTable()
	return out
}

// x32 makes a system call of another table in a child. A kernel that kills only the thread leaves
// the child hanging, which is as good.
func x32() string {
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	switch err := exec.CommandContext(ctx, "/proc/self/exe", "x32").Run(); {
	case err == nil:
		return "ok"
	case ctx.Err() != nil:
		return "killed"
	default:
		return err.Error()
	}
}

// cloneWith forks with flag; a child that came to life ends at once.
func cloneWith(flag uintptr) string {
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, flag|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno == 0 && pid == 0 {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
	return errnoWord(errno)
}

func errnoWord(errno syscall.Errno) string {
	if errno == 0 {
		return "ok"
	}
	return unix.ErrnoName(errno)
}

// writable lists directories in which a file can be made.
func writable() []string {
	var out []string
	_ = filepath.WalkDir("/", func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil
		}
		if strings.HasPrefix(path, "/proc/") {
			return filepath.SkipDir
		}
		f, err := os.CreateTemp(path, "w")
		if err == nil {
			f.Close()
			os.Remove(f.Name())
			out = append(out, path)
		}
		return nil
	})
	return out
}

func mountTable() string {
	data, _ := os.ReadFile("/proc/self/mountinfo")
	var out []string
	for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		f := strings.Fields(line)
		if len(f) > 5 {
			out = append(out, f[4]+" "+f[5])
		}
	}
	return strings.Join(out, "; ")
}
