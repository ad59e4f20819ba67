package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/config"
)

// A role knows its own secrets and nobody else's, whatever the supervisor's own environment holds.
func TestPlanDealsSecretsOut(t *testing.T) {
	secrets := config.Secrets{TelegramBotToken: "the-bot-token", AllowedUserIDs: []int64{7}, TelegramAPIURL: "http://localhost:8081", AnthropicAPIKey: "the-model-key", OpenAIAPIKey: "the-other-key", CapabilitySecret: "the-minting-key", OAuthKey: "the-vault-key"}
	environ := []string{
		"PATH=/bin", "HOME=/root", "ANTHROPIC_API_KEY=in-the-shell", "CAPABILITY_SECRET=in-the-shell", "TELEGRAM_BOT_TOKEN=in-the-shell", "TELEGRAM_API_URL=in-the-shell", "FAILPOINT=gate.intent", "FAILPOINT_DIR=/x", "GITHUB_TOKEN=in-the-shell",
		"ANTHROPIC_BASE_URL=http://x", "DOCKER_HOST=unix:///x", "LD_PRELOAD=/evil.so", "GODEBUG=x", "SSH_AUTH_SOCK=/x", "HTTPS_PROXY=http://user:password@x",
	}
	want := map[string][]string{
		"runner":  {"PATH", "HOME", "SECURECLAW_BOOT", "DOCKER_HOST", "CAPABILITY_PUBLIC_KEY"},
		"gateway": {"PATH", "HOME", "SECURECLAW_BOOT", "ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "CAPABILITY_SECRET", "OAUTH_KEY", "TELEGRAM_ALLOWED_USERS"},
		"bridge":  {"PATH", "HOME", "GOMEMLIMIT", "GOGC", "SECURECLAW_BOOT", "TELEGRAM_BOT_TOKEN", "TELEGRAM_ALLOWED_USERS", "TELEGRAM_API_URL"},
	}
	words := map[string]string{"runner": "runner", "gateway": "gateway", "bridge": "bridge telegram"}
	roles := plan("/self", "/home/x", "boot", secrets, "the-public-key", environ)
	var order []string
	for _, r := range roles {
		order = append(order, r.name)
		if r.spare != (r.name == "bridge") {
			t.Errorf("%s: spare %t", r.name, r.spare)
		}
		for _, name := range failpointEnv() { // none in a program that ships
			want[r.name] = append(want[r.name], slices.DeleteFunc([]string{name}, func(n string) bool { return len(pick(environ, n)) == 0 })...)
		}
	}
	if !slices.Equal(order, []string{"runner", "gateway", "bridge"}) {
		t.Fatalf("roles start as %q", order)
	}
	secrets.TelegramBotToken = ""
	if got := plan("/self", "", "boot", secrets, "the-public-key", environ); len(got) != 2 || got[0].name != "runner" || got[1].name != "gateway" {
		t.Errorf("without a bot: %d roles, want runner and gateway", len(got))
	}
	for _, r := range roles {
		var names []string
		for _, pair := range r.env {
			name, value, _ := strings.Cut(pair, "=")
			names = append(names, name)
			if value == "in-the-shell" {
				t.Errorf("%s got %s from the supervisor's own environment", r.name, name)
			}
		}
		slices.Sort(names)
		wanted := slices.Sorted(slices.Values(want[r.name]))
		if !slices.Equal(names, wanted) {
			t.Errorf("%s gets %v, want %v", r.name, names, wanted)
		}
		if got := strings.Join(r.argv, " "); got != "/self "+words[r.name]+" --home /home/x" {
			t.Errorf("%s is started as %q", r.name, got)
		}
	}
}

func sh(name, script string) role {
	return role{name: name, argv: []string{"/bin/sh", "-c", script}, env: []string{"PATH=" + os.Getenv("PATH")}}
}

// supervise runs roles until stop is called, which returns how it ended.
func supervise(t *testing.T, roles ...role) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	go func() { done <- newSupervisor(roles, log, time.Now).run(ctx) }()
	t.Cleanup(cancel)
	return func() error { cancel(); return <-done }
}

