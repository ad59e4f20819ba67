// Package llm is the language of models: one request, one reply, and the ways a model can fail.
//
// Its adapters (anthropic, openai, rehearsal) promise that a [Reply] with calls is a whole one:
// an answer that was cut, in mid-stream or by the token limit, never yields a call. What a reply
// contains is not trusted; its inputs are bytes that the gate parses.
package llm

import (
	"fmt"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// Request is one question to a model.
type Request struct {
	// System is the prompt in blocks. The first Stable blocks are the same from turn to turn, so a
	// provider may cache the prompt up to their end.
	System []string
	Stable int
	Tools  []claw.Tool
	Turns  []claw.Turn
	// NoCalls says that no tool may be called now. The tools are named all the same where that keeps a
	// provider's cache of the conversation.
	NoCalls bool
	// MaxTokens is the most tokens of the answer.
	MaxTokens int
}

// Stop is why an answer ended.
type Stop string

// The ends of an answer. Only StopTools carries calls.
const (
	StopEnd     Stop = "end"
	StopTools   Stop = "tools"
	StopLength  Stop = "length"  // the token limit cut it
	StopRefusal Stop = "refusal" // the model or its provider declined
)

// MaxInputBytes is the most bytes of all tool inputs of one answer that an adapter collects; more is an [Error] of kind TooLarge.
const MaxInputBytes = 8 << 20

// Reply is one whole answer. Calls have ModelID, Tool and Input set; their ID is the agent's to give.
type Reply struct {
	Text  string
	Calls []claw.ToolCall
	Stop  Stop
	Usage claw.Usage
	Model string // as the provider names the one that answered
}

// Kind sorts failures by what can be done about them.
type Kind string

// The kinds of failure.
const (
	RateLimited Kind = "rate_limited" // 429 after the retries; RetryAfter may be set
	Overloaded  Kind = "overloaded"   // 529, 503, 5xx after the retries
	Auth        Kind = "auth"         // 401, 403
	NotFound    Kind = "not_found"    // no such model, no such path
	BadRequest  Kind = "bad_request"  // 400, 413, 422
	Cut         Kind = "cut"          // the stream ended before the answer did, or was not the protocol
	TooLarge    Kind = "too_large"    // more than MaxInputBytes of tool input
	Timeout     Kind = "timeout"
	Unreachable Kind = "unreachable" // no connection
)

// Error is a failure of a model, in words for the user. It holds no secret and no body of an answer.
type Error struct {
	Kind       Kind
	What       string // "Claude is overloaded (529) and did not answer after 3 tries"
	Fix        string // "try again in a minute"
	RetryAfter time.Duration
}

func (e *Error) Error() string {
	if e.Fix == "" {
		return e.What
	}
	return fmt.Sprintf("%s; %s", e.What, e.Fix)
}
