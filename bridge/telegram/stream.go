package telegram

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/secureclaw/secureclaw/internal/wire"
)

const (
	bubbleUnits = 3500     // of the text of a run that a bubble shows, its end
	textKept    = 24 << 10 // bytes of a run's text that are kept, at most
	tracesKept  = 64       // runs that are remembered
	cursor      = " ▌"
	// staleAfter is how long a run is remembered that the gateway, back again, did not speak of.
	staleAfter = 2 * time.Minute
)

// streams are the runs that go on, and the message that shows each: its bubble. All of it is paint. The reply is
// an item of the outbox, and takes the bubble's place.
type streams struct {
	mu     sync.Mutex
	runs   map[string]*stream
	traces map[string]trace            // by run, beyond its end
	order  []string                    // of traces, oldest first
	asked  map[int64]map[string]string // the questions that wait for a user: code by approval
}

// trace is what is kept of a run: its bubble, and whether it is over. A run that is over gets no new picture,
// which would paint over the reply.
type trace struct {
	ref  string
	over bool
}

func newStreams() *streams {
	return &streams{runs: make(map[string]*stream), traces: make(map[string]trace), asked: make(map[int64]map[string]string)}
}

// stream is one run.
type stream struct {
	run  string
	user int64
	end  chan struct{} // closed to end it
	over chan struct{} // closed when nothing of it is under way any more

	mu     sync.Mutex
	ended  bool
	paused time.Time // since when the gateway is away
	ref    string    // of the bubble
	dead   bool      // Telegram wants no more of it
	plan   string    // what it follows, and how far it is
	turn   int       // of its plan
	text   string    // the end of what the model wrote
	began  time.Time // first text
	news   time.Time // last text
	tool   string    // that runs
	since  time.Time // the tool, or the thought before it
}

// asks notes that a user is asked something, or is not any more: while he is, it is not we who are at work.
func (s *streams) asks(user int64, c *wire.Card) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.State != "pending" {
		delete(s.asked[user], c.ID)
		return
	}
	if s.asked[user] == nil {
		s.asked[user] = make(map[string]string)
	}
	s.asked[user][c.ID] = c.Code
}

// waitsFor is the code of a question that waits for a user, empty when there is none.
func (s *streams) waitsFor(user int64) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asked[user]) == 0 {
		return ""
	}
	return slices.Min(slices.Collect(maps.Values(s.asked[user])))
}

func (s *streams) find(run string) *stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runs[run]
}

// note keeps a run's trace. The caller holds mu.
func (s *streams) note(run string, t trace) {
	if _, known := s.traces[run]; !known {
		s.order = append(s.order, run)
		if len(s.order) > tracesKept {
			delete(s.traces, s.order[0])
			s.order = s.order[1:]
		}
	}
	s.traces[run] = t
}

func (s *streams) delta(d wire.Delta) {
	if r := s.find(d.Run); r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.news = time.Now()
		if r.text == "" {
			r.began = r.news
		}
		r.write(d.Text)
	}
}

// write adds text and forgets the beginning of what is too much. The caller holds mu.
func (r *stream) write(text string) {
	r.text += text
	if len(r.text) > textKept {
		r.text = strings.ToValidUTF8(r.text[len(r.text)-textKept/2:], "")
	}
}

func (s *streams) step(in wire.Step) {
	if r := s.find(in.Run); r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.since, r.tool = time.Now(), ""
		if in.Status == "" {
			r.tool = in.Tool
		}
		if r.text != "" && !strings.HasSuffix(r.text, "\n\n") {
			r.write("\n\n") // what the model writes after a call is a new paragraph
		}
	}
}

// progress takes a run's plan, in the place of the one before. What the model wrote on an earlier turn makes way.
func (s *streams) progress(p wire.Progress) {
	if r := s.find(p.Run); r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.news = time.Now()
		if p.Iteration != r.turn {
			r.turn, r.text, r.tool, r.since = p.Iteration, "", "", r.news
		}
		r.plan = planText(p)
	}
}

// pause keeps still while the gateway is away: whether a run goes on, only it knows.
func (s *streams) pause() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.runs {
		r.mu.Lock()
		if r.paused.IsZero() {
			r.paused = time.Now()
		}
		r.mu.Unlock()
	}
}

// rest ends the picture of a run, without waiting for it. Its bubble stays known.
func (s *streams) rest(run string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.runs[run]
	if _, known := s.traces[run]; r == nil && !known {
		return // of another channel
	}
	s.note(run, trace{s.traces[run].ref, true})
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended {
		r.ended = true
		close(r.end)
	}
}

// stop ends the picture of a run and waits until none of its edits is under way, or an old picture could arrive
// after the reply. It returns the bubble.
func (s *streams) stop(ctx context.Context, run string) string {
	r := s.find(run)
	s.rest(run)
	if r != nil {
		select {
		case <-r.over:
		case <-ctx.Done():
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.traces[run]
	s.note(run, trace{t.ref, true})
	return t.ref
}

// working begins the picture of a run, or goes on with it after the gateway came back.
func (b *bridge) working(s *session, w wire.Working) {
	user := refOf(w.User)
	if !b.allowed(user) {
		return
	}
	b.streams.mu.Lock()
	defer b.streams.mu.Unlock()
	if r := b.streams.runs[w.Run]; r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.paused = time.Time{}
		if r.ref != "" && r.ref != w.Bubble {
			up := wire.Up{Bubble: &wire.Bubble{Run: w.Run, Ref: r.ref}}
			b.wg.Go(func() { _ = s.send(up) }) // the reader must not wait for a writer
		}
		return
	}
	old := b.streams.traces[w.Run]
	if old.over {
		return
	}
	now := time.Now()
	r := &stream{
		run: w.Run, user: user, ref: w.Bubble, end: make(chan struct{}), over: make(chan struct{}),
		news: now, since: now,
	}
	if w.Bubble != "" {
		b.streams.note(w.Run, trace{ref: w.Bubble})
	} else {
		r.ref = old.ref
	}
	b.streams.runs[w.Run] = r
	b.wg.Go(func() { b.paint(r) })
}
