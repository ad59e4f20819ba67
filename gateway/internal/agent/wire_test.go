package agent_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/agent"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/llm/anthropic"
	"github.com/secureclaw/secureclaw/internal/fake"
)

// onWire is the body of a question in the order in which a provider reads it, without its cache marks,
// which move on from question to question.
type onWire struct {
	tools, system string
	messages      []string
}

func wire(t *testing.T, r fake.Request) onWire {
	t.Helper()
	body := bytes.ReplaceAll(r.Body, []byte(`"cache_control":{"type":"ephemeral"},`), nil)
	body = bytes.ReplaceAll(body, []byte(`,"cache_control":{"type":"ephemeral"}`), nil)
	var parts struct {
		Tools, System json.RawMessage
		Messages      []json.RawMessage
	}
	if err := json.Unmarshal(body, &parts); err != nil || bytes.Contains(body, []byte("cache_control")) {
		t.Fatalf("the body is %s: %v", body, err)
	}
	out := onWire{tools: string(parts.Tools), system: string(parts.System)}
	for _, m := range parts.Messages {
		out.messages = append(out.messages, string(m))
	}
	return out
}

// Two turns of one session share all that was said before, byte for byte on the wire, whatever changed meanwhile:
// the time, the day, what is remembered, the process. So does a question beside the conversation.
func TestTurnsShareTheirPrefixOnTheWire(t *testing.T) {
	server := fake.NewAnthropic(t)
	server.Script(
		fake.Answer{Text: "Which day?", Usage: fake.Usage{Input: 1000, Output: 5}},
		fake.Answer{Calls: []fake.Call{{ID: "toolu_1", Tool: "echo", Input: `{"b": 1, "a": 2}`}, {ID: "toolu_2", Tool: "echo", Input: `{}`}}, Usage: fake.Usage{Input: 1200, Output: 5}},
		fake.Answer{Text: "Booked.", Usage: fake.Usage{Input: 1400, Output: 5}},
		fake.Answer{Text: "1. this", Usage: fake.Usage{Input: 1400, Output: 5}},
		fake.Answer{Text: "Yes.", Usage: fake.Usage{Input: 1600, Output: 5}},
	)
	model, err := anthropic.New(anthropic.Options{APIKey: func() string { return "k" }, BaseURL: server.URL, Model: "claude-test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(model.Close)
	now := noon()
	dir := t.TempDir()
	db := kept(t, dir)
	clock := func(o *agent.Options) {
		o.Now = func() time.Time { now = now.Add(7*time.Hour + 31*time.Second); return now }
	}
	a := remembering(t, model, db, trains(), clock)
	answer(t, a, "Book a train.")
	answer(t, a, "Tomorrow; which train is it?")
	if plan, _, err := a.Consult(t.Context(), "s", message("").Origin, "run_2", "Make a plan."); err != nil || plan != "1. this" {
		t.Fatalf("Consult = %q, %v", plan, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	a = remembering(t, model, kept(t, dir), trains(), clock) // the next gateway
	answer(t, a, "Is it late?")
	requests := server.Requests()
	if len(requests) != 5 {
		t.Fatalf("%d questions, want 5", len(requests))
	}
	before := wire(t, requests[0])
	if !strings.Contains(fmt.Sprint(before.messages), "prefers trains") {
		t.Fatalf("nothing was recalled: %s", before.messages)
	}
	for i, r := range requests[1:] {
		now := wire(t, r)
		if now.tools != before.tools || now.system != before.system || len(now.tools) < 10 || len(now.system) < 1000 {
			t.Errorf("question %d has other tools or another system prompt:\n%s\n%s\nbefore:\n%s\n%s", i+2, now.tools, now.system, before.tools, before.system)
		}
		for j, m := range before.messages {
			if j >= len(now.messages) || now.messages[j] != m {
				t.Errorf("question %d: message %d is not as it was:\n%s\nbefore:\n%s", i+2, j, now.messages, m)
				break
			}
		}
		if r.CacheMarks < 3 {
			t.Errorf("question %d has %d cache marks, want tools, system and conversation", i+2, r.CacheMarks)
		}
		if !r.NoCalls { // what is asked beside a conversation is no part of it
			before = now
		}
	}
	if !requests[3].NoCalls || len(requests[3].Tools) == 0 {
		t.Errorf("a question without calls is sent with tools %v, calls forbidden %v", requests[3].Tools, requests[3].NoCalls)
	}
}

// A conversation that is near its end is counted by the provider, and not at every question.
func TestProviderCountsNearTheEnd(t *testing.T) {
	server := fake.NewAnthropic(t)
	server.Play(func(r fake.Request) fake.Step {
		return fake.Answer{Text: strings.Repeat("word ", 100), Usage: fake.Usage{Input: len(r.Body) / 4, Output: 5}}
	})
	model, err := anthropic.New(anthropic.Options{APIKey: func() string { return "k" }, BaseURL: server.URL, Model: "claude-test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(model.Close)
	m := newMemory()
	ask := func(context int) {
		t.Helper()
		answer(t, remembering(t, model, m, nil, func(o *agent.Options) { o.Context, o.Recall = context, nil }), "and?")
	}
	for range 10 {
		m.turns["s"] = append(m.turns["s"], claw.Turn{Role: claw.User, Text: strings.Repeat("word ", 2000)}, claw.Turn{Role: claw.Assistant, Text: "ok"})
	}
	ask(100_000) // some 30,000 tokens as they are guessed
	if n := len(server.Counted()); n != 0 {
		t.Errorf("%d counts far from the end, want none", n)
	}
	ask(40_000)
	if n := len(server.Counted()); n != 1 || len(server.Requests()) != 2 {
		t.Errorf("%d counts and %d questions near the end, want 1 and 2", n, len(server.Requests()))
	}
	server.Count(func(fake.Request) int { return 41_500 })
	ask(40_000) // the provider knows better: it is too much, so there is a summary
	if got, n := server.Requests(), len(m.summaries["s"]); n < 1 || n > 2 || len(got) != 3+n {
		t.Errorf("%d summaries after %d questions, want one or two beside the three answers", n, len(got))
	}
	one := remembering(t, model, m, nil, func(o *agent.Options) { o.Context, o.Recall = 14_000, nil })
	before := len(server.Counted())
	server.Count(nil)
	for range 3 {
		answer(t, one, "more?")
	}
	if n := len(server.Counted()) - before; n > 1 {
		t.Errorf("%d counts for three short messages, want at most the first one: its answer says the rest", n)
	}
}
