package chat_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/chat"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/gateway/internal/outbox"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// Who may answer: the one who caused the call; for what a terminal caused, the owner. Nobody else,
// not with the right button, and the right one not with another button.
func TestOnlyTheAddresseeAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		ask       func(h *house, b *bridge)
		addressee string
	}{
		"a guest's call":    {func(h *house, b *bridge) { b.say("m1", ben, "send ada") }, ben},
		"the owner's call":  {func(h *house, b *bridge) { b.say("m1", anna, "send ada") }, anna},
		"a terminal's call": {func(h *house, b *bridge) { h.connect().say("t1", "s", "send ada") }, anna},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			b := h.bridge()
			tc.ask(h, b)
			card := b.card(tc.addressee, "pending")
			good := wire.Decide{Approval: card.card.ID, Allow: true, User: tc.addressee, Digest: card.card.Digest[:16]}
			for _, user := range []string{anna, ben, eve, "", "0" + tc.addressee, tc.addressee + " "} {
				if user == tc.addressee {
					continue
				}
				bad := good
				bad.User = user
				if f := b.decide(bad); f == nil || f.Code != "forbidden" {
					t.Errorf("a tap of %q: %+v, want it forbidden", user, f)
				}
				b.send(wire.Up{Ask: &wire.AskWhy{Ref: "why-" + user, Approval: bad.Approval, User: user, Digest: bad.Digest}})
				if f := b.verdict("why-" + user); f == nil || f.Code != "forbidden" {
					t.Errorf("a tap on why of %q: %+v, want it forbidden", user, f)
				}
			}
			if other := map[string]string{anna: ben, ben: anna}[tc.addressee]; b.count(other, wire.SendCard) != 0 || !h.noted("forbidden", "user:"+other, card.card.ID, "not yours") {
				t.Errorf("%s sees %d cards; audit = %q", other, b.count(other, wire.SendCard), h.notes)
			}
			for _, digest := range []string{"", card.card.Digest[:15], card.card.Digest[:17], card.card.Digest, strings.Repeat("0", 16), strings.ToUpper(card.card.Digest[:16])} {
				bad := good
				bad.Digest = digest
				if f := b.decide(bad); f == nil || f.Code != "forbidden" || !strings.Contains(f.What, "does not belong") {
					t.Errorf("a button of %q: %+v, want it forbidden", digest, f)
				}
			}
			if h.tool.count() != 0 {
				t.Fatal("the call ran")
			}
			if f := b.decide(good); f != nil {
				t.Fatalf("the right tap: %+v", f)
			}
			done := b.card(tc.addressee, "done")
			if done.ref != card.ref || done.card.By != tc.addressee || done.card.Via != "telegram" || done.card.Outcome != "ok" {
				t.Errorf("card = %+v, want the same one, with who and what", done.card)
			}
			if h.tool.count() != 1 {
				t.Errorf("%d effects", h.tool.count())
			}
		})
	}
}

func TestTapsThatComeTooLate(t *testing.T) {
	h := newHouse(t)
	b, c := h.bridge(), h.connect()
	b.say("m1", anna, "send ada")
	card := b.card(anna, "pending")
	b.send(wire.Up{Decide: &wire.Decide{Ref: "nobody", Approval: strings.Repeat("0", 32), User: anna, Digest: strings.Repeat("0", 16)}})
	if f := b.verdict("nobody"); f == nil || f.Code != "unknown" {
		t.Errorf("a tap on nothing: %+v", f)
	}
	if f := b.decide(wire.Decide{Approval: card.card.ID, User: anna, Name: "Anna\u202e \x1b[31m" + strings.Repeat("x", 100), Digest: card.card.Digest[:16]}); f != nil {
		t.Fatalf("%+v", f)
	}
	f := b.press(anna, card, true)
	if f == nil || f.Code != "decided" || !strings.HasPrefix(f.What, "already denied by Anna [31mx") || !strings.HasSuffix(f.What, " (telegram)") || strings.ContainsAny(f.What, "\u202e\x1b") {
		t.Errorf("the second tap: %+v", f)
	}
	c.send(wire.Up{Decide: &wire.Decide{Ref: "d", Approval: card.card.ID, Allow: true}})
	if f := until(c, aFault); f.Code != "decided" || !strings.Contains(f.What, "was already decided: denied by Anna") {
		t.Errorf("the terminal's answer: %+v", f)
	}
	b.card(anna, "denied") // the only one is settled
	h.ahead.Store(int64(time.Hour))
	b.say("m2", anna, "send bob")
	card = b.card(anna, "pending")
	h.ahead.Store(int64(2 * time.Hour))
	if f := b.press(anna, card, true); f == nil || f.Code != "expired" || h.tool.count() != 0 {
		t.Errorf("a tap after the deadline: %+v", f)
	}
}

