package memory

import (
	"context"
	"slices"
	"sync"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// foresights are recalls that were begun before they were asked for: while a message is written to disk and into the
// log, what it brings to mind can be looked for. One counts only as long as nothing was saved or forgotten since it
// began; it is no use of a memory until somebody takes it.
type foresights struct {
	mu sync.Mutex
	of []*foresight // the newest comes last
}

// foresight is one recall.
type foresight struct {
	owner, text string
	changes     int64
	done        chan struct{}
	found       []claw.Memory
	err         error
}

// maxForesights is how many wait to be taken; a message that is not answered takes none.
const maxForesights = 16

// Foresee begins what [Memory.Recall] will be asked for, and returns at once.
func (m *Memory) Foresee(origin claw.Origin, text string) {
	f := &foresight{owner: m.o.Owner(origin), text: text, changes: m.changes.Load(), done: make(chan struct{})}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || !m.foresights.add(f) {
		return
	}
	m.wg.Go(func() {
		defer close(f.done)
		// Bounded like any search, so it need not be called back.
		f.found, f.err = m.recall(context.Background(), f.owner, f.text)
	})
}

// recalled is what was foreseen, or is looked for now.
func (m *Memory) recalled(ctx context.Context, owner, text string) ([]claw.Memory, error) {
	if f := m.foresights.take(owner, text); f != nil {
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if f.err == nil && f.changes == m.changes.Load() {
			return f.found, nil
		}
	}
	return m.recall(ctx, owner, text)
}

// add keeps a foresight, if there is room for one more at work.
func (s *foresights) add(f *foresight) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.of) >= maxForesights {
		i := slices.IndexFunc(s.of, func(old *foresight) bool {
			select {
			case <-old.done:
				return true
			default:
				return false
			}
		})
		if i < 0 {
			return false
		}
		s.of = slices.Delete(s.of, i, i+1)
	}
	s.of = append(s.of, f)
	return true
}

func (s *foresights) take(owner, text string) *foresight {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.of, func(f *foresight) bool { return f.owner == owner && f.text == text })
	if i < 0 {
		return nil
	}
	f := s.of[i]
	s.of = slices.Delete(s.of, i, i+1)
	return f
}
