package config_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	defaults "github.com/secureclaw/secureclaw/config"
	"github.com/secureclaw/secureclaw/internal/config"
)

func at() time.Time { return time.Date(2026, 11, 23, 1, 30, 0, 0, time.UTC) }

// change is what a user would choose.
func change() config.Write {
	return config.Write{
		Text: []config.KeyText{{Key: "llm.provider", Value: "anthropic"}, {Key: "llm.model", Value: "claude-haiku-5-5"}},
		Env:  []config.EnvValue{{Name: config.EnvAnthropicKey, Value: "sk-ant-0123456789"}},
		Now:  at,
	}
}

func homeDirs(t *testing.T, home string) config.Dirs {
	t.Helper()
	dirs, err := config.Home(home, env())
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

// names lists all files below a folder.
func names(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	if err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			out = append(out, rel)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func slurp(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestWriteFromNothing(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	dirs, w := homeDirs(t, home), change()
	bad := change()
	bad.Text[0].Value = "claude"
	if _, err := dirs.Write(bad); err == nil {
		t.Fatal("an unknown provider is accepted")
	} else if _, err := os.Stat(home); err == nil {
		t.Error("the home of a set-up that failed stays")
	}
	w.MakeFolder = filepath.Join(home, "deep", "er")
	w.Share = &config.Share{Index: 0, Host: w.MakeFolder, Container: "/workspace", Mode: "ro"}
	got, err := dirs.Write(w)
	if err != nil || got != (config.Written{Config: dirs.Config, Env: dirs.Env}) {
		t.Fatalf("Write = %+v, %v", got, err)
	}
	if files := names(t, home); !slices.Equal(files, []string{".env", "config/secureclaw.schema.json", "config/secureclaw.yaml"}) {
		t.Errorf("files: %v", files)
	}
	for path, want := range map[string]os.FileMode{dirs.Env: 0o600, dirs.Config: 0o600, filepath.Dir(dirs.Config): 0o700, w.MakeFolder: 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want mode %04o", path, info, err, want)
		}
	}
	cfg, warnings, err := config.Load(dirs.Config, config.LoadOptions{Dirs: dirs})
	if err != nil || cfg.LLM.Provider != "anthropic" || cfg.LLM.Model != "claude-haiku-5-5" || cfg.Mounts[0].Host != w.MakeFolder || cfg.Mounts[0].Mode != "ro" {
		t.Errorf("Load = %+v, %v, %v", cfg, warnings, err)
	}
	secrets, err := config.LoadSecrets(dirs.Env, nil, config.SecretOptions{})
	if err != nil || secrets.AnthropicAPIKey != "sk-ant-0123456789" || secrets.CapabilitySecret == "" || secrets.OAuthKey == "" {
		t.Errorf("LoadSecrets = %v; want the key and the generated ones", err)
	}
	again, err := dirs.Write(w)
	if err != nil || again != (config.Written{}) {
		t.Errorf("Write again = %+v, %v; want nothing done", again, err)
	}
}

func TestWriteKeepsTheRest(t *testing.T) {
	home := t.TempDir()
	dirs := homeDirs(t, home)
	mine := strings.Replace(string(defaults.YAML), "maxTokens: 8192", "maxTokens:   4096 # mine", 1) + "# the end"
	put(t, dirs.Config, mine, 0o644)
	put(t, dirs.Env, "# mine\nexport OPENAI_API_KEY='x y' # broken on purpose? no\n", 0o600)
	if _, err := dirs.Write(change()); err == nil {
		t.Fatal("a key with a space is accepted")
	}
	put(t, dirs.Env, "# mine\nexport OPENAI_API_KEY='xy' # mine too\n", 0o600)
	got, err := dirs.Write(change())
	backup := dirs.Config + ".bak-20261123-013000"
	if err != nil || got.Backup != backup || slurp(t, backup) != mine {
		t.Fatalf("Write = %+v, %v", got, err)
	}
	want := strings.Replace(strings.Replace(mine, `provider: ""`, `provider: "anthropic"`, 1), "claude-sonnet-5-5", "claude-haiku-5-5", 1)
	if now := slurp(t, dirs.Config); now != want {
		t.Errorf("secureclaw.yaml changed elsewhere:\n%s", now)
	}
	if now := slurp(t, dirs.Env); !strings.HasPrefix(now, "# mine\nexport OPENAI_API_KEY='xy' # mine too\nANTHROPIC_API_KEY=sk-ant-0123456789\n# generated") {
		t.Errorf(".env is now %q", now)
	}
	if info, _ := os.Stat(dirs.Config); info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, want it kept", info.Mode())
	}
	// In the same second: another backup, not the same.
	w := change()
	w.Text[1].Value = "claude-opus-5-5"
	if got, err = dirs.Write(w); err != nil || got.Backup != backup+"-2" || got.Env != "" || slurp(t, backup) != mine {
		t.Errorf("Write in the same second = %+v, %v", got, err)
	}
}

func TestWriteFollowsALink(t *testing.T) {
	home, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "dotfiles.yaml")
	dirs := homeDirs(t, home)
	put(t, elsewhere, "llm: {model: claude-sonnet-5-5} # mine\n", 0o600)
	if err := os.MkdirAll(filepath.Dir(dirs.Config), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, dirs.Config); err != nil {
		t.Fatal(err)
	}
	if _, err := dirs.Write(change()); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(dirs.Config); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v, %v", info, err)
	}
	if now := slurp(t, elsewhere); now != "llm: {provider: anthropic, model: claude-haiku-5-5} # mine\n" {
		t.Errorf("the file is %q", now)
	}
}

