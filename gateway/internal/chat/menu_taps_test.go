package chat_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/chat"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/outbox"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// Only a button of one's own menu counts.
func TestForgedTaps(t *testing.T) {
	kept, beats := remembered(8), &wheel{clock: heartbeats()}
	h := furnish(t, func(h *house) { h.kept, h.clock = kept, beats })
	b := h.bridge()
	m := b.opens("m1", anna, "/forget tea")
	beat := b.opens("m2", anna, "/heartbeats")
	guests := b.opens("m3", ben, "/heartbeats")
	b.say("m4", anna, "/help")
	text := b.shows("in your own words")
	one, all := b.button(m, "🗑 #8"), b.button(m, "Forget all")
	off := b.button(beat, "⏸ Turn off morning")
	before := len(h.said)
	for name, tap := range map[string]wire.Tap{
		"a stranger":                  {User: eve, Item: m.item, Shown: m.ref, Data: one},
		"nobody":                      {Item: m.item, Shown: m.ref, Data: one},
		"another spelling of a user":  {User: "0" + anna, Item: m.item, Shown: m.ref, Data: one},
		"a guest, on the owner's":     {User: ben, Item: m.item, Shown: m.ref, Data: one},
		"a guest, on a message of no": {User: ben, Item: m.item, Shown: "77", Data: one},
		"a message that is no menu":   {User: anna, Item: text.item, Shown: text.ref, Data: one},
		"a menu behind another":       {User: anna, Item: m.item, Shown: beat.ref, Data: one},
		"a button of another menu":    {User: anna, Item: m.item, Shown: beat.ref, Data: off},
		"a number of nothing":         {User: anna, Item: 1 << 40, Shown: "78", Data: one},
		"no message":                  {User: anna, Item: m.item, Data: one},
		"no data":                     {User: anna, Item: m.item, Shown: m.ref},
		"another menu's data":         {User: anna, Item: m.item, Shown: m.ref, Data: off},
		"a memory that is not shown":  {User: anna, Item: m.item, Shown: m.ref, Data: "f:900"},
		"a memory of another's":       {User: anna, Item: m.item, Shown: m.ref, Data: "f:900"},
		"an id in another spelling":   {User: anna, Item: m.item, Shown: m.ref, Data: "f:08"},
		"a negative id":               {User: anna, Item: m.item, Shown: m.ref, Data: "f:-8"},
		"all of something else":       {User: anna, Item: m.item, Shown: m.ref, Data: "all:0123456789abcdef"},
		"all, without which":          {User: anna, Item: m.item, Shown: m.ref, Data: "all"},
		"too much data":               {User: anna, Item: m.item, Shown: m.ref, Data: strings.Repeat("f", 41)},
		"data with a space":           {User: anna, Item: m.item, Shown: m.ref, Data: "f: 8"},
		"data with letters":           {User: anna, Item: m.item, Shown: m.ref, Data: "f:٨"},
		"a guest turns off":           {User: ben, Item: guests.item, Shown: guests.ref, Data: off},
		"a heartbeat of no name":      {User: anna, Item: beat.item, Shown: beat.ref, Data: "on:0123456789abcdef"},
		"a page before the first":     {User: anna, Item: beat.item, Shown: beat.ref, Data: "p:-1"},
	} {
		d := b.touch(tap)
		if d.Fault == nil && d.Answer.Said == "" {
			t.Errorf("%s: %+v, want a sentence", name, d.Answer)
		}
		if d.Fault != nil && (d.Fault.What == "" || len(d.Fault.What) > 180) {
			t.Errorf("%s: fault %+v, want a short sentence", name, d.Fault)
		}
	}
	if got := len(kept.ids()); got != 9 || beats.toggles != 0 || len(h.said) != before {
		t.Errorf("%d memories and %d toggles, recorded %q, want all 9 and none", got, beats.toggles, h.said[before:])
	}
	if !h.noted("forbidden", "user:"+eve, "tap") || !h.noted("forbidden", "user:"+ben, "tap") {
		t.Errorf("audit = %q, want the refusals", h.notes)
	}
	// The right one still counts.
	if d := b.touch(wire.Tap{User: anna, Item: m.item, Shown: m.ref, Data: all}); d.Answer == nil || d.Answer.Said != "8 memories forgotten." {
		t.Errorf("the right tap: %+v %+v", d.Answer, d.Fault)
	}
}

