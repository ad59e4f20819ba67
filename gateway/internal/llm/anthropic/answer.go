package anthropic

import (
	"slices"
	"strings"
	"unicode/utf8"

	sdk "github.com/anthropics/anthropic-sdk-go"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/llm"
	"github.com/secureclaw/secureclaw/gateway/internal/llm/internal/link"
)

// An answer on the wire:
//
//	message_start                     model, tokens read
//	content_block_start  index 0      text, tool_use (id and name), or a kind we do not know
//	content_block_delta  index 0 …    text_delta, or input_json_delta: the next bytes of the input
//	content_block_stop   index 0
//	…
//	message_delta                     stop_reason, tokens written so far
//	message_stop
//
// The SDK's own Message.Accumulate is not used: of a stream that was cut it makes a message without
// an error, and of a tool input that was cut it makes {}.

// answer collects one stream.
type answer struct {
	server link.Server
	onText func(string)

	started bool
	model   string
	usage   claw.Usage
	stop    sdk.StopReason
	text    strings.Builder
	blocks  []*block
	size    int // bytes collected, and a flat charge for each block
}

// block is one part of the content; index is its place on the wire.
type block struct {
	index  int64
	kind   string
	closed bool
	call   claw.ToolCall
	whole  string // an input that came with the start of the block and not in deltas
	input  strings.Builder
}

// blockCharge bounds the number of blocks by the same limit as their bytes.
const blockCharge = 1 << 10

// take adds one event and reports whether it was the last one.
func (a *answer) take(e sdk.MessageStreamEventUnion) (done bool, failure *link.Failure) {
	// The JSON decoder replaces bytes that are not UTF-8; a call must be what the model wrote, or nothing.
	if !utf8.ValidString(e.RawJSON()) {
		return false, a.server.Cut("it has bytes that are not UTF-8")
	}
	if !a.started && e.Type != "message_start" {
		return false, a.server.Cut("it has no beginning")
	}
	switch e.Type {
	case "message_start":
		if a.started {
			return false, a.server.Cut("it begins twice")
		}
		a.started, a.model = true, e.Message.Model
		u := e.Message.Usage
		a.count(u.InputTokens, u.OutputTokens, u.CacheReadInputTokens, u.CacheCreationInputTokens)
	case "content_block_start":
		return false, a.open(e)
	case "content_block_delta":
		return false, a.add(e)
	case "content_block_stop":
		b := a.block(e.Index)
		if b == nil || b.closed {
			return false, a.server.Cut("it closes a block that is not open")
		}
		b.closed = true
	case "message_delta":
		if e.Delta.StopReason != "" {
			a.stop = e.Delta.StopReason
		}
		a.count(e.Usage.InputTokens, e.Usage.OutputTokens, e.Usage.CacheReadInputTokens, e.Usage.CacheCreationInputTokens)
	case "message_stop":
		return true, nil
	}
	return false, nil // the vendor adds kinds of events; they are not ours to refuse
}

// count keeps the latest of each figure: they are totals so far, and zero where an event does not say.
func (a *answer) count(input, output, read, write int64) {
	a.usage = claw.Usage{
		Input: or(input, a.usage.Input), Output: or(output, a.usage.Output),
		CacheRead: or(read, a.usage.CacheRead), CacheWrite: or(write, a.usage.CacheWrite),
	}
}

func (a *answer) block(index int64) *block {
	i := slices.IndexFunc(a.blocks, func(b *block) bool { return b.index == index })
	if i < 0 {
		return nil
	}
	return a.blocks[i]
}

func (a *answer) open(e sdk.MessageStreamEventUnion) *link.Failure {
	if a.block(e.Index) != nil {
		return a.server.Cut("it opens a block twice")
	}
	if a.stop != "" {
		return a.server.Cut("it goes on after its end")
	}
	start := e.ContentBlock
	b := &block{index: e.Index, kind: start.Type}
	a.blocks = append(a.blocks, b)
	a.size += blockCharge
	switch b.kind {
	case "text":
		return a.say(start.Text)
	case "tool_use":
		b.call = claw.ToolCall{ModelID: start.ID, Tool: start.Name}
		b.whole = start.JSON.Input.Raw()
		a.size += len(b.whole) + len(start.ID) + len(start.Name)
	}
	return a.bound()
}

func (a *answer) add(e sdk.MessageStreamEventUnion) *link.Failure {
	b := a.block(e.Index)
	if b == nil || b.closed {
		return a.server.Cut("it adds to a block that is not open")
	}
	switch {
	case b.kind == "text" && e.Delta.Type == "text_delta":
		return a.say(e.Delta.Text)
	case b.kind == "tool_use" && e.Delta.Type == "input_json_delta":
		a.size += len(e.Delta.PartialJSON)
		if failure := a.bound(); failure != nil {
			return failure
		}
		b.input.WriteString(e.Delta.PartialJSON)
	}
	return nil
}

func (a *answer) say(text string) *link.Failure {
	a.size += len(text)
	if failure := a.bound(); failure != nil {
		return failure
	}
	if text == "" {
		return nil
	}
	a.text.WriteString(text)
	if a.onText != nil {
		a.onText(text)
	}
	return nil
}

func (a *answer) bound() *link.Failure {
	if a.size > llm.MaxInputBytes {
		return a.server.TooLarge()
	}
	return nil
}

// reply is the whole answer. Calls are part of it only when the model stopped in order to make them.
func (a *answer) reply() (llm.Reply, *link.Failure) {
	out := llm.Reply{Text: a.text.String(), Usage: a.usage, Model: a.model}
	for _, b := range a.blocks {
		// At the token limit the last block may be left open; then there are no calls to take from it.
		if !b.closed && a.stop != sdk.StopReasonMaxTokens {
			return llm.Reply{}, a.server.Cut("a block of it has no end")
		}
	}
	switch a.stop {
	case sdk.StopReasonEndTurn, sdk.StopReasonStopSequence:
		out.Stop = llm.StopEnd
	case sdk.StopReasonMaxTokens, sdk.StopReasonModelContextWindowExceeded:
		out.Stop = llm.StopLength
	case sdk.StopReasonRefusal:
		out.Stop = llm.StopRefusal
	case sdk.StopReasonToolUse:
		out.Stop = llm.StopTools
		return a.calls(out)
	case sdk.StopReasonPauseTurn:
		// Only the vendor's own tools pause a turn, and none is ever offered.
		return llm.Reply{}, a.server.Cut("it was paused for a tool of the vendor's")
	case "":
		return llm.Reply{}, a.server.Cut("it has no end")
	default:
		return llm.Reply{}, a.server.Cut("it ended for a reason that is not known here: " + a.server.Clean(string(a.stop)))
	}
	return out, nil
}

func (a *answer) calls(out llm.Reply) (llm.Reply, *link.Failure) {
	seen := map[string]bool{}
	for _, b := range a.blocks {
		if b.kind != "tool_use" {
			continue
		}
		// The id pairs call and result in every later request; one that cannot would make them all fail.
		if id := b.call.ModelID; id == "" || len(id) > 256 || id != link.ID(id) || seen[id] {
			return llm.Reply{}, a.server.Cut("a call in it has no id of its own")
		}
		seen[b.call.ModelID] = true
		b.call.Input = or(b.input.String(), b.whole)
		out.Calls = append(out.Calls, b.call)
	}
	if len(out.Calls) == 0 {
		return llm.Reply{}, a.server.Cut("it stops for tools and calls none")
	}
	return out, nil
}
