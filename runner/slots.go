package runner

import (
	"context"
	"errors"
	"sync/atomic"
)

// errBusy is a queue that is full.
var errBusy = errors.New("busy")

// slots bounds how many tasks run at once and how many wait. A queue without an end would answer
// nobody.
type slots struct {
	free    chan struct{}
	waiting atomic.Int64
	queue   int64
}

func newSlots(running, waiting int) *slots {
	return &slots{free: make(chan struct{}, running), queue: int64(waiting)}
}

// take waits for a slot. The caller gives it back with give.
func (s *slots) take(ctx context.Context) error {
	select {
	case s.free <- struct{}{}:
		return nil
	default:
	}
	if s.waiting.Add(1) > s.queue {
		s.waiting.Add(-1)
		return errBusy
	}
	defer s.waiting.Add(-1)
	select {
	case s.free <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *slots) give() { <-s.free }