// await polls for what other processes write.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(20 * time.Second); !is(); {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("still not so: %s", what)
		}
	}
}

func fileHas(path string, n int) func() bool {
	return func() bool {
		data, _ := os.ReadFile(path)
		return strings.Count(string(data), "\n") >= n
	}
}

func TestSupervisorRestartsWithBackoff(t *testing.T) {
	file := filepath.Join(t.TempDir(), "starts")
	stop := supervise(t, sh("dies", "date +%s%N >>"+file+"; exit 1"))
	await(t, "three starts", fileHas(file, 3))
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("run = %v, want canceled", err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var at []time.Time
	for line := range strings.Lines(string(data)) {
		n, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		at = append(at, time.Unix(0, n))
	}
	if first, second := at[1].Sub(at[0]), at[2].Sub(at[1]); first < firstBackoff || second < min(2*firstBackoff, lastBackoff) {
		t.Errorf("waited %v and %v, want at least %v and %v", first, second, firstBackoff, min(2*firstBackoff, lastBackoff))
	}
}

// The gateway goes before the runner, so that its last calls still have hands.
func TestSupervisorStopsInOrder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "order")
	script := func(name, slow string) role {
		return sh(name, fmt.Sprintf("trap 'sleep %s; echo %s stopped >>%s; exit 0' TERM; echo up >>%s; while :; do sleep 0.02; done", slow, name, file, file))
	}
	stop := supervise(t, script("runner", "0"), script("gateway", "0.2"))
	await(t, "both are up", fileHas(file, 2))
	_ = stop()
	data, _ := os.ReadFile(file)
	if got, want := string(data), "up\nup\ngateway stopped\nrunner stopped\n"; got != want {
		t.Errorf("order = %q, want %q", got, want)
	}
}

func TestSupervisorGivesUpOnAFatalExit(t *testing.T) {
	file := filepath.Join(t.TempDir(), "other")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	other := sh("runner", "trap 'echo stopped >>"+file+"; exit 0' TERM; while :; do sleep 0.02; done")
	err := newSupervisor([]role{other, sh("gateway", "exit 3")}, slog.New(slog.DiscardHandler), time.Now).run(ctx)
	f, ok := errors.AsType[*failure](err)
	if !ok || f.code != exitConfig || !strings.Contains(f.what, "gateway") {
		t.Errorf("run = %v, want a failure of the gateway with exit %d", err, exitConfig)
	}
}

// A messenger that cannot work, whatever is wrong with it, takes nobody down: it is tried again.
func TestSupervisorLivesWithoutASpareRole(t *testing.T) {
	file := filepath.Join(t.TempDir(), "starts")
	bridge := sh("bridge", "echo start >>"+file+"; exit 1")
	bridge.spare = true
	fatal := sh("bridge", "echo fatal >>"+file+"; exit 3")
	fatal.spare = true
	stop := supervise(t, sh("gateway", "trap 'echo stopped >>"+file+"; exit 0' TERM; while :; do sleep 0.02; done"), bridge, fatal)
	await(t, "the bridge was tried again", func() bool {
		data, _ := os.ReadFile(file)
		return strings.Count(string(data), "start\n") >= 3 && strings.Contains(string(data), "fatal")
	})
	data, _ := os.ReadFile(file)
	if got := string(data); strings.Contains(got, "stopped") || strings.Count(got, "fatal") != 1 && longestBackoff > time.Second {
		t.Errorf("it went %q; want the gateway running and the one without hope waiting longest", got)
	}
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("run = %v, want canceled", err)
	}
	data, _ = os.ReadFile(file)
	if !strings.HasSuffix(string(data), "stopped\n") {
		t.Errorf("it went %q; want the gateway stopped last", data)
	}
}

// A supervisor that is killed takes its children along: nothing runs that nobody watches.
func TestKilledSupervisorLeavesNobody(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{"SECURECLAW_UNDER_TEST=supervisor", "PID_FILE=" + file, "PATH=" + os.Getenv("PATH")}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, "the child runs", fileHas(file, 1))
	data, _ := os.ReadFile(file)
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	await(t, "the child is gone", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(stat), ") Z ") // a zombie waits for init alone
	})
}
