package capability

import (
	"container/heap"
	"sync"
	"time"
)

// maxRemembered bounds what a [Replay] holds, about 8 MiB. A runner that starts a thousand tasks a
// minute for an hour does not reach it.
const maxRemembered = 1 << 16

// Replay lets every token be used once. It remembers ids in memory until no [Verifier] would take
// the token any more; when it can hold no more it refuses, because forgetting would allow a second
// use. It is safe for many goroutines. The zero Replay refuses everything.
//
// A restarted runner has forgotten; a token that was used before lives on for at most its task's
// timeout and 10 s, and only the gateway ever held it outside a container.
type Replay struct {
	now func() time.Time

	mu     sync.Mutex
	seen   map[string]struct{}
	queue  byExpiry  // the same ids, the next to forget first
	latest time.Time // the clock never runs backwards here
}

// NewReplay returns an empty Replay, by the clock now.
func NewReplay(now func() time.Time) *Replay {
	return &Replay{now: now, seen: make(map[string]struct{})}
}

// Use marks the verified token id, which expires as given, as used. The error is a [*Refusal] when
// it was used before, is no longer valid, or there is no room to remember it.
func (r *Replay) Use(id string, expires time.Time) error {
	if r.now == nil || r.seen == nil || id == "" {
		return refuse(RefusedReplay, "no memory of used tokens, or a token without an id")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	// A clock set back after an id was forgotten must not make its token new again.
	if now := r.now(); now.After(r.latest) {
		r.latest = now
	}
	for len(r.queue) > 0 && !r.latest.Before(r.queue[0].forget) {
		delete(r.seen, heap.Pop(&r.queue).(used).id)
	}
	forget := expires.Add(Leeway)
	_, again := r.seen[id]
	switch {
	case again:
		return refuse(RefusedReplay, "used before")
	case !r.latest.Before(forget):
		return refuse(RefusedReplay, "expired %v ago", r.latest.Sub(expires).Round(time.Second))
	case len(r.seen) >= maxRemembered:
		return refuse(RefusedReplay, "%d tokens are in use, no room to remember another", len(r.seen))
	}
	r.seen[id] = struct{}{}
	heap.Push(&r.queue, used{id: id, forget: forget})
	return nil
}

// used is a token that was used, until forget.
type used struct {
	id     string
	forget time.Time
}

// byExpiry is a heap.Interface.
type byExpiry []used

func (q byExpiry) Len() int           { return len(q) }
func (q byExpiry) Less(i, j int) bool { return q[i].forget.Before(q[j].forget) }
func (q byExpiry) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *byExpiry) Push(x any)        { *q = append(*q, x.(used)) }
func (q *byExpiry) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	(*q)[last] = used{}
	*q = (*q)[:last]
	return x
}
