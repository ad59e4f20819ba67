package gateway_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/memory"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// remember puts memories into the state of a gateway that does not run.
func (h *home) remember(memories ...claw.Memory) {
	h.t.Helper()
	must := func(err error) {
		h.t.Helper()
		if err != nil {
			h.t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(h.dir, "state"), 0o700))
	db, err := sqlite.Open(context.Background(), filepath.Join(h.dir, "state", "gateway"))
	must(err)
	kept, err := memory.New(memory.Options{Store: db, Owner: func(claw.Origin) string { return claw.Owner }, Now: time.Now})
	must(err)
	for _, m := range memories {
		_, err := kept.Save(context.Background(), m)
		must(err)
	}
	kept.Close()
	must(db.Close())
}

// menu waits for a menu of a user with some words in it.
func (h *home) menu(bridge *wire.Conn, user int, words ...string) *wire.Send {
	h.t.Helper()
	var found *wire.Send
	h.await(bridge, fmt.Sprintf("a menu with %q", words), func(d wire.Down) bool {
		if d.Send == nil || d.Send.Kind != wire.SendMenu || d.Send.User != fmt.Sprint(user) {
			return false
		}
		for _, w := range words {
			if !strings.Contains(d.Send.Text, w) {
				return false
			}
		}
		found = d.Send
		return true
	})
	return found
}

// tap taps the button of a menu that begins with a label, as one whose message is shown.
func (h *home) tap(bridge *wire.Conn, user int, m *wire.Send, label string) {
	h.t.Helper()
	for _, row := range m.Menu.Rows {
		for _, k := range row {
			if strings.HasPrefix(k.Label, label) {
				up := wire.Up{Tap: &wire.Tap{Ref: "tap " + label, User: fmt.Sprint(user), Item: m.Item, Shown: fmt.Sprint(m.Item), Data: k.Data}}
				if err := bridge.Send(up); err != nil {
					h.t.Fatal(err)
				}
				return
			}
		}
	}
	h.t.Fatalf("no button %q in %+v", label, m.Menu.Rows)
}

// A whole gateway: the owner finds what is remembered, over a restart, and has one of it forgotten; a guest sees none of it.
func TestMenusOfAWholeGateway(t *testing.T) {
	h := newHome(t)
	h.remember(
		claw.Memory{Owner: claw.Owner, Category: "food", Content: "Anna is allergic to peanuts", Author: "model", Source: "telegram", Label: claw.UserLabel()},
		claw.Memory{Owner: claw.Owner, Category: "work", Content: "The offer of Pistachio Ltd ends in May", Author: "model", Source: "telegram",
			Label: claw.Label{Sources: []string{"web news.example"}}},
	)
	h.start()
	bridge := h.dial("telegram")
	say := func(id string, user int, what string) {
		t.Helper()
		if err := bridge.Send(wire.Up{Message: &wire.Message{ID: id, User: fmt.Sprint(user), Text: what, Sent: time.Now()}}); err != nil {
			t.Fatal(err)
		}
	}
	say("m1", guest, "/memories")
	h.await(bridge, "nothing of the owner's", text(guest, "Nothing is remembered yet"))
	say("m2", owner, "/memories")
	m := h.menu(bridge, owner, "2 memories", "allergic to peanuts", "⚠ from web news.example: The offer of Pistachio Ltd")
	h.tap(bridge, owner, m, "work")
	h.menu(bridge, owner, "**work**: 1 memory")
	say("m3", owner, "/forget peanuts")
	m = h.menu(bridge, owner, "Forget this?", "allergic to peanuts")
	_ = bridge.Close()
	h.stop()

	h.start()
	bridge = h.dial("telegram")
	h.tap(bridge, owner, m, "🗑")
	h.menu(bridge, owner, "1 memory forgotten")
	say("m4", owner, "/memories")
	if m = h.menu(bridge, owner, "1 memory", "Pistachio"); strings.Contains(m.Text, "peanuts") {
		t.Errorf("after it was forgotten: %q", m.Text)
	}
	say("m5", owner, "/sessions")
	h.menu(bridge, owner, "Your conversations", "you are here")
}
