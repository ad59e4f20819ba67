//go:build docker

package e2e

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/capability"
	"github.com/secureclaw/secureclaw/internal/fake"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// environ reads the environment that a process was started with.
func environ(t *testing.T, pid int) map[string]string {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for pair := range bytes.SplitSeq(bytes.TrimRight(data, "\x00"), []byte{0}) {
		name, value, _ := strings.Cut(string(pair), "=")
		out[name] = value
	}
	return out
}

// sockets lists the Unix sockets that a process is connected to, by the peers' names where they have one.
func sockets(t *testing.T, pid int) (targets []string) {
	t.Helper()
	mine := map[string]bool{}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		target, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, fd.Name()))
		if err != nil {
			continue // closed meanwhile
		}
		targets = append(targets, target)
		if inode, ok := strings.CutPrefix(target, "socket:["); ok {
			mine[strings.TrimSuffix(inode, "]")] = true
		}
	}
	table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/unix", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) == 8 && mine[fields[6]] {
			targets = append(targets, fields[7])
		}
	}
	return targets
}

// Each process has its own secrets and no other's, and the brain has no hands: it cannot start a
// process, and its sockets lead to the model, to the user and to the runner.
func TestEachProcessHasItsOwn(t *testing.T) {
	t.Parallel()
	model := fake.NewAnthropic(t)
	w := newWorld(t, setting{model: model, telegram: []int64{owner}})
	w.env = append(w.env, "DOCKER_HOST=unix://"+engineSocket(), "AWS_SECRET_ACCESS_KEY=of-the-developer")
	w.start()
	gateway, runner, bridge := w.pid("gateway"), w.pid("runner"), w.pid("bridge")
	for _, tc := range []struct {
		role  string
		pid   int
		has   []string
		never []string
	}{
		{"gateway", gateway, []string{"ANTHROPIC_API_KEY", "CAPABILITY_SECRET", "OAUTH_KEY"}, []string{"TELEGRAM_BOT_TOKEN", "TELEGRAM_API_URL", "DOCKER_HOST", "AWS_SECRET_ACCESS_KEY"}},
		{"bridge", bridge, []string{"TELEGRAM_BOT_TOKEN", "TELEGRAM_ALLOWED_USERS", "TELEGRAM_API_URL"}, []string{"CAPABILITY_SECRET", "CAPABILITY_PUBLIC_KEY", "ANTHROPIC_API_KEY", "OAUTH_KEY", "DOCKER_HOST", "ANTHROPIC_BASE_URL", "AWS_SECRET_ACCESS_KEY"}},
		{"runner", runner, []string{"CAPABILITY_PUBLIC_KEY", "DOCKER_HOST"}, []string{"ANTHROPIC_API_KEY", "CAPABILITY_SECRET", "OAUTH_KEY", "TELEGRAM_BOT_TOKEN", "TELEGRAM_API_URL", "ANTHROPIC_BASE_URL", "AWS_SECRET_ACCESS_KEY"}},
	} {
		env := environ(t, tc.pid)
		for _, name := range tc.has {
			if env[name] == "" {
				t.Errorf("%s has no %s; it has %v", tc.role, name, slices.Sorted(maps.Keys(env)))
			}
		}
		for _, name := range tc.never {
			if _, ok := env[name]; ok {
				t.Errorf("%s knows %s", tc.role, name)
			}
		}
		for name, secret := range w.secrets {
			for have, value := range env {
				if strings.Contains(value, secret) && !slices.Contains(tc.has, name) {
					t.Errorf("%s holds %s in %s", tc.role, name, have)
				}
			}
		}
	}

	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", gateway))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"NoNewPrivs:\t1\n", "Seccomp:\t2\n"} {
		if !strings.Contains(string(status), want) {
			t.Errorf("/proc/<gateway>/status has no %q:\n%s", want, status)
		}
	}

	// Looked at while a call runs: that is when hands would show.
	model.Script(calls(shell("sleep 2", 10)), says("done"))
	talk := w.newTalk("wait")
	w.oneContainer()
	for _, target := range sockets(t, gateway) {
		if strings.Contains(target, "docker") || strings.Contains(target, "containerd") {
			t.Errorf("the gateway holds %s", target)
		}
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", gateway, gateway))
	if err != nil || len(children) != 0 {
		t.Errorf("the gateway has children: %q, %v", children, err)
	}
	if doc := talk(); doc.Reply != "done" {
		t.Errorf("reply %q", doc.Reply)
	}
}

// toRunner sends one request straight to the runner's socket, as a captured gateway could.
func (w *world) toRunner(request any) (events []run.Event) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := wire.Dial(ctx, w.path("run/runner.sock"), wire.Hello{Role: "gateway", Program: "forger"})
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Send(request); err != nil {
		w.t.Fatal(err)
	}
	for {
		var event run.Event
		if err := conn.Receive(&event); err == io.EOF {
			return events
		} else if err != nil {
			w.t.Fatalf("runner: %v after %+v", err, events)
		}
		events = append(events, event)
	}
}

