package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/fake"
)

const (
	initKey   = "sk-ant-api03-Good0123456789abcdefghijWXYZ"
	wrongKey  = "sk-ant-api03-Wrong123456789abcdefghijklmn"
	initToken = "7000000001:AAEabcdefghijklmnopqrstuvwxyz01234"
	badToken  = "7000000001:AAEwrongwrongwrongwrongwrongwrong99"
)

// vendor lets the fake Claude take one key only.
func vendor(t *testing.T) *fake.Server {
	t.Helper()
	server := fake.NewAnthropic(t)
	server.Play(func(r fake.Request) fake.Step {
		if r.Header.Get("X-Api-Key") != initKey {
			return fake.Fault{Status: 401}
		}
		if r.MaxTokens != 1 {
			t.Errorf("asked for %d tokens, want 1", r.MaxTokens)
		}
		return fake.Answer{Text: "o", Stop: "max_tokens"}
	})
	return server
}

func at(home string, names ...string) string {
	return filepath.Join(append([]string{home}, names...)...)
}

func contents(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// untouched fails when init left anything at all.
func untouched(t *testing.T, home string) {
	t.Helper()
	entries, err := os.ReadDir(home)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("%s was made", e.Name())
	}
}

var linkLine = regexp.MustCompile(`https://t\.me/(\w+)\?start=([\w-]+)`)

// code is the pairing code on the screen.
func (d *seat) code() string {
	d.t.Helper()
	d.sees("Waiting for you there")
	links := linkLine.FindAllStringSubmatch(d.shown(), -1)
	if len(links) == 0 {
		d.t.Fatal("no link is on the screen")
	}
	return links[len(links)-1][2]
}

// pairs says yes to the question for a person, as slowly as somebody who reads it.
func (d *seat) pairs(question string) {
	d.t.Helper()
	d.sees(question)
	time.Sleep(hasty) // the question refuses what comes at once
	d.types("y\n")
	d.sees("paired ")
}

// The whole conversation on a fresh machine, with every mistake that a person makes.
func TestInitConversation(t *testing.T) {
	claude, tg := vendor(t), fake.NewTelegram(t, initToken)
	home, folder := t.TempDir(), filepath.Join(t.TempDir(), "new", "notes")
	d := sit(t, home, []string{"ANTHROPIC_BASE_URL=" + claude.URL, "TELEGRAM_API_URL=" + tg.URL()})

	d.answers("Number [2]", "7")
	d.answers("Number [2]", "2")
	d.sees("ANTHROPIC_BASE_URL")
	d.answers("Model [claude-sonnet-5-5]", "")
	d.sees("Key, not shown")
	if d.echoes() {
		t.Error("the terminal shows what is typed for a key")
	}
	d.types("two words\n")
	d.answers("Key, not shown", "")
	d.sees("Claude needs one")
	d.answers("Key, not shown", wrongKey)
	d.sees("does not accept the key", "fix")
	d.answers("[s]kip the model [a]", "x")
	d.answers("[s]kip the model [a]", "a")
	d.answers("Model [claude-sonnet-5-5]", "")
	d.answers("while you type: ", initKey) // without "keep": the wrong key is no default
	d.sees("one token … ok")

	d.answers("Token of the bot, not shown while you type [skip]", badToken)
	d.sees("token (401)")
	d.answers("[s]kip Telegram [a]", "a")
	d.answers("[skip]", initToken)
	d.sees("this is @secureclaw_test_bot (SecureClaw)")
	d.answers("Pair your Telegram account now? [Y/n]", "")
	code := d.code()
	if len(code)*6 < 128 || len(code) > 64 {
		t.Errorf("code of %d characters", len(code))
	}
	shownQR(t, d.shown(), "https://t.me/secureclaw_test_bot?start="+code)

	// Whoever does not know the code, or is not alone with the bot, is not even asked about.
	tg.Say(666, "/start")
	tg.Say(666, "/start "+code[:len(code)-1]+"!")
	tg.Say(666, code)
	tg.SayAs(fake.UserMessage{From: 777, Chat: fake.TelegramChat{ID: -100123, Type: "supergroup", Title: "A group"}, Text: "/start " + code})
	tg.SayAs(fake.UserMessage{From: 778, Text: "/start " + code, Forward: &fake.Forward{Kind: "hidden_user", Name: "x"}})
	// A stranger who saw the code over the shoulder is asked about, and is not let in.
	tg.SayAs(fake.UserMessage{From: 999, FirstName: "Mallory", Text: "/start " + code})
	d.answers("Pair Mallory (id 999)? [Y/n] ", "n")
	tg.SayAs(fake.UserMessage{From: 123, FirstName: "An\u202ena\x1b[31m", Username: "anna_b", Text: "/start " + code})
	d.pairs(`Pair An\u{202e}na\x1b[31m @anna_b (id 123)? [Y/n] `)
	d.sees("paired: 123 (owner)")
	d.answers("Pair another account? [y/N]", "y")
	if second := d.code(); second == code {
		t.Error("the second code is the first")
	} else {
		tg.SayAs(fake.UserMessage{From: 123, FirstName: "Anna", Text: "/start " + second})
	}
	d.sees("Pair Anna @anna_b (id 123)?")
	time.Sleep(hasty)
	d.types("y\n")
	d.sees("was paired already")
	d.answers("Pair another account? [y/N]", "")

	d.answers("Folder ["+home+"/workspace]", "/etc")
	d.sees("error", "belongs to the system")
	d.answers("Folder ["+home+"/workspace]", folder)
	d.answers("May they change files in it, as your rules say? [Y/n]", "n")
	d.answers(folder+" does not exist yet. Make it? [Y/n]", "")
	untouched(t, home)

	d.sees("anthropic/claude-sonnet-5-5, key …WXYZ, checked")
	d.sees("@secureclaw_test_bot, token …1234; paired: 123 (owner)")
	d.sees(folder, "may only read")
	d.answers("Write? [Y/n]", "")
	d.sees("wrote "+home, "next: secureclaw up --chat")
	if code := d.ends(); code != 0 {
		t.Errorf("exit %d", code)
	}
	d.never(initKey, wrongKey, initToken, badToken, initKey[:20], "AAEabc", "Mallory was", "id 666", "id 777", "id 778")

	secrets, err := config.LoadSecrets(at(home, ".env"), nil, config.SecretOptions{})
	if err != nil || secrets.AnthropicAPIKey != initKey || secrets.TelegramBotToken != initToken || !slices.Equal(secrets.AllowedUserIDs, []int64{123}) || secrets.CapabilitySecret == "" {
		t.Errorf(".env: %v, ids %v", err, secrets.AllowedUserIDs)
	}
	if info, err := os.Stat(at(home, ".env")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf(".env: %v, %v", info, err)
	}
	yaml := contents(t, at(home, "config", "secureclaw.yaml"))
	for _, want := range []string{`provider: "anthropic"`, "host: " + folder + " # relative", "mode: ro # the most", `baseURL: "" `, "# Secrets never stand here"} {
		if !strings.Contains(yaml, want) {
			t.Errorf("secureclaw.yaml lacks %q", want)
		}
	}
	if strings.Contains(yaml, claude.URL) {
		t.Error("the environment's address is in the file")
	}
	if _, stderr, code := claw(t, home, "config", "check"); code != 0 {
		t.Errorf("config check: exit %d\n%s", code, stderr)
	}
}

