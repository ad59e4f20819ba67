package config_test

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	validator "github.com/google/jsonschema-go/jsonschema"
	"go.yaml.in/yaml/v4"

	defaults "github.com/secureclaw/secureclaw/config"
	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/domain"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Each file of testdata/bad holds many errors; its golden file is what a user reads.
func TestEveryErrorAtOnce(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bad files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			cfg, warnings, err := config.Parse(filepath.Base(file), data, "/home/ada")
			problems, ok := errors.AsType[config.Errors](err)
			if !ok || len(problems) == 0 || cfg != nil {
				t.Fatalf("Parse(%s) = %v, %v; want no configuration and Errors", file, cfg, err)
			}
			got := problems.Error() + "\n"
			for _, w := range warnings {
				got += "warning: " + w.String() + "\n"
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("Parse(%s), -want +got:\n%s", file, diff)
			}
			for _, p := range problems {
				if p.Line < 1 || p.Column < 1 {
					t.Errorf("Parse(%s) says %q at %d:%d, want a place", file, p.Message, p.Line, p.Column)
				}
			}
		})
	}
}

func TestShippedFileIsTheBuiltInOne(t *testing.T) {
	shipped, warnings, err := config.Parse("secureclaw.yaml", defaults.YAML, "/home/ada")
	if err != nil || len(warnings) > 0 {
		t.Fatalf("Parse(shipped) = %v, warnings %v", err, warnings)
	}
	// An empty file means the same: the file documents the defaults and sets nothing else.
	for _, text := range []string{"", "# nothing\n", "llm:\nmounts:\n", "{}\n"} {
		empty, _, err := config.Parse("secureclaw.yaml", []byte(text), "/home/ada")
		if err != nil {
			t.Fatalf("Parse(%q) = %v", text, err)
		}
		if diff := cmp.Diff(values(shipped), values(empty)); diff != "" {
			t.Errorf("Parse(%q) differs from the shipped file, -shipped +empty:\n%s", text, diff)
		}
	}
}

// values are what is in force, without places.
func values(c *config.Config) map[string]any {
	out := map[string]any{}
	for _, s := range c.Settings() {
		out[s.Key] = s.Value
	}
	return out
}

func parse(t *testing.T, text string) (*config.Config, []config.Warning) {
	t.Helper()
	cfg, warnings, err := config.Parse("secureclaw.yaml", []byte(text), "/home/ada")
	if err != nil {
		t.Fatalf("Parse(%q) = %v", text, err)
	}
	return cfg, warnings
}

// What read_file asks about, a command that runs unasked must not open: one list, in three places.
func TestHiddenIsWhatAsks(t *testing.T) {
	shipped, _, err := config.Parse("secureclaw.yaml", defaults.YAML, "/home/ada")
	if err != nil {
		t.Fatal(err)
	}
	rule := shipped.ActionTiers.RequireApproval[0]
	if rule.Tool != "*" || len(rule.When) != 1 {
		t.Fatalf("requireApproval[0] = %s, want the rule for secrets", rule)
	}
	want := []string(rule.When["path"])
	for i := range shipped.Mounts {
		if diff := cmp.Diff(want, shipped.Mounts[i].Hide); diff != "" {
			t.Errorf("mounts[%d].hide of the shipped file (-rule +hide):\n%s", i, diff)
		}
	}
	if diff := cmp.Diff(want, config.Mount{}.Hidden()); diff != "" {
		t.Errorf("what the zero Mount hides (-rule +hidden):\n%s", diff)
	}
	for text, want := range map[string][]string{
		"mounts: [{name: workspace, host: a, container: /a}]":                       want,
		"mounts: [{name: workspace, host: a, container: /a, hide: }]":               want, // blank is absent
		"mounts:\n  - name: workspace\n    host: a\n    container: /a\n    hide:\n": want,
		"mounts: [{name: workspace, host: a, container: /a, hide: []}]":             {},
		"mounts: [{name: workspace, host: a, container: /a, hide: [x, '**/y']}]":    {"x", "**/y"},
		"mounts: [{name: workspace, host: a, container: /secrets, hide: []}]":       {},
	} {
		cfg, warnings := parse(t, text)
		if diff := cmp.Diff(want, cfg.Mounts[0].Hidden()); diff != "" || len(warnings) > 0 {
			t.Errorf("Parse(%q) hides (-want +got):\n%s\nwarnings %v", text, diff, warnings)
		}
		s, err := cfg.Explain("mounts[0].hide")
		if err != nil || s.Default == "" || strings.Contains(text, "hide: [") == (s.From == config.BuiltIn) {
			t.Errorf("Explain of %q = %+v, %v", text, s, err)
		}
	}
}