// A card whose message nobody knew, because a bridge died between showing and saying so, is edited
// from the first tap on.
func TestUnknownMessageOfACard(t *testing.T) {
	h := newHouse(t)
	b := h.bridge()
	b.say("m1", anna, "send ada")
	card := b.card(anna, "pending")
	ghost := &onShow{ref: "5", kind: wire.SendCard, card: card.card}
	b.mu.Lock()
	b.screen[anna] = append(b.screen[anna], ghost)
	b.mu.Unlock()
	b.tap(anna, *ghost, true)
	b.await("both edited", func() bool {
		n := 0
		for _, m := range b.screen[anna] {
			if m.kind == wire.SendCard && m.card.State == "done" {
				n++
			}
		}
		return n == 2
	})
	late := &onShow{ref: "6", kind: wire.SendCard, card: card.card}
	b.mu.Lock()
	b.screen[anna] = append(b.screen[anna], late)
	b.mu.Unlock()
	if f := b.press(anna, *late, true); f == nil || f.Code != "decided" {
		t.Errorf("a tap on it afterwards: %+v", f)
	}
	b.await("the third edited", func() bool { return late.card.State == "done" })
}

// A card that could not be put when it was asked is put as soon as it can be, or by the next life.
func TestCardIsNeverLost(t *testing.T) {
	t.Run("the store works again", func(t *testing.T) {
		flaky := &flakyStore{fail: 3}
		h := furnish(t, func(h *house) { h.wrap = func(db *sqlite.DB) store { flaky.DB = db; return flaky } })
		b := h.bridge()
		b.say("m1", anna, "send ada")
		b.tap(anna, b.card(anna, "pending"), true)
		b.shows("ok: sent")
	})
	t.Run("not in this life", func(t *testing.T) {
		flaky := &flakyStore{fail: 1 << 30}
		h := furnish(t, func(h *house) { h.wrap = func(db *sqlite.DB) store { flaky.DB = db; return flaky } })
		c := h.connect()
		c.say("t1", "s", "send ada")
		card := until(c, aCard)
		h.stop()
		h.wrap = func(db *sqlite.DB) store { return db }
		h.start()
		b := h.bridge()
		if got := b.card(anna, "pending"); got.card.ID != card.ID || string(got.card.Input) != string(card.Input) {
			t.Errorf("card = %+v, want %+v", got.card, card)
		}
		b.say("m1", anna, "hello")
		b.shows("you said hello") // by now it is stored that the card is shown
		h.stop()
		h.start()
		b = h.bridge()
		b.say("m2", anna, "again")
		b.shows("you said again")
		if n := b.count(anna, wire.SendCard); n != 0 {
			t.Errorf("%d cards after another start, want none: the first is still there", n)
		}
	})
}

