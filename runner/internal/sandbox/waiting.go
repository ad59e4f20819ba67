package sandbox

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"

	"github.com/secureclaw/secureclaw/internal/run"
)

// waiting is what is known of a container that waits for a task.
type waiting struct {
	shape shape
	covers
	made time.Time
	cost int64                // bytes, as the pool counts them
	seen *api.InspectResponse // how the engine showed it when it was ready
	held anchors
	// Of the pool, under its lock: what the engine told of it, and whether that was more than our own doing.
	told      []events.Action
	disturbed bool
}

// age is how long ago it was started, by the longer of two clocks: the one that stands still while the
// machine sleeps, and the wall's, which somebody may have set.
func (w *waiting) age(now time.Time) time.Duration {
	wall := now.Round(0).Sub(w.made.Round(0))
	return max(now.Sub(w.made), wall.Abs())
}

// readyPatience is how long an executor may take to wait for its task, from its start on: a browser on
// a busy machine takes seconds.
const readyPatience = 30 * time.Second

// prepare starts a container for any task of t's form, and returns when it waits for one.
func (s *Sandbox) prepare(ctx context.Context, t Task) (*box, error) {
	begin := time.Now()
	c, refusal := s.engine.connect(ctx)
	if refusal != nil {
		return nil, refused(refusal)
	}
	t.ID = "ready-" + NewNonce()
	t.Timeout = maxAge
	p, refusal := s.place(ctx, c, &t)
	if refusal != nil {
		return nil, refused(refusal)
	}
	shape, err := shapeOf(t, p)
	if err != nil {
		return nil, err
	}
	held, err := hold(t.Mounts)
	if err != nil {
		return nil, err
	}
	b, refusal := s.create(ctx, c, t, p, &waiting{shape: shape, covers: p.covers, made: begin, held: held})
	if refusal != nil {
		held.close()
		return nil, refused(refusal)
	}
	if err := s.settle(ctx, b, t, p); err != nil {
		s.discard(b)
		return nil, err
	}
	return b, nil
}

// settle starts a container that was made and waits until it waits.
func (s *Sandbox) settle(ctx context.Context, b *box, t Task, p place) error {
	if err := b.start(ctx); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	patience := time.NewTimer(readyPatience)
	defer patience.Stop()
	select {
	case <-b.out.ready:
	case <-b.ear.heard:
		return errors.New("it spoke or ended before it had a task")
	case <-patience.C:
		return fmt.Errorf("it was not ready within %v", readyPatience)
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := b.held.check(); err != nil {
		return err
	}
	got, err := b.inspect(ctx)
	if err != nil {
		return err
	}
	// Again, now that it runs: what was changed between the two would be taken for how it was made.
	config, host := spec(t, p)
	if diff := differences(config, host, p, *got); len(diff) > 0 {
		return errors.New(strings.Join(diff[:min(len(diff), 3)], "; "))
	}
	if !got.State.Running || got.State.Paused || len(got.ExecIDs) > 0 {
		return errors.New("it does not run by itself")
	}
	b.seen = got
	return nil
}

// inspect asks the engine for all that it knows of the container, in an order that can be compared.
func (b *box) inspect(ctx context.Context) (*api.InspectResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	got, err := b.engine.ContainerInspect(ctx, b.id, client.ContainerInspectOptions{})
	if err != nil {
		return nil, err
	}
	if got.Container.State == nil {
		return nil, errors.New("the engine shows no state")
	}
	slices.SortFunc(got.Container.Mounts, func(a, b api.MountPoint) int { return strings.Compare(a.Destination, b.Destination) })
	return &got.Container, nil
}

// untouched reports whether a container that waited is still what it was when it was made ready: the same
// process since the same moment, with the same limits, mounts and name, nobody in it, and its folders
// the same. g may have asked the engine already.
func (b *box) untouched(ctx context.Context, g *glance) error {
	if err := b.held.check(); err != nil {
		return err
	}
	got, err := g.of(ctx, b)
	switch {
	case err != nil:
		return err
	case !b.ear.silent():
		return errors.New("it spoke or ended while it waited")
	case !reflect.DeepEqual(got, b.seen):
		return fmt.Errorf("the engine shows it otherwise than it was made (%s)", changed(b.seen, got))
	}
	return nil
}

// changed names the first part that differs, for the log.
func changed(want, got *api.InspectResponse) string {
	w, g := reflect.ValueOf(*want), reflect.ValueOf(*got)
	for i := range w.NumField() {
		if !reflect.DeepEqual(w.Field(i).Interface(), g.Field(i).Interface()) {
			return w.Type().Field(i).Name
		}
	}
	return "nothing that has a name"
}

// pick returns a waiting container for t at p, ready to get its task, or nil: then one is started.
func (s *Sandbox) pick(ctx context.Context, t Task, p place, g *glance) *box {
	if g == nil || p.opened {
		return nil
	}
	want, err := shapeOf(t, p)
	if err != nil {
		return nil
	}
	for {
		b, stale := s.pool.take(g.form, g.task, want, time.Now())
		for _, old := range stale {
			s.log.Debug("a waiting container is out of date", "container", old.name)
			s.discard(old)
		}
		if b == nil {
			s.wake()
			return nil
		}
		err := b.untouched(ctx, g)
		// The shape says that already; but what lies open here was hidden from nobody, and nothing withholds it.
		if err == nil && !reflect.DeepEqual(b.covers, p.covers) {
			err = errors.New("it covers something else than the call must not see")
		}
		if s.pool.unwatch(b) && err == nil {
			err = errors.New("the engine told that it was touched")
		}
		if err == nil {
			// The next one is started when this call has ended, or goes on for long.
			time.AfterFunc(settleFor, s.wake)
			return b
		}
		s.log.Warn("a waiting container was not used", "container", b.name, "why", err.Error())
		s.discard(b)
		if ctx.Err() != nil {
			return nil
		}
	}
}

// discard removes a container that never had a task. Its executor ends by itself when its stdin does.
func (s *Sandbox) discard(b *box) {
	s.pool.unwatch(b)
	b.release()
	b.ended = b.seen != nil
	s.remove(context.Background(), b)
}

// weigh asks the engine what a waiting container holds, in bytes, 0 when it does not say. What the kernel
// can take back at any time is not counted.
func (b *box) weigh(ctx context.Context) int64 {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	n, err := readUsage(ctx, b.engine, b.id)
	if err != nil || n <= 0 {
		return 0
	}
	return n + beside
}

// Ready counts the containers that wait for a task, by kind.
func (s *Sandbox) Ready() []run.Ready { return s.pool.count() }
