package outbox

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// ErrTaken is a second bridge on a channel that is served already.
var ErrTaken = errors.New("another bridge is served on this channel")

// ErrNoApproval is what [Options.Card] says of an approval that does not exist. Any other error counts as passing.
var ErrNoApproval = errors.New("there is no such approval")

// ErrNoMenu is what [Options.Menu] says of a menu that does not exist. Any other error counts as passing.
var ErrNoMenu = errors.New("there is no such menu")

const (
	// lostAfter is when a Send that nobody answered counts as lost. A bridge answers within its own
	// time-outs towards the messenger, which are shorter.
	lostAfter = 3 * time.Minute
	// idle is the longest that a feed sleeps: the wall clock can jump, and holds are by the wall clock.
	idle = time.Minute
	// pause is how long a feed waits after its store failed.
	pause = time.Second
	// fetchSize is how much of a file goes to the bridge at once: less than [wire.MaxChunk], for each piece is several
	// times in the bridge's memory for a moment (frame, text, bytes).
	fetchSize = 128 << 10
	// maxUnread is how often a card or a menu is tried that cannot be read, before it makes way for what waits behind it.
	maxUnread = 60
)

// Feed is one connected bridge that is fed. Its methods take what the bridge says.
type Feed struct {
	o       *Outbox
	channel claw.Channel
	send    func(wire.Down) bool
	cancel  context.CancelFunc
	done    chan struct{}
	wake    chan struct{}

	unread map[int64]int // how often what an item shows could not be read; of run alone

	mu      sync.Mutex
	flights map[string]*flight // what is under way, by user; only run adds any
}

// flight is one part that left and did not land yet. The store knows nothing of it: there the part
// is due, so that a feed which ends has nothing to return.
type flight struct {
	item  Item
	state string // of the card in it, or the version of the menu
	left  time.Time

	landed bool                        // the bridge said what became of it
	store  func(context.Context) error // stores that; set while it could not be stored
}

// Serve feeds one bridge through send, until ctx ends, send reports false because the bridge is
// gone, or [Feed.Close]. send is called from several goroutines and must not block. It fails with
// ErrTaken while another bridge is served on the channel. Who called Serve closes the feed, always.
func (o *Outbox) Serve(ctx context.Context, channel claw.Channel, send func(wire.Down) bool) (*Feed, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.feeds[channel] != nil {
		return nil, fmt.Errorf("%s: %w", channel, ErrTaken)
	}
	ctx, cancel := context.WithCancel(ctx)
	f := &Feed{
		o: o, channel: channel, send: send, cancel: cancel,
		done: make(chan struct{}), wake: make(chan struct{}, 1), flights: map[string]*flight{}, unread: map[int64]int{},
	}
	o.feeds[channel] = f
	go f.run(ctx)
	return f, nil
}

// Close ends the feed and waits for it. What was under way is due again, for the next bridge. It
// must not be called from within send. Closing twice is harmless.
func (f *Feed) Close() {
	f.cancel()
	<-f.done
}

