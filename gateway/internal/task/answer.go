package task

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/secureclaw/secureclaw/gateway/internal/agent"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// This file decides what a message becomes. What is decided follows from what is stored, so that a
// restart decides the same:
//
//	the message is the last turn     → "go on" behind a task that can: the task goes on
//	                                   asks for several steps: the model is asked for a plan
//	                                   else one ordinary turn
//	the model calls plan_task        → its ordinary turn ends, and the task begins
//	there is a task for the message  → [Runner.Resume]

// Answer stores a message and runs it to its end.
func (r *Runner) Answer(ctx context.Context, msg claw.Message, run claw.RunID, w agent.Watcher) (agent.Answer, error) {
	if err := r.o.Agent.Hear(ctx, msg); err != nil {
		return agent.Answer{}, err
	}
	if !GoOn(msg.Text) && !Multi(msg.Text) {
		return r.turn(ctx, msg.Session, msg.Origin, run, nil, w) // what consider would say after reading the message again
	}
	return r.Continue(ctx, msg.Session, msg.Origin, run, nil, w)
}

// Continue goes on with a session whose message has no task: results are those of its open calls.
func (r *Runner) Continue(ctx context.Context, session claw.SessionID, origin claw.Origin, run claw.RunID, results []claw.ToolResult, w agent.Watcher) (agent.Answer, error) {
	var planning claw.Usage
	if len(results) == 0 && ctx.Err() == nil {
		t, used, found, err := r.consider(ctx, session, origin, run)
		if err != nil {
			return agent.Answer{}, err
		}
		if found {
			return r.work(ctx, t, origin, run, w)
		}
		planning = used
	}
	answer, err := r.turn(ctx, session, origin, run, results, w)
	answer.Usage = answer.Usage.Add(planning)
	return answer, err
}

// turn is an ordinary turn, and the task that it may become.
func (r *Runner) turn(ctx context.Context, session claw.SessionID, origin claw.Origin, run claw.RunID, results []claw.ToolResult, w agent.Watcher) (agent.Answer, error) {
	before, err := r.o.Agent.Continue(ctx, session, origin, run, results, w)
	if err != nil || before.Outcome != agent.Planned {
		return before, err
	}
	i := slices.IndexFunc(before.Results, func(r claw.ToolResult) bool { return r.Tool == ToolPlan && r.Status == claw.OK })
	if i < 0 {
		return before, fmt.Errorf("the run ended with a plan, and none of its calls made one")
	}
	t, found, err := r.o.Store.Task(context.WithoutCancel(ctx), idOfCall(before.Results[i].Call))
	if err != nil || !found {
		return before, fmt.Errorf("the plan of %s is not there: %w", before.Results[i].Call, err)
	}
	answer, err := r.work(ctx, t, origin, run, w)
	answer.Usage = answer.Usage.Add(before.Usage)
	answer.Rounds += before.Rounds
	answer.Results = slices.Concat(before.Results, answer.Results)
	return answer, err
}

// Abandon ends what a session is at, when its message has no task.
func (r *Runner) Abandon(ctx context.Context, session claw.SessionID, results []claw.ToolResult) (agent.Answer, error) {
	return r.o.Agent.Abandon(ctx, session, results)
}

// consider looks whether the message that is a session's last turn becomes a task, and makes it. Without
// one it says what the question cost.
func (r *Runner) consider(ctx context.Context, session claw.SessionID, origin claw.Origin, run claw.RunID) (t claw.Task, used claw.Usage, found bool, err error) {
	keep := context.WithoutCancel(ctx) // whoever is stopped here is told so by the turn or the task that follows
	turns, err := r.o.Store.Turns(keep, session, 2)
	if err != nil || len(turns) == 0 || turns[len(turns)-1].Message == "" {
		return claw.Task{}, used, false, err
	}
	last := turns[len(turns)-1]
	if GoOn(last.Text) && len(turns) == 2 {
		t, found, err = r.reopen(keep, session, origin, last.Message, turns[0])
		return t, used, found, err
	}
	if !Multi(last.Text) {
		return claw.Task{}, used, false, nil
	}
	if _, busy, err := r.o.Store.TaskAtWork(keep, session); err != nil || busy {
		return claw.Task{}, used, false, err
	}
	if parent, err := r.o.Store.Parent(keep, session); err != nil || parent != "" {
		return claw.Task{}, used, false, err
	}
	text, used, err := r.o.Agent.Consult(ctx, session, origin, run, question)
	if err != nil {
		// The turn that follows meets the same trouble, and says so; a plan is not worth a failure.
		r.o.Log.Warn("no plan", "session", session, "err", err)
		return claw.Task{}, used, false, nil
	}
	plan, ok := readPlan(text)
	if !ok || ctx.Err() != nil {
		return claw.Task{}, used, false, nil
	}
	t = claw.Task{
		ID: idOf("message", string(origin.Channel), last.Message), Session: session, Channel: origin.Channel, Message: last.Message,
		Request: last.Text, Below: last.Notes, Plan: plan, Most: MaxIterations, Grants: 1, Planning: used, Usage: used, Begun: r.o.Now(),
	}
	if found, err = r.o.Store.CreateTask(keep, t); found && err == nil {
		r.o.Step(StepPlanned)
	}
	return t, used, found, err
}

// reopen lets a task go on, if its answer is the last word of the conversation and was not its end.
func (r *Runner) reopen(ctx context.Context, session claw.SessionID, origin claw.Origin, message string, before claw.Turn) (claw.Task, bool, error) {
	t, found, err := r.o.Store.LastTask(ctx, session)
	if err != nil || !found || before.Role != claw.Assistant || before.Text != t.Answer {
		return claw.Task{}, false, err
	}
	if t.State != claw.TaskLimited && t.State != claw.TaskPaused && t.State != claw.TaskFailed {
		return claw.Task{}, false, nil
	}
	t.State, t.Channel, t.Message, t.Answer, t.Before = claw.TaskOpen, origin.Channel, message, "", t.Usage
	t.Most, t.Grants = t.Iteration+MaxIterations, t.Grants+1
	if limit := r.o.TokensPerTask; limit > 0 { // one question can cost more than a whole grant
		t.Grants = max(t.Grants, int(total(t.Usage)/limit)+1)
	}
	if err := r.o.Store.SaveTask(ctx, t, "", nil); err != nil {
		return claw.Task{}, false, err
	}
	r.o.Step(StepReopened)
	return t, true, nil
}

// idOf names a task after what caused it, so that a repetition finds it.
func idOf(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return "task_" + hex.EncodeToString(h.Sum(nil)[:10])
}

func idOfCall(call claw.CallID) string { return idOf("call", string(call)) }
