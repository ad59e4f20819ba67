package task

import (
	"fmt"
	"slices"
	"strings"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// statuses are the ends of calls, in the order in which they are told.
var statuses = []claw.Status{claw.OK, claw.Failed, claw.Refused, claw.Denied, claw.Expired, claw.TimedOut, claw.Cancelled, claw.Unknown}

// account says how a task ended that has no answer of the model's. why is what is known of the reason.
func account(t claw.Task, why string) string {
	var parts []string
	switch t.State {
	case claw.TaskLimited:
		parts = append(parts, fmt.Sprintf("I stopped: the task is not at its end after %d iterations.", t.Iteration))
	case claw.TaskPaused:
		if why == "" {
			why = "Paused: this task has spent all the tokens that it may."
		}
		parts = append(parts, why)
	case claw.TaskStopped:
		parts = append(parts, fmt.Sprintf("Stopped, in iteration %d.", max(t.Iteration, 1)))
	case claw.TaskDone:
		parts = append(parts, "The task is at its end, and the model wrote no answer.")
	default:
		parts = append(parts, why, fmt.Sprintf("So the task ended early, in iteration %d.", max(t.Iteration, 1)))
	}
	var done, open []string
	for i, s := range t.Plan.Steps {
		line := fmt.Sprintf("%d. %s", i+1, s.Text)
		if s.State == claw.StepDone {
			done = append(done, line)
		} else {
			open = append(open, line)
		}
	}
	if len(done) > 0 {
		parts = append(parts, "Done, as the model says:\n"+strings.Join(done, "\n"))
	}
	if len(open) > 0 {
		parts = append(parts, "Not done:\n"+strings.Join(open, "\n"))
	}
	parts = append(parts, fmt.Sprintf("Calls: %s. Tokens: %d.", countsText(t.Counts), total(t.Usage)))
	if t.State != claw.TaskStopped && t.State != claw.TaskDone && !strings.Contains(why, `"go on"`) {
		parts = append(parts, `Say "go on" if you want me to continue.`)
	}
	return strings.Join(parts, "\n\n")
}

func countsText(counts map[claw.Status]int) string {
	var parts []string
	for _, s := range statuses {
		if counts[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[s], s))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// noteOf is what an iteration leaves for the next ones: the model's words, and beside them the calls that
// it may not know of or must not repeat. all lists every call, because nothing else tells of them.
func noteOf(iteration int, text string, turns []claw.Turn, all bool) string {
	var calls []string
	results := resultsOf(turns)
	for _, t := range turns {
		for _, c := range t.Calls {
			i := slices.IndexFunc(results, func(r claw.ToolResult) bool { return r.Call == c.ID })
			status := claw.Unknown
			if i >= 0 {
				status = results[i].Status
			}
			if all || status == claw.Unknown || status == claw.TimedOut || status == claw.Cancelled {
				calls = append(calls, fmt.Sprintf("- %s %s: %s", c.Tool, clip(oneLine(c.Input, 120), 160), status))
			}
		}
	}
	if text == "" && len(calls) == 0 {
		text = "(no notes)"
	}
	parts := []string{fmt.Sprintf("Iteration %d: %s", iteration, clip(text, maxNote))}
	if len(calls) > 0 {
		parts = append(parts, "Its calls, which must not be repeated unread:\n"+clip(strings.Join(calls, "\n"), maxNote))
	}
	return strings.Join(parts, "\n")
}

func resultsOf(turns []claw.Turn) []claw.ToolResult {
	var out []claw.ToolResult
	for _, t := range turns {
		out = append(out, t.Results...)
	}
	return out
}

// counted adds the calls of an iteration to the counts.
func counted(counts map[claw.Status]int, turns []claw.Turn) map[claw.Status]int {
	out := map[claw.Status]int{}
	for s, n := range counts {
		out[s] = n
	}
	for _, r := range resultsOf(turns) {
		out[r.Status]++
	}
	return out
}

// ticksIn are the steps that an iteration called done, in any of its texts.
func ticksIn(turns []claw.Turn) []int {
	var out []int
	for _, t := range turns {
		if t.Role == claw.Assistant {
			out = append(out, readWord(t.Text).done...)
		}
	}
	return out
}

// progressOf is a task for whoever looks on.
func progressOf(t claw.Task) claw.Progress {
	p := claw.Progress{Task: t.ID, Steps: slices.Clone(t.Plan.Steps), Iteration: t.Iteration, Most: t.Most}
	if next := firstOpen(t.Plan); next > 0 && t.Child != "" {
		p.Steps[next-1].State = claw.StepNow
	}
	return p
}
