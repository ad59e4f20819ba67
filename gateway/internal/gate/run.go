package gate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/audit"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/policy"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// bookTime is how long the store and the log get for one entry. It runs even when the call is
// cancelled: what happened must be written down.
const bookTime = 10 * time.Second

// permit is a prepared call and why it may run.
type permit struct {
	tool     Tool
	call     Call
	action   claw.Action
	digest   string
	verdict  policy.Verdict
	approval string // id, empty when nobody was asked
}

// Run takes one call from the model's bytes to its result. It never fails: a call that does not run
// has a result that says why. It waits for the user if the policy asks, and returns soon after ctx
// ends. Calls of one turn may run at the same time.
func (g *Gate) Run(ctx context.Context, call Call, tool string, input []byte) claw.ToolResult {
	p, err := g.prepare(call, tool, input)
	if err != nil {
		return g.refuse(call, tool, input, policy.Verdict{}, err)
	}
	if ctx.Err() != nil {
		return p.result(claw.Cancelled, "stopped before it ran")
	}
	if p.verdict.Tier != claw.Auto && g.asker == nil {
		return g.refuse(call, tool, input, p.verdict, fmt.Errorf("%s needs a user to ask or to tell, and no channel is connected", tool))
	}
	if p.verdict.Tier == claw.Ask {
		return g.ask(ctx, p)
	}
	result := g.effect(ctx, p, nil)
	if p.verdict.Tier == claw.Notify && result.Status != claw.Refused {
		g.asker.Notify(call, p.action, result, p.verdict.Rule)
	}
	return result
}

// prepare turns bytes into an action and a verdict. It has no effect.
func (g *Gate) prepare(call Call, name string, input []byte) (permit, error) {
	if call.ID == "" || call.Session == "" {
		return permit{}, errors.New("the call has no id or no session")
	}
	if len(input) > MaxInput {
		return permit{}, fmt.Errorf("the input has %d bytes, the most is %d; send less, for example in parts", len(input), MaxInput)
	}
	tool := g.tools[name]
	if tool == nil {
		return permit{}, fmt.Errorf("there is no tool %.64q; the tools are: %s", name, strings.Join(g.names(), ", "))
	}
	action, err := prepareTool(tool, input)
	if err != nil {
		return permit{}, err
	}
	if action.Tool != name {
		return permit{}, fmt.Errorf("%s prepared an action of %q", name, action.Tool)
	}
	p := permit{tool: tool, call: call}
	p.call.Quoted = nil
	if p.action, err = freeze(action); err != nil {
		return permit{}, fmt.Errorf("%s: the action has no single form: %w", name, err)
	}
	if p.digest, err = p.action.Digest(); err != nil {
		return permit{}, err
	}
	// What the policy judges is decoded from what runs, not from what the model sent.
	var args map[string]any
	if err := strict.Decode(p.action.Input, &args); err != nil {
		return permit{}, fmt.Errorf("%s: the input is not an object: %w", name, err)
	}
	judged := policy.Call{Tool: name, Args: args, Domains: p.action.Domains}
	p.verdict = g.policy.Flow(judged, call.Label, call.Quoted, g.policy.Classify(judged))
	p.verdict = forLate(call.Origin, tool, p.action, p.verdict)
	return p, nil
}

// freeze returns the action as its canonical form decodes: nothing the tool kept a hold of can change it any more.
func freeze(a claw.Action) (claw.Action, error) {
	data, err := strict.CanonicalOf(a)
	if err != nil {
		return claw.Action{}, err
	}
	if len(data) > 2*MaxInput {
		return claw.Action{}, fmt.Errorf("%d bytes, the most is %d", len(data), 2*MaxInput)
	}
	var frozen claw.Action
	if err := strict.Decode(data, &frozen); err != nil {
		return claw.Action{}, err
	}
	return frozen, nil
}

