package sandbox

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"
)

// Times of the keeper.
const (
	reviewEvery = 30 * time.Second
	// settleFor is how long a call that took a container is left alone with the processors before the next
	// one is started, unless it ends sooner.
	settleFor = 250 * time.Millisecond
	// hearPause is how long to wait for an engine whose news ended, and hearLongest when it gives none again
	// and again: with each try, containers are started and dropped.
	hearPause   = 2 * time.Second
	hearLongest = time.Minute
)

// Keep prepares containers for calls until ctx ends, and then removes those that wait. Tasks like the usual
// ones are prepared for before the first came. Without a budget it returns at once: every call starts
// its own.
func (s *Sandbox) Keep(ctx context.Context, usual []Task) {
	if s.pool.budget == 0 {
		return
	}
	for _, t := range usual {
		s.expect(t)
	}
	var work sync.WaitGroup
	defer func() {
		work.Wait()
		for _, b := range s.pool.close() {
			s.discard(b)
		}
	}()
	work.Go(func() { s.hear(ctx) })
	tick := time.NewTicker(reviewEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		s.replenish(ctx, &work)
		select {
		case <-s.woken:
		case <-tick.C:
			s.inspectAll(ctx)
		case <-ctx.Done():
		}
	}
}

// expect prepares for tasks like t, whose folders need not exist yet.
func (s *Sandbox) expect(t Task) {
	form, err := form(t)
	if err == nil {
		s.pool.expect(form, t)
	}
}

// wake makes the keeper look at once.
func (s *Sandbox) wake() {
	select {
	case s.woken <- struct{}{}:
	default: // it is about to
	}
}

// replenish starts what is missing, as many at once as there are turns.
func (s *Sandbox) replenish(ctx context.Context, work *sync.WaitGroup) {
	for {
		remove, next := s.pool.review(time.Now())
		for _, b := range remove {
			s.discard(b)
		}
		if next == nil {
			return
		}
		work.Go(func() {
			b, err := s.prepareInTurn(ctx, next.task)
			if err != nil && ctx.Err() == nil {
				s.log.Debug("no container could be prepared", "kind", next.task.Kind, "why", err.Error())
			}
			var cost int64
			if b != nil {
				cost = b.weigh(ctx)
			}
			if !s.pool.done(next.form, b, cost, time.Now()) && b != nil {
				s.discard(b)
			}
			s.wake()
		})
	}
}

func (s *Sandbox) prepareInTurn(ctx context.Context, t Task) (*box, error) {
	if err := s.starts.take(ctx, false); err != nil {
		return nil, err
	}
	defer s.starts.give()
	return s.prepare(ctx, t)
}

// inspectAll drops what changed while nobody called: a rebuilt image, a folder that was made again.
func (s *Sandbox) inspectAll(ctx context.Context) {
	images := make(map[string]string)
	for _, b := range s.pool.each() {
		if b.held.check() == nil {
			id, asked := images[b.image]
			if !asked {
				c, refusal := s.engine.connect(ctx)
				if refusal != nil {
					return
				}
				found, refusal := s.image(ctx, c, b.image)
				if refusal != nil && ctx.Err() != nil {
					return
				}
				id = found.id
				images[b.image] = id
			}
			if id == b.imageID {
				continue
			}
		}
		if s.pool.forget(b, false, time.Now()) {
			s.discard(b)
		}
	}
}

// hear follows the engine's news of our containers: whoever touches one that waits (a command in it, a
// file copied, other limits, a second reader) is told there, also when it left no trace. While no news
// come, none waits.
func (s *Sandbox) hear(ctx context.Context) {
	for pause := hearPause; ctx.Err() == nil; {
		began := time.Now()
		if err := s.follow(ctx); ctx.Err() == nil {
			s.log.Debug("no news of the engine", "err", err.Error())
		}
		for _, b := range s.pool.empty(true) {
			s.discard(b)
		}
		if time.Since(began) > hearLongest {
			pause = hearPause // it had some for long
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, hearLongest)
	}
}

// follow returns why there are no more news.
func (s *Sandbox) follow(ctx context.Context) error {
	c, refusal := s.engine.connect(ctx)
	if refusal != nil {
		return refused(refusal)
	}
	news := c.Events(ctx, client.EventsListOptions{
		Filters: make(client.Filters).Add("type", string(events.ContainerEventType)).Add("label", labelInstance+"="+s.instance),
	})
	s.pool.hear()
	s.wake()
	for {
		select {
		case m := <-news.Messages:
			s.news(m)
		case err := <-news.Err:
			if err == nil {
				err = errors.New("the stream ended")
			}
			return err
		}
	}
}

func (s *Sandbox) news(m events.Message) {
	b := s.pool.touched(m.Actor.ID, m.Action)
	if b == nil {
		return
	}
	action, _, _ := strings.Cut(string(m.Action), ":")
	if s.pool.forget(b, true, time.Now()) {
		s.log.Warn("a waiting container was touched from outside and is removed", "container", b.name, "by", action)
		s.discard(b)
	}
}

// NewNonce makes 128 bits that nobody guesses, in hex: what binds a task to its container (see Envelope of package run).
func NewNonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}