// Enter at every question changes nothing, not even a time stamp.
func TestInitAgain(t *testing.T) {
	claude, tg := vendor(t), fake.NewTelegram(t, initToken)
	home := t.TempDir()
	env := []string{"ANTHROPIC_BASE_URL=" + claude.URL, "TELEGRAM_API_URL=" + tg.URL()}
	if _, stderr, code := clawEnv(t, home, append(env, "ANTHROPIC_API_KEY="+initKey, "TELEGRAM_BOT_TOKEN="+initToken),
		"init", "--non-interactive", "--provider", "anthropic", "--telegram-user", "42", "--telegram-user", "7"); code != 0 {
		t.Fatalf("exit %d\n%s", code, stderr)
	}
	yaml, dotenv := contents(t, at(home, "config", "secureclaw.yaml")), contents(t, at(home, ".env"))
	d := sit(t, home, env)
	d.answers("Number [2]", "")
	d.answers("Model [claude-sonnet-5-5]", "")
	d.answers("[keep …WXYZ]", "")
	d.answers("[keep …1234]", "")
	d.sees("paired: 42 (owner), 7")
	d.answers("Pair another account? [y/N]", "")
	d.answers("Folder ["+home+"/workspace]", "")
	d.answers("[Y/n]", "")
	d.sees("secureclaw.yaml: nothing", ".env: nothing")
	d.answers("Write? [Y/n]", "")
	d.sees("nothing had to change")
	if code := d.ends(); code != 0 {
		t.Errorf("exit %d", code)
	}
	if contents(t, at(home, "config", "secureclaw.yaml")) != yaml || contents(t, at(home, ".env")) != dotenv {
		t.Error("the files changed")
	}
	if backups, _ := filepath.Glob(at(home, "config", "*.bak-*")); len(backups) > 0 {
		t.Errorf("backups: %v", backups)
	}
}

