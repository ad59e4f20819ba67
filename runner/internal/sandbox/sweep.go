package sandbox

import (
	"context"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// own marks a container as somebody's, before it exists, so that no sweep takes it away.
func (s *Sandbox) own(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live[name] = struct{}{}
}

func (s *Sandbox) disown(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.live, name)
}

func (s *Sandbox) owned(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.live[name]
	return ok
}

// begin notes that a task runs; false says that one of its id does already. For a container that is made
// for it, the engine says so as well: it takes a name once.
func (s *Sandbox) begin(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, twice := s.busy[id]
	s.busy[id] = struct{}{}
	return !twice
}

func (s *Sandbox) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.busy, id)
}

// Running counts tasks that run now.
func (s *Sandbox) Running() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.busy)
}

// Swept counts containers removed because nobody owned them.
func (s *Sandbox) Swept() int64 { return s.swept.Load() }

// remove takes the container away in the background; [Sandbox.Close] waits for it. A cancelled
// call is no reason to leave it.
func (s *Sandbox) remove(ctx context.Context, b *box) {
	s.cleanups.Go(func() {
		defer s.disown(b.name)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), changeTimeout)
		defer cancel()
		if b.ended {
			b.exited(ctx)
		}
		if err := forceRemove(ctx, b.engine, b.id); err != nil {
			s.dirty.Store(true) // the next sweep tries again
			s.log.Warn("container not removed yet", "container", b.name, "err", err.Error())
		}
	})
}

// exitGrace is how long an executor may take to exit after its stream ended.
const exitGrace = time.Second

// exited waits a moment for an executor that is about to exit: an engine that is asked to kill a
// container in just that moment takes several times as long to remove it.
func (b *box) exited(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, exitGrace)
	defer cancel()
	wait := b.engine.ContainerWait(ctx, b.id, client.ContainerWaitOptions{Condition: api.WaitConditionNotRunning})
	select {
	case <-wait.Result:
	case <-wait.Error:
	case <-ctx.Done():
	}
}

// forceRemove kills and removes. What is gone already is as wanted; what the engine is busy with is
// looked at again, for "busy" can mean a removal as well as a start.
func forceRemove(ctx context.Context, c *connection, id string) error {
	for {
		_, err := c.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		switch {
		case err == nil || cerrdefs.IsNotFound(err):
			return nil
		case !cerrdefs.IsConflict(err):
			return err
		}
		again := time.NewTimer(conflictPause)
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return err
		}
	}
}

// conflictPause is how long the engine gets to finish what it is busy with.
const conflictPause = 100 * time.Millisecond

// Sweep removes containers of this installation that nobody owns: those of earlier boots, which a
// killed runner left, and those whose removal failed while the engine was away. It never touches
// another installation's. It returns how many it removed; what it could not do is tried again.
func (s *Sandbox) Sweep(ctx context.Context) int {
	s.sweeping.Lock()
	defer s.sweeping.Unlock()
	if !s.dirty.Swap(false) {
		return 0
	}
	n, ok := s.sweep(ctx)
	if !ok {
		s.dirty.Store(true)
	}
	if n > 0 {
		s.swept.Add(int64(n))
		s.log.Warn("removed containers that nobody owned", "count", n)
	}
	return n
}

func (s *Sandbox) sweep(ctx context.Context) (n int, ok bool) {
	c, refusal := s.engine.connect(ctx)
	if refusal != nil {
		return 0, false
	}
	listCtx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	list, err := c.ContainerList(listCtx, client.ContainerListOptions{
		All:     true,
		Filters: make(client.Filters).Add("label", labelInstance+"="+s.instance),
	})
	if err != nil {
		s.engine.drop(c)
		return 0, false
	}
	ok = true
	for _, found := range list.Items {
		// The filter is the engine's word; the label is checked again before anything is removed.
		if found.Labels[labelInstance] != s.instance || len(found.Names) == 0 {
			continue
		}
		name := strings.TrimPrefix(found.Names[0], "/")
		if found.Labels[labelBoot] == s.boot && s.owned(name) {
			continue
		}
		removeCtx, cancel := context.WithTimeout(ctx, changeTimeout)
		err := forceRemove(removeCtx, c, found.ID)
		cancel()
		if err != nil {
			ok = false
			s.log.Warn("orphan not removed", "container", name, "err", err.Error())
			continue
		}
		n++
	}
	return n, ok
}
