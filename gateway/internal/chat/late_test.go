package chat_test

import (
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/gateway/internal/llm"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// A message that had become old when its run began, because it waited, counts as late in each iteration of its
// task, after a restart too. One that was answered at once does not become late by a restart.
func TestLateHoldsAfterARestart(t *testing.T) {
	for name, tc := range map[string]struct{ waits, late bool }{"it waited": {true, true}, "at once": {false, false}} {
		t.Run(name, func(t *testing.T) {
			h := furnish(t, func(h *house) { h.late, h.model.think = 5*time.Minute, works })
			b := h.bridge()
			say := func(id, text string) {
				b.send(wire.Up{Message: &wire.Message{ID: id, User: anna, Text: text, Sent: h.now()}})
			}
			if tc.waits {
				say("m0", "send carl")
				first := b.card(anna, "pending")
				say("m1", errand)
				for open := 0; open < 2; time.Sleep(time.Millisecond) { // the second one is stored
					all, err := h.db.Unanswered(t.Context())
					if open = len(all); err != nil {
						t.Fatal(err)
					}
				}
				h.ahead.Store(int64(10 * time.Minute))
				b.tap(anna, first, true)
			} else {
				say("m1", errand)
			}
			next := func(to string) gate.Approval {
				t.Helper()
				for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
					pending, err := h.db.Approvals().List(t.Context(), gate.Query{States: []gate.State{gate.Pending}})
					if err == nil && len(pending) == 1 && string(pending[0].Action.Input) == `{"to":"`+to+`"}` {
						return pending[0]
					}
					if time.Now().After(deadline) {
						t.Fatalf("no question about %s: %+v (%v)", to, pending, err)
					}
				}
			}
			is := func(a gate.Approval, when string) {
				t.Helper()
				if got := a.Call.Origin.Late > 0; got != tc.late || a.Call.Origin.User != anna {
					t.Errorf("%s the call is of %+v, want it late: %v", when, a.Call.Origin, tc.late)
				}
			}
			a := next("ada")
			is(a, "before the restart")
			b.gone(h)
			h.stop()
			h.ahead.Add(int64(time.Minute))
			h.start()
			c := h.connect()
			c.send(wire.Up{Decide: &wire.Decide{Ref: "d", Approval: a.ID, Allow: true}})
			is(next("bob"), "after it")
		})
	}
}

// A "go on" that comes late goes on with the task: what we say before it is not its word.
func TestGoOnThatComesLate(t *testing.T) {
	h := furnish(t, func(h *house) {
		h.late = 5 * time.Minute
		h.model.think = func(req llm.Request) (llm.Reply, bool) {
			if strings.Contains(req.Turns[len(req.Turns)-1].Text, claw.PlanAsked) {
				return says("1. a\n2. b")(req)
			}
			return says("more\n" + claw.TaskGoesOn)(req)
		}
	})
	b := h.bridge()
	b.say("m1", anna, errand)
	b.shows("after 10 iterations")
	b.send(wire.Up{Message: &wire.Message{ID: "m2", User: anna, Text: "Go on.", Sent: h.now().Add(-time.Hour)}})
	b.shows("after 20 iterations")
}
