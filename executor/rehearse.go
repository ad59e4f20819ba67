package executor

import (
	"context"
	"encoding/base64"
	"io"
	"time"

	"github.com/secureclaw/secureclaw/internal/capability"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// lull is how long nothing is rehearsed: a task that was there before the container is read by then.
const lull = 20 * time.Millisecond

// wait is the time until the task comes.
type wait struct {
	over chan struct{} // closed when it came
	turn chan struct{} // full while something is rehearsed, and when the task has begun
}

func newWait() *wait { return &wait{over: make(chan struct{}), turn: make(chan struct{}, 1)} }

// end is called when the task is there. It returns when nothing is rehearsed any more, nor will be.
func (w *wait) end() {
	close(w.over)
	w.turn <- struct{}{}
}

// rehearse calls f unless the task is there.
func (w *wait) rehearse(f func() error) error {
	quiet := time.NewTimer(lull)
	defer quiet.Stop()
	select {
	case <-w.over:
		return nil
	case <-quiet.C:
	}
	select {
	case <-w.over:
		return nil
	case w.turn <- struct{}{}:
	}
	defer func() { <-w.turn }()
	return f()
}

// prepare says when there is nothing left to do but the task. Whoever does not hear it waits in vain, and
// takes another container.
func (o Options) prepare(w *wait) {
	if o.Prepare != nil && o.Prepare() != nil {
		return
	}
	if w.rehearse(o.rehearse) != nil {
		return
	}
	if o.Ready != nil {
		_, _ = io.WriteString(o.Ready, run.ReadyLine+"\n")
	}
}

// rehearse takes a task that nobody signed through all that a task goes through, which ends, as it must, in
// a refusal. A program's first use of its own code costs more than the use: its pages are mapped one by one,
// and how a type is read and written is worked out once.
func (o Options) rehearse() error {
	task := run.Task{Call: "rehearsal", Tool: "none", Input: strict.Value("{}"), Roots: []run.Root{{Name: "none", Path: "/none", Mode: "ro"}}, TimeoutMS: 1000, OutputCap: 1}
	body, err := strict.CanonicalOf(task)
	if err != nil {
		return err
	}
	line, err := strict.Encode(run.Envelope{Token: "none", Task: body, Nonce: "none"})
	if err != nil {
		return err
	}
	if _, err := o.serve(line, nil); err != nil {
		return err
	}
	if key, err := base64.StdEncoding.Strict().DecodeString(o.Key); err == nil {
		capability.NewVerifier(key, o.Now).Rehearse(body)
	}
	_ = Perform(context.Background(), task, func(context.Context, Call) Answer { return Done("") })
	if o.Rehearse == nil {
		return nil
	}
	return o.Rehearse()
}
