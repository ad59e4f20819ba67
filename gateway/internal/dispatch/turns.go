package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/internal/queue"
	"github.com/secureclaw/secureclaw/internal/run"
)

// Bounds of what waits here. A model may ask for dozens of calls in one answer, in each of a hundred
// conversations; a call that waits costs a few KiB beside the arguments that its turn holds anyway.
const (
	maxWaiting      = 2048
	maxWaitingOfOne = 64
)

// turns says whose call goes to the runner next. The runner has as many places, and calls wait here,
// before their tokens are minted: there, a token would grow old. Browsers have places of their
// own, so a page that takes long delays no other call of its session.
type turns struct {
	calls    *queue.Fair
	browsers *queue.Fair
}

func newTurns() turns {
	places := func(most int) *queue.Fair {
		return queue.NewFair(queue.Limits{Running: most, PerOwner: run.MaxOfSession(most), Waiting: maxWaiting, WaitingPerOwner: maxWaitingOfOne})
	}
	return turns{calls: places(run.MaxCalls()), browsers: places(run.MaxBrowsers())}
}

// execute runs one action when it is its turn, and says how it ended. It never returns an error: whatever
// happens is a result that the model and the user can read.
func (d *Dispatch) execute(ctx context.Context, call gate.Call, action claw.Action) claw.ToolResult {
	places := d.turns.calls
	if action.Executor == kindWeb {
		places = d.turns.browsers
	}
	came := time.Now()
	give, err := places.Take(ctx, string(call.Session))
	waited := time.Since(came)
	if err != nil {
		return notItsTurn(call, action, err, waited)
	}
	defer give()
	var r claw.ToolResult
	if action.Tool == run.ToolSendFile {
		r = d.send(ctx, call, action)
	} else {
		r = d.once(ctx, call, action, nil)
	}
	if r.Waited += claw.Elapsed(waited); r.Waited < claw.Elapsed(time.Millisecond) {
		r.Waited = 0 // for nobody: that is what it takes to ask
	}
	return r
}

// notItsTurn is the result of a call that got no place.
func notItsTurn(call gate.Call, action claw.Action, err error, waited time.Duration) claw.ToolResult {
	full, ok := errors.AsType[*queue.Full](err)
	var r claw.ToolResult
	switch {
	case !ok:
		r = result(call, action, claw.Cancelled, "Stopped before it ran.")
	case full.Own:
		r = result(call, action, claw.Refused, "%s", sentence(&run.Refusal{
			What: "This conversation has too many calls at once, so this one did not run.",
			Why:  fmt.Sprintf("%d of its calls wait already.", full.Waiting),
			Fix:  "Ask for a few at a time, and for the rest when those have ended.",
		}))
	default:
		r = result(call, action, claw.Refused, "%s", sentence(&run.Refusal{
			What: "Too many conversations have calls at once, so this one did not run.",
			Why:  fmt.Sprintf("%d calls wait already.", full.Waiting),
			Fix:  "Try again in a moment.",
		}))
	}
	r.Waited = claw.Elapsed(waited)
	return r
}
