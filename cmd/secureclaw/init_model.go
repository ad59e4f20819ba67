package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/secureclaw/secureclaw/gateway"
	"github.com/secureclaw/secureclaw/internal/config"
)

// modelChoice is who answers. A zero Key leaves the key alone.
type modelChoice struct {
	Provider, Model, BaseURL string
	Key                      config.Secret
	checked                  bool
}

// openAIServer is where the provider openai leads when nobody says otherwise.
const openAIServer = "https://api.openai.com/v1"

// presentModel is what the files say, or what is best for somebody who never said anything.
func (s *setup) presentModel() modelChoice {
	llm := s.cfg.LLM
	m := modelChoice{Provider: llm.Provider, Model: llm.Model, BaseURL: llm.BaseURL}
	m.Key = s.key(m.Provider)
	return m
}

// key is the key that a provider has now, from the environment or .env.
func (s *setup) key(provider string) config.Secret {
	switch provider {
	case config.OpenAI:
		return s.now.OpenAIAPIKey
	case config.Rehearsal:
		return ""
	}
	return s.now.AnthropicAPIKey
}

// to changes the provider and lets go of what belongs to the old one.
func (s *setup) to(provider string) modelChoice {
	was := s.cfg.LLM
	if provider == s.cfg.Provider(s.now) || provider == was.Provider { // as it is
		return modelChoice{Provider: provider, Model: was.Model, BaseURL: was.BaseURL, Key: s.key(provider)}
	}
	m := modelChoice{Provider: provider, Key: s.key(provider)}
	switch provider {
	case config.OpenAI:
		m.BaseURL = openAIServer
	default:
		m.Model = config.DefaultModel
	}
	return m
}

// answers is the provider that this choice leads to, as [config.Config.Provider] says.
func (m modelChoice) answers() string {
	switch {
	case m.Provider != "":
		return m.Provider
	case m.Key != "":
		return config.Anthropic
	}
	return config.Rehearsal
}

// server is where requests go: the environment's word goes first, as it does when the gateway runs.
func (m modelChoice) server() (url, variable string) {
	variable = map[string]string{config.Anthropic: "ANTHROPIC_BASE_URL", config.OpenAI: "OPENAI_BASE_URL"}[m.answers()]
	if url := os.Getenv(variable); variable != "" && url != "" {
		return url, variable
	}
	return m.BaseURL, ""
}

// askModel is the first question.
func (s *setup) askModel(ctx context.Context) error {
	fmt.Fprint(s.out, `
Who answers?
  1  rehearsal: rules, no account, to try everything else with
  2  Claude by Anthropic
  3  a server that speaks OpenAI's protocol: OpenAI, Ollama, vLLM, OpenRouter …
`)
	providers := []string{config.Rehearsal, config.Anthropic, config.OpenAI}
	now := s.model.Provider
	if now == "" && (s.fresh || s.now.AnthropicAPIKey != "") {
		now = config.Anthropic
	}
	byDefault := "1"
	for i, p := range providers {
		if p == now {
			byDefault = fmt.Sprint(i + 1)
		}
	}
	for {
		answer, err := s.term.ask(ctx, "Number", byDefault)
		if err != nil {
			return err
		}
		if len(answer) != 1 || answer < "1" || answer > "3" {
			continue
		}
		provider := providers[answer[0]-'1']
		if provider != s.model.Provider {
			s.model = s.to(provider)
		}
		if provider == config.Rehearsal {
			return nil
		}
		return s.askModelDetails(ctx)
	}
}

func (s *setup) askModelDetails(ctx context.Context) error {
	before := s.model
	for {
		m, err := s.modelDetails(ctx)
		if err != nil {
			return err
		}
		if s.model = m; !s.check {
			return nil
		}
		failed := s.checkModel(ctx)
		if failed == nil || ctx.Err() != nil {
			return context.Cause(ctx)
		}
		s.complain(failed)
		answer, err := s.term.chooseUnseen(ctx, "Enter it [a]gain, [c]ontinue without the check, or [s]kip the model", "a", "c", "s")
		if err != nil {
			return err
		}
		switch answer {
		case "c":
			return nil
		case "s":
			s.model = s.presentModel()
			return nil
		}
		if e, ok := errors.AsType[*gateway.ModelError](failed); ok && e.Kind == "auth" {
			s.model.Key = before.Key // a key that was refused is no default
		}
	}
}

// modelDetails asks for what the provider needs.
func (s *setup) modelDetails(ctx context.Context) (m modelChoice, err error) {
	m = s.model
	if url, variable := m.server(); variable != "" {
		fmt.Fprintf(s.out, "  server  %s (%s)\n", visibleLine(url), variable)
	} else if m.Provider == config.OpenAI || m.BaseURL != "" {
		if m.BaseURL, err = s.term.ask(ctx, "Address of the server", m.BaseURL); err != nil {
			return m, err
		}
	}
	for m.Model, err = s.term.ask(ctx, "Model", m.Model); m.Model == "" && err == nil; {
		m.Model, err = s.term.ask(ctx, "Model, as the server names it", "")
	}
	if err != nil {
		return m, err
	}
	question := "Key, not shown while you type"
	switch {
	case m.Key != "":
		question += fmt.Sprintf(" [keep %s]", m.Key.Hint())
	case m.Provider == config.OpenAI:
		question += " [none]"
	}
	for {
		typed, err := s.term.hidden(ctx, question)
		if err != nil {
			return m, err
		}
		if typed == "" && m.Key == "" && m.Provider == config.Anthropic {
			fmt.Fprintln(s.out, "  Claude needs one: https://console.anthropic.com. Ctrl-C leaves; 1 above needs none.")
			continue
		}
		if strings.ContainsFunc(typed, func(r rune) bool { return r <= ' ' || r > '~' }) {
			fmt.Fprintln(s.out, "  That has characters that no key has. Was more copied than the key?")
			continue
		}
		if typed != "" {
			m.Key = config.Secret(typed)
		}
		return m, nil
	}
}

// checkModel asks the model that was chosen for one token.
func (s *setup) checkModel(ctx context.Context) error {
	if s.model.answers() == config.Rehearsal {
		return nil
	}
	cfg := *s.cfg
	cfg.LLM.Provider, cfg.LLM.Model = s.model.answers(), s.model.Model
	cfg.LLM.BaseURL, _ = s.model.server()
	secrets := s.now // only the key of the provider is looked at
	secrets.AnthropicAPIKey, secrets.OpenAIAPIKey = s.model.Key, s.model.Key
	fmt.Fprintf(s.out, "  asking %s for one token … ", visibleLine(s.model.Model))
	got, err := gateway.CheckModel(ctx, &cfg, secrets, time.Now)
	if err != nil {
		fmt.Fprintln(s.out, "no")
		return err
	}
	s.model.checked = true
	fmt.Fprintf(s.out, "ok, %.1f s\n", got.Took.Seconds())
	return nil
}

// complain tells an error in the middle of a conversation, which goes on.
func (s *setup) complain(err error) {
	if e, ok := errors.AsType[*gateway.ModelError](err); ok {
		fmt.Fprintf(s.out, "  error: %s\n", visibleLine(e.What))
		if e.Fix != "" {
			fmt.Fprintf(s.out, "    fix  %s\n", visibleLine(e.Fix))
		}
		return
	}
	fmt.Fprintf(s.out, "  error: %s\n", visibleLine(err.Error()))
}
