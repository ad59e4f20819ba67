package chat_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// keys are the buttons of a menu for a golden file.
func keys(m *wire.Menu) string {
	if m == nil {
		return ""
	}
	var b strings.Builder
	for _, row := range m.Rows {
		for i, k := range row {
			if i > 0 {
				b.WriteByte(' ')
			}
			fmt.Fprintf(&b, "[%s]", k.Label)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// shelf is a store of memories.
type shelf struct {
	mu    sync.Mutex
	all   []claw.Memory
	fails error
}

func (s *shelf) list(is func(claw.Memory) bool) []claw.Memory {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []claw.Memory
	for _, m := range s.all {
		if is(m) {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b claw.Memory) int { return cmp.Compare(b.ID, a.ID) })
	return out
}

func (s *shelf) Categories(_ context.Context, owner string) ([]claw.MemoryCategory, error) {
	var out []claw.MemoryCategory
	for _, m := range s.list(func(m claw.Memory) bool { return m.Owner == owner }) {
		i := slices.IndexFunc(out, func(c claw.MemoryCategory) bool { return c.Name == m.Category })
		if i < 0 {
			out, i = append(out, claw.MemoryCategory{Name: m.Category}), len(out)
		}
		out[i].Count++
	}
	return out, s.fails
}

func (s *shelf) List(_ context.Context, q claw.MemoryQuery) ([]claw.Memory, error) {
	found := s.list(func(m claw.Memory) bool {
		return m.Owner == q.Owner && (q.Category == "" || m.Category == q.Category) && (q.Below == 0 || m.ID < q.Below)
	})
	return found[:min(len(found), q.Limit)], s.fails
}

func (s *shelf) Memories(_ context.Context, ids []int64) ([]claw.Memory, error) { // whoever owns them
	return s.list(func(m claw.Memory) bool { return slices.Contains(ids, m.ID) }), s.fails
}

func (s *shelf) About(ctx context.Context, owner, topic string, limit int) ([]claw.Memory, error) {
	return s.Search(ctx, owner, topic, limit)
}

func (s *shelf) Search(_ context.Context, owner, query string, limit int) ([]claw.Memory, error) {
	found := s.list(func(m claw.Memory) bool { return m.Owner == owner && strings.Contains(m.Content, query) })
	return found[:min(len(found), limit)], s.fails
}

func (s *shelf) Forget(_ context.Context, owner string, ids []int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.all)
	s.all = slices.DeleteFunc(s.all, func(m claw.Memory) bool { return m.Owner == owner && slices.Contains(ids, m.ID) })
	return before - len(s.all), s.fails
}

func (s *shelf) ids() (ids []int64) {
	for _, m := range s.list(func(claw.Memory) bool { return true }) {
		ids = append(ids, m.ID)
	}
	slices.Sort(ids)
	return ids
}

var someDay = time.Date(2026, 11, 22, 14, 5, 11, 0, time.UTC)

// remembered is a shelf with n memories of the owner's, some of them about tea, and one of somebody else's.
func remembered(n int) *shelf {
	s := &shelf{}
	for i := range n {
		m := claw.Memory{ID: int64(i + 1), Owner: claw.Owner, Category: []string{"food", "work", "people"}[i%3], Content: fmt.Sprintf("memory %d about tea", i+1),
			Label: claw.UserLabel(), Created: someDay.AddDate(0, 0, i-n)}
		if i%4 == 3 {
			m.Label = claw.Label{Integrity: claw.External, Sources: []string{"mail bob@example.org", "web a.example", "web news.example"}}
		}
		s.all = append(s.all, m)
	}
	s.all = append(s.all, claw.Memory{ID: 900, Owner: "telegram:" + ben, Category: "secret", Content: "Ben's tea", Created: someDay})
	return s
}

// wheel is a clock whose heartbeats can be turned on and off.
type wheel struct {
	clock
	mu      sync.Mutex
	toggles int
}

func (w *wheel) Heartbeats(context.Context) ([]claw.Heartbeat, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.clock), nil
}

func (w *wheel) Toggle(_ context.Context, name string, on bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.toggles++
	for i := range w.clock {
		if w.clock[i].Name == name {
			w.clock[i].Enabled, w.clock[i].Toggled = on, true
			return nil
		}
	}
	return errors.New("no such heartbeat")
}

// button finds a button on a message by the beginning of its label.
func (b *bridge) button(m onShow, label string) string {
	b.t.Helper()
	for _, row := range m.menu.Rows {
		for _, k := range row {
			if strings.HasPrefix(k.Label, label) {
				return k.Data
			}
		}
	}
	b.t.Fatalf("there is no button %q below %q:\n%s", label, m.text, keys(m.menu))
	return ""
}

// touch taps, and returns what the gateway says.
func (b *bridge) touch(tap wire.Tap) wire.Down {
	b.t.Helper()
	b.mu.Lock()
	b.refs++
	tap.Ref = fmt.Sprint("touch", b.refs)
	b.mu.Unlock()
	b.send(wire.Up{Tap: &tap})
	return pickFrame(b, "an answer to a tap", func(d wire.Down) *wire.Down {
		if d.Answer != nil && d.Answer.Ref == tap.Ref || d.Fault != nil && d.Fault.Ref == tap.Ref {
			return &d
		}
		return nil
	})
}

// turn taps a button of a menu that counts, and returns the menu as it is then and what was said.
func (b *bridge) turn(user string, m onShow, label string) (onShow, string) {
	b.t.Helper()
	d := b.touch(wire.Tap{User: user, Item: m.item, Shown: m.ref, Data: b.button(m, label)})
	if d.Answer == nil {
		b.t.Fatalf("a tap on %s: %+v", label, d.Fault)
	}
	return b.newer(user, m), d.Answer.Said
}

func (b *bridge) newer(user string, m onShow) onShow {
	b.t.Helper()
	return b.find("the menu anew", user, func(n *onShow) bool { return n.ref == m.ref && n.menu.Version > m.menu.Version })
}

// asks gives a command and returns the menu that answers it.
func (b *bridge) opens(id, user, command string) onShow {
	b.t.Helper()
	n := b.count(user, wire.SendMenu)
	b.say(id, user, command)
	return b.find("a menu for "+command, user, func(m *onShow) bool {
		k := 0
		for _, m := range b.screen[user] {
			if m.kind == wire.SendMenu {
				k++
			}
		}
		return m.kind == wire.SendMenu && k > n
	})
}

func heartbeats() clock {
	return clock{
		{Name: "morning", Schedule: "0 7 * * *", Timezone: "Europe/Berlin", Enabled: true, Next: someDay.Add(16 * time.Hour),
			Last: []claw.Beat{{Due: someDay.Add(-8 * time.Hour), Outcome: "done", Silent: true}}},
		{Name: "tidy", Schedule: "*/5 * * * *", Timezone: "Local", Toggled: true,
			Last: []claw.Beat{{Due: someDay.Add(-time.Hour), Outcome: "skipped", Note: "the one *before* still ran"}}},
		{Name: "new", Schedule: "0 0 1 * *", Timezone: "UTC"},
	}
}

// What the menus show, word for word, on the way through them.
func TestMenusGolden(t *testing.T) {
	kept, beats := remembered(14), &wheel{clock: heartbeats()}
	h := furnish(t, func(h *house) { h.fixed, h.kept, h.clock = someDay, kept, beats })
	b := h.bridge()
	var got strings.Builder
	show := func(what string, m onShow, said string) onShow {
		fmt.Fprintf(&got, "=== %s\n%s\n%s", what, m.text, keys(m.menu))
		if said != "" {
			fmt.Fprintf(&got, "(%s)\n", said)
		}
		got.WriteByte('\n')
		return m
	}
	tap := func(m onShow, label string) onShow {
		t.Helper()
		next, said := b.turn(anna, m, label)
		return show("tap on "+label, next, said)
	}
	m := show("/memories", b.opens("m1", anna, "/memories"), "")
	m = tap(tap(m, "Older"), "Older")
	m = tap(tap(m, "◀ Newer"), "◀ Newer")
	tap(tap(m, "people"), "All")
	show("/memories FOOD", b.opens("m2", anna, "/memories FOOD"), "")
	m = show("/memories about", b.opens("m3", anna, "/memories@claw_bot about"), "")
	tap(tap(m, "▶"), "▶")
	show("/memories of a guest", b.opens("m4", ben, "/memories"), "")

	m = show("/forget 1", b.opens("m5", anna, "/forget memory 1"), "")
	m = tap(m, "🗑 #12")
	m = tap(m, "🗑 #11")
	tap(m, "Keep")
	tap(show("/forget #14 #900 #13", b.opens("m6", anna, "/forget #14 #900 #13"), ""), "Forget all 2")
	tap(show("/forget #2", b.opens("m7", anna, "/forget #2"), ""), "Keep")
	if got := kept.ids(); !slices.Equal(got, []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 900}) {
		t.Errorf("left are %v, want all but what was tapped", got)
	}
	m = show("/heartbeats", b.opens("m8", anna, "/heartbeats"), "")
	m = tap(m, "⏸ Turn off morning")
	tap(m, "▶ Turn on tidy")
	show("/heartbeats of a guest", b.opens("m9", ben, "/heartbeats"), "")

	for id, s := range map[string]claw.Session{
		"b": {Title: "Plans for *June*", Label: claw.Label{Integrity: claw.External, Sources: []string{"a", "b", "c", "mail x@example.org"}}},
		"a": {Created: someDay.AddDate(0, 0, -3), Label: claw.Label{Integrity: claw.Owned, Sources: []string{"file /notes/a.md"}}},
	} {
		s.ID, s.Channel, s.User, s.Created = claw.SessionID("telegram-"+id), "telegram", anna, someDay.AddDate(0, 0, -int(id[0]-'a')-1)
		if _, err := h.db.CreateSession(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	m = show("/sessions", b.opens("m10", anna, "/sessions"), "")
	tap(tap(m, "→ Plans for"), "→ telegram-4001")
	golden(t, "menus.golden", got.String())
	if want := []string{"(button) forget memory 12", "(button) forget memory 11", "(button) forget memory 14 13", "(button) turn off the heartbeat morning", "(button) turn on the heartbeat tidy"}; !gocmp.Equal(want, h.buttons()) {
		t.Errorf("recorded before it was done (-want +got):\n%s", gocmp.Diff(want, h.buttons()))
	}
}

func (h *house) buttons() (out []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, text := range h.said {
		if strings.HasPrefix(text, "(button)") {
			out = append(out, text)
		}
	}
	return out
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}
