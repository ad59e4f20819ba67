package dispatch

import (
	"context"
	"sync"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// perSession is how many calls of one session are with the runner at once: half of what it runs. A
// model may ask for dozens in one answer; those of other sessions must not wait for them all, or
// be refused because the queue is full.
const perSession = 4

// turns lets the calls of each session go to the runner a few at a time.
type turns struct {
	mu   sync.Mutex
	open map[claw.SessionID]*turn
}

// turn is one session's share; it is forgotten when nobody holds or awaits it.
type turn struct {
	free  chan struct{}
	users int
}

// take waits for a turn of the session and returns what gives it back, or false when ctx ends first.
func (t *turns) take(ctx context.Context, session claw.SessionID) (give func(), ok bool) {
	t.mu.Lock()
	if t.open == nil {
		t.open = map[claw.SessionID]*turn{}
	}
	mine := t.open[session]
	if mine == nil {
		mine = &turn{free: make(chan struct{}, perSession)}
		t.open[session] = mine
	}
	mine.users++
	t.mu.Unlock()
	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if mine.users--; mine.users == 0 {
			delete(t.open, session)
		}
	}
	select {
	case mine.free <- struct{}{}:
		return func() { <-mine.free; leave() }, true
	case <-ctx.Done():
		leave()
		return nil, false
	}
}