// What a file leaves out must never grant more than what it says.
func TestAbsentListsGrantNothing(t *testing.T) {
	cfg, _ := parse(t, "actionTiers:\n  autoApprove:\n    - {tool: stat}\n")
	if n := len(cfg.ActionTiers.Notify); n != 0 {
		t.Errorf("notify has %d rules, want none", n)
	}
	if n := len(cfg.ActionTiers.RequireApproval); n != 3 {
		t.Errorf("requireApproval has %d rules, want the 3 shipped ones", n)
	}
	if cfg, _ := parse(t, "actionTiers: {requireApproval: []}\n"); len(cfg.ActionTiers.RequireApproval)+len(cfg.ActionTiers.AutoApprove) != 0 {
		t.Errorf("an explicit empty list has rules: %v", cfg.ActionTiers)
	}
	if cfg, _ := parse(t, "executors: {file: {mounts: [workspace]}}\n"); len(cfg.Executors) != 1 {
		t.Errorf("executors = %v, want file alone", cfg.Executors)
	}
	if cfg, _ := parse(t, "executors: {file: {}}\n"); len(cfg.Executors["file"].Mounts) != 0 || cfg.Executors["file"].Image != "secureclaw/executor-file:latest" {
		t.Errorf("executors.file = %+v, want no mount and its default image", cfg.Executors["file"])
	}
}

func TestRuleKnowsWhereItStands(t *testing.T) {
	cfg, _ := parse(t, "actionTiers:\n  autoApprove:\n    - tool: stat\n    -\n      tool: read_file\n      when: {path: /workspace/a}\n")
	got := cfg.ActionTiers.AutoApprove[1]
	if got.Line != 5 || got.Where != "autoApprove[1] secureclaw.yaml:5" {
		t.Errorf("rule stands at %d, %q; want 5, autoApprove[1] secureclaw.yaml:5", got.Line, got.Where)
	}
	if got, want := cfg.ActionTiers.RequireApproval[0].Where, "requireApproval[0] built-in default:"; !strings.HasPrefix(got, want) {
		t.Errorf("shipped rule stands at %q, want %q…", got, want)
	}
}

func TestRetiredModelsWarn(t *testing.T) {
	for model, want := range map[string]string{
		"claude-sonnet-4-20250514":   "claude-sonnet-5-5",
		"claude-sonnet-4-5-20250929": "claude-sonnet-5-5",
		"claude-3-opus-20240229":     "claude-opus-5-5",
		"claude-sonnet-5-5":          "",
		"claude-opus-4-8":            "",
	} {
		_, warnings := parse(t, "llm: {model: "+model+"}\n")
		switch {
		case want == "" && len(warnings) > 0:
			t.Errorf("model %s: warnings %v, want none", model, warnings)
		case want != "" && (len(warnings) != 1 || !strings.Contains(warnings[0].Message, "use "+want)):
			t.Errorf("model %s: warnings %v, want one that names %s", model, warnings, want)
		}
	}
	if _, warnings := parse(t, "llm: {provider: openai, model: claude-3-opus}\n"); len(warnings) > 0 {
		t.Errorf("another provider's model id is judged: %v", warnings)
	}
}

func TestProvider(t *testing.T) {
	for _, tc := range []struct {
		provider string
		key      config.Secret
		want     string
	}{
		{"", "", "rehearsal"}, {"", "sk", "anthropic"}, {"rehearsal", "sk", "rehearsal"}, {"openai", "", "openai"},
	} {
		cfg := &config.Config{LLM: config.LLM{Provider: tc.provider}}
		if got := cfg.Provider(config.Secrets{AnthropicAPIKey: tc.key}); got != tc.want {
			t.Errorf("provider %q, key set %t: Provider = %q, want %q", tc.provider, tc.key != "", got, tc.want)
		}
	}
}

func TestInbox(t *testing.T) {
	const other = "mounts: [{name: workspace, host: a, container: /a}"
	for name, tc := range map[string]struct {
		text  string
		file  string // mounts of the file executor
		wrong string
	}{
		"as shipped":                   {"", "workspace inbox", ""},
		"no inbox, built-in executors": {other + "]", "workspace", ""},
		"an inbox of one's own":        {other + ", {name: inbox, host: b, container: /b}]", "workspace inbox", ""},
		"asked for and not there":      {other + "]\nexecutors: {file: {mounts: [inbox]}}", "", "no mount is called"},
		"writable":                     {other + ", {name: inbox, host: b, container: /b, mode: rw}]", "", "mounts[1].mode: the mount inbox must be ro"},
	} {
		cfg, _, err := config.Parse("x.yaml", []byte(tc.text), "/home/ada")
		if tc.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), tc.wrong) {
				t.Errorf("%s: %v, want an error with %q", name, err, tc.wrong)
			}
			continue
		}
		if err != nil || strings.Join(cfg.Executors["file"].Mounts, " ") != tc.file || slices.Contains(cfg.Executors["shell"].Mounts, "inbox") {
			t.Errorf("%s: executors %+v, %v; want file with %s", name, cfg, err, tc.file)
		}
	}
}

