package sandbox

import (
	"context"
	"slices"
	"sync"
)

// starts bounds how many containers are started at once: more only take turns on the processors, and each
// becomes slower. Who waits for a call goes before what is prepared for later calls, which always leaves
// one turn free.
type starts struct {
	mu     sync.Mutex
	free   int
	kept   int             // turns that preparing leaves free
	urgent []chan struct{} // in the order in which they came
	later  []chan struct{}
}

func newStarts(n int) *starts { return &starts{free: max(n, 1), kept: min(max(n-1, 0), 1)} }

// take waits for a turn; the caller gives it back with give. An error is that of ctx.
func (s *starts) take(ctx context.Context, urgent bool) error {
	s.mu.Lock()
	if s.free > s.kept || urgent && s.free > 0 {
		s.free--
		s.mu.Unlock()
		return nil
	}
	mine := make(chan struct{})
	queue := &s.later
	if urgent {
		queue = &s.urgent
	}
	*queue = append(*queue, mine)
	s.mu.Unlock()
	select {
	case <-mine:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	i := slices.Index(*queue, mine)
	if i >= 0 {
		*queue = slices.Delete(*queue, i, i+1)
	}
	s.mu.Unlock()
	if i < 0 { // it came in the same moment
		s.give()
	}
	return ctx.Err()
}

// give hands the turn to the next.
func (s *starts) give() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free++
	pass := func(queue *[]chan struct{}, kept int) {
		for ; len(*queue) > 0 && s.free > kept; *queue = slices.Delete(*queue, 0, 1) {
			s.free--
			close((*queue)[0])
		}
	}
	pass(&s.urgent, 0)
	pass(&s.later, s.kept)
}
