// Package task decides how many turns a message needs: one, or a plan and several.
package task

import (
	"context"
	"log/slog"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/agent"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
)

// ToolPlan is the tool by which a model asks for a plan of several steps.
const ToolPlan = "plan_task"

// MaxIterations is the most turns of one task.
const MaxIterations = 10

// Agent answers one turn.
type Agent interface {
	Answer(ctx context.Context, msg claw.Message, run claw.RunID, w agent.Watcher) (agent.Answer, error)
	Continue(ctx context.Context, session claw.SessionID, origin claw.Origin, run claw.RunID, results []claw.ToolResult, w agent.Watcher) (agent.Answer, error)
	Abandon(ctx context.Context, session claw.SessionID, results []claw.ToolResult) (agent.Answer, error)
	Consult(ctx context.Context, session claw.SessionID, origin claw.Origin, run claw.RunID, question string) (string, claw.Usage, error)
}

// Store keeps tasks.
type Store interface{}

// Options is what a Runner is made of; Log and Step are optional.
type Options struct {
	Agent Agent
	Store Store
	// Fate is how a call ended, as the gate knows it.
	Fate func(ctx context.Context, call claw.CallID) (gate.Fate, error)
	// TokensPerTask is the most tokens of one task, zero for no limit.
	TokensPerTask int64
	Now           func() time.Time
	Log           *slog.Logger
	Step          func(step string)
}

// Runner stands between a conversation and its agent.
type Runner struct{ o Options }

// New checks the options.
func New(o Options) (*Runner, error) { return &Runner{o}, nil }

// Tool is plan_task. It is made before the runner, for the gate must have it.
func Tool(store Store, now func() time.Time) []gate.Tool { return nil }

// Answer runs a message to its end.
func (r *Runner) Answer(ctx context.Context, msg claw.Message, run claw.RunID, w agent.Watcher) (agent.Answer, error) {
	return r.o.Agent.Answer(ctx, msg, run, w)
}

// Continue goes on after a restart.
func (r *Runner) Continue(ctx context.Context, session claw.SessionID, origin claw.Origin, run claw.RunID, results []claw.ToolResult, w agent.Watcher) (agent.Answer, error) {
	return r.o.Agent.Continue(ctx, session, origin, run, results, w)
}

// Abandon ends what a session is at.
func (r *Runner) Abandon(ctx context.Context, session claw.SessionID, results []claw.ToolResult) (agent.Answer, error) {
	return r.o.Agent.Abandon(ctx, session, results)
}
