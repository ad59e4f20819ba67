package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/fake"
)

func runClaw(t *testing.T, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = env
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestInitUnattended(t *testing.T) {
	claude, tg := vendor(t), fake.NewTelegram(t, initToken)
	home, folder := t.TempDir(), t.TempDir()
	env := []string{"ANTHROPIC_BASE_URL=" + claude.URL, "TELEGRAM_API_URL=" + tg.URL(), "ANTHROPIC_API_KEY=" + initKey, "TELEGRAM_BOT_TOKEN=" + initToken}
	stdout, stderr, code := clawEnv(t, home, env, "init", "--json", "--non-interactive", "--provider", "anthropic", "--model", "claude-haiku-5-5",
		"--share", folder, "--share-mode", "ro", "--telegram-user", "42", "--telegram-user", "7")
	if code != 0 {
		t.Fatalf("exit %d\n%s", code, stderr)
	}
	var got initReport
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatalf("%v\n%s", err, stdout)
	}
	if got.Provider != "anthropic" || got.Model != "claude-haiku-5-5" || got.Key != "…WXYZ" || !got.Checked || got.Share != (initShare{folder, "ro"}) ||
		got.Telegram.Bot != "secureclaw_test_bot" || got.Telegram.Token != "…1234" || !slices.Equal(got.Telegram.Users, []int64{42, 7}) || len(got.Changed) != 2 {
		t.Errorf("the document: %+v %+v", got, got.Telegram)
	}
	for _, text := range []string{stdout, stderr} {
		if strings.Contains(text, initKey[:20]) || strings.Contains(text, "AAEabc") {
			t.Errorf("a secret is shown:\n%s", text)
		}
	}
	secrets, err := config.LoadSecrets(at(home, ".env"), nil, config.SecretOptions{})
	if err != nil || secrets.AnthropicAPIKey != initKey || secrets.TelegramBotToken != initToken || !slices.Equal(secrets.AllowedUserIDs, []int64{42, 7}) {
		t.Errorf(".env: %v %v", err, secrets.AllowedUserIDs)
	}
	// Once more, with another person: who is there stays and stays the owner.
	if _, stderr, code := clawEnv(t, home, env[:2], "init", "--non-interactive", "--telegram-user", "99", "--telegram-user", "7", "--share-mode", "rw"); code != 0 {
		t.Fatalf("exit %d\n%s", code, stderr)
	}
	secrets, _ = config.LoadSecrets(at(home, ".env"), nil, config.SecretOptions{})
	if !slices.Equal(secrets.AllowedUserIDs, []int64{42, 7, 99}) || secrets.AnthropicAPIKey != initKey {
		t.Errorf("ids %v, want 42 7 99, and the key kept", secrets.AllowedUserIDs)
	}
	if yaml := contents(t, at(home, "config", "secureclaw.yaml")); !strings.Contains(yaml, "host: "+folder+" #") || !strings.Contains(yaml, "mode: rw # the most") {
		t.Error("only the mode should have changed")
	}
}

// What the environment says of addresses is not taken for what the file says.
func TestInitUnattendedAddress(t *testing.T) {
	home := t.TempDir()
	write(t, at(home, "config", "secureclaw.yaml"), "llm: {provider: openai, model: m, baseURL: http://localhost:1/v1}\n")
	if _, stderr, code := clawEnv(t, home, []string{"OPENAI_BASE_URL=http://localhost:2/v1"}, "init", "--non-interactive", "--no-check", "--base-url", "http://localhost:2/v1"); code != 0 {
		t.Fatalf("exit %d\n%s", code, stderr)
	}
	if got := contents(t, at(home, "config", "secureclaw.yaml")); !strings.Contains(got, "baseURL: http://localhost:2/v1") {
		t.Errorf("secureclaw.yaml = %q, want the address of the flag", got)
	}
}

