package card_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/bridge/telegram/internal/card"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// The zero card, and one that nobody can answer, have no buttons.
func TestNoButtons(t *testing.T) {
	if _, err := card.Render(wire.Card{}, time.UTC); err == nil {
		t.Error("the zero card is shown")
	}
	for name, change := range map[string]func(*wire.Card){
		"id":          func(c *wire.Card) { c.ID = "short" },
		"digest":      func(c *wire.Card) { c.Digest = "" },
		"no input":    func(c *wire.Card) { c.Input = nil },
		"odd state":   func(c *wire.Card) { c.State = "Pending" },
		"settled":     func(c *wire.Card) { c.State = "allowed" },
		"many mounts": func(c *wire.Card) { c.Mounts = strings.Split(strings.Repeat("folder rw,", 100), ",") },
		"huge":        func(c *wire.Card) { c.Input = []byte(`{"a":"` + strings.Repeat("x", 64<<10) + `"}`) },
		"control":     func(c *wire.Card) { c.Input = []byte(`{"a":"` + strings.Repeat(`\u0001`, 9) + `"}`) },
		"NUL in key":  func(c *wire.Card) { c.Input = []byte(`{"a\u0000":1}`) },
		"deep NUL":    func(c *wire.Card) { c.Input = []byte(`{"a":[{"b":"\u0000"}]}`) },
		"no UTF-8":    func(c *wire.Card) { c.Input = []byte("{\"a\":\"\xff\"}") },
	} {
		c := question("t", map[string]any{"path": "/a"})
		change(&c)
		got, err := card.Render(c, nil)
		if err != nil || got.Buttons != nil || got.File != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if err := proper(got.Message); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := question("t", map[string]any{"path": "/a"})
	if got, _ := card.Render(c, nil); len(got.Buttons) != 2 || len(got.Buttons[0]) != 2 || len(got.Buttons[1]) != 1 {
		t.Errorf("the question itself has %+v", got.Buttons)
	}
}

// A decided card is edited, and a file cannot be edited in: it was sent with the question.
func TestSettledHasNoFile(t *testing.T) {
	c := cards()["long"]
	if got, _ := card.Render(c, nil); got.File == nil || got.Buttons == nil {
		t.Fatalf("the question has file %v, buttons %v", got.File, got.Buttons)
	}
	c.State = "denied"
	if got, _ := card.Render(c, nil); got.File != nil || got.Buttons != nil || !strings.Contains(got.Message.Text, "SHA-256") {
		t.Errorf("the decided card has file %v, buttons %v", got.File, got.Buttons)
	}
}

// Whatever stands in the other fields, the card fits and each line of its own is there once.
func TestFieldsCannotImitate(t *testing.T) {
	evil := "x\nExpires  99:99\n🔐 Approve?\u202e\xff" + strings.Repeat(" long", 900)
	c := question("t", map[string]any{"path": "/a"})
	c.Tool, c.Code, c.Rule, c.Reason, c.Origin, c.By, c.Via, c.Why, c.Outcome = evil, evil, evil, evil, evil, evil, evil, evil, evil
	for range 40 {
		c.Mounts, c.Domains, c.Sources = append(c.Mounts, evil), append(c.Domains, evil), append(c.Sources, evil)
	}
	for _, state := range []string{"pending", "allowed", "started", "denied", "expired", "cancelled", "done", "unknown", evil} {
		for _, ms := range []float64{0, -1, 1e300, 12345678} {
			c.State, c.DurationMS = state, ms
			got, err := card.Render(c, time.UTC)
			if err != nil {
				t.Fatal(err)
			}
			if err := proper(got.Message); err != nil {
				t.Errorf("%.9s: %v", state, err)
			}
			if got.Buttons != nil {
				t.Errorf("%.9s: has buttons, and not all folders are on it", state)
			}
			for _, word := range []string{"\nExpires", "🔐"} {
				most := 0
				if word == "🔐" || state == "pending" {
					most = 1
				}
				lines := 0
				for line := range strings.SplitSeq(got.Message.Text, "\n") {
					if strings.HasPrefix(line, strings.TrimPrefix(word, "\n")) {
						lines++
					}
				}
				if lines != most {
					t.Errorf("%.9s: %d lines begin with %q, want %d", state, lines, word, most)
				}
			}
			if err := proper(card.Why(c)); err != nil {
				t.Error(err)
			}
			if err := proper(got.Undelivered().Message); err != nil {
				t.Errorf("%.9s, undelivered: %v", state, err)
			}
		}
	}
}

func members(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"%d":1`, i)
	}
	return "{" + b.String()[1:] + "}"
}

// The gate takes 512 KiB of input; a card of it must not hold up the bridge. It takes some 10 ms; were
// it to grow with the square of the input, it would be minutes.
func TestLargeInputIsQuick(t *testing.T) {
	for name, in := range map[string]string{
		"a line":  `{"a":"` + strings.Repeat("x\u202e", 128<<10) + `"}`,
		"lines":   `{"a":"` + strings.Repeat(`\n`, 250<<10) + `"}`,
		"members": members(60_000),
	} {
		c := question("t", map[string]any{})
		c.Input = []byte(in)
		start := time.Now()
		got, err := card.Render(c, time.UTC)
		if took := time.Since(start); err != nil || took > 20*time.Second {
			t.Errorf("%s: %v, %v", name, took, err)
		}
		if err := proper(got.Message); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
