package outbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/gateway/internal/outbox"
	"github.com/secureclaw/secureclaw/internal/wire"
)

func TestASendSaysAllThatTheBridgeNeeds(t *testing.T) {
	w := start(t)
	ctx := t.Context()
	if err := w.db.SetBubble(ctx, telegram, "7", "r1", "m9"); err != nil {
		t.Fatal(err)
	}
	reply := item(wire.SendText, "7", "reply")
	reply.Run, reply.ReplyTo = "r1", "55"
	w.put(reply)
	got := w.send("reply", 0)
	want := &wire.Send{Item: got.Item, User: "7", Kind: wire.SendText, Run: "r1", Bubble: "m9", ReplyTo: "55", Text: "reply"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("first part (-want +got):\n%s", diff)
	}
	w.sent(got, 2, "m9")
	got = w.send("reply", 1)
	want.Part, want.Shown, want.Bubble = 1, []string{"m9"}, "" // the bubble is used up
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("second part (-want +got):\n%s", diff)
	}
	w.sent(got, 2, "m10")

	w.ask(1)
	w.put(about(1, item(wire.SendCard, "7", "card")), item(wire.SendFile, "8", "file"))
	got = w.send("card", 0)
	if got.Card == nil || got.Card.ID != id(1) || got.Card.State != "pending" || got.Kind != wire.SendCard {
		t.Errorf("card = %+v", got)
	}
	w.sent(got, 1, "m11")
	w.move(1, gate.Pending, gate.Denied)
	got = w.send("file", 0)
	if diff := cmp.Diff(&wire.File{Name: "file", Size: 5}, got.File); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
	if got = w.send("card", 0); got.Card.State != "denied" || !cmp.Equal(got.Shown, []string{"m11"}) {
		t.Errorf("edit = %+v", got)
	}
}

func TestCardsOvertakeTextBetweenItsParts(t *testing.T) {
	w := start(t)
	w.put(item(wire.SendText, "7", "long"), item(wire.SendText, "7", "after"))
	first := w.send("long", 0)
	w.ask(1)
	w.put(about(1, item(wire.SendCard, "7", "card")))
	w.sent(first, 2, "m1")
	w.sent(w.send("card", 0), 1, "m2")
	w.sent(w.send("long", 1), 2, "m3")
	w.send("after", 0)
}

// Edits coalesce: what is shown is the approval as it is when the card leaves.
func TestACardIsReadWhenItLeaves(t *testing.T) {
	w := start(t)
	w.ask(1)
	w.put(item(wire.SendText, "7", "text"))
	text := w.send("text", 0)
	w.put(about(1, item(wire.SendCard, "7", "card")))
	w.move(1, gate.Pending, gate.Allowed)
	w.move(1, gate.Allowed, gate.Started)
	w.sent(text, 1, "m1")
	s := w.send("card", 0)
	if s.Card.State != "started" {
		t.Errorf("the card says %s, want started", s.Card.State)
	}
	w.move(1, gate.Started, gate.Done)
	w.put(item(wire.SendText, "7", "later"))
	w.sent(s, 1, "m2")
	if s = w.send("card", 0); s.Card.State != "done" || !cmp.Equal(s.Shown, []string{"m2"}) {
		t.Errorf("edit = %+v", s)
	}
	w.sent(s, 1, "")
	w.send("later", 0)
}

