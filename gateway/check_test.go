package gateway_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/gateway"
	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/fake"
)

const checkKey = "sk-ant-0123456789abcdefghij"

func modelConfig(t *testing.T, llm config.LLM) *config.Config {
	t.Helper()
	cfg, _, err := config.Parse("x.yaml", nil, "/home/ada")
	if err != nil {
		t.Fatal(err)
	}
	llm.Timeout = cfg.LLM.Timeout
	cfg.LLM = llm
	return cfg
}

func TestCheckModel(t *testing.T) {
	for name, tc := range map[string]struct {
		steps []fake.Step
		kind  string   // of the error; empty: none
		asks  []string // MaxTokens of the requests that were read
	}{
		"cut after one token": {[]fake.Step{fake.Answer{Text: "o", Stop: "max_tokens"}}, "", []string{"1"}},
		"a whole answer":      {[]fake.Step{fake.Answer{Text: "ok"}}, "", []string{"1"}},
		"says nothing":        {[]fake.Step{fake.Answer{Stop: "max_tokens"}}, "", []string{"1"}},
		"a wrong key":         {[]fake.Step{fake.Fault{Status: 401}}, "auth", []string{"1"}},
		"no such model":       {[]fake.Step{fake.Fault{Status: 404}}, "not_found", []string{"1"}},
		"no credit":           {[]fake.Step{fake.Fault{Status: 402}}, "auth", []string{"1"}},
		"one token is too few, more are not": {
			[]fake.Step{fake.Fault{Status: 400}, fake.Answer{Text: "ok"}}, "", []string{"1", "256"},
		},
		"refused for another reason": {[]fake.Step{fake.Fault{Status: 400}, fake.Fault{Status: 400}}, "bad_request", []string{"1", "256"}},
		"not the protocol":           {[]fake.Step{fake.Fault{ContentType: "text/html", Body: "<html>hello"}}, "cut", []string{"1"}},
	} {
		t.Run(name, func(t *testing.T) {
			server := fake.NewAnthropic(t)
			server.Script(tc.steps...)
			cfg := modelConfig(t, config.LLM{Provider: config.Anthropic, Model: config.DefaultModel, BaseURL: server.URL})
			got, err := gateway.CheckModel(t.Context(), cfg, config.Secrets{AnthropicAPIKey: checkKey}, time.Now)
			e, _ := errors.AsType[*gateway.ModelError](err)
			switch {
			case tc.kind == "" && (err != nil || got.Name != "anthropic/"+config.DefaultModel):
				t.Errorf("CheckModel = %+v, %v; want no error", got, err)
			case tc.kind != "" && (e == nil || string(e.Kind) != tc.kind || e.Fix == ""):
				t.Errorf("CheckModel = %v (%+v), want kind %s and a fix", err, e, tc.kind)
			case err != nil && strings.Contains(err.Error(), checkKey[:8]):
				t.Errorf("the error shows the key: %v", err)
			}
			var asks []string
			for _, r := range server.Requests() {
				asks = append(asks, map[int]string{1: "1", 256: "256"}[r.MaxTokens])
				if len(r.Tools) > 0 || r.Header.Get("X-Api-Key") != checkKey {
					t.Errorf("asked with tools %v and key %q", r.Tools, r.Header.Get("X-Api-Key"))
				}
			}
			if strings.Join(asks, " ") != strings.Join(tc.asks, " ") {
				t.Errorf("asked for %v tokens, want %v", asks, tc.asks)
			}
		})
	}
}

func TestCheckModelOfOtherProviders(t *testing.T) {
	server := fake.NewOpenAI(t)
	server.Script(fake.Answer{Text: "o", Stop: "length"})
	cfg := modelConfig(t, config.LLM{Provider: config.OpenAI, Model: "llama3", BaseURL: server.URL + "/v1"})
	if got, err := gateway.CheckModel(t.Context(), cfg, config.Secrets{}, time.Now); err != nil || got.Name != "openai/llama3" {
		t.Errorf("CheckModel(openai) = %+v, %v", got, err)
	}
	if got, err := gateway.CheckModel(t.Context(), modelConfig(t, config.LLM{}), config.Secrets{}, time.Now); err != nil || got.Name == "" {
		t.Errorf("CheckModel(rehearsal) = %+v, %v", got, err)
	}
	cfg = modelConfig(t, config.LLM{Provider: config.OpenAI, Model: "llama3"})
	if _, err := gateway.CheckModel(t.Context(), cfg, config.Secrets{}, time.Now); err == nil || !strings.Contains(err.Error(), "llm.baseURL") {
		t.Errorf("CheckModel without an address = %v, want an error that names llm.baseURL", err)
	}
	cfg = modelConfig(t, config.LLM{Provider: config.Anthropic, Model: config.DefaultModel, BaseURL: "http://example.com"})
	if _, err := gateway.CheckModel(t.Context(), cfg, config.Secrets{AnthropicAPIKey: checkKey}, time.Now); err == nil || !strings.Contains(err.Error(), "clear text") {
		t.Errorf("CheckModel over plain http = %v, want a refusal", err)
	}
}

func TestCheckModelEnds(t *testing.T) {
	server := fake.NewAnthropic(t)
	server.Script(fake.Fault{Silent: true})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	cfg := modelConfig(t, config.LLM{Provider: config.Anthropic, Model: config.DefaultModel, BaseURL: server.URL})
	if _, err := gateway.CheckModel(ctx, cfg, config.Secrets{AnthropicAPIKey: checkKey}, time.Now); !errors.Is(err, context.Canceled) {
		t.Errorf("CheckModel of a silent server = %v, want canceled", err)
	}
}
