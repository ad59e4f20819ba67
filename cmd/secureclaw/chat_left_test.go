package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/wire"
)

// The answer of a task is on the screen once, and all of its ticks are, also when the last one comes behind it.
func TestChatShowsATaskOnce(t *testing.T) {
	tick := func(run string, n int, states ...string) wire.Down {
		return wire.Down{Progress: &wire.Progress{Run: run, Steps: steps(states...), Iteration: n, Most: 10}}
	}
	for name, between := range map[string]bool{"quiet": false, "typed between": true} {
		t.Run(name, func(t *testing.T) {
			d, keys, s, _ := talk(t)
			typed(t, keys, "first read, then tell")
			m := d.message()
			d.send(tick("run_1", 1, "now", ""), wire.Down{Delta: &wire.Delta{Run: "run_1", Text: "the answer"}}, tick("run_1", 2, "done", "now"))
			s.sees(t, "going on, turn 2")
			if between {
				typed(t, keys, "and more")
				up := d.got()
				d.send(wire.Down{Accepted: &wire.Accepted{Message: up.Message.ID, Session: m.Session, Run: "run_2"}})
			}
			d.send(wire.Down{Delta: &wire.Delta{Run: "run_1", Text: "It says:\n\n"}}, wire.Down{Delta: &wire.Delta{Run: "run_1", Text: "the answer\n"}})
			d.send(tick("run_1", 2, "done", "done"))
			d.reply(m, "It says:\nthe answer")
			s.sees(t, "[x] 2. write")
			s.sees(t, "> ")
			if shown := s.all(); strings.Count(shown, "It says") != 1 || strings.Count(shown, "[x] 1.") != 1 {
				t.Errorf("the screen shows\n%s\nwant the answer and each tick once", shown)
			}
		})
	}
	// What another turn said is no answer that is on the screen.
	var r shownRun
	r.progress(&bytes.Buffer{}, *tick("run_1", 1, "now").Progress)
	r.text.WriteString("same words")
	if !r.shows("same\nwords ") || r.shows("other words") {
		t.Error("shows: want the words that streamed, and only those")
	}
	r.progress(&bytes.Buffer{}, *tick("run_1", 2, "done").Progress)
	if r.shows("same words") {
		t.Error("shows(words of the turn before) = true")
	}
	r.text.WriteString(strings.Repeat("long ", 100_000))
	if !r.shows(strings.Repeat("long ", 20_000) + "… (100000 of 500000 bytes shown)") {
		t.Error("shows(an answer that was cut) = false")
	}
}

// Whoever lost the gateway is told whether the message must be sent again.
func TestChatSaysWhatBecomesOfAMessage(t *testing.T) {
	for name, accept := range map[string]bool{"stored": true, "not confirmed": false} {
		t.Run(name, func(t *testing.T) {
			d, keys, _, ended := talk(t)
			typed(t, keys, "do it")
			if accept {
				d.message()
			} else {
				d.got()
			}
			_ = d.conn.Close()
			f, ok := errors.AsType[*failure](<-ended)
			if !ok || f.code != exitFailed {
				t.Fatalf("chat = %v, want a failure", f)
			}
			said := f.why + "\n" + f.fix
			for text, want := range map[string]bool{
				"do not send it again": accept, "must be sent again": !accept, "secureclaw sessions show " + terminalSession: true,
			} {
				if strings.Contains(said, text) != want {
					t.Errorf("the failure says\n%s\nand %q in it is %v, want %v", said, text, !want, want)
				}
			}
		})
	}
	// One that was answered is not told of.
	d, keys, s, ended := talk(t)
	typed(t, keys, "do it")
	d.reply(d.message(), "done")
	s.sees(t, "done\n> ")
	_ = d.conn.Close()
	if f, ok := errors.AsType[*failure](<-ended); !ok || strings.Contains(f.fix, "sessions show") {
		t.Errorf("chat = %+v, want a failure without a session", f)
	}
}

// Leaving stops nothing, and says so; coming back, one sees what is at work.
func TestChatIsLeftAndOpenedAgain(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	d, keys, s, ended := opened(ctx, t)
	d.tasks(wire.Task{State: "open", Request: "first read\nthen tell", Iteration: 2, Most: 10}, wire.Task{State: "done"})
	s.sees(t, "(a task is at work in this conversation, turn 2 of at most 10: first read\\nthen tell · /stop stops it)\n")
	d.send(wire.Down{Answer: &wire.Answer{Ref: d.got().Query.Ref}})
	typed(t, keys, "and this")
	d.message()
	d.send(wire.Down{Delta: &wire.Delta{Run: "run_1", Text: "so far"}})
	s.sees(t, "so far")
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("chat = %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the chat does not end")
	}
	s.sees(t, "goes on; to see it: secureclaw sessions show terminal   to stop it: secureclaw sessions stop terminal)")

	_, keys, _, ended = talk(t)
	typed(t, keys, "/quit")
	if err := <-ended; err != nil {
		t.Errorf("chat = %v", err)
	}
}
