package chat_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/gateway/internal/chat"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/internal/wire"
)

var update = flag.Bool("update", false, "rewrite golden files")

// code is the short name of an approval, which is random.
var code = regexp.MustCompile("`[2-9A-HJ-NP-Z]{4}`")

// What each command answers, word for word. No model reads any of it.
func TestCommandsGolden(t *testing.T) {
	h := furnish(t, func(h *house) {
		h.fixed = time.Date(2026, 11, 22, 14, 5, 11, 0, time.UTC)
		h.clock = clock{{Name: "morning", Schedule: "0 7 * * *", Timezone: "Europe/Berlin", Enabled: true}, {Name: "tidy", Schedule: "*/5 * * * *", Timezone: "Local"}}
	})
	b := h.bridge()
	n := 0
	var got strings.Builder
	say := func(text string) string {
		t.Helper()
		n++
		id := fmt.Sprint("m", n)
		b.say(id, anna, text)
		if a := b.accepted(); a.Message != id || a.Run != "" {
			t.Errorf("accepted = %+v, want %s without a run", a, id)
		}
		m := b.find("an answer to "+text, anna, func(m *onShow) bool {
			return m.kind != wire.SendCard && len(b.screen[anna]) == n
		})
		fmt.Fprintf(&got, "=== %s\n%s\n%s\n", text, code.ReplaceAllString(m.text, "`CODE`"), keys(m.menu))
		return m.text
	}
	for _, text := range []string{
		"/start", "/help", "/status", "/approvals", "/audit", "/sessions", "/memories", "/forget the cat", "/heartbeats", "/stop",
		"/new", "/sessions", "/dance `*wildly*`", "/", "/HELP@claw_bot please",
	} {
		say(text)
	}
	if len(h.model.asked) != 0 {
		t.Errorf("the model was asked: %+v", h.model.asked)
	}
	file := filepath.Join("testdata", "commands.golden")
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
}

func TestApprovalsShowsTheCardsAgain(t *testing.T) {
	h := newHouse(t)
	b := h.bridge()
	b.say("m1", ben, "send bob")
	guests := b.card(ben, "pending")
	h.connect().say("t1", "s", "send ada")
	first := b.card(anna, "pending")
	b.say("m2", anna, "/approvals")
	m := b.shows("1 call waiting for your answer")
	if !strings.Contains(m.text, first.card.Code) || strings.Contains(m.text, guests.card.Code) {
		t.Errorf("answer = %q, want %s and not the guest's %s", m.text, first.card.Code, guests.card.Code)
	}
	var again onShow
	b.await("the card again", func() bool {
		n := 0
		for _, m := range b.screen[anna] {
			if m.kind == wire.SendCard {
				n, again = n+1, *m
			}
		}
		return n == 2
	})
	b.tap(anna, again, false)
	b.await("both denied", func() bool {
		n := 0
		for _, m := range b.screen[anna] {
			if m.kind == wire.SendCard && m.card.State == "denied" {
				n++
			}
		}
		return n == 2
	})
}

func TestStopEndsEverythingOfItsUser(t *testing.T) {
	h := newHouse(t)
	b := h.bridge()
	b.say("m1", ben, "send bob")
	b.card(ben, "pending")
	b.say("m2", anna, "send ada")
	card := b.card(anna, "pending")
	b.say("m3", anna, "waits behind")
	b.say("m4", anna, "/new")
	b.shows("What still runs in the last one goes on")
	b.say("m5", anna, "send eve")
	b.await("a second card", func() bool {
		n := 0
		for _, m := range b.screen[anna] {
			if m.kind == wire.SendCard {
				n++
			}
		}
		return n == 2
	})
	began := time.Now()
	b.say("m6", anna, "/stop")
	b.shows("Stopped: 2 runs and 1 waiting message. 2 open questions were withdrawn.")
	if took := time.Since(began); took > time.Second {
		t.Errorf("a stop took %v", took)
	}
	b.await("both withdrawn and three stopped", func() bool {
		cards, stopped := 0, 0
		for _, m := range b.screen[anna] {
			if m.kind == wire.SendCard && m.card.State == "cancelled" {
				cards++
			}
			if strings.HasPrefix(m.text, "Stopped.") || m.text == "Stopped before it began." {
				stopped++
			}
		}
		return cards == 2 && stopped == 3
	})
	if f := b.press(anna, card, true); f == nil || f.Code != "decided" {
		t.Errorf("a tap after the stop: %+v", f)
	}
	b.say("m7", anna, "/stop")
	b.shows("Nothing was running.")
	b.tap(ben, b.card(ben, "pending"), true) // somebody else's goes on
	b.showsTo(ben, "ok: sent")
	if n := h.tool.count(); n != 1 {
		t.Errorf("%d effects, want the guest's", n)
	}
	h.stop()
	h.start()
	b = h.bridge()
	b.say("m8", anna, "hello")
	b.shows("you said hello")
	if n := b.texts(anna); n != 1 {
		t.Errorf("%d texts after a restart, want the one reply: what was stopped stays stopped", n)
	}
}

