package rehearsal

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/llm"
)

// This file works on tasks. Three commands or more are a plan, one step each; two are one turn, as ever.
// Iteration n runs command n of the request, whatever a plan or a note says: they hold what came out of
// tools too, and nothing in them is obeyed.

// The least and the most commands that are a plan.
const (
	minPlanned = 3
	maxPlanned = 8
)

var (
	item      = regexp.MustCompile(`^\s*(?:\d{1,2}[.)]|[-*•])\s+(\S.*)$`)
	iteration = regexp.MustCompile(`^(\d{1,3}) of at most \d`)
	noteBlock = regexp.MustCompile(`(?m)^\[notes of [^\n]*\n((?:>[^\n]*\n?)*)`)
)

// aboutTask answers the question for a plan, and an iteration; false when it is asked neither.
func aboutTask(req llm.Request) (llm.Reply, bool) {
	at := slices.IndexFunc(req.Turns, func(t claw.Turn) bool { return t.Role == claw.User && len(t.Results) == 0 })
	if at < 0 {
		return llm.Reply{}, false
	}
	last := req.Turns[len(req.Turns)-1]
	if request, _, ok := cutLast(last.Text, "\n\n"+claw.PlanAsked); ok && req.NoCalls {
		return says(planFor(request)), true
	}
	// An iteration is its conversation's only message.
	request, brief, ok := cutLast(req.Turns[at].Text, "\n\n"+claw.TaskAsked+" ")
	m := iteration.FindStringSubmatch(brief)
	if !ok || m == nil || !strings.Contains(brief, "\n[the plan") {
		return llm.Reply{}, false
	}
	n, _ := strconv.Atoi(m[1]) // three digits
	commands, _ := parse(unlisted(request))
	if n > len(commands) {
		return says(report(brief, "")), true
	}
	if len(last.Results) > 0 {
		return says(noted(n, len(commands), brief, render(last.Results), last.Results[0].Status == claw.OK)), true
	}
	c := commands[n-1]
	tool, ok := offered(req.Tools, c.tool)
	if !ok {
		return says(noted(n, len(commands), brief, fmt.Sprintf("%q needs the tool %s, which is not available here.", c.said, c.tool), false)), true
	}
	input, err := c.input(tool)
	if err != nil {
		return says(noted(n, len(commands), brief, fmt.Sprintf("%q: %v", c.said, err), false)), true
	}
	reply := says("")
	reply.Stop, reply.Calls = llm.StopTools, []claw.ToolCall{{ModelID: fmt.Sprintf("rehearsal_%d_0", len(req.Turns)), Tool: c.tool, Input: input}}
	return reply, true
}

func says(text string) llm.Reply { return llm.Reply{Stop: llm.StopEnd, Model: "rules", Text: text} }

// planFor is a plan for a request, or the word that none is needed.
func planFor(request string) string {
	request, _ = prompt(request)
	commands, rest := parse(unlisted(request))
	if len(commands) < minPlanned || len(commands) > maxPlanned || len(rest) > 0 {
		return claw.PlanNone
	}
	var steps []string
	for i, c := range commands {
		steps = append(steps, fmt.Sprintf("%d. %s", i+1, strings.Join(strings.Fields(c.said), " ")))
	}
	return strings.Join(steps, "\n")
}

// noted is what an iteration says at its end: what came out, for the next one or, after the last, for the user.
func noted(n, of int, brief, result string, done bool) string {
	if n == of {
		return report(brief, fmt.Sprintf("Iteration %d: %s", n, result)) + "\n\n" + hint + tick(n, done)
	}
	return result + tick(n, done) + "\n" + claw.TaskGoesOn
}

func tick(n int, done bool) string {
	if !done {
		return ""
	}
	return fmt.Sprintf("\n[DONE %d]", n)
}

// report is all that the notes say, and what came out last.
func report(brief, last string) string {
	var out []string
	if m := noteBlock.FindStringSubmatch(brief); m != nil {
		for line := range strings.Lines(m[1]) {
			out = append(out, strings.TrimPrefix(strings.TrimPrefix(strings.TrimRight(line, "\n"), ">"), " "))
		}
	}
	if text := strings.TrimSpace(strings.Join(out, "\n")); text != "" && text != "(none yet)" {
		return strings.TrimSpace(text + "\n\n" + last)
	}
	return last
}

// unlisted takes the numbers or bullets off a text that is a list of commands and nothing else.
func unlisted(text string) string {
	var out []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "" {
			continue
		}
		m := item.FindStringSubmatch(line)
		if m == nil {
			return text
		}
		if _, ok := parseLine(m[1]); !ok {
			return text
		}
		out = append(out, m[1])
	}
	return strings.Join(out, "\n")
}

// cutLast cuts a text at the last place where a mark stands. A message may hold the mark too; what was put
// below it is ours.
func cutLast(text, mark string) (before, after string, found bool) {
	i := strings.LastIndex(text, mark)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(mark):], true
}
