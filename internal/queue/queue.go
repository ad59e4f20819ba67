// Package queue lets calls go a few at a time, fairly by who makes them.
//
// [Fair] promises that no more than so many go at once, and no more than so many of one owner; that owners
// with waiting calls are served in turn, one call each, and the calls of one owner as they came; and that
// no place stays free while a call waits that may have it. So who has one call waits for at most
// one call of each other owner before it, however many those have.
//
// It refuses to grow: what waits is bounded, by owner and in all, and a call beyond that is told so at once
// ([Full]). When all places are taken, the owner with the most gives up his last one to an owner with
// fewer: who fills the queue fills it for himself. It starts no goroutine and reads no clock.
package queue

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// Limits are the bounds of a [Fair]. The zero Limits let nothing go and nothing wait.
type Limits struct {
	Running         int // calls at once
	PerOwner        int // of them, of one owner
	Waiting         int // calls that wait
	WaitingPerOwner int // of them, of one owner
}

// Full is a call that may not even wait.
type Full struct {
	// Own says that too many of the owner's own calls wait; else all places to wait are taken.
	Own bool
	// Waiting is how many wait: of the owner's, or of all.
	Waiting int
}

func (f *Full) Error() string {
	if f.Own {
		return fmt.Sprintf("busy: %d calls of the same owner wait", f.Waiting)
	}
	return fmt.Sprintf("busy: %d calls wait", f.Waiting)
}

// Fair is a queue with several places at its head. The zero Fair lets nothing pass.
//
// Whenever mu is free: no place is free while an owner stands in line who has fewer than PerOwner calls going.
type Fair struct {
	limits Limits

	mu      sync.Mutex
	running int
	waiting int
	owners  map[string]*owner // who has calls that go or wait
	line    []*owner          // who has calls that wait; the next to be served stands first
}

// owner is whose calls these are. It is forgotten with its last call.
type owner struct {
	name    string
	running int
	waiting []waiter // first come, first served
}

// waiter is how a waiting call is told, once: nil, and it has its place; else why it will have none.
type waiter chan error

// NewFair returns an empty queue.
func NewFair(l Limits) *Fair { return &Fair{limits: l, owners: map[string]*owner{}} }

// Take waits for a place and returns how to give it back. It fails with a *[Full], or with the error of
// ctx when that ends first; then the call has left the queue.
func (q *Fair) Take(ctx context.Context, name string) (give func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	o, w, err := q.enter(name)
	if err != nil {
		return nil, err
	}
	give = sync.OnceFunc(func() { q.give(o) })
	if w == nil {
		return give, nil
	}
	select {
	case err := <-w:
		if err != nil {
			return nil, err
		}
		return give, nil
	case <-ctx.Done():
		if !q.leave(o, w) && <-w == nil { // its turn came just now
			give()
		}
		return nil, ctx.Err()
	}
}

// enter gives the call a place, or a place to wait: then there is a waiter.
func (q *Fair) enter(name string) (*owner, waiter, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	o := q.owners[name]
	if o == nil {
		o = &owner{name: name}
	}
	switch {
	case q.running < q.limits.Running && o.running < q.limits.PerOwner:
		// Nobody is overtaken: who waits now has all the places that one owner may have.
		q.owners[name] = o
		q.running++
		o.running++
		return o, nil, nil
	case len(o.waiting) >= q.limits.WaitingPerOwner:
		return nil, nil, &Full{Own: true, Waiting: len(o.waiting)}
	case q.waiting >= q.limits.Waiting && !q.makeRoom(len(o.waiting)):
		return nil, nil, &Full{Waiting: q.waiting}
	}
	q.owners[name] = o
	if len(o.waiting) == 0 {
		q.line = append(q.line, o)
	}
	w := make(waiter, 1)
	o.waiting = append(o.waiting, w)
	q.waiting++
	return o, w, nil
}

// makeRoom turns away the last call of whoever has the most of them, if an owner with mine has fewer
// even with one more.
func (q *Fair) makeRoom(mine int) bool {
	if len(q.line) == 0 {
		return false
	}
	most := slices.MaxFunc(q.line, func(a, b *owner) int { return len(a.waiting) - len(b.waiting) })
	if len(most.waiting) <= mine+1 {
		return false
	}
	last := most.waiting[len(most.waiting)-1]
	q.remove(most, last)
	last <- &Full{Own: true, Waiting: len(most.waiting)}
	return true
}

// give takes a place back and hands it to the first in line who may have it.
func (q *Fair) give(o *owner) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.running--
	o.running--
	for q.running < q.limits.Running {
		i := slices.IndexFunc(q.line, func(o *owner) bool { return o.running < q.limits.PerOwner })
		if i < 0 {
			break
		}
		next := q.line[i]
		// Who is served goes to the end of the line.
		q.line = append(slices.Delete(q.line, i, i+1), next)
		w := next.waiting[0]
		q.remove(next, w)
		q.running++
		next.running++
		w <- nil
	}
	q.forget(o)
}

// leave takes a waiting call out, and reports whether it was there.
func (q *Fair) leave(o *owner, w waiter) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !slices.Contains(o.waiting, w) {
		return false
	}
	q.remove(o, w)
	q.forget(o)
	return true
}

// remove takes a call out of its owner's, and the owner out of the line when it was the last.
func (q *Fair) remove(o *owner, w waiter) {
	i := slices.Index(o.waiting, w)
	o.waiting = slices.Delete(o.waiting, i, i+1)
	q.waiting--
	if len(o.waiting) == 0 {
		q.line = slices.DeleteFunc(q.line, func(other *owner) bool { return other == o })
	}
}

func (q *Fair) forget(o *owner) {
	if o.running == 0 && len(o.waiting) == 0 {
		delete(q.owners, o.name)
	}
}
