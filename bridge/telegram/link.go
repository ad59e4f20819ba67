package telegram

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/secureclaw/secureclaw/internal/wire"
)

// errAway is an exchange that the end of the connection cut off: it starts anew on the next one.
var errAway = errors.New("the gateway is away")

// session is one connection to the gateway, from its welcome to its end.
type session struct {
	conn *wire.Conn
	done chan struct{} // closed at its end

	mu      sync.Mutex
	waiting map[string]chan wire.Down // by what the answer will name
}

func (s *session) send(up wire.Up) error {
	err := s.conn.Send(up)
	if err == nil || errors.Is(err, wire.ErrFrame) {
		return err // a frame that is too long: nothing was written, and the connection is as good as before
	}
	_ = s.conn.Close() // the reader ends the session
	return fmt.Errorf("%w: %v", errAway, err)
}

// ask sends a frame and waits for the one that names key: the answer, or a fault.
func (s *session) ask(ctx context.Context, wait time.Duration, key string, up wire.Up) (wire.Down, error) {
	answer := make(chan wire.Down, 1)
	s.mu.Lock()
	s.waiting[key] = answer
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.waiting[key] == answer {
			delete(s.waiting, key)
		}
	}()
	if err := s.send(up); err != nil {
		if errors.Is(err, errAway) {
			s.ended(ctx)
		}
		return wire.Down{}, err
	}
	late := time.NewTimer(wait)
	defer late.Stop()
	select {
	case d := <-answer:
		return d, nil
	case <-s.done:
		return wire.Down{}, errAway
	case <-ctx.Done():
		return wire.Down{}, ctx.Err()
	case <-late.C:
		// A gateway that lives answers at once. Whatever this one waits for, a new connection starts it anew.
		_ = s.conn.Close()
		s.ended(ctx)
		return wire.Down{}, fmt.Errorf("%w: no answer to %s", errAway, key)
	}
}

// ended waits until a session whose connection is closed has ended, so that nobody takes it up again.
func (s *session) ended(ctx context.Context) {
	select {
	case <-s.done:
	case <-ctx.Done():
	}
}

// answered hands a frame to whoever waits for key, and reports whether anybody did.
func (s *session) answered(key string, d wire.Down) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer, ok := s.waiting[key]
	if ok {
		delete(s.waiting, key)
		answer <- d
	}
	return ok
}

func chunkKey(item, offset int64) string { return fmt.Sprintf("chunk.%d.%d", item, offset) }

// link is the way to the gateway, which comes and goes.
type link struct {
	mu      sync.Mutex
	cur     *session
	state   string        // one of those below
	changed chan struct{} // closed and renewed when cur or state changes
}

// How the gateway took us. A bridge that it refuses leaves Telegram alone: the other one, which it took, reads there.
const (
	unknown  = ""
	unwanted = "unwanted"
	away     = "away"
	here     = "here"
)

func newLink() *link { return &link{changed: make(chan struct{})} }

func (l *link) set(s *session, state string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cur == s && l.state == state {
		return
	}
	l.cur, l.state = s, state
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *link) current() *session {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cur
}

// mayPoll waits until the gateway took us, or is away. While it is away, taps are still answered.
func (l *link) mayPoll(ctx context.Context) {
	for ctx.Err() == nil {
		l.mu.Lock()
		state, changed := l.state, l.changed
		l.mu.Unlock()
		if state == here || state == away {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// session waits for the gateway as long as ctx lives.
func (l *link) session(ctx context.Context) (*session, error) {
	for {
		l.mu.Lock()
		s, changed := l.cur, l.changed
		l.mu.Unlock()
		if s != nil {
			return s, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// refusal is a gateway that answers and does not want us: asking often is of no use.
type refusal struct{ what string }

func (r *refusal) Error() string { return "this bridge is not wanted: " + r.what }

// unwelcome reports whether an error is the gateway's refusal.
func unwelcome(err error) bool {
	_, ok := errors.AsType[*refusal](err)
	return ok
}

// connect holds a connection to the gateway, again and again, until ctx ends.
func (b *bridge) connect(ctx context.Context) {
	const first, longest = 50 * time.Millisecond, 2 * time.Second
	wait, said := first, ""
	for ctx.Err() == nil {
		welcomed, err := b.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if welcomed {
			wait, said = first, ""
			b.o.Log.Info("the gateway hung up", "err", err)
		} else if text := err.Error(); text != said && (wait > 4*first || unwelcome(err)) { // not while both start; one line for each new reason, not one for each try
			said = text
			b.o.Log.Warn("no connection to the gateway", "err", err)
		}
		pause, state := wait, away
		if unwelcome(err) {
			pause, state = b.t.slow, unwanted
		}
		b.link.set(nil, state)
		sleep(ctx, jitter(pause))
		wait = min(2*wait, longest)
	}
}

// session is one connection, from the dial to its end.
func (b *bridge) session(ctx context.Context) (welcomed bool, err error) {
	conn, err := wire.Dial(ctx, b.o.Socket, wire.Hello{Role: role, Program: b.o.Program})
	if err != nil {
		if strings.HasPrefix(err.Error(), "refused by ") {
			err = &refusal{err.Error()}
		}
		return false, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	s := &session{conn: conn, done: make(chan struct{}), waiting: make(map[string]chan wire.Down)}
	sctx, cancel := context.WithCancel(ctx)
	var ours sync.WaitGroup
	defer ours.Wait()
	defer cancel()
	defer close(s.done)
	defer conn.Close()
	defer func() {
		if welcomed {
			b.link.set(nil, away)
			b.streams.pause()
		}
	}()
	for {
		var d wire.Down
		if err := conn.Receive(&d); err != nil {
			return welcomed, err
		}
		if f := d.Fault; f != nil && f.Ref == "" {
			b.o.Log.Warn("the gateway complains", "code", f.Code, "what", f.What)
			if f.Code == "taken" || f.Code == "role" {
				b.health.set(wire.HealthDegraded, "the gateway refuses this bridge: "+f.What)
				return welcomed, &refusal{f.What}
			}
			continue
		}
		if w := d.Welcome; w != nil && !welcomed {
			welcomed = true
			b.link.set(s, here)
			ours.Go(func() {
				b.health.repeat()
				b.accuseAll()
				b.commands(sctx, w.Commands)
			})
			continue
		}
		b.down(s, d)
	}
}

// down takes one frame. It must not wait: the next frame may be the one that somebody waits for.
func (b *bridge) down(s *session, d wire.Down) {
	switch {
	case d.Accepted != nil:
		s.answered(d.Accepted.Message, d)
	case d.Answer != nil:
		s.answered(d.Answer.Ref, d)
	case d.Fault != nil:
		if !s.answered(d.Fault.Ref, d) {
			b.o.Log.Warn("the gateway complains", "code", d.Fault.Code, "what", d.Fault.What)
		}
	case d.Chunk != nil:
		s.answered(chunkKey(d.Chunk.Item, d.Chunk.Offset), d)
	case d.Send != nil:
		b.take(s, *d.Send)
	case d.Working != nil:
		b.working(s, *d.Working)
	case d.Delta != nil:
		b.streams.delta(*d.Delta)
	case d.Progress != nil:
		b.streams.progress(*d.Progress)
	case d.Step != nil:
		b.streams.step(*d.Step)
	case d.Reply != nil:
		b.streams.rest(d.Reply.Run)
	}
}
