package anthropic_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/llm"
	"github.com/secureclaw/secureclaw/gateway/internal/llm/anthropic"
	"github.com/secureclaw/secureclaw/internal/fake"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// conversation has everything that a history can hold, also what no provider would take back as it is.
func conversation() llm.Request {
	req := question()
	req.Turns = append(req.Turns,
		claw.Turn{Role: claw.Assistant, Text: "I look.", Calls: []claw.ToolCall{
			{ModelID: "toolu_1", Tool: "read_file", Input: `{"path": "a.txt"}`},
			{ModelID: "toolu_2", Tool: "rm -rf /; " + strings.Repeat("x", 100), Input: `{"path":"a","path":"b"}`},
			{ModelID: "toolu_3", Tool: "", Input: `{"path": oops`},
			{ModelID: "functions.stat:0", Tool: "stat", Input: `["a"]`},
			{ModelID: "toolu_5", Tool: "stat", Input: `{"path":"` + strings.Repeat("x", 2<<20) + `"}`},
		}},
		claw.Turn{Role: claw.User, Results: []claw.ToolResult{
			{ModelID: "toolu_1", Tool: "read_file", Status: claw.OK, Content: "content"},
			{ModelID: "toolu_2", Status: claw.Refused, Content: "There is no such tool."},
			{ModelID: "toolu_3", Status: claw.Denied, Content: " \n"},
			{ModelID: "functions.stat:0", Status: claw.OK},
			{ModelID: "toolu_5", Status: claw.Failed, Content: "too long"},
		}},
		claw.Turn{Role: claw.Assistant, Text: "  "},
		claw.Turn{Role: claw.User, Text: "And now?"},
		claw.Turn{Role: claw.User, Text: "Hello?"},
	)
	return req
}

func TestRequestIsGolden(t *testing.T) {
	s := fake.NewAnthropic(t)
	s.Script(fake.Answer{Text: "ok"}, fake.Answer{Text: "ok"})
	m := model(t, s, nil)
	for i, req := range []llm.Request{question(), conversation()} {
		if _, err := m.Ask(t.Context(), req, nil); err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if err := json.Indent(&got, s.Requests()[i].Body, "", "  "); err != nil {
			t.Fatal(err)
		}
		golden(t, fmt.Sprintf("request%d.json", i+1), got.Bytes())
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what is sent (-update rewrites it):\n%s", path, got)
	}
}

func TestPromptIsCachedUpToItsStableEnd(t *testing.T) {
	s := fake.NewAnthropic(t)
	s.Script(fake.Answer{Text: "ok"}, fake.Answer{Text: "ok"})
	m := model(t, s, nil)
	if _, err := m.Ask(t.Context(), conversation(), nil); err != nil {
		t.Fatal(err)
	}
	bare := question()
	bare.Tools, bare.Stable = nil, 0
	if _, err := m.Ask(t.Context(), bare, nil); err != nil {
		t.Fatal(err)
	}
	if got := s.Requests(); got[0].CacheMarks != 4 || got[1].CacheMarks != 1 {
		t.Errorf("cache marks: %d and %d, want 4 (tools, system, conversation and the one before) and 1", got[0].CacheMarks, got[1].CacheMarks)
	}
}

// The environment of the process must not decide where a request goes and what is in it.
func TestEnvironmentIsNotRead(t *testing.T) {
	// One at a time: some hide others.
	for _, name := range []string{"ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "ANTHROPIC_CUSTOM_HEADERS", "ANTHROPIC_PROFILE", "HTTP_PROXY", "ALL_PROXY"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, "http://wrong.invalid")
			s := fake.NewAnthropic(t)
			s.Script(fake.Answer{Text: "ok"})
			if _, err := model(t, s, nil).Ask(t.Context(), question(), nil); err != nil {
				t.Fatal(err)
			}
			if h := s.Headers()[0]; h.Get("X-Api-Key") != canary || strings.Contains(fmt.Sprint(h), "wrong") || h.Get("Traceparent") != "" {
				t.Errorf("header %v: want the configured key and nothing from the environment", h)
			}
		})
	}
}

// A server that throws the key back at us, in whatever way, does not make us print it.
func TestKeyIsNowhere(t *testing.T) {
	var logged bytes.Buffer
	before := slog.Default()
	log.SetOutput(&logged)
	slog.SetDefault(slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug})))
	defer func() { slog.SetDefault(before); log.SetOutput(os.Stderr) }()
	echo := "you sent " + canary + ", or " + canary[4:20] + "…"
	var all []string
	for _, step := range []fake.Step{
		fake.Fault{Status: 400, Body: fake.AnthropicError("invalid_request_error", canary[4:20])},
		fake.Fault{Status: 400, Body: fake.AnthropicError("invalid_request_error", echo)},
		fake.Fault{Status: 401, Body: fake.AnthropicError("authentication_error", echo)},
		fake.Fault{Status: 404, Body: fake.AnthropicError("not_found_error", echo)},
		fake.Fault{Status: 418, Body: echo, ContentType: "text/plain"},
		fake.Fault{Status: 302, Header: map[string]string{"Location": "http://192.0.2.1/" + canary}},
		fake.Fault{ContentType: "text/" + canary},
		fake.Fault{Body: fake.AnthropicEvent("error", fake.AnthropicError("invalid_request_error", echo))},
		fake.Fault{Body: fake.AnthropicEvent("error", echo)},
		fake.Fault{Body: fake.AnthropicEvent("message_start", echo)},
		fake.Answer{Text: "x", Stop: canary},
	} {
		s := fake.NewAnthropic(t)
		s.Script(step)
		m := model(t, s, nil)
		_, err := m.Ask(t.Context(), question(), nil)
		if err == nil {
			t.Errorf("%+v: Ask succeeds", step)
		}
		for e := err; e != nil; e = errors.Unwrap(e) {
			all = append(all, fmt.Sprintf("%v %+v %#v", e, e, e))
		}
		all = append(all, fmt.Sprintf("%v %+v %#v", m, m, m), string(s.Requests()[0].Body))
	}
	_, err := anthropic.New(anthropic.Options{BaseURL: "https://" + canary + "@example.com"})
	_, err2 := anthropic.New(anthropic.Options{BaseURL: "https://example.com/%zz?" + canary})
	for _, text := range append(all, logged.String(), fmt.Sprint(err, err2)) {
		for i := range len(canary) - 8 {
			if strings.Contains(text, canary[i:i+8]) {
				t.Fatalf("the key, or a part of it, is in %.300q", text)
			}
		}
	}
}

func TestKeyIsAsked(t *testing.T) {
	s := fake.NewAnthropic(t)
	key := ""
	m := model(t, s, nil, func(o *anthropic.Options) { o.APIKey = func() string { return key } })
	_, err := m.Ask(t.Context(), question(), nil)
	if e := failure(t, err); e.Kind != llm.Auth || !strings.Contains(e.Fix, "ANTHROPIC_API_KEY") {
		t.Errorf("Ask without a key = %v, want kind auth with the fix", err)
	}
	key = "new\r\nX-Evil: 1"
	if _, err := m.Ask(t.Context(), question(), nil); err == nil || strings.Contains(err.Error(), "Evil") {
		t.Errorf("Ask with a key of two lines = %v, want an error without it", err)
	}
	s.Script(fake.Answer{Text: "ok"})
	key = " new\n"
	if _, err := m.Ask(t.Context(), question(), nil); err != nil || s.Headers()[0].Get("X-Api-Key") != "new" {
		t.Errorf("Ask with a new key = %v, sent %q", err, s.Headers()[0].Get("X-Api-Key"))
	}
}
