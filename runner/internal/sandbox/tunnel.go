package sandbox

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/tunnel"
	"github.com/secureclaw/secureclaw/internal/wire"
)

var (
	errNoLine = errors.New("the executor closed its answer without a line")
	// errGone is an io.EOF like the end of another executor's stdout: how it died is worth asking.
	errGone = fmt.Errorf("the executor's tunnel ended: %w", io.EOF)
)

// dig begins a web task: the envelope goes in, and behind it the tunnel, at once and not after the
// envelope was read, so that noise is seen when it comes.
func (b *box) dig(ctx context.Context, t Task) {
	m := &mouth{box: b, sent: make(chan struct{})}
	b.pumps.Go(func() {
		defer close(m.sent)
		_, m.err = b.stream.Conn.Write(append(t.Envelope[:len(t.Envelope):len(t.Envelope)], '\n'))
	})
	b.tunnel = tunnel.Accept(ctx, b.ear, m, t.Tunnel, t.Out)
	b.pumps.Go(func() { b.answer.readFrom(b.tunnel) })
}

// fill ends the tunnel and tells what it refused.
func (b *box) fill(t Task) {
	b.release()
	if n := b.tunnel.Refused(); n > 0 && t.Refused != nil {
		t.Refused(n)
	}
}

// mouth is the executor's stdin from behind the envelope on.
type mouth struct {
	box  *box
	sent chan struct{} // closed when the envelope is in, or never will be
	err  error
}

// Write implements io.Writer.
func (m *mouth) Write(p []byte) (int, error) {
	<-m.sent
	if m.err != nil {
		return 0, m.err
	}
	return m.box.stream.Conn.Write(p)
}

// Close implements io.Closer. Stdin and stdout are one connection, so it ends both.
func (m *mouth) Close() error {
	m.box.hangUp()
	return nil
}

// readFrom takes one line from the answer's stream, or what was wrong.
func (a answer) readFrom(h *tunnel.Host) {
	in := bufio.NewReaderSize(h.Answer(), 32<<10)
	line, err := strict.ReadLine(in, wire.MaxFrame)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = errGone
	case errors.Is(err, io.EOF):
		err = errNoLine
	}
	if err == nil && in.Buffered() > 0 {
		err = errMore
	}
	a <- lineOrError{line, err}
}