// A tap on a copy that nobody knew of can come while the card is on its way, with all that was known then.
func TestACopyThatTurnsUpMeanwhileIsEdited(t *testing.T) {
	w := start(t)
	w.ask(1)
	w.put(about(1, item(wire.SendCard, "7", "card")))
	s := w.send("card", 0) // Telegram's answer to its first message was lost: m0
	w.move(1, gate.Pending, gate.Denied)
	if err := w.db.AddShown(t.Context(), telegram, "7", "card", "m0"); err != nil {
		t.Fatal(err)
	}
	w.sent(s, 1, "m1")
	if s = w.send("card", 0); s.Card.State != "denied" || !cmp.Equal(s.Shown, []string{"m0", "m1"}) {
		t.Errorf("then comes %+v, want an edit of both messages", s)
	}
	if err := w.db.AddShown(t.Context(), telegram, "7", "card", "m2"); err != nil {
		t.Fatal(err)
	}
	w.sent(s, 1, "")
	if s = w.send("card", 0); !cmp.Equal(s.Shown, []string{"m0", "m1", "m2"}) {
		t.Errorf("then comes %+v, want an edit of all three", s)
	}
	w.sent(s, 1, "")
	w.put(item(wire.SendText, "7", "after"))
	w.send("after", 0)
}

func TestOneBridgeIsServedAtATime(t *testing.T) {
	w := start(t)
	w.put(item(wire.SendText, "7", "a"))
	w.send("a", 0)
	other := func(wire.Down) bool { t.Error("the second bridge was sent something"); return true }
	if f, err := w.out.Serve(t.Context(), telegram, other); !errors.Is(err, outbox.ErrTaken) || f != nil {
		t.Errorf("Serve of a second bridge = %v, want ErrTaken", err)
	}
	// Another messenger is another matter, and its users are others, even of the same id.
	downs := make(chan wire.Down, 10)
	second, err := w.out.Serve(t.Context(), "matrix", func(d wire.Down) bool { downs <- d; return true })
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	theirs := item(wire.SendText, "7", "b")
	theirs.Channel = "matrix"
	w.put(theirs)
	if d := <-downs; d.Send.Text != "b" {
		t.Errorf("the second messenger got %+v", d.Send)
	}
	w.feed.Close()
	w.feed.Close()
	w.serve()
	w.send("a", 0) // was under way, is due again
}

// A bridge has no say in what it was not asked to show.
func TestABridgeIsBelievedOnlyOfWhatItWasSent(t *testing.T) {
	w := start(t)
	w.put(item(wire.SendText, "7", "a"), item(wire.SendText, "7", "b"), item(wire.SendFile, "7", "f"))
	a := w.send("a", 0)
	downs := make(chan wire.Down, 10)
	foreign, err := w.out.Serve(t.Context(), "matrix", func(d wire.Down) bool { downs <- d; return true })
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	ctx := t.Context()
	for _, f := range []*outbox.Feed{w.feed, foreign} {
		for item := int64(-1); item < 6; item++ {
			for part := -1; part < 3; part++ {
				if f == w.feed && item == a.Item && part == a.Part {
					continue
				}
				f.Sent(ctx, wire.Sent{Item: item, Part: part, Parts: 1, Ref: "m"})
				f.Unsent(ctx, wire.Unsent{Item: item, Part: part, Never: true})
			}
		}
	}
	if _, found, err := w.db.ItemByRef(ctx, telegram, "7", "m"); err != nil || found {
		t.Errorf("ItemByRef = %v, %v, want nothing kept of it", found, err)
	}
	// The bytes of a file are for who has to show it.
	foreign.Fetch(ctx, wire.Fetch{Item: 3})
	w.feed.Fetch(ctx, wire.Fetch{Item: 3})
	for _, c := range []chan wire.Down{downs, w.downs} {
		if d := <-c; d.Chunk == nil || d.Chunk.Item != 3 || len(d.Chunk.Data) != 0 {
			t.Errorf("Fetch of what is not under way = %+v, want an empty chunk", d)
		}
	}
	w.sent(a, 1, "m1")
	w.feed.Sent(ctx, wire.Sent{Item: a.Item, Part: 0, Parts: 9}) // once more
	w.sent(w.send("b", 0), 1, "m2")
	w.send("f", 0)
	if got := w.givenUp(); len(got) != 0 {
		t.Errorf("given up: %q", got)
	}
}

