package task

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/secureclaw/secureclaw/gateway/internal/agent"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
)

// work runs iterations until the task has its answer.
func (r *Runner) work(ctx context.Context, t claw.Task, origin claw.Origin, run claw.RunID, w agent.Watcher) (agent.Answer, error) {
	var sum agent.Answer // what the iterations of this life have in common
	for {
		switch cause := context.Cause(ctx); {
		case errors.Is(cause, gate.ErrShutdown):
			return sum, gate.ErrShutdown
		case t.Child != "": // it is begun: whatever ended it, its own end comes first
		case cause != nil:
			return r.end(ctx, t, sum, claw.TaskStopped, "", w)
		case t.Iteration >= t.Most:
			return r.end(ctx, t, sum, claw.TaskLimited, "", w)
		case r.o.TokensPerTask > 0 && total(t.Usage) >= r.allowance(t):
			return r.end(ctx, t, sum, claw.TaskPaused, "", w)
		default:
			next, err := r.begin(ctx, t, origin)
			if err != nil {
				return r.broken(ctx, t, sum, err, w)
			}
			t = next
		}
		got, err := r.iterate(ctx, t, origin, run, w)
		sum.Results, sum.Rounds, sum.Model = append(sum.Results, got.Results...), sum.Rounds+got.Rounds, cmp.Or(got.Model, sum.Model)
		if err != nil {
			return r.broken(ctx, t, sum, err, w)
		}
		r.o.Step(StepEnded)
		next, over, text, err := r.note(ctx, t, got)
		if err != nil {
			return r.broken(ctx, t, sum, err, w)
		}
		t = next
		if over != claw.TaskOpen {
			return r.end(ctx, t, sum, over, text, w)
		}
	}
}

// begin keeps that the next iteration begins.
func (r *Runner) begin(ctx context.Context, t claw.Task, origin claw.Origin) (claw.Task, error) {
	t.Iteration++
	t.Child = claw.SessionID(fmt.Sprintf("%s-%d", t.ID, t.Iteration))
	child := claw.Session{
		ID: t.Child, Channel: origin.Channel, User: origin.User, Title: fmt.Sprintf("iteration %d", t.Iteration), Created: r.o.Now(),
		Label: claw.Label{Integrity: claw.ByUser, Privacy: claw.Public}, Parent: t.Session, Task: t.ID,
	}
	return t, r.o.Store.BeginIteration(context.WithoutCancel(ctx), t, child)
}

// iterate runs the iteration that is begun to its end, from wherever it stands: agent.ErrWaiting while a
// human is asked.
func (r *Runner) iterate(ctx context.Context, t claw.Task, origin claw.Origin, run claw.RunID, w agent.Watcher) (agent.Answer, error) {
	at, err := r.standing(ctx, t)
	if err != nil || at.ended {
		return at.answer, err
	}
	s := watch(w, t)
	defer s.flush()
	s.Progress(progressOf(t))
	if !at.begun {
		err := r.o.Agent.Hear(ctx, claw.Message{
			ID: string(t.Child), Session: t.Child, Text: t.Request, Notes: brief(t), Origin: origin, Label: claw.UserLabel(), At: r.o.Now(),
		})
		if err != nil {
			return agent.Answer{}, err
		}
		r.o.Step(StepBegun)
	}
	return r.o.Agent.Continue(ctx, t.Child, origin, run, at.results, s)
}

// standing is where the store says that an iteration stands.
type standing struct {
	begun   bool // its message is a turn
	ended   bool // it has its last word
	answer  agent.Answer
	results []claw.ToolResult // of the calls that had none
}

