package gateway

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/dispatch"
	"github.com/secureclaw/secureclaw/gateway/internal/memory"
	"github.com/secureclaw/secureclaw/gateway/internal/policy"
	"github.com/secureclaw/secureclaw/gateway/internal/task"
	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// Judgement is what would happen to one call.
type Judgement struct {
	Tool    string            `json:"tool"`
	Refused string            `json:"refused,omitempty"` // why it would not even be asked about
	Tier    string            `json:"tier,omitempty"`
	Rule    string            `json:"rule,omitempty"`
	Reason  string            `json:"reason,omitempty"`
	Input   json.RawMessage   `json:"input,omitempty"` // as it would run: cleaned, with defaults
	Mounts  []claw.MountGrant `json:"mounts,omitempty"`
	Domains []string          `json:"domains,omitempty"`
	Steps   []policy.Step     `json:"steps,omitempty"` // each rule of the tool and why it did not fit
}

// CheckPolicy compiles the rules and runs their examples.
func CheckPolicy(cfg *config.Config) error {
	_, err := policy.New(cfg.ActionTiers, cfg)
	return err
}

// Judge says what would happen to a call, by the same code that decides about it. Nothing runs.
func Judge(cfg *config.Config, tool string, input []byte) (Judgement, error) {
	rules, err := policy.New(cfg.ActionTiers, cfg)
	if err != nil {
		return Judgement{}, err
	}
	out := Judgement{Tool: tool}
	own := slices.Concat(new(memory.Memory).Tools(), task.Tool(nil, nil))
	for _, t := range slices.Concat(dispatch.New(dispatch.Options{Config: cfg}).Tools(), own) {
		if t.Spec().Name != tool {
			continue
		}
		action, err := t.Prepare(input)
		if err != nil {
			out.Refused = err.Error()
			return out, nil
		}
		var args map[string]any
		if err := strict.Decode(action.Input, &args); err != nil {
			return out, fmt.Errorf("canonical input: %w", err)
		}
		explained := rules.Explain(policy.Call{Tool: tool, Args: args, Domains: action.Domains})
		out.Tier, out.Rule, out.Reason = explained.Verdict.Tier.String(), explained.Verdict.Rule, explained.Verdict.Reason
		out.Input, out.Mounts, out.Domains, out.Steps = json.RawMessage(action.Input), action.Mounts, action.Domains, explained.Steps
		return out, nil
	}
	out.Refused = fmt.Sprintf("there is no tool %q", tool)
	if _, ok := cfg.Executors["web"]; tool == run.ToolBrowse && !ok {
		out.Refused = "browsing is off, for executors has no web; add `web: {}` there"
	}
	return out, nil
}
