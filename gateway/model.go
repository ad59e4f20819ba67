package gateway

import (
	"fmt"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/agent"
	"github.com/secureclaw/secureclaw/gateway/internal/llm/anthropic"
	"github.com/secureclaw/secureclaw/gateway/internal/llm/openai"
	"github.com/secureclaw/secureclaw/gateway/internal/llm/rehearsal"
)

// newModel picks the model that the configuration names.
func newModel(o Options) (agent.Model, error) {
	llm := o.Config.LLM
	switch provider := o.Config.Provider(o.Secrets); provider {
	case "anthropic":
		return anthropic.New(anthropic.Options{
			APIKey: o.Secrets.AnthropicAPIKey.Reveal, BaseURL: llm.BaseURL, Model: llm.Model, Timeout: time.Duration(llm.Timeout), Now: o.Now,
			Images: llm.Pictures != "no", // every model of the vendor's takes them
		})
	case "openai":
		return openai.New(openai.Options{
			APIKey: o.Secrets.OpenAIAPIKey.Reveal, BaseURL: llm.BaseURL, Model: llm.Model, Timeout: time.Duration(llm.Timeout), Now: o.Now,
			Images: llm.Pictures == "yes",
		})
	case "rehearsal":
		return rehearsal.New(), nil
	default:
		return nil, fmt.Errorf("llm.provider %q is unknown", provider)
	}
}
