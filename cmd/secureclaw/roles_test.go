package main

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/fake"
	"github.com/secureclaw/secureclaw/internal/wire"
)

func TestBridgeNeedsAToken(t *testing.T) {
	home := t.TempDir()
	if _, errs, code := claw(t, home, "bridge", "telegram"); code != exitConfig || !strings.Contains(errs, "TELEGRAM_BOT_TOKEN") || !strings.Contains(errs, "secureclaw init") {
		t.Errorf("bridge telegram without a token: exit %d, %q", code, errs)
	}
}

// The bridge listens to anybody who writes to the bot. It has given up starting processes before it
// hears the first word, and leaves no file behind.
func TestBridgeIsSealedAndKeepsNothing(t *testing.T) {
	const token = "123456:a-token-for-tests-0123456789abcdefg"
	home := t.TempDir()
	telegram := fake.NewTelegram(t, token)
	cmd := exec.Command(os.Args[0], "bridge", "telegram", "--home", home)
	cmd.Env = []string{"SECURECLAW_UNDER_TEST=main", "PATH=" + os.Getenv("PATH"), "TELEGRAM_BOT_TOKEN=" + token, "TELEGRAM_ALLOWED_USERS=7", "TELEGRAM_API_URL=" + telegram.URL()}
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	own := filters(t, "self")
	await(t, "the kernel filters its calls", func() bool { return filters(t, strconv.Itoa(cmd.Process.Pid)) == own+1 })
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the bridge ended with %v, want it to stop when asked\n%s", err, &log)
	}
	if files, err := os.ReadDir(home); err != nil || len(files) != 0 {
		t.Errorf("it left %v, %v in its home", files, err)
	}
	if strings.Contains(log.String(), token) {
		t.Errorf("its log has the token:\n%s", &log)
	}
}

// filters counts the seccomp filters of a process.
func filters(t *testing.T, pid string) int {
	t.Helper()
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if n, ok := strings.CutPrefix(line, "Seccomp_filters:"); ok {
			count, err := strconv.Atoi(strings.TrimSpace(n))
			if err != nil {
				t.Fatal(err)
			}
			return count
		}
	}
	t.Fatal("the kernel does not count seccomp filters")
	return 0
}

func TestMessengerPlan(t *testing.T) {
	for name, tc := range map[string]struct {
		environ        []string
		words, warning string
	}{
		"no bot":           {nil, "", ""},
		"users alone":      {[]string{"TELEGRAM_ALLOWED_USERS=7"}, "", ""},
		"a bot":            {[]string{"TELEGRAM_BOT_TOKEN=1:x", "TELEGRAM_ALLOWED_USERS=7"}, " · telegram connecting", ""},
		"paired with none": {[]string{"TELEGRAM_BOT_TOKEN=1:x"}, " · telegram connecting", "nobody is paired"},
		"no token":         {[]string{"TELEGRAM_BOT_TOKEN=abc", "TELEGRAM_ALLOWED_USERS=7"}, " · telegram connecting", "this is no token"},
		"in the clear":     {[]string{"TELEGRAM_BOT_TOKEN=1:x", "TELEGRAM_ALLOWED_USERS=7", "TELEGRAM_API_URL=http://example.com"}, " · telegram connecting", "unencrypted"},
		"on this machine":  {[]string{"TELEGRAM_BOT_TOKEN=1:x", "TELEGRAM_ALLOWED_USERS=7", "TELEGRAM_API_URL=http://127.0.0.1:81"}, " · telegram connecting", ""},
	} {
		words, warnings, err := messengerPlan(config.Dirs{Env: "/nonexistent/.env"}, tc.environ)
		if err != nil || words != tc.words || (len(warnings) == 0) != (tc.warning == "") || tc.warning != "" && !strings.Contains(warnings[0].String(), tc.warning) {
			t.Errorf("%s: %q, %v, %v; want %q, %q", name, words, warnings, err, tc.words, tc.warning)
		}
	}
}

func TestStatusShowsMessengers(t *testing.T) {
	since := time.Date(2026, 11, 23, 9, 0, 0, 0, time.Local)
	var out bytes.Buffer
	printStatus(&out, &wire.GatewayStatus{Model: "m", Runner: "ok", Audit: "ok", Messengers: []wire.Health{
		{Messenger: "telegram", State: wire.HealthOK, Account: "@ada_bot", Since: since},
		{Messenger: "telegram", State: wire.HealthDegraded, Account: "@ada\x1b[8m_bot", Why: "Telegram answers 409\nok", Since: since},
		{Messenger: "telegram", State: wire.HealthAway, Why: "no bridge is connected"},
	}})
	for _, want := range []string{
		"\ntelegram ok · @ada_bot\n",
		" · Telegram answers 409",
		" · since 2026-11-23 09:00:00\n",
		"\ntelegram away · no bridge is connected\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("status lacks %q:\n%s", want, &out)
		}
	}
	if strings.ContainsRune(out.String(), '\x1b') || strings.Contains(out.String(), "\nok") {
		t.Errorf("a messenger writes to the terminal as it likes: %q", out.String())
	}
}
