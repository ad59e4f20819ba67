package chat

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// Sizes of what is shown beside the conversation. The conversation itself is never cut here.
const (
	maxShownContent = 16 << 10  // of one tool result, for display
	maxShownInput   = 4 << 10   // of one tool input, for display; cards always carry all of it
	maxReplyBytes   = 700 << 10 // of a reply frame before its calls are thinned out
	maxReplyText    = 128 << 10 // of its text
	maxCardsBytes   = 900 << 10
)

// watcher passes what happens in one run to whoever looks at it.
type watcher struct {
	run   claw.RunID
	begin func()         // the run begins to work, once
	to    func() *member // who looks now; nil when nobody does

	once  sync.Once
	mu    sync.Mutex
	input map[claw.CallID]strict.Value
}

// working says that there is something to see from now on. A job that finds nothing to do never says so.
func (w *watcher) working() { w.once.Do(w.begin) }

func (w *watcher) send(frame wire.Down) {
	if m := w.to(); m != nil {
		m.send(frame)
	}
}

func (w *watcher) Text(delta string) {
	if delta != "" {
		w.send(wire.Down{Delta: &wire.Delta{Run: string(w.run), Text: delta}})
	}
}

// Progress shows how far a task is.
func (w *watcher) Progress(p claw.Progress) {
	w.working() // also after a restart, when a task goes on and no job of ours said so
	frame := &wire.Progress{Run: string(w.run), Iteration: p.Iteration, Most: p.Most}
	for _, s := range p.Steps {
		frame.Steps = append(frame.Steps, wire.PlanStep{Text: cut(s.Text, 300), State: string(s.State)})
	}
	w.send(wire.Down{Progress: frame})
}

func (w *watcher) Began(call claw.ToolCall) {
	input := shownInput(call.Input)
	w.mu.Lock()
	if w.input == nil {
		w.input = map[claw.CallID]strict.Value{}
	}
	w.input[call.ID] = input
	w.mu.Unlock()
	w.send(wire.Down{Step: &wire.Step{Run: string(w.run), Call: string(call.ID), Tool: call.Tool, Input: input}})
}

func (w *watcher) Ended(_ claw.ToolCall, result claw.ToolResult) {
	step := w.step(result)
	w.send(wire.Down{Step: &step})
}

func (w *watcher) step(r claw.ToolResult) wire.Step {
	w.mu.Lock()
	input := w.input[r.Call]
	w.mu.Unlock()
	return wire.Step{
		Run: string(w.run), Call: string(r.Call), Tool: r.Tool, Input: input, Status: string(r.Status), Tier: r.Tier.String(), Rule: r.Rule,
		DurationMS: milliseconds(r.Duration), ContainerMS: milliseconds(r.Container), WaitedMS: milliseconds(r.Waited), Ready: r.Ready, Content: cut(r.Content, maxShownContent),
		Line: browseLine(input, r),
	}
}

func milliseconds(e claw.Elapsed) float64 { return float64(time.Duration(e).Microseconds()) / 1000 }

func (w *watcher) steps(results []claw.ToolResult) []wire.Step {
	steps := make([]wire.Step, 0, len(results))
	for _, r := range results {
		steps = append(steps, w.step(r))
	}
	return steps
}

// shownInput is what the model wrote, if it is JSON that can be read in one way and short.
func shownInput(input string) strict.Value {
	if len(input) <= maxShownInput {
		if canonical, err := strict.Canonical([]byte(input)); err == nil {
			return canonical
		}
	}
	note, _ := strict.Encode(fmt.Sprintf("(%d bytes, not shown)", len(input))) // a string always encodes
	return note
}

// fit keeps a reply below a frame's limit. Its text is the answer and is cut last.
func fit(r *wire.Reply) {
	size := 0
	for i := range r.Calls {
		size += len(r.Calls[i].Content) + len(r.Calls[i].Input)
	}
	if size > maxReplyBytes/2 {
		for i := range r.Calls {
			r.Calls[i].Content = cut(r.Calls[i].Content, 512)
		}
	}
	if len(r.Calls) > 1000 {
		r.Calls = r.Calls[len(r.Calls)-1000:]
	}
	r.Text = cut(r.Text, maxReplyText)
}

// cut shortens text at a rune border and says so.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	end := limit
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return fmt.Sprintf("%s… (%d of %d bytes shown)", text[:end], end, len(text))
}

// Card is an approval as every channel shows it: complete, and from the stored row.
func Card(a gate.Approval) *wire.Card {
	c := &wire.Card{
		ID: a.ID, Code: a.Code, Session: string(a.Call.Session), Step: a.Call.Step, Tool: a.Action.Tool, Input: a.Action.Input, Digest: a.Digest,
		Domains: a.Action.Domains, Rule: a.Rule, Reason: a.Reason, Origin: string(a.Call.Origin.Channel), Sources: a.Call.Label.Sources,
		Asked: a.Asked, Expires: a.Deadline, State: string(a.State), Decided: a.Decided,
	}
	for _, m := range a.Action.Mounts {
		c.Mounts = append(c.Mounts, m.Name+" "+m.Mode)
	}
	if a.Decision != nil {
		c.By, c.Via, c.Why = a.Decision.By, a.Decision.Channel, a.Decision.Reason
		if a.Decision.Name != "" {
			c.By = a.Decision.Name + " (" + a.Decision.By + ")"
		}
	}
	if a.Result != nil {
		c.Outcome, c.DurationMS = string(a.Result.Status), milliseconds(a.Result.Duration)
		c.Line = browseLine(a.Action.Input, *a.Result)
	}
	return c
}

func (b *Board) fitCards(approvals []gate.Approval) []wire.Card {
	var cards []wire.Card
	size := 0
	for _, a := range approvals {
		size += len(a.Action.Input) + 2048
		if size > maxCardsBytes && len(cards) > 0 {
			break // the rest comes once these are decided
		}
		cards = append(cards, *b.card(a))
	}
	return cards
}

// noticeText is the one line that says what ran without being asked about.
func noticeText(action claw.Action, result claw.ToolResult, rule string) string {
	took := time.Duration(result.Duration).Round(time.Millisecond)
	if line := browseLine(action.Input, result); line != "" {
		return fmt.Sprintf("%s: %s (%s, rule %s)", line, result.Status, took, rule)
	}
	if line := rememberedLine(action, result); line != "" {
		return fmt.Sprintf("%s (rule %s)", line, rule)
	}
	var args struct {
		Path    string `json:"path"`
		Command string `json:"command"`
	}
	_ = json.Unmarshal(action.Input, &args) // canonical already; only two fields are shown
	what := args.Path
	if what == "" {
		what = cut(args.Command, 200)
	}
	return fmt.Sprintf("%s %s: %s (%s, rule %s)", action.Tool, what, result.Status, took, rule)
}
