package config_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	defaults "github.com/secureclaw/secureclaw/config"
	"github.com/secureclaw/secureclaw/internal/config"
)

func TestSetText(t *testing.T) {
	for name, tc := range map[string]struct{ was, key, value, want string }{
		"a plain value":             {"llm:\n  model: a # why\n", "llm.model", "b", "llm:\n  model: b # why\n"},
		"a quoted one":              {"llm: \n  model: \"a\\\"x\" # why\n", "llm.model", "b", "llm: \n  model: \"b\" # why\n"},
		"single quotes":             {"llm:\n  model: 'it''s' # why\n", "llm.model", "b", "llm:\n  model: \"b\" # why\n"},
		"an empty text":             {"llm:\n  baseURL: \"\"     # for\n", "llm.baseURL", "http://h:1/v1", "llm:\n  baseURL: \"http://h:1/v1\"     # for\n"},
		"to nothing":                {"llm:\n  baseURL: http://h # for\n", "llm.baseURL", "", "llm:\n  baseURL: \"\" # for\n"},
		"already so":                {"llm:\n  model:   'b'\n", "llm.model", "b", "llm:\n  model:   'b'\n"},
		"needs quotes":              {"llm:\n  model: a\n", "llm.model", "1.5", "llm:\n  model: \"1.5\"\n"},
		"would be true":             {"llm:\n  model: a\n", "llm.model", "true", "llm:\n  model: \"true\"\n"},
		"would be null":             {"llm:\n  model: a\n", "llm.model", "~", "llm:\n  model: \"~\"\n"},
		"would be a comment":        {"llm:\n  model: a\n", "llm.model", "a #b", "llm:\n  model: \"a #b\"\n"},
		"would be a mapping":        {"llm:\n  model: a\n", "llm.model", "a: b", "llm:\n  model: \"a: b\"\n"},
		"characters":                {"# ä\nllm:\n  ä: ö\n  model: \"ö\" # ü\n", "llm.model", "é", "# ä\nllm:\n  ä: ö\n  model: \"é\" # ü\n"},
		"a BOM":                     {"\ufeffllm: {model: a}\n", "llm.model", "b", "\ufeffllm: {model: b}\n"},
		"carriage returns":          {"llm:\r\n  model: a\r\n", "llm.provider", "x", "llm:\r\n  provider: x\r\n  model: a\r\n"},
		"no newline at the end":     {"llm:\n  model: a", "mounts2.x", "y", "llm:\n  model: a\nmounts2:\n  x: y"},
		"in braces":                 {"llm: {model: a, provider: x} # c\n", "llm.model", "b", "llm: {model: b, provider: x} # c\n"},
		"new in braces":             {"llm: {model: a} # c\n", "llm.provider", "x", "llm: {provider: x, model: a} # c\n"},
		"new in empty braces":       {"llm: {} # c\n", "llm.provider", "x", "llm: {provider: x} # c\n"},
		"new in a group":            {"llm:\n  # about the model\n  model: a\nx: 1\n", "llm.provider", "p", "llm:\n  provider: p\n  # about the model\n  model: a\nx: 1\n"},
		"deeper indent":             {"llm:\n      model: a\n", "llm.provider", "p", "llm:\n      provider: p\n      model: a\n"},
		"new section":               {"x: 1\n# end\n", "llm.model", "b", "x: 1\n# end\nllm:\n  model: b\n"},
		"new section, indented":     {"  x: 1\n", "llm.model", "b", "  x: 1\n  llm:\n    model: b\n"},
		"an empty section":          {"llm: # todo\nx: 1\n", "llm.model", "b", "llm: {model: b} # todo\nx: 1\n"},
		"an empty section, tilde":   {"llm: ~\n", "llm.model", "b", "llm: {model: b}\n"},
		"an empty value":            {"llm:\n  model: # todo\n  provider: x\n", "llm.model", "b", "llm:\n  model: b # todo\n  provider: x\n"},
		"null":                      {"llm:\n  model: null\n", "llm.model", "b", "llm:\n  model: b\n"},
		"an empty file":             {"", "llm.model", "b", "llm:\n  model: b\n"},
		"comments only":             {"# hello\n", "llm.model", "b", "# hello\nllm:\n  model: b\n"},
		"comments only, no newline": {"# hello", "llm.model", "b", "# hello\nllm:\n  model: b"},
		"an item":                   {"mounts:\n  - name: w\n    host: a # c\n  - name: x\n    host: b\n", "mounts[1].host", "c", "mounts:\n  - name: w\n    host: a # c\n  - name: x\n    host: c\n"},
		"new in an item":            {"mounts:\n  - name: w # c\n    host: a\n", "mounts[0].mode", "rw", "mounts:\n  - name: w # c\n    mode: rw\n    host: a\n"},
		"an item in braces":         {"mounts: [{name: w, host: a}]\n", "mounts[0].mode", "rw", "mounts: [{mode: rw, name: w, host: a}]\n"},
		"a value like its key":      {"llm:\n  provider: model\n  model: a\n", "llm.model", "b", "llm:\n  provider: model\n  model: b\n"},
		"quoted keys":               {"\"llm\":\n  'model': a\n", "llm.model", "b", "\"llm\":\n  'model': b\n"},
		"a document mark":           {"---\nllm:\n  model: a\n", "llm.model", "b", "---\nllm:\n  model: b\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := config.SetText([]byte(tc.was), tc.key, tc.value)
			if err != nil || string(got) != tc.want {
				t.Errorf("SetText(%q, %s, %q) = %q, %v; want %q", tc.was, tc.key, tc.value, got, err, tc.want)
			}
		})
	}
}

