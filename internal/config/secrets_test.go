package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
	"pgregory.net/rapid"

	"github.com/secureclaw/secureclaw/internal/config"
)

func writeEnv(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), ".env")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadSecrets(t *testing.T) {
	path := writeEnv(t, "# mine\n\nexport ANTHROPIC_API_KEY=sk-1 # note\nOPENAI_API_KEY='a$b'\r\nTELEGRAM_BOT_TOKEN=\"1:\\\"x\"\nTELEGRAM_ALLOWED_USERS=12, 34,12\n", 0o600)
	got, err := config.LoadSecrets(path, []string{"ANTHROPIC_API_KEY=sk-2", "OPENAI_API_KEY=", "HOME=/x"}, config.SecretOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := config.Secrets{AnthropicAPIKey: "sk-2", OpenAIAPIKey: "a$b", TelegramBotToken: `1:"x`, AllowedUserIDs: []int64{12, 34}}
	if diff := cmp.Diff(want.Known(), got.Known()); diff != "" {
		t.Errorf("LoadSecrets, -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(want.AllowedUserIDs, got.AllowedUserIDs); diff != "" {
		t.Errorf("user ids, -want +got:\n%s", diff)
	}
}

func TestBadEnv(t *testing.T) {
	const canary = "canary-4f1c9d27aa"
	text := strings.Join([]string{
		"ANTHROPIC_KEY=" + canary,
		"TELEGRAM_BOT_TOKEN=" + canary,
		"TELEGRAM_BOT_TOKEN=" + canary,
		canary,
		"OAUTH_KEY=short" + canary[:4],
		"OPENAI_API_KEY='" + canary,
		"TELEGRAM_ALLOWED_USERS=@ada",
		"CAPABILITY_SECRET = x",
		"NOTHING_LIKE_IT=" + canary,
	}, "\n")
	path := writeEnv(t, text, 0o600)
	_, err := config.LoadSecrets(path, nil, config.SecretOptions{Generate: true})
	problems, ok := errors.AsType[config.Errors](err)
	if !ok {
		t.Fatalf("LoadSecrets = %v, want Errors", err)
	}
	got := ""
	for _, p := range problems {
		got += fmt.Sprintf("%d:%d %s\n", p.Line, p.Column, p.Message)
	}
	want := `1:1 unknown name "ANTHROPIC_KEY"; did you mean "ANTHROPIC_API_KEY"?
3:1 TELEGRAM_BOT_TOKEN stands twice, in lines 2 and 3; keep one
4:1 want NAME=VALUE
5:1 OAUTH_KEY: too weak: want at least 32 random bytes, as base64; delete the line and a good one is generated, or run: openssl rand -base64 32
6:16 OPENAI_API_KEY: the closing quote is missing
7:1 TELEGRAM_ALLOWED_USERS: "@ada" is no user id; Telegram ids are whole numbers above 0 (a name can be taken over, a number cannot)
8:1 no space may stand before =
9:1 unknown name "NOTHING_LIKE_IT"; known here: TELEGRAM_BOT_TOKEN, TELEGRAM_ALLOWED_USERS, TELEGRAM_API_URL, ANTHROPIC_API_KEY, OPENAI_API_KEY, CAPABILITY_SECRET, OAUTH_KEY
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors, -want +got:\n%s", diff)
	}
	if strings.Contains(err.Error(), canary) {
		t.Errorf("an error repeats a value: %v", err)
	}
	if data, _ := os.ReadFile(path); string(data) != text {
		t.Errorf("a file with errors was changed to %q", data)
	}
}

func TestWeakSecretsAreRefused(t *testing.T) {
	for name, line := range map[string]string{
		"short":              "CAPABILITY_SECRET=abc",
		"31 bytes":           "CAPABILITY_SECRET=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==",
		"one letter":         "CAPABILITY_SECRET=" + strings.Repeat("a", 44),
		"the same key twice": "CAPABILITY_SECRET=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\nOAUTH_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
	} {
		if _, err := config.LoadSecrets(writeEnv(t, line, 0o600), nil, config.SecretOptions{}); err == nil {
			t.Errorf("%s: LoadSecrets accepts it", name)
		}
	}
}

// A .env of the first release has the list of users under another name.
func TestOldNameOfTheUserList(t *testing.T) {
	for name, tc := range map[string]struct {
		text    string
		environ []string
		want    []int64 // nil: an error
	}{
		"old":                      {"ALLOWED_USER_IDS=7, 8", nil, []int64{7, 8}},
		"old and empty":            {"ALLOWED_USER_IDS=", nil, []int64{}},
		"both":                     {"ALLOWED_USER_IDS=7\nTELEGRAM_ALLOWED_USERS=8", nil, nil},
		"old in the environment":   {"TELEGRAM_ALLOWED_USERS=7", []string{"ALLOWED_USER_IDS=9"}, []int64{9}},
		"both in the environment":  {"", []string{"TELEGRAM_ALLOWED_USERS=7", "ALLOWED_USER_IDS=9"}, []int64{7}},
		"both, in the other order": {"", []string{"ALLOWED_USER_IDS=9", "TELEGRAM_ALLOWED_USERS=7"}, []int64{7}},
	} {
		got, err := config.LoadSecrets(writeEnv(t, tc.text, 0o600), tc.environ, config.SecretOptions{})
		if tc.want == nil {
			if err == nil || !strings.Contains(err.Error(), "stands twice") {
				t.Errorf("%s: %v, want it refused", name, err)
			}
		} else if err != nil || !slices.Equal(got.AllowedUserIDs, tc.want) {
			t.Errorf("%s: %v, %v; want %v", name, got.AllowedUserIDs, err, tc.want)
		}
	}
}

func TestTelegramAPIURL(t *testing.T) {
	for value, want := range map[string]string{
		"":                               "",
		"http://localhost:8081":          "http://localhost:8081",
		"https://bots.example.org/tg/":   "https://bots.example.org/tg",
		"bots.example.org":               "!want a URL",
		"ftp://bots.example.org":         "!want a URL",
		"file:///etc/passwd":             "!want a URL",
		"https://a:b@bots.example.org":   "!no password",
		"https://bots.example.org/?x=$1": "!space, a quote",
		"'https://bots.example.org/?x'":  "!without ?",
	} {
		got, err := config.LoadSecrets(writeEnv(t, "TELEGRAM_API_URL="+value, 0o600), nil, config.SecretOptions{})
		why, bad := strings.CutPrefix(want, "!")
		if bad != (err != nil) || bad && !strings.Contains(err.Error(), why) || !bad && got.TelegramAPIURL != want {
			t.Errorf("TELEGRAM_API_URL=%s: %q, %v; want %s", value, got.TelegramAPIURL, err, want)
		}
		if setting, ok := got.Explain("TELEGRAM_API_URL"); !ok || setting.Value != got.TelegramAPIURL {
			t.Errorf("Explain(TELEGRAM_API_URL) = %+v, %t", setting, ok)
		}
	}
}

func TestEnvFileMustBePrivate(t *testing.T) {
	for _, mode := range []os.FileMode{0o644, 0o640, 0o604, 0o620, 0o660} {
		path := writeEnv(t, "", mode)
		_, err := config.LoadSecrets(path, nil, config.SecretOptions{})
		if err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("mode %04o: LoadSecrets = %v, want a refusal with chmod 600", mode, err)
		}
	}
	path := writeEnv(t, "", 0o600)
	link := filepath.Join(t.TempDir(), ".env")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if _, err := config.LoadSecrets(link, nil, config.SecretOptions{}); err == nil {
		t.Error("LoadSecrets follows a link")
	}
}

func TestSecretsAreGeneratedOnce(t *testing.T) {
	const mine = "# my own line\nANTHROPIC_API_KEY=sk-ant-mine\nOAUTH_KEY=\n# no line feed at the end"
	path := writeEnv(t, mine, 0o600)
	opts := config.SecretOptions{Generate: true}
	var wg sync.WaitGroup
	found := make([]config.Secrets, 4)
	for i := range found {
		wg.Go(func() {
			var err error
			if found[i], err = config.LoadSecrets(path, nil, opts); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	again, err := config.LoadSecrets(path, nil, config.SecretOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range found {
		if diff := cmp.Diff(again.Known(), s.Known()); diff != "" {
			t.Errorf("first run %d has other secrets than the file:\n%s", i, diff)
		}
	}
	if len(again.Known()) != 3 {
		t.Errorf("%d secrets, want the user's and two generated", len(again.Known()))
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := "# my own line\nANTHROPIC_API_KEY=sk-ant-mine\n# no line feed at the end\n"; !strings.HasPrefix(string(data), want) {
		t.Errorf("the file starts %q, want the user's lines %q", data, want)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	if names, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(names) != 1 {
		t.Errorf("left behind: %q", names)
	}
}

func TestPartitionGivesEachItsOwn(t *testing.T) {
	s := config.Secrets{TelegramBotToken: "t", AllowedUserIDs: []int64{1, 2}, TelegramAPIURL: "http://localhost:1", AnthropicAPIKey: "a", CapabilitySecret: "c==", OAuthKey: "o="}
	got := s.Partition("pub=")
	s.TelegramBotToken = ""
	without := s.Partition("pub=")
	s.TelegramBotToken, s.AllowedUserIDs, s.TelegramAPIURL = "t", nil, ""
	nobody := s.Partition("pub=")
	for _, tc := range []struct {
		process   string
		got, want []string
	}{
		{"gateway", got.Gateway, []string{"ANTHROPIC_API_KEY=a", "CAPABILITY_SECRET=c==", "OAUTH_KEY=o=", "TELEGRAM_ALLOWED_USERS=1,2"}},
		{"runner", got.Runner, []string{"CAPABILITY_PUBLIC_KEY=pub="}},
		{"bridge", got.Bridge, []string{"TELEGRAM_BOT_TOKEN=t", "TELEGRAM_ALLOWED_USERS=1,2", "TELEGRAM_API_URL=http://localhost:1"}},
		{"gateway without a bot", without.Gateway, []string{"ANTHROPIC_API_KEY=a", "CAPABILITY_SECRET=c==", "OAUTH_KEY=o="}},
		{"gateway of a bot for nobody", nobody.Gateway, []string{"ANTHROPIC_API_KEY=a", "CAPABILITY_SECRET=c==", "OAUTH_KEY=o="}},
		{"bridge for nobody", nobody.Bridge, []string{"TELEGRAM_BOT_TOKEN=t"}},
	} {
		if diff := cmp.Diff(tc.want, tc.got); diff != "" {
			t.Errorf("%s, -want +got:\n%s", tc.process, diff)
		}
	}
}

// However a secret is printed, alone or inside something, nothing of it but a short hint comes out.
func TestSecretsAreNeverPrinted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[A-Za-z0-9_:/+-]{17,64}`).Draw(t, "secret")
		s := config.Secrets{TelegramBotToken: config.Secret(text), AnthropicAPIKey: config.Secret(text), OpenAIAPIKey: config.Secret(text), CapabilitySecret: config.Secret(text), OAuthKey: config.Secret(text)}
		one := config.Secret(text)
		partition := s.Partition("pub")
		var out bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10s", "%T%v"} {
			for _, v := range []any{one, &one, s, &s, []config.Secret{one}, map[string]config.Secret{"k": one}, map[config.Secret]int{one: 1}, struct{ S config.Secret }{one}, partition, &partition} {
				fmt.Fprintf(&out, verb+"\n", v)
			}
		}
		fmt.Fprintln(&out, one, s, errors.New("x"), fmt.Errorf("key %s", one))
		for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(h).Info("x", "one", one, "all", s, "list", []config.Secret{one}, "partition", partition)
		}
		for _, v := range []any{one, s, partition, map[string]any{"k": one}} {
			if err := json.NewEncoder(&out).Encode(v); err != nil {
				t.Fatal(err)
			}
			data, err := yaml.Dump(v)
			if err != nil {
				t.Fatal(err)
			}
			out.Write(data)
		}
		setting, _ := s.Explain("OAUTH_KEY")
		fmt.Fprintln(&out, setting, one.Hint())
		printed := out.String()
		for _, part := range []string{text, text[:8], text[len(text)-8:], fmt.Sprintf("%x", text), fmt.Sprintf("%X", text)} {
			if strings.Contains(printed, part) {
				at := strings.Index(printed, part)
				t.Fatalf("%q was printed: …%s…", part, printed[max(0, at-60):at+20])
			}
		}
	})
}

func FuzzEnv(f *testing.F) {
	f.Add([]byte("ANTHROPIC_API_KEY='a b'\n"))
	f.Add([]byte("OAUTH_KEY=\"\\n\"\nOAUTH_KEY="))
	f.Add([]byte("export TELEGRAM_ALLOWED_USERS=1,2 # x"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(dir, ".env")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		first, err := config.LoadSecrets(path, nil, config.SecretOptions{Generate: true})
		if err != nil {
			return
		}
		again, err := config.LoadSecrets(path, nil, config.SecretOptions{})
		if err != nil || !cmp.Equal(first.Known(), again.Known()) || !cmp.Equal(first.AllowedUserIDs, again.AllowedUserIDs) {
			t.Fatalf("%q reads another way after the first run: %v", data, err)
		}
	})
}
