package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// screen is what a person sees, and waits for.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
	seen int // what sees has looked at
	wake chan struct{}
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(p)
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (s *screen) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// sees waits until text appears behind what was seen before.
func (s *screen) sees(t *testing.T, text string) {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		s.mu.Lock()
		rest := s.text.String()[s.seen:]
		at := strings.Index(rest, text)
		if at >= 0 {
			s.seen += at + len(text)
		}
		s.mu.Unlock()
		if at >= 0 {
			return
		}
		select {
		case <-s.wake:
		case <-limit:
			t.Fatalf("the screen never shows %q; behind what was seen it has\n%s", text, rest)
		}
	}
}

// desk is the gateway's end of one conversation, played by the test.
type desk struct {
	t    *testing.T
	conn *wire.Conn
}

func (d desk) got() wire.Up {
	d.t.Helper()
	var up wire.Up
	limit := time.AfterFunc(20*time.Second, func() { _ = d.conn.Close() })
	defer limit.Stop()
	if err := d.conn.Receive(&up); err != nil {
		d.t.Fatalf("receive: %v", err)
	}
	return up
}

func (d desk) send(frames ...wire.Down) {
	d.t.Helper()
	for _, f := range frames {
		if err := d.conn.Send(f); err != nil {
			d.t.Fatal(err)
		}
	}
}

// message takes what the user said, accepts it, and returns it.
func (d desk) message() wire.Message {
	d.t.Helper()
	up := d.got()
	if up.Message == nil {
		d.t.Fatalf("got %+v, want a message", up)
	}
	d.send(wire.Down{Accepted: &wire.Accepted{Message: up.Message.ID, Session: up.Message.Session, Run: "run_1"}})
	return *up.Message
}

func (d desk) reply(m wire.Message, text string) {
	d.send(wire.Down{Reply: &wire.Reply{Run: "run_1", Message: m.ID, Session: m.Session, Outcome: wire.ReplyDone, Text: text}})
}

// decision takes an answer to a card and settles it.
func (d desk) decision(card wire.Card) wire.Decide {
	d.t.Helper()
	up := d.got()
	if up.Decide == nil {
		d.t.Fatalf("got %+v, want a decision", up)
	}
	card.State = "denied"
	if up.Decide.Allow {
		card.State = "allowed"
	}
	d.send(wire.Down{Answer: &wire.Answer{Ref: up.Decide.Ref, Cards: []wire.Card{card}}}, wire.Down{Settled: &card})
	return *up.Decide
}

// tasks says which tasks the conversation has.
func (d desk) tasks(tasks ...wire.Task) {
	d.t.Helper()
	up := d.got()
	if up.Manage == nil || up.Manage.What != wire.ManageSessionsTasks {
		d.t.Fatalf("got %+v, want a question for tasks", up)
	}
	if len(tasks) == 0 {
		d.send(wire.Down{Fault: &wire.Fault{Ref: up.Manage.Ref, Code: "unknown", What: "there is no session"}})
		return
	}
	value, err := strict.Encode(wire.TasksPage{Tasks: tasks})
	if err != nil {
		d.t.Fatal(err)
	}
	d.send(wire.Down{Answer: &wire.Answer{Ref: up.Manage.Ref, Value: value}})
}

// talk opens an interactive chat over a real socket. open are the questions that wait already.
func talk(t *testing.T, open ...wire.Card) (d desk, keys io.WriteCloser, s *screen, ended <-chan error) {
	t.Helper()
	d, keys, s, ended = opened(t.Context(), t)
	d.tasks()
	d.send(wire.Down{Answer: &wire.Answer{Ref: d.got().Query.Ref, Cards: open}})
	return d, keys, s, ended
}

