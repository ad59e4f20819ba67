package gate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/audit"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// Outcome is what became of a call that an earlier life left behind.
type Outcome string

// The outcomes. Only Resumes leads to an effect, its first.
const (
	LeftUnknown Outcome = "unknown"  // it was started; whether it had effects is not known; it is not repeated
	Resumes     Outcome = "resumes"  // it was allowed and not started; it runs now, once
	Expires     Outcome = "expired"  // its deadline passed
	Finished    Outcome = "finished" // it ran and its result was stored; only the record of it was missing
)

// Recovered is one call that an earlier life left behind.
type Recovered struct {
	Call    claw.CallID
	Outcome Outcome
	// Approval is nil for a call that nobody was asked about; then the audit log alone knows it.
	Approval *Approval
}

// Recover settles, once at start, what an earlier life left behind. inDoubt are the calls with an intent and no
// result in the audit log. Whatever has ended goes to [Asker.Resumed]; calls to be resumed are run
// by [Gate.RunExpiry]. A user should hear of each LeftUnknown. Calls of this life are not touched.
func (g *Gate) Recover(ctx context.Context, inDoubt []string) ([]Recovered, error) {
	open, err := g.store.List(ctx, Query{States: []State{Pending, Allowed, Started}})
	if err != nil {
		return nil, err
	}
	var out []Recovered
	var errs []error
	known := map[claw.CallID]bool{}
	for _, a := range open {
		g.mu.Lock()
		_, ours := g.waiters[a.ID]
		g.mu.Unlock()
		if ours || g.isResumed(a.ID) {
			continue
		}
		outcome, settled, err := g.recoverOne(ctx, a)
		if err != nil {
			errs = append(errs, fmt.Errorf("approval %s: %w", a.ID, err))
			continue
		}
		if outcome == LeftUnknown {
			known[a.Call.ID] = true
		}
		if outcome != "" {
			out = append(out, Recovered{Call: a.Call.ID, Outcome: outcome, Approval: &settled})
		}
	}
	for _, id := range inDoubt {
		if known[claw.CallID(id)] {
			continue
		}
		r, err := g.recoverDoubt(ctx, claw.CallID(id))
		if err != nil {
			errs = append(errs, fmt.Errorf("call %s: %w", id, err))
			continue
		}
		out = append(out, r)
	}
	g.poke()
	return out, errors.Join(errs...)
}

func (g *Gate) recoverOne(ctx context.Context, a Approval) (Outcome, Approval, error) {
	switch {
	case a.State == Started:
		a.State, a.Ended = Unknown, g.moment()
		result := a.outcome()
		a.Result = &result
		first, err := g.store.Move(ctx, a.ID, Started, Unknown, Change{At: a.Ended, Result: &result})
		if err != nil || !first {
			return "", a, err
		}
		g.show(a)
		g.resume(a, result)
		_, err = g.audit.Append(ctx, record(audit.KindResult, a.Call, fieldsOf(result, a.ID, "the gateway stopped while it was started")))
		return LeftUnknown, a, err
	case a.State == Allowed:
		g.mu.Lock()
		g.orphans = append(g.orphans, a.ID)
		g.mu.Unlock()
		return Resumes, a, nil
	case !g.now().Before(a.Deadline):
		waiter := g.waiter(a.ID)
		settled, first, err := g.settle(ctx, a, Expired, nil)
		if err != nil || !first {
			return "", a, err
		}
		g.handOver(settled, waiter)
		return Expires, settled, nil
	default:
		return "", a, nil // still open, still in time: an answer will find it
	}
}

