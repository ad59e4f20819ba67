package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// call is one call of a plan: when it comes, how long it holds its place, and when it stops waiting.
type call struct {
	owner          string
	comes          time.Duration
	lasts          time.Duration
	patience       time.Duration // 0: as long as it takes
	arrived, began bool
	over           bool
	full           *Full
	overtook       map[string]int // how many of each other owner began while it waited, first of its owner
}

// play lets the calls of a plan go through a queue, and returns what was not as promised.
type play struct {
	limits Limits
	apart  bool // no two things happen at the same time, so their order is known
	queue  *Fair
	mu     sync.Mutex
	calls  []*call
	wrong  []string
}

func (p *play) complain(format string, args ...any) {
	p.wrong = append(p.wrong, fmt.Sprintf(format, args...))
}

// state is who goes and who waits, by owner.
func (p *play) state() (running, waiting map[string]int, all, queued int) {
	running, waiting = map[string]int{}, map[string]int{}
	for _, c := range p.calls {
		switch {
		case c.over || !c.arrived:
		case c.began:
			running[c.owner]++
			all++
		default:
			waiting[c.owner]++
			queued++
		}
	}
	return running, waiting, all, queued
}

func (p *play) run(ctx context.Context, c *call) {
	time.Sleep(c.comes)
	if c.patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.patience)
		defer cancel()
	}
	p.mu.Lock()
	c.arrived = true
	p.mu.Unlock()
	came := time.Now()
	give, err := p.queue.Take(ctx, c.owner)
	p.mu.Lock()
	if err != nil {
		c.over = true
		switch full, ok := errors.AsType[*Full](err); {
		case ok:
			c.full = full
		case ctx.Err() == nil:
			p.complain("Take(%s) = %v in a living context", c.owner, err)
		case time.Since(came) > c.patience:
			p.complain("Take(%s) returned %v after its context ended", c.owner, time.Since(came)-c.patience)
		}
		p.mu.Unlock()
		return
	}
	p.began(c)
	p.mu.Unlock()
	time.Sleep(c.lasts)
	p.mu.Lock()
	c.over = true
	p.mu.Unlock()
	give()
}

// began notes a start, and whom it overtook.
func (p *play) began(c *call) {
	c.began = true
	running, _, all, _ := p.state()
	if all > p.limits.Running || running[c.owner] > p.limits.PerOwner {
		p.complain("%d go at once, %d of %s; want at most %d and %d", all, running[c.owner], c.owner, p.limits.Running, p.limits.PerOwner)
	}
	first := map[string]bool{}
	for _, other := range p.calls { // in the order they came
		if !other.arrived || other.began || other.over {
			continue
		}
		if other.owner == c.owner {
			if p.apart && other.comes < c.comes {
				p.complain("a call of %s that came at %v began before the one of %v", c.owner, c.comes, other.comes)
			}
			continue
		}
		if running[other.owner] < p.limits.PerOwner && !first[other.owner] {
			first[other.owner] = true
			if other.overtook == nil {
				other.overtook = map[string]int{}
			}
			other.overtook[c.owner]++
		}
	}
}

// idle complains about a place that is free while somebody waits for it.
func (p *play) idle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	running, waiting, all, queued := p.state()
	if queued > p.limits.Waiting {
		p.complain("%d wait, want at most %d", queued, p.limits.Waiting)
	}
	for owner, n := range waiting {
		if all < p.limits.Running && running[owner] < p.limits.PerOwner {
			p.complain("%d of %d places are taken, and %d calls of %s wait, who has %d", all, p.limits.Running, n, owner, running[owner])
		}
		if n > p.limits.WaitingPerOwner {
			p.complain("%d calls of %s wait, want at most %d", n, owner, p.limits.WaitingPerOwner)
		}
	}
}

// through plays a plan to its end.
func through(t *testing.T, limits Limits, apart bool, calls []*call) *play {
	t.Helper()
	p := &play{limits: limits, apart: apart, queue: NewFair(limits), calls: calls}
	slices.SortStableFunc(p.calls, func(a, b *call) int { return int(a.comes - b.comes) })
	synctest.Test(t, func(t *testing.T) {
		var all sync.WaitGroup
		for _, c := range p.calls {
			all.Go(func() { p.run(t.Context(), c) })
		}
		end := make(chan struct{})
		go func() { all.Wait(); close(end) }()
		for going := true; going; {
			time.Sleep(time.Millisecond - time.Nanosecond)
			synctest.Wait()
			p.idle()
			select {
			case <-end:
				going = false
			case <-time.After(time.Nanosecond):
			}
		}
	})
	if q := p.queue; q.running != 0 || q.waiting != 0 || len(q.owners) != 0 || len(q.line) != 0 {
		p.complain("after all calls %d go, %d wait, %d owners and %d in line are remembered; want none", q.running, q.waiting, len(q.owners), len(q.line))
	}
	return p
}

