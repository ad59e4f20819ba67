package outbox

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/secureclaw/secureclaw/internal/wire"
)

const (
	// longestWait is the longest that a bridge can make a user wait.
	longestWait = time.Hour
	// patience is how many failed tries of a part may follow each other at the bridge's own pace.
	patience = 5
	// longestRef and longestWhy bound what is kept of a bridge's words.
	longestRef = 128
	longestWhy = 500
)

// land finds the flight that a bridge speaks of, and takes it from later words about it. A bridge
// that names another item, or another part of it, did not hear of that from us: nil.
func (f *Feed) land(item int64, part int, said string) *flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fl := range f.flights {
		if fl.item.Seq == item && fl.item.Part == part && !fl.landed {
			fl.landed = true
			return fl
		}
	}
	f.o.o.Log.Warn("the bridge speaks of a part that is not under way", "said", said, "item", item, "part", part)
	return nil
}

// settle stores what became of a flight, and only then makes room for the user's next part. While it
// cannot be stored the user gets nothing: sending the part again would show it once more at each try.
func (f *Feed) settle(ctx context.Context, fl *flight, store func(context.Context) error) error {
	err := store(ctx)
	f.mu.Lock()
	if err != nil {
		fl.store = store
	} else {
		delete(f.flights, fl.item.User)
	}
	f.mu.Unlock()
	if err != nil {
		f.trouble(ctx, "cannot store what became of a part", err, "item", fl.item.Seq, "part", fl.item.Part)
	}
	return err
}

// Sent takes the bridge's word that a part is shown. Of a card the state is known from what was sent.
func (f *Feed) Sent(ctx context.Context, in wire.Sent) {
	fl := f.land(in.Item, in.Part, "sent")
	if fl == nil {
		return
	}
	if in.State != "" && in.State != fl.state {
		f.o.o.Log.Warn("the bridge shows a card in another state than it was sent", "item", in.Item, "sent", fl.state, "shown", in.State)
	}
	ref := in.Ref
	if len(ref) > longestRef || !utf8.ValidString(ref) {
		ref = ""
	}
	// A connection that breaks just now does not unmake what the user sees.
	_ = f.settle(context.WithoutCancel(ctx), fl, func(ctx context.Context) error { // settle logs it, run tries again
		if err := f.o.o.Store.ItemSent(ctx, in.Item, in.Part, max(in.Parts, in.Part+1), ref, fl.state, len(fl.item.Shown)); err != nil {
			return err
		}
		f.o.o.Step("outbox.sent")
		return nil
	})
	f.look()
}

// Unsent takes the bridge's word that a part was not taken.
func (f *Feed) Unsent(ctx context.Context, in wire.Unsent) {
	fl := f.land(in.Item, in.Part, "unsent")
	if fl == nil {
		return
	}
	wait := time.Duration(min(max(in.AfterMS, 0), longestWait.Milliseconds())) * time.Millisecond
	if fl.item.Tries+1 >= patience {
		wait = max(wait, time.Second) // or a bridge that knows no wait would keep us both busy
	}
	var until time.Time
	if wait > 0 && !in.Never {
		until = f.o.o.Now().Add(wait + time.Millisecond) // the store cuts to milliseconds
	}
	why := strings.ToValidUTF8(in.Why[:min(len(in.Why), longestWhy)], "")
	_ = f.settle(context.WithoutCancel(ctx), fl, func(ctx context.Context) error { // settle logs it, run tries again
		if err := f.o.o.Store.ItemUnsent(ctx, in.Item, until, in.Never, why); err != nil {
			return err
		}
		if in.Never {
			f.failed(fl.item, why)
		}
		return nil
	})
	f.look()
}

// Fetch answers with bytes of an item's file. Of an item that is not under way there are none.
func (f *Feed) Fetch(ctx context.Context, in wire.Fetch) {
	chunk := wire.Chunk{Item: in.Item, Offset: in.Offset}
	if f.flies(in.Item) {
		var err error
		if chunk.Data, err = f.o.o.Store.ItemFile(ctx, in.Item, in.Offset, fetchSize); err != nil {
			// The bridge sees a file that ends too early, and says unsent.
			f.trouble(ctx, "cannot read a file", err, "item", in.Item)
		}
	} else {
		f.o.o.Log.Warn("the bridge fetches a file that is not under way", "item", in.Item)
	}
	if !f.send(wire.Down{Chunk: &chunk}) {
		f.cancel()
	}
}

func (f *Feed) flies(item int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fl := range f.flights {
		if fl.item.Seq == item && !fl.landed {
			return true
		}
	}
	return false
}
