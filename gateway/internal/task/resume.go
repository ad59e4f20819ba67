package task

import (
	"context"

	"github.com/secureclaw/secureclaw/gateway/internal/agent"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// Resume goes on with the task of a message after a restart, from wherever the store says that it stands:
// agent.ErrWaiting while a human is asked. It reports false when the message has no task.
func (r *Runner) Resume(ctx context.Context, msg claw.Message, run claw.RunID, w agent.Watcher) (agent.Answer, bool, error) {
	t, found, err := r.o.Store.TaskFor(context.WithoutCancel(ctx), msg.Origin.Channel, msg.ID)
	if err != nil || !found {
		return agent.Answer{}, false, err
	}
	if t.State != claw.TaskOpen {
		return ended(t), true, nil
	}
	if err := r.settle(ctx, t); err != nil {
		return agent.Answer{}, true, err
	}
	answer, err := r.work(ctx, t, msg.Origin, run, w)
	return answer, true, err
}

// Stop ends the task of a message that nothing works on, without asking the model: agent.ErrWaiting while the
// end of one of its calls is not known yet. It reports false when the message has no task.
func (r *Runner) Stop(ctx context.Context, msg claw.Message, w agent.Watcher) (agent.Answer, bool, error) {
	t, found, err := r.o.Store.TaskFor(context.WithoutCancel(ctx), msg.Origin.Channel, msg.ID)
	if err != nil || !found {
		return agent.Answer{}, false, err
	}
	if t.State != claw.TaskOpen {
		return ended(t), true, nil
	}
	if err := r.settle(ctx, t); err != nil {
		return agent.Answer{}, true, err
	}
	if t.Child != "" {
		at, err := r.standing(ctx, t)
		if err != nil {
			return agent.Answer{}, true, err
		}
		got := at.answer
		if at.begun && !at.ended {
			if got, err = r.o.Agent.Abandon(ctx, t.Child, at.results); err != nil {
				return agent.Answer{}, true, err
			}
		}
		if at.begun {
			next, over, text, err := r.note(ctx, t, got)
			if err != nil {
				return agent.Answer{}, true, err
			}
			if t = next; over == claw.TaskDone { // it had its answer before the stop
				answer, err := r.end(ctx, t, agent.Answer{}, over, text, w)
				return answer, true, err
			}
		}
	}
	answer, err := r.end(ctx, t, agent.Answer{}, claw.TaskStopped, "", w)
	return answer, true, err
}

// settle stores how the calls ended that the model made beside the one that began a task, when a crash kept
// that from being stored. If the conversation has moved on they stay open, and are shown as unknown.
func (r *Runner) settle(ctx context.Context, t claw.Task) error {
	turns, err := r.o.Store.Turns(context.WithoutCancel(ctx), t.Session, recent)
	if err != nil || len(turns) == 0 || !atRest(turns, t.Message) {
		return err
	}
	calls := turns[len(turns)-1].Calls
	if len(calls) == 0 {
		return nil
	}
	results, err := r.ends(ctx, calls, t)
	if err != nil {
		return err
	}
	return r.o.Agent.Settle(ctx, t.Session, results)
}

// ended is the answer of a task that has one.
func ended(t claw.Task) agent.Answer {
	return agent.Answer{Outcome: outcomeOf(t.State), Text: t.Answer, Usage: less(t.Usage, t.Before)}
}

// Root is the conversation that a session works for: itself, if it is no iteration of a task.
func (r *Runner) Root(ctx context.Context, session claw.SessionID) (claw.SessionID, error) {
	for range maxDepth {
		parent, err := r.o.Store.Parent(ctx, session)
		if err != nil || parent == "" {
			return session, err
		}
		session = parent
	}
	return session, nil
}

// maxDepth is more than there is: an iteration has no iterations.
const maxDepth = 8

// Iteration is the session in which a conversation's task is at work, empty when there is none.
func (r *Runner) Iteration(ctx context.Context, session claw.SessionID) (claw.SessionID, error) {
	t, found, err := r.o.Store.TaskAtWork(ctx, session)
	if err != nil || !found {
		return "", err
	}
	return t.Child, nil
}
