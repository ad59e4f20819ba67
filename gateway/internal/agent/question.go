package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/llm"
)

// defaultContext is how many tokens of a conversation a question carries if nothing is said.
const defaultContext = 100_000

// maxTries is how often older turns are summed up for one question.
const maxTries = 3

// Pause is the error of a question that a limit does not allow. It is a sentence for the user.
type Pause struct{ Why string }

func (p *Pause) Error() string { return p.Why }

// talk is one run in its conversation.
type talk struct {
	session claw.SessionID
	origin  claw.Origin
	run     claw.RunID
	// spent is what summaries cost, until the run has taken note of it.
	spent claw.Usage
	// unsummed says that a summary failed: it is not tried again in this run.
	unsummed bool
}

// unsummed is what the user is told of it, once.
const unsummed = "(This conversation has become too long for one question, and a summary of its beginning could not be made just now: I see only the newer part. Nothing of it is lost.)"

// past is what is stored of a conversation: a summary of its beginning, if there is one, and the turns after it.
type past struct {
	summary claw.Summary
	turns   []claw.Turn
	first   int // number of the first of the turns
	// cut says that the question does not carry all of them.
	cut bool
	// rewrites is the store's count before they were read.
	rewrites int64
}

// last is the number of the last turn.
func (p past) last() int { return p.first + len(p.turns) - 1 }

func (a *Agent) past(ctx context.Context, session claw.SessionID) (past, error) {
	end, err := a.ahead.wait(ctx, session)
	if err != nil {
		return past{}, err
	}
	defer end()
	return a.pastNow(ctx, session)
}

func (a *Agent) pastNow(ctx context.Context, session claw.SessionID) (past, error) {
	rewrites := a.o.History.Rewrites()
	summary, _, err := a.o.History.Summary(ctx, session)
	if err != nil {
		return past{}, fmt.Errorf("summary: %w", err)
	}
	summary.Text = a.summaryCut(summary.Text)
	turns, first, err := a.turnsAfter(ctx, session, summary.Upto)
	if err != nil {
		return past{}, fmt.Errorf("history: %w", err)
	}
	return past{summary: summary, turns: turns, first: first, rewrites: rewrites}, nil
}

// question is what the stored conversation asks, in no more tokens than it may have. It asks for a
// summary of the older turns when they do not fit, and leaves them out when there is none to be had.
func (a *Agent) question(ctx context.Context, t *talk) (llm.Request, past, error) {
	tools := a.o.Hands.Tools()
	req := llm.Request{System: a.o.Prompt.System(t.origin, tools), Tools: tools, MaxTokens: a.o.MaxTokens}
	req.Stable = len(req.System)
	for tries := 0; ; tries++ {
		p, err := a.past(ctx, t.session)
		if err != nil {
			return req, p, err
		}
		var label claw.Label
		var weight int
		req.Turns, label, weight = a.told(ctx, t, p)
		size, scale := a.size(ctx, t.session, req, p, max(1, weight))
		if size <= a.o.Context {
			return req, p, a.joinShown(ctx, t, label)
		}
		if !t.unsummed && tries < maxTries {
			err := a.compact(ctx, t, p, scale)
			if err == nil {
				continue
			}
			if _, ok := errors.AsType[*Pause](err); ok || ctx.Err() != nil {
				return req, p, err
			}
			if !errors.Is(err, errNothingOlder) {
				t.unsummed = true
				a.o.Log.Warn("older turns are left out of a question: no summary", "session", t.session, "err", err)
			}
		}
		p.cut = true
		known, turns := a.memories(ctx, t, p.turns, seen{}), answered(p.turns)
		req.Turns, label = a.shown(window(turns, int(float64(a.o.Context)/scale)-tokens(p.summary.Text)), p.summary, known, seen{now: map[int64]bool{}})
		return req, p, a.joinShown(ctx, t, label)
	}
}

// joinShown joins the label of the memories in a question into the session's, before it is asked: one that was
// merged with another since it was recalled has new words, and what they were made of.
func (a *Agent) joinShown(ctx context.Context, t *talk, label claw.Label) error {
	return a.joinLabel(context.WithoutCancel(ctx), t.session, label)
}

// put asks the model once: if the limits allow it, and with its cost on record. Every question goes this way.
func (a *Agent) put(ctx context.Context, t *talk, req llm.Request, onText func(string)) (llm.Reply, error) {
	if a.o.Budget != nil {
		why, err := a.o.Budget.Spend(ctx, t.session, t.origin)
		if err != nil {
			return llm.Reply{}, fmt.Errorf("limits: %w", err) // what was spent is not known, so nothing is
		}
		if why != "" {
			return llm.Reply{}, &Pause{why}
		}
	}
	reply, err := a.o.Model.Ask(ctx, req, onText)
	if reply.Usage != (claw.Usage{}) {
		if uerr := a.o.History.AddUsage(context.WithoutCancel(ctx), claw.ModelCall{
			Session: t.session, Run: t.run, Origin: t.origin, Model: reply.Model, Usage: reply.Usage, At: a.o.Now(),
		}); uerr != nil {
			a.o.Log.Warn("usage not recorded", "err", uerr)
		}
	}
	return reply, err
}
