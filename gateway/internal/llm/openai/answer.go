package openai

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/llm"
	"github.com/secureclaw/secureclaw/gateway/internal/llm/internal/link"
)

// An answer on the wire, each line the data of one event:
//
//	{"choices":[{"delta":{"role":"assistant","content":"I look."}}]}
//	{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"call_1","function":{"name":"stat","arguments":""}}]}}]}
//	{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"path\""}}]}}]}
//	…
//	{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}
//	{"choices":[],"usage":{…}}
//	[DONE]
type chunk struct {
	Model   string `json:"model"`
	Choices []struct {
		Index int `json:"index"`
		Delta struct {
			Content   json.RawMessage `json:"content"`
			Refusal   string          `json:"refusal"`
			ToolCalls []fragment      `json:"tool_calls"`
		} `json:"delta"`
		FinishReason string `json:"finish_reason"`
	} `json:"choices"`
	Usage *struct {
		Prompt     int64 `json:"prompt_tokens"`
		Completion int64 `json:"completion_tokens"`
		Details    struct {
			Cached int64 `json:"cached_tokens"`
		} `json:"prompt_tokens_details"`
	} `json:"usage"`
	Error *wireError `json:"error"`
}

// fragment is a part of one call, or all of it.
type fragment struct {
	Index    *int   `json:"index"`
	ID       string `json:"id"`
	Function struct {
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
	} `json:"function"`
}

// wireError is what a server says went wrong. Code is a number at some and a word at others; some send a
// bare text in place of the object.
type wireError struct {
	Message string          `json:"message"`
	Type    string          `json:"type"`
	Code    json.RawMessage `json:"code"`
}

func (e *wireError) UnmarshalJSON(data []byte) error {
	type plain wireError
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &e.Message)
	}
	return json.Unmarshal(data, (*plain)(e))
}

func (e *wireError) is(word string) bool {
	return e.Type == word || string(e.Code) == `"`+word+`"`
}

// answer collects one stream.
type answer struct {
	server link.Server
	onText func(string)
	turn   int // how long the conversation is, for ids that the server does not give

	model   string
	usage   claw.Usage
	finish  string
	refused bool
	text    strings.Builder
	calls   []*call
	size    int // bytes collected, and a flat charge for each call
}

type call struct {
	index    *int
	id, name string
	input    []byte
}

// callCharge bounds the number of calls by the same limit as their bytes.
const callCharge = 1 << 10

// take adds one event.
func (a *answer) take(data []byte, now time.Time) *link.Failure {
	var c chunk
	// The JSON decoder replaces bytes that are not UTF-8; a call must be what the model wrote, or nothing.
	if !utf8.Valid(data) {
		return a.server.Cut("it has bytes that are not UTF-8")
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return a.server.Cut("it is not the protocol")
	}
	if c.Error != nil {
		return a.event(c.Error, now)
	}
	if c.Model != "" {
		a.model = c.Model
	}
	if u := c.Usage; u != nil {
		cached := min(max(u.Details.Cached, 0), u.Prompt)
		a.usage = claw.Usage{Input: u.Prompt - cached, Output: u.Completion, CacheRead: cached}
	}
	for _, choice := range c.Choices {
		if choice.Index != 0 {
			continue // only one was asked for
		}
		if a.finish != "" && (len(choice.Delta.ToolCalls) > 0 || choice.FinishReason != "" && choice.FinishReason != a.finish) {
			return a.server.Cut("it goes on after its end")
		}
		if choice.FinishReason != "" {
			a.finish = choice.FinishReason
		}
		a.refused = a.refused || choice.Delta.Refusal != ""
		if failure := a.say(contentText(choice.Delta.Content) + choice.Delta.Refusal); failure != nil {
			return failure
		}
		for _, f := range choice.Delta.ToolCalls {
			if failure := a.add(f); failure != nil {
				return failure
			}
		}
	}
	return nil
}

// event words an error in mid-stream, which has a code in place of a status.
func (a *answer) event(e *wireError, now time.Time) *link.Failure {
	var code int
	if json.Unmarshal(e.Code, &code) != nil || code < 400 || code > 599 {
		switch {
		case e.is("rate_limit_exceeded"), e.is("rate_limit_error"):
			code = 429
		case e.is("invalid_request_error"), e.is("context_length_exceeded"):
			code = 400
		default:
			code = 500
		}
	}
	failure := a.server.Status(code, nil, e.Message, now)
	failure.Err.What += " in the middle of its answer"
	failure.Again = false
	return failure
}