// Whatever is wrong, nothing changes: no file, no backup, no draft, no folder.
func TestWriteOfNothing(t *testing.T) {
	const yaml, dotenv = "llm: {model: a} # mine\n", "# mine\n"
	for name, spoil := range map[string]func(t *testing.T, d config.Dirs, w *config.Write){
		"an invalid value": func(_ *testing.T, _ config.Dirs, w *config.Write) { w.Text[0].Value = "claude" },
		"an unknown key":   func(_ *testing.T, _ config.Dirs, w *config.Write) { w.Text[0].Key = "llm.modle" },
		"an invalid key":   func(_ *testing.T, _ config.Dirs, w *config.Write) { w.Env[0].Value = "a b" },
		"a weak own key":   func(_ *testing.T, _ config.Dirs, w *config.Write) { w.Environ = []string{"CAPABILITY_SECRET=x"} },
		"the rules disagree": func(_ *testing.T, _ config.Dirs, w *config.Write) {
			w.Check = func(string, *config.Config) error { return errors.New("no") }
		},
		"a folder in the way": func(_ *testing.T, d config.Dirs, w *config.Write) {
			w.MakeFolder = filepath.Join(d.Env, "below", "a-file")
		},
		"its own state": func(_ *testing.T, d config.Dirs, w *config.Write) {
			w.Share = &config.Share{Index: 0, Host: d.Home, Container: "/workspace", Mode: "rw"}
		},
		"an .env that others read": func(t *testing.T, d config.Dirs, _ *config.Write) { put(t, d.Env, dotenv, 0o644) },
		"no room for the configuration": func(t *testing.T, d config.Dirs, _ *config.Write) {
			if err := os.MkdirAll(filepath.Join(filepath.Dir(d.Config), ".secureclaw.yaml.draft", "x"), 0o700); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			dirs, w := homeDirs(t, home), change()
			put(t, dirs.Config, yaml, 0o600)
			put(t, dirs.Env, dotenv, 0o600)
			w.MakeFolder = filepath.Join(home, "new", "er")
			spoil(t, dirs, &w)
			before := names(t, home)
			got, err := dirs.Write(w)
			if err == nil || got != (config.Written{}) {
				t.Errorf("Write = %+v, %v; want an error", got, err)
			}
			if _, ok := errors.AsType[config.Errors](err); ok && strings.Contains(err.Error(), ".draft") {
				t.Errorf("the error names a file that the user does not know: %v", err)
			}
			if slurp(t, dirs.Config) != yaml || slurp(t, dirs.Env) != dotenv || !slices.Equal(names(t, home), before) {
				t.Errorf("files %v, want %v; yaml %q, env %q", names(t, home), before, slurp(t, dirs.Config), slurp(t, dirs.Env))
			}
			if _, err := os.Stat(filepath.Join(home, "new")); err == nil {
				t.Error("the folder stays")
			}
		})
	}
}

