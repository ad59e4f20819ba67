// Package outbox keeps what a messenger must still show to a user, until the messenger has it.
//
// An item is stored before anybody is told of it, is shown one part at a time, and each part that
// arrived is stored before the next one leaves: a bridge or a gateway that dies in between repeats
// at most that one part and loses none. Cards go first; everything else keeps its order for each
// user; a user whose messenger said "wait" is waited for, across a restart too. A card is never
// copied into the outbox: its row names the approval, and what is shown is the approval as stored. Nor
// is a menu: its row names it and says where its user is in it.
//
// It believes a bridge only what it asked it for: a word about an item that is not under way to this
// bridge is ignored, a wait is cut to an hour, and what no frame can carry is given up.
//
// [Outbox.Put] adds an item, [Outbox.Serve] feeds one connected bridge.
package outbox

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// Options is what an Outbox is made of; all fields but Menu and Step are required.
type Options struct {
	Store Store
	// Card reads an approval as it is shown now. Its State is the approval's, word for word. It fails with
	// ErrNoApproval when there is none.
	Card func(ctx context.Context, approval string) (*wire.Card, error)
	// Menu makes what a menu shows now: its Markdown and its buttons. It fails with ErrNoMenu when there is none of that
	// name. Nil knows no menu.
	Menu func(ctx context.Context, item Item) (text string, rows [][]wire.Button, err error)
	// Failed is told of an item that was given up, for the audit log.
	Failed func(item Item, why string)
	Now    func() time.Time
	Log    *slog.Logger
	// Step is called at each named step, so that a test can end the process there. Nil means none.
	Step func(step string)
}

// Outbox hands items to bridges. It is safe for concurrent use.
type Outbox struct {
	o Options

	mu     sync.Mutex
	feeds  map[claw.Channel]*Feed
	pruned time.Time
}

// New returns an outbox.
func New(o Options) *Outbox {
	if o.Step == nil {
		o.Step = func(string) {}
	}
	return &Outbox{o: o, feeds: map[claw.Channel]*Feed{}}
}

// Put stores an item and sees to it that it is shown. An item whose key the user has already changes nothing.
func (o *Outbox) Put(ctx context.Context, item Item, file []byte) error {
	if item.At.IsZero() {
		item.At = o.o.Now()
	}
	if _, err := o.o.Store.PutItem(ctx, item, file); err != nil {
		return err
	}
	o.o.Step("outbox.put")
	o.Wake()
	return nil
}

// Wake makes the outbox look for what is due: after an approval changed, or an item was stored by
// other means. It never waits.
func (o *Outbox) Wake() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range o.feeds {
		f.look()
	}
}

const (
	// keep is how long the outbox remembers what it did with an item: until then its key is taken,
	// and a tap on its message is understood.
	keep = 30 * 24 * time.Hour
	// tidy is how often it forgets.
	tidy = 24 * time.Hour
)

// prune forgets what is old, once a day. A feed calls it, after it sent what is due.
func (o *Outbox) prune(ctx context.Context, now time.Time) {
	o.mu.Lock()
	due := o.pruned.IsZero() || now.Sub(o.pruned) >= tidy
	if due {
		o.pruned = now
	}
	o.mu.Unlock()
	if !due {
		return
	}
	if err := o.o.Store.PruneItems(ctx, now.Add(-keep)); err != nil && ctx.Err() == nil {
		o.o.Log.Warn("the outbox could not forget what is old", "err", err)
	}
}
