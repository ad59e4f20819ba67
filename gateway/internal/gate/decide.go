package gate

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// maxReason is the most bytes of a user's reason.
const maxReason = 4 << 10

// telegram is the channel whose users must be known by number: a name there can be taken over.
const telegram = "telegram"

// numeric reports whether id is a number as Telegram writes that of a user.
func numeric(id string) bool {
	n, err := strconv.ParseInt(id, 10, 64)
	return err == nil && n > 0 && strconv.FormatInt(n, 10) == id
}

// errStopped is the cause with which the user's stop ends a resumed call.
var errStopped = errors.New("stopped by the user")

// Decide answers a question, by its id or its code in any letter case. The caller has checked that
// the user may answer. Of many answers the first one wins. It returns when the answer is stored, not
// when the call has run, with the approval as it stands: also beside ErrDecided and ErrExpired.
// Other errors are ErrUnknown, ErrNobody, and those of the store.
func (g *Gate) Decide(ctx context.Context, id string, d Decision) (Approval, error) {
	if d.By == "" || d.Channel == "" || d.Channel == telegram && !numeric(d.By) {
		return Approval{}, ErrNobody
	}
	d.Reason = strings.ToValidUTF8(d.Reason, "\ufffd")
	if len(d.Reason) > maxReason {
		return Approval{}, fmt.Errorf("the reason has %d bytes, the most is %d", len(d.Reason), maxReason)
	}
	// An answer is not taken back half-way because its sender hung up.
	ctx, done := bookkeeping(ctx)
	defer done()
	a, err := g.Approval(ctx, id)
	if err != nil {
		return Approval{}, err
	}
	if a.State != Pending {
		return a, a.standingError()
	}
	to := Denied
	if d.Allow {
		to = Allowed
	}
	answer := &d
	// The deadline is looked at here too: nobody may have been running when it passed.
	if !g.now().Before(a.Deadline) {
		to, answer = Expired, nil
	}
	waiter := g.waiter(a.ID)
	settled, first, err := g.settle(ctx, a, to, answer)
	if err != nil {
		return a, fmt.Errorf("approval %s: %w", a.Code, err)
	}
	if !first {
		if a, err = g.store.Load(ctx, a.ID); err != nil {
			return Approval{}, err
		}
		return a, a.standingError()
	}
	g.handOver(settled, waiter)
	if to == Expired {
		return settled, settled.standingError()
	}
	return settled, nil
}

// standingError says why a question takes no more answers.
func (a Approval) standingError() error {
	switch {
	case a.State == Expired:
		return fmt.Errorf("%w at %s", ErrExpired, a.Deadline.Format("2006-01-02 15:04:05 MST"))
	case a.Decision == nil:
		return fmt.Errorf("%w: %s", ErrDecided, a.State)
	case a.Decision.Allow:
		return fmt.Errorf("%w: allowed by %s on %s", ErrDecided, a.Decision.By, a.Decision.Channel)
	default:
		return fmt.Errorf("%w: denied by %s on %s", ErrDecided, a.Decision.By, a.Decision.Channel)
	}
}

// handOver passes a settled approval to the call that waits for it. When none does, because we
// were restarted, an allowed call is queued for [Gate.RunExpiry] and any other end goes up.
//
// waiter is who waited before the answer was stored ([Gate.waiter]). Asked afterwards, a waiter that
// looked into the store by itself and left would pass for none, and its end would be told twice.
func (g *Gate) handOver(a Approval, waiter chan<- struct{}) {
	if waiter == nil && a.State == Allowed {
		g.mu.Lock()
		g.orphans = append(g.orphans, a.ID)
		g.mu.Unlock()
	}
	switch {
	case waiter != nil:
		select {
		case waiter <- struct{}{}:
		default:
		}
	case a.State == Allowed:
		g.poke()
	case a.State != Cancelled:
		g.resume(a, a.outcome())
	}
}

// waiter is the call of this life that waits for an approval, nil when there is none: it was asked by an earlier life.
func (g *Gate) waiter(id string) chan<- struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiters[id]
}

func (g *Gate) resume(a Approval, r claw.ToolResult) {
	if g.asker != nil {
		g.asker.Resumed(a, r)
	}
}

// Approval returns one approval, by its id or its code in any letter case, or ErrUnknown. A code
// means the pending approval that has it, else the last one that had it.
func (g *Gate) Approval(ctx context.Context, id string) (Approval, error) {
	id, code := normalID(id)
	if code == "" {
		return g.store.Load(ctx, id)
	}
	for _, states := range [][]State{{Pending}, nil} {
		found, err := g.store.List(ctx, Query{Code: code, States: states, Newest: true, Limit: 1})
		if err != nil {
			return Approval{}, err
		}
		if len(found) == 1 {
			return found[0], nil
		}
	}
	return Approval{}, fmt.Errorf("%w: %s", ErrUnknown, code)
}

// Pending returns the open questions, oldest first.
func (g *Gate) Pending(ctx context.Context) ([]Approval, error) {
	return g.store.List(ctx, Query{States: []State{Pending}})
}

// History returns the last n approvals in any state, newest first.
func (g *Gate) History(ctx context.Context, n int) ([]Approval, error) {
	return g.store.List(ctx, Query{Limit: max(n, 1), Newest: true})
}

// Cancel ends what is open in a session: questions are cancelled, and calls that were resumed after
// a restart are stopped. Calls that somebody waits for end with their own context.
func (g *Gate) Cancel(ctx context.Context, session claw.SessionID) error {
	ctx, done := bookkeeping(ctx)
	defer done()
	open, err := g.store.List(ctx, Query{Session: session, States: []State{Pending, Allowed, Started}})
	if err != nil {
		return err
	}
	var errs []error
	for _, a := range open {
		switch a.State {
		case Pending:
			waiter := g.waiter(a.ID)
			settled, first, err := g.settle(ctx, a, Cancelled, nil)
			if err != nil {
				errs = append(errs, err)
			} else if first { // else an answer was quicker, and stands
				g.handOver(settled, waiter)
			}
		default:
			g.mu.Lock()
			stop, waits := g.running[a.ID], g.waiters[a.ID] != nil
			g.mu.Unlock()
			if stop != nil {
				stop(errStopped)
			} else if a.State == Allowed && !waits {
				g.abandon(ctx, a, claw.Cancelled, "stopped before it ran")
			}
		}
	}
	return errors.Join(errs...)
}