// effect runs what may run: intent on disk, effect, result kept, result on disk. keep, if set, stores
// the result of an approved call.
func (g *Gate) effect(ctx context.Context, p permit, keep func(context.Context, claw.ToolResult) error) claw.ToolResult {
	began := g.now()
	book, done := bookkeeping(ctx)
	_, err := g.audit.Append(book, p.record(audit.KindIntent, intentFields{
		Tool: p.action.Tool, Executor: p.action.Executor, Input: p.action.Input, Mounts: p.action.Mounts,
		Domains: p.action.Domains, TimeoutMS: p.action.TimeoutMS, Digest: p.digest,
		Tier: p.verdict.Tier, Rule: p.verdict.Rule, Approval: p.approval, Origin: p.call.Origin, Step: p.call.Step,
	}))
	done()
	var result claw.ToolResult
	switch {
	case err != nil:
		g.log.Error("intent not recorded, nothing ran", "call", p.call.ID, "tool", p.action.Tool, "err", err)
		result = p.result(claw.Refused, fmt.Sprintf("nothing ran, because the audit log did not take the call: %v", err))
	default:
		g.step(StepIntent)
		result = p.run(ctx)
		result.Duration = max(0, claw.Elapsed(g.now().Sub(began))-result.Waited)
		g.step(StepRan)
	}
	if keep != nil {
		book, done := bookkeeping(ctx)
		if kept := keep(book, result); kept != nil {
			g.log.Error("result not stored; it will be reported as unknown after a restart", "call", p.call.ID, "err", kept)
		}
		done()
		g.step(StepDone)
	}
	if err != nil {
		return result // no intent, so no result either
	}
	g.recordResult(p, result)
	g.step(StepResult)
	return result
}

// run calls the tool. The gate, not the tool, says which call the result belongs to.
func (p permit) run(ctx context.Context) claw.ToolResult {
	if ctx.Err() != nil {
		return p.result(claw.Cancelled, "stopped before it ran")
	}
	result := runTool(ctx, p)
	own := p.result(result.Status, result.Content)
	own.Label, own.Container, own.Waited, own.Ready, own.Images = result.Label, result.Container, result.Waited, result.Ready, result.Images
	if own.Status == "" {
		own.Status = claw.Failed
	}
	return own
}

// prepareTool keeps a panic over hostile input from ending the gateway.
func prepareTool(t Tool, input []byte) (a claw.Action, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the input could not be read: %v", p)
		}
	}()
	return t.Prepare(input)
}

// runTool turns a panic into the honest answer: it may have had effects.
func runTool(ctx context.Context, p permit) (r claw.ToolResult) {
	defer func() {
		if e := recover(); e != nil {
			r = p.result(claw.Unknown, fmt.Sprintf("the tool broke while it ran, and may have had effects: %v", e))
		}
	}()
	return p.tool.Run(ctx, p.call, p.action)
}

// result is a result in our own words. They derive from what the model had read, so they carry its label.
func (p permit) result(status claw.Status, content string) claw.ToolResult {
	return ourResult(p.call, p.action.Tool, p.verdict, status, content)
}

func ourResult(call Call, tool string, v policy.Verdict, status claw.Status, content string) claw.ToolResult {
	return claw.ToolResult{
		Call: call.ID, ModelID: call.ModelID, Tool: tool, Status: status, Content: content,
		Label: call.Label, Tier: v.Tier, Rule: v.Rule,
	}
}

// refuse is the result of a call that is not run and not asked about.
func (g *Gate) refuse(call Call, tool string, input []byte, v policy.Verdict, why error) claw.ToolResult {
	sum := sha256.Sum256(input)
	err := g.audit.Note(audit.Record{
		Kind: audit.KindRefused, Session: string(call.Session), Run: string(call.Run), Call: string(call.ID),
		Fields: refusedFields{
			Tool: clip(tool, 64), Why: clip(why.Error(), 1000), Rule: v.Rule,
			InputBytes: len(input), InputSHA256: hex.EncodeToString(sum[:]), Origin: call.Origin, Step: call.Step,
		},
	})
	if err != nil {
		g.log.Error("refusal not recorded", "call", call.ID, "err", err)
	}
	return ourResult(call, tool, v, claw.Refused, why.Error())
}

// bookkeeping is a context for writing down what happened.
func bookkeeping(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), bookTime)
}

// clip cuts a text from outside to at most n bytes of valid UTF-8.
func clip(s string, n int) string {
	if len(s) > n {
		s = s[:n] + "…"
	}
	return strings.ToValidUTF8(s, "\ufffd")
}
