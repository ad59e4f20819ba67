//go:build docker

package runner

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/run"
)

// engine is a container engine of a test's own, which it may stop. It shares nothing with the machine's but the kernel.
type engine struct {
	tb  testing.TB
	dir string
	cmd *exec.Cmd
}

// newEngine starts one. Where there is no program of it or no right to start it, the test fails: none is skipped.
func newEngine(tb testing.TB) *engine {
	tb.Helper()
	for _, name := range []string{"dockerd", "containerd"} {
		if _, err := exec.LookPath(name); err != nil || os.Getuid() != 0 {
			tb.Fatalf("an engine of our own needs root and %s", name)
		}
	}
	dir, err := os.MkdirTemp("", "eng") // short: a socket's path has 107 bytes
	if err != nil {
		tb.Fatal(err)
	}
	e := &engine{tb: tb, dir: dir}
	e.start()
	tb.Cleanup(e.end)
	return e
}

func (e *engine) host() string { return "unix://" + e.dir + "/d.sock" }

func (e *engine) start() {
	e.tb.Helper()
	e.cmd = exec.Command("dockerd", "--host="+e.host(), "--data-root="+e.dir+"/data", "--exec-root="+e.dir+"/exec", "--pidfile="+e.dir+"/pid",
		"--bridge=none", "--iptables=false", "--ip6tables=false", "--storage-driver=vfs", "--config-file="+e.dir+"/none.json")
	if err := os.WriteFile(filepath.Join(e.dir, "none.json"), []byte("{}"), 0o600); err != nil {
		e.tb.Fatal(err)
	}
	said, err := os.Create(filepath.Join(e.dir, "said")) // a file: what outlives the engine holds nobody up
	if err != nil {
		e.tb.Fatal(err)
	}
	defer said.Close()
	e.cmd.Stdout, e.cmd.Stderr = said, said
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := e.cmd.Start(); err != nil {
		e.tb.Fatal(err)
	}
	c := e.client()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if _, err := c.Ping(e.tb.Context(), client.PingOptions{}); err == nil {
			return
		}
		if time.Now().After(end) {
			_ = e.cmd.Process.Kill()
			_ = e.cmd.Wait()
			text, _ := os.ReadFile(said.Name())
			e.tb.Fatalf("the engine does not come:\n%.4000s", text)
		}
	}
}

func (e *engine) client() *client.Client {
	e.tb.Helper()
	c, err := client.New(client.WithHost(e.host()))
	if err != nil {
		e.tb.Fatal(err)
	}
	e.tb.Cleanup(func() { _ = c.Close() })
	return c
}

// stop ends the engine by a signal and waits for it.
func (e *engine) stop(signal syscall.Signal) {
	e.tb.Helper()
	if err := e.cmd.Process.Signal(signal); err != nil {
		e.tb.Fatal(err)
	}
	_ = e.cmd.Wait() // it was told to end
	// An engine's containerd dies with it. Where nobody takes note of its end (in a container without an init), the next
	// engine would wait for it.
	note := filepath.Join(e.dir, "exec/containerd/containerd.pid")
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		pid, err := os.ReadFile(note)
		if err != nil {
			return
		}
		status, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/status")
		if err != nil || bytes.Contains(status, []byte("State:\tZ")) {
			_ = os.Remove(note)
			return
		}
	}
}

// end leaves nothing: an engine that was killed leaves the process that held its containers.
func (e *engine) end() {
	if e.cmd.ProcessState == nil {
		_ = e.cmd.Process.Signal(syscall.SIGTERM)
		_ = e.cmd.Wait()
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end) && len(e.processes()) > 0; time.Sleep(100 * time.Millisecond) {
		for _, pid := range e.processes() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	for _, at := range []string{"exec/netns/default", "data"} {
		_ = exec.Command("umount", "-l", filepath.Join(e.dir, at)).Run()
	}
	if err := os.RemoveAll(e.dir); err != nil {
		e.tb.Errorf("the engine's folder: %v", err)
	}
}

// processes are those that were started with the engine's folder.
func (e *engine) processes() (pids []int) {
	names, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range names {
		data, _ := os.ReadFile(name)
		if pid := 0; strings.Contains(string(data), e.dir+"/") {
			for _, digit := range strings.Split(name, "/")[2] {
				pid = pid*10 + int(digit-'0')
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

// Docker that is stopped, killed and started again, with containers that wait: a call is refused while it is away, what waited
// before is used for none, and soon others wait.
func TestReadyEngineRestarts(t *testing.T) {
	e := newEngine(t)
	cfg := dockerConfig(t)
	image := cfg.Executors["shell"].Image
	load := exec.Command("sh", "-c", "docker save "+image+" | docker --host "+e.host()+" load --quiet")
	if out, err := load.CombinedOutput(); err != nil {
		t.Fatalf("load the test image: %v\n%s", err, out)
	}
	cfg.Docker.Host = e.host()
	cfg.Runner.Ready.Memory = keepSome
	shell := cfg.Executors["shell"]
	shell.Mounts, shell.Memory, shell.CPUs, shell.Pids = []string{"workspace"}, 128<<20, 0.5, 32
	cfg.Executors = map[string]config.Executor{"shell": shell}
	b := newBed(t, cfg)
	call := func() ([]run.Event, string) {
		claims := workClaims()
		claims.Mounts[0].Mode = "ro"
		order := b.order(t, claims, `{"arg":"x","do":"echo"}`)
		events := b.ask(t, run.Request{Run: &order})
		for _, event := range events {
			if event.Started != nil {
				return events, event.Started.Container
			}
		}
		return events, ""
	}
	used := map[string]bool{}
	works := func(when string) {
		t.Helper()
		b.prepared(t, "shell")
		events, id := call()
		if len(events) != 2 || events[1].Result == nil || events[1].Result.Outcome != run.Finished || used[id] {
			t.Fatalf("%s: events = %+v, want a result, and not from %v", when, events, used)
		}
		b.came(t, events[1].Result)
		used[id] = true
	}
	works("before")
	c := e.client()
	waiting := func() (ids []string) {
		t.Helper()
		list, err := c.ContainerList(context.Background(), client.ContainerListOptions{All: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range list.Items {
			ids = append(ids, item.ID)
		}
		return ids
	}
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		b.prepared(t, "shell")
		before := waiting()
		e.stop(signal)
		for end := time.Now().Add(5 * time.Second); len(b.status(t).Ready) > 0; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("after %v containers wait, and their engine is away", signal)
			}
		}
		if got := refusalOf(t, func() []run.Event { events, _ := call(); return events }()); got.Code != "engine" {
			t.Errorf("after %v a call is refused with %+v, want engine", signal, got)
		}
		e.start()
		for _, id := range before {
			used[id] = true
		}
		began := time.Now()
		works("after " + signal.String())
		t.Logf("after %v and a start: ready and served after %v", signal, time.Since(began).Round(time.Millisecond))
		for end := time.Now().Add(40 * time.Second); ; time.Sleep(100 * time.Millisecond) {
			left := 0
			for _, id := range waiting() {
				for _, old := range before {
					if id == old {
						left++
					}
				}
			}
			if left == 0 {
				break
			}
			if time.Now().After(end) {
				t.Errorf("after %v and a start %d of the containers from before are left", signal, left)
				break
			}
		}
		t.Logf("what was left is gone after %v", time.Since(began).Round(time.Millisecond))
	}
	b.stop()
	if left := waiting(); len(left) > 0 {
		t.Errorf("containers left at the end: %v", left)
	}
}