// What cannot be edited safely is left to the user, never guessed.
func TestSetTextRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ was, key string }{
		"a block text":         {"llm:\n  model: |\n    a\n", "llm.model"},
		"a folded text":        {"llm:\n  model: >-\n    a\n", "llm.model"},
		"a text on two lines":  {"llm:\n  model: a\n    b\n", "llm.model"},
		"quotes on two lines":  {"llm:\n  model: \"a\n    b\"\n", "llm.model"},
		"an anchor":            {"llm:\n  model: &m a\n", "llm.model"},
		"an alias":             {"x: &m a\nllm:\n  model: *m\n", "llm.model"},
		"a tag":                {"llm:\n  model: !!str a\n", "llm.model"},
		"a group in its place": {"llm:\n  model: {a: b}\n", "llm.model"},
		"a list in its place":  {"llm: [a]\n", "llm.model"},
		"a text in its place":  {"llm: a\n", "llm.model"},
		"no such item":         {"mounts: [{name: a}]\n", "mounts[1].host"},
		"no list":              {"x: 1\n", "mounts[0].host"},
		"an empty list":        {"mounts: []\n", "mounts[0].host"},
		"an empty item":        {"mounts:\n  -\n", "mounts[0].host"},
		"two documents":        {"llm: {model: a}\n---\nx: 1\n", "llm.model"},
		"no YAML":              {"llm: [\n", "llm.model"},
		"no UTF-8":             {"llm: {model: \"\xff\"}\n", "llm.model"},
		"a closed document":    {"x: 1\n...\n", "llm.model"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := config.SetText([]byte(tc.was), tc.key, "new")
			if !errors.Is(err, config.ErrByHand) || got != nil || !strings.Contains(err.Error(), tc.key) {
				t.Errorf("SetText(%q, %s) = %q, %v; want ErrByHand with the key", tc.was, tc.key, got, err)
			}
		})
	}
}

// A value that YAML would read back as another one is refused, too.
func TestSetTextRefusesValues(t *testing.T) {
	for _, value := range []string{"\xff", "a\xffb"} {
		if got, err := config.SetText([]byte("llm: {model: a}\n"), "llm.model", value); !errors.Is(err, config.ErrByHand) {
			t.Errorf("SetText to %q = %q, %v; want ErrByHand", value, got, err)
		}
	}
}

