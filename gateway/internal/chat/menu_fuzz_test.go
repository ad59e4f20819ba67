package chat_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/gateway/internal/chat"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/outbox"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// Whatever a client sends as a button's data: where it leads can be kept and shown, the same tap again leads to the
// same place, and nothing is forgotten that was not asked about.
func FuzzTap(f *testing.F) {
	for _, data := range []string{"b:14", "b:0", "c:", "c:" + chat.Tag("food"), "p:1", "p:999", "f:12", "f:900", "all:x", "keep", "on:" + chat.Tag("morning"), "s:", ":", "b:9007199254740992"} {
		f.Add(data, "memories", int64(9), 0)
		f.Add(data, "forget", int64(0), 1)
	}
	db, err := sqlite.Open(context.Background(), f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = db.Close() })
	f.Fuzz(func(t *testing.T, data, name string, below int64, page int) {
		if !slices.Contains([]string{"memories", "forget", "heartbeats", "sessions"}, name) {
			return
		}
		kept := remembered(20)
		desk := chat.New(chat.Options{
			Board: chat.NewBoard(chat.BoardOptions{Users: chat.Users{"telegram": {anna}}}), Store: db, Memories: kept, Clock: &wheel{clock: heartbeats()},
			Now: func() time.Time { return someDay }, Log: slog.New(slog.DiscardHandler), Record: func(context.Context, claw.Message, claw.RunID) error { return nil },
		})
		at := chat.Place{Below: min(max(below, 0), 1<<40), Page: page % 1000}
		if name == "forget" {
			at = chat.Place{Picked: []int64{3, 12, 15}}
		}
		verb, arg, _ := strings.Cut(data, ":")
		next, _, err := desk.Turn(t.Context(), name, anna, at, verb, arg)
		left := kept.ids()
		for id := int64(1); id <= 20; id++ {
			if !slices.Contains(left, id) && !slices.Contains(at.Picked, id) {
				t.Errorf("%s %q forgot #%d, which was not shown", name, data, id)
			}
		}
		if !slices.Contains(left, 900) {
			t.Errorf("%s %q forgot somebody else's memory", name, data)
		}
		if err != nil {
			return
		}
		state, err := strict.Encode(next)
		if err != nil || len(state) > outbox.MaxState {
			t.Fatalf("%s %q leads to %s, %v", name, data, state, err)
		}
		if text, _, err := desk.Menu(t.Context(), outbox.Item{Channel: "telegram", User: anna, Menu: outbox.Menu{Name: name, State: string(state), Version: 2}}); err != nil || text == "" {
			t.Errorf("%s %q leads to %s, which shows %q, %v", name, data, state, text, err)
		}
		if again, _, err := desk.Turn(t.Context(), name, anna, next, verb, arg); err == nil && !gocmp.Equal(next, again) {
			t.Errorf("%s %q leads to %s, and again (-first +again):\n%s", name, data, state, gocmp.Diff(next, again))
		}
	})
}
