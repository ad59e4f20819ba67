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

// prepare says when there is nothing left to do but the task. Whoever does not hear it waits in vain, and
// takes another container. taken is closed when the task is there.
func (o Options) prepare(taken <-chan struct{}) {
	if o.Prepare != nil && o.Prepare() != nil {
		return
	}
	quiet := time.NewTimer(lull)
	defer quiet.Stop()
	select {
	case <-taken:
	case <-quiet.C:
		if o.rehearse() != nil {
			return
		}
	}
	if o.Ready != nil {
		_, _ = io.WriteString(o.Ready, run.ReadyLine+"\n")
	}
}

// rehearse takes a task that nobody signed through all that a task goes through, which ends, as it must, in
// a refusal. A program's first use of its own code costs more than the use: its pages are mapped one by one,
// and how a type is read and written is worked out once. No tool is called and no process started: a
// container that waits has run nothing.
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
	return nil
}
