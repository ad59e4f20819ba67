package telegram

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// lanes carry what the gateway wants shown: to each user one part at a time, whichever connection asked for it.
type lanes struct {
	mu     sync.Mutex
	closed bool
	idle   *sync.Cond
	busy   int
	users  map[string]*lane
}

type lane struct {
	busy bool
	next *job
	// recent is what was shown lately and how it was reported. A gateway that died before it stored the report
	// asks for the same part again, and gets the report instead of a second message.
	recent []report
	// tries of the part that fails.
	failing part
	wait    time.Duration
}

type job struct {
	s    *session
	send wire.Send
}

// part names what is to be shown, with what is in it: an item's number alone would not survive a new database.
type part struct {
	item   int64
	part   int
	digest [sha256.Size]byte
}

type report struct {
	of   part
	sent wire.Sent
}

// recentKept is how many reports are kept for each user. At most one part is under way, so that one would do.
const recentKept = 8

func newLanes() *lanes {
	l := &lanes{users: make(map[string]*lane)}
	l.idle = sync.NewCond(&l.mu)
	return l
}

// drain takes nothing new, and waits until what is on its way has arrived, or until grace is over.
func (l *lanes) drain(grace time.Duration) {
	late := false
	t := time.AfterFunc(grace, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		late = true
		l.idle.Broadcast()
	})
	defer t.Stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for l.busy > 0 && !late {
		l.idle.Wait()
	}
}

// take accepts a part to show. A newer request for a user replaces one that has not begun: it comes from a
// newer connection, and the older one is gone.
func (b *bridge) take(s *session, in wire.Send) {
	l := b.lanes
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	u := l.users[in.User]
	if u == nil {
		if !b.allowed(refOf(in.User)) {
			b.wg.Go(func() {
				_ = s.send(wire.Up{Unsent: &wire.Unsent{Item: in.Item, Part: in.Part, Never: true, Why: "this user is not on the bridge's allow-list"}})
			})
			return
		}
		u = &lane{}
		l.users[in.User] = u
	}
	u.next = &job{s, in}
	if u.busy {
		return
	}
	u.busy = true
	l.busy++
	b.wg.Go(func() { b.serve(u) })
}

// serve works on one user's lane until nothing waits in it.
func (b *bridge) serve(u *lane) {
	l := b.lanes
	for {
		l.mu.Lock()
		j := u.next
		u.next = nil
		if j == nil || l.closed {
			u.busy = false
			l.busy--
			l.idle.Broadcast()
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		if up, ok := b.settle(b.hard, u, j); ok {
			_ = j.s.send(up) // if the gateway is gone it asks again, and hears it then
		}
	}
}

// settle shows one part, or finds that it is shown, and returns what to report. Only the lane's own goroutine
// is here, so that its memory needs no lock.
func (b *bridge) settle(ctx context.Context, u *lane, j *job) (wire.Up, bool) {
	in := j.send
	id := partOf(in)
	for _, r := range u.recent {
		if r.of == id {
			return wire.Up{Sent: &r.sent}, true
		}
	}
	sent, err := b.show(ctx, j.s, in)
	if err == nil {
		b.o.Step("bridge.shown")
		sent.Item, sent.Part = in.Item, in.Part
		if len(u.recent) == recentKept {
			u.recent = u.recent[1:]
		}
		u.recent = append(u.recent, report{id, sent})
		u.failing, u.wait = part{}, 0
		return wire.Up{Sent: &sent}, true
	}
	if ctx.Err() != nil || errors.Is(err, errAway) {
		return wire.Up{}, false
	}
	if u.failing != id {
		u.failing, u.wait = id, 0
	}
	u.wait = grow(u.wait, b.t.backoff, 60*b.t.backoff)
	e := asAPI(err)
	out := &wire.Unsent{Item: in.Item, Part: in.Part, AfterMS: max(jitter(u.wait), 1*time.Millisecond).Milliseconds(), Why: e.Error()}
	switch {
	case hopeless(e):
		out.Never, out.AfterMS = true, 0
	case e.RetryAfter > 0:
		out.AfterMS = e.RetryAfter.Milliseconds()
		b.pace.hold(refOf(in.User), e.RetryAfter)
	case e.Code == http.StatusUnauthorized || e.Code == http.StatusNotFound:
		out.AfterMS = b.t.slow.Milliseconds() // the token: it may be put right
	}
	b.o.Log.Warn("a part was not shown", "item", in.Item, "part", in.Part, "err", e, "never", out.Never)
	return wire.Up{Unsent: out}, true
}

// hopeless reports a refusal that no further try can change: the user has blocked the bot or is gone.
func hopeless(e *apiError) bool {
	return e.Code == http.StatusForbidden ||
		e.Code == http.StatusBadRequest && e.says("chat not found", "user not found", "user is deactivated", "peer_id_invalid", "refused for good")
}

func partOf(in wire.Send) part {
	id := part{item: in.Item, part: in.Part}
	in.Bubble, in.ReplyTo = "", "" // they say where it goes, not what it is
	if in.Kind != wire.SendCard && in.Kind != wire.SendMenu {
		in.Shown = nil
	} // of a card or a menu, the same edit in more messages is another one
	data, err := strict.Encode(in)
	if err == nil {
		id.digest = sha256.Sum256(data)
	}
	return id
}
