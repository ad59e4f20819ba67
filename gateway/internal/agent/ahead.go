package agent

import (
	"context"
	"sync"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// ahead are the conversations that are read before they are asked with: while a message is stored, what was
// said before it can be read and written as a model reads it. Whoever asks waits for that: a conversation is
// read by one at a time.
type ahead struct {
	mu sync.Mutex
	of map[claw.SessionID]chan struct{} // closed at the end of the reading
}

// Foresee is told that a message comes, if the conversation rests. It returns at once with what is to be run
// beside the storing of the message, and must be run. Nothing hangs on what that finds.
func (a *Agent) Foresee(ctx context.Context, session claw.SessionID, origin claw.Origin) (read func()) {
	end, ok := a.ahead.begin(session)
	if !ok {
		return func() {}
	}
	return func() {
		defer end()
		if p, err := a.pastNow(ctx, session); err == nil { // whoever asks meets the trouble again, and says so
			a.readAhead(ctx, &talk{session: session, origin: origin}, p)
		}
	}
}

// readAhead writes all that was said, if it is the opening of a message that comes: it ends with an answer.
func (a *Agent) readAhead(ctx context.Context, t *talk, p past) {
	if n := len(p.turns); n == 0 || p.turns[n-1].Role != claw.Assistant || len(p.turns[n-1].Calls) > 0 {
		return
	}
	want, steady := a.wanted(t, p)
	if !steady {
		return
	}
	o, ok := a.opened.get(t.session, want, len(p.turns))
	if !ok {
		o = want
	}
	if o.turns == len(p.turns) {
		return
	}
	known := a.memories(ctx, t, p.turns[o.turns:], seen{before: o.seen})
	if !known.unread || a.o.Recall == nil {
		a.opened.set(t.session, a.extended(o, p.turns[o.turns:], known))
	}
}

func (s *ahead) begin(session claw.SessionID) (end func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of[session] != nil {
		return nil, false
	}
	if s.of == nil {
		s.of = map[claw.SessionID]chan struct{}{}
	}
	done := make(chan struct{})
	s.of[session] = done
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.of, session)
		close(done)
	}, true
}

// wait takes its turn to read a conversation.
func (s *ahead) wait(ctx context.Context, session claw.SessionID) (end func(), err error) {
	for {
		if end, ok := s.begin(session); ok {
			return end, nil
		}
		s.mu.Lock()
		done := s.of[session]
		s.mu.Unlock()
		if done == nil {
			continue
		}
		select {
		case <-done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