func TestLateAfter(t *testing.T) {
	if cfg, _ := parse(t, ""); cfg.Approvals.LateAfter != config.Duration(5*time.Minute) {
		t.Errorf("lateAfter = %v by default, want 5m", cfg.Approvals.LateAfter)
	}
	for text, ok := range map[string]bool{"1m": true, "24h": true, "59s": false, "24h1s": false, "0s": false, "-5m": false, "never": false} {
		cfg, _, err := config.Parse("x.yaml", []byte("approvals: {lateAfter: "+text+"}\n"), "/home/ada")
		if (err == nil) != ok || ok && cfg.Approvals.LateAfter.String() != text && text != "24h" {
			t.Errorf("lateAfter %s: %v, want ok %t", text, err, ok)
		}
	}
}

func TestUnits(t *testing.T) {
	for text, want := range map[string]config.Bytes{"0": 0, "7": 7, "7B": 7, "64KiB": 64 << 10, "256MiB": 256 << 20, "2GiB": 2 << 30} {
		if got, err := config.ParseBytes(text); err != nil || got != want {
			t.Errorf("ParseBytes(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "KiB", "-1", "+1", "1.5GiB", "64k", "64kb", "1MB", "007", "1 MiB", "99999999999TiB", "٣"} {
		if got, err := config.ParseBytes(text); err == nil {
			t.Errorf("ParseBytes(%q) = %d, want an error", text, got)
		}
	}
	for text, want := range map[string]string{"90s": "1m30s", "60m": "1h", "1h30m": "1h30m", "500ms": "500ms"} {
		if got, err := config.ParseDuration(text); err != nil || got.String() != want {
			t.Errorf("ParseDuration(%q) = %v, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "90", "-1s", "+1s", "1d", "0"} {
		if got, err := config.ParseDuration(text); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", text, got)
		}
	}
}

// The schema that editors use and the parser must agree on the shipped file and on plain mistakes.
func TestSchemaAgreesWithTheParser(t *testing.T) {
	data, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var schema validator.Schema
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatalf("Schema() is no schema: %v", err)
	}
	resolved, err := schema.Resolve(&validator.ResolveOptions{ValidateDefaults: true})
	if err != nil {
		t.Fatalf("Schema() does not resolve: %v", err)
	}
	for name, tc := range map[string]struct {
		text string
		ok   bool
	}{
		"the shipped file":   {string(defaults.YAML), true},
		"a size in bytes":    {"executors: {shell: {memory: 67108864}}", true},
		"patterns":           {"actionTiers: {notify: [{tool: stat, when: {path: /a, limit: 3, deep: true}}]}", true},
		"an unknown key":     {"lmm: {}", false},
		"an unknown kind":    {"executors: {shel: {}}", false},
		"text for a number":  {"llm: {iterations: \"3\"}", false},
		"out of range":       {"llm: {iterations: 11}", false},
		"a bare duration":    {"llm: {timeout: 90}", false},
		"late after":         {"approvals: {lateAfter: 1h30m}", true},
		"a decimal unit":     {"executors: {shell: {memory: 1GB}}", false},
		"a mode":             {"mounts: [{name: a, host: /srv/a, container: /a, mode: wr}]", false},
		"what to hide":       {"mounts: [{name: workspace, host: /srv/a, container: /a, hide: ['**/x']}]", true},
		"hiding nothing":     {"mounts: [{name: workspace, host: /srv/a, container: /a, hide: []}]", true},
		"hiding one text":    {"mounts: [{name: workspace, host: /srv/a, container: /a, hide: x}]", false},
		"a missing key":      {"mounts: [{name: a, host: /srv/a}]", false},
		"an empty condition": {"actionTiers: {notify: [{tool: stat, when: {path: []}}]}", false},
		"a site by its name": {"trustedDomains: [example.com, '*.example.org']", true},
		"a site as a group":  {"trustedDomains: [{name: example.com, with: [cdn.example.net]}, example.org]", true},
		"a site as a number": {"trustedDomains: [3]", false},
		"a site as a list":   {"trustedDomains: [[example.com]]", false},
		"a nameless site":    {"trustedDomains: [{with: [cdn.example.net]}]", false},
		"an empty name":      {"trustedDomains: ['']", false},
		"a companion alone":  {"trustedDomains: [{name: example.com, with: cdn.example.net}]", false},
		"a remote engine":    {"docker: {host: \"tcp://127.0.0.1:1\"}", false},
	} {
		t.Run(name, func(t *testing.T) {
			var value any
			if err := yaml.Load([]byte(tc.text), &value); err != nil {
				t.Fatal(err)
			}
			if err := resolved.Validate(viaJSON(t, value)); (err == nil) != tc.ok {
				t.Errorf("the schema says %v to %s, want ok %t", err, tc.text, tc.ok)
			}
			text := tc.text
			if strings.HasPrefix(text, "mounts") {
				text += "\nexecutors: {}"
			}
			if _, _, err := config.Parse("x.yaml", []byte(text), "/home/ada"); (err == nil) != tc.ok {
				t.Errorf("Parse says %v to %s, want ok %t", err, text, tc.ok)
			}
		})
	}
}

func viaJSON(t *testing.T, v any) any {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// Parse must answer whatever bytes it gets, and what it accepts must be inside the walls.
func FuzzParse(f *testing.F) {
	f.Add(defaults.YAML)
	files, _ := filepath.Glob("testdata/bad/*.yaml")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("executors: {web: {domains: [cdn.example.net]}}\ntrustedDomains: [example.com, {name: '*.example.org', with: ['*.example.net']}]\n"))
	f.Add([]byte("mounts: [{name: a, host: b, container: /c}]\nexecutors: {shell: {mounts: [a], cpus: 0.5}}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, _, err := config.Parse("fuzz.yaml", data, "/home/ada")
		if err != nil {
			if problems, ok := errors.AsType[config.Errors](err); !ok || len(problems) == 0 || cfg != nil {
				t.Fatalf("Parse = %v, %#v; want no configuration and Errors", cfg, err)
			}
			return
		}
		again, _, err := config.Parse("fuzz.yaml", data, "/home/ada")
		if err != nil || !cmp.Equal(values(cfg), values(again)) {
			t.Fatalf("the same bytes read twice differ: %v", err)
		}
		if cfg.LLM.Iterations < 1 || cfg.LLM.Iterations > 10 || cfg.LLM.MaxTokens < 256 {
			t.Fatalf("llm out of range: %+v", cfg.LLM)
		}
		names := map[string]bool{}
		for _, m := range cfg.Mounts {
			if names[m.Name] || m.Name == "" || !filepath.IsAbs(m.Host) || !filepath.IsAbs(m.Container) || m.Host == "/" || (m.Mode != "ro" && m.Mode != "rw") {
				t.Fatalf("mount outside the walls: %+v", m)
			}
			names[m.Name] = true
		}
		for kind, e := range cfg.Executors {
			if e.Image == "" || e.Runtime == "" || e.Memory < 16<<20 || e.CPUs <= 0 || e.Pids < 8 || e.Timeout <= 0 || e.OutputCap < 1 || e.OutputCap > 128<<10 || e.Tmp <= 0 || e.FileSize <= 0 {
				t.Fatalf("executor %s without a ceiling: %+v", kind, e)
			}
			for _, name := range e.Mounts {
				if !names[name] {
					t.Fatalf("executor %s has the unknown mount %q", kind, name)
				}
			}
			if _, err := domain.ParseList(e.Domains); err != nil || kind == "web" && len(e.Mounts) > 0 || kind != "web" && len(e.Domains) > 0 {
				t.Fatalf("executor %s reaches %q and sees %q: %v", kind, e.Domains, e.Mounts, err)
			}
		}
		for _, site := range cfg.TrustedDomains {
			if _, err := domain.ParseList(append([]string{site.Name}, site.With...)); err != nil {
				t.Fatalf("trusted site %v: %v", site, err)
			}
			if names, trusted := cfg.Reach(domain.Name(strings.ReplaceAll(site.Name, "*", "www"))); !trusted || len(strings.Join(names, `","`)) > 4<<10 {
				t.Fatalf("a page of %v reaches %q, trusted %v", site, names, trusted)
			}
		}
		for _, r := range append(cfg.ActionTiers.Notify, cfg.ActionTiers.AutoApprove...) {
			if r.Tool == "" || r.Tool == "*" || r.Where == "" || r.Line < 1 {
				t.Fatalf("granting rule that says too little: %+v", r)
			}
		}
		for _, s := range cfg.Settings() {
			if _, err := cfg.Explain(s.Key); err != nil && !strings.ContainsAny(s.Key, "\"' ") {
				t.Logf("Explain(%q) = %v", s.Key, err)
			}
		}
	})
}