// What a person wrote into the files by hand stays, to the byte.
func TestInitKeepsWhatIsThere(t *testing.T) {
	home := t.TempDir()
	yaml := "# mine\r\nllm: {provider: openai, model: 'llama3', baseURL: http://localhost:1/v1} # local\r\nmounts:\r\n  - {name: docs, host: ./docs, container: /docs, mode: rw} # <- here\r\nexecutors: {shell: {mounts: [docs]}, file: {mounts: [docs]}}\r\nactionTiers: {}\r\n"
	dotenv := "# mine\nexport OPENAI_API_KEY='sk-old-0123456789' # local\n"
	write(t, at(home, "config", "secureclaw.yaml"), yaml)
	write(t, at(home, ".env"), dotenv)
	d := sit(t, home, nil, "--no-check")
	d.answers("Number [3]", "")
	d.answers("Address of the server [http://localhost:1/v1]", "")
	d.answers("Model [llama3]", "llama4")
	d.answers("[keep …6789]", "sk-new-0123456789")
	d.answers("[skip]", "")
	d.answers("Folder ["+home+"/docs]", "")
	d.answers("[Y/n]", "n")
	d.answers(home+"/docs does not exist yet. Make it?", "y")
	d.sees("llm.model, mounts", ".env: OPENAI_API_KEY")
	d.answers("Write? [Y/n]", "y")
	d.sees("kept", "next")
	if code := d.ends(); code != 0 {
		t.Errorf("exit %d", code)
	}
	d.never("sk-new-01", "sk-old-01")
	want := strings.Replace(strings.Replace(yaml, "'llama3'", `"llama4"`, 1), "mode: rw", "mode: ro", 1)
	if got := contents(t, at(home, "config", "secureclaw.yaml")); got != want {
		t.Errorf("secureclaw.yaml = %q, want %q", got, want)
	}
	if got := contents(t, at(home, ".env")); !strings.HasPrefix(got, "# mine\nexport OPENAI_API_KEY=sk-new-0123456789 # local\n# generated") {
		t.Errorf(".env = %q", got)
	}
	backups, _ := filepath.Glob(at(home, "config", "*.bak-*"))
	if len(backups) != 1 || contents(t, backups[0]) != yaml {
		t.Errorf("backups: %v", backups)
	}
}

// Whenever somebody leaves, by Ctrl-C, by closing the terminal, by a no or by dying, nothing is there.
func TestInitLeft(t *testing.T) {
	questions := []struct{ question, answer string }{
		{"Number", "2"}, {"Model", ""}, {"Key, not shown", initKey}, {"Token of the bot", ""}, {"Folder [", ""}, {"as your rules say?", ""}, {"Write?", ""},
	}
	until := func(t *testing.T, n int) (*seat, string) {
		home := t.TempDir()
		d := sit(t, home, nil, "--no-check")
		for _, q := range questions[:n] {
			d.answers(q.question, q.answer)
		}
		d.sees(questions[n].question)
		return d, home
	}
	for n, q := range questions {
		t.Run("Ctrl-C at "+q.question, func(t *testing.T) {
			d, home := until(t, n)
			d.types("\x03")
			d.sees("interrupted; nothing was written")
			if code := d.ends(); code != exitFailed {
				t.Errorf("exit %d, want %d", code, exitFailed)
			}
			untouched(t, home)
		})
	}
	last := len(questions) - 1
	t.Run("Ctrl-D", func(t *testing.T) {
		d, home := until(t, last)
		d.types("\x04")
		d.sees("the terminal was closed; nothing was written")
		if code := d.ends(); code != exitFailed {
			t.Errorf("exit %d", code)
		}
		untouched(t, home)
	})
	t.Run("Ctrl-D at a key", func(t *testing.T) {
		d, home := until(t, 2)
		d.types("\x04")
		d.sees("nothing was written")
		if code := d.ends(); code != exitFailed {
			t.Errorf("exit %d", code)
		}
		untouched(t, home)
	})
	t.Run("a hang-up", func(t *testing.T) {
		d, home := until(t, last)
		_ = d.cmd.Process.Signal(syscall.SIGHUP)
		if code := d.ends(); code != exitFailed {
			t.Errorf("exit %d", code)
		}
		untouched(t, home)
	})
	t.Run("no", func(t *testing.T) {
		d, home := until(t, last)
		d.types("n\n")
		d.sees("nothing was written")
		if code := d.ends(); code != exitRefused {
			t.Errorf("exit %d, want %d", code, exitRefused)
		}
		untouched(t, home)
	})
	t.Run("SIGKILL", func(t *testing.T) {
		d, home := until(t, last)
		_ = d.cmd.Process.Kill()
		<-d.exited
		untouched(t, home)
	})
}

