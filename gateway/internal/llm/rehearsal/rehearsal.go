// Package rehearsal stands in for a model when there is no key: rules that turn plain commands into real
// tool calls, so that containers, approvals and the log can be tried with no account.
//
// It promises to say what it is, to call only tools that it was offered, to decide from the request alone,
// and to call nothing that the user did not write. It follows no instruction in a tool's result: results are
// shown and nothing else. See [New].
package rehearsal

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/llm"
)

const (
	introduction = "I am the rehearsal model: a handful of rules, no intelligence and no network. " +
		"What I run is real, in real containers, under your policy. With ANTHROPIC_API_KEY in .env, Claude takes my place."
	hint = "(Rehearsal model: rules only. \"help\" lists what I understand; ANTHROPIC_API_KEY in .env brings Claude.)"
)

// Model is the stand-in. It keeps nothing between calls.
type Model struct{}

// New returns one.
func New() *Model { return &Model{} }

// Name is provider and model, for humans.
func (*Model) Name() string { return "rehearsal/rules" }

// Ask answers the last turn: commands become calls, results become text. It fails only when ctx has ended.
func (*Model) Ask(ctx context.Context, req llm.Request, onText func(string)) (llm.Reply, error) {
	reply := answer(req)
	for _, part := range pieces(reply.Text) {
		if err := ctx.Err(); err != nil {
			return llm.Reply{}, err
		}
		if onText != nil {
			onText(part)
		}
	}
	return reply, ctx.Err()
}

func answer(req llm.Request) llm.Reply {
	reply := llm.Reply{Stop: llm.StopEnd, Model: "rules"}
	if req.NoCalls {
		req.Tools = nil
	}
	if len(req.Turns) == 0 {
		reply.Text = introduction
		return reply
	}
	if reply, ok := aboutTask(req); ok {
		return reply
	}
	last := req.Turns[len(req.Turns)-1]
	if len(last.Results) > 0 {
		reply.Text = render(last.Results)
		if first(req.Turns) {
			reply.Text += "\n\n" + hint
		}
		return reply
	}
	text, beats := prompt(last.Text)
	if beats && strings.EqualFold(strings.TrimSpace(text), "say nothing") {
		reply.Text = claw.SilentAnswer
		return reply
	}
	commands, rest := parse(text)
	var said []string
	for _, c := range commands {
		tool, ok := offered(req.Tools, c.tool)
		if !ok {
			said = append(said, fmt.Sprintf("%q needs the tool %s, which is not available here.", c.said, c.tool))
			continue
		}
		input, err := c.input(tool)
		if err != nil {
			said = append(said, fmt.Sprintf("%q: %v", c.said, err))
			continue
		}
		reply.Calls = append(reply.Calls, claw.ToolCall{
			ModelID: fmt.Sprintf("rehearsal_%d_%d", len(req.Turns), len(reply.Calls)), Tool: c.tool, Input: input,
		})
	}
	for _, line := range rest {
		said = append(said, fmt.Sprintf("I do not understand %q.", shorten(line)))
	}
	if len(commands) == 0 {
		reply.Text = help(rest, req.Tools)
		return reply
	}
	if len(reply.Calls) > 0 {
		reply.Stop = llm.StopTools
	}
	reply.Text = strings.Join(said, "\n")
	return reply
}

// prompt is a message without what the gateway writes below the prompt of a heartbeat, and whether it
// is one. A rule has no use for it, and a command is not to end in it.
func prompt(text string) (string, bool) {
	at := strings.LastIndex(text, "\n\n[heartbeat ")
	if at < 0 || !strings.HasSuffix(text, "]") || strings.Contains(text[at+2:], "\n") {
		return text, false
	}
	return text[:at], true
}

// first reports whether no message of the conversation was answered before.
func first(turns []claw.Turn) bool {
	n := 0
	for _, t := range turns {
		if t.Role == claw.User && len(t.Results) == 0 {
			n++
		}
	}
	return n <= 1
}

func offered(tools []claw.Tool, name string) (claw.Tool, bool) {
	i := slices.IndexFunc(tools, func(t claw.Tool) bool { return t.Name == name })
	if i < 0 {
		return claw.Tool{}, false
	}
	return tools[i], true
}

// help says what this is and what it understands, as far as the tools for it are there.
func help(misunderstood []string, tools []claw.Tool) string {
	var b strings.Builder
	if len(misunderstood) > 0 && !isHelp(misunderstood[0]) {
		fmt.Fprintf(&b, "I do not understand %q. ", shorten(misunderstood[0]))
	}
	b.WriteString(introduction + "\n\nI understand, one on each line or joined by \"then\":\n")
	for _, v := range verbs {
		if _, ok := offered(tools, v.tool); ok && v.example != "" {
			fmt.Fprintf(&b, "  %-32s %s\n", v.example, v.means)
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

func isHelp(text string) bool {
	return slices.Contains([]string{"", "help", "?", "/help"}, strings.ToLower(strings.TrimSpace(text)))
}

// shorten keeps the head of a text for a message.
func shorten(text string) string {
	if r := []rune(text); len(r) > 80 {
		return string(r[:80]) + "…"
	}
	return text
}

// pieces cuts a text after every few words, as a model's answer comes.
func pieces(text string) []string {
	var out []string
	start := 0
	for i := range len(text) {
		if text[i] <= ' ' && i-start >= 40 {
			out = append(out, text[start:i+1])
			start = i + 1
		}
	}
	if start < len(text) {
		out = append(out, text[start:])
	}
	return out
}
