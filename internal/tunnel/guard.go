package tunnel

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// answerID is the only stream that the host opens: yamux numbers those of its server evenly.
const answerID = 2

// guard stands between the guest's bytes and the host's yamux. It sees both directions, because only
// who knows what the host sent can say what a guest may send now. Rules:
//
//   - A header is judged before yamux sees it and before a byte of its body is read.
//   - What is right passes unchanged, but that data passes in frames of what has arrived: yamux locks a
//     stream from a frame's header to the end of its body, and a guest that stops between the two would
//     keep who reads there from seeing a deadline. What is right for a stream that is over at this end, and was
//     under way when it ended, is dropped. Anything else is [ErrProtocol], and nothing follows it.
//   - Streams of the guest are numbered 1, 3, 5 without a gap, so that "was never opened" is a
//     comparison and the memory of what is over is one bit.
type guard struct {
	frames // what the host sends; see Write

	most   int
	window uint32

	// For Read alone, which one goroutine calls.
	in   *bufio.Reader
	head []byte // judged and to be passed on
	body header // of the data that follows
	left int    // bytes of it that have no frame yet
	here int    // bytes of it that have arrived, and follow head
	drop bool   // they are not passed on
	// broken is why nothing is read any more.
	broken error

	mu      sync.Mutex
	answer  *state
	streams map[uint32]*state // those that are not over
	queue   map[uint32]*state // those that nobody serves yet
	last    uint32            // id of the guest's latest stream
	// late has a bit for each stream of the guest that ended at this end first: data may still arrive.
	late    []uint64
	taken   int // streams that are not over, or are still being served
	refused int64
	resets  []uint32 // to be told to the guest
	kick    chan struct{}
	leaving bool // the guest said that it opens no more
	closing bool // we hang up: what happens now is no error
	err     error
	stopped error // why nobody is served any more; see stop

	// onEnd is told before yamux is that the pipes are of no use any more, and why; nil: the guest hung up.
	onEnd func(error)
}

func newGuard(in io.Reader, out io.Writer, l Limits, onEnd func(error)) *guard {
	l = l.sane()
	return &guard{
		frames: frames{w: out}, onEnd: onEnd, most: l.Streams, window: uint32(l.Window),
		in: bufio.NewReaderSize(in, 64<<10), kick: make(chan struct{}, 1),
		answer: &state{id: answerID, ours: true, allowance: Window, credit: Window}, streams: make(map[uint32]*state), queue: make(map[uint32]*state),
	}
}

// Read gives yamux what has been judged.
func (g *guard) Read(p []byte) (int, error) {
	for len(p) > 0 {
		switch {
		case g.broken != nil:
			return 0, g.broken
		case len(g.head) > 0:
			n := copy(p, g.head)
			g.head = g.head[n:]
			return n, nil
		case g.here > 0:
			n, err := g.in.Read(p[:min(len(p), g.here)]) // of its buffer
			g.here -= n
			return n, err
		case g.left > 0 && !g.drop:
			if _, err := g.in.Peek(1); err != nil {
				return 0, g.fail(cut(err))
			}
			g.here = min(g.left, g.in.Buffered())
			g.left -= g.here
			g.body.length = uint32(g.here)
			g.head = g.body.append(g.head[:0])
		case g.left > 0:
			n, err := g.in.Discard(g.left)
			g.left -= n
			if err != nil {
				return 0, g.fail(cut(err))
			}
		default:
			if err := g.next(); err != nil {
				return 0, g.fail(err)
			}
		}
	}
	return 0, nil
}

// next reads and judges one header.
func (g *guard) next() error {
	var raw [headerBytes]byte
	if n, err := io.ReadFull(g.in, raw[:]); err != nil {
		if n > 0 {
			return cut(err)
		}
		return err // io.EOF: the guest ended between two frames
	}
	h := parse(raw[:])
	pass, err := g.judge(h)
	if err != nil {
		return err
	}
	switch {
	case h.kind == typeData:
		g.body, g.left, g.drop = h, int(h.length), !pass
	case pass:
		g.head = append(g.head[:0], raw[:]...)
	}
	return nil
}

// cut makes the end of the bytes inside a frame a malformed frame.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: they end inside a frame: %w", ErrProtocol, io.ErrUnexpectedEOF)
	}
	return err
}

func malformed(h header, why string) error {
	return fmt.Errorf("%w: %s (%v)", ErrProtocol, why, h)
}

