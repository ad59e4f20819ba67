package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/secureclaw/secureclaw/internal/wire"
)

// down shows one frame.
func (c *conversation) down(d wire.Down) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.wake()
	switch {
	case d.Accepted != nil:
		c.runs[d.Accepted.Run] = &shownRun{}
		if m := c.unanswered[d.Accepted.Message]; m != nil {
			m.stored = true
		}
	case d.Delta != nil && c.runs[d.Delta.Run] != nil:
		c.clearPrompt()
		text := visible(d.Delta.Text)
		fmt.Fprint(c.out, text)
		c.runs[d.Delta.Run].text.WriteString(d.Delta.Text)
		c.midLine = len(text) > 0 && text[len(text)-1] != '\n'
	case d.Step != nil && c.runs[d.Step.Run] != nil && d.Step.Status != "":
		c.freshLine()
		fmt.Fprintf(c.out, "  %s\n", stepLine(*d.Step))
		c.runs[d.Step.Run].text.Reset()
	case d.Progress != nil && c.runs[d.Progress.Run] != nil:
		c.freshLine()
		c.runs[d.Progress.Run].progress(c.out, *d.Progress)
	case d.Card != nil:
		c.freshLine()
		c.cards = append(c.cards, d.Card)
		printCard(c.out, *d.Card)
		if len(c.cards) == 1 {
			c.question(d.Card)
		}
	case d.Settled != nil:
		c.settled(d.Settled)
	case d.Notice != nil && (d.Notice.Session == c.session || d.Notice.Session == ""):
		c.freshLine()
		fmt.Fprintf(c.out, "  note: %s\n", visibleLine(d.Notice.Text))
	case d.Reply != nil && (d.Reply.Session == c.session || c.unanswered[d.Reply.Message] != nil):
		c.reply(d.Reply)
	case d.Answer != nil && d.Answer.Status != nil:
		c.freshLine()
		printStatus(c.out, d.Answer.Status)
		c.promptLocked()
	case d.Answer != nil && d.Answer.Ref == c.stopping:
		c.freshLine()
		fmt.Fprintln(c.out, "(stopped)")
		c.promptLocked()
	case d.Fault != nil:
		delete(c.unanswered, d.Fault.Ref)
		c.freshLine()
		fmt.Fprintf(c.out, "error: %s\n", visibleLine(d.Fault.What))
		if d.Fault.Fix != "" {
			fmt.Fprintf(c.out, "  fix  %s\n", visibleLine(d.Fault.Fix))
		}
		c.promptLocked()
	}
}

// wake tells drain that something changed.
func (c *conversation) wake() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

func (c *conversation) settled(card *wire.Card) {
	i := slices.IndexFunc(c.cards, func(x *wire.Card) bool { return x.ID == card.ID })
	if i < 0 {
		return
	}
	c.cards = slices.Delete(c.cards, i, i+1)
	if c.naming != nil && c.naming.ID == card.ID {
		c.naming = nil
	}
	c.freshLine()
	state := card.State
	if card.By != "" {
		state += strings.TrimSuffix(" by "+card.By+" ("+card.Via+")", " ()")
	}
	fmt.Fprintf(c.out, "  %s %s: %s\n", card.Code, card.Tool, visibleLine(state))
	if i == 0 && len(c.cards) > 0 {
		c.question(c.cards[0])
	}
}

func (c *conversation) reply(r *wire.Reply) {
	if run := c.runs[r.Run]; run == nil || r.Outcome != wire.ReplyDone || !run.shows(r.Text) {
		c.freshLine()
		fmt.Fprintln(c.out, visible(r.Text))
	}
	delete(c.unanswered, r.Message)
	delete(c.runs, r.Run)
	c.freshLine()
	c.promptLocked()
}

func (c *conversation) question(card *wire.Card) {
	if c.asked != card.ID {
		c.asked, c.since = card.ID, time.Now()
		if c.flush != nil {
			c.flush() // a line that was begun before the question is no answer to it
		}
	}
	c.freshLine()
	fmt.Fprintf(c.out, "%s %s: run it once? [y]es / [n]o / [r]eason ", card.Code, card.Tool)
	c.midLine = true
}

func (c *conversation) prompt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.promptLocked()
}

func (c *conversation) promptLocked() {
	if len(c.cards) > 0 {
		c.question(c.cards[0])
		return
	}
	c.freshLine()
	fmt.Fprint(c.out, "> ")
	c.idle, c.midLine = true, true
}

// clearPrompt ends a prompt's line before text that is not the user's.
func (c *conversation) clearPrompt() {
	if c.idle {
		c.freshLine()
	}
}

func (c *conversation) freshLine() {
	if c.midLine {
		fmt.Fprintln(c.out)
	}
	c.midLine, c.idle = false, false
}
