package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/internal/config"
)

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestHome(t *testing.T) {
	for name, tc := range map[string]struct {
		flag string
		env  func(string) string
		want config.Dirs
	}{
		"one folder":   {"/srv/claw", env("HOME", "/home/ada"), config.Dirs{Home: "/srv/claw", Config: "/srv/claw/config/secureclaw.yaml", Env: "/srv/claw/.env", State: "/srv/claw/state", Runtime: "/srv/claw/run"}},
		"by variable":  {"", env("SECURECLAW_HOME", "/srv/claw"), config.Dirs{Home: "/srv/claw", Config: "/srv/claw/config/secureclaw.yaml", Env: "/srv/claw/.env", State: "/srv/claw/state", Runtime: "/srv/claw/run"}},
		"XDG defaults": {"", env("HOME", "/home/ada", "XDG_CONFIG_HOME", "relative"), config.Dirs{Home: "/home/ada/.local/share/secureclaw", Config: "/home/ada/.config/secureclaw/secureclaw.yaml", Env: "/home/ada/.config/secureclaw/.env", State: "/home/ada/.local/state/secureclaw", Runtime: "/home/ada/.local/state/secureclaw/run"}},
		"XDG set":      {"", env("XDG_CONFIG_HOME", "/c", "XDG_STATE_HOME", "/s", "XDG_DATA_HOME", "/d", "XDG_RUNTIME_DIR", "/run/user/7"), config.Dirs{Home: "/d/secureclaw", Config: "/c/secureclaw/secureclaw.yaml", Env: "/c/secureclaw/.env", State: "/s/secureclaw", Runtime: "/run/user/7/secureclaw"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := config.Home(tc.flag, tc.env)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("Home(%q), -want +got:\n%s", tc.flag, diff)
			}
		})
	}
	if got, err := config.Home("", env()); err == nil {
		t.Errorf("Home without any variable = %+v, want an error", got)
	}
}

func TestSocketsFitIntoAnAddress(t *testing.T) {
	long := "/srv/" + strings.Repeat("deep/", 30)
	a, _ := config.Home(long, env())
	b, _ := config.Home(long, env())
	c, _ := config.Home(long+"x", env())
	d, _ := config.Home(long, env("XDG_RUNTIME_DIR", "/run/user/7"))
	if a != b || a.Runtime == c.Runtime {
		t.Errorf("runtime folders %q, %q, %q: want one for each home, always the same", a.Runtime, b.Runtime, c.Runtime)
	}
	for _, dirs := range []config.Dirs{a, c, d} {
		if n := len(filepath.Join(dirs.Runtime, "a-name-of-twenty-six-.sock")); n > 107 {
			t.Errorf("socket path below %q has %d bytes, most is 107", dirs.Runtime, n)
		}
	}
	if !strings.HasPrefix(d.Runtime, "/run/user/7/secureclaw-") {
		t.Errorf("runtime %q, want it below XDG_RUNTIME_DIR", d.Runtime)
	}
}