// A bridge may say a tap again, after it was carried out and before it heard so.
func TestATapThatComesAgain(t *testing.T) {
	kept, beats := remembered(8), &wheel{clock: heartbeats()}
	h := furnish(t, func(h *house) { h.kept, h.clock = kept, beats })
	b := h.bridge()
	again := func(m onShow, label string) (said []string) {
		t.Helper()
		tap := wire.Tap{User: anna, Item: m.item, Shown: m.ref, Data: b.button(m, label)}
		for range 3 {
			d := b.touch(tap)
			if d.Answer == nil {
				t.Fatalf("a tap on %s: %+v", label, d.Fault)
			}
			said = append(said, d.Answer.Said)
		}
		return said
	}
	m := b.opens("m1", anna, "/forget tea")
	if said := again(m, "🗑 #8"); said[0] != "1 memory forgotten." || said[2] != "That is not among them any more." {
		t.Errorf("said %q", said)
	}
	m = b.newer(anna, m)
	if got := kept.ids(); !slices.Equal(got, []int64{1, 2, 3, 4, 5, 6, 7, 900}) || !strings.Contains(m.text, "**1 memory forgotten**") {
		t.Errorf("left are %v, the menu says %q", got, m.text)
	}
	again(b.opens("m2", anna, "/heartbeats"), "⏸ Turn off morning")
	if found, _ := beats.Heartbeats(t.Context()); beats.toggles != 1 || found[0].Enabled {
		t.Errorf("%d toggles, on: %v, want one and off", beats.toggles, found[0].Enabled)
	}
	m = b.opens("m3", anna, "/memories")
	again(m, "Older")
	if m = b.find("the second page", anna, func(n *onShow) bool { return n.ref == m.ref && strings.Contains(n.text, "#1*") }); strings.Contains(keys(m.menu), "Older") {
		t.Errorf("after one tap, three times: %q", m.text)
	}
}

// A death after the deed and before the menu moved: the tap comes again and finds it done.
func TestADeathInATap(t *testing.T) {
	kept := remembered(4)
	fail := &menuStore{}
	h := furnish(t, func(h *house) { h.kept, h.wrap = kept, func(db *sqlite.DB) store { fail.DB = db; return fail } })
	b := h.bridge()
	m := b.opens("m1", anna, "/forget tea")
	tap := wire.Tap{User: anna, Item: m.item, Shown: m.ref, Data: b.button(m, "Forget all 4")}
	fail.set(errDisk)
	if d := b.touch(tap); d.Fault == nil || len(kept.ids()) != 1 {
		t.Fatalf("answer %+v, left are %v", d.Answer, kept.ids())
	}
	fail.set(nil)
	h.stop()
	h.start()
	b = h.bridgeAfter(b)
	if d := b.touch(tap); d.Answer == nil || d.Answer.Said != "4 memories forgotten." {
		t.Errorf("the tap again: %+v %+v", d.Answer, d.Fault)
	}
	if m := b.find("the menu", anna, func(n *onShow) bool { return n.ref == m.ref && n.menu.Version > 1 }); !strings.Contains(m.text, "**4 memories forgotten**") || m.menu.Rows != nil {
		t.Errorf("the menu says %q %s", m.text, keys(m.menu))
	}
}

// bridgeAfter is a bridge that connects after another, in front of the same chats.
func (h *house) bridgeAfter(old *bridge) *bridge {
	h.t.Helper()
	b := &bridge{t: h.t, conn: h.connectAs("telegram").conn, screen: old.screen, refs: old.refs}
	b.begin()
	return b
}

// menuStore cannot move a menu for a while.
type menuStore struct {
	*sqlite.DB
	mu  sync.Mutex
	err error
}

func (s *menuStore) set(err error) { s.mu.Lock(); defer s.mu.Unlock(); s.err = err }

func (s *menuStore) MoveMenu(ctx context.Context, seq, from int64, state string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return false, s.err
	}
	return s.DB.MoveMenu(ctx, seq, from, state)
}