// judge says whether yamux may see the frame.
func (g *guard) judge(h header) (pass bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case h.version != 0:
		return false, malformed(h, "an unknown version")
	case h.kind == typeGoAway:
		return g.goAway(h)
	case h.kind == typePing:
		return false, malformed(h, "a ping, and nobody pings here")
	case h.kind != typeData && h.kind != typeUpdate:
		return false, malformed(h, "an unknown type")
	case h.flags&(h.flags-1) != 0 || h.flags > flagRST:
		return false, malformed(h, "flags that do not go together")
	case h.kind == typeData && (h.flags != 0 || h.length == 0 || h.length > g.window):
		return false, malformed(h, "data with a flag, without bytes, or larger than the window")
	case h.flags == flagSYN:
		return g.open(h)
	}
	if s := g.streams[h.stream]; s != nil {
		return g.live(h, s)
	}
	return false, g.afterwards(h)
}

// goAway is the guest's word that it opens no more streams, or that our frames made no sense to it.
func (g *guard) goAway(h header) (bool, error) {
	if h.flags != 0 || h.stream != 0 || h.length != 0 || g.leaving {
		return false, malformed(h, "a farewell for a reason, or the second one")
	}
	g.leaving = true
	return false, nil
}

// open judges a new stream of the guest.
func (g *guard) open(h header) (bool, error) {
	next := g.last + 2
	if g.last == 0 {
		next = 1
	}
	switch {
	case h.stream != next:
		return false, malformed(h, "a stream that is not the next one")
	case h.length > g.window-Window:
		return false, malformed(h, "a window that is too large")
	case g.leaving:
		return false, malformed(h, "a stream after the farewell")
	case next/2 >= maxOpened:
		return false, malformed(h, fmt.Sprintf("more than %d streams in one life", maxOpened))
	}
	g.last = next
	if g.taken >= g.most {
		g.refused++
		g.setLate(next, true)
		g.resets = append(g.resets, next)
		select {
		case g.kick <- struct{}{}:
		default:
		}
		return false, nil
	}
	g.taken++
	s := &state{id: next, allowance: Window, credit: Window + h.length}
	g.streams[next], g.queue[next] = s, s
	return true, nil
}

// live judges a frame of a stream that is not over.
func (g *guard) live(h header, s *state) (bool, error) {
	if s.ours && !s.acked && h.flags != flagACK && h.flags != flagRST {
		return false, malformed(h, "a frame of a stream before its confirmation")
	}
	switch {
	case h.kind == typeData && (s.guestDone || h.length > s.allowance):
		return false, malformed(h, "data after the end of its stream, or more than its window")
	case h.kind == typeData:
		s.allowance -= h.length
	case h.flags == flagACK && (!s.ours || s.acked || h.length > g.window-s.credit):
		return false, malformed(h, "a confirmation that nobody waits for, or a window that is too large")
	case h.flags == flagACK:
		s.acked = true
		s.credit += h.length
	case h.flags == 0 && (h.length == 0 || h.length > g.window-s.credit):
		return false, malformed(h, "a window that is empty or too large")
	case h.flags == 0:
		s.credit += h.length
	case h.length != 0:
		return false, malformed(h, "an end with a length")
	case h.flags == flagFIN && s.guestDone:
		return false, malformed(h, "a second end of one stream")
	case h.flags == flagFIN:
		s.guestDone = true
		if !s.hostDone.IsZero() {
			g.over(s)
			// yamux gives the stream up when it lingered long enough, and takes an end that arrives at
			// that very moment for a violation. It does without the end then.
			return time.Since(s.hostDone) < lingering-time.Second, nil
		}
	default: // RST
		s.guestDone, s.reset = true, true
		g.over(s)
		if s.cancel != nil {
			s.cancel()
		}
	}
	return true, nil
}

// afterwards judges a frame of a stream that is over, or never was. All of them are dropped.
func (g *guard) afterwards(h header) error {
	switch {
	case h.stream%2 == 0 || h.stream > g.last:
		return malformed(h, "a frame of a stream that was never opened, or of the answer after its end")
	case h.kind == typeData && !g.isLate(h.stream):
		return malformed(h, "data after the end of its stream")
	case h.kind == typeData:
	case h.flags == 0 && h.length == 0 || h.flags != 0 && h.length != 0:
		return malformed(h, "an empty window, or an end with a length")
	case h.flags == 0: // room for bytes that were sent before the end
	case h.flags == flagFIN && !g.isLate(h.stream):
		return malformed(h, "a second end of one stream")
	case h.flags == flagFIN || h.flags == flagRST:
		g.setLate(h.stream, false)
	default:
		return malformed(h, "a confirmation that nobody waits for")
	}
	return nil
}