func prepared(t *testing.T) config.Dirs {
	t.Helper()
	dirs, err := config.Home(t.TempDir(), env("XDG_RUNTIME_DIR", t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	if err := dirs.Prepare(); err != nil {
		t.Fatal(err)
	}
	return dirs
}

func TestPrepare(t *testing.T) {
	dirs := prepared(t)
	for _, dir := range []string{dirs.State, dirs.Runtime} {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v; want mode 0700", dir, info, err)
		}
	}
	cfg, warnings, err := config.Load(dirs.Config, config.LoadOptions{Dirs: dirs})
	if err != nil || len(cfg.Mounts) != 2 || cfg.Mounts[0].Host != filepath.Join(dirs.Home, "workspace") || cfg.Mounts[1].Host != filepath.Join(dirs.Home, "inbox") {
		t.Fatalf("Load after Prepare = %+v, %v", cfg, err)
	}
	// Tools are another user, who must be able to read the inbox and must not be able to write it.
	if info, err := os.Stat(filepath.Join(dirs.Home, "inbox")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("inbox: %v, %v; want mode 0755", info, err)
	}
	if os.Geteuid() == 0 && len(warnings) > 0 {
		t.Errorf("Load after Prepare warns: %v", warnings)
	}
	if err := os.WriteFile(dirs.Config, []byte("llm: {iterations: 3}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := dirs.Prepare(); err != nil {
		t.Fatal(err)
	}
	if cfg, _, err := config.Load(dirs.Config, config.LoadOptions{Dirs: dirs}); err != nil || cfg.LLM.Iterations != 3 {
		t.Errorf("a second Prepare changed the user's file: %v", err)
	}
	if err := os.Chmod(dirs.Runtime, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := dirs.Prepare(); err == nil || !strings.Contains(err.Error(), "chmod 700") {
		t.Errorf("Prepare with an open runtime folder = %v, want a refusal with chmod 700", err)
	}
	if err := os.Remove(dirs.Runtime); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(t.TempDir(), dirs.Runtime); err != nil {
		t.Fatal(err)
	}
	if err := dirs.Prepare(); err == nil {
		t.Error("Prepare takes a link for the runtime folder")
	}
}

// No mount may show an agent what governs it, whether named, above it, below it or through a link.
func TestMountsNeverShowOurOwnFiles(t *testing.T) {
	dirs := prepared(t)
	link := filepath.Join(t.TempDir(), "innocent")
	if err := os.Symlink(dirs.State, link); err != nil {
		t.Fatal(err)
	}
	toRun := filepath.Join(t.TempDir(), "run")
	if err := os.Symlink("/run", toRun); err != nil {
		t.Fatal(err)
	}
	for name, host := range map[string]string{
		"the home":                dirs.Home,
		"a folder above":          filepath.Dir(dirs.Home),
		"the configuration":       "./config",
		"the state":               "state",
		"below the state":         "state/audit",
		"the sockets":             dirs.Runtime,
		"through a link":          link,
		"the system by a link":    toRun,
		"dots that climb":         "./workspace/..",
		"everything":              "/",
		"Docker's socket":         "/var/run/docker.sock",
		"the secrets, as a mount": ".env",
	} {
		t.Run(name, func(t *testing.T) {
			text := "mounts: [{name: workspace, host: '" + host + "', container: /w}]\n"
			if err := os.WriteFile(dirs.Config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			cfg, _, err := config.Load(dirs.Config, config.LoadOptions{Dirs: dirs})
			if _, ok := errors.AsType[config.Errors](err); !ok {
				t.Errorf("Load with a mount of %s = %+v, %v; want Errors", host, cfg, err)
			}
		})
	}
}

func TestLoadRefusesAFileThatOthersCanChange(t *testing.T) {
	dirs := prepared(t)
	if err := os.Chmod(dirs.Config, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, _, err := config.Load(dirs.Config, config.LoadOptions{Dirs: dirs}); err == nil || !strings.Contains(err.Error(), "chmod go-w") {
		t.Errorf("Load = %v, want a refusal with chmod", err)
	}
}

func TestHostPaths(t *testing.T) {
	dirs := prepared(t)
	text := "mounts: [{name: workspace, host: ~/notes, container: /n}, {name: b, host: sub/b, container: /b}]\n"
	if err := os.WriteFile(dirs.Config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, _, err := config.Load(dirs.Config, config.LoadOptions{Dirs: dirs, Env: env("HOME", "/home/ada")})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := []string{cfg.Mounts[0].Host, cfg.Mounts[1].Host}, []string{"/home/ada/notes", filepath.Join(dirs.Home, "sub/b")}; !cmp.Equal(got, want) {
		t.Errorf("hosts = %q, want %q", got, want)
	}
}

func TestEnvironmentSetsTheBaseURL(t *testing.T) {
	dirs := prepared(t)
	cfg, _, err := config.Load(dirs.Config, config.LoadOptions{Dirs: dirs, Env: env("ANTHROPIC_BASE_URL", "http://127.0.0.1:8080")})
	if err != nil || cfg.LLM.BaseURL != "http://127.0.0.1:8080" {
		t.Fatalf("Load = %+v, %v; want the URL of the environment", cfg, err)
	}
	if s, err := cfg.Explain("llm.baseURL"); err != nil || s.From != "environment ANTHROPIC_BASE_URL" {
		t.Errorf("Explain(llm.baseURL) = %+v, %v", s, err)
	}
	if _, _, err := config.Load(dirs.Config, config.LoadOptions{Dirs: dirs, Env: env("ANTHROPIC_BASE_URL", "nonsense")}); err == nil {
		t.Error("Load takes nonsense for a URL")
	}
}

func TestExplain(t *testing.T) {
	cfg, _ := parse(t, "llm:\n  model: claude-opus-5-5\n")
	for _, tc := range []struct {
		key  string
		want config.Setting
	}{
		{"llm.model", config.Setting{Value: "claude-opus-5-5", From: "secureclaw.yaml:2", Default: "claude-sonnet-5-5"}},
		{"llm.iterations", config.Setting{Value: 10, From: "built-in default", Default: "10", Allowed: "1 to 10"}},
		{"mounts[0].mode", config.Setting{Value: "rw", From: "built-in default:28", Default: "ro", Allowed: "ro, rw"}},
		{"executors.file.memory", config.Setting{Value: config.Bytes(256 << 20), From: "built-in default:65", Default: "256MiB", Allowed: "16MiB to 64GiB"}},
		{"executors.web.memory", config.Setting{Value: config.Bytes(1 << 30), From: "built-in default:79", Default: "1GiB", Allowed: "16MiB to 64GiB"}},
	} {
		got, err := cfg.Explain(tc.key)
		if err != nil || got.Value != tc.want.Value || got.From != tc.want.From || got.Default != tc.want.Default || tc.want.Allowed != "" && got.Allowed != tc.want.Allowed || got.Meaning == "" {
			t.Errorf("Explain(%s) = %+v, %v; want %+v", tc.key, got, err, tc.want)
		}
	}
	for key, want := range map[string]string{
		"llm.modle":      `did you mean "model"`,
		"executor.shell": `did you mean "executors"`,
		"mounts.host":    "mounts[0]",
		"mounts[7].host": "has 2 items",
		"llm.model.x":    "no keys below",
		"executors.shel": `did you mean "shell"`,
	} {
		if _, err := cfg.Explain(key); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Explain(%s) = %v, want an error with %s", key, err, want)
		}
	}
	for _, s := range cfg.Settings() {
		if got, err := cfg.Explain(s.Key); err != nil || got.From != s.From {
			t.Errorf("Explain(%s) = %+v, %v; Settings has %+v", s.Key, got, err, s)
		}
	}
}