// A "/stop" may overtake what was said before it, a file that is still loading above all. It stops that too, and
// nothing that was said after it.
func TestStopReachesWhatComesAfterIt(t *testing.T) {
	h := newHouse(t)
	b := h.bridge()
	at := time.Now().UTC().Truncate(time.Second)
	say := func(id, text string, seq int64, sent time.Time) {
		b.send(wire.Up{Message: &wire.Message{ID: id, User: anna, Text: text, Seq: seq, Sent: sent}})
	}
	say("m3", "/stop", 3, at)
	b.shows("Nothing was running")
	say("m2", "send ada", 2, at)
	b.shows("Stopped before it began")
	say("m4", "hello", 4, at)
	b.shows("you said hello")
	say("n1", "hello again", 1, at.Add(time.Hour)) // numbers that began anew
	b.shows("you said hello again")
	if n := h.tool.count(); n != 0 {
		t.Errorf("what was stopped ran %d times", n)
	}
}

func TestNewConversationKnowsNothing(t *testing.T) {
	h := newHouse(t)
	b := h.bridge()
	b.say("m1", anna, "hello")
	b.shows("you said hello")
	b.say("m2", anna, "/new")
	b.say("m2", anna, "/new") // delivered twice: it is one
	b.say("m3", anna, "who am I?")
	b.shows("you said who am I?")
	if turns := h.model.asked[1].Turns; len(turns) != 1 {
		t.Errorf("the model was shown %+v, want the new message alone", turns)
	}
	sessions, err := h.db.SessionsOf(t.Context(), "telegram", anna, 0)
	if err != nil || len(sessions) != 2 {
		t.Errorf("sessions = %+v, %v, want two", sessions, err)
	}
	h.stop()
	h.start()
	b = h.bridge()
	b.say("m4", anna, "still there?")
	b.shows("you said still there?")
	if turns := h.model.asked[2].Turns; len(turns) != 3 {
		t.Errorf("after a restart the model was shown %+v, want the new conversation", turns)
	}
}

// What an earlier life accepted and did not carry out is carried out at the start. A stop stops what
// was said before it, and not what came after.
func TestCommandsOfAnEarlierLife(t *testing.T) {
	h := newHouse(t)
	h.connect() // it has looked at what an earlier life left
	store := h.db
	accept := func(id, session, text string, command bool) {
		t.Helper()
		at := time.Now().Add(-time.Hour)
		origin := claw.Origin{Channel: "telegram", User: anna}
		if _, err := store.CreateSession(t.Context(), claw.Session{ID: claw.SessionID(session), Channel: "telegram", User: anna, Created: at}); err != nil {
			t.Fatal(err)
		}
		if _, err := store.AcceptMessage(t.Context(), claw.Message{ID: id, Session: claw.SessionID(session), Text: text, Origin: origin, Label: claw.UserLabel(), At: at, Command: command}); err != nil {
			t.Fatal(err)
		}
	}
	accept("m1", "a", "send ada", false)
	accept("m2", "b", "before", false)
	accept("m3", "a", "/stop", true)
	accept("m4", "a", "after", false)
	accept("m5", "a", "/help", true)
	h.stop()
	h.start()
	b := h.bridge()
	b.shows("you said after")
	b.shows("Write what you want in your own words")
	b.await("two that never began", func() bool {
		n := 0
		for _, m := range b.screen[anna] {
			if m.text == "Stopped before it began." {
				n++
			}
		}
		return n == 2
	})
	b.find("the stop", anna, func(m *onShow) bool { return m.text == "Stopped." })
	if n := b.texts(anna); n != 5 || len(h.model.asked) != 1 {
		t.Errorf("%d texts and %d questions to the model, want 5 and 1", n, len(h.model.asked))
	}
}

// Who was taken off the list while he was answered gets no answer from the model any more.
func TestTakenOffTheListMeanwhile(t *testing.T) {
	h := newHouse(t)
	b := h.bridge()
	b.say("m1", ben, "send bob")
	card := b.card(ben, "pending")
	h.stop()
	h.users = chat.Users{"telegram": {anna}}
	h.start()
	c := h.connect()
	c.send(wire.Up{Decide: &wire.Decide{Ref: "d", Approval: card.card.ID}})
	until(c, anAnswer)
	b = h.bridge()
	b.showsTo(ben, "not on the list of users any more")
	if f := b.press(ben, card, true); f == nil || f.Code != "forbidden" {
		t.Errorf("a tap: %+v", f)
	}
	if n := len(h.model.asked); n != 1 {
		t.Errorf("the model was asked %d times, want only before", n)
	}
}

// clock is a clock that stands still.
type clock []claw.Heartbeat

func (c clock) Heartbeats(context.Context) ([]claw.Heartbeat, error) { return c, nil }
func (c clock) Toggle(context.Context, string, bool) error           { return nil }
func (c clock) Ended(_ context.Context, _ claw.Message, _, text string) (string, error) {
	return text, nil
}
