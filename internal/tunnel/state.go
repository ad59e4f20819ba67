package tunnel

import (
	"context"
	"io"
	"time"
)

// state is one stream as both ends know it.
type state struct {
	id        uint32
	allowance uint32 // bytes that the guest may send
	credit    uint32 // bytes that we may send
	ours      bool   // opened by the host
	acked     bool   // and the guest confirmed that
	guestDone bool
	hostDone  time.Time // when we closed it; zero: not yet
	reset     bool      // by the guest
	over      bool
	served    bool
	conn      *stream         // what is served
	ctx       context.Context // of who serves it
	cancel    context.CancelFunc
}

// over takes s out of what is live.
func (g *guard) over(s *state) {
	if s.over {
		return
	}
	s.over = true
	delete(g.streams, s.id)
	if !s.ours {
		g.setLate(s.id, !s.guestDone)
		g.release(s)
	}
}

// release gives the place of s back once the stream is over and nobody serves it any more. Both: a
// guest that opens and resets would otherwise keep any number of servers busy.
func (g *guard) release(s *state) {
	if s.over && s.served {
		g.taken--
	}
}

func (g *guard) isLate(id uint32) bool {
	word := int(id / 2 / 64)
	return word < len(g.late) && g.late[word]&(1<<(id/2%64)) != 0
}

func (g *guard) setLate(id uint32, late bool) {
	word := int(id / 2 / 64)
	for late && word >= len(g.late) {
		g.late = append(g.late, 0)
	}
	switch {
	case late:
		g.late[word] |= 1 << (id / 2 % 64)
	case word < len(g.late):
		g.late[word] &^= 1 << (id / 2 % 64)
	}
}

// Write takes what yamux sends, and remembers what the guest may do because of it before the guest
// can have seen it.
func (g *guard) Write(p []byte) (int, error) {
	if len(g.frames.head) == 0 {
		g.sends(parse(p))
	}
	// A guest that ended reads no more, and what it wrote before may still be on its way: only the end
	// of that is the end.
	_, _ = g.frames.Write(p)
	return len(p), nil
}

func (g *guard) sends(h header) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if h.flags&flagSYN != 0 {
		g.streams[answerID] = g.answer
	}
	s := g.streams[h.stream]
	switch {
	case s == nil || h.kind != typeData && h.kind != typeUpdate:
		return
	case h.kind == typeData:
		s.credit -= min(h.length, s.credit)
	default:
		s.allowance += h.length
	}
	if h.flags&flagRST != 0 {
		g.over(s)
	}
	if h.flags&flagFIN != 0 && s.hostDone.IsZero() {
		s.hostDone = time.Now()
		if s.guestDone {
			g.over(s)
		}
	}
}

// refuse tells the guest which of its streams were refused, until done. It is a writer of its own,
// because who reads must not wait for a guest that does not.
func (g *guard) refuse(done <-chan struct{}) {
	for {
		select {
		case <-g.kick:
		case <-done:
			return
		}
		for {
			batch := g.batch()
			if len(batch) == 0 {
				break
			}
			if g.whole(batch) != nil {
				return // nobody is left to be told
			}
		}
	}
}

// batch is the next refusals as frames.
func (g *guard) batch() []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(len(g.resets), 256)
	out := make([]byte, 0, n*headerBytes)
	for _, id := range g.resets[:n] {
		out = header{kind: typeUpdate, flags: flagRST, stream: id}.append(out)
	}
	if g.resets = g.resets[n:]; len(g.resets) == 0 {
		g.resets = nil
	}
	return out
}

// fail ends reading for good, and returns why.
func (g *guard) fail(err error) error {
	g.broken = err
	g.end(err)
	return err
}

// end remembers the first thing that ended the tunnel.
func (g *guard) end(err error) {
	g.mu.Lock()
	if g.err == nil && !g.closing && err != io.EOF {
		g.err = err
	}
	g.closing = true
	err = g.err
	g.mu.Unlock()
	g.onEnd(err)
}

// stop ends every connection that is served, and those to come. It comes before the end of yamux's
// session: between that and the end of its streams, each of their readers would spin, and dozens of
// them together keep the end from coming for seconds.
func (g *guard) stop(why error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped != nil {
		return
	}
	g.stopped = why
	for _, s := range g.streams {
		if s.conn != nil {
			<-s.ctx.Done() // on its way: who serves shall find it ended when the connection fails
			s.conn.stop(why)
		}
	}
}

// hangUp says that from here on an end is our own doing.
func (g *guard) hangUp() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closing = true
}

// why is what ended the tunnel, or nil.
func (g *guard) why() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

// finished says whether the guest itself ended what it sends in the stream.
func (g *guard) finished(s *state) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return s.guestDone && !s.reset
}

// serve takes a stream out of the queue; conn, ctx and cancel are how those who serve it learn of its end.
func (g *guard) serve(ctx context.Context, conn *stream, cancel context.CancelFunc) *state {
	g.mu.Lock()
	defer g.mu.Unlock()
	id := conn.raw.StreamID()
	s := g.queue[id]
	delete(g.queue, id)
	s.conn, s.ctx, s.cancel = conn, ctx, cancel
	if s.over {
		cancel()
	}
	if g.stopped != nil {
		conn.stop(g.stopped)
	}
	return s
}

// done says that nobody serves s any more.
func (g *guard) done(s *state) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s.served = true
	g.release(s)
}