// contentText is a delta's text: a string, or a list of parts.
func contentText(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var list []struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	_ = json.Unmarshal(raw, &list) // what is neither has no text
	for _, part := range list {
		if part.Type == "text" {
			text += part.Text
		}
	}
	return text
}

func (a *answer) say(text string) *link.Failure {
	a.size += len(text)
	if a.size > llm.MaxInputBytes {
		return a.server.TooLarge()
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

// add puts a fragment where it belongs.
func (a *answer) add(f fragment) *link.Failure {
	input := f.Function.Arguments
	if bytes.Equal(input, []byte("null")) {
		input = nil
	}
	if len(input) > 0 && input[0] == '"' {
		var text string
		if err := json.Unmarshal(input, &text); err != nil {
			return a.server.Cut("it is not the protocol")
		}
		input = []byte(text)
	}
	c := a.find(f)
	if c == nil {
		c = &call{index: f.Index, id: f.ID, name: f.Function.Name}
		a.calls = append(a.calls, c)
		a.size += callCharge + len(c.id) + len(c.name)
	}
	a.size += len(input)
	if a.size > llm.MaxInputBytes {
		return a.server.TooLarge()
	}
	if c.name == "" {
		c.name = f.Function.Name
		a.size += len(c.name)
	}
	c.input = append(c.input, input...)
	return nil
}

// find returns the call that a fragment continues, or nil for a new one. A fragment with a name begins a
// call, unless it repeats the name of one that goes on; servers that count wrongly (every call has index
// 0) or not at all send each call in one piece with its name.
func (a *answer) find(f fragment) *call {
	for i := len(a.calls) - 1; i >= 0; i-- {
		c := a.calls[i]
		switch {
		case f.Index != nil && c.index != nil && *f.Index != *c.index:
			continue
		case (f.Index == nil || c.index == nil) && f.ID != "" && f.ID != c.id:
			continue
		case f.Function.Name == "" || c.name == "":
			return c
		case f.ID != "" && f.ID == c.id, f.ID == "" && f.Function.Name == c.name && !json.Valid(c.input):
			return c
		}
	}
	return nil
}

// reply is the whole answer. Calls are part of it only when the model stopped in order to make them.
func (a *answer) reply() (llm.Reply, *link.Failure) {
	out := llm.Reply{Text: a.text.String(), Usage: a.usage, Model: a.model}
	switch a.finish {
	case "tool_calls", "stop":
		out.Stop = llm.StopEnd
		if a.refused {
			out.Stop = llm.StopRefusal
			return out, nil
		}
		// Several servers say "stop" when they call tools; what they sent is whole all the same.
		if len(a.calls) > 0 {
			out.Stop, out.Calls = llm.StopTools, a.whole()
		}
	case "length":
		out.Stop = llm.StopLength
	case "content_filter":
		out.Stop = llm.StopRefusal
	case "error":
		return llm.Reply{}, &link.Failure{Err: &llm.Error{Kind: llm.Overloaded, What: "the model server failed in the middle of its answer", Fix: "try again in a minute"}}
	case "":
		return llm.Reply{}, a.server.Cut("it has no end")
	default:
		return llm.Reply{}, a.server.Cut("it ended for a reason that is not known here: " + a.server.Clean(a.finish))
	}
	return out, nil
}

// whole gives each call an id of its own where the server did not, and {} where it sent no arguments.
func (a *answer) whole() []claw.ToolCall {
	given := map[string]int{}
	for _, c := range a.calls {
		given[c.id]++
	}
	var out []claw.ToolCall
	for i, c := range a.calls {
		id := c.id
		if id == "" || len(id) > 256 || given[id] > 1 {
			// The length of the conversation keeps it apart from the ids of other turns.
			id = fmt.Sprintf("call_%d_%d", a.turn, i)
			for given[id] > 0 {
				id += "x"
			}
		}
		input := string(c.input)
		if input == "" {
			input = "{}"
		}
		out = append(out, claw.ToolCall{ModelID: id, Tool: c.name, Input: input})
	}
	return out
}
