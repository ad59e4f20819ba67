package fake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// What the Messages API takes, as documented. Fields that no client of this product sends are left out, so that
// a field that appears by accident fails the test.
type (
	messagesBody struct {
		Model     string         `json:"model"`
		MaxTokens int            `json:"max_tokens"`
		Stream    bool           `json:"stream"`
		System    []messageBlock `json:"system"`
		Tools     []messagesTool `json:"tools"`
		// ToolChoice is sent only to forbid calls.
		ToolChoice *struct {
			Type string `json:"type"`
		} `json:"tool_choice"`
		Messages []struct {
			Role    string         `json:"role"`
			Content []messageBlock `json:"content"`
		} `json:"messages"`
	}
	messagesTool struct {
		Name         string          `json:"name"`
		Description  string          `json:"description"`
		InputSchema  json.RawMessage `json:"input_schema"`
		CacheControl *cacheControl   `json:"cache_control"`
	}
	messageBlock struct {
		Type         string          `json:"type"`
		Text         *string         `json:"text"`
		ID           string          `json:"id"`
		Name         string          `json:"name"`
		Input        json.RawMessage `json:"input"`
		ToolUseID    string          `json:"tool_use_id"`
		IsError      bool            `json:"is_error"`
		Content      []messageBlock  `json:"content"`
		Source       *messageSource  `json:"source"`
		CacheControl *cacheControl   `json:"cache_control"`
	}
	messageSource struct {
		Type      string `json:"type"`
		MediaType string `json:"media_type"`
		Data      string `json:"data"`
	}
	cacheControl struct {
		Type string `json:"type"`
		TTL  string `json:"ttl"`
	}
)