// Whatever comes, goes and leaves: the bounds hold, nobody is overtaken twice by the same, and no place is wasted.
func TestAnyDayIsFair(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		small := rapid.IntRange(1, 5)
		limits := Limits{Running: small.Draw(rt, "running"), PerOwner: small.Draw(rt, "perOwner"), Waiting: rapid.IntRange(0, 40).Draw(rt, "waiting"), WaitingPerOwner: rapid.IntRange(0, 20).Draw(rt, "waitingPerOwner")}
		// Apart from each other by microseconds, the order of all events is known; at once, only the bounds are.
		apart := rapid.Bool().Draw(rt, "apart")
		calls := make([]*call, rapid.IntRange(1, 60).Draw(rt, "calls"))
		for i := range calls {
			c := &call{
				owner:    string(rune('a' + rapid.IntRange(0, 7).Draw(rt, "owner"))),
				comes:    time.Duration(rapid.IntRange(0, 12).Draw(rt, "comes")) * time.Millisecond,
				lasts:    time.Duration(rapid.IntRange(0, 10).Draw(rt, "lasts")) * time.Millisecond,
				patience: time.Duration(max(0, rapid.IntRange(-20, 30).Draw(rt, "patience"))) * time.Millisecond,
			}
			if apart {
				c.comes += time.Duration(i) * time.Microsecond
				c.lasts = max(c.lasts, time.Millisecond)
			}
			calls[i] = c
		}
		p := through(t, limits, apart, calls)
		for _, c := range p.calls {
			for other, n := range c.overtook {
				if apart && n > 1 {
					p.complain("%s began %d calls while %s waited with a place to spare, want at most 1", other, n, c.owner)
				}
			}
		}
		if len(p.wrong) > 0 {
			rt.Fatalf("%+v, %d calls: %d complaints, the first: %s", limits, len(calls), len(p.wrong), p.wrong[0])
		}
	})
}

func TestManyCallsOfOneDoNotDelayAnother(t *testing.T) {
	limits := Limits{Running: 8, PerOwner: 4, Waiting: 200, WaitingPerOwner: 64}
	var calls []*call
	for i := range 60 {
		calls = append(calls, &call{owner: "greedy", comes: time.Duration(i) * time.Microsecond, lasts: time.Second})
	}
	for i := range 20 {
		calls = append(calls, &call{owner: fmt.Sprint("modest", i), comes: time.Duration(100+i) * time.Microsecond, lasts: time.Second})
	}
	var overtaken []int
	p := through(t, limits, true, calls)
	for _, c := range p.calls {
		if c.owner != "greedy" {
			overtaken = append(overtaken, c.overtook["greedy"])
		}
	}
	if len(p.wrong) > 0 || slices.Max(overtaken) > 1 {
		t.Errorf("complaints %v; 60 calls that came before overtook a single one %d times, want at most once", p.wrong, slices.Max(overtaken))
	}
}

// A queue that is full is full for who filled it.
func TestWhoFillsTheQueueGivesWay(t *testing.T) {
	calls := []*call{}
	for i := range 20 {
		calls = append(calls, &call{owner: "greedy", comes: time.Duration(i) * time.Microsecond, lasts: time.Second})
	}
	for i := range 5 {
		calls = append(calls, &call{owner: fmt.Sprint("modest", i), comes: time.Millisecond + time.Duration(i)*time.Microsecond, lasts: time.Second})
	}
	p := through(t, Limits{Running: 2, PerOwner: 1, Waiting: 6, WaitingPerOwner: 10}, true, calls)
	busy := map[string]int{}
	for _, c := range p.calls {
		if c.full != nil {
			busy[c.owner[:6]]++
		}
	}
	// Of the greedy one's, 1 goes, 6 wait, 13 find no place; of the modest ones 1 goes and 4 take the place of one of those.
	if busy["greedy"] != 17 || busy["modest"] != 0 || len(p.wrong) > 0 {
		t.Errorf("busy for %v, complaints %v; want 17 of the greedy, none of the modest", busy, p.wrong)
	}
}

func TestZeroLetsNothingPass(t *testing.T) {
	for name, q := range map[string]*Fair{
		"the zero Fair":   {},
		"zero limits":     NewFair(Limits{}),
		"no owner's part": NewFair(Limits{Running: 8, Waiting: 8}),
		"negative limits": NewFair(Limits{Running: -1, PerOwner: -1, Waiting: -1, WaitingPerOwner: -1}),
	} {
		t.Run(name, func(t *testing.T) {
			give, err := q.Take(t.Context(), "somebody")
			if _, ok := errors.AsType[*Full](err); !ok || give != nil {
				t.Errorf("Take = %v, want a *Full", err)
			}
		})
	}
}

func TestWhoIsGoneGetsNoPlace(t *testing.T) {
	q := NewFair(Limits{Running: 1, PerOwner: 1, Waiting: 1, WaitingPerOwner: 1})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := q.Take(ctx, "gone"); !errors.Is(err, context.Canceled) {
		t.Errorf("Take in an ended context = %v, want %v", err, context.Canceled)
	}
	give, err := q.Take(t.Context(), "here")
	if err != nil {
		t.Fatal(err)
	}
	give()
	give() // a second time changes nothing
	if q.running != 0 || len(q.owners) != 0 {
		t.Errorf("%d go, %d owners are remembered; want none", q.running, len(q.owners))
	}
}

// A place that is given while its call leaves is not lost.
func TestAPlaceGivenToWhoLeavesIsPassedOn(t *testing.T) {
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			q := NewFair(Limits{Running: 1, PerOwner: 1, Waiting: 4, WaitingPerOwner: 4})
			give, err := q.Take(t.Context(), "first")
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				if give, err := q.Take(ctx, "leaves"); err == nil {
					give()
				}
			}()
			synctest.Wait()
			cancel()
			give() // before the one who leaves has come to the lock, nearly always
			last, err := q.Take(t.Context(), "last")
			if err != nil {
				t.Fatalf("Take = %v, want a place", err)
			}
			last()
		})
	}
}

func BenchmarkTake(b *testing.B) {
	q := NewFair(Limits{Running: 8, PerOwner: 4, Waiting: 64, WaitingPerOwner: 64})
	for b.Loop() {
		give, err := q.Take(b.Context(), "one")
		if err != nil {
			b.Fatal(err)
		}
		give()
	}
}
