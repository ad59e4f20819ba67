package anthropic_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/llm"
	"github.com/secureclaw/secureclaw/gateway/internal/llm/anthropic"
	"github.com/secureclaw/secureclaw/internal/fake"
	"github.com/secureclaw/secureclaw/internal/strict"
)

const canary = "sk-ant-canary-7f3b19e0d2c84a56"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// model is one that asks the server and never really waits; waits holds what it would have waited.
func model(t testing.TB, s *fake.Server, waits *[]time.Duration, change ...func(*anthropic.Options)) *anthropic.Model {
	t.Helper()
	o := anthropic.Options{
		APIKey: func() string { return canary }, BaseURL: s.URL, Model: "claude-test",
		Wait: func(_ context.Context, d time.Duration) error {
			if waits != nil {
				*waits = append(*waits, d)
			}
			return nil
		},
	}
	for _, f := range change {
		f(&o)
	}
	m, err := anthropic.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func question() llm.Request {
	return llm.Request{
		System: []string{"You are careful.", "Today is Sunday."}, Stable: 1, MaxTokens: 1000,
		Tools: []claw.Tool{
			{Name: "read_file", Description: "Read a file.", Schema: strict.Value(`{"type":"object","properties":{"path":{"type":"string"}},"required":["path"]}`)},
			{Name: "stat", Description: "Look at a name.", Schema: strict.Value(`{"type":"object","properties":{"path":{"type":"string"}}}`)},
		},
		Turns: []claw.Turn{{Role: claw.User, Text: "What is in a.txt?"}},
	}
}

func failure(t *testing.T, err error) *llm.Error {
	t.Helper()
	e, ok := errors.AsType[*llm.Error](err)
	if !ok {
		t.Fatalf("Ask = %v (%T), want an *llm.Error", err, err)
	}
	if e.What == "" || e.Fix == "" {
		t.Errorf("error %+v does not say what and how to fix it", e)
	}
	return e
}

func TestTextStreams(t *testing.T) {
	s := fake.NewAnthropic(t)
	s.Script(fake.Answer{Text: "Grüße, 世界. All is well.", Usage: fake.Usage{Input: 11, Output: 7, CacheRead: 5, CacheWrite: 3}, Chunks: []int{4, 1}})
	var said []string
	got, err := model(t, s, nil).Ask(t.Context(), question(), func(text string) { said = append(said, text) })
	if err != nil {
		t.Fatal(err)
	}
	want := llm.Reply{
		Text: "Grüße, 世界. All is well.", Stop: llm.StopEnd, Model: "claude-test",
		Usage: claw.Usage{Input: 11, Output: 7, CacheRead: 5, CacheWrite: 3},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Ask: -want +got\n%s", diff)
	}
	if strings.Join(said, "") != want.Text || len(said) < 5 {
		t.Errorf("onText heard %q, want %q in pieces", said, want.Text)
	}
}

func TestCallsAreByteForByte(t *testing.T) {
	for name, input := range map[string]string{
		"plain":              `{"path":"a.txt"}`,
		"spaces and order":   "{ \"b\" : 1.0,\n\t\"a\":\"\\u00e9\" }",
		"duplicate key":      `{"path":"a.txt","path":"/etc/shadow"}`,
		"other letter case":  `{"Path":"a.txt"}`,
		"big number":         `{"n":12345678901234567890123}`,
		"lone surrogate":     `{"path":"\ud800"}`,
		"an array":           `["path"]`,
		"a string":           `"path"`,
		"not JSON":           `{"path": oops`,
		"ends in mid string": `{"path":"a.t`,
		"two values":         `{"path":"a"}{"path":"b"}`,
		"5 MB":               `{"path":"` + strings.Repeat("x", 5<<20) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			s := fake.NewAnthropic(t)
			chunks := []int{3, 1, 7}
			if len(input) > 1000 {
				chunks = []int{100_000}
			}
			s.Script(fake.Answer{Text: "Looking.", Calls: []fake.Call{{ID: "toolu_1", Tool: "read_file", Input: input}, {ID: "toolu_2", Tool: "no such tool", Input: `{}`}}, Chunks: chunks})
			got, err := model(t, s, nil).Ask(t.Context(), question(), nil)
			if err != nil {
				t.Fatal(err)
			}
			want := []claw.ToolCall{{ModelID: "toolu_1", Tool: "read_file", Input: input}, {ModelID: "toolu_2", Tool: "no such tool", Input: "{}"}}
			if got.Stop != llm.StopTools || !cmp.Equal(got.Calls, want) {
				t.Errorf("Ask = %s with calls %.200q, want tools with %.200q", got.Stop, got.Calls, want)
			}
		})
	}
}

