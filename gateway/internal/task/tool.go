package task

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// ToolPlan is the tool by which a model asks for a plan of several steps.
const ToolPlan = "plan_task"

const planKept = "The plan is kept. It is worked on now, step by step."

// Tool is plan_task. It is made before the runner, for the gate must have it.
func Tool(store Store, now func() time.Time) []gate.Tool { return []gate.Tool{&planTool{store, now}} }

type planTool struct {
	store Store
	now   func() time.Time
}

// planInput is what the model writes.
type planInput struct {
	Steps []string `json:"steps"`
}

// Spec is what the model is told.
func (*planTool) Spec() claw.Tool {
	return claw.Tool{
		Name: ToolPlan,
		Description: "Turns the user's last message into a task that is worked on step by step, each with a fresh memory that holds only the message, the plan and your notes. " +
			"Use it before anything else when a message needs more than a few tool calls; not for what a couple of calls can do. " +
			"Write each step as one self-contained sentence, with the names and paths that it needs.",
		Schema: strict.Value(`{"type":"object","properties":{"steps":{"type":"array","minItems":2,"maxItems":8,"items":{"type":"string","minLength":1,"maxLength":300},` +
			`"description":"the steps in their order"}},"required":["steps"],"additionalProperties":false}`),
	}
}

// Prepare reads the steps.
func (*planTool) Prepare(input []byte) (claw.Action, error) {
	var in planInput
	if err := strict.Decode(input, &in); err != nil {
		return claw.Action{}, err
	}
	if len(in.Steps) < MinSteps || len(in.Steps) > MaxSteps {
		return claw.Action{}, fmt.Errorf("a plan has %d to %d steps, this one has %d", MinSteps, MaxSteps, len(in.Steps))
	}
	for i, s := range in.Steps {
		if len([]rune(s)) > maxStep {
			return claw.Action{}, fmt.Errorf("step %d has %d characters, the most is %d", i+1, len([]rune(s)), maxStep)
		}
		if in.Steps[i] = oneLine(s, maxStep); !shows(in.Steps[i]) {
			return claw.Action{}, fmt.Errorf("step %d is empty", i+1)
		}
	}
	canonical, err := strict.CanonicalOf(in)
	return claw.Action{Tool: ToolPlan, Input: canonical}, err
}

// Run keeps the task; the run that asked for it ends and the runner goes on.
func (p *planTool) Run(ctx context.Context, call gate.Call, a claw.Action) claw.ToolResult {
	err := p.keep(ctx, call, a)
	result := claw.ToolResult{Tool: ToolPlan, Status: claw.OK, Content: planKept, Label: call.Label}
	if errors.Is(err, errRefused) {
		result.Status, result.Content = claw.Refused, err.Error()
	} else if err != nil {
		result.Status, result.Content = claw.Failed, "The plan could not be kept: "+err.Error()
	}
	return result
}

var errRefused = errors.New("no plan was made")

func (p *planTool) keep(ctx context.Context, call gate.Call, a claw.Action) error {
	var in planInput
	if err := strict.Decode(a.Input, &in); err != nil {
		return err
	}
	parent, err := p.store.Parent(ctx, call.Session)
	if err != nil {
		return err
	}
	if parent != "" {
		return fmt.Errorf("%w: this is an iteration of a task already; work on its plan", errRefused)
	}
	turns, err := p.store.Turns(ctx, call.Session, recent)
	if err != nil {
		return err
	}
	slices.Reverse(turns)
	i := slices.IndexFunc(turns, func(t claw.Turn) bool { return t.Message != "" })
	if i < 0 {
		return fmt.Errorf("%w: the user's message is too far back", errRefused)
	}
	fresh, err := p.store.CreateTask(ctx, claw.Task{
		ID: idOfCall(call.ID), Session: call.Session, Channel: call.Origin.Channel, Message: turns[i].Message, Request: turns[i].Text, Below: turns[i].Notes,
		Plan: planOf(in.Steps), Most: MaxIterations, Grants: 1, Begun: p.now(),
	})
	if err == nil && !fresh {
		err = fmt.Errorf("%w: another task of this conversation is not at its end; the user can stop it", errRefused)
	}
	return err
}
