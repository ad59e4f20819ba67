package telegram

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/secureclaw/secureclaw/bridge/telegram/internal/entity"
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
	traces map[string]trace // by run, beyond its end
	order  []string         // of traces, oldest first
}

// trace is what is kept of a run: its bubble, and whether it is over. A run that is over gets no new picture,
// which would paint over the reply.
type trace struct {
	ref  string
	over bool
}

func newStreams() *streams {
	return &streams{runs: make(map[string]*stream), traces: make(map[string]trace)}
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
	text   string    // the end of what the model wrote
	began  time.Time // first text
	news   time.Time // last text
	tool   string    // that runs
	since  time.Time // the tool, or the thought before it
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

// typing shows "typing…" for five seconds, if there is room for it.
func (b *bridge) typing(user int64) {
	if !b.pace.tryAction(user) {
		return
	}
	b.wg.Go(func() {
		err := b.api.call(b.hard, b.t.picture, "sendChatAction", struct {
			Chat   int64  `json:"chat_id"`
			Action string `json:"action"`
		}{user, "typing"}, nil)
		if e := asAPI(err); err != nil && e.RetryAfter > 0 {
			b.pace.hold(user, e.RetryAfter)
		}
	})
}

// paint keeps the picture of one run up to date until it ends.
func (b *bridge) paint(r *stream) {
	defer close(r.over)
	defer func() {
		b.streams.mu.Lock()
		defer b.streams.mu.Unlock()
		delete(b.streams.runs, r.run)
	}()
	tick := time.NewTicker(b.t.tick)
	defer tick.Stop()
	var typed, edited time.Time
	shown := ""
	for {
		select {
		case <-r.end:
			return
		case <-b.hard.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		r.mu.Lock()
		paused, dead := r.paused, r.dead
		text, status := r.picture(now, b.t)
		first := r.ref == ""
		ready := text != "" && (status || now.Sub(r.began) >= b.t.bubble)
		r.mu.Unlock()
		if !paused.IsZero() {
			if now.Sub(paused) > staleAfter {
				return
			}
			continue
		}
		if now.Sub(typed) >= b.t.typing {
			typed = now
			b.typing(r.user)
		}
		pause := b.t.edit
		if status {
			pause = b.t.status
		}
		if dead || !ready || text == shown || !first && now.Sub(edited) < pause || !b.pace.try(r.user) {
			continue
		}
		if b.bubble(r, text) {
			shown = text
		}
		edited = time.Now()
	}
}

// picture is what the bubble shows now, and whether its status line is a part of it. The caller holds mu.
func (r *stream) picture(now time.Time, t timing) (text string, status bool) {
	if r.text != "" {
		text = tail(entity.Plain(r.text).Text, bubbleUnits)
	}
	if now.Sub(r.news) < t.quiet {
		if text != "" {
			text += cursor
		}
		return text, false
	}
	what := r.tool
	if what == "" {
		what = "thinking"
	}
	line := fmt.Sprintf("⏳ %s · %d s", what, int(now.Sub(r.since).Seconds()))
	if text != "" {
		line = text + "\n\n" + line
	}
	return line, true
}

// tail is the end of a text, in UTF-16 units.
func tail(text string, units int) string {
	n := 0
	runes := []rune(text)
	for i := len(runes) - 1; i >= 0; i-- {
		n++
		if runes[i] > 0xffff {
			n++
		}
		if n > units {
			return "…" + string(runes[i+1:])
		}
	}
	return text
}

// bubble sends or edits a run's message, and reports whether Telegram shows the text.
func (b *bridge) bubble(r *stream, text string) bool {
	r.mu.Lock()
	id := refOf(r.ref)
	r.mu.Unlock()
	method := "sendMessage"
	if id != 0 {
		method = "editMessageText"
	}
	var m message
	err := b.api.call(b.hard, b.t.picture, method, textParams{
		ChatID: r.user, MessageID: id, Text: text, Preview: linkPreview{true},
	}, &m)
	e := asAPI(err)
	switch {
	case err == nil:
	case e.says("message is not modified"):
		return true
	default:
		if e.RetryAfter > 0 {
			b.pace.hold(r.user, e.RetryAfter)
		}
		// A first message whose answer was lost may be there: another would be a second bubble. And Telegram
		// that asks to wait shall keep its patience for the reply.
		if id == 0 && e.Maybe || e.Code >= 400 && e.Code < 500 {
			r.mu.Lock()
			r.dead = true
			r.mu.Unlock()
		}
		return false
	}
	if id == 0 {
		b.o.Step("bridge.bubble")
		b.streams.mu.Lock()
		b.streams.note(r.run, trace{ref(m.ID), b.streams.traces[r.run].over})
		b.streams.mu.Unlock()
		r.mu.Lock()
		r.ref = ref(m.ID)
		r.mu.Unlock()
		b.tell(wire.Up{Bubble: &wire.Bubble{Run: r.run, Ref: ref(m.ID)}})
	}
	return true
}