func TestAFileIsFetchedInPieces(t *testing.T) {
	w := start(t)
	want := bytes.Repeat([]byte("0123456789"), wire.MaxChunk/8)
	f := item(wire.SendFile, "7", "f")
	f.File.Size = int64(len(want))
	if err := w.out.Put(t.Context(), f, want); err != nil {
		t.Fatal(err)
	}
	s := w.send("f", 0)
	var got []byte
	for {
		w.feed.Fetch(t.Context(), wire.Fetch{Item: s.Item, Offset: int64(len(got))})
		c := w.await().Chunk
		if c.Offset != int64(len(got)) || len(c.Data) > wire.MaxChunk {
			t.Fatalf("chunk at %d with %d bytes, want one at %d", c.Offset, len(c.Data), len(got))
		}
		if len(c.Data) == 0 {
			break
		}
		got = append(got, c.Data...)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes came, other ones than the %d", len(got), len(want))
	}
}

// What the user sees is so, however the connection ended that said it.
func TestTheLastWordOfAConnectionCounts(t *testing.T) {
	w := start(t)
	w.put(item(wire.SendText, "7", "a"), item(wire.SendText, "7", "b"))
	a := w.send("a", 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.feed.Close()
	w.feed.Sent(ctx, wire.Sent{Item: a.Item, Part: 0, Parts: 1, Ref: "m1"})
	w.serve()
	w.send("b", 0)
}

func TestABridgeThatIsGoneEndsItsFeed(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.open()
	t.Cleanup(w.end)
	calls := 0
	f, err := w.out.Serve(t.Context(), telegram, func(wire.Down) bool { calls++; return false })
	if err != nil {
		t.Fatal(err)
	}
	w.put(item(wire.SendText, "7", "a"), item(wire.SendText, "8", "b"))
	for { // the channel is free before anybody closes
		next, err := w.out.Serve(t.Context(), telegram, func(wire.Down) bool { return true })
		if err == nil {
			next.Close()
			break
		}
	}
	f.Close()
	if calls != 1 {
		t.Errorf("%d frames to a bridge that is gone, want 1", calls)
	}
	w.serve()
	w.send("a", 0)
	w.send("b", 0)
}

func TestWhatCannotBeShownIsGivenUpAndSaid(t *testing.T) {
	w := start(t)
	w.ask(2)
	w.put(about(1, item(wire.SendCard, "7", "card without approval")), item(wire.SendText, "7", strings.Repeat("x", wire.MaxFrame)), item(wire.SendText, "7", "a"))
	a := w.send("a", 0)
	w.feed.Unsent(t.Context(), wire.Unsent{Item: a.Item, Part: 0, Never: true, Why: "blocked", AfterMS: 5000})
	w.put(item(wire.SendText, "7", "b")) // is not held by what was given up
	w.sent(w.send("b", 0), 1, "")
	if got := w.givenUp(); len(got) != 3 || got[0] != "card without approval" || got[2] != "a" {
		t.Errorf("given up: %.60q, want the card, the long text and a", got)
	}
}

// A disk that cannot be read for a moment loses no question.
func TestACardThatCannotBeReadForAWhileIsShown(t *testing.T) {
	w := start(t)
	w.ask(1)
	w.blind.Store(true)
	w.put(about(1, item(wire.SendCard, "7", "card")))
	select {
	case d := <-w.downs:
		t.Fatalf("sent %+v without its approval", d)
	case <-time.After(50 * time.Millisecond):
	}
	w.blind.Store(false)
	w.out.Wake()
	w.sent(w.send("card", 0), 1, "m1")
	if got := w.givenUp(); len(got) != 0 {
		t.Errorf("given up: %q", got)
	}
}

// What a card shows is known from what was sent: a bridge that says otherwise gets no more for it.
func TestTheStateOfACardIsOurWord(t *testing.T) {
	w := start(t)
	w.ask(1)
	w.put(about(1, item(wire.SendCard, "7", "card")))
	for _, state := range []gate.State{gate.Pending, gate.Denied} {
		s := w.send("card", 0)
		w.feed.Sent(t.Context(), wire.Sent{Item: s.Item, Part: 0, Parts: 1, State: "whatever"})
		w.put(item(wire.SendText, "7", "after it was "+string(state)))
		w.sent(w.send("after it was "+string(state), 0), 1, "")
		if state == gate.Pending {
			w.move(1, gate.Pending, gate.Denied)
		}
	}
}

// A card that never says what its approval says would be edited for ever.
func TestACardThatDoesNotChangeIsGivenUp(t *testing.T) {
	w := start(t)
	w.ask(1)
	w.put(about(1, item(wire.SendCard, "7", "card")))
	w.sent(w.send("card", 0), 1, "m1")
	w.stuck.Store(true)
	w.move(1, gate.Pending, gate.Denied)
	w.put(item(wire.SendText, "7", "a"))
	w.send("a", 0)
	if got := w.givenUp(); len(got) != 1 || got[0] != "card" {
		t.Errorf("given up: %q, want the card", got)
	}
}

// The rest is about time, which synctest makes pass at once: the timers are the real ones.

func inTime(t *testing.T, do func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, t.TempDir())
		w.real = true
		w.open()
		w.serve()
		defer w.end()
		do(t, w)
	})
}

