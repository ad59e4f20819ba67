package outbox_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/gateway/internal/outbox"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

const telegram = claw.Channel("telegram")

// tester is a test, or one example of a property.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// world is a gateway's outbox over a real file, and the connection of a bridge that the test plays.
type world struct {
	t     tester
	dir   string
	db    *sqlite.DB
	out   *outbox.Outbox
	feed  *outbox.Feed
	downs chan wire.Down // of the feed of now

	step  func(string)                    // may be set before open
	wrap  func(outbox.Store) outbox.Store // may be set before open
	real  bool                            // the clock is time.Now
	stuck atomic.Bool                     // cards say "pending", whatever is so
	blind atomic.Bool                     // approvals cannot be read
	mu    sync.Mutex                      // guards the rest
	now   time.Time
	lost  []string // keys of what was given up
}

func newWorld(t tester, dir string) *world {
	return &world{t: t, dir: dir, now: time.UnixMilli(1_700_000_000_000).UTC()}
}

// open starts a gateway's life.
func (w *world) open() {
	w.t.Helper()
	db, err := sqlite.Open(context.Background(), w.dir)
	if err != nil {
		w.t.Fatalf("Open = %v", err)
	}
	w.db = db
	store := outbox.Store(db)
	if w.wrap != nil {
		store = w.wrap(store)
	}
	w.out = outbox.New(outbox.Options{
		Store: store, Card: w.card, Menu: w.menu, Now: w.clock, Log: slog.New(slog.DiscardHandler), Step: w.step,
		Failed: func(item outbox.Item, why string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.lost = append(w.lost, item.Key)
		},
	})
}

// raw changes the file behind the store's back.
func (w *world) raw(statement string, args ...any) {
	w.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(w.dir, "state.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		w.t.Fatalf("open = %v", err)
	}
	defer db.Close()
	if _, err := db.Exec(statement, args...); err != nil {
		w.t.Fatalf("%s: %v", statement, err)
	}
}

// serve connects a bridge.
func (w *world) serve() {
	w.t.Helper()
	downs := make(chan wire.Down, 100)
	feed, err := w.out.Serve(context.Background(), telegram, func(d wire.Down) bool { downs <- d; return true })
	if err != nil {
		w.t.Fatalf("Serve = %v", err)
	}
	w.feed, w.downs = feed, downs
}

// end ends the bridge's connection and the gateway's life. The outbox has nothing to say at its end,
// so this is what a kill leaves.
func (w *world) end() {
	w.t.Helper()
	if w.feed != nil {
		w.feed.Close()
		w.feed = nil
	}
	if err := w.db.Close(); err != nil {
		w.t.Fatalf("Close = %v", err)
	}
}

func (w *world) clock() time.Time {
	if w.real {
		return time.Now()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// pass moves the clock.
func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	w.now = w.now.Add(d)
	w.mu.Unlock()
	w.out.Wake()
}

func (w *world) givenUp() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}

func (w *world) card(ctx context.Context, id string) (*wire.Card, error) {
	if w.blind.Load() {
		return nil, errors.New("input/output error")
	}
	a, err := w.db.Approvals().Load(ctx, id)
	if errors.Is(err, gate.ErrUnknown) {
		return nil, outbox.ErrNoApproval
	}
	if err != nil {
		return nil, err
	}
	if w.stuck.Load() {
		a.State = gate.Pending
	}
	return &wire.Card{ID: a.ID, Code: a.Code, Tool: a.Action.Tool, Input: a.Action.Input, Digest: a.Digest, Asked: a.Asked, Expires: a.Deadline, State: string(a.State)}, nil
}

// await returns the next frame.
func (w *world) await() wire.Down {
	w.t.Helper()
	select {
	case d := <-w.downs:
		return d
	case <-time.After(20 * time.Second):
		w.t.Fatalf("no frame came")
		panic("unreachable")
	}
}

// send returns the next Send and checks what it is.
func (w *world) send(key string, part int) *wire.Send {
	w.t.Helper()
	d := w.await()
	if d.Send == nil || d.Send.Text != key || d.Send.Part != part {
		w.t.Fatalf("the bridge got %+v, want part %d of %s", d.Send, part, key)
	}
	return d.Send
}

// sent is the bridge's word that a part is shown.
func (w *world) sent(s *wire.Send, parts int, ref string) {
	state := ""
	if s.Card != nil {
		state = s.Card.State
	}
	w.feed.Sent(context.Background(), wire.Sent{Item: s.Item, Part: s.Part, Parts: parts, Ref: ref, State: state})
}

func (w *world) put(items ...outbox.Item) {
	w.t.Helper()
	for _, item := range items {
		if err := w.out.Put(context.Background(), item, bytesOf(item)); err != nil {
			w.t.Fatalf("Put(%s) = %v", item.Key, err)
		}
	}
}

// bytesOf are the bytes of an item's file.
func bytesOf(item outbox.Item) []byte {
	if item.File == nil {
		return nil
	}
	return make([]byte, item.File.Size)
}

// item is an item whose text is its key, so that it is known on the wire.
func item(kind, user, key string) outbox.Item {
	i := outbox.Item{Channel: telegram, User: user, Key: key, Kind: kind, Text: key}
	if kind == wire.SendFile {
		i.File = &wire.File{Name: key, Size: 5}
	}
	return i
}

func about(n int, i outbox.Item) outbox.Item { i.Approval = id(n); return i }

func id(n int) string { return fmt.Sprintf("%032x", n) }

// ask adds a pending approval.
func (w *world) ask(n int) {
	w.t.Helper()
	at := time.UnixMilli(1_700_000_000_000).UTC()
	err := w.db.Approvals().Insert(context.Background(), gate.Approval{
		ID: id(n), Code: fmt.Sprint("C", n), State: gate.Pending, Call: gate.Call{ID: claw.CallID(fmt.Sprint("call", n)), Session: "s"},
		Action: claw.Action{Tool: "write_file", Input: strict.Value(`{}`)}, Digest: "d", Rule: "default", Asked: at, Deadline: at.Add(time.Hour),
	})
	if err != nil {
		w.t.Fatalf("Insert = %v", err)
	}
}

// move moves an approval on.
func (w *world) move(n int, from, to gate.State) {
	w.t.Helper()
	if won, err := w.db.Approvals().Move(context.Background(), id(n), from, to, gate.Change{At: w.clock()}); err != nil || !won {
		w.t.Fatalf("Move(%s, %s) = %v, %v", from, to, won, err)
	}
	w.out.Wake()
}

// start is a world with a bridge, for one test.
func start(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, t.TempDir())
	w.open()
	w.serve()
	t.Cleanup(w.end)
	return w
}
