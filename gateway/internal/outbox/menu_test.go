package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/gateway/internal/outbox"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// aMenu is a menu whose name is its key, so that it is known on the wire.
func aMenu(user, key string) outbox.Item {
	i := item(wire.SendMenu, user, key)
	i.Text, i.Menu = "", outbox.Menu{Name: key, State: "{}", Version: 1}
	return i
}

// menu shows a menu's name and how often it was moved.
func (w *world) menu(_ context.Context, i outbox.Item) (string, [][]wire.Button, error) {
	switch {
	case w.blind.Load():
		return "", nil, errors.New("input/output error")
	case i.Menu.Name == "unknown":
		return "", nil, outbox.ErrNoMenu
	}
	return i.Menu.Name, [][]wire.Button{{{Label: "next", Data: i.Menu.State}}}, nil
}

func (w *world) sentMenu(s *wire.Send, ref string) {
	w.feed.Sent(context.Background(), wire.Sent{Item: s.Item, Part: s.Part, Parts: 1, Ref: ref, State: fmt.Sprint(s.Menu.Version)})
}

func (w *world) turn(s *wire.Send, state string) {
	w.t.Helper()
	if moved, err := w.db.MoveMenu(context.Background(), s.Item, s.Menu.Version, state); err != nil || !moved {
		w.t.Fatalf("MoveMenu = %v, %v", moved, err)
	}
	w.out.Wake()
}

// What a menu shows is made when it leaves, in the version that is sent; what changes meanwhile leaves after it.
func TestAMenuIsMadeWhenItLeaves(t *testing.T) {
	w := start(t)
	w.put(item(wire.SendText, "7", "text"), aMenu("7", "list"))
	text := w.send("text", 0)
	w.sent(text, 1, "m1")
	s := w.send("list", 0)
	if diff := cmp.Diff(&wire.Menu{Rows: [][]wire.Button{{{Label: "next", Data: "{}"}}}, Version: 1}, s.Menu); diff != "" || s.Kind != wire.SendMenu {
		t.Errorf("%s, menu (-want +got):\n%s", s.Kind, diff)
	}
	w.turn(s, "two")
	w.put(item(wire.SendText, "7", "after"))
	w.sentMenu(s, "m2")
	s = w.send("list", 0)
	if s.Menu.Version != 2 || s.Menu.Rows[0][0].Data != "two" || !cmp.Equal(s.Shown, []string{"m2"}) {
		t.Errorf("then comes %+v %+v, want version 2 as an edit", s, s.Menu)
	}
	w.sentMenu(s, "")
	w.sent(w.send("after", 0), 1, "m3")
	w.turn(s, "three")
	if s = w.send("list", 0); s.Menu.Version != 3 {
		t.Errorf("after a tap comes %+v", s.Menu)
	}
}

// A gateway or a bridge that dies while a menu is on its way sends it again, and loses no version.
func TestAMenuOverARestart(t *testing.T) {
	w := start(t)
	w.put(aMenu("7", "list"))
	s := w.send("list", 0)
	w.sentMenu(s, "m1")
	w.turn(s, "two")
	s = w.send("list", 0)
	w.end()
	w.open()
	w.serve()
	again := w.send("list", 0)
	if diff := cmp.Diff(s, again); diff != "" {
		t.Errorf("the second time (-first +again):\n%s", diff)
	}
	w.sentMenu(again, "")
	w.put(item(wire.SendText, "7", "after"))
	w.send("after", 0)
}

// A menu that nobody knows makes way; one that cannot be read for a while is shown when it can.
func TestMenusThatCannotBeShown(t *testing.T) {
	w := start(t)
	w.put(aMenu("7", "unknown"), item(wire.SendText, "7", "after"))
	w.sent(w.send("after", 0), 1, "m1")
	if got := w.givenUp(); !cmp.Equal(got, []string{"unknown"}) {
		t.Errorf("given up is %q", got)
	}
	w.blind.Store(true)
	w.put(aMenu("8", "list"))
	w.blind.Store(false)
	w.out.Wake()
	w.sentMenu(w.send("list", 0), "m2")
}