// What could not be recorded is not done.
func TestATapThatCannotBeRecorded(t *testing.T) {
	kept, beats := remembered(4), &wheel{clock: heartbeats()}
	h := furnish(t, func(h *house) { h.kept, h.clock = kept, beats })
	b := h.bridge()
	m, beat := b.opens("m1", anna, "/forget tea"), b.opens("m2", anna, "/heartbeats")
	h.mu.Lock()
	h.deaf = errors.New("the log is broken")
	h.mu.Unlock()
	for _, tap := range []wire.Tap{
		{User: anna, Item: m.item, Shown: m.ref, Data: b.button(m, "Forget all")},
		{User: anna, Item: beat.item, Shown: beat.ref, Data: b.button(beat, "⏸ Turn off morning")},
	} {
		if d := b.touch(tap); d.Fault == nil {
			t.Errorf("tap %+v: %+v, want a fault", tap, d.Answer)
		}
	}
	if len(kept.ids()) != 5 || beats.toggles != 0 {
		t.Errorf("left are %v, %d toggles", kept.ids(), beats.toggles)
	}
}

// A memory into which something was merged since it was shown says more than what its button was about.
func TestAMemoryThatChangedIsShownAgainFirst(t *testing.T) {
	kept := remembered(2)
	h := furnish(t, func(h *house) { h.kept = kept })
	b := h.bridge()
	m := b.opens("m1", anna, "/forget tea")
	kept.mu.Lock()
	kept.all[0].Content, kept.all[0].Updated = "memory 1 about tea and the code of the door", time.Now().Add(time.Hour)
	kept.mu.Unlock()
	h.ahead.Store(int64(2 * time.Hour)) // the tap, and what is shown after it
	next, said := b.turn(anna, m, "Forget all 2")
	if !strings.HasPrefix(said, "This changed meanwhile") || len(kept.ids()) != 3 || !strings.Contains(next.text, "code of the door") {
		t.Errorf("said %q, left are %v, shown is %q", said, kept.ids(), next.text)
	}
	if _, said := b.turn(anna, next, "Forget all 2"); said != "2 memories forgotten." || len(kept.ids()) != 1 {
		t.Errorf("then said %q, left are %v", said, kept.ids())
	}
}

// The message of a menu that nobody knew of, for a bridge died before it could say so, is known from its first tap on.
func TestUnknownMessageOfAMenu(t *testing.T) {
	h := furnish(t, func(h *house) { h.kept = remembered(8) })
	b := h.bridge()
	m := b.opens("m1", anna, "/memories")
	b.mu.Lock()
	ghost := m
	ghost.ref = "5"
	b.screen[anna] = append(b.screen[anna], &ghost)
	b.mu.Unlock()
	if d := b.touch(wire.Tap{User: anna, Item: m.item, Shown: "5", Data: b.button(m, "Older")}); d.Answer == nil {
		t.Fatalf("%+v", d.Fault)
	}
	b.await("both edited", func() bool {
		n := 0
		for _, m := range b.screen[anna] {
			if strings.Contains(m.text, "**#1**") {
				n++
			}
		}
		return n == 2
	})
}

