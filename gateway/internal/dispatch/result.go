package dispatch

import (
	"context"
	"fmt"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/run"
)

// result is how a call ended, in our own words.
func result(call gate.Call, action claw.Action, status claw.Status, format string, args ...any) claw.ToolResult {
	label := labelOf(action)
	if action.Executor == kindWeb {
		label = call.Label // no stranger's word is in it
	}
	return claw.ToolResult{
		Call: call.ID, ModelID: call.ModelID, Tool: action.Tool, Label: label,
		Status: status, Content: fmt.Sprintf(format, args...),
	}
}

// finish turns the runner's result into the model's.
func (d *Dispatch) finish(ctx context.Context, call gate.Call, action claw.Action, r *run.Result) claw.ToolResult {
	result := result(call, action, claw.Failed, "")
	result.Container = claw.Elapsed(time.Duration(r.Timing.Take+r.Timing.Create+r.Timing.Start+r.Timing.Task) * time.Microsecond)
	result.Waited = claw.Elapsed(time.Duration(r.Timing.Queue) * time.Microsecond)
	result.Ready = r.Timing.Ready
	switch r.Outcome {
	case run.Finished:
	case run.TimedOut:
		result.Status, result.Content = claw.TimedOut, "Killed at its deadline: "+r.Detail
		return result
	case run.Cancelled:
		result.Status, result.Content = claw.Cancelled, "Stopped while it ran; it may have had effects."
		return result
	case run.OutOfMem:
		result.Status, result.Content = claw.Failed, "Killed: it used more memory than its limit. "+r.Detail
		return result
	default:
		result.Status, result.Content = claw.Failed, "The container gave no valid result: "+r.Detail
		return result
	}
	out := r.Output
	if out == nil || out.Call != string(result.Call) {
		result.Status, result.Content = claw.Failed, "The container gave no valid result."
		return result
	}
	value := out.Value
	if action.Tool == run.ToolBrowse {
		var ok bool
		if value, result.Images, ok = d.picture(ctx, call, action, value); !ok {
			result.Content = "The container gave no valid result."
			return result
		}
	}
	result.Content, result.Label = string(value), labelOf(action)
	switch out.Status {
	case run.OutputOK:
		result.Status = claw.OK
	case run.OutputTimedOut:
		result.Status = claw.TimedOut
	case run.OutputRefused:
		result.Status = claw.Refused
	default:
		result.Status = claw.Failed
	}
	if result.Content == "" {
		result.Content = out.Error
	} else if out.Error != "" {
		result.Content = out.Error + "\n" + result.Content
	}
	return result
}

func sentence(r *run.Refusal) string {
	text := "Not run: " + r.What
	if r.Why != "" {
		text += "\nWhy: " + r.Why
	}
	if r.Fix != "" {
		text += "\nFix: " + r.Fix
	}
	return text
}

// labelOf is what the output of an action is worth: it comes from the user's own folders, and is
// private. What lies in the inbox came in a chat, and who wrote it is not known. A page was written by
// strangers, for everybody: the browser that fetched it was nobody's.
func labelOf(action claw.Action) claw.Label {
	if action.Executor == kindWeb {
		label := claw.Label{Integrity: claw.External, Privacy: claw.Public}
		if len(action.Domains) > 0 {
			label.Sources = []string{"web " + action.Domains[0]}
		}
		return label
	}
	label := claw.Label{Integrity: claw.Owned, Privacy: claw.Private}
	for _, m := range action.Mounts {
		if m.Name == config.InboxMount {
			label = label.Join(claw.Label{Integrity: claw.External, Privacy: claw.Private, Sources: []string{config.InboxMount}})
			continue
		}
		label = label.Join(claw.Label{Integrity: claw.Owned, Privacy: claw.Private, Sources: []string{"folder " + m.Name}})
	}
	return label
}
