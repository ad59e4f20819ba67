package config_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/internal/config"
)

// What is not written is bounded: a file that says nothing of limits has them.
func TestLimitsByDefault(t *testing.T) {
	cfg, _ := parse(t, "")
	if diff := cmp.Diff(config.Limits{TokensPerDay: 5_000_000, TokensPerTask: 1_000_000}, cfg.Limits); diff != "" {
		t.Errorf("limits of an empty file (-want +got)\n%s", diff)
	}
	if cfg.LLM.Context != 100_000 || cfg.User != (config.User{}) {
		t.Errorf("an empty file has llm.context %d and user %+v", cfg.LLM.Context, cfg.User)
	}
	cfg, _ = parse(t, `
limits: {tokensPerDay: 0}
llm: {context: 8000}
user: {name: Ada, about: "Berlin.\nLikes short answers."}
heartbeats:
  - {name: a, schedule: "0 8 * * *", prompt: x}
  - {name: b, schedule: "0 8 * * *", prompt: x, missed: skip}
`)
	if cfg.Limits.TokensPerDay != 0 || cfg.Limits.TokensPerTask != 1_000_000 {
		t.Errorf("limits: %+v, want no limit of a day and the default of a task", cfg.Limits)
	}
	if cfg.LLM.Context != 8000 || cfg.User != (config.User{Name: "Ada", About: "Berlin.\nLikes short answers."}) {
		t.Errorf("llm.context %d, user %+v", cfg.LLM.Context, cfg.User)
	}
	if h := cfg.Heartbeats; len(h) != 2 || h[0].Missed != "once" || h[1].Missed != "skip" || h[0].Enabled {
		t.Errorf("heartbeats: %+v, want missed once by default, and off", cfg.Heartbeats)
	}
}

func TestLimitsAreChecked(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"below zero":          {"limits: {tokensPerDay: -1}", "limits.tokensPerDay"},
		"beyond counting":     {"limits: {tokensPerTask: 1000000000001}", "limits.tokensPerTask"},
		"no number":           {"limits: {tokensPerDay: lots}", "limits.tokensPerDay"},
		"half a token":        {"limits: {tokensPerDay: 0.5}", "limits.tokensPerDay"},
		"a typing error":      {"limits: {tokensPerDays: 5}", "tokensPerDay"},
		"too little context":  {"llm: {context: 7999}", "llm.context"},
		"too much context":    {"llm: {context: 2000001}", "llm.context"},
		"a name of two lines": {"user: {name: \"Ada\\nLovelace\"}", "user.name"},
		"a long story":        {"user: {about: \"" + strings.Repeat("x", 1001) + "\"}", "user.about"},
		"no schedule":         {"heartbeats: [{name: a, schedule: \"\", prompt: x}]", "schedule: it is empty"},
		"no prompt":           {"heartbeats: [{name: a, schedule: \"0 8 * * *\", prompt: \" \"}]", "prompt: it is empty"},
		"missed often":        {"heartbeats: [{name: a, schedule: \"0 8 * * *\", prompt: x, missed: all}]", "missed"},
	} {
		cfg, _, err := config.Parse("secureclaw.yaml", []byte(tc.text), "/home/ada")
		if problems, ok := errors.AsType[config.Errors](err); !ok || cfg != nil || len(problems) != 1 || !strings.Contains(problems.Error(), tc.want) {
			t.Errorf("%s: Parse(%.80q) = %v, want one problem that names %s", name, tc.text, err, tc.want)
		}
	}
}