func TestInputInTheStartOfABlock(t *testing.T) {
	s := fake.NewAnthropic(t)
	s.Script(fake.Answer{Calls: []fake.Call{{ID: "toolu_1", Tool: "stat", Input: `{"path":"a","path":"b"}`}}, Quirks: fake.Quirks{WholeCalls: true, CRLF: true, Unknown: true}})
	got, err := model(t, s, nil).Ask(t.Context(), question(), nil)
	if err != nil || len(got.Calls) != 1 || got.Calls[0].Input != `{"path":"a","path":"b"}` {
		t.Errorf("Ask = %+v, %v; want the input with both keys", got, err)
	}
}

func TestStops(t *testing.T) {
	call := []fake.Call{{ID: "toolu_1", Tool: "stat", Input: `{"path":"a"}`}}
	for stop, want := range map[string]llm.Stop{
		"end_turn": llm.StopEnd, "stop_sequence": llm.StopEnd, "max_tokens": llm.StopLength,
		"refusal": llm.StopRefusal, "model_context_window_exceeded": llm.StopLength,
	} {
		s := fake.NewAnthropic(t)
		s.Script(fake.Answer{Text: "So", Calls: call, Stop: stop})
		got, err := model(t, s, nil).Ask(t.Context(), question(), nil)
		if err != nil || got.Stop != want || len(got.Calls) != 0 || got.Text != "So" {
			t.Errorf("stop_reason %s: Ask = %+v, %v; want %s and no call", stop, got, err, want)
		}
	}
	for _, stop := range []string{"pause_turn", "bored", "tool_use"} {
		s := fake.NewAnthropic(t)
		s.Script(fake.Answer{Text: "So", Stop: stop})
		_, err := model(t, s, nil).Ask(t.Context(), question(), nil)
		if e := failure(t, err); e.Kind != llm.Cut {
			t.Errorf("stop_reason %s: Ask = %v, want kind cut", stop, err)
		}
	}
}

// Wherever the stream ends, in whatever way, there is no reply.
func TestCutAnywhereYieldsNothing(t *testing.T) {
	answer := fake.Answer{Text: "I look.", Calls: []fake.Call{{ID: "toolu_1", Tool: "stat", Input: `{"path":"a.txt"}`}}}
	for _, how := range []fake.How{fake.Abort, fake.End} {
		s := fake.NewAnthropic(t)
		m := model(t, s, nil)
		const step = 23 // a prime, so that cuts fall everywhere in an event over time
		for at := 1; ; at += step {
			answer.Break = &fake.Break{At: at, How: how}
			s.Script(answer)
			got, err := m.Ask(t.Context(), question(), nil)
			if err == nil {
				if at < 1200 {
					t.Fatalf("%s at byte %d: Ask = %+v, want an error", how, at, got)
				}
				break
			}
			if e := failure(t, err); e.Kind != llm.Cut || len(got.Calls) != 0 {
				t.Fatalf("%s at byte %d: Ask = %+v, %v; want kind cut and no call", how, at, got, err)
			}
		}
	}
}

