package agent

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// openings keeps how the beginnings of the conversations that were asked about last read. What stands before the last
// message was shown in the same words before, as long as the store changed no turn and the memories say nothing
// new; to write it again takes longer the longer a conversation is.
type openings struct {
	mu   sync.Mutex
	of   map[claw.SessionID]opening
	uses int
}

// opening is the beginning of a conversation up to before a message.
type opening struct {
	first, turns int // number of its first turn, and how many it has in the store
	summary      claw.Summary
	rewrites     int64
	state        string

	shown  []claw.Turn
	label  claw.Label
	seen   map[int64]bool // the memories in it
	weight int
	bytes  int // of what is kept beside the turns
	used   int
}

const (
	maxOpenings     = 8
	maxOpeningBytes = 2 << 20
)

// told is a conversation as a model reads it, with the label of the memories in it and its weight.
func (a *Agent) told(ctx context.Context, t *talk, p past) ([]claw.Turn, claw.Label, int) {
	want, steady := a.wanted(t, p)
	last := len(p.turns) - 1 // the last message: what stands before it is the opening
	for last >= 0 && !isMessage(p.turns[last]) {
		last--
	}
	o, ok := a.opened.get(t.session, want, last)
	if !ok || !steady {
		o = want
	}
	known := a.memories(ctx, t, p.turns[o.turns:], seen{before: o.seen})
	if o.turns < last {
		o = a.extended(o, p.turns[o.turns:last], known)
		if steady && (!known.unread || a.o.Recall == nil) {
			a.opened.set(t.session, o)
		}
	}
	shown, label, _ := a.more(o, p.turns[o.turns:], known)
	return append(slices.Clip(o.shown), shown...), o.label.Join(label), o.weight + weighAll(shown)
}

// wanted is an opening of nothing yet. Steady says whether what is kept can be told from what has changed.
func (a *Agent) wanted(t *talk, p past) (want opening, steady bool) {
	want = opening{first: p.first, summary: p.summary, rewrites: p.rewrites, label: publicWords()}
	steady = a.o.Recall == nil
	if s, ok := a.o.Recall.(Steady); ok {
		want.state, steady = s.State(t.origin), true // before the memories are read
	}
	return want, steady
}

// more is how turns behind an opening read; the first of them is a message, or the first of all.
func (a *Agent) more(o opening, turns []claw.Turn, known remembered) (shown []claw.Turn, label claw.Label, now map[int64]bool) {
	now = map[int64]bool{}
	if o.turns == 0 {
		shown, label = a.shown(answered(turns), o.summary, known, seen{now: now})
		return shown, label, now
	}
	shown = answered(turns)
	return shown, a.dress(shown, claw.Summary{}, known, seen{o.seen, now}), now
}

// extended is an opening that goes further; the one of before stays as it is.
func (a *Agent) extended(o opening, turns []claw.Turn, known remembered) opening {
	shown, label, now := a.more(o, turns, known)
	for _, t := range shown {
		o.bytes += len(t.Context) + len(t.Text)
		for _, r := range t.Results {
			o.bytes += len(r.Content)
			for _, image := range r.Images {
				o.bytes += maxOpeningBytes + len(image.Data) // the store says which pictures are there still
			}
		}
	}
	maps.Copy(now, o.seen)
	o.shown, o.label, o.seen = append(slices.Clip(o.shown), shown...), o.label.Join(label), now
	o.turns, o.weight = o.turns+len(turns), o.weight+weighAll(shown)
	return o
}

// get returns what is kept of a conversation if it is the beginning of what is asked for now.
func (s *openings) get(session claw.SessionID, want opening, last int) (opening, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.of[session]
	same := ok && o.first == want.first && o.summary == want.summary && o.rewrites == want.rewrites && o.state == want.state
	return o, same && o.turns <= last
}

func (s *openings) set(session claw.SessionID, o opening) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.of, session)
	if o.bytes > maxOpeningBytes {
		return
	}
	if s.of == nil {
		s.of = map[claw.SessionID]opening{}
	}
	if len(s.of) >= maxOpenings {
		oldest := session
		for id, other := range s.of {
			if was, ok := s.of[oldest]; !ok || other.used < was.used {
				oldest = id
			}
		}
		delete(s.of, oldest)
	}
	s.uses++
	o.used = s.uses
	s.of[session] = o
}
