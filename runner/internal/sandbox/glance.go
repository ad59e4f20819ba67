package sandbox

import (
	"context"
	"time"

	api "github.com/moby/moby/api/types/container"
)

// glance asks the engine about the container that a call will probably get, while it is asked for the image and
// folders are looked through. It changes nothing: whether the container is taken is decided
// when its shape is known, and another call may be quicker. It is of one call, and never older than that.
type glance struct {
	form   string
	task   Task // as it came: its folders not resolved, as for those that are expected
	b      *box // nil: none waits
	cancel context.CancelFunc
	done   chan struct{}
	got    *api.InspectResponse
	err    error
}

// glance begins; nil says that no container can wait for t. The caller ends it.
func (s *Sandbox) glance(ctx context.Context, t Task) *glance {
	if s.pool.budget == 0 {
		return nil
	}
	form, err := form(t)
	if err != nil {
		return nil
	}
	g := &glance{form: form, task: t, b: s.pool.likely(form, time.Now())}
	if g.b == nil {
		return g
	}
	ctx, g.cancel = context.WithCancel(ctx)
	g.done = make(chan struct{})
	go func() {
		defer close(g.done)
		g.got, g.err = g.b.inspect(ctx)
	}()
	return g
}

// of is how the engine shows b.
func (g *glance) of(ctx context.Context, b *box) (*api.InspectResponse, error) {
	if g == nil || g.b != b {
		return b.inspect(ctx)
	}
	<-g.done
	return g.got, g.err
}

// end waits until nothing is asked any more.
func (g *glance) end() {
	if g == nil || g.b == nil {
		return
	}
	g.cancel()
	<-g.done
}
