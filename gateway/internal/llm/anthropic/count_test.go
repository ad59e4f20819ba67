package anthropic_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/internal/fake"
)

// What is counted is what would be asked, word for word.
func TestCountAsksForTheSameQuestion(t *testing.T) {
	s := fake.NewAnthropic(t)
	s.Script(fake.Answer{Text: "ok"})
	s.Count(func(fake.Request) int { return 4321 })
	m := model(t, s, nil)
	got, err := m.Count(t.Context(), conversation())
	if err != nil || got != 4321 {
		t.Fatalf("Count = %d, %v, want 4321", got, err)
	}
	if _, err := m.Ask(t.Context(), conversation(), nil); err != nil {
		t.Fatal(err)
	}
	counted, asked := s.Counted()[0], s.Requests()[0]
	if diff := cmp.Diff([]any{asked.Model, asked.System, asked.Tools, asked.Turns}, []any{counted.Model, counted.System, counted.Tools, counted.Turns}); diff != "" {
		t.Errorf("asked (-) and counted (+) differ:\n%s", diff)
	}
}

// A count that fails is tried once and says no secret: whoever asked has an estimate.
func TestCountThatFails(t *testing.T) {
	s := fake.NewAnthropic(t)
	s.Count(func(fake.Request) int { return 0 })
	got, err := model(t, s, nil).Count(t.Context(), question())
	if err == nil || got != 0 || strings.Contains(err.Error(), canary) || len(s.Counted()) != 1 {
		t.Errorf("Count of a server that is overloaded = %d, %v after %d tries, want an error after one", got, err, len(s.Counted()))
	}
}

// A question without calls names the tools all the same, so that the vendor's cache holds.
func TestNoCallsKeepsTheTools(t *testing.T) {
	s := fake.NewAnthropic(t)
	s.Script(fake.Answer{Text: "ok"}, fake.Answer{Text: "ok"})
	m := model(t, s, nil)
	req := question()
	req.NoCalls = true
	for range 2 {
		if _, err := m.Ask(t.Context(), req, nil); err != nil {
			t.Fatal(err)
		}
		req.Tools = nil // without tools there is nothing to forbid
	}
	with, without := s.Requests()[0], s.Requests()[1]
	if !with.NoCalls || len(with.Tools) != 2 || without.NoCalls {
		t.Errorf("NoCalls sends tool_choice none: %v with tools %v, %v without tools", with.NoCalls, with.Tools, without.NoCalls)
	}
}

// What the agent puts before a message is a block of its own.
func TestContextStandsBeforeTheText(t *testing.T) {
	s := fake.NewAnthropic(t)
	s.Script(fake.Answer{Text: "ok"})
	req := question()
	req.Turns = []claw.Turn{{Role: claw.User, Context: "[now: noon]", Text: "hi"}}
	if _, err := model(t, s, nil).Ask(t.Context(), req, nil); err != nil {
		t.Fatal(err)
	}
	if body := string(s.Requests()[0].Body); !strings.Contains(body, `[{"text":"[now: noon]","type":"text"},{"text":"hi",`) {
		t.Errorf("the message is sent as %s", body)
	}
}