func TestFaults(t *testing.T) {
	call := []fake.Call{{ID: "toolu_1", Tool: "stat", Input: `{"path":"a.txt"}`}}
	fault := func(f fake.Fault) fake.Step { return f }
	begun := func(b fake.Break) fake.Step { return fake.Answer{Text: "Well", Calls: call, Break: &b} }
	event := func(kind string) fake.Step {
		return begun(fake.Break{Before: "event: message_delta", How: fake.Last, Insert: fake.AnthropicEvent("error", fake.AnthropicError(kind, "because"))})
	}
	for name, tc := range map[string]struct {
		steps []fake.Step
		kind  llm.Kind // empty: it succeeds
		says  string
		waits []time.Duration
		after time.Duration
	}{
		"429 twice, then well": {
			steps: []fake.Step{fault(fake.Fault{Status: 429, Header: map[string]string{"Retry-After": "7"}}), fault(fake.Fault{Status: 429, Header: map[string]string{"Retry-After-Ms": "250"}}), fake.Answer{Text: "ok"}},
			waits: []time.Duration{7 * time.Second, 250 * time.Millisecond},
		},
		"429 with a date": {
			steps: []fake.Step{fault(fake.Fault{Status: 429, Header: map[string]string{"Retry-After": "Sun, 22 Nov 2026 12:00:30 GMT"}}), fake.Answer{Text: "ok"}},
			waits: []time.Duration{30 * time.Second},
		},
		"429 for an hour":          {steps: []fake.Step{fault(fake.Fault{Status: 429, Header: map[string]string{"Retry-After": "3600"}})}, kind: llm.RateLimited, says: "try again in 1h0m0s", after: time.Hour},
		"429 for ever":             {steps: []fake.Step{fault(fake.Fault{Status: 429, Header: map[string]string{"Retry-After": "1e300"}})}, kind: llm.RateLimited, after: 365 * 24 * time.Hour},
		"429 with nonsense":        {steps: []fake.Step{fault(fake.Fault{Status: 429, Header: map[string]string{"Retry-After": "soon"}}), fake.Answer{Text: "ok"}}, waits: []time.Duration{500 * time.Millisecond}},
		"429, do not retry":        {steps: []fake.Step{fault(fake.Fault{Status: 429, Header: map[string]string{"X-Should-Retry": "false"}})}, kind: llm.RateLimited},
		"429 spend limit":          {steps: []fake.Step{fault(fake.Fault{Status: 429, Body: `{"type":"error","error":{"type":"rate_limit_error","message":"x","details":{"error_code":"enforced_spend_limit_reached"}}}`})}, kind: llm.RateLimited, says: "spend limit"},
		"529 three times":          {steps: []fake.Step{fault(fake.Fault{Status: 529}), fault(fake.Fault{Status: 529}), fault(fake.Fault{Status: 529})}, kind: llm.Overloaded, says: "529), also after 3 tries", waits: []time.Duration{500 * time.Millisecond, time.Second}},
		"500, then well":           {steps: []fake.Step{fault(fake.Fault{Status: 500}), fake.Answer{Text: "ok"}}, waits: []time.Duration{500 * time.Millisecond}},
		"502 that is a page":       {steps: []fake.Step{fault(fake.Fault{Status: 502, ContentType: "text/html", Body: "<html>"}), fake.Answer{Text: "ok"}}, waits: []time.Duration{500 * time.Millisecond}},
		"dropped, then well":       {steps: []fake.Step{fault(fake.Fault{Drop: true}), fake.Answer{Text: "ok"}}, waits: []time.Duration{500 * time.Millisecond}},
		"401":                      {steps: []fake.Step{fault(fake.Fault{Status: 401})}, kind: llm.Auth, says: "ANTHROPIC_API_KEY"},
		"403":                      {steps: []fake.Step{fault(fake.Fault{Status: 403})}, kind: llm.Auth},
		"404":                      {steps: []fake.Step{fault(fake.Fault{Status: 404})}, kind: llm.NotFound, says: `"claude-test"`},
		"404 names another":        {steps: []fake.Step{fault(fake.Fault{Status: 404})}, kind: llm.NotFound, says: "claude-sonnet-5-5"},
		"400 says why":             {steps: []fake.Step{fault(fake.Fault{Status: 400, Body: fake.AnthropicError("invalid_request_error", "prompt is too long\x1b[2J")})}, kind: llm.BadRequest, says: "prompt is too long[2J"},
		"413":                      {steps: []fake.Step{fault(fake.Fault{Status: 413})}, kind: llm.BadRequest},
		"redirect":                 {steps: []fake.Step{fault(fake.Fault{Status: 307, Header: map[string]string{"Location": "http://192.0.2.1/v1/messages"}})}, kind: llm.NotFound, says: "redirect"},
		"overloaded event":         {steps: []fake.Step{event("overloaded_error")}, kind: llm.Overloaded, says: "in the middle"},
		"rate limit event":         {steps: []fake.Step{event("rate_limit_error")}, kind: llm.RateLimited},
		"api_error event":          {steps: []fake.Step{event("api_error")}, kind: llm.Overloaded},
		"unheard-of event":         {steps: []fake.Step{event("gremlin_error")}, kind: llm.Cut},
		"error event, no JSON":     {steps: []fake.Step{begun(fake.Break{Before: "event: message_delta", How: fake.Last, Insert: "event: error\ndata: oops\n\n"})}, kind: llm.Cut},
		"a page":                   {steps: []fake.Step{fault(fake.Fault{ContentType: "text/html", Body: "<html>"})}, kind: llm.Cut, says: "text/html"},
		"JSON in place of SSE":     {steps: []fake.Step{fault(fake.Fault{ContentType: "application/json", Body: `{"type":"message","content":[]}`})}, kind: llm.Cut},
		"an empty stream":          {steps: []fake.Step{fault(fake.Fault{})}, kind: llm.Cut},
		"not SSE at all":           {steps: []fake.Step{fault(fake.Fault{Body: "hello\nworld\n\n"})}, kind: llm.Cut},
		"data is not JSON":         {steps: []fake.Step{fault(fake.Fault{Body: fake.AnthropicEvent("message_start", "{oops")})}, kind: llm.Cut},
		"no message_stop":          {steps: []fake.Step{begun(fake.Break{Before: "event: message_stop", How: fake.End})}, kind: llm.Cut},
		"no stop_reason":           {steps: []fake.Step{begun(fake.Break{Before: "event: message_delta", How: fake.Last, Insert: fake.AnthropicEvent("message_stop", `{"type":"message_stop"}`)})}, kind: llm.Cut},
		"block left open":          {steps: []fake.Step{begun(fake.Break{Before: "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}", How: fake.Last, Insert: fake.AnthropicEvent("message_delta", `{"type":"message_delta","delta":{"stop_reason":"tool_use"}}`) + fake.AnthropicEvent("message_stop", `{"type":"message_stop"}`)})}, kind: llm.Cut},
		"block after the end":      {steps: []fake.Step{begun(fake.Break{Before: "event: message_stop", How: fake.Insert, Insert: fake.AnthropicEvent("content_block_start", `{"type":"content_block_start","index":9,"content_block":{"type":"tool_use","id":"x","name":"y","input":{}}}`)})}, kind: llm.Cut},
		"delta to no block":        {steps: []fake.Step{begun(fake.Break{Before: "event: message_delta", How: fake.Insert, Insert: fake.AnthropicEvent("content_block_delta", `{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"}"}}`)})}, kind: llm.Cut},
		"two calls, one id":        {steps: []fake.Step{fake.Answer{Calls: append(call, call...)}}, kind: llm.Cut},
		"a call without id":        {steps: []fake.Step{fake.Answer{Calls: []fake.Call{{ID: "", Tool: "stat", Input: "{}"}}}}, kind: llm.Cut},
		"bytes that are not UTF-8": {steps: []fake.Step{fake.Answer{Calls: []fake.Call{{ID: "toolu_1", Tool: "stat", Input: "{\"path\":\"\xff\"}"}}}}, kind: llm.Cut},
		"9 MB of input":            {steps: []fake.Step{fake.Answer{Calls: []fake.Call{{ID: "toolu_1", Tool: "stat", Input: strings.Repeat("9", 9<<20)}}, Chunks: []int{1 << 20}}}, kind: llm.TooLarge},
		"9 MB of text":             {steps: []fake.Step{fake.Answer{Text: strings.Repeat("9", 9<<20), Chunks: []int{1 << 20}}}, kind: llm.TooLarge},
		"one event of 40 MB":       {steps: []fake.Step{fault(fake.Fault{Body: "event: x\ndata: " + strings.Repeat("9", 40<<20)})}, kind: llm.TooLarge},
		"an event that has no end": {steps: []fake.Step{fault(fake.Fault{Body: strings.Repeat("data: 99999999999999\n", 2<<20)})}, kind: llm.TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			s := fake.NewAnthropic(t)
			s.Script(tc.steps...)
			var waits []time.Duration
			got, err := model(t, s, &waits, func(o *anthropic.Options) {
				o.Now = func() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }
			}).Ask(t.Context(), question(), nil)
			if n := len(s.Requests()); n != len(tc.steps) {
				t.Errorf("%d requests, want %d", n, len(tc.steps))
			}
			if !cmp.Equal(waits, tc.waits) {
				t.Errorf("waited %v, want %v", waits, tc.waits)
			}
			if tc.kind == "" {
				if err != nil || got.Text != "ok" {
					t.Errorf("Ask = %+v, %v; want ok", got, err)
				}
				return
			}
			e := failure(t, err)
			if e.Kind != tc.kind || !strings.Contains(e.Error(), tc.says) || e.RetryAfter != tc.after {
				t.Errorf("Ask = %s %q after %s, want %s with %q after %s", e.Kind, e, e.RetryAfter, tc.kind, tc.says, tc.after)
			}
			if !cmp.Equal(got, llm.Reply{}) {
				t.Errorf("an error came with the reply %+v", got)
			}
		})
	}
}

