package config

import "strings"

// DefaultModel answers when llm.model is not set.
const DefaultModel = "claude-sonnet-5-5"

// The providers that can answer.
const (
	Anthropic = "anthropic"
	OpenAI    = "openai" // and servers that speak its protocol
	Rehearsal = "rehearsal"
)

// oldModel is a model id that stopped answering, or will on a known day.
type oldModel struct {
	id          string // a * at the end stands for any date or suffix
	fate        string
	replacement string
}

// oldModels follows the vendor's deprecations as of 2026-11-22; the first entry that fits counts.
var oldModels = []oldModel{
	{"claude-2*", "is no longer offered", DefaultModel},
	{"claude-instant-*", "is no longer offered", "claude-haiku-5-5"},
	{"claude-3-opus*", "is no longer offered", "claude-opus-5-5"},
	{"claude-3-haiku*", "is no longer offered", "claude-haiku-5-5"},
	{"claude-3-5-haiku*", "is no longer offered", "claude-haiku-5-5"},
	{"claude-3-*", "is no longer offered", DefaultModel},
	{"claude-opus-4-20250514", "is no longer offered", "claude-opus-5-5"},
	{"claude-opus-4-0", "is no longer offered", "claude-opus-5-5"},
	{"claude-opus-4-1*", "is no longer offered", "claude-opus-5-5"},
	{"claude-sonnet-4-20250514", "was retired on 2026-06-15", DefaultModel},
	{"claude-sonnet-4-0", "was retired on 2026-06-15", DefaultModel},
	{"claude-sonnet-4-5*", "ends on 2026-11-30", DefaultModel},
	{"claude-mythos-preview*", "ended on 2026-06-30", "claude-mythos-5"},
}

// retired finds model in the table of old ones.
func retired(model string) (oldModel, bool) {
	for _, m := range oldModels {
		if prefix, open := strings.CutSuffix(m.id, "*"); m.id == model || open && strings.HasPrefix(model, prefix) {
			return m, true
		}
	}
	return oldModel{}, false
}

// Provider is who answers with these secrets: the configured provider, or anthropic when there is
// a key for it, or rehearsal.
func (c *Config) Provider(s Secrets) string {
	switch {
	case c.LLM.Provider != "":
		return c.LLM.Provider
	case s.AnthropicAPIKey != "":
		return Anthropic
	default:
		return Rehearsal
	}
}
