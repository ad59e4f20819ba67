package agent

import (
	"context"
	"slices"
	"sync"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// lately keeps the turns of the conversations that were asked about last, as the store gave them. Turns are
// appended and, but for what a user has forgotten, never changed, so only the new ones are read again: to decode a
// thousand of them takes longer than everything else between a message and its question.
type lately struct {
	mu   sync.Mutex
	of   map[claw.SessionID]*stretch
	uses int
}

// stretch are the turns of a session behind a number; the one at first is the first of them.
type stretch struct {
	after, first int
	turns        []claw.Turn
	bytes, used  int
	rewrites     int64 // of the store, before the turns were read
}

const (
	maxStretches    = 16
	maxStretchBytes = 2 << 20
)

func (s *stretch) last() int { return s.first + len(s.turns) - 1 }

// turnsAfter returns all turns behind a number, like [History.TurnsAfter]. Nobody may change them.
func (a *Agent) turnsAfter(ctx context.Context, session claw.SessionID, after int) ([]claw.Turn, int, error) {
	rewrites := a.o.History.Rewrites()
	if known, ok := a.lately.get(session, after, rewrites); ok {
		turns, first, err := a.o.History.TurnsAfter(ctx, session, known.last(), 0)
		switch {
		case err != nil:
			return nil, 0, err
		case len(turns) == 0:
			return slices.Clip(known.turns), known.first, nil
		case first == known.last()+1:
			known.turns = append(known.turns, turns...)
			a.lately.set(session, known, turns)
			return slices.Clip(known.turns), known.first, nil
		} // else there were too many to be read at once
	}
	turns, first, err := a.o.History.TurnsAfter(ctx, session, after, 0)
	if err == nil && len(turns) > 0 {
		a.lately.set(session, stretch{after: after, first: first, turns: turns, rewrites: rewrites}, turns)
	}
	return slices.Clip(turns), first, err
}

func (l *lately) get(session claw.SessionID, after int, rewrites int64) (stretch, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.of[session]
	if !ok || s.after != after || s.rewrites != rewrites {
		return stretch{}, false
	}
	return *s, true
}

// set keeps a stretch, of which some turns are new.
func (l *lately) set(session claw.SessionID, s stretch, added []claw.Turn) {
	whole := true
	for _, t := range added {
		s.bytes += len(t.Text) + len(t.Notes)
		for _, c := range t.Calls {
			s.bytes += len(c.Input)
		}
		for _, r := range t.Results {
			s.bytes += len(r.Content)
			whole = whole && len(r.Images) == 0 // the store says which pictures are there still
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.of, session)
	if !whole || s.bytes > maxStretchBytes {
		return
	}
	if l.of == nil {
		l.of = map[claw.SessionID]*stretch{}
	}
	if len(l.of) >= maxStretches {
		oldest := session
		for id, other := range l.of {
			if l.of[oldest] == nil || other.used < l.of[oldest].used {
				oldest = id
			}
		}
		delete(l.of, oldest)
	}
	l.uses++
	s.used = l.uses
	l.of[session] = &s
}