func (w *world) unsent(s *wire.Send, ms int64) {
	w.feed.Unsent(context.Background(), wire.Unsent{Item: s.Item, Part: s.Part, AfterMS: ms, Why: "429"})
}

// after returns the next Send and how long it took.
func (w *world) after() (*wire.Send, time.Duration) {
	at := time.Now()
	return (<-w.downs).Send, time.Since(at)
}

func TestAUserIsWaitedFor(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		w.put(item(wire.SendText, "7", "a"))
		s := <-w.downs
		w.unsent(s.Send, 30_000)
		w.ask(1)
		w.put(about(1, item(wire.SendCard, "7", "card")), item(wire.SendText, "8", "b"))
		if s, took := w.after(); s.Text != "b" || took > time.Second {
			t.Errorf("after %v came %s, want the other user's at once", took, s.Text)
		}
		time.Sleep(10 * time.Second)
		w.feed.Close() // a hold outlives the bridge
		w.serve()
		<-w.downs // b again
		if s, took := w.after(); s.Text != "card" || took < 20*time.Second || took > 21*time.Second {
			t.Errorf("after %v came %s, want the card when the rest of 30 s is over", took, s.Text)
		}
	})
}

func TestAWaitIsBounded(t *testing.T) {
	for ms, want := range map[int64]time.Duration{-1: 0, math.MinInt64: 0, 0: 0, 1: time.Millisecond, math.MaxInt64: time.Hour, 3_600_001: time.Hour} {
		inTime(t, func(t *testing.T, w *world) {
			w.put(item(wire.SendText, "7", "a"))
			w.unsent((<-w.downs).Send, ms)
			if s, took := w.after(); s.Text != "a" || took < want || took > want+10*time.Millisecond {
				t.Errorf("%d ms: again after %v, want %v", ms, took, want)
			}
		})
	}
}

func TestABridgeWithoutPatienceIsSlowedDown(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		w.put(item(wire.SendText, "7", "a"))
		at := time.Now()
		for range 24 {
			w.unsent((<-w.downs).Send, 0)
		}
		<-w.downs
		if took := time.Since(at); took < 20*time.Second || took > 21*time.Second {
			t.Errorf("25 tries took %v, want a second for each after the fifth", took)
		}
	})
}

func TestASendWithoutAnAnswerIsRepeated(t *testing.T) {
	inTime(t, func(t *testing.T, w *world) {
		w.put(item(wire.SendText, "7", "a"))
		first := (<-w.downs).Send
		if s, took := w.after(); s.Text != "a" || took < 3*time.Minute || took > 3*time.Minute+time.Second {
			t.Errorf("after %v came %s, want it again after 3 minutes", took, s.Text)
		}
		w.put(item(wire.SendText, "7", "b"))
		w.sent(first, 1, "m1") // late, and true of the second as well
		if s := (<-w.downs).Send; s.Text != "b" {
			t.Errorf("then came %s", s.Text)
		}
	})
}

