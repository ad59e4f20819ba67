package telegram

import (
	"sync"
	"time"
)

// ledger knows which updates are in hand and which are done. Telegram is told of the longest run of done ones
// from the first on, and of nothing behind the first that is still in hand.
type ledger struct {
	mu      sync.Mutex
	offset  int64          // what getUpdates asks for: all before it is confirmed
	order   []int64        // updates from offset on, in Telegram's order
	done    map[int64]bool // of those in order
	changed chan struct{}  // closed and renewed when one is done
}

func newLedger() *ledger { return &ledger{done: make(map[int64]bool), changed: make(chan struct{})} }

// see reports whether an update is new, and takes it in hand.
func (l *ledger) see(id int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, seen := l.done[id]; seen || id < l.offset {
		return false
	}
	l.done[id] = false
	l.order = append(l.order, id)
	return true
}

// finish marks an update as done and moves the offset as far as it may.
func (l *ledger) finish(id int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done[id] = true
	for len(l.order) > 0 && l.done[l.order[0]] {
		l.offset = l.order[0] + 1
		delete(l.done, l.order[0])
		l.order = l.order[1:]
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *ledger) state() (offset int64, inHand bool, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.offset, len(l.order) > 0, l.changed
}

// forget lets the next poll ask for whatever is unconfirmed. Telegram numbers updates anew, lower perhaps, when
// there was none for a week; an offset from before would then hide them.
func (l *ledger) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.order) == 0 {
		l.offset = 0
	}
}

// forgetAfter is less than the week that Telegram's documentation names (getUpdates, update_id).
const forgetAfter = 6 * 24 * time.Hour

// inbox keeps the messages of each user in order, one under way at a time.
type inbox struct {
	mu      sync.Mutex
	waiting map[int64][]func()
}

func newInbox() *inbox { return &inbox{waiting: make(map[int64][]func())} }

func (i *inbox) add(user int64, wg *sync.WaitGroup, job func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	queue, busy := i.waiting[user]
	i.waiting[user] = append(queue, job)
	if busy {
		return
	}
	wg.Go(func() {
		for {
			i.mu.Lock()
			queue := i.waiting[user]
			if len(queue) == 0 {
				delete(i.waiting, user)
				i.mu.Unlock()
				return
			}
			job := queue[0]
			i.waiting[user] = queue[1:]
			i.mu.Unlock()
			job()
		}
	})
}
