// Package task decides how many turns a message needs: one, or a plan and several.
//
// A message that asks for several steps is planned first, beside its conversation; then each iteration works
// on the plan in a conversation of its own, which begins with the request, the plan and the notes of the
// earlier ones and with nothing else. The last one's answer becomes the answer of the conversation that
// was asked. What an iteration has read is joined to what that conversation has read, and begins the next.
//
// It promises that every task ends with exactly one answer that says how it ended, after at most
// [MaxIterations] iterations, and that a task goes on after a restart where the store says that it stands:
// an iteration that has ended is noted and not run again, a call is never repeated, an answer that is stored is
// delivered and not made anew.
//
// It believes nothing that a plan or a note says: they are a model's words, shown as such, and no user's. It
// refuses a plan within a plan. [Runner.Answer] is the entry point, [Runner.Resume] that after a restart.
package task

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/agent"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
)

// MaxIterations is the most turns of one task, until its user says to go on.
const MaxIterations = 10

// The steps of a task, in their order; the second to fourth once for each iteration.
const (
	StepPlanned  = "task.planned"  // the plan is stored
	StepBegun    = "task.begun"    // the iteration and its message are stored
	StepEnded    = "task.ended"    // the iteration has ended, and that is not noted
	StepNoted    = "task.noted"    // its notes are stored
	StepDone     = "task.done"     // the task's end and its answer are stored
	StepReopened = "task.reopened" // a task that was at its end goes on
)

// Agent works on one conversation.
type Agent interface {
	Hear(ctx context.Context, msg claw.Message) error
	Continue(ctx context.Context, session claw.SessionID, origin claw.Origin, run claw.RunID, results []claw.ToolResult, w agent.Watcher) (agent.Answer, error)
	Settle(ctx context.Context, session claw.SessionID, results []claw.ToolResult) error
	Abandon(ctx context.Context, session claw.SessionID, results []claw.ToolResult) (agent.Answer, error)
	Consult(ctx context.Context, session claw.SessionID, origin claw.Origin, run claw.RunID, question string) (string, claw.Usage, error)
}

// Store keeps tasks and their conversations. What a method returned for survives a crash.
type Store interface {
	// CreateTask keeps a new task and reports whether it did: not when another one of its session is at work.
	CreateTask(ctx context.Context, t claw.Task) (bool, error)
	Task(ctx context.Context, id string) (claw.Task, bool, error)
	// TaskFor is the task that answers a message, TaskAtWork the one of a session that has not answered yet,
	// LastTask the one that was planned last.
	TaskFor(ctx context.Context, channel claw.Channel, message string) (claw.Task, bool, error)
	TaskAtWork(ctx context.Context, session claw.SessionID) (claw.Task, bool, error)
	LastTask(ctx context.Context, session claw.SessionID) (claw.Task, bool, error)
	// BeginIteration keeps a task together with the new session of its iteration, whose label is that of the task's session.
	BeginIteration(ctx context.Context, t claw.Task, child claw.Session) error
	// SaveTask keeps a task, joins the label of child to that of the task's session, and appends last to that
	// session: all or nothing. child may be empty and last nil.
	SaveTask(ctx context.Context, t claw.Task, child claw.SessionID, last *claw.Turn) error
	// Parent is the session that one works for, empty when it works for none or is not known.
	Parent(ctx context.Context, session claw.SessionID) (claw.SessionID, error)
	Turns(ctx context.Context, session claw.SessionID, limit int) ([]claw.Turn, error)
}

// Options is what a Runner is made of; Log and Step are optional.
type Options struct {
	Agent Agent
	Store Store
	// Fate is how a call ended, as the gate knows it.
	Fate func(ctx context.Context, call claw.CallID) (gate.Fate, error)
	// TokensPerTask is the most tokens of one task, zero for no limit. What reaches it pauses.
	TokensPerTask int64
	Now           func() time.Time
	Log           *slog.Logger
	Step          func(step string)
}

// Runner stands between a conversation and its agent. One session is answered by one goroutine at a time.
type Runner struct{ o Options }

// New checks the options.
func New(o Options) (*Runner, error) {
	if o.Agent == nil || o.Store == nil || o.Fate == nil || o.Now == nil {
		return nil, errors.New("task: agent, store, fate and clock are required")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Step == nil {
		o.Step = func(string) {}
	}
	return &Runner{o}, nil
}

// Allowance is how many tokens a task may spend in all, zero for no limit.
func (r *Runner) Allowance(ctx context.Context, id string) (int64, error) {
	t, found, err := r.o.Store.Task(ctx, id)
	if err != nil || !found {
		return r.o.TokensPerTask, err
	}
	return r.allowance(t), nil
}

func (r *Runner) allowance(t claw.Task) int64 { return r.o.TokensPerTask * int64(max(t.Grants, 1)) }

// total is what counts against a limit.
func total(u claw.Usage) int64 { return u.Input + u.Output + u.CacheRead + u.CacheWrite }