// opened opens one that asks for what is at work next.
func opened(ctx context.Context, t *testing.T) (d desk, keys io.WriteCloser, s *screen, ended <-chan error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "g", "gateway.sock")
	ln, err := wire.Listen(path, wire.Hello{Role: "gateway", Program: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	accepted := make(chan *wire.Conn, 1)
	go func() {
		pending, err := ln.Accept()
		if err == nil {
			if conn, err := pending.Handshake(); err == nil {
				accepted <- conn
			}
		}
		close(accepted)
	}()
	client, err := wire.Dial(t.Context(), path, wire.Hello{Role: "terminal", Program: "test"})
	if err != nil {
		t.Fatal(err)
	}
	conn := <-accepted
	t.Cleanup(func() { _, _ = client.Close(), conn.Close() })
	in, keys := io.Pipe()
	s = &screen{wake: make(chan struct{}, 1)}
	done := make(chan error, 1)
	go func() { done <- chatInteractive(ctx, client, place{session: terminalSession}, in, s) }()
	d = desk{t, conn}
	d.send(wire.Down{Answer: &wire.Answer{Ref: d.got().Query.Ref, Status: &wire.GatewayStatus{Version: "1", Model: "m", Runner: "ok", Audit: "ok"}}})
	return d, keys, s, done
}

func typed(t *testing.T, keys io.Writer, line string) {
	t.Helper()
	if _, err := io.WriteString(keys, line+"\n"); err != nil {
		t.Fatal(err)
	}
}

func question(id string) wire.Card {
	return wire.Card{ID: id, Code: strings.ToUpper(id), Session: terminalSession, Tool: "write_file", Input: strict.Value(`{"content":"x","path":"/workspace/.env"}`), State: "pending"}
}

func TestChatStreamsAndAnswers(t *testing.T) {
	d, keys, s, ended := talk(t)
	s.sees(t, "/help for commands\n> ")
	typed(t, keys, "  keep my blanks  ")
	m := d.message()
	if m.Text != "  keep my blanks  " || m.Session != terminalSession {
		t.Errorf("message = %+v", m)
	}
	d.send(wire.Down{Delta: &wire.Delta{Run: "run_1", Text: "first "}})
	s.sees(t, "first ") // on the screen before there is a reply
	d.send(wire.Down{Delta: &wire.Delta{Run: "run_1", Text: "second\x1b[2J\u202e"}})
	s.sees(t, `second\x1b[2J\u{202e}`)
	d.send(wire.Down{Delta: &wire.Delta{Run: "run_other", Text: "not mine"}})
	d.reply(m, "first second\x1b[2J\u202e")
	s.sees(t, "\n> ")
	if shown := s.all(); strings.Count(shown, "second") != 1 || strings.Contains(shown, "not mine") {
		t.Errorf("the reply was shown twice, or another run's text was:\n%s", shown)
	}
	// What did not stream is shown when the reply comes.
	typed(t, keys, "again")
	d.reply(d.message(), "whole")
	s.sees(t, "whole\n> ")
	typed(t, keys, "/quit")
	if err := <-ended; err != nil {
		t.Errorf("chat = %v", err)
	}
}

func TestChatAsksInline(t *testing.T) {
	d, keys, s, _ := talk(t, question("open"))
	s.sees(t, "Approve?  write_file")
	s.sees(t, "OPEN write_file: run it once? [y]es / [n]o / [r]eason ")
	typed(t, keys, "please do") // neither yes nor no, and no message either
	s.sees(t, "a call waits for you: y, n or r")
	typed(t, keys, "") // an empty line is no answer
	s.sees(t, "run it once?")
	typed(t, keys, "Y")
	if got := d.decision(question("open")); !got.Allow || got.Approval != "open" || got.Reason != "" {
		t.Errorf("y = %+v, want open allowed", got)
	}
	s.sees(t, "OPEN write_file: allowed")

	one, two := question("one"), question("two")
	d.send(wire.Down{Card: &one}, wire.Down{Card: &two})
	s.sees(t, "ONE write_file: run it once?")
	typed(t, keys, "n")
	if got := d.decision(one); got.Allow || got.Approval != "one" {
		t.Errorf("n = %+v, want one denied", got)
	}
	s.sees(t, "TWO write_file: run it once?")
	typed(t, keys, "r")
	s.sees(t, "why not? ")
	typed(t, keys, "y") // a reason, not an answer
	if got := d.decision(two); got.Allow || got.Approval != "two" || got.Reason != "y" {
		t.Errorf("r, then y = %+v, want two denied for that reason", got)
	}

	// Settled elsewhere, the question is gone: the next line is a message again.
	three := question("three")
	d.send(wire.Down{Card: &three})
	s.sees(t, "THREE write_file: run it once?")
	three.State, three.By = "expired", ""
	d.send(wire.Down{Settled: &three})
	s.sees(t, "THREE write_file: expired")
	typed(t, keys, "y")
	if m := d.message(); m.Text != "y" {
		t.Errorf("a line after the question = %+v", m)
	}
}

// The reason that is being typed belongs to one question; when somebody else settles that one, it is said to nobody.
func TestChatReasonOfASettledQuestion(t *testing.T) {
	card := question("open")
	d, keys, s, _ := talk(t, card)
	s.sees(t, "run it once?")
	typed(t, keys, "r")
	s.sees(t, "why not? ")
	next := question("next")
	d.send(wire.Down{Card: &next})
	s.sees(t, "NEXT")
	card.State = "denied"
	d.send(wire.Down{Settled: &card})
	s.sees(t, "NEXT write_file: run it once?")
	typed(t, keys, "because")
	s.sees(t, "a call waits for you")
	typed(t, keys, "n")
	if got := d.decision(next); got.Allow || got.Approval != "next" || got.Reason != "" {
		t.Errorf("n = %+v, want next denied", got)
	}
}

func TestChatCommands(t *testing.T) {
	d, keys, s, _ := talk(t)
	typed(t, keys, "/help")
	s.sees(t, chatHelp)
	typed(t, keys, "/status")
	d.send(wire.Down{Answer: &wire.Answer{Ref: d.got().Query.Ref, Status: &wire.GatewayStatus{Model: "m", Runner: "ok", Audit: "ok", Pending: 3}}})
	s.sees(t, "3 calls waiting for you")
	typed(t, keys, "/nonsense")
	s.sees(t, "unknown command /nonsense")
	typed(t, keys, "/stop")
	if up := d.got(); up.Stop == nil || up.Stop.Session != terminalSession {
		t.Errorf("/stop = %+v", up)
	} else {
		d.send(wire.Down{Answer: &wire.Answer{Ref: up.Stop.Ref}})
	}
	s.sees(t, "(stopped)\n> ")
	typed(t, keys, "/new")
	s.sees(t, "a fresh conversation: ")
	typed(t, keys, "hello")
	m := d.message()
	if m.Session == terminalSession || !strings.HasPrefix(m.Session, terminalSession+"-") {
		t.Errorf("session after /new = %q", m.Session)
	}
	d.reply(m, "in the new one")
	s.sees(t, "in the new one")
	// A refused frame is told, and the prompt comes back.
	typed(t, keys, "more")
	d.send(wire.Down{Fault: &wire.Fault{Ref: d.message().ID, Code: "busy", What: "too much\x1b[2J", Fix: "wait"}})
	s.sees(t, `error: too much\x1b[2J`)
	s.sees(t, "fix  wait")
	s.sees(t, "> ")
}

// Input from a pipe that ends waits for its replies; a question that nobody can answer ends it.
func TestChatDrainsAPipe(t *testing.T) {
	d, keys, s, ended := talk(t)
	typed(t, keys, "one")
	m := d.message()
	_ = keys.Close()
	d.reply(m, "the reply")
	s.sees(t, "the reply")
	if err := <-ended; err != nil {
		t.Errorf("chat = %v", err)
	}

	// An answer to a question that came too late is no reply to the message that still runs.
	card := question("open")
	d, keys, s, ended = talk(t, card)
	s.sees(t, "run it once?")
	typed(t, keys, "y")
	late := d.got()
	card.State = "expired"
	d.send(wire.Down{Settled: &card})
	s.sees(t, "OPEN write_file: expired")
	typed(t, keys, "two")
	m = d.message()
	_ = keys.Close()
	d.send(wire.Down{Fault: &wire.Fault{Ref: late.Decide.Ref, Code: "decided", What: "already decided"}})
	s.sees(t, "already decided")
	d.reply(m, "the second reply")
	s.sees(t, "the second reply")
	if err := <-ended; err != nil {
		t.Errorf("chat = %v", err)
	}

	d, keys, s, ended = talk(t)
	typed(t, keys, "one")
	d.message()
	_ = keys.Close()
	d.send(wire.Down{Card: &card})
	s.sees(t, "run it once?")
	if err := <-ended; err != nil {
		t.Errorf("chat = %v", err)
	}
}

func TestChatSaysThatTheGatewayIsGone(t *testing.T) {
	d, _, s, ended := talk(t)
	s.sees(t, "> ")
	_ = d.conn.Close()
	err := <-ended
	f, ok := errors.AsType[*failure](err)
	if !ok || f.code != exitFailed || f.fix == "" {
		t.Errorf("chat = %v, want a failure with a fix", err)
	}
	if errors.Is(err, context.Canceled) {
		t.Error("it was not the user who ended it")
	}
}