func (r *Runner) standing(ctx context.Context, t claw.Task) (standing, error) {
	turns, err := r.o.Store.Turns(context.WithoutCancel(ctx), t.Child, 0)
	if err != nil || len(turns) == 0 {
		return standing{}, err
	}
	last := turns[len(turns)-1]
	if last.Role == claw.Assistant && len(last.Calls) == 0 {
		answer := agent.Answer{Outcome: agent.Outcome(cmp.Or(last.Outcome, string(agent.Done))), Text: last.Text}
		return standing{begun: true, ended: true, answer: answer}, nil
	}
	results, err := r.ends(ctx, last.Calls, t)
	return standing{begun: true, results: results}, err
}

// ends looks up how each call ended, or returns agent.ErrWaiting while one of them is open.
func (r *Runner) ends(ctx context.Context, calls []claw.ToolCall, t claw.Task) ([]claw.ToolResult, error) {
	var results []claw.ToolResult
	for _, c := range calls {
		fate, err := r.o.Fate(context.WithoutCancel(ctx), c.ID)
		if err != nil {
			return nil, err
		}
		result := fate.Result
		switch {
		case fate.Open:
			return nil, agent.ErrWaiting
		case !fate.Asked && idOfCall(c.ID) == t.ID:
			result = claw.ToolResult{Tool: c.Tool, Status: claw.OK, Content: planKept, Label: claw.UserLabel()}
		case !fate.Asked:
			result = claw.ToolResult{Tool: c.Tool, Status: claw.Unknown, Label: claw.UserLabel(), // these are our own words
				Content: "SecureClaw was restarted while this call ran; whether it had effects is unknown. It is not repeated."}
		}
		result.Call, result.ModelID = c.ID, c.ModelID
		results = append(results, result)
	}
	return results, nil
}

// note keeps what an iteration left. over is how the task ends with it, and text its answer then; or over is TaskOpen.
func (r *Runner) note(ctx context.Context, t claw.Task, got agent.Answer) (_ claw.Task, over claw.TaskState, text string, err error) {
	keep := context.WithoutCancel(ctx)
	turns, err := r.o.Store.Turns(keep, t.Child, 0)
	if err != nil {
		return t, "", "", err
	}
	said := readWord(got.Text)
	note := ""
	switch {
	case got.Outcome == agent.Done && said.more:
		note = said.text
	case got.Outcome == agent.Done && said.text == "" && firstOpen(tick(t.Plan, ticksIn(turns))) > 0:
		// It ended with nothing but marks, and there is more to do.
	case got.Outcome == agent.Done:
		over, text = claw.TaskDone, said.text
	case got.Outcome == agent.Limit:
		note = "(This iteration used all its rounds before it wrote notes.)"
	default:
		over, text = endOf(got.Outcome), got.Text
		note = "(This iteration was cut off: " + string(got.Outcome) + ".)"
	}
	t.Plan, t.Counts = tick(t.Plan, ticksIn(turns)), counted(t.Counts, turns)
	if over != claw.TaskDone {
		t.Notes = append(slices.Clone(t.Notes), noteOf(t.Iteration, note, turns, got.Outcome != agent.Done || said.text == ""))
	}
	if over == claw.TaskOpen {
		child := t.Child
		t.Child = ""
		if err := r.o.Store.SaveTask(keep, t, child, nil); err != nil {
			return t, "", "", err
		}
		r.o.Step(StepNoted)
	} // else end keeps it together with the end: what ended a task must not be forgotten between the two
	fresh, found, err := r.o.Store.Task(keep, t.ID)
	if err == nil && found {
		t.Usage = fresh.Usage
	}
	return t, over, text, err
}

