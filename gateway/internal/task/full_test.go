package task_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/gateway/internal/llm"
)

// A disk that is full for a while, at whatever write, ends a task with an honest answer, and not without one: what its
// iterations did is known to the next ones, and what they have read to its conversation.
func TestFullDisk(t *testing.T) {
	writes := func(t *testing.T, from int) (got string, task claw.Task, o *office, n int) {
		var count atomic.Int64
		o = newOffice(t, func(o *office) {
			o.full = func() bool { n := int(count.Add(1)); return from > 0 && n >= from && n < from+2 }
			o.think = func(n, used int, _ string) llm.Reply {
				if used == 0 {
					return calls("look", fmt.Sprintf(`{"at":"%d"}`, n))
				}
				if n >= 2 {
					return says("the answer")
				}
				return says(fmt.Sprintf("note %d\n[DONE %d]\n%s", n, n, claw.TaskGoesOn))
			}
		})
		msg := claw.Message{ID: "m1", Session: "s", Text: request, Origin: claw.Origin{Channel: "terminal", User: "0"}, Label: claw.UserLabel()}
		if _, err := o.db.AcceptMessage(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
		o.said = 1
		answer, err := o.runner.Answer(t.Context(), msg, "run", o)
		if err != nil && from != 1 { // the message itself was not stored
			t.Errorf("Answer: %v, want an answer", err)
		}
		if err := o.db.Answered(t.Context(), "terminal", "m1", answer.Text); err != nil {
			t.Fatal(err)
		}
		task, _, err = o.db.LastTask(t.Context(), "s")
		if err != nil {
			t.Fatal(err)
		}
		return answer.Text, task, o, int(count.Load())
	}
	_, _, _, all := writes(t, 0)
	for from := 2; from <= all; from++ {
		t.Run(fmt.Sprint("write ", from), func(t *testing.T) {
			t.Parallel()
			text, task, o, _ := writes(t, from)
			if task.ID == "" || task.State == claw.TaskOpen || task.Child != "" || task.Answer != text {
				t.Errorf("the task is %+v with the answer %q, want it at its end", task, text)
				return
			}
			turns, err := o.db.Turns(t.Context(), "s", 0)
			if err != nil || len(turns) != 2 || turns[1].Text != text {
				t.Errorf("the conversation is %+v (%v), want the request and its answer", turns, err)
			}
			label, err := o.db.Label(t.Context(), "s")
			if err != nil || len(label.Sources) < len(o.looks) {
				t.Errorf("the conversation has read %v (%v), its iterations %v", label.Sources, err, o.looks)
			}
			if task.State == claw.TaskDone {
				return
			}
			seen := len(o.looks)
			if got := o.say("go on"); got.Text != "the answer" {
				t.Errorf("go on gets %q, want the task to go on", got.Text)
			}
			for i := range o.looks[:seen] {
				brief := o.asked[len(o.asked)-1].Turns[0].Text
				if !strings.Contains(brief, fmt.Sprintf("Iteration %d: ", i+1)) {
					t.Errorf("what comes after reads %q, want iteration %d in it", brief, i+1)
				}
			}
		})
	}
}

// Whoever stops the task, or the gateway, does not wait for the disk.
func TestFullDiskIsNoPrison(t *testing.T) {
	for name, cause := range map[string]error{"the user": context.Canceled, "the gateway": gate.ErrShutdown} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			full := make(chan struct{})
			var once sync.Once
			o := newOffice(t, func(o *office) {
				o.full = func() bool {
					select {
					case <-full:
						return true
					default:
						return false
					}
				}
				o.think = func(int, int, string) llm.Reply {
					once.Do(func() { close(full); time.AfterFunc(50*time.Millisecond, func() { cancel(cause) }) })
					return says("the answer")
				}
			})
			msg := claw.Message{ID: "m1", Session: "s", Text: request, Origin: claw.Origin{Channel: "terminal", User: "0"}, Label: claw.UserLabel()}
			if _, err := o.db.AcceptMessage(t.Context(), msg); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if _, err := o.runner.Answer(ctx, msg, "run", o); err == nil || time.Since(began) > 10*time.Second {
				t.Errorf("Answer = %v after %s, want an error soon", err, time.Since(began))
			}
		})
	}
}
