package fake

import (
	"cmp"
	"fmt"
	"testing"
)

// NewAnthropic starts a server that speaks Anthropic's Messages API, version 2023-06-01, streaming, with
// tool use and prompt caching. It ends with the test.
func NewAnthropic(t testing.TB) *Server { return newServer(t, anthropic{}) }

type anthropic struct{}

func (anthropic) refusal(status int, message string) string {
	kind := map[int]string{
		400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
		404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error", 504: "timeout_error", 529: "overloaded_error",
	}[status]
	return AnthropicError(cmp.Or(kind, "api_error"), message)
}

// AnthropicError is the body of an error, and the data of an error event.
func AnthropicError(kind, message string) string {
	return fmt.Sprintf(`{"type":"error","error":{"type":%s,"message":%s},"request_id":"req_fake"}`, quote(kind), quote(message))
}

// AnthropicEvent is one event on the wire.
func AnthropicEvent(kind, data string) string {
	return fmt.Sprintf("event: %s\ndata: %s\n\n", kind, data)
}

func (anthropic) events(req Request, a Answer) [][]byte {
	var out [][]byte
	emit := func(kind, format string, args ...any) {
		out = append(out, []byte(AnthropicEvent(kind, fmt.Sprintf(format, args...))))
	}
	usage := fmt.Sprintf(`{"input_tokens":%d,"cache_creation_input_tokens":%d,"cache_read_input_tokens":%d,"output_tokens":1,"service_tier":"standard"}`,
		a.Usage.Input, a.Usage.CacheWrite, a.Usage.CacheRead)
	total := fmt.Sprintf(`,"usage":{"output_tokens":%d}`, a.Usage.Output)
	if a.Quirks.NoUsage {
		usage, total = "{}", ""
	}
	emit("message_start", `{"type":"message_start","message":{"id":"msg_fake","type":"message","role":"assistant","model":%s,"content":[],"stop_reason":null,"stop_sequence":null,"usage":%s}}`, quote(req.Model), usage)
	emit("ping", `{"type":"ping"}`)
	index := 0
	if a.Quirks.Unknown {
		emit("weather_report", `{"type":"weather_report","sky":["blue"]}`)
		emit("content_block_start", `{"type":"content_block_start","index":0,"content_block":{"type":"hologram","pixels":[1,2]}}`)
		emit("content_block_delta", `{"type":"content_block_delta","index":0,"delta":{"type":"hologram_delta","pixel":3,"text":"not text","partial_json":"{}"}}`)
		emit("content_block_stop", `{"type":"content_block_stop","index":0}`)
		emit("content_block_start", `{"type":"content_block_start","index":1,"content_block":{"type":"thinking","thinking":"","signature":""}}`)
		emit("content_block_delta", `{"type":"content_block_delta","index":1,"delta":{"type":"thinking_delta","thinking":"hm"}}`)
		emit("content_block_delta", `{"type":"content_block_delta","index":1,"delta":{"type":"signature_delta","signature":"c2ln"}}`)
		emit("content_block_stop", `{"type":"content_block_stop","index":1}`)
		index = 2
	}
	if a.Text != "" {
		emit("content_block_start", `{"type":"content_block_start","index":%d,"content_block":{"type":"text","text":""}}`, index)
		for _, part := range parts(a.Text, a.Chunks) {
			emit("content_block_delta", `{"type":"content_block_delta","index":%d,"delta":{"type":"text_delta","text":%s}}`, index, quote(part))
		}
		emit("content_block_stop", `{"type":"content_block_stop","index":%d}`, index)
		index++
	}
	for _, call := range a.Calls {
		input := "{}"
		if a.Quirks.WholeCalls {
			input = call.Input
		}
		emit("content_block_start", `{"type":"content_block_start","index":%d,"content_block":{"type":"tool_use","id":%s,"name":%s,"input":%s}}`, index, quote(call.ID), quote(call.Tool), input)
		if !a.Quirks.WholeCalls {
			emit("content_block_delta", `{"type":"content_block_delta","index":%d,"delta":{"type":"input_json_delta","partial_json":""}}`, index)
			for _, part := range parts(call.Input, a.Chunks) {
				emit("content_block_delta", `{"type":"content_block_delta","index":%d,"delta":{"type":"input_json_delta","partial_json":%s}}`, index, quote(part))
			}
		}
		emit("content_block_stop", `{"type":"content_block_stop","index":%d}`, index)
		index++
	}
	stop := a.Stop
	if stop == "" && len(a.Calls) > 0 {
		stop = "tool_use"
	}
	emit("message_delta", `{"type":"message_delta","delta":{"stop_reason":%s,"stop_sequence":null}%s}`, quote(cmp.Or(stop, "end_turn")), total)
	emit("message_stop", `{"type":"message_stop"}`)
	return out
}
