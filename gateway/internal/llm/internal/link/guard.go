package link

import (
	"context"
	"io"
	"net/http"
	"time"
)

// guard watches one exchange: how long it is silent, and how much it sends without making sense.
type guard struct {
	next http.RoundTripper
	idle time.Duration
}

func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	timer := time.AfterFunc(g.idle, func() { cancel(ErrSilent) })
	resp, err := g.next.RoundTrip(req.WithContext(ctx))
	if err != nil {
		timer.Stop()
		err = cause(ctx, err)
		cancel(nil)
		return nil, err
	}
	b := &body{ctx: ctx, cancel: cancel, timer: timer, idle: g.idle, from: resp.Body, rest: resp.Body}
	if resp.StatusCode != http.StatusOK {
		b.rest = io.LimitReader(resp.Body, maxErrorBody)
	}
	resp.Body = b
	return resp, nil
}

// CloseIdleConnections lets [http.Client.CloseIdleConnections] reach the transport.
func (g *guard) CloseIdleConnections() {
	if t, ok := g.next.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// cause is the reason for which the exchange was given up, or err itself.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil && err != io.EOF {
		return context.Cause(ctx)
	}
	return err
}

type body struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	idle   time.Duration
	from   io.ReadCloser
	rest   io.Reader
	event  int  // bytes since the last blank line
	empty  bool // nothing stands on the current line yet
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.rest.Read(p)
	if n > 0 {
		b.timer.Reset(b.idle)
		if b.count(p[:n]) > MaxEvent {
			b.cancel(ErrTooLong)
			return 0, ErrTooLong
		}
	}
	if err != nil {
		b.timer.Stop()
		return n, cause(b.ctx, err)
	}
	return n, nil
}

// count returns the size of the longest event that p continues or holds.
func (b *body) count(p []byte) int {
	longest := b.event
	for _, c := range p {
		b.event++
		switch {
		case c == '\n' && b.empty:
			longest = max(longest, b.event)
			b.event = 0
		case c == '\n':
			b.empty = true
		case c != '\r':
			b.empty = false
		}
	}
	return max(longest, b.event)
}

func (b *body) Close() error {
	b.timer.Stop()
	b.cancel(nil)
	return b.from.Close()
}