// A restart carries a command out again, and it is the same menu; a menu of before goes on.
func TestMenusOverARestart(t *testing.T) {
	kept, beats := remembered(8), &wheel{clock: heartbeats()}
	h := furnish(t, func(h *house) { h.kept, h.clock = kept, beats })
	b := h.bridge()
	m := b.opens("m1", anna, "/heartbeats")
	store := h.db
	if _, err := store.AcceptMessage(t.Context(), claw.Message{ID: "m2", Session: "telegram-" + anna, Text: "/forget tea", Command: true,
		Origin: claw.Origin{Channel: "telegram", User: anna}, Label: claw.UserLabel(), At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	h.stop()
	h.start()
	b = h.bridgeAfter(b)
	b.shows("Forget this?")
	if d := b.touch(wire.Tap{User: anna, Item: m.item, Shown: m.ref, Data: "off:" + chat.Tag("morning")}); d.Answer == nil || d.Answer.Said != "morning is off." {
		t.Errorf("a tap on the menu of an earlier life: %+v %+v", d.Answer, d.Fault)
	}
	if len(kept.ids()) != 9 {
		t.Errorf("left are %v: a command alone forgets nothing", kept.ids())
	}
}

// Two devices at once: each tap counts, one after the other.
func TestTapsAtTheSameTime(t *testing.T) {
	kept := remembered(8)
	h := furnish(t, func(h *house) { h.kept = kept })
	b := h.bridge()
	m := b.opens("m1", anna, "/forget tea")
	for i := range 8 {
		b.send(wire.Up{Tap: &wire.Tap{Ref: fmt.Sprint("at once ", i), User: anna, Item: m.item, Shown: m.ref, Data: fmt.Sprintf("f:%d", i+1)}})
	}
	for i := range 8 {
		if f := b.verdict(fmt.Sprint("at once ", i)); f != nil {
			t.Errorf("tap %d: %+v", i, f)
		}
	}
	b.shows("**8 memories forgotten**")
	if got := kept.ids(); !slices.Equal(got, []int64{900}) {
		t.Errorf("left are %v", got)
	}
}

// What a menu showed is nowhere on disk.
func TestNoMenuKeepsWords(t *testing.T) {
	kept := remembered(1)
	kept.all[0].Content, kept.all[0].Category = "zanzibar is the word", "kinshasa"
	h := furnish(t, func(h *house) { h.kept = kept })
	b := h.bridge()
	b.turn(anna, b.opens("m1", anna, "/memories"), "kinshasa")
	m := b.opens("m2", anna, "/forget #1")
	m, _ = b.turn(anna, m, "🗑 #1")
	if strings.Contains(m.text, "zanzibar") {
		t.Errorf("after it was forgotten the menu says %q", m.text)
	}
	for _, word := range []string{"zanzibar", "kinshasa"} {
		if file := h.onDisk(word); file != "" {
			t.Errorf("%s holds %q", file, word)
		}
	}
}

// Whoever was taken off the list is shown no menu any more, and neither is a menu that no version knows.
func TestMenusThatAreGone(t *testing.T) {
	h := furnish(t, func(h *house) { h.kept = remembered(2) })
	for name, item := range map[string]outbox.Item{
		"a stranger":       {Channel: "telegram", User: eve, Menu: outbox.Menu{Name: "memories", State: "{}"}},
		"an unknown menu":  {Channel: "telegram", User: anna, Menu: outbox.Menu{Name: "casino", State: "{}"}},
		"an unknown state": {Channel: "telegram", User: anna, Menu: outbox.Menu{Name: "memories", State: `{"words":"x"}`}},
		"no state":         {Channel: "telegram", User: anna, Menu: outbox.Menu{Name: "memories"}},
	} {
		if text, rows, err := h.desk.Menu(t.Context(), item); !errors.Is(err, outbox.ErrNoMenu) {
			t.Errorf("%s: %q %v %v, want no menu", name, text, rows, err)
		}
	}
}

// Without a topic it is said how; with nothing found that is said; with nothing there, what to do.
func TestWordsInPlaceOfMenus(t *testing.T) {
	kept := remembered(0)
	h := furnish(t, func(h *house) { h.kept = kept })
	b := h.bridge()
	for id, tc := range map[string]struct{ say, want string }{
		"m1": {"/forget", "/forget and a topic"}, "m2": {"/forget elephants", "Nothing is remembered about that"}, "m3": {"/forget #900", "Nothing is remembered about that"},
		"m4": {"/memories", "Say “remember that"}, "m5": {"/memories tea", "Say “remember that"}, "m6": {"/heartbeats", "No heartbeat is configured"},
	} {
		b.say(id, anna, tc.say)
		b.shows(tc.want)
	}
	kept.mu.Lock()
	kept.fails = errors.New("disk *full*")
	kept.mu.Unlock()
	b.say("m7", anna, "/memories")
	b.shows(`That did not work: disk \*full\*.`)
}

// What went by another way since it was shown is not counted, and the button that named it does nothing.
func TestMemoriesThatWentMeanwhile(t *testing.T) {
	kept := remembered(8)
	h := furnish(t, func(h *house) { h.kept = kept })
	b := h.bridge()
	m := b.opens("m1", anna, "/forget tea")
	if _, err := kept.Forget(t.Context(), claw.Owner, []int64{3}); err != nil {
		t.Fatal(err)
	}
	m, said := b.turn(anna, m, "Forget all 8")
	if !strings.HasPrefix(said, "This changed meanwhile") || len(kept.ids()) != 8 {
		t.Errorf("said %q, left are %v", said, kept.ids())
	}
	if m, said = b.turn(anna, m, "Forget all 7"); said != "7 memories forgotten." || !strings.Contains(m.text, "**7 memories forgotten**") || m.menu.Rows != nil {
		t.Errorf("said %q, shown is %q %s", said, m.text, keys(m.menu))
	}
}
