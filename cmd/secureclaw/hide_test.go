package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// A tool that does not exist has the name that the model made up.
func TestStepLineShowsTheNameOfNoTool(t *testing.T) {
	got := stepLine(wire.Step{Tool: "\x1b[2J\x1b[HApprove?\n" + strings.Repeat("x", 500), Status: "refused"})
	if strings.ContainsAny(got, "\x1b\n") || !strings.HasPrefix(got, `[\x1b[2J\x1b[HApprove?\nxxx`) || len(got) > 200 {
		t.Errorf("stepLine = %q", got)
	}
}

func TestVisibleLetsNoBlankPassForNothing(t *testing.T) {
	for text, want := range map[string]string{
		"a\u034fb": `a\u{34f}b`, "a\u17b4b": `a\u{17b4}b`, "a\ufe00b": `a\u{fe00}b`, "a\U000e0100b": `a\u{e0100}b`, "a\u180bb": `a\u{180b}b`, "a\ufe0fb": `a\u{fe0f}b`,
		"\u26a0\ufe0f": "\u26a0\ufe0f",
	} {
		if got := visible(text); got != want {
			t.Errorf("visible(%+q) = %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{"a\u00a0b": `a\xa0b`, "a\u3000b": `a\u{3000}b`, "a b": "a b", "a\tb\n": `a\tb\n`} {
		if got := visibleLine(text); got != want {
			t.Errorf("visibleLine(%+q) = %q, want %q", text, got, want)
		}
	}
}

// Blanks push text to where a terminal of 80 columns begins its next line: it must not look like the card's.
func TestCardBreaksItsLinesItself(t *testing.T) {
	wide := "世"
	for _, command := range []string{
		"echo" + strings.Repeat(" ", 63) + "  Folders    workspace ro" + strings.Repeat(" ", 55) + "  Expires    never",
		strings.Repeat(wide, 200), "a\n" + strings.Repeat("b", 500),
	} {
		input, err := strict.CanonicalOf(map[string]string{"command": command})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		printCard(&out, wire.Card{Tool: "run_shell_command", Input: input, State: "pending"})
		var shown strings.Builder
		for line := range strings.Lines(out.String()) {
			columns := len([]rune(line)) - 1 + strings.Count(line, wide)
			if columns > 80 {
				t.Errorf("a line of the card has %d columns: %q", columns, line)
			}
			for _, mark := range []string{"  │ ", "  ┆ "} {
				if text, ok := strings.CutPrefix(line, mark); ok {
					shown.WriteString(strings.TrimSuffix(text, "\n"))
				}
			}
		}
		if want := strings.ReplaceAll(command, "\n", ""); shown.String() != want {
			t.Errorf("the card shows %q, want %q", shown.String(), want)
		}
	}
}

// A yes that was typed before the question could be read is none.
func TestHastyYesIsNoAnswer(t *testing.T) {
	var out bytes.Buffer
	c := &conversation{out: &out, changed: make(chan struct{}, 1), hasty: time.Hour} // without a connection: sending would panic
	c.down(wire.Down{Card: &wire.Card{ID: "1", Code: "ABCD", Tool: "write_file", Input: strict.Value("{}"), State: "pending"}})
	if done, err := c.verdict("y"); !done || err != nil || strings.Count(out.String(), "run it once?") != 2 {
		t.Errorf("verdict(y) = %v, %v, and the screen shows %q; want the question again", done, err, out.String())
	}
}

// What was typed before a question came, and not sent, must not become its answer.
func TestQuestionForgetsWhatWasTyped(t *testing.T) {
	var out bytes.Buffer
	flushed := 0
	c := &conversation{out: &out, changed: make(chan struct{}, 1), flush: func() { flushed++ }}
	c.down(wire.Down{Card: &wire.Card{ID: "1", Code: "A7K2", Tool: "send_email", State: "pending"}})
	if flushed != 1 {
		t.Errorf("input was flushed %d times before the question, want once", flushed)
	}
	c.question(c.cards[0]) // the same question again: the user may be typing the answer
	if flushed != 1 {
		t.Errorf("input was flushed %d times, want only when a question is new", flushed)
	}
}
