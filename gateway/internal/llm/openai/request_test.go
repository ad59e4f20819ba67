package openai_test

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
	"github.com/secureclaw/secureclaw/gateway/internal/llm/openai"
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
	s := fake.NewOpenAI(t)
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

// The environment of the process must not decide where a request goes and what is in it.
func TestEnvironmentIsNotRead(t *testing.T) {
	// One at a time: some hide others.
	for _, name := range []string{"OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_BASE_URL", "HTTP_PROXY", "ALL_PROXY"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, "http://wrong.invalid")
			s := fake.NewOpenAI(t)
			s.Script(fake.Answer{Text: "ok"})
			if _, err := model(t, s, nil).Ask(t.Context(), question(), nil); err != nil {
				t.Fatal(err)
			}
			if h := s.Headers()[0]; h.Get("Authorization") != "Bearer "+canary || strings.Contains(fmt.Sprint(h), "wrong") || h.Get("Traceparent") != "" {
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
		fake.Fault{Status: 400, Body: fake.OpenAIError("400", canary[4:20])},
		fake.Fault{Status: 400, Body: fake.OpenAIError("400", echo)},
		fake.Fault{Status: 401, Body: fake.OpenAIError("401", echo)},
		fake.Fault{Status: 404, Body: fake.OpenAIError("404", echo)},
		fake.Fault{Status: 418, Body: echo, ContentType: "text/plain"},
		fake.Fault{Status: 302, Header: map[string]string{"Location": "http://192.0.2.1/" + canary}},
		fake.Fault{ContentType: "text/" + canary},
		fake.Fault{Body: "data: " + fake.OpenAIError("400", echo) + "\n\n"},
		fake.Fault{Body: "data: " + echo + "\n\n"},
		fake.Answer{Text: "x", Stop: canary},
	} {
		s := fake.NewOpenAI(t)
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
	_, err := openai.New(openai.Options{Model: "x", BaseURL: "https://" + canary + "@example.com"})
	_, err2 := openai.New(openai.Options{Model: "x", BaseURL: "https://example.com/%zz?" + canary})
	for _, text := range append(all, logged.String(), fmt.Sprint(err, err2)) {
		for i := range len(canary) - 8 {
			if strings.Contains(text, canary[i:i+8]) {
				t.Fatalf("the key, or a part of it, is in %.300q", text)
			}
		}
	}
}

func TestKeyIsOptional(t *testing.T) {
	s := fake.NewOpenAI(t)
	s.Script(fake.Answer{Text: "ok"})
	m := model(t, s, nil, func(o *openai.Options) { o.APIKey = nil })
	if _, err := m.Ask(t.Context(), question(), nil); err != nil || s.Headers()[0].Get("Authorization") != "" {
		t.Errorf("Ask without a key = %v, sent %q", err, s.Headers()[0].Get("Authorization"))
	}
}

func TestOptionsAreNeeded(t *testing.T) {
	for _, o := range []openai.Options{{}, {BaseURL: "https://x/v1"}, {Model: "x"}, {Model: "x", BaseURL: "ftp://x"}} {
		if _, err := openai.New(o); err == nil {
			t.Errorf("New(%+v) succeeds", o)
		}
	}
}

// What the agent puts before a message stands before it, and a question without calls offers no tool.
func TestContextAndNoCalls(t *testing.T) {
	s := fake.NewOpenAI(t)
	s.Script(fake.Answer{Text: "ok"})
	req := question()
	req.NoCalls = true
	req.Turns = []claw.Turn{{Role: claw.User, Context: "[now: noon]", Text: "hi"}}
	if _, err := model(t, s, nil).Ask(t.Context(), req, nil); err != nil {
		t.Fatal(err)
	}
	if got := s.Requests()[0]; got.Turns[0].Text != "[now: noon]\n\nhi" || len(got.Tools) != 0 {
		t.Errorf("sent %q with tools %v, want the context before the text and no tools", got.Turns[0].Text, got.Tools)
	}
}