// What goes wrong is told with its fix, and nothing is written.
func TestInitUnattendedRefuses(t *testing.T) {
	claude, tg := vendor(t), fake.NewTelegram(t, initToken)
	base := []string{"ANTHROPIC_BASE_URL=" + claude.URL, "TELEGRAM_API_URL=" + tg.URL()}
	for name, tc := range map[string]struct {
		env  []string
		args string
		code int
		says []string
	}{
		"no terminal":             {nil, "", exitUsage, []string{"no terminal", "fix", "--non-interactive"}},
		"a key as an argument":    {nil, "--non-interactive --key sk-1", exitUsage, []string{"unknown flag"}},
		"a key behind it":         {nil, "--non-interactive sk-1", exitUsage, []string{"fix"}},
		"a provider of one's own": {nil, "--non-interactive --provider claude", exitUsage, []string{"rehearsal, anthropic, openai"}},
		"a mode of one's own":     {nil, "--non-interactive --share-mode rwx", exitUsage, []string{"neither ro nor rw"}},
		"a name for an id":        {nil, "--non-interactive --telegram-user anna", exitUsage, []string{"anna"}},
		"a group's id":            {nil, "--non-interactive --telegram-user=-100123", exitUsage, []string{"above 0"}},
		"no key":                  {nil, "--non-interactive --provider anthropic", exitLogin, []string{"ANTHROPIC_API_KEY", "fix"}},
		"a wrong key":             {[]string{"ANTHROPIC_API_KEY=" + wrongKey}, "--non-interactive", exitFailed, []string{"does not accept the key", "fix", "nothing was written"}},
		"a key with a space":      {[]string{"ANTHROPIC_API_KEY=a b"}, "--non-interactive", exitConfig, []string{"ANTHROPIC_API_KEY", "no space"}},
		"a wrong token":           {[]string{"TELEGRAM_BOT_TOKEN=" + badToken}, "--non-interactive", exitFailed, []string{"token (401)"}},
		"no model":                {nil, "--non-interactive --no-check --provider openai --base-url http://localhost:1/v1", exitUsage, []string{"no default model", "--model"}},
		"no server":               {nil, "--non-interactive --provider openai --base-url http://127.0.0.1:1/v1 --model x", exitFailed, []string{"cannot be reached"}},
		"an address with a key":   {nil, "--non-interactive --no-check --provider openai --model x --base-url https://u:p@h/v1", exitConfig, []string{"password"}},
		"a folder of the system":  {nil, "--non-interactive --share /etc", exitFailed, []string{"belongs to the system", "fix"}},
		"no such folder":          {nil, "--non-interactive --share /not/there", exitFailed, []string{"does not exist", "mkdir -p /not/there"}},
	} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			stdout, stderr, code := clawEnv(t, home, append(tc.env, base...), append([]string{"init"}, strings.Fields(tc.args)...)...)
			if code != tc.code || stdout != "" {
				t.Errorf("exit %d, want %d; stdout %q\n%s", code, tc.code, stdout, stderr)
			}
			for _, want := range tc.says {
				if !strings.Contains(stderr, want) {
					t.Errorf("stderr lacks %q:\n%s", want, stderr)
				}
			}
			if strings.Contains(stderr, "sk-ant-api03") || strings.Contains(stderr, "AAEwrong") {
				t.Errorf("a secret is shown:\n%s", stderr)
			}
			untouched(t, home)
		})
	}
}

func TestInitUnattendedLeavesTheRest(t *testing.T) {
	home := t.TempDir()
	yaml := "llm: {provider: rehearsal} # mine\nmounts: [] # nothing\nexecutors: {}\nactionTiers: {}\n"
	write(t, at(home, "config", "secureclaw.yaml"), yaml)
	if _, stderr, code := clawEnv(t, home, nil, "init", "--non-interactive"); code != 0 {
		t.Fatalf("exit %d\n%s", code, stderr)
	}
	if got := contents(t, at(home, "config", "secureclaw.yaml")); got != yaml {
		t.Errorf("secureclaw.yaml = %q", got)
	}
	// A file that is invalid is the user's to mend, not init's to overwrite.
	write(t, at(home, "config", "secureclaw.yaml"), "llm: {modle: x}\n")
	if _, stderr, code := clawEnv(t, home, nil, "init", "--non-interactive", "--provider", "anthropic"); code != exitConfig || !strings.Contains(stderr, "modle") {
		t.Errorf("exit %d\n%s", code, stderr)
	}
	// What cannot be edited in place is said, with the key, and left alone.
	odd := "llm:\n  provider: >-\n    rehearsal\n"
	write(t, at(home, "config", "secureclaw.yaml"), odd)
	if _, stderr, code := clawEnv(t, home, []string{"ANTHROPIC_API_KEY=" + initKey}, "init", "--non-interactive", "--no-check", "--provider", "anthropic"); code != exitConfig || !strings.Contains(stderr, "llm.provider") || !strings.Contains(stderr, "by hand") {
		t.Errorf("exit %d\n%s", code, stderr)
	}
	if contents(t, at(home, "config", "secureclaw.yaml")) != odd || strings.Contains(contents(t, at(home, ".env")), initKey) {
		t.Error("something was written")
	}
	if drafts, _ := filepath.Glob(at(home, "*", ".*.draft")); len(drafts) > 0 {
		t.Errorf("left: %v", drafts)
	}
}
