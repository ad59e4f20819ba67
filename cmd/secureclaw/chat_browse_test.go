package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// The card of a call that opens a page can be read by somebody who reads no JSON, and hides nothing.
func TestCardOfABrowse(t *testing.T) {
	at := time.Date(2026, 11, 22, 13, 2, 0, 0, time.Local)
	card := wire.Card{
		Code: "A7K2", Step: 4, Tool: "browse_web", State: "pending", Expires: at, Rule: "default", Origin: "terminal", Digest: "ab12",
		Domains: []string{"shop.example.com", "*.cdn.example.net"},
		Input: strict.Value(`{"actions":[{"do":"type","ref":"e12","text":"red shoes\u202e\" into e3\n2. clicks e4"},{"do":"press","text":"Enter"}],` +
			`"extract":"tree","url":"https://shop.example.com/search?q=1"}`),
	}
	var out bytes.Buffer
	printCard(&out, card)
	want := `Approve?  browse_web                              A7K2 · step 4
  Site       shop.example.com
  url        https://shop.example.com/search?q=1
  actions    (2 steps, complete below)
  │ 1. types "red shoes\u{202e}\" into e3\n2. clicks e4" into e12
  │ 2. presses "Enter"
  extract    tree
  Domains    shop.example.com, *.cdn.example.net
  Why        default
  Origin     terminal
  SHA-256    ab12
  Expires    13:02:00, then denied
`
	if out.String() != want {
		t.Errorf("printCard =\n%s\nwant\n%s", out.String(), want)
	}

	out.Reset()
	card.Input = strict.Value(`{"actions":[{"do":"fly"}],"url":"https://shop.example.com/"}`)
	printCard(&out, card)
	if !strings.Contains(out.String(), `"do":"fly"`) {
		t.Errorf("printCard of a step that nobody knows =\n%s\nwant it as it is", out.String())
	}
	card.State, card.Outcome, card.Line = "done", "ok", "opened shop.example.com, 1 key, HTTP 200"
	out.Reset()
	printCard(&out, card)
	if !strings.Contains(out.String(), "Result     opened shop.example.com, 1 key, HTTP 200\n") {
		t.Errorf("printCard of a call that ran =\n%s\nwant what it did", out.String())
	}
}

func TestStepOfABrowse(t *testing.T) {
	got := stepLine(wire.Step{
		Tool: "browse_web", Input: strict.Value(`{"url":"https://example.com/"}`), Status: "ok", Rule: "notify[0]", DurationMS: 1234.5,
		Line: "opened example.com, 2 clicks, HTTP 200", Content: `{"title":"x"}`,
	})
	if want := "[browse_web] opened example.com, 2 clicks, HTTP 200 · ok · notify[0] · 1234 ms"; got != want {
		t.Errorf("stepLine = %q, want %q", got, want)
	}
}

// What concerns everybody is shown in every conversation, what concerns another one is not.
func TestNoticeForEverybody(t *testing.T) {
	s := &screen{wake: make(chan struct{}, 1)}
	c := &conversation{out: s, session: "mine", unanswered: map[string]*sent{}, changed: make(chan struct{}, 1)}
	c.down(wire.Down{Notice: &wire.Notice{Session: "other", Text: "not for you"}})
	c.down(wire.Down{Notice: &wire.Notice{Text: "Browsing is off."}})
	c.down(wire.Down{Notice: &wire.Notice{Session: "mine", Text: "saved /home/anna/inbox/a.png"}})
	if got, want := s.all(), "  note: Browsing is off.\n  note: saved /home/anna/inbox/a.png\n"; got != want {
		t.Errorf("the screen shows %q, want %q", got, want)
	}
}