func TestSilence(t *testing.T) {
	for name, step := range map[string]fake.Step{
		"from the first":     fake.Fault{Silent: true},
		"in mid-stream":      fake.Answer{Text: "Well", Break: &fake.Break{Before: "event: message_stop", How: fake.Hang}},
		"in a tool's input":  fake.Answer{Calls: []fake.Call{{ID: "toolu_1", Tool: "stat", Input: `{"path":"abcdef"}`}}, Break: &fake.Break{Before: "cdef", How: fake.Hang}},
		"in an error's body": fake.Answer{Break: &fake.Break{At: 3, How: fake.Hang}},
	} {
		t.Run(name, func(t *testing.T) {
			s := fake.NewAnthropic(t)
			s.Script(step)
			_, err := model(t, s, nil, func(o *anthropic.Options) { o.Idle = 50 * time.Millisecond }).Ask(t.Context(), question(), nil)
			if e := failure(t, err); e.Kind != llm.Timeout || !strings.Contains(e.What, "silent for 50ms") {
				t.Errorf("Ask = %v, want a timeout after 50ms of silence", err)
			}
		})
	}
	t.Run("a slow drip", func(t *testing.T) {
		s := fake.NewAnthropic(t)
		s.Script(fake.Answer{Text: strings.Repeat("drip ", 1000), Delay: 5 * time.Millisecond})
		_, err := model(t, s, nil, func(o *anthropic.Options) { o.Timeout = 100 * time.Millisecond }).Ask(t.Context(), question(), nil)
		if e := failure(t, err); e.Kind != llm.Timeout || !strings.Contains(e.What, "within 100ms") {
			t.Errorf("Ask = %v, want a timeout after 100ms in all", err)
		}
	})
}