// look makes run look for what is due.
func (f *Feed) look() {
	select {
	case f.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// run sends what is due until the feed ends.
func (f *Feed) run(ctx context.Context) {
	defer close(f.done)
	defer func() {
		f.cancel()
		f.o.mu.Lock()
		delete(f.o.feeds, f.channel)
		f.o.mu.Unlock()
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		case <-timer.C:
		}
		wait, there := f.round(ctx)
		if !there {
			return
		}
		f.o.prune(ctx, f.o.o.Now())
		timer.Reset(wait)
	}
}

// round sends the next part of each user that has none under way, and returns when to look again at
// the latest, or false when the bridge is gone.
func (f *Feed) round(ctx context.Context) (time.Duration, bool) {
	now := f.o.o.Now()
	// Who is busy is asked before what is due: a part that lands in between is still due in what the
	// store said, and would go out twice. Its landing wakes us again.
	busy, wait := f.busy(ctx, now)
	items, next, err := f.o.o.Store.DueItems(ctx, f.channel, now)
	if err != nil {
		f.trouble(ctx, "cannot read what is due", err)
		return pause, true
	}
	if !next.IsZero() {
		wait = min(wait, max(next.Sub(now), time.Millisecond))
	}
	for _, item := range items {
		if busy[item.User] {
			continue
		}
		there, err := f.start(ctx, item)
		if err != nil {
			f.trouble(ctx, "cannot show an item", err, "item", item.Seq, "key", item.Key)
			wait = min(wait, pause)
		}
		if !there {
			return 0, false
		}
	}
	return wait, true
}

// busy returns the users that have a part under way, after it gave up the parts that are lost and
// tried again to store what became of the others, and when there is more of this to do.
func (f *Feed) busy(ctx context.Context, now time.Time) (map[string]bool, time.Duration) {
	f.mu.Lock()
	var again []*flight
	wait := idle
	for user, fl := range f.flights {
		switch {
		case fl.store != nil:
			again = append(again, fl)
		case fl.landed:
		case now.Sub(fl.left) >= lostAfter:
			f.o.o.Log.Warn("the bridge did not say what became of a part; it is sent again", "item", fl.item.Seq, "key", fl.item.Key, "part", fl.item.Part)
			delete(f.flights, user)
		default:
			wait = min(wait, lostAfter-now.Sub(fl.left))
		}
	}
	f.mu.Unlock()
	for _, fl := range again {
		if f.settle(ctx, fl, fl.store) != nil {
			wait = min(wait, pause)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	users := map[string]bool{}
	for user := range f.flights {
		users[user] = true
	}
	return users, wait
}

// start sends the next part of an item. It reports false when the bridge is gone.
func (f *Feed) start(ctx context.Context, item Item) (there bool, err error) {
	send := &wire.Send{
		Item: item.Seq, User: item.User, Kind: item.Kind, Part: item.Part, Shown: item.Shown,
		Run: string(item.Run), ReplyTo: item.ReplyTo, Text: item.Text, File: item.File,
	}
	// Without its bubble a reply would be a second outcome beside it.
	if item.Run != "" && item.Part == 0 {
		if send.Bubble, err = f.o.o.Store.Bubble(ctx, item.Run); err != nil {
			return true, err
		}
	}
	fl := &flight{item: item, left: f.o.o.Now()}
	if item.Approval != "" {
		if send.Card, err = f.o.o.Card(ctx, item.Approval); err == nil && send.Card == nil {
			err = ErrNoApproval
		}
		if ctx.Err() != nil {
			return false, nil
		}
		if err != nil {
			return true, f.cannotRead(ctx, item, "its approval", err, ErrNoApproval)
		}
		if fl.state = send.Card.State; item.Kind == wire.SendCard && fl.state == item.State {
			// It is due because its approval moved on, and approvals do not move back.
			return true, f.giveUp(ctx, item, fmt.Sprintf("its card says %q again, and its approval does not", fl.state))
		}
	}
	if item.Kind == wire.SendMenu {
		if send.Text, send.Menu, err = f.menu(ctx, item); ctx.Err() != nil {
			return false, nil
		}
		if err != nil {
			return true, f.cannotRead(ctx, item, "what it shows", err, ErrNoMenu)
		}
		fl.state = strconv.FormatInt(item.Menu.Version, 10)
	}
	down := wire.Down{Send: send}
	// A frame that the connection refuses ends it, and the next one too: nobody would be shown anything any more.
	if data, err := strict.Encode(down); err != nil || len(data) >= wire.MaxFrame {
		return true, f.giveUp(ctx, item, fmt.Sprintf("no frame can carry it: %d bytes, %v", len(data), err))
	}
	f.mu.Lock()
	f.flights[item.User] = fl
	f.mu.Unlock()
	f.o.o.Step("outbox.sending")
	return f.send(down), nil
}

// menu makes what a menu shows.
func (f *Feed) menu(ctx context.Context, item Item) (string, *wire.Menu, error) {
	if f.o.o.Menu == nil {
		return "", nil, ErrNoMenu
	}
	text, rows, err := f.o.o.Menu(ctx, item)
	return text, &wire.Menu{Rows: rows, Version: item.Menu.Version}, err
}

// cannotRead gives an item up when what it shows does not exist, or could not be read for too long.
func (f *Feed) cannotRead(ctx context.Context, item Item, what string, err, never error) error {
	f.unread[item.Seq]++
	if errors.Is(err, never) || f.unread[item.Seq] >= maxUnread {
		return f.giveUp(ctx, item, fmt.Sprintf("%s cannot be read: %v", what, err))
	}
	return fmt.Errorf("%s cannot be read: %w", what, err)
}

// giveUp ends an item that cannot be sent.
func (f *Feed) giveUp(ctx context.Context, item Item, why string) error {
	if err := f.o.o.Store.ItemUnsent(ctx, item.Seq, time.Time{}, true, why); err != nil {
		return err
	}
	f.failed(item, why)
	f.look()
	return nil
}

func (f *Feed) failed(item Item, why string) {
	f.o.o.Log.Error("an item of the outbox is given up", "item", item.Seq, "key", item.Key, "why", why)
	f.o.o.Failed(item, why)
}

// trouble logs a failure, unless it is only the end of the feed.
func (f *Feed) trouble(ctx context.Context, what string, err error, args ...any) {
	if ctx.Err() == nil {
		f.o.o.Log.Error("outbox: "+what, append(args, "err", err)...)
	}
}