// end keeps the task's end and its answer, which is the last word of its conversation too.
func (r *Runner) end(ctx context.Context, t claw.Task, sum agent.Answer, state claw.TaskState, text string, w agent.Watcher) (agent.Answer, error) {
	child := t.Child
	t.Child, t.State, t.Ended = "", state, r.o.Now()
	t.Answer = text
	if state != claw.TaskDone || text == "" {
		t.Answer = account(t, text)
		if state == claw.TaskDone {
			w.Text(t.Answer) // no model said it
		}
	}
	err := r.persist(ctx, func(keep context.Context) error {
		turns, err := r.o.Store.Turns(keep, t.Session, recent)
		if err != nil {
			return err
		}
		var last *claw.Turn
		if atRest(turns, t.Message) && !isWord(turns, t.Answer) {
			last = &claw.Turn{Role: claw.Assistant, Text: t.Answer}
			if outcome := outcomeOf(state); outcome != agent.Done {
				last.Outcome = string(outcome)
			}
		}
		return r.o.Store.SaveTask(keep, t, child, last)
	})
	if err != nil {
		return sum, err
	}
	r.o.Step(StepDone)
	w.Progress(progressOf(t))
	sum.Outcome, sum.Text, sum.Usage = outcomeOf(state), t.Answer, less(t.Usage, t.Before)
	return sum, nil
}

// isWord reports whether a text is the last word of a conversation already: a write can be kept and fail.
func isWord(turns []claw.Turn, text string) bool {
	n := len(turns)
	return n > 0 && turns[n-1].Role == claw.Assistant && len(turns[n-1].Calls) == 0 && turns[n-1].Text == text
}

// recent is how many turns are looked at for the end of a conversation.
const recent = 200

// atRest reports whether the answer to a message can be the next turn: nothing stands behind the message but
// its own run, or whatever came later has its answer. The open calls of a later message must stay the last turn.
func atRest(turns []claw.Turn, message string) bool {
	if n := len(turns); n > 0 && turns[n-1].Role == claw.Assistant && len(turns[n-1].Calls) == 0 {
		return true
	}
	for _, t := range slices.Backward(turns) {
		if t.Message != "" {
			return t.Message == message
		}
	}
	return len(turns) == recent // one message with more turns than are looked at is ours
}

// broken ends a task with a failure of ours, unless the task only waits or the gateway stops.
func (r *Runner) broken(ctx context.Context, t claw.Task, sum agent.Answer, err error, w agent.Watcher) (agent.Answer, error) {
	cause := context.Cause(ctx)
	if errors.Is(err, gate.ErrShutdown) || errors.Is(err, agent.ErrWaiting) || errors.Is(cause, gate.ErrShutdown) {
		return sum, err
	}
	state, text := claw.TaskFailed, "Something in SecureClaw itself failed: "+err.Error()+"."
	if cause != nil {
		state, text = claw.TaskStopped, ""
	} else {
		r.o.Log.Error("task broken", "task", t.ID, "iteration", t.Iteration, "err", err)
	}
	if t.Child != "" {
		// What it did must be known to whoever goes on.
		if err := r.persist(ctx, func(context.Context) error {
			next, _, _, err := r.note(ctx, t, agent.Answer{Outcome: agent.Failed})
			if err == nil {
				t = next
			}
			return err
		}); err != nil {
			r.o.Log.Error("an iteration of a broken task is not noted", "task", t.ID, "err", err)
		}
	}
	answer, err2 := r.end(ctx, t, sum, state, text, w)
	if err2 != nil {
		return sum, err // the first trouble is the one to tell of
	}
	return answer, nil
}

func endOf(outcome agent.Outcome) claw.TaskState {
	switch outcome {
	case agent.Done:
		return claw.TaskDone
	case agent.Stopped:
		return claw.TaskStopped
	case agent.Paused:
		return claw.TaskPaused
	default:
		return claw.TaskFailed
	}
}

func outcomeOf(state claw.TaskState) agent.Outcome {
	switch state {
	case claw.TaskDone:
		return agent.Done
	case claw.TaskStopped:
		return agent.Stopped
	case claw.TaskPaused:
		return agent.Paused
	case claw.TaskLimited:
		return agent.Limit
	default:
		return agent.Failed
	}
}

func less(a, b claw.Usage) claw.Usage {
	return claw.Usage{Input: a.Input - b.Input, Output: a.Output - b.Output, CacheRead: a.CacheRead - b.CacheRead, CacheWrite: a.CacheWrite - b.CacheWrite}
}
