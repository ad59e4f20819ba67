package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/hashicorp/yamux"
)

// Host is the runner's end.
type Host struct {
	guard   *guard
	session *yamux.Session
	limits  Limits
	serve   func(context.Context, net.Conn)
	caller  context.Context
	ctx     context.Context // of every serve
	cancel  context.CancelCauseFunc
	answer  *answer
	work    sync.WaitGroup
}

// Accept starts the host's end over the container's stdout (in) and stdin (out). Each stream of the
// guest is given to serve in a goroutine of its own; serve returns when it is done with it, soon after
// its context ended, and the stream is closed then if it was not. That context ends with ctx, and as ctx
// did, and when the guest resets the stream. Streams beyond the limits are refused;
// without serve all are.
//
// The tunnel ends with ctx, with [Host.Close], and with the first thing that is wrong with it. It closes
// out then, and in if that is an io.Closer; reads from in must then return.
func Accept(ctx context.Context, in io.Reader, out io.WriteCloser, l Limits, serve func(context.Context, net.Conn)) *Host {
	if serve == nil {
		l = Limits{}
	}
	h := &Host{limits: l, serve: serve, caller: ctx}
	h.guard = newGuard(in, out, l, h.over)
	h.ctx, h.cancel = context.WithCancelCause(ctx)
	// The error is for settings that yamux refuses, and these are ours.
	h.session, _ = yamux.Server(&pipes{h.guard, closers{in, out}}, settings(h.guard.most, int(h.guard.window), lingering))
	h.answer = &answer{opened: make(chan struct{})}
	h.work.Go(h.open)
	h.work.Go(h.accept)
	h.work.Go(func() { h.guard.refuse(h.session.CloseChan()) })
	h.work.Go(h.end)
	return h
}

// pipes is the guarded way to the guest as yamux wants it.
type pipes struct {
	io.ReadWriter
	io.Closer
}

// closers closes in and out, those of the two that can be closed.
type closers struct {
	in  io.Reader
	out io.Writer
}

func (c closers) Close() error {
	var err error
	if out, ok := c.out.(io.Closer); ok {
		err = out.Close()
	}
	if in, ok := c.in.(io.Closer); ok {
		err = errors.Join(err, in.Close())
	}
	return err
}

// end waits for the end, whoever brings it.
func (h *Host) end() {
	select {
	case <-h.caller.Done():
		h.hangUp(net.ErrClosed)
	case <-h.session.CloseChan():
	}
}

// hangUp ends the tunnel from this side.
func (h *Host) hangUp(why error) {
	h.guard.hangUp()
	h.over(why)
	_ = h.session.Close()
}

// over tells those who serve that it is over, and why. When the caller's time was up, that is why, and
// their contexts say so too.
func (h *Host) over(why error) {
	if why == nil {
		why = io.ErrUnexpectedEOF
	}
	if h.caller.Err() != nil {
		why = fmt.Errorf("%w: %w", ErrLimit, context.Cause(h.caller))
		<-h.ctx.Done() // on its way
	} else {
		h.cancel(why)
	}
	h.guard.stop(why)
}

// open opens the answer.
func (h *Host) open() {
	defer close(h.answer.opened)
	raw, err := h.session.OpenStream()
	if err != nil {
		h.guard.end(fmt.Errorf("open the answer: %w", err))
		h.answer.err = h.why()
		_ = h.session.Close()
		return
	}
	h.answer.stream = &stream{raw: raw, ended: h.why, finished: func() bool { return h.guard.finished(h.guard.answer) }}
}

// why is the reason of the end for those who use a stream; nil while there is none.
func (h *Host) why() error { return context.Cause(h.ctx) }

// accept serves the guest's streams.
func (h *Host) accept() {
	for {
		raw, err := h.session.AcceptStream()
		if err != nil {
			// The session ended, or the guest has read nothing for so long that it is as good as gone.
			h.guard.end(err)
			_ = h.session.Close()
			return
		}
		h.work.Go(func() { h.one(raw) })
	}
}

// one serves one stream.
func (h *Host) one(raw *yamux.Stream) {
	ctx, cancel := context.WithCancelCause(h.ctx)
	defer cancel(nil)
	conn := &stream{raw: raw, ended: h.why}
	s := h.guard.serve(ctx, conn, func() { cancel(yamux.ErrConnectionReset) })
	conn.finished = func() bool { return h.guard.finished(s) }
	defer h.guard.done(s)
	defer conn.Close()
	conn.watch(h.limits.Idle)
	h.serve(ctx, conn)
}

// Answer is the stream that the guest writes its one line into; it ends with io.EOF when the guest
// closes it, and in no other way. Reading that end tells the guest that its line was taken.
func (h *Host) Answer() io.Reader { return h.answer }

type answer struct {
	opened chan struct{}
	stream *stream
	err    error
}

// Read implements io.Reader.
func (a *answer) Read(p []byte) (int, error) {
	<-a.opened
	if a.err != nil {
		return 0, a.err
	}
	n, err := a.stream.Read(p)
	if errors.Is(err, io.EOF) {
		_ = a.stream.CloseWrite()
	}
	return n, err
}

// Done is closed when the tunnel ended.
func (h *Host) Done() <-chan struct{} { return h.session.CloseChan() }

// Err is why the tunnel ended before [Host.Close]: ErrProtocol, an error of the pipes, or nil when the
// guest hung up between two frames.
func (h *Host) Err() error { return h.guard.why() }

// Refused is how many streams of the guest were refused because too many were open.
func (h *Host) Refused() int64 {
	h.guard.mu.Lock()
	defer h.guard.mu.Unlock()
	return h.guard.refused
}

// Open is how many streams of the guest are open, or are still being served.
func (h *Host) Open() int {
	h.guard.mu.Lock()
	defer h.guard.mu.Unlock()
	return h.guard.taken
}

// Close ends every stream and returns when every serve has returned. It returns what Err says.
func (h *Host) Close() error {
	h.hangUp(net.ErrClosed)
	h.work.Wait()
	return h.guard.why()
}
