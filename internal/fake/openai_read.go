package fake

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// What chat completions take, as documented, in the fields that every server knows.
type (
	chatBody struct {
		Model         string        `json:"model"`
		MaxTokens     int           `json:"max_tokens"`
		Stream        bool          `json:"stream"`
		StreamOptions *chatOptions  `json:"stream_options"`
		Messages      []chatMessage `json:"messages"`
		Tools         []chatTool    `json:"tools"`
	}
	chatOptions struct {
		IncludeUsage bool `json:"include_usage"`
	}
	chatMessage struct {
		Role       string          `json:"role"`
		Content    json.RawMessage `json:"content"`
		ToolCallID string          `json:"tool_call_id"`
		ToolCalls  []chatCall      `json:"tool_calls"`
	}
	chatPart struct {
		Type  string  `json:"type"`
		Text  *string `json:"text"`
		Image *struct {
			URL string `json:"url"`
		} `json:"image_url"`
	}
	chatCall struct {
		ID       string `json:"id"`
		Type     string `json:"type"`
		Function struct {
			Name      string  `json:"name"`
			Arguments *string `json:"arguments"`
		} `json:"function"`
	}
	chatTool struct {
		Type     string `json:"type"`
		Function struct {
			Name        string          `json:"name"`
			Description string          `json:"description"`
			Parameters  json.RawMessage `json:"parameters"`
		} `json:"function"`
	}
)

var openAITool = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

func (openAI) read(r *http.Request, body []byte) (Request, error) {
	req := Request{Header: r.Header.Clone(), Path: r.URL.Path, Body: body}
	var b chatBody
	auth, given := r.Header["Authorization"]
	switch {
	case r.Method != http.MethodPost || r.URL.Path != "/v1/chat/completions" || r.URL.RawQuery != "":
		return req, fmt.Errorf("%s %s: not found", r.Method, r.URL)
	case !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"):
		return req, errors.New("content-type: want application/json")
	case given && (len(auth) != 1 || !strings.HasPrefix(auth[0], "Bearer ") || len(auth[0]) < len("Bearer x")):
		return req, errors.New("the Authorization header is not Bearer and a key")
	}
	if err := decodeKnown(body, &b); err != nil {
		return req, err
	}
	req.Model, req.MaxTokens = b.Model, b.MaxTokens
	switch {
	case b.Model == "":
		return req, errors.New("you must provide a model parameter")
	case b.MaxTokens < 1:
		return req, errors.New("max_tokens: want at least 1")
	case !b.Stream || b.StreamOptions == nil || !b.StreamOptions.IncludeUsage:
		return req, errors.New("stream: the product always streams, with usage")
	}
	for i, tool := range b.Tools {
		var schema struct{ Type string }
		switch {
		case tool.Type != "function":
			return req, fmt.Errorf("tools[%d].type: %q", i, tool.Type)
		case !openAITool.MatchString(tool.Function.Name) || slices.Contains(req.Tools, tool.Function.Name):
			return req, fmt.Errorf("tools[%d].function.name: %q", i, tool.Function.Name)
		case json.Unmarshal(tool.Function.Parameters, &schema) != nil || schema.Type != "object":
			return req, fmt.Errorf("tools[%d].function.parameters: schema must be a JSON Schema of 'type: \"object\"'", i)
		}
		req.Tools = append(req.Tools, tool.Function.Name)
	}
	for i, m := range b.Messages {
		if err := req.message(m); err != nil {
			return req, fmt.Errorf("messages[%d]: %w", i, err)
		}
	}
	return req, pairs(req.Turns)
}

// content reads a message's text, and the pictures that a user's message may have.
func (m chatMessage) content() (string, []Picture, error) {
	var text *string
	switch err := json.Unmarshal(m.Content, &text); {
	case err == nil && text == nil:
		return "", nil, errors.New("content: expected a string, got null")
	case err == nil:
		return *text, nil, nil
	}
	var parts []chatPart
	if err := decodeKnown(m.Content, &parts); err != nil || len(parts) == 0 {
		return "", nil, errors.New("content: expected a string or an array of parts")
	}
	var all strings.Builder
	var pictures []Picture
	for i, p := range parts {
		switch {
		case p.Type == "text" && p.Text != nil && p.Image == nil:
			all.WriteString(*p.Text)
		case p.Type == "image_url" && p.Image != nil && p.Text == nil:
			if m.Role != "user" {
				return "", nil, fmt.Errorf("image URLs are only allowed for messages with role 'user', but this message with role '%s' contains an image URL", m.Role)
			}
			picture, err := dataURL(p.Image.URL)
			if err != nil {
				return "", nil, fmt.Errorf("content[%d]: %w", i, err)
			}
			pictures = append(pictures, picture)
		default:
			return "", nil, fmt.Errorf("content[%d]: a part of type %q", i, p.Type)
		}
	}
	if len(pictures) == 0 {
		return "", nil, errors.New("content: the product writes parts only where there is a picture; not every server reads them")
	}
	return all.String(), pictures, nil
}

// message adds one message to the turns: results and the user's words behind them are one turn.
func (req *Request) message(m chatMessage) error {
	text, pictures, err := m.content()
	if err != nil {
		return err
	}
	last := len(req.Turns) - 1
	switch m.Role {
	case "system":
		if len(req.Turns) > 0 {
			return errors.New("a system message in the middle")
		}
		req.System = append(req.System, text)
	case "user":
		if last >= 0 && req.Turns[last].Role == "user" && req.Turns[last].Text == "" {
			req.Turns[last].Text, req.Turns[last].Pictures = text, pictures
			return nil
		}
		req.Turns = append(req.Turns, Turn{Role: "user", Text: text, Pictures: pictures})
	case "assistant":
		turn := Turn{Role: "assistant", Text: text}
		for _, c := range m.ToolCalls {
			var object map[string]json.RawMessage
			switch {
			case c.ID == "" || c.Type != "function":
				return fmt.Errorf("tool_calls: %+v has no id or another type", c)
			case !openAITool.MatchString(c.Function.Name):
				return fmt.Errorf("tool_calls: function.name %q", c.Function.Name)
			case c.Function.Arguments == nil || json.Unmarshal([]byte(*c.Function.Arguments), &object) != nil || object == nil:
				// The vendor takes any text; Ollama and the chat templates of vLLM parse it and fail.
				return errors.New("tool_calls: function.arguments is not a JSON object")
			}
			turn.Calls = append(turn.Calls, Call{c.ID, c.Function.Name, *c.Function.Arguments})
		}
		if turn.Text == "" && len(turn.Calls) == 0 {
			return errors.New("an assistant message without content and without tool_calls")
		}
		req.Turns = append(req.Turns, turn)
	case "tool":
		if last < 0 || req.Turns[last].Role == "user" && (len(req.Turns[last].Results) == 0 || req.Turns[last].Text != "") {
			return errors.New("messages with role 'tool' must be a response to a preceding message with 'tool_calls'")
		}
		if req.Turns[last].Role == "assistant" {
			req.Turns = append(req.Turns, Turn{Role: "user"})
			last++
		}
		req.Turns[last].Results = append(req.Turns[last].Results, Result{ID: m.ToolCallID, Content: text})
	default:
		return fmt.Errorf("role %q", m.Role)
	}
	return nil
}