// The second of the two replacements fails: the first is taken back.
func TestWriteTakesBack(t *testing.T) {
	home := t.TempDir()
	dirs, w := homeDirs(t, home), change()
	put(t, dirs.Config, "llm: {model: a}\n", 0o600)
	put(t, dirs.Env, "# mine\n", 0o600)
	w.Step = func(name string) {
		if name == "write.env" { // somebody removes the draft at the worst moment
			if !strings.Contains(slurp(t, dirs.Env), "sk-ant") {
				t.Error(".env is not replaced yet, so this tests nothing")
			}
			_ = os.Remove(filepath.Join(filepath.Dir(dirs.Config), ".secureclaw.yaml.draft"))
		}
	}
	if _, err := dirs.Write(w); err == nil {
		t.Error("Write without its draft succeeds")
	}
	if files := names(t, home); slurp(t, dirs.Env) != "# mine\n" || slurp(t, dirs.Config) != "llm: {model: a}\n" || len(files) != 2 {
		t.Errorf("left: %v, .env %q", files, slurp(t, dirs.Env))
	}
}

// A death at any step leaves each file old or new, whole, and valid; the next Write finishes and cleans up.
func TestWriteDies(t *testing.T) {
	if home := os.Getenv("WRITE_DIES_HOME"); home != "" {
		w := change()
		w.Step = func(name string) {
			if name == os.Getenv("WRITE_DIES_AT") {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		}
		_, err := homeDirs(t, home).Write(w)
		fmt.Println("survived:", err)
		os.Exit(3)
	}
	const yaml, dotenv = "llm: {model: claude-opus-5-5} # mine\n", "# mine\n"
	for step, want := range map[string][2]bool{ // is .env new, is the configuration
		"write.drafted": {false, false}, "write.kept": {false, false}, "write.env": {true, false}, "write.config": {true, true},
	} {
		t.Run(step, func(t *testing.T) {
			home := t.TempDir()
			dirs := homeDirs(t, home)
			put(t, dirs.Config, yaml, 0o600)
			put(t, dirs.Env, dotenv, 0o600)
			cmd := exec.Command(os.Args[0], "-test.run=^TestWriteDies$")
			cmd.Env = append(os.Environ(), "WRITE_DIES_HOME="+home, "WRITE_DIES_AT="+step)
			out, err := cmd.CombinedOutput()
			if e, ok := errors.AsType[*exec.ExitError](err); !ok || e.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("it did not die: %v\n%s", err, out)
			}
			newEnv, newConfig := slurp(t, dirs.Env) != dotenv, slurp(t, dirs.Config) != yaml
			if newEnv != want[0] || newConfig != want[1] {
				t.Errorf(".env new %t, configuration new %t, want %v", newEnv, newConfig, want)
			}
			if _, _, err := config.Load(dirs.Config, config.LoadOptions{Dirs: dirs}); err != nil {
				t.Errorf("Load: %v", err)
			}
			if _, err := config.LoadSecrets(dirs.Env, nil, config.SecretOptions{}); err != nil {
				t.Errorf("LoadSecrets: %v", err)
			}
			if _, err := dirs.Write(change()); err != nil {
				t.Errorf("Write afterwards: %v", err)
			}
			for _, name := range names(t, home) {
				if strings.HasSuffix(name, ".draft") {
					t.Errorf("%s is left", name)
				}
			}
			if !strings.Contains(slurp(t, dirs.Config), "claude-haiku-5-5") || !strings.Contains(slurp(t, dirs.Env), "sk-ant-0123456789") {
				t.Error("Write afterwards did not finish")
			}
		})
	}
}

func put(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}