func TestInitSkips(t *testing.T) {
	claude, tg := vendor(t), fake.NewTelegram(t, initToken)
	home := t.TempDir()
	env := []string{"ANTHROPIC_BASE_URL=" + claude.URL, "TELEGRAM_API_URL=" + tg.URL()}
	d := sit(t, home, env)
	d.answers("Number", "2")
	d.answers("Model", "claude-haiku-5-5")
	d.answers("Key, not shown", wrongKey)
	d.answers("[s]kip the model [a]", "s")
	d.answers("[skip]", badToken)
	d.answers("[s]kip Telegram [a]", "s")
	d.answers("Folder [", "")
	d.answers("[Y/n]", "")
	d.sees("rehearsal: rules, no account")
	d.sees("telegram  none")
	d.answers("Write?", "")
	d.sees("next:")
	if code := d.ends(); code != 0 {
		t.Errorf("exit %d", code)
	}
	if env := contents(t, at(home, ".env")); strings.Contains(env, "sk-") || strings.Contains(env, "7000000001") {
		t.Errorf(".env has what was skipped: %q", env)
	}
	if yaml := contents(t, at(home, "config", "secureclaw.yaml")); !strings.Contains(yaml, `provider: ""`) || !strings.Contains(yaml, "model: claude-sonnet-5-5") {
		t.Error("secureclaw.yaml has what was skipped")
	}

	d = sit(t, home, env)
	d.answers("Number [1]", "2")
	d.answers("Model", "")
	d.answers("Key, not shown", wrongKey)
	d.answers("[s]kip the model [a]", "c")
	d.answers("[skip]", badToken)
	d.answers("[s]kip Telegram [a]", "c")
	d.answers("Folder [", "")
	d.answers("[Y/n]", "")
	d.sees("key …klmn, not checked")
	d.sees("not checked, token …ng99; nobody is paired")
	d.answers("Write?", "")
	d.sees("answers nobody until you pair")
	if code := d.ends(); code != 0 {
		t.Errorf("exit %d", code)
	}
	d.never(wrongKey, badToken)
	if env := contents(t, at(home, ".env")); !strings.Contains(env, "ANTHROPIC_API_KEY="+wrongKey) || !strings.Contains(env, badToken) {
		t.Error(".env lacks what was continued with")
	}
}

func TestInitFolders(t *testing.T) {
	home, elsewhere := t.TempDir(), t.TempDir()
	above, err := os.MkdirTemp("", "secureclaw") // all of t.TempDir lies in one folder
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(above) })
	person := at(above, "person")
	write(t, at(person, ".ssh", "id_ed25519"), "x")
	write(t, at(elsewhere, "project", ".aws", "config"), "x")
	write(t, at(elsewhere, "file"), "x")
	d := sit(t, home, []string{"HOME=" + person}, "--no-check")
	d.answers("Number", "1")
	d.answers("Token of the bot", "")
	for _, step := range []struct{ folder, says string }{
		{"/", "belongs to the system"}, {"/proc/self", "belongs to the system"}, {home, "would show the agent"}, {at(elsewhere, "file"), "is not a folder"}, {at(elsewhere, "file", "x"), "not a directory"},
	} {
		d.answers("Folder [", step.folder)
		d.sees(step.says)
	}
	d.answers("Folder [", at(home, "inbox"))
	d.answers("[Y/n]", "y")
	d.sees("which is shared as inbox")
	for _, step := range []struct{ folder, says string }{
		{"~", "your whole home folder"}, {above, "your whole home folder"}, {"~/.ssh", "where programs keep secrets"}, {at(elsewhere, "project"), "holds .aws"},
	} {
		d.answers("Folder [", step.folder)
		d.answers("[Y/n]", "")
		d.sees("warning", step.says)
		d.answers("Share it all the same? [y/N]", "")
	}
	d.answers("Folder [", "here") // as a shell would take it
	d.answers("[Y/n]", "")
	d.answers("/here does not exist yet. Make it? [Y/n]", "")
	d.answers("Write?", "")
	d.sees("next:")
	if code := d.ends(); code != 0 {
		t.Errorf("exit %d", code)
	}
	if info, err := os.Stat(at(d.cmd.Dir, "here")); err != nil || !info.IsDir() || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v, %v", info, err)
	}
	if yaml := contents(t, at(home, "config", "secureclaw.yaml")); !strings.Contains(yaml, fmt.Sprintf("host: %s # relative", at(d.cmd.Dir, "here"))) {
		t.Error("the folder is not in the file")
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// clawEnv is claw with more variables.
func clawEnv(t *testing.T, home string, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return runClaw(t, append([]string{"SECURECLAW_UNDER_TEST=main", "SECURECLAW_HOME=" + home, "PATH=" + os.Getenv("PATH"), "HOME=" + home}, env...), args...)
}