// recoverDoubt closes the books on an intent without a result.
func (g *Gate) recoverDoubt(ctx context.Context, id claw.CallID) (Recovered, error) {
	found, err := g.store.List(ctx, Query{Call: id, Limit: 1})
	if err != nil {
		return Recovered{}, err
	}
	if len(found) == 1 && found[0].Result != nil {
		a := found[0]
		outcome := Finished
		if a.State == Unknown {
			outcome = LeftUnknown
		}
		_, err := g.audit.Append(ctx, record(audit.KindResult, a.Call, fieldsOf(*a.Result, a.ID, "recorded after a restart")))
		g.resume(a, *a.Result)
		return Recovered{Call: id, Outcome: outcome, Approval: &a}, err
	}
	fields := resultFields{Status: claw.Unknown, Note: "the gateway stopped before its end was known; it is not repeated"}
	_, err = g.audit.Append(ctx, audit.Record{Kind: audit.KindResult, Call: string(id), Fields: fields})
	return Recovered{Call: id, Outcome: LeftUnknown}, err
}

// Ended records the result of a call that an earlier life ran: the conversation has it, and only the
// log does not, because we died before its last lines were on disk. Such a call is not in doubt.
func (g *Gate) Ended(ctx context.Context, call Call, r claw.ToolResult) error {
	_, err := g.audit.Append(ctx, record(audit.KindResult, call, fieldsOf(r, "", "recorded after a restart")))
	return err
}

// RunExpiry owns what no caller waits for, until ctx ends: it expires questions at their deadlines and runs
// calls that were allowed after a restart. It waits for those it runs, and returns nil. While no
// question is open it does not wake up.
func (g *Gate) RunExpiry(ctx context.Context) error {
	var calls sync.WaitGroup
	defer calls.Wait()
	for {
		for _, id := range g.takeOrphans() {
			calls.Go(func() { g.runOrphan(ctx, id) })
		}
		wait, err := g.expireDue(ctx)
		if err != nil && ctx.Err() == nil {
			g.log.Error("deadlines not checked, trying again", "err", err)
			wait = recheck
		}
		if !g.rest(ctx, wait) {
			return nil
		}
	}
}

// rest waits for a poke, and at most for the given time unless it is zero. It reports whether to go on.
func (g *Gate) rest(ctx context.Context, wait time.Duration) bool {
	var alarm <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		alarm = timer.C
	}
	select {
	case <-ctx.Done():
		return false
	case <-g.wake:
	case <-alarm:
	}
	return ctx.Err() == nil
}

// expireDue ends what is past its deadline and returns how long to rest before the next look; zero is until poked.
func (g *Gate) expireDue(ctx context.Context) (time.Duration, error) {
	pending, err := g.Pending(ctx)
	if err != nil {
		return 0, err
	}
	var wait time.Duration
	for _, a := range pending {
		left := a.Deadline.Sub(g.now())
		if left <= 0 {
			waiter := g.waiter(a.ID)
			settled, first, err := g.settle(ctx, a, Expired, nil)
			if err != nil {
				return 0, err
			}
			if first {
				g.handOver(settled, waiter)
			}
			continue
		}
		if wait == 0 || left < wait {
			wait = left
		}
	}
	return min(wait, recheck), nil
}

func (g *Gate) takeOrphans() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	ids := g.orphans
	g.orphans = nil
	return ids
}

func (g *Gate) isResumed(id string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running[id] != nil
}

// runOrphan runs an allowed call that nobody waits for. When we stop before it starts, it stays
// allowed and the next start runs it.
func (g *Gate) runOrphan(owner context.Context, id string) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(owner))
	defer cancel(nil)
	defer context.AfterFunc(owner, func() { cancel(ErrShutdown) })()
	g.mu.Lock()
	if g.running[id] != nil {
		g.mu.Unlock()
		return
	}
	g.running[id] = cancel
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.running, id)
	}()
	a, err := g.store.Load(ctx, id)
	if err != nil {
		g.log.Error("allowed call not read, nothing ran", "approval", id, "err", err)
		return
	}
	if a.State != Allowed {
		return
	}
	result := g.runAllowed(ctx, a, "")
	if a, err = g.store.Load(context.WithoutCancel(ctx), id); err != nil || !a.State.Final() {
		return // not run: it stays allowed
	}
	g.resume(a, result)
}