func TestSetTextOfTheShippedFile(t *testing.T) {
	data := defaults.YAML
	for _, kv := range [][2]string{{"llm.provider", "openai"}, {"llm.model", "llama3:8b"}, {"llm.baseURL", "http://localhost:11434/v1"}, {"mounts[0].host", "~/Documents/über all"}, {"mounts[0].mode", "ro"}} {
		var err error
		if data, err = config.SetText(data, kv[0], kv[1]); err != nil {
			t.Fatal(err)
		}
	}
	cfg, _, err := config.Parse("x.yaml", data, "/home/ada")
	if err == nil {
		t.Fatalf("~ without a home folder is accepted: %+v", cfg)
	}
	data, _ = config.SetText(data, "mounts[0].host", "/srv/über all")
	if cfg, _, err = config.Parse("x.yaml", data, "/home/ada"); err != nil {
		t.Fatal(err)
	}
	if l := cfg.LLM; l.Provider != "openai" || l.Model != "llama3:8b" || l.BaseURL != "http://localhost:11434/v1" || cfg.Mounts[0].Host != "/srv/über all" || cfg.Mounts[0].Mode != "ro" {
		t.Errorf("read back %+v, %+v", l, cfg.Mounts[0])
	}
	was, now := strings.Split(string(defaults.YAML), "\n"), strings.Split(string(data), "\n")
	if len(was) != len(now) {
		t.Fatalf("%d lines became %d", len(was), len(now))
	}
	changed := 0
	for i := range was {
		if was[i] != now[i] {
			changed++
			if _, comment, ok := strings.Cut(was[i], "#"); ok && !strings.HasSuffix(now[i], "#"+comment) {
				t.Errorf("line %d lost its comment: %q", i+1, now[i])
			}
		}
	}
	if changed != 5 {
		t.Errorf("%d lines changed, want 5", changed)
	}
}

func TestSetShare(t *testing.T) {
	share := config.Share{Index: 0, Host: "/srv/x", Container: "/workspace", Mode: "ro"}
	for name, tc := range map[string]struct {
		was  string
		want string
	}{
		"in place":       {"mounts:\n  - name: w\n    host: ./a # c\n    mode: rw\n    container: /w\n", "mounts:\n  - name: w\n    host: /srv/x # c\n    mode: ro\n    container: /w\n"},
		"mode not said":  {"mounts: [{name: w, host: a, container: /w}]\n", "mounts: [{name: w, host: /srv/x, container: /w}]\n"},
		"no mounts":      {"llm: {model: a}\n", "llm: {model: a}\nmounts:\n  - name: workspace\n    host: /srv/x\n    container: /workspace\n    mode: ro\n  - name: inbox\n    host: ./inbox\n    container: /inbox\n    mode: ro\n"},
		"nothing behind": {"mounts: # none\n", "mounts: [{name: workspace, host: /srv/x, container: /workspace, mode: ro}, {name: inbox, host: ./inbox, container: /inbox, mode: ro}] # none\n"},
	} {
		if got, err := config.SetShare([]byte(tc.was), share); err != nil || string(got) != tc.want {
			t.Errorf("%s: SetShare = %q, %v; want %q", name, got, err, tc.want)
		}
	}
	none := config.Share{Index: -1, Host: "/srv/x", Container: "/workspace", Mode: "rw"}
	if got, err := config.SetShare([]byte("mounts: [ ] # none\n"), none); err != nil || string(got) != "mounts: [{name: workspace, host: /srv/x, container: /workspace, mode: rw}] # none\n" {
		t.Errorf("an empty list: SetShare = %q, %v", got, err)
	}
}

func TestCheckShare(t *testing.T) {
	dirs := prepared(t)
	cfg, _, err := config.Load(dirs.Config, config.LoadOptions{Dirs: dirs})
	if err != nil {
		t.Fatal(err)
	}
	user := t.TempDir()
	file := user + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{
		"./workspace": dirs.Home + "/workspace", "~/new/deep": user + "/new/deep", "/srv/not-there": "/srv/not-there",
		"/": "", "/etc/ssh": "", dirs.Home: "", dirs.Home + "/inbox": "", dirs.Home + "/inbox/x": "", dirs.State: "", file: "", "~bob/x": "", "/a\nb": "",
	} {
		share := cfg.Share()
		share.Host = host
		if got, err := cfg.CheckShare(share, dirs, user); got != want || (err == nil) != (want != "") || err != nil && strings.HasPrefix(err.Error(), "the folder") {
			t.Errorf("CheckShare(%q) = %q, %v; want %q", host, got, err, want)
		}
	}
}

