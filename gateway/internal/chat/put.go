package chat

import (
	"context"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/outbox"
)

// This file sees to it that what the gate tells the board comes into the outbox. A disk can fail for a
// while; so items wait in memory until they are stored. If we die before that, the next start finds the
// open questions in the gate's store ([Desk.project]). A notice is found nowhere: it is stored at once,
// before the conversation has the result. Dying before that leaves the call without a result, and that is told.

// The pause after a store failed, from the first to the longest.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 30 * time.Second
)

// storeTime bounds one try to store something.
const storeTime = 10 * time.Second

// put takes items that must be shown. It does not block.
func (b *Board) put(items ...outbox.Item) {
	if len(items) == 0 {
		return
	}
	b.mu.Lock()
	b.upset = append(b.upset, items...)
	b.mu.Unlock()
	signal(b.poke)
}

// noticeTime is the most that a call waits for its notice to be stored.
const noticeTime = 2 * time.Second

// putNow stores an item before it returns; if that fails, the item waits like the others.
func (b *Board) putNow(item outbox.Item) {
	ctx, cancel := context.WithTimeout(context.Background(), noticeTime)
	defer cancel()
	if err := b.o.Outbox.Put(ctx, item, nil); err != nil {
		b.o.Log.Error("not in the outbox yet, trying again", "item", item.Key, "err", err)
		b.put(item)
	}
}

// run stores what was put until ctx ends, and then once more what is left.
func (b *Board) run(ctx context.Context) {
	for pause := firstPause; ; {
		var again <-chan time.Time
		if b.flush(ctx) {
			pause = firstPause
		} else {
			again = time.After(pause)
			pause = min(2*pause, longestPause)
		}
		select {
		case <-b.poke:
		case <-again:
		case <-ctx.Done():
			b.flush(ctx)
			return
		}
	}
}

// flush tries to store all that waits, and reports whether it is stored. What fails waits on, and
// holds up nothing else.
func (b *Board) flush(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
	defer cancel()
	b.mu.Lock()
	waiting := b.upset
	b.upset = nil
	b.mu.Unlock()
	var left []outbox.Item
	for _, item := range waiting {
		if err := b.o.Outbox.Put(ctx, item, nil); err != nil {
			b.o.Log.Error("not in the outbox yet, trying again", "item", item.Key, "err", err)
			left = append(left, item)
		}
	}
	b.mu.Lock()
	b.upset = append(left, b.upset...)
	b.mu.Unlock()
	return len(left) == 0
}

// persist repeats a write until it worked, and gives up only when the gateway stops; the first try
// is made even then. What is given up is found in the store by the next start.
func (d *Desk) persist(life context.Context, what string, write func(context.Context) error) bool {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(life), storeTime)
		err := write(ctx)
		cancel()
		if err == nil {
			return true
		}
		d.o.Log.Error("not stored, trying again", "what", what, "err", err)
		select {
		case <-life.Done():
			return false
		case <-time.After(pause):
		}
	}
}
