package fake

import (
	"cmp"
	"fmt"
	"strings"
	"testing"
)

// NewOpenAI starts a server that speaks OpenAI's chat completions, streaming, with tools, as it and the servers that
// copy it do. Clients are given its URL followed by /v1. It ends with the test.
func NewOpenAI(t testing.TB) *Server { return newServer(t, openAI{}) }

type openAI struct{}

func (openAI) refusal(status int, message string) string {
	return OpenAIError(fmt.Sprint(status), message)
}

// OpenAIError is the body of an error, and the data of one in mid-stream. Code is a number or a quoted word.
func OpenAIError(code, message string) string {
	return fmt.Sprintf(`{"error":{"message":%s,"type":"error","param":null,"code":%s}}`, quote(message), code)
}

func (openAI) events(req Request, a Answer) [][]byte {
	var out [][]byte
	emit := func(format string, args ...any) {
		out = append(out, []byte("data: "+fmt.Sprintf(format, args...)+"\n\n"))
	}
	chunk := func(delta, finish string) {
		extra := ""
		if a.Quirks.Unknown {
			extra = `,"provider":{"name":"x"},"system_fingerprint":"fp"`
			out = append(out, []byte(": PROCESSING\n\n"), []byte("id: 7\nretry: 3000\n\n"))
		}
		emit(`{"id":"chatcmpl-fake","object":"chat.completion.chunk","created":1,"model":%s,"choices":[{"index":0,"delta":%s,"logprobs":null,"finish_reason":%s}]%s}`,
			quote(req.Model), delta, finish, extra)
	}
	chunk(`{"role":"assistant","content":""}`, "null")
	for _, part := range parts(a.Text, a.Chunks) {
		chunk(fmt.Sprintf(`{"content":%s}`, quote(part)), "null")
	}
	for i, call := range a.Calls {
		for _, delta := range callDeltas(i, call, a) {
			chunk(fmt.Sprintf(`{"tool_calls":[%s]}`, delta), "null")
		}
	}
	stop := a.Stop
	if stop == "" && len(a.Calls) > 0 {
		stop = "tool_calls"
	}
	chunk("{}", quote(cmp.Or(stop, "stop")))
	if !a.Quirks.NoUsage {
		emit(`{"id":"chatcmpl-fake","object":"chat.completion.chunk","created":1,"model":%s,"choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d}}}`,
			quote(req.Model), a.Usage.Input+a.Usage.CacheRead, a.Usage.Output, a.Usage.Input+a.Usage.CacheRead+a.Usage.Output, a.Usage.CacheRead)
	}
	if !a.Quirks.NoDone {
		emit("[DONE]")
	}
	return out
}

// callDeltas writes one call in the pieces and with the liberties that the answer asks for.
func callDeltas(i int, call Call, a Answer) []string {
	head := fmt.Sprintf(`"index":%d,`, i)
	if a.Quirks.ZeroIndex {
		head = `"index":0,`
	}
	if a.Quirks.NoIndex {
		head = ""
	}
	first := head
	if !a.Quirks.NoIDs {
		first += fmt.Sprintf(`"id":%s,`, quote(call.ID))
	}
	piece := func(head, name, input string) string {
		var fields []string
		if name != "" {
			fields = append(fields, `"name":`+quote(name))
		}
		return fmt.Sprintf(`{%s"type":"function","function":{%s}}`, head, strings.Join(append(fields, `"arguments":`+input), ","))
	}
	switch {
	case a.Quirks.ObjectInput:
		return []string{piece(first, call.Tool, call.Input)}
	case a.Quirks.WholeCalls:
		return []string{piece(first, call.Tool, quote(call.Input))}
	}
	out := []string{piece(first, call.Tool, `""`)}
	for _, part := range parts(call.Input, a.Chunks) {
		out = append(out, piece(head, "", quote(part)))
	}
	return out
}