// broken fails to store what became of a part while it is told to.
type broken struct {
	outbox.Store
	full atomic.Bool
}

func (b *broken) ItemSent(ctx context.Context, seq int64, part, parts int, ref, state string, shown int) error {
	if b.full.Load() {
		return errors.New("the disk is full")
	}
	return b.Store.ItemSent(ctx, seq, part, parts, ref, state, shown)
}

// While what was shown cannot be stored, nothing is shown again: the user would get it at each try.
func TestAFullDiskRepeatsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, t.TempDir())
		w.real = true
		var b *broken
		w.wrap = func(s outbox.Store) outbox.Store { b = &broken{Store: s}; return b }
		w.open()
		w.serve()
		defer w.end()
		w.put(item(wire.SendText, "7", "a"), item(wire.SendText, "7", "b"))
		b.full.Store(true)
		w.sent((<-w.downs).Send, 1, "m1")
		time.Sleep(time.Minute)
		if len(w.downs) > 0 {
			t.Errorf("with a full disk came %+v", (<-w.downs).Send)
		}
		b.full.Store(false)
		if s, took := w.after(); s.Text != "b" || took > 2*time.Second {
			t.Errorf("with room again came %s after %v, want b", s.Text, took)
		}
		if got, _, err := w.db.ItemByRef(t.Context(), telegram, "7", "m1"); err != nil || got.Key != "a" {
			t.Errorf("ItemByRef = %q, %v, want a", got.Key, err)
		}
	})
}

func TestOldItemsAreForgotten(t *testing.T) {
	today := time.Now() // by this clock the file says when an item was done with
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, t.TempDir())
		w.now = today
		w.open()
		w.serve()
		defer w.end()
		w.put(item(wire.SendText, "7", "a"), item(wire.SendText, "8", "b"))
		w.sent((<-w.downs).Send, 1, "m1")
		for _, tc := range []struct {
			days int
			want bool
		}{{1, true}, {28, true}, {2, false}} {
			w.pass(time.Duration(tc.days) * 24 * time.Hour)
			synctest.Wait()
			if _, found, err := w.db.ItemByRef(t.Context(), telegram, "7", "m1"); err != nil || found != tc.want {
				t.Errorf("%d days later: ItemByRef = %v, %v, want %v", tc.days, found, err, tc.want)
			}
		}
		for len(w.downs) > 0 {
			if s := (<-w.downs).Send; s.Text != "b" {
				t.Errorf("%s came", s.Text)
			}
		}
		w.put(item(wire.SendText, "7", "c"))
		if s := (<-w.downs).Send; s.Text != "c" {
			t.Errorf("%s came, want c", s.Text)
		}
	})
}

func TestTenThousandItems(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.open()
	// One statement instead of ten thousand transactions; Put has its own tests.
	const users, all = 20, 10_000
	w.raw(`WITH RECURSIVE i (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM i WHERE n < ? - 1)
		INSERT INTO outbox (channel, user, key, kind, priority, run, reply_to, text, approval)
		SELECT 'telegram', n % ?, n, 'text', 1, '', '', n, '' FROM i`, all, users)
	w.serve()
	defer w.end()
	got := map[string]int{}
	for n := range all / slow {
		s := w.await().Send
		if want := fmt.Sprint(got[s.User]*users + num(t, s.User)); s.Text != want {
			t.Fatalf("%s came for user %s, want %s", s.Text, s.User, want)
		}
		got[s.User]++
		w.sent(s, 1, fmt.Sprint("m", n))
	}
}

func num(t *testing.T, s string) (n int) {
	t.Helper()
	if _, err := fmt.Sscan(s, &n); err != nil {
		t.Fatal(err)
	}
	return n
}
