//go:build docker

package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/fake"
)

// sleeper is the call of a command that takes a minute.
func sleeper() fake.Step { return calls(shell("touch /tmp/here; sleep 60", 60)) }

// /stop answers within a second while a container runs, the container goes, and open questions end.
func TestTelegramStop(t *testing.T) {
	t.Parallel()
	w := startTelegram(t, setting{})
	p := w.phone(owner)
	w.model.Script(sleeper())
	p.says("wait for me")
	w.oneContainer()
	began := time.Now()
	p.says("/stop")
	p.shows("topped")
	within(t, "/stop", time.Second, began)
	w.noContainer()

	p.says("errand ask S1")
	card := p.card("ask-S1")
	p.says("/stop")
	p.becomes(card.MessageID, false)
	if out := w.claw("approvals", "--json"); strings.Contains(out.stdout, "S1") {
		t.Errorf("still open after /stop: %s", out.stdout)
	}
	if toast := p.toast(p.pressAgain(card, approve)); toast.Text == "" {
		t.Error("a button of a stopped question says nothing")
	}
	p.says("errand text S2")
	p.shows(ending("S2"))
	if n := (&errand{kind: errandAsk, mark: "S1"}).lines(w); n != 0 {
		t.Error("a stopped call ran")
	}
}

// Commands are registered, and each answers.
func TestTelegramCommands(t *testing.T) {
	t.Parallel()
	w := startTelegram(t, setting{})
	p := w.phone(owner)
	p.sees("the menu", func([]fake.Shown) bool { return len(w.tg.Commands()) > 0 })
	var names []string
	for _, c := range w.tg.Commands() {
		names = append(names, c.Command)
	}
	for _, want := range []string{"new", "stop", "status", "approvals", "help"} {
		if !slices.Contains(names, want) {
			t.Errorf("no command %q in the menu %v", want, names)
		}
	}
	p.says("errand text M1")
	p.shows(ending("M1"))
	for _, name := range names {
		before := len(w.tg.Chat(owner))
		p.says("/" + name)
		p.sees("an answer to /"+name, func(chat []fake.Shown) bool { return len(chat) > before })
	}
	// After /new the model does not hear of what was before.
	p.says("/new")
	p.says("errand text M2")
	p.shows(ending("M2"))
	if strings.Contains(heard(w.model), "M1") {
		t.Errorf("after /new the model hears %q", heard(w.model))
	}
}

// What was written while this computer was off asks before it acts, and the model knows its age.
func TestTelegramLateMessageAsks(t *testing.T) {
	t.Parallel()
	w := startTelegram(t, setting{})
	p := w.phone(owner)
	w.tg.SayAs(fake.UserMessage{From: owner, Text: "errand auto L1", Date: time.Now().Add(-20 * time.Minute).Unix()})
	card := p.card("auto-L1")
	e := &errand{kind: errandAuto, mark: "L1"}
	if e.lines(w) != 0 {
		t.Fatal("a late message acted unasked")
	}
	if !strings.Contains(heard(w.model), "sent 20 min ago") {
		t.Errorf("the model was not told how old the message is: %q", heard(w.model))
	}
	p.press(card, approve)
	p.shows(ending("L1"))
	if n := e.lines(w); n != 1 {
		t.Errorf("the effect is there %d times, want once", n)
	}
	// The next one is in time, and acts.
	if err := p.do(t.Context(), &errand{kind: errandAuto, mark: "L2"}); err != nil {
		t.Fatal(err)
	}
	if n := p.count("Approve?", "auto-L2"); n != 0 {
		t.Error("a message in time asked too")
	}
}