func TestCancel(t *testing.T) {
	for name, step := range map[string]fake.Step{
		"before the answer":   fake.Fault{Silent: true},
		"in the middle of it": fake.Answer{Text: "Well, well", Break: &fake.Break{Before: "event: message_stop", How: fake.Hang}},
	} {
		t.Run(name, func(t *testing.T) {
			s := fake.NewAnthropic(t)
			ctx, cancel := context.WithCancel(t.Context())
			s.Play(func(fake.Request) fake.Step { cancel(); return step })
			start := time.Now()
			_, err := model(t, s, nil).Ask(ctx, question(), nil)
			if !errors.Is(err, context.Canceled) || time.Since(start) > 2*time.Second {
				t.Errorf("Ask = %v after %s, want context canceled at once", err, time.Since(start))
			}
		})
	}
	t.Run("during the wait", func(t *testing.T) {
		s := fake.NewAnthropic(t)
		s.Script(fake.Fault{Status: 429, Header: map[string]string{"Retry-After": "30"}})
		ctx, cancel := context.WithCancel(t.Context())
		_, err := model(t, s, nil, func(o *anthropic.Options) {
			o.Wait = func(ctx context.Context, _ time.Duration) error { cancel(); <-ctx.Done(); return ctx.Err() }
		}).Ask(ctx, question(), nil)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Ask = %v, want context canceled", err)
		}
	})
	t.Run("a wait past the deadline", func(t *testing.T) {
		s := fake.NewAnthropic(t)
		s.Script(fake.Fault{Status: 429, Header: map[string]string{"Retry-After": "30"}})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_, err := model(t, s, nil).Ask(ctx, question(), nil)
		if e := failure(t, err); e.Kind != llm.RateLimited || e.RetryAfter != 30*time.Second {
			t.Errorf("Ask = %v, want rate limited at once, with 30s", err)
		}
	})
}

