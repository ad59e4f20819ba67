package dispatch

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// A call that finds its connection ready reaches the runner in half the time.
const (
	spareMost = 4                      // connections: as many as one session's calls at once, and a few KiB each
	spareFor  = 30 * time.Second       // an idle connection is dropped after it
	sparePace = 250 * time.Millisecond // a runner that takes longer to say hello is not waited for
)

// spare keeps a few connections whose hello is done: after calls that came at once there is one for each of
// the next. Each is given away once: one connection carries one request.
type spare struct {
	mu   sync.Mutex
	kept []kept // the newest last
	// idle and pace are spareFor and sparePace, or what a test waits.
	idle, pace time.Duration
}

type kept struct {
	conn  *wire.Conn
	timer *time.Timer
}

// take returns the newest connection, or nil when there is none. Its runner may have ended meanwhile; then
// the kernel takes nothing that is sent (EPIPE).
func (s *spare) take() *wire.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.kept) - 1
	if last < 0 {
		return nil
	}
	k := s.kept[last]
	s.kept = slices.Delete(s.kept, last, last+1)
	k.timer.Stop()
	return k.conn
}

// fill makes a connection for a next call. The caller is waiting for a container anyway.
func (s *spare) fill(ctx context.Context, dial func(context.Context) (*wire.Conn, error)) {
	s.mu.Lock()
	full := len(s.kept) >= spareMost
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
	if len(s.kept) >= spareMost { // other calls were quicker
		_ = conn.Close()
		return
	}
	s.kept = append(s.kept, kept{conn, time.AfterFunc(s.idle, func() { s.drop(conn) })})
}

// drop closes the connection if it is still kept.
func (s *spare) drop(conn *wire.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.kept, func(k kept) bool { return k.conn == conn })
	if i >= 0 {
		s.kept = slices.Delete(s.kept, i, i+1)
		_ = conn.Close()
	}
}

// submit hands an order to the runner and returns the connection on which the answer comes. After an
// error nothing runs: half a frame is none, and what a runner does not read to its end it does not obey.
func (d *Dispatch) submit(ctx context.Context, order *run.Order) (*wire.Conn, error) {
	for conn := d.spare.take(); conn != nil; conn = d.spare.take() {
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