var (
	anthropicTool = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,128}$`)
	anthropicID   = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)
)

// countPath is where the vendor counts the tokens of a request: the same body without max_tokens and
// stream, and {"input_tokens": n} for an answer.
const countPath = "/v1/messages/count_tokens"

// decodeKnown decodes one JSON value without unknown fields.
func decodeKnown(body []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("something follows the JSON body")
	}
	return nil
}

func (anthropic) read(r *http.Request, body []byte) (Request, error) {
	req := Request{Header: r.Header.Clone(), Path: r.URL.Path, Body: body}
	var b messagesBody
	switch {
	case r.Method != http.MethodPost || r.URL.Path != "/v1/messages" && r.URL.Path != countPath || r.URL.RawQuery != "":
		return req, fmt.Errorf("%s %s: not found", r.Method, r.URL)
	case r.Header.Get("X-Api-Key") == "":
		return req, errors.New("x-api-key header is required")
	case len(r.Header.Values("Authorization")) > 0:
		return req, errors.New("an Authorization header beside x-api-key")
	case r.Header.Get("Anthropic-Version") != "2023-06-01":
		return req, errors.New("anthropic-version: header is required")
	case !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"):
		return req, errors.New("content-type: want application/json")
	}
	if err := decodeKnown(body, &b); err != nil {
		return req, err
	}
	req.Model, req.MaxTokens = b.Model, b.MaxTokens
	counts := r.URL.Path == countPath
	switch {
	case b.Model == "":
		return req, errors.New("model: Field required")
	case counts && (b.MaxTokens != 0 || b.Stream):
		return req, errors.New("max_tokens, stream: Extra inputs are not permitted")
	case b.ToolChoice != nil && (b.ToolChoice.Type != "none" || len(b.Tools) == 0):
		return req, errors.New("tool_choice: want none, and tools")
	case counts && len(b.Messages) > 0:
	case b.MaxTokens < 1:
		return req, errors.New("max_tokens: want at least 1")
	case !b.Stream:
		return req, errors.New("stream: the product always streams")
	case len(b.Messages) == 0:
		return req, errors.New("messages: at least one message is required")
	}
	req.NoCalls = b.ToolChoice != nil
	if err := anthropicPrompt(&req, b); err != nil {
		return req, err
	}
	for i, m := range b.Messages {
		turn, err := anthropicTurn(&req, m.Role, m.Content)
		if err != nil {
			return req, fmt.Errorf("messages.%d: %w", i, err)
		}
		req.Turns = append(req.Turns, turn)
	}
	if req.CacheMarks > 4 {
		return req, fmt.Errorf("a maximum of 4 blocks with cache_control may be provided. Found %d", req.CacheMarks)
	}
	return req, pairs(req.Turns)
}

func anthropicPrompt(req *Request, b messagesBody) error {
	for i, block := range b.System {
		if block.Type != "text" {
			return fmt.Errorf("system.%d: want a text block", i)
		}
		if err := req.block(block); err != nil {
			return fmt.Errorf("system.%d: %w", i, err)
		}
		req.System = append(req.System, *block.Text)
	}
	for i, tool := range b.Tools {
		var schema struct{ Type string }
		switch {
		case !anthropicTool.MatchString(tool.Name):
			return fmt.Errorf("tools.%d.name: String should match pattern '%s'", i, anthropicTool)
		case slices.Contains(req.Tools, tool.Name):
			return errors.New("tools: Tool names must be unique")
		case json.Unmarshal(tool.InputSchema, &schema) != nil || schema.Type != "object":
			return fmt.Errorf("tools.%d.input_schema.type: Input should be 'object'", i)
		}
		req.mark(tool.CacheControl)
		req.Tools = append(req.Tools, tool.Name)
	}
	return nil
}

func (req *Request) mark(c *cacheControl) {
	if c != nil {
		req.CacheMarks++
	}
}

// block checks one block by itself.
func (req *Request) block(b messageBlock) error {
	if c := b.CacheControl; c != nil && (c.Type != "ephemeral" || c.TTL != "" && c.TTL != "5m" && c.TTL != "1h") {
		return fmt.Errorf("cache_control: %+v", *c)
	}
	req.mark(b.CacheControl)
	switch b.Type {
	case "text":
		if b.Text == nil || strings.TrimSpace(*b.Text) == "" {
			return errors.New("text content blocks must contain non-whitespace text")
		}
	case "tool_use":
		var object map[string]json.RawMessage
		switch {
		case !anthropicID.MatchString(b.ID):
			return fmt.Errorf("tool_use.id: String should match pattern '%s'", anthropicID)
		case !anthropicTool.MatchString(b.Name):
			return fmt.Errorf("tool_use.name: String should match pattern '%s'", anthropicTool)
		case json.Unmarshal(b.Input, &object) != nil || object == nil:
			return errors.New("tool_use.input: Input should be a valid dictionary")
		}
	case "tool_result":
		if !anthropicID.MatchString(b.ToolUseID) {
			return errors.New("tool_result.tool_use_id: invalid")
		}
		for _, inner := range b.Content {
			switch {
			case inner.Type != "text" && inner.Type != "image":
				return fmt.Errorf("tool_result.content: a block of type %q", inner.Type)
			case inner.Type != "text" && b.IsError:
				return errors.New("tool_result: all content must be type \"text\" if \"is_error\" is true")
			}
			if err := req.block(inner); err != nil {
				return err
			}
		}
	case "image":
		if b.Source == nil || b.Source.Type != "base64" {
			return errors.New("image.source: the product sends base64")
		}
		if _, err := picture(b.Source.MediaType, b.Source.Data); err != nil {
			return fmt.Errorf("image.source: %w", err)
		}
	default:
		return fmt.Errorf("a block of type %q", b.Type)
	}
	return nil
}

func anthropicTurn(req *Request, role string, content []messageBlock) (Turn, error) {
	turn := Turn{Role: role}
	if role != "user" && role != "assistant" {
		return turn, fmt.Errorf("role %q", role)
	}
	if len(content) == 0 {
		return turn, errors.New("all messages must have non-empty content")
	}
	for _, b := range content {
		if err := req.block(b); err != nil {
			return turn, err
		}
		switch b.Type {
		case "text":
			turn.Text += *b.Text
		case "image":
			if role != "user" {
				return turn, errors.New("image blocks are for user messages")
			}
			p, _ := picture(b.Source.MediaType, b.Source.Data)
			turn.Pictures = append(turn.Pictures, p)
		case "tool_use":
			if role != "assistant" {
				return turn, errors.New("tool_use in a user message")
			}
			turn.Calls = append(turn.Calls, Call{b.ID, b.Name, string(b.Input)})
		case "tool_result":
			if role != "user" || turn.Text != "" || len(turn.Pictures) > 0 {
				return turn, errors.New("tool_result blocks come first, in a user message")
			}
			result := Result{ID: b.ToolUseID, IsError: b.IsError}
			for _, inner := range b.Content {
				if inner.Type == "image" {
					p, _ := picture(inner.Source.MediaType, inner.Source.Data) // block has checked it
					result.Pictures = append(result.Pictures, p)
					continue
				}
				if len(result.Pictures) > 0 {
					return turn, errors.New("the product puts pictures behind the text")
				}
				result.Content += *inner.Text
			}
			turn.Results = append(turn.Results, result)
		}
	}
	return turn, nil
}

// pairs checks what all vendors want of a conversation: authors alternate, the user begins and has the last
// word, and each call has exactly one result right behind it.
func pairs(turns []Turn) error {
	var open []string
	for i, turn := range turns {
		if want := []string{"user", "assistant"}[i%2]; turn.Role != want {
			return fmt.Errorf("messages.%d: role %q, want %q: roles must alternate", i, turn.Role, want)
		}
		for _, result := range turn.Results {
			at := slices.Index(open, result.ID)
			if at < 0 {
				return fmt.Errorf("messages.%d: unexpected `tool_use_id` found in `tool_result` blocks: %s", i, result.ID)
			}
			open = slices.Delete(open, at, at+1)
		}
		if len(open) > 0 {
			return fmt.Errorf("messages.%d: `tool_use` ids were found without `tool_result` blocks immediately after: %v", i, open)
		}
		for _, call := range turn.Calls {
			if slices.Contains(open, call.ID) {
				return fmt.Errorf("messages.%d: `tool_use` ids must be unique: %s", i, call.ID)
			}
			open = append(open, call.ID)
		}
	}
	if len(turns)%2 == 0 {
		return errors.New("the conversation must end with a user message")
	}
	return nil
}
