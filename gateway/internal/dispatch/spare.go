package dispatch

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// A call that finds its connection ready reaches the runner in half the time.
const (
	spareFor  = 30 * time.Second       // an idle connection is dropped after it
	sparePace = 250 * time.Millisecond // a runner that takes longer to say hello is not waited for
)

// spare keeps one connection whose hello is done. It is given away once: one connection carries one request.
type spare struct {
	mu    sync.Mutex
	conn  *wire.Conn
	timer *time.Timer
	// idle and pace are spareFor and sparePace, or what a test waits.
	idle, pace time.Duration
}

// take returns the connection, or nil when there is none. Its runner may have ended meanwhile; then
// the kernel takes nothing that is sent (EPIPE).
func (s *spare) take() *wire.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	conn := s.conn
	if conn != nil {
		s.conn = nil
		s.timer.Stop()
	}
	return conn
}

// fill makes the connection for the next call. The caller is waiting for a container anyway.
func (s *spare) fill(ctx context.Context, dial func(context.Context) (*wire.Conn, error)) {
	s.mu.Lock()
	full := s.conn != nil
	s.mu.Unlock()
	if full {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.pace)
	defer cancel()
	conn, err := dial(ctx)
	if err != nil {
		return // the next call dials, and says what is wrong
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil { // another call was quicker
		_ = conn.Close()
		return
	}
	s.conn = conn
	s.timer = time.AfterFunc(s.idle, func() { s.drop(conn) })
}

// drop closes the connection if it is still kept.
func (s *spare) drop(conn *wire.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == conn {
		s.conn = nil
		_ = conn.Close()
	}
}

// submit hands an order to the runner and returns the connection on which the answer comes. After an
// error nothing runs: half a frame is none, and what a runner does not read to its end it does not obey.
func (d *Dispatch) submit(ctx context.Context, order *run.Order) (*wire.Conn, error) {
	if conn := d.spare.take(); conn != nil {
		if conn.Send(run.Request{Run: order}) == nil {
			return conn, nil
		}
		_ = conn.Close() // its runner ended just now; perhaps there is a new one
	}
	conn, err := d.dial(ctx)
	if err != nil {
		return nil, err
	}
	if err := conn.Send(run.Request{Run: order}); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("the task did not reach the runner: %w", err)
	}
	return conn, nil
}