func TestUnreachable(t *testing.T) {
	s := fake.NewAnthropic(t)
	_, err := model(t, s, nil, func(o *anthropic.Options) { o.BaseURL = "http://127.0.0.1:1" }).Ask(t.Context(), question(), nil)
	if e := failure(t, err); e.Kind != llm.Unreachable || !strings.Contains(e.What, "127.0.0.1:1 (connect: connection refused)") {
		t.Errorf("Ask = %v, want unreachable with the reason", err)
	}
}

// The reply does not depend on how the stream was cut into events and packets.
func TestChunkingDoesNotMatter(t *testing.T) {
	s := fake.NewAnthropic(t)
	m := model(t, s, nil)
	sizes := rapid.SliceOfN(rapid.IntRange(1, 40), 1, 6)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 60, -1).Draw(t, "text")
		input := rapid.StringN(1, 60, -1).Draw(t, "input")
		s.Script(fake.Answer{
			Text: text, Calls: []fake.Call{{ID: "toolu_1", Tool: "stat", Input: input}},
			Chunks: sizes.Draw(t, "chunks"), Writes: sizes.Draw(t, "writes"),
			Quirks: fake.Quirks{CRLF: rapid.Bool().Draw(t, "crlf"), Unknown: rapid.Bool().Draw(t, "unknown")},
		})
		var heard strings.Builder
		got, err := m.Ask(context.Background(), question(), func(s string) { heard.WriteString(s) })
		if err != nil {
			t.Fatal(err)
		}
		want := llm.Reply{Text: text, Stop: llm.StopTools, Model: "claude-test", Usage: claw.Usage{Output: 1}, Calls: []claw.ToolCall{{ModelID: "toolu_1", Tool: "stat", Input: input}}}
		if diff := cmp.Diff(want, got); diff != "" || heard.String() != text {
			t.Fatalf("Ask: -want +got\n%s\nheard %q, want %q", diff, heard.String(), text)
		}
	})
}

func ExampleNew() {
	_, err := anthropic.New(anthropic.Options{BaseURL: "http://api.example.com"})
	fmt.Println(err)
	// Output: llm.baseURL "http://api.example.com" would send prompts and key in clear text over the Internet; use https
}