func TestDenyAndSayWhy(t *testing.T) {
	h := newHouse(t)
	b := h.bridge()
	b.say("m1", anna, "send ada")
	card := b.card(anna, "pending")
	ask := func(ref string) onShow {
		t.Helper()
		b.send(wire.Up{Ask: &wire.AskWhy{Ref: ref, Approval: card.card.ID, User: anna, Shown: card.ref, Digest: card.card.Digest[:16]}})
		if f := b.verdict(ref); f != nil {
			t.Fatalf("%+v", f)
		}
		return b.find("why not?", anna, func(m *onShow) bool { return m.kind == wire.SendWhy })
	}
	why := ask("1")
	for b.count(anna, wire.SendWhy) < 2 {
		why = ask("2") // a second tap asks again
	}
	if why.card.State != "pending" || h.tool.count() != 0 {
		t.Errorf("why = %+v, want the call to wait", why)
	}
	// A reply to something else is a message like any other, and so is somebody else's reply.
	b.send(wire.Up{Message: &wire.Message{ID: "m2", User: ben, Text: "no", ReplyTo: why.ref}})
	b.showsTo(ben, "you said no")
	b.send(wire.Up{Message: &wire.Message{ID: "m3", User: anna, Name: "Anna", Text: "not to her\n", ReplyTo: why.ref}})
	b.shows("denied: The user said no. Their words: not to her")
	if c := b.card(anna, "denied"); c.card.Why != "not to her" || c.card.By != "Anna ("+anna+")" || c.ref != card.ref {
		t.Errorf("card = %+v", c.card)
	}
	if n := b.count(anna, wire.SendText); n != 1 {
		t.Errorf("%d texts, want the model's alone", n)
	}
	b.send(wire.Up{Message: &wire.Message{ID: "m4", User: anna, Text: "really not", ReplyTo: why.ref}})
	b.shows("Already denied by Anna at ")
	b.send(wire.Up{Ask: &wire.AskWhy{Ref: "3", Approval: card.card.ID, User: anna, Digest: card.card.Digest[:16]}})
	if f := b.verdict("3"); f == nil || f.Code != "decided" {
		t.Errorf("why after all: %+v", f)
	}
	if h.tool.count() != 0 {
		t.Error("the call ran")
	}
	for _, req := range h.model.asked {
		for _, turn := range req.Turns {
			if strings.Contains(turn.Text, "not to her") || strings.Contains(turn.Text, "really not") {
				t.Errorf("the model read a reason as a message: %+v", turn)
			}
		}
	}
}

func TestNotifyTellsTheOneWhoCausedIt(t *testing.T) {
	h := newHouse(t)
	b, c := h.bridge(), h.connect()
	c.send(wire.Up{Query: &wire.Query{Ref: "here", What: wire.QueryApprovals}})
	until(c, anAnswer) // it sees what happens from now on
	action := claw.Action{Tool: "write_file", Input: strict.Value(`{"path":"/notes/*a*_b_"}`)}
	result := claw.ToolResult{Status: claw.OK}
	h.board.Notify(gate.Call{ID: "c1", Session: "s", Origin: claw.Origin{Channel: "telegram", User: ben}}, action, result, "notify[0]")
	if n := until(c, func(d wire.Down) *wire.Notice { return d.Notice }); !strings.Contains(n.Text, "/notes/*a*_b_") {
		t.Errorf("notice = %+v", n)
	}
	if m := b.showsTo(ben, "ok"); !strings.Contains(m.text, `write\_file /notes/\*a\*\_b\_`) {
		t.Errorf("notice = %q, want it as text and not as Markdown", m.text)
	}
	h.board.Notify(gate.Call{ID: "c2", Session: "s", Origin: claw.Origin{Channel: "terminal", User: "1000"}}, action, result, "notify[0]")
	b.say("m1", ben, "hello")
	b.showsTo(ben, "you said hello")
	if n := b.count(anna, wire.SendText); n != 0 {
		t.Errorf("the owner was told %d times of what a terminal and a guest did", n)
	}
}

// A notice is on disk before the conversation goes on: a death right after it does not lose it.
func TestNoticeIsStoredAtOnce(t *testing.T) {
	h := newHouse(t)
	for i := range 20 {
		h.board.Notify(gate.Call{ID: claw.CallID(fmt.Sprint("c", i)), Session: "s", Origin: claw.Origin{Channel: "telegram", User: ben}},
			claw.Action{Tool: "write_file", Input: strict.Value(`{}`)}, claw.ToolResult{Status: claw.OK}, "notify[0]")
		fresh, err := h.db.PutItem(t.Context(), outbox.Item{Channel: "telegram", User: ben, Key: fmt.Sprint("notice:c", i), Kind: wire.SendText, Text: "x"}, nil)
		if err != nil || fresh {
			t.Fatalf("notice %d is not stored when Notify returns (%v)", i, err)
		}
	}
}

