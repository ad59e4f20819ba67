package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/secureclaw/secureclaw/internal/capability"
	"github.com/secureclaw/secureclaw/internal/queue"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/runner/internal/sandbox"
)

// Bounds of what waits for a place. The gateway waits before it mints, so with one gateway nothing waits
// here; whoever else has its key can fill this, and no more. A call that waits may hold a frame of its task.
const (
	maxWaiting      = 64
	maxWaitingOfOne = 32
	maxPeers        = 256         // connections at once: each call has one, and each that waits, and a few are kept for the next
	maxSilence      = time.Minute // a connection without a request is closed
)

// slots are the places of one kind of work, given to sessions in turn.
type slots struct {
	line *queue.Fair
	most int
}

func newSlots(most int) slots {
	return slots{most: most, line: queue.NewFair(queue.Limits{
		Running: most, PerOwner: run.MaxOfSession(most), Waiting: maxWaiting, WaitingPerOwner: maxWaitingOfOne,
	})}
}

// take waits for a place and returns how to give it back and how long that took, in microseconds.
// Nobody waits longer than the token lives: the executor verifies it again.
func (s slots) take(ctx context.Context, claims capability.Claims, now time.Time) (give func(), waited int64, refusal *run.Refusal) {
	came := time.Now()
	living, cancel := context.WithTimeout(ctx, time.Unix(claims.Expires, 0).Sub(now))
	defer cancel()
	give, err := s.line.Take(living, claims.Session)
	waited = time.Since(came).Microseconds()
	if err == nil {
		return give, waited, nil
	}
	if ctx.Err() != nil {
		return nil, waited, &run.Refusal{Code: sandbox.CodeCancelled, What: "The call was cancelled while it waited, so nothing ran."}
	}
	refusal = &run.Refusal{Code: codeBusy, What: "Too many calls run at once, so this one did not.", Fix: "Try again in a moment."}
	switch full, ok := errors.AsType[*queue.Full](err); {
	case !ok:
		refusal.Why = fmt.Sprintf("%d run at a time, and this one waited until its token expired.", s.most)
	case full.Own:
		refusal.Why = fmt.Sprintf("%d run at a time, and %d of the same session wait already.", s.most, full.Waiting)
		refusal.Fix = "Ask for fewer calls at once."
	default:
		refusal.Why = fmt.Sprintf("%d run at a time, and %d wait already.", s.most, full.Waiting)
	}
	return nil, waited, refusal
}
