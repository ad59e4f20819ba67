package gate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/policy"
)

// ErrShutdown is the cause to end a context with when the gateway stops and will be back: calls that
// wait return at once, but their questions stay open and an answer after the restart still counts.
// With any other cause the question is cancelled.
var ErrShutdown = errors.New("the gateway is stopping")

// recheck is how often a wait looks at the wall clock and the store by itself: timers stand still
// while a laptop sleeps, and clocks are set.
const recheck = 30 * time.Second

// codeTries is how many codes are drawn before giving up; with a thousand open questions the first one is free 999 times in 1000.
const codeTries = 20

// ask opens a question, waits for its end, and runs the call if the answer was yes.
func (g *Gate) ask(ctx context.Context, p permit) claw.ToolResult {
	id, err := g.random(newID)
	if err != nil {
		return g.refuse(p.call, p.action.Tool, p.action.Input, p.verdict, err)
	}
	// The waiter stands before the question is stored, or an answer could find nobody waiting and run the call a second way.
	woken := make(chan struct{}, 1)
	g.mu.Lock()
	g.waiters[id] = woken
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.waiters, id)
	}()
	a, err := g.open(ctx, id, p)
	if err != nil {
		g.log.Error("question not asked, nothing ran", "call", p.call.ID, "tool", p.action.Tool, "err", err)
		return g.refuse(p.call, p.action.Tool, p.action.Input, p.verdict, fmt.Errorf("nothing ran, because the question to the user could not be kept: %w", err))
	}
	a, err = g.await(ctx, a, woken)
	if err != nil {
		g.log.Error("answer not known, nothing ran", "approval", id, "err", err)
		return p.result(claw.Refused, fmt.Sprintf("nothing ran, because the answer could not be read: %v", err))
	}
	switch a.State {
	case Pending: // ErrShutdown
		return p.result(claw.Cancelled, "the gateway is stopping; the question stays open, and an answer after the restart still counts")
	case Allowed:
		return g.runAllowed(ctx, a, p.digest)
	default:
		return a.outcome()
	}
}

// open stores, records and shows a question.
func (g *Gate) open(ctx context.Context, id string, p permit) (Approval, error) {
	now := g.moment()
	a := Approval{
		ID: id, State: Pending, Call: p.call, Action: p.action, Digest: p.digest,
		Rule: p.verdict.Rule, Reason: p.verdict.Reason, Asked: now, Deadline: now.Add(g.expiry(p.call.Origin)),
	}
	ctx, done := bookkeeping(ctx)
	defer done()
	for try := 0; ; try++ {
		code, err := g.random(newCode)
		if err != nil {
			return Approval{}, err
		}
		a.Code = code
		err = g.store.Insert(ctx, a)
		if err == nil {
			break
		}
		if !errors.Is(err, ErrCodeTaken) || try == codeTries {
			return Approval{}, err
		}
	}
	if _, err := g.audit.Append(ctx, askedRecord(a)); err != nil {
		result := a.result(claw.Refused, "the audit log did not take the question")
		_, moved := g.store.Move(ctx, a.ID, Pending, Cancelled, Change{At: g.moment(), Result: &result})
		return Approval{}, errors.Join(err, moved)
	}
	g.step(StepAsked)
	g.asker.Asked(a)
	g.poke()
	return a, nil
}

// await returns the approval when it is no longer pending, or still pending when ctx ended with ErrShutdown.
func (g *Gate) await(ctx context.Context, a Approval, woken <-chan struct{}) (Approval, error) {
	for {
		left := a.Deadline.Sub(g.now())
		if left <= 0 {
			return g.giveUp(ctx, a, Expired)
		}
		timer := time.NewTimer(min(left, recheck))
		select {
		case <-ctx.Done():
			timer.Stop()
			if errors.Is(context.Cause(ctx), ErrShutdown) {
				return a, nil
			}
			return g.giveUp(ctx, a, Cancelled)
		case <-woken:
			timer.Stop()
		case <-timer.C:
		}
		// The store is the truth, also about an answer whose wake-up was lost.
		book, done := bookkeeping(ctx)
		now, err := g.store.Load(book, a.ID)
		done()
		if err != nil {
			g.log.Error("approval not read, still waiting", "approval", a.ID, "err", err)
			continue
		}
		if now.State != Pending {
			return now, nil
		}
	}
}

// giveUp ends a pending question without an answer. If an answer was first, that stands and is returned.
func (g *Gate) giveUp(ctx context.Context, a Approval, to State) (Approval, error) {
	ctx, done := bookkeeping(ctx)
	defer done()
	settled, first, err := g.settle(ctx, a, to, nil)
	if err != nil || first {
		return settled, err
	}
	return g.store.Load(ctx, a.ID)
}

