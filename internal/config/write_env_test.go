package config_test

import (
	"strings"
	"testing"

	"github.com/secureclaw/secureclaw/internal/config"
)

func TestSetEnv(t *testing.T) {
	const name = "OPENAI_API_KEY"
	for title, tc := range map[string]struct{ was, value, want string }{
		"none yet":           {"", "sk-1", "OPENAI_API_KEY=sk-1\n"},
		"behind others":      {"# mine\nANTHROPIC_API_KEY=a\n", "sk-1", "# mine\nANTHROPIC_API_KEY=a\nOPENAI_API_KEY=sk-1\n"},
		"no newline":         {"ANTHROPIC_API_KEY=a", "sk-1", "ANTHROPIC_API_KEY=a\nOPENAI_API_KEY=sk-1\n"},
		"carriage returns":   {"ANTHROPIC_API_KEY=a\r\nOPENAI_API_KEY=x\r\n", "y", "ANTHROPIC_API_KEY=a\r\nOPENAI_API_KEY=y\r\n"},
		"new, with returns":  {"ANTHROPIC_API_KEY=a\r\n", "y", "ANTHROPIC_API_KEY=a\r\nOPENAI_API_KEY=y\r\n"},
		"in place":           {"OPENAI_API_KEY=old\nANTHROPIC_API_KEY=a\n", "new", "OPENAI_API_KEY=new\nANTHROPIC_API_KEY=a\n"},
		"with a comment":     {"OPENAI_API_KEY=old  # mine\n", "new", "OPENAI_API_KEY=new  # mine\n"},
		"empty, comment":     {"OPENAI_API_KEY=   # mine\n", "new", "OPENAI_API_KEY=new   # mine\n"},
		"empty":              {"OPENAI_API_KEY=\n", "new", "OPENAI_API_KEY=new\n"},
		"exported":           {"  export  OPENAI_API_KEY=old\n", "new", "  export  OPENAI_API_KEY=new\n"},
		"quoted":             {"OPENAI_API_KEY='o # ld' # mine\n", "new", "OPENAI_API_KEY=new # mine\n"},
		"double quotes":      {"OPENAI_API_KEY=\"o\\\"ld\" # mine\n", "new", "OPENAI_API_KEY=new # mine\n"},
		"the same":           {"OPENAI_API_KEY='same'\n", "same", "OPENAI_API_KEY='same'\n"},
		"commented out":      {"# OPENAI_API_KEY=old\n", "new", "# OPENAI_API_KEY=old\nOPENAI_API_KEY=new\n"},
		"needs quotes":       {"", "a b#$\"", "OPENAI_API_KEY='a b#$\"'\n"},
		"needs other quotes": {"", "a'b\\\"", "OPENAI_API_KEY=\"a'b\\\\\\\"\"\n"},
		"to nothing":         {"OPENAI_API_KEY=old # mine\n", "", "OPENAI_API_KEY= # mine\n"},
	} {
		if got, err := config.SetEnv([]byte(tc.was), name, config.Secret(tc.value)); err != nil || string(got) != tc.want {
			t.Errorf("%s: SetEnv(%q, %q) = %q, %v; want %q", title, tc.was, tc.value, got, err, tc.want)
		}
	}
	for title, tc := range map[string]struct{ was, name, value string }{
		"a broken file":       {"HELLO=1\n", name, "secret-value"},
		"twice":               {"OPENAI_API_KEY=1\nOPENAI_API_KEY=2\n", name, "secret-value"},
		"a control character": {"", name, "secret-value\x01"},
		"no such variable":    {"", "HELLO", "secret-value"},
		"not UTF-8":           {"", name, "secret-value\xff"},
	} {
		if got, err := config.SetEnv([]byte(tc.was), tc.name, config.Secret(tc.value)); err == nil || strings.Contains(err.Error(), "secret-value") {
			t.Errorf("%s: SetEnv = %q, %v; want an error without the value", title, got, err)
		}
	}
}

func TestUserList(t *testing.T) {
	if got := config.UserList([]int64{7, 42, 7}).Reveal(); got != "7,42" {
		t.Errorf("UserList = %q, want 7,42: each once, the owner first", got)
	}
}

func FuzzSetEnv(f *testing.F) {
	for _, was := range []string{"", "OPENAI_API_KEY=a # b\r\n", "export OPENAI_API_KEY='a' #b", "OPENAI_API_KEY=\"a\\\"\"", "# x\n\nANTHROPIC_API_KEY=b", "TELEGRAM_ALLOWED_USERS=1, 2\n"} {
		f.Add(was, "sk-1")
		f.Add(was, "' \" \\ # $")
	}
	f.Fuzz(func(t *testing.T, was, value string) {
		out, err := config.SetEnv([]byte(was), "OPENAI_API_KEY", config.Secret(value))
		if err != nil {
			return
		}
		old, now := strings.Split(was, "\n"), strings.Split(string(out), "\n")
		changed := 0
		for i, line := range now {
			if i >= len(old) || strings.TrimSuffix(old[i], "\r") != strings.TrimSuffix(line, "\r") {
				if line != "" && !strings.Contains(line, "OPENAI_API_KEY=") {
					t.Fatalf("SetEnv(%q, %q) = %q: line %d is another", was, value, out, i+1)
				}
				if line != "" {
					changed++
				}
			}
		}
		if changed > 1 || len(now) < len(old) {
			t.Fatalf("SetEnv(%q, %q) = %q: %d lines changed", was, value, out, changed)
		}
		again, err := config.SetEnv(out, "OPENAI_API_KEY", config.Secret(value))
		if err != nil || string(again) != string(out) {
			t.Fatalf("SetEnv again = %q, %v; want the same %q", again, err, out)
		}
	})
}