func TestUnknownEndsAreToldEverywhere(t *testing.T) {
	h := newHouse(t)
	b, c := h.bridge(), h.connect()
	for range 2 {
		if err := h.board.Tell(t.Context(), "unknown:c1", "s", claw.Origin{Channel: "telegram", User: ben}, "It is *not* known."); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.board.Tell(t.Context(), "unknown:c2", "s", claw.Origin{Channel: "telegram", User: eve}, "Nor is this."); err != nil {
		t.Fatal(err)
	}
	b.showsTo(ben, `It is \*not\* known.`)
	b.shows("Nor is this.") // its user may hear nothing any more, so the owner does
	notice := func(d wire.Down) *wire.Notice { return d.Notice }
	if n := until(c, notice); n.Text != "It is *not* known." {
		t.Errorf("notice = %+v", n)
	}
	if n := until(h.connect(), notice); n.Text != "It is *not* known." { // one that comes later
		t.Errorf("notice = %+v", n)
	}
	if n := b.count(ben, wire.SendText); n != 1 {
		t.Errorf("told %d times", n)
	}
}

// What concerns everybody reaches each user of a messenger once, and the terminals that are there.
func TestAnnounce(t *testing.T) {
	h := newHouse(t)
	c := h.connect()
	for range 2 {
		h.board.Announce("browsing:off:1", "Browsing is off: *why*.")
	}
	if n := until(c, func(d wire.Down) *wire.Notice { return d.Notice }); n.Text != "Browsing is off: *why*." || n.Session != "" {
		t.Errorf("notice = %+v", n)
	}
	b := h.bridge()
	for _, user := range []string{anna, ben} {
		b.showsTo(user, `Browsing is off: \*why\*.`)
		if n := b.count(user, wire.SendText); n != 1 {
			t.Errorf("%s was told %d times, want once", user, n)
		}
	}
}

func TestDeliver(t *testing.T) {
	h := newHouse(t)
	b := h.bridge()
	data := []byte(strings.Repeat("x", 3000))
	call := gate.Call{ID: "c1", Session: "s", Origin: claw.Origin{Channel: "telegram", User: ben}}
	for range 2 {
		if err := h.board.Deliver(t.Context(), call, "../q3\u202e.pdf", "application/pdf", "as *you* asked", data); err != nil {
			t.Fatal(err)
		}
	}
	m := b.find("a file", ben, func(m *onShow) bool { return m.kind == wire.SendFile })
	if m.file.Name != "q3_.pdf" || m.file.Size != 3000 || len(m.file.SHA256) != 64 || m.text != "as *you* asked" {
		t.Errorf("file = %+v", m.file)
	}
	if n := b.count(ben, wire.SendFile) + b.count(anna, wire.SendFile); n != 1 {
		t.Errorf("%d files, want one", n)
	}
	for want, origin := range map[string]claw.Origin{
		"this conversation is in a terminal": {Channel: "terminal", User: "1000"},
		"not on the list":                    {Channel: "telegram", User: eve},
	} {
		call.Origin = origin
		if err := h.board.Deliver(t.Context(), call, "a", "", "", data); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Deliver for %+v = %v, want %q", origin, err, want)
		}
	}
	call.Origin = claw.Origin{Channel: "telegram", User: ben}
	if err := h.board.Deliver(t.Context(), call, "a", "", "", make([]byte, wire.MaxFile+1)); err == nil {
		t.Error("a file over the limit was taken")
	}
}

var _ outbox.Store = (*flakyStore)(nil)

// A question "why not?" that is answered by somebody who is not asked any more denies nothing.
func TestWhyOfAFormerOwner(t *testing.T) {
	h := newHouse(t)
	b := h.bridge()
	h.connect().say("t1", "s", "send ada")
	card := b.card(anna, "pending")
	b.send(wire.Up{Ask: &wire.AskWhy{Ref: "1", Approval: card.card.ID, User: anna, Digest: card.card.Digest[:16]}})
	why := b.find("why not?", anna, func(m *onShow) bool { return m.kind == wire.SendWhy })
	b.say("m1", anna, "/help") // by now it is stored that the question is shown
	b.shows("in your own words")
	h.stop()
	h.users = chat.Users{"telegram": {ben, anna}}
	h.start()
	b = h.bridge()
	b.send(wire.Up{Message: &wire.Message{ID: "m2", User: anna, Text: "no", ReplyTo: why.ref}})
	b.shows("This approval is not yours to answer.")
	b.tap(ben, b.card(ben, "pending"), true) // the new owner has the card
	b.card(ben, "done")
}