// forge writes an order for `touch forged` as the gateway would; change may widen claims and task.
func (w *world) forge(key ed25519.PrivateKey, change func(*capability.Claims, *run.Task)) run.Order {
	w.t.Helper()
	input, err := strict.CanonicalOf(run.Shell{Command: "id; touch forged", WorkingDirectory: "/workspace", TimeoutSeconds: 5, Access: run.AccessRead})
	if err != nil {
		w.t.Fatal(err)
	}
	task := run.Task{Call: "call_forged", Tool: run.ToolShell, Input: input, TimeoutMS: 5000, OutputCap: 65536,
		Roots: []run.Root{{Name: "workspace", Path: "/workspace", Mode: "ro"}}}
	claims := capability.Claims{Audience: "shell", Tool: run.ToolShell, TimeoutMS: 5000, OutputCap: 65536, Memory: 64 << 20, CPUMillis: 500, Pids: 32,
		Session: "s", Call: "call_forged", Mounts: []capability.Mount{{Name: "workspace", Mode: "ro"}}}
	if change != nil {
		change(&claims, &task)
	}
	body, err := strict.CanonicalOf(task)
	if err != nil {
		w.t.Fatal(err)
	}
	claims.TaskSHA256 = capability.TaskDigest(body)
	token, err := capability.NewMinter(key, time.Now).Mint(claims)
	if err != nil {
		w.t.Fatal(err)
	}
	return run.Order{Token: token, Task: body}
}

// What is not signed by the gateway, or grants more than the configuration, is refused by the
// runner, and so is every token that was used before.
func TestRunnerRefusesForgeries(t *testing.T) {
	t.Parallel()
	w := startWorld(t, setting{config: "executors:\n  shell:\n    memory: 64MiB\n    mounts: [workspace]\n"})
	own, err := capability.DeriveKey(w.secrets["CAPABILITY_SECRET"])
	if err != nil {
		t.Fatal(err)
	}
	other, err := capability.DeriveKey(randomSecret())
	if err != nil {
		t.Fatal(err)
	}
	audit, err := capability.DeriveAuditKey(w.secrets["CAPABILITY_SECRET"])
	if err != nil {
		t.Fatal(err)
	}

	good := w.forge(own, nil)
	events := w.toRunner(run.Request{Run: &good})
	if last := events[len(events)-1]; last.Result == nil || last.Result.Outcome != run.Finished {
		t.Fatalf("an order with the gateway's own key = %+v, want it to run: else this test proves nothing", events)
	}
	widened := w.forge(own, nil)
	widened.Task = strict.Value(strings.Replace(string(widened.Task), `"ro"`, `"rw"`, 1))
	stripped := w.forge(own, nil)
	stripped.Token = stripped.Token[:strings.LastIndex(stripped.Token, ".")+1]
	for name, tc := range map[string]struct {
		order run.Order
		code  string
	}{
		"the same again":                {good, "token"},
		"another installation's key":    {w.forge(other, nil), "token"},
		"the key of the audit log":      {w.forge(audit, nil), "token"},
		"a wider task under its token":  {widened, "token"},
		"no signature":                  {stripped, "token"},
		"no token":                      {run.Order{Task: good.Task}, "token"},
		"a mount that nobody shared":    {w.forge(own, func(c *capability.Claims, r *run.Task) { c.Mounts[0].Name, r.Roots[0].Name = "etc", "etc" }), "mount"},
		"a host path for a name":        {w.forge(own, func(c *capability.Claims, r *run.Task) { c.Mounts[0].Name, r.Roots[0].Name = "/", "/" }), "mount"},
		"a network":                     {w.forge(own, func(c *capability.Claims, _ *run.Task) { c.Domains = []string{"example.org"} }), "domain"},
		"more output than is allowed":   {w.forge(own, func(c *capability.Claims, r *run.Task) { c.OutputCap, r.OutputCap = 1<<20, 1<<20 }), "limit"},
		"an executor that is not there": {w.forge(own, func(c *capability.Claims, _ *run.Task) { c.Audience = "host" }), "token"},
		"a file tool in the shell":      {w.forge(own, func(c *capability.Claims, r *run.Task) { c.Tool, r.Tool = run.ToolWriteFile, run.ToolWriteFile }), "task"},
	} {
		t.Run(name, func(t *testing.T) {
			events := w.in(t).toRunner(run.Request{Run: &tc.order})
			if len(events) != 1 || events[0].Refusal == nil || events[0].Refusal.Code != tc.code {
				t.Errorf("%s = %+v, want one refusal %q", name, events, tc.code)
			}
		})
	}
	if _, err := os.Lstat(w.path("workspace/forged")); err == nil {
		t.Error("a forged order wrote into the workspace")
	}
	w.noContainer()
}

// Limits that a token claims beyond the configuration are clipped to it.
func TestRunnerClipsLimits(t *testing.T) {
	t.Parallel()
	w := startWorld(t, setting{config: "executors:\n  shell:\n    memory: 64MiB\n    pids: 32\n    mounts: [workspace]\n"})
	own, err := capability.DeriveKey(w.secrets["CAPABILITY_SECRET"])
	if err != nil {
		t.Fatal(err)
	}
	order := w.forge(own, func(c *capability.Claims, r *run.Task) {
		c.Memory, c.Pids, c.CPUMillis = 1<<40, 1<<20, 1<<20
		input, err := strict.CanonicalOf(run.Shell{Command: "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null", WorkingDirectory: "/workspace", TimeoutSeconds: 5, Access: run.AccessRead})
		if err != nil {
			t.Fatal(err)
		}
		r.Input = input
	})
	events := w.toRunner(run.Request{Run: &order})
	last := events[len(events)-1]
	if last.Result == nil || last.Result.Output == nil || !strings.Contains(string(last.Result.Output.Value), `67108864\n32\n`) {
		t.Errorf("limits inside the container = %+v, want 64 MiB and 32 processes", last)
	}
}
