package executor

import (
	"context"
	"errors"
	"fmt"

	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// Answer is what a tool returns. The zero Answer is a failure.
type Answer struct {
	Status run.OutputStatus
	Value  any    // the tool's result type in package run, or nil
	Error  string // one sentence for model and user
}

// Done is the answer of a tool that did what was asked.
func Done(value any) Answer { return Answer{Status: run.OutputOK, Value: value} }

// Failed is the answer of a tool that tried and could not.
func Failed(format string, args ...any) Answer {
	return Answer{Status: run.OutputFailed, Error: fmt.Sprintf(format, args...)}
}

// Refused is the answer of a tool that did nothing.
func Refused(format string, args ...any) Answer {
	return Answer{Status: run.OutputRefused, Error: fmt.Sprintf(format, args...)}
}

// TimedOut is the answer of a tool that was cut by its deadline; value is what there was.
func TimedOut(value any, format string, args ...any) Answer {
	return Answer{Status: run.OutputTimedOut, Value: value, Error: fmt.Sprintf(format, args...)}
}

// Refusal is an error that means: nothing was done, and asking again will not help. Its Reason is
// one sentence for model and user.
type Refusal struct{ Reason string }

// Error implements error.
func (r *Refusal) Error() string { return r.Reason }

// Refuse returns a [*Refusal].
func Refuse(format string, args ...any) error {
	return &Refusal{Reason: fmt.Sprintf(format, args...)}
}

// AnswerTo turns an error into the answer that fits: refused for a [*Refusal], timeout for an ended
// context, failed for anything else.
func AnswerTo(err error) Answer {
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		return Refused("%s", refusal.Reason)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return TimedOut(nil, "the call did not end within its time limit")
	}
	return Failed("%s", err)
}

// output is the answer as the frame's content.
func (a Answer) output(call string) run.Output {
	out := run.Output{Call: call, Status: a.Status, Error: sentence(a.Error)}
	if out.Status == "" {
		out.Status, out.Error = run.OutputFailed, "the tool gave no answer"
	}
	if a.Value == nil {
		return out
	}
	value, err := strict.CanonicalOf(a.Value)
	if err != nil {
		return run.Output{Call: call, Status: run.OutputFailed, Error: sentence(fmt.Sprintf("the result cannot be written: %v", err))}
	}
	out.Value = value
	return out
}

// sentence keeps an error short and valid UTF-8, whatever file name or pattern it quotes.
func sentence(text string) string {
	cut, used, _ := render([]byte(text), maxSentence, 2*maxSentence)
	if used < len(text) {
		return cut + "…"
	}
	return cut
}

const maxSentence = 2000 // bytes