// settle moves a pending approval to its answer. Exactly one caller is first; it alone records and shows the end.
func (g *Gate) settle(ctx context.Context, a Approval, to State, d *Decision) (settled Approval, first bool, err error) {
	was := a
	a.State, a.Decision, a.Decided = to, d, g.moment()
	if to.Final() {
		result := a.outcome()
		a.Result, a.Ended = &result, a.Decided
	}
	// Store the answer before waking anyone: if we die in between, the stored answer is the truth,
	// and start-up finishes the call exactly once.
	first, err = g.store.Move(ctx, a.ID, Pending, to, Change{At: a.Decided, Decision: d, Result: a.Result})
	if err != nil || !first {
		return was, false, err
	}
	g.step(StepDecided)
	if err := g.audit.Note(settledRecord(a, "")); err != nil {
		g.log.Error("answer not recorded", "approval", a.ID, "err", err)
	}
	g.show(a)
	return a, true, nil
}

func (g *Gate) show(a Approval) {
	if g.asker != nil {
		g.asker.Decided(a)
	}
}

// runAllowed runs the stored action of an allowed approval, once. digest, if known, is that of the
// action that this process asked about.
func (g *Gate) runAllowed(ctx context.Context, a Approval, digest string) claw.ToolResult {
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), ErrShutdown) {
		return a.result(claw.Cancelled, "the gateway is stopping; the call was allowed and runs after the restart")
	}
	book, done := bookkeeping(ctx)
	defer done()
	if ctx.Err() != nil {
		return g.abandon(book, a, claw.Cancelled, "stopped before it ran")
	}
	got, err := a.Action.Digest()
	if err != nil || got != a.Digest || digest != "" && digest != got {
		return g.abandon(book, a, claw.Refused, "nothing ran, because the stored action is not the one that was approved")
	}
	tool := g.tools[a.Action.Tool]
	if tool == nil {
		return g.abandon(book, a, claw.Refused, fmt.Sprintf("nothing ran, because there is no tool %q any more", a.Action.Tool))
	}
	now := g.moment()
	started, err := g.store.Move(book, a.ID, Allowed, Started, Change{At: now})
	if err != nil {
		return a.result(claw.Refused, fmt.Sprintf("nothing ran, because the start could not be stored: %v", err))
	}
	if !started {
		return g.standing(book, a)
	}
	g.step(StepStarted)
	a.State, a.Started = Started, now
	p := permit{tool: tool, call: a.Call, action: a.Action, digest: a.Digest, verdict: policy.Verdict{Rule: a.Rule, Reason: a.Reason}, approval: a.ID}
	return g.effect(ctx, p, func(ctx context.Context, r claw.ToolResult) error {
		a.State, a.Ended, a.Result = Done, g.moment(), &r
		if r.Status == claw.Unknown {
			a.State = Unknown
		}
		_, err := g.store.Move(ctx, a.ID, Started, a.State, Change{At: a.Ended, Result: &r})
		g.show(a)
		return err
	})
}

// abandon ends an allowed approval that will not run.
func (g *Gate) abandon(ctx context.Context, a Approval, status claw.Status, why string) claw.ToolResult {
	r := a.result(status, why)
	a.Ended, a.Result = g.moment(), &r
	first, err := g.store.Move(ctx, a.ID, Allowed, Cancelled, Change{At: a.Ended, Result: &r})
	if err != nil {
		g.log.Error("end of an allowed call not stored", "approval", a.ID, "err", err)
	}
	if first {
		a.State = Cancelled
		if err := g.audit.Note(settledRecord(a, why)); err != nil {
			g.log.Error("end of an allowed call not recorded", "approval", a.ID, "err", err)
		}
		g.show(a)
	}
	return r
}

// standing is the result of an approval that somebody else took further.
func (g *Gate) standing(ctx context.Context, a Approval) claw.ToolResult {
	now, err := g.store.Load(ctx, a.ID)
	if err == nil && now.Result != nil {
		return *now.Result
	}
	return a.result(claw.Unknown, "the call was started elsewhere, and how it ended is not known; it is not repeated")
}

// result is a result of the approval's call, in our own words.
func (a Approval) result(status claw.Status, content string) claw.ToolResult {
	return ourResult(a.Call, a.Action.Tool, policy.Verdict{Rule: a.Rule}, status, content)
}

// outcome is the result of an approval that ended without a run.
func (a Approval) outcome() claw.ToolResult {
	switch a.State {
	case Denied:
		text := "The user said no, without a reason. Do not try the same thing in another way; ask what they would like."
		if a.Decision != nil && a.Decision.Reason != "" {
			text = "The user said no. Their words: " + a.Decision.Reason
		}
		return a.result(claw.Denied, text)
	case Expired:
		return a.result(claw.Expired, "Nobody answered in time, so the call was denied and did not run.")
	case Cancelled:
		if a.Result != nil {
			return *a.Result
		}
		return a.result(claw.Cancelled, "stopped before it was answered; it did not run")
	case Unknown:
		return a.result(claw.Unknown, "The call was started, and the gateway stopped before its end was known. It may have had effects; it is not repeated.")
	default:
		if a.Result != nil {
			return *a.Result
		}
		return a.result(claw.Refused, "the call did not run")
	}
}

// random draws from the shared source.
func (g *Gate) random(draw func(io.Reader) (string, error)) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return draw(g.rand)
}

// normalID takes what a person types: an id in any case, or a code in any case.
func normalID(s string) (id, code string) {
	s = strings.TrimSpace(s)
	if len(s) == codeLength {
		return "", strings.ToUpper(s)
	}
	return strings.ToLower(s), ""
}
