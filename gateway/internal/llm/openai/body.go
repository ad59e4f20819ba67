package openai

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/llm"
	"github.com/secureclaw/secureclaw/gateway/internal/llm/internal/link"
)

// The request on the wire, in the fields that all servers know.
type (
	body struct {
		Model               string         `json:"model"`
		Messages            []message      `json:"messages"`
		Tools               []tool         `json:"tools,omitempty"`
		MaxTokens           int            `json:"max_tokens,omitzero"`
		MaxCompletionTokens int            `json:"max_completion_tokens,omitzero"`
		Stream              bool           `json:"stream"`
		StreamOptions       map[string]any `json:"stream_options"`
	}
	message struct {
		Role       string     `json:"role"`
		Content    string     `json:"content"`
		ToolCalls  []toolCall `json:"tool_calls,omitempty"`
		ToolCallID string     `json:"tool_call_id,omitzero"`
	}
	tool struct {
		Type     string   `json:"type"`
		Function function `json:"function"`
	}
	function struct {
		Name        string          `json:"name"`
		Description string          `json:"description"`
		Parameters  json.RawMessage `json:"parameters"`
	}
	toolCall struct {
		ID       string `json:"id"`
		Type     string `json:"type"`
		Function called `json:"function"`
	}
	called struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	}
)

// body writes the request. Servers cache prompts by themselves, so the order, which is the same from turn to
// turn, is all that they need.
func (m *Model) body(req llm.Request) ([]byte, error) {
	out := body{Model: m.name, Stream: true, StreamOptions: map[string]any{"include_usage": true}}
	if m.vendor {
		out.MaxCompletionTokens = req.MaxTokens
	} else {
		out.MaxTokens = req.MaxTokens
	}
	var system []string
	for _, text := range req.System {
		if !link.Blank(text) {
			system = append(system, text)
		}
	}
	if len(system) > 0 {
		out.Messages = append(out.Messages, message{Role: "system", Content: strings.Join(system, "\n\n")})
	}
	for _, turn := range req.Turns {
		out.Messages = add(out.Messages, turn)
	}
	for _, t := range req.Tools {
		if !json.Valid(t.Schema) {
			return nil, fmt.Errorf("tool %q: its schema is not JSON", t.Name)
		}
		out.Tools = append(out.Tools, tool{"function", function{t.Name, t.Description, json.RawMessage(t.Schema)}})
	}
	return json.Marshal(out)
}

// add appends a turn: results each in a message of their own, then what was said and called. A turn without
// content is left out, and what one author says in two turns becomes one message.
func add(messages []message, turn claw.Turn) []message {
	for _, r := range turn.Results {
		content := r.Content
		if r.IsError() {
			// The protocol has no field for it.
			content = fmt.Sprintf("[%s] %s", r.Status, content)
		}
		messages = append(messages, message{Role: "tool", ToolCallID: r.ModelID, Content: content})
	}
	role := "user"
	if turn.Role == claw.Assistant {
		role = "assistant"
	}
	next := message{Role: role}
	if !link.Blank(turn.Text) {
		next.Content = turn.Text
	}
	for _, c := range turn.Calls {
		next.ToolCalls = append(next.ToolCalls, toolCall{c.ModelID, "function", called{link.ToolName(c.Tool), link.Input(c.Input)}})
	}
	if next.Content == "" && len(next.ToolCalls) == 0 {
		return messages
	}
	if n := len(messages); n > 0 && messages[n-1].Role == role && len(messages[n-1].ToolCalls) == 0 {
		next.Content = strings.TrimPrefix(messages[n-1].Content+"\n\n"+next.Content, "\n\n")
		messages = messages[:n-1]
	}
	return append(messages, next)
}
