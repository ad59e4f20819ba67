package openai_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/llm"
	"github.com/secureclaw/secureclaw/gateway/internal/llm/openai"
	"github.com/secureclaw/secureclaw/internal/fake"
	"github.com/secureclaw/secureclaw/internal/strict"
)

const canary = "sk-canary-7f3b19e0d2c84a56"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func model(t testing.TB, s *fake.Server, waits *[]time.Duration, change ...func(*openai.Options)) *openai.Model {
	t.Helper()
	o := openai.Options{
		APIKey: func() string { return canary }, BaseURL: s.URL + "/v1", Model: "qwen-test",
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
	m, err := openai.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func question() llm.Request {
	return llm.Request{
		System: []string{"You are careful.", "Today is Sunday."}, Stable: 1, MaxTokens: 1000,
		Tools: []claw.Tool{{Name: "stat", Description: "Look at a name.", Schema: strict.Value(`{"type":"object","properties":{"path":{"type":"string"}}}`)}},
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

func call(id, input string) fake.Call { return fake.Call{ID: id, Tool: "stat", Input: input} }

func TestTextStreams(t *testing.T) {
	s := fake.NewOpenAI(t)
	s.Script(fake.Answer{Text: "Grüße, 世界.", Usage: fake.Usage{Input: 11, Output: 7, CacheRead: 5}, Chunks: []int{4, 1}})
	var said []string
	got, err := model(t, s, nil).Ask(t.Context(), question(), func(text string) { said = append(said, text) })
	if err != nil {
		t.Fatal(err)
	}
	want := llm.Reply{Text: "Grüße, 世界.", Stop: llm.StopEnd, Model: "qwen-test", Usage: claw.Usage{Input: 11, Output: 7, CacheRead: 5}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Ask: -want +got\n%s", diff)
	}
	if strings.Join(said, "") != want.Text || len(said) < 3 {
		t.Errorf("onText heard %q, want %q in pieces", said, want.Text)
	}
}

func TestCallsAreByteForByte(t *testing.T) {
	for name, input := range map[string]string{
		"plain":              `{"path":"a.txt"}`,
		"spaces and order":   "{ \"b\" : 1.0,\n\t\"a\":\"\\u00e9\" }",
		"duplicate key":      `{"path":"a.txt","path":"/etc/shadow"}`,
		"big number":         `{"n":12345678901234567890123}`,
		"an array":           `["path"]`,
		"not JSON":           `{"path": oops`,
		"ends in mid string": `{"path":"a.t`,
		"5 MB":               `{"path":"` + strings.Repeat("x", 5<<20) + `"}`,
	} {
		for quirk, q := range map[string]fake.Quirks{"": {}, ", one piece": {WholeCalls: true}, ", CR LF and comments": {CRLF: true, Unknown: true}} {
			t.Run(name+quirk, func(t *testing.T) {
				s := fake.NewOpenAI(t)
				chunks := []int{3, 1, 7}
				if len(input) > 1000 {
					chunks = []int{100_000}
				}
				s.Script(fake.Answer{Text: "Looking.", Calls: []fake.Call{call("call_a", input), call("call_b", "{}")}, Chunks: chunks, Quirks: q})
				got, err := model(t, s, nil).Ask(t.Context(), question(), nil)
				if err != nil {
					t.Fatal(err)
				}
				want := []claw.ToolCall{{ModelID: "call_a", Tool: "stat", Input: input}, {ModelID: "call_b", Tool: "stat", Input: "{}"}}
				if got.Stop != llm.StopTools || !cmp.Equal(got.Calls, want) {
					t.Errorf("Ask = %s with calls %.200q, want tools with %.200q", got.Stop, got.Calls, want)
				}
			})
		}
	}
}

func TestServersTakeLiberties(t *testing.T) {
	in := []string{`{"path":"a","path":"b"}`, `{"path":"c"}`, `{"path":"c"}`}
	for name, q := range map[string]fake.Quirks{
		"arguments as an object":          {ObjectInput: true},
		"an object, no index, no ids":     {ObjectInput: true, NoIndex: true, NoIDs: true},
		"one piece, no index":             {WholeCalls: true, NoIndex: true},
		"one piece, all at 0":             {WholeCalls: true, ZeroIndex: true},
		"one piece, all at 0, no ids":     {WholeCalls: true, ZeroIndex: true, NoIDs: true},
		"one piece, no index, no ids":     {WholeCalls: true, NoIndex: true, NoIDs: true},
		"in pieces, no ids":               {NoIDs: true},
		"in pieces, no index":             {NoIndex: true},
		"in pieces, all at 0":             {ZeroIndex: true},
		"in pieces, no index, no ids":     {NoIndex: true, NoIDs: true},
		"no [DONE]":                       {NoDone: true},
		"no usage":                        {NoUsage: true},
		"comments, ids, unknown fields":   {Unknown: true, CRLF: true},
		"no [DONE], comments, no anybody": {Unknown: true, NoDone: true, NoUsage: true, NoIDs: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := fake.NewOpenAI(t)
			s.Script(fake.Answer{Calls: []fake.Call{call("x1", in[0]), call("x2", in[1]), call("x3", in[2])}, Quirks: q})
			got, err := model(t, s, nil).Ask(t.Context(), question(), nil)
			if err != nil {
				t.Fatal(err)
			}
			ids := map[string]bool{}
			var inputs []string
			for _, c := range got.Calls {
				ids[c.ModelID] = c.ModelID != ""
				inputs = append(inputs, c.Input)
			}
			if !cmp.Equal(inputs, in) || len(ids) != 3 || got.Stop != llm.StopTools {
				t.Errorf("Ask = %+v, want three calls with ids of their own and the inputs %q", got, in)
			}
		})
	}
}

func TestStops(t *testing.T) {
	calls := []fake.Call{call("x", `{"path":"a"}`)}
	for stop, want := range map[string]struct {
		stop  llm.Stop
		calls int
	}{"stop": {llm.StopTools, 1}, "tool_calls": {llm.StopTools, 1}, "length": {llm.StopLength, 0}, "content_filter": {llm.StopRefusal, 0}} {
		s := fake.NewOpenAI(t)
		s.Script(fake.Answer{Text: "So", Calls: calls, Stop: stop})
		got, err := model(t, s, nil).Ask(t.Context(), question(), nil)
		if err != nil || got.Stop != want.stop || len(got.Calls) != want.calls {
			t.Errorf("finish_reason %s: Ask = %+v, %v; want %+v", stop, got, err, want)
		}
	}
	for stop, want := range map[string]llm.Kind{"bored": llm.Cut, "error": llm.Overloaded} {
		s := fake.NewOpenAI(t)
		s.Script(fake.Answer{Text: "So", Stop: stop})
		_, err := model(t, s, nil).Ask(t.Context(), question(), nil)
		if e := failure(t, err); e.Kind != want {
			t.Errorf("finish_reason %s: Ask = %v, want kind %s", stop, err, want)
		}
	}
}

// Wherever the stream ends before its reason has come, in whatever way, there is no reply.
func TestCutAnywhereYieldsNothing(t *testing.T) {
	answer := fake.Answer{Text: "I look.", Calls: []fake.Call{call("x", `{"path":"a.txt"}`)}}
	for _, how := range []fake.How{fake.Abort, fake.End} {
		s := fake.NewOpenAI(t)
		m := model(t, s, nil)
		for at := 1; ; at += 23 {
			answer.Break = &fake.Break{At: at, How: how}
			s.Script(answer)
			got, err := m.Ask(t.Context(), question(), nil)
			if err == nil {
				// The last two events, usage and [DONE], may be missing.
				if at < 900 || len(got.Calls) != 1 || got.Calls[0].Input != `{"path":"a.txt"}` {
					t.Fatalf("%s at byte %d: Ask = %+v, want an error or the whole", how, at, got)
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
	fault := func(f fake.Fault) fake.Step { return f }
	begun := func(how fake.How, before, insert string) fake.Step {
		return fake.Answer{Text: "Well", Calls: []fake.Call{call("x", `{"path":"a.txt"}`)}, Break: &fake.Break{Before: before, How: how, Insert: insert}}
	}
	const end = `data: {"id":"chatcmpl-fake","object":"chat.completion.chunk","created":1,"model":"qwen-test","choices":[{"index":0,"delta":{},`
	for name, tc := range map[string]struct {
		steps []fake.Step
		kind  llm.Kind // empty: it succeeds
		says  string
		waits []time.Duration
		after time.Duration
	}{
		"429, then well":         {steps: []fake.Step{fault(fake.Fault{Status: 429, Header: map[string]string{"Retry-After": "7"}}), fake.Answer{Text: "ok"}}, waits: []time.Duration{7 * time.Second}},
		"429 for an hour":        {steps: []fake.Step{fault(fake.Fault{Status: 429, Header: map[string]string{"Retry-After": "3600"}})}, kind: llm.RateLimited, after: time.Hour},
		"429 no money":           {steps: []fake.Step{fault(fake.Fault{Status: 429, Body: fake.OpenAIError(`"insufficient_quota"`, "x")})}, kind: llm.RateLimited, says: "balance"},
		"503 three times":        {steps: []fake.Step{fault(fake.Fault{Status: 503}), fault(fake.Fault{Status: 503}), fault(fake.Fault{Status: 503})}, kind: llm.Overloaded, says: "3 tries", waits: []time.Duration{500 * time.Millisecond, time.Second}},
		"500, then well":         {steps: []fake.Step{fault(fake.Fault{Status: 500}), fake.Answer{Text: "ok"}}, waits: []time.Duration{500 * time.Millisecond}},
		"dropped, then well":     {steps: []fake.Step{fault(fake.Fault{Drop: true}), fake.Answer{Text: "ok"}}, waits: []time.Duration{500 * time.Millisecond}},
		"401":                    {steps: []fake.Step{fault(fake.Fault{Status: 401})}, kind: llm.Auth},
		"402":                    {steps: []fake.Step{fault(fake.Fault{Status: 402})}, kind: llm.Auth},
		"404":                    {steps: []fake.Step{fault(fake.Fault{Status: 404})}, kind: llm.NotFound, says: "/v1"},
		"400 says why":           {steps: []fake.Step{fault(fake.Fault{Status: 400, Body: fake.OpenAIError("400", "too many tokens")})}, kind: llm.BadRequest, says: "too many tokens"},
		"400 in Ollama's way":    {steps: []fake.Step{fault(fake.Fault{Status: 400, Body: `{"error":"model does not support tools"}`})}, kind: llm.BadRequest, says: "does not support tools"},
		"redirect":               {steps: []fake.Step{fault(fake.Fault{Status: 308, Header: map[string]string{"Location": "http://192.0.2.1/"}})}, kind: llm.NotFound, says: "redirect"},
		"error, code 502":        {steps: []fake.Step{begun(fake.Last, end, "data: "+fake.OpenAIError("502", "upstream")+"\n\n")}, kind: llm.Overloaded, says: "in the middle"},
		"error, code 429":        {steps: []fake.Step{begun(fake.Last, end, "data: "+fake.OpenAIError("429", "slow")+"\n\n")}, kind: llm.RateLimited},
		"error, code in words":   {steps: []fake.Step{begun(fake.Last, end, "data: "+fake.OpenAIError(`"context_length_exceeded"`, "long")+"\n\n")}, kind: llm.BadRequest, says: "long"},
		"error, bare text":       {steps: []fake.Step{begun(fake.Last, end, "data: {\"error\":\"oops\"}\n\n")}, kind: llm.Overloaded},
		"error, but it goes on":  {steps: []fake.Step{begun(fake.Insert, end, "event: error\ndata: "+fake.OpenAIError("500", "x")+"\n\n")}, kind: llm.Overloaded},
		"a page":                 {steps: []fake.Step{fault(fake.Fault{ContentType: "text/html", Body: "<html>"})}, kind: llm.Cut, says: "text/html"},
		"JSON in place of SSE":   {steps: []fake.Step{fault(fake.Fault{ContentType: "application/json", Body: `{"choices":[]}`})}, kind: llm.Cut},
		"an empty stream":        {steps: []fake.Step{fault(fake.Fault{})}, kind: llm.Cut},
		"only [DONE]":            {steps: []fake.Step{fault(fake.Fault{Body: "data: [DONE]\n\n"})}, kind: llm.Cut},
		"[DONE] without reason":  {steps: []fake.Step{begun(fake.Last, end, "data: [DONE]\n\n")}, kind: llm.Cut},
		"data is not JSON":       {steps: []fake.Step{fault(fake.Fault{Body: "data: {oops\n\n"})}, kind: llm.Cut},
		"data of another shape":  {steps: []fake.Step{fault(fake.Fault{Body: "data: {\"choices\":7}\n\n"})}, kind: llm.Cut},
		"a call after the end":   {steps: []fake.Step{begun(fake.Insert, "data: [DONE]", `data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":9,"id":"y","function":{"name":"rm","arguments":"{}"}}]}}]}`+"\n\n")}, kind: llm.Cut},
		"two ends":               {steps: []fake.Step{begun(fake.Insert, "data: [DONE]", `data: {"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}`+"\n\n")}, kind: llm.Cut},
		"not UTF-8":              {steps: []fake.Step{fake.Answer{Calls: []fake.Call{call("x", "{\"path\":\"\xff\"}")}}}, kind: llm.Cut},
		"9 MB of input":          {steps: []fake.Step{fake.Answer{Calls: []fake.Call{call("x", strings.Repeat("9", 9<<20))}, Chunks: []int{1 << 20}}}, kind: llm.TooLarge},
		"9 MB of text":           {steps: []fake.Step{fake.Answer{Text: strings.Repeat("9", 9<<20), Chunks: []int{1 << 20}}}, kind: llm.TooLarge},
		"one event of 40 MB":     {steps: []fake.Step{fault(fake.Fault{Body: "data: " + strings.Repeat("9", 40<<20)})}, kind: llm.TooLarge},
		"10,000 calls":           {steps: []fake.Step{fake.Answer{Calls: make([]fake.Call, 10_000), Quirks: fake.Quirks{WholeCalls: true}}}, kind: llm.TooLarge},
		"a second choice is not": {steps: []fake.Step{fake.Answer{Text: "ok", Break: &fake.Break{Before: end, How: fake.Insert, Insert: `data: {"choices":[{"index":1,"delta":{"content":"evil"}}]}` + "\n\n"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := fake.NewOpenAI(t)
			s.Script(tc.steps...)
			var waits []time.Duration
			got, err := model(t, s, &waits).Ask(t.Context(), question(), nil)
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

func TestSilenceAndCancel(t *testing.T) {
	for name, step := range map[string]fake.Step{
		"from the first": fake.Fault{Silent: true},
		"in mid-stream":  fake.Answer{Text: "Well", Break: &fake.Break{Before: "data: [DONE]", How: fake.Hang}},
		"in a 500":       fake.Fault{Status: 500, Silent: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := fake.NewOpenAI(t)
			s.Script(step)
			_, err := model(t, s, nil, func(o *openai.Options) { o.Idle = 50 * time.Millisecond }).Ask(t.Context(), question(), nil)
			if e := failure(t, err); e.Kind != llm.Timeout || !strings.Contains(e.What, "silent for 50ms") {
				t.Errorf("Ask = %v, want a timeout after 50ms of silence", err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			s.Play(func(fake.Request) fake.Step { cancel(); return step })
			start := time.Now()
			if _, err := model(t, s, nil).Ask(ctx, question(), nil); !errors.Is(err, context.Canceled) || time.Since(start) > 2*time.Second {
				t.Errorf("Ask = %v after %s, want context canceled at once", err, time.Since(start))
			}
		})
	}
}

// The reply does not depend on how the stream was cut into events and packets.
func TestChunkingDoesNotMatter(t *testing.T) {
	s := fake.NewOpenAI(t)
	m := model(t, s, nil)
	sizes := rapid.SliceOfN(rapid.IntRange(1, 40), 1, 6)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 60, -1).Draw(t, "text")
		input := rapid.StringN(1, 60, -1).Draw(t, "input")
		s.Script(fake.Answer{
			Text: text, Calls: []fake.Call{call("x", input)}, Chunks: sizes.Draw(t, "chunks"), Writes: sizes.Draw(t, "writes"),
			Quirks: fake.Quirks{CRLF: rapid.Bool().Draw(t, "crlf"), Unknown: rapid.Bool().Draw(t, "unknown")},
		})
		var heard strings.Builder
		got, err := m.Ask(context.Background(), question(), func(s string) { heard.WriteString(s) })
		if err != nil {
			t.Fatal(err)
		}
		want := llm.Reply{Text: text, Stop: llm.StopTools, Model: "qwen-test", Calls: []claw.ToolCall{{ModelID: "x", Tool: "stat", Input: input}}}
		if diff := cmp.Diff(want, got); diff != "" || heard.String() != text {
			t.Fatalf("Ask: -want +got\n%s\nheard %q, want %q", diff, heard.String(), text)
		}
	})
}
