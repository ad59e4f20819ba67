package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/hashicorp/yamux"
)

// Guest is the executor's end.
type Guest struct {
	session *yamux.Session
	out     *frames
	line    *stream
	// dialing is held while a stream is opened, so that streams reach the host in the order of their numbers.
	dialing chan struct{}
}

// taking is how long the host may take to read the answer to its end.
const taking = 10 * time.Second

// Open starts the guest's end over its stdin and stdout and waits for the host's stream. After an
// error in and out are of no use any more.
func Open(ctx context.Context, in io.Reader, out io.Writer) (*Guest, error) {
	g := &Guest{out: &frames{w: out}, dialing: make(chan struct{}, 1)}
	var err error
	if g.session, err = yamux.Client(&guestPipes{in, g.out, closers{in, out}}, settings(256, Window, guestLingering)); err != nil {
		return nil, fmt.Errorf("tunnel: %w", err)
	}
	raw, err := g.session.AcceptStreamWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("tunnel: the host did not begin: %w", err)
	}
	g.line = g.stream(raw)
	return g, nil
}

type guestPipes struct {
	io.Reader
	io.Writer
	io.Closer
}

func (g *Guest) stream(raw *yamux.Stream) *stream {
	return &stream{raw: raw, finished: func() bool { return !g.session.IsClosed() }, ended: func() error { return nil }}
}

// Dial opens one stream. Whether the host takes it shows at the first read: a stream beyond the limits
// is reset.
func (g *Guest) Dial(ctx context.Context) (net.Conn, error) {
	select {
	case g.dialing <- struct{}{}:
		defer func() { <-g.dialing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-g.session.CloseChan():
		return nil, net.ErrClosed
	}
	raw, err := g.session.OpenStream()
	if err != nil {
		return nil, fmt.Errorf("tunnel: %w", err)
	}
	return g.stream(raw), nil
}

// Answer is where the executor writes its one line. Close returns when the host has read it and its
// end; nothing can be sent after that.
func (g *Guest) Answer() io.WriteCloser { return line{g} }

type line struct{ g *Guest }

// Write implements io.Writer.
func (l line) Write(p []byte) (int, error) { return l.g.line.Write(p) }

// Close implements io.Closer.
func (l line) Close() error {
	// The program may end now, and what streams are still sending would be cut inside a frame.
	defer l.g.out.stop()
	if err := l.g.line.CloseWrite(); err != nil {
		return err
	}
	if err := l.g.line.SetReadDeadline(time.Now().Add(taking)); err != nil {
		return err
	}
	switch n, err := l.g.line.Read(make([]byte, 1)); {
	case n > 0:
		return errors.New("tunnel: the host wrote into the answer")
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("tunnel: the answer was not taken: %w", err)
	}
	return nil
}

// Close ends every stream. A program that ends needs it not.
func (g *Guest) Close() error {
	g.out.stop()
	return g.session.Close()
}