func FuzzSetText(f *testing.F) {
	for _, text := range []string{
		string(defaults.YAML), "", "# c", "llm:", "llm: {}", "llm:\n  model: a\n", "llm: {model: 'a', b: [1, 2]}\r\nx: y\r\n", "{llm: {model: a}}",
		"\ufeffllm:\n- a\n", "a: &x b\nllm: *x\n", "llm:\n  model: |\n    x\n", "? llm\n: model\n", "mounts: [{name: a}]\n", "mounts:\n- name: a\n  host: |\n    x\n", "llm:\u2028  model: a\n", "llm:\n  model: a\n...\n",
	} {
		for _, key := range []string{"llm.model", "llm.provider", "mounts[0].host"} {
			f.Add(text, key, "value")
			f.Add(text, key, "a: {b}, [c] # \"'\\\t")
		}
	}
	f.Fuzz(func(t *testing.T, was, key, value string) {
		switch key {
		case "llm.model", "llm.provider", "mounts[0].host", "mounts[0].mode":
		default:
			return
		}
		out, err := config.SetText([]byte(was), key, value)
		if err != nil {
			if !errors.Is(err, config.ErrByHand) {
				t.Fatalf("SetText = %v, want ErrByHand", err)
			}
			return
		}
		var before any
		if yaml.Unmarshal([]byte(was), &before) != nil {
			return // keys that stand twice, which Load refuses
		}
		after := decoded(t, string(out))
		plant(t, &before, key, value)
		if fmt.Sprint(before) != fmt.Sprint(after) {
			t.Fatalf("SetText(%q, %s, %q) = %q, which reads %v, want %v", was, key, value, out, after, before)
		}
		// One stretch changed, within one line, or whole lines were added.
		now := string(out)
		head := 0
		for head < len(was) && head < len(now) && was[head] == now[head] {
			head++
		}
		tail := 0
		for tail < len(was)-head && tail < len(now)-head && was[len(was)-1-tail] == now[len(now)-1-tail] {
			tail++
		}
		if gone := was[head : len(was)-tail]; strings.ContainsAny(gone, "\n\r#") && !strings.ContainsAny(decodedAt(was, key), "\n\r#") {
			t.Fatalf("SetText(%q, %s, %q) = %q, and %q is gone", was, key, value, out, gone)
		}
	})
}

func decoded(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%q does not parse: %v", text, err)
	}
	return v
}

// plant does to a value what SetText does to a text.
func plant(t *testing.T, v *any, key, value string) {
	t.Helper()
	group, name, _ := strings.Cut(key, ".")
	asMap := func(v any) map[string]any {
		if m, ok := v.(map[string]any); ok {
			return m
		}
		if v != nil {
			t.Skip("a mapping with keys that are no text")
		}
		return map[string]any{}
	}
	top := asMap(*v)
	*v = top
	if section, ok := strings.CutSuffix(group, "[0]"); ok {
		list := top[section].([]any)
		item := asMap(list[0])
		item[name] = value
		list[0] = item
		return
	}
	section := asMap(top[group])
	section[name] = value
	top[group] = section
}

// decodedAt is the old value at key.
func decodedAt(text, key string) string {
	var v map[string]any
	_ = yaml.Unmarshal([]byte(text), &v)
	group, name, _ := strings.Cut(key, ".")
	section, _ := v[strings.TrimSuffix(group, "[0]")].(map[string]any)
	if list, ok := v[strings.TrimSuffix(group, "[0]")].([]any); ok && len(list) > 0 {
		section, _ = list[0].(map[string]any)
	}
	return fmt.Sprint(section[name])
}
