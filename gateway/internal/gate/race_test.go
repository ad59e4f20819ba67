package gate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
)

func TestOfAHundredAnswersOneWins(t *testing.T) {
	for _, waits := range []bool{true, false} {
		t.Run(fmt.Sprintf("somebody waits: %v", waits), func(t *testing.T) {
			w := newWorld(t, nil)
			ctx, stop := context.WithCancelCause(t.Context())
			defer stop(nil)
			out := w.start(ctx, "c1", askNote)
			a := w.question()
			if !waits {
				stop(gate.ErrShutdown)
				if got := <-out; got.Status != claw.Cancelled {
					t.Errorf("Run at shutdown = %+v, want cancelled", got)
				}
				w.restart()
				w.own(w.gate)
			}
			var won, lost atomic.Int32
			var winner atomic.Bool
			var all sync.WaitGroup
			for i := range 100 {
				all.Go(func() {
					d := gate.Decision{Allow: i%2 == 0, By: fmt.Sprint(i + 1), Channel: "telegram"}
					id := a.ID
					if i%3 == 0 {
						id = a.Code
					}
					got, err := w.gate.Decide(t.Context(), id, d)
					switch {
					case err == nil:
						won.Add(1)
						winner.Store(d.Allow)
						if got.Decision == nil || got.Decision.By != d.By {
							t.Errorf("Decide by %d won with %+v", i, got.Decision)
						}
					case errors.Is(err, gate.ErrDecided) && got.Decision != nil:
						lost.Add(1)
					default:
						t.Errorf("Decide by %d = %+v, %v", i, got, err)
					}
				})
			}
			all.Wait()
			if won.Load() != 1 || lost.Load() != 99 {
				t.Errorf("%d answers won and %d lost, want 1 and 99", won.Load(), lost.Load())
			}
			var result claw.ToolResult
			if waits {
				result = <-out
			} else {
				result = w.awaitResumed("c1")
			}
			want, status := []string(nil), claw.Denied
			if winner.Load() {
				want, status = []string{"c1"}, claw.OK
			}
			if result.Status != status {
				t.Errorf("result = %+v, want %s", result, status)
			}
			w.wantEffects(want...)
		})
	}
}

// awaitResumed waits for the result that goes up without a waiter.
func (w *world) awaitResumed(call claw.CallID) claw.ToolResult {
	w.Helper()
	for {
		if got := w.desk.results(call); len(got) > 0 {
			return got[0]
		}
		select {
		case <-w.desk.resumedOne:
		case <-w.Context().Done():
			w.Fatalf("%s was not resumed", call)
		}
	}
}

func TestCallsOfOneTurnAreIndependent(t *testing.T) {
	w := newWorld(t, nil)
	const n = 30
	outs := map[claw.CallID]<-chan claw.ToolResult{}
	for i := range n {
		id := fmt.Sprintf("c%02d", i)
		outs[claw.CallID(id)] = w.start(t.Context(), id, askNote)
	}
	codes := map[string]bool{}
	var want []string
	for i := range n {
		a := w.question()
		if codes[a.Code] {
			t.Errorf("two open questions have the code %s", a.Code)
		}
		codes[a.Code] = true
		d := yes()
		d.Allow = i%2 == 0
		if d.Allow {
			want = append(want, string(a.Call.ID))
		}
		if _, err := w.gate.Decide(t.Context(), a.Code, d); err != nil {
			t.Fatal(err)
		}
		status := claw.OK
		if !d.Allow {
			status = claw.Denied
		}
		if got := <-outs[a.Call.ID]; got.Status != status || got.Call != a.Call.ID {
			t.Errorf("Run(%s) = %+v, want %s", a.Call.ID, got, status)
		}
	}
	w.wantEffects(want...)
}

func TestACodeThatIsTakenIsDrawnAgain(t *testing.T) {
	w := newWorld(t, func(o *gate.Options) {
		// Ids are 16 bytes, codes 4: both calls draw the code 2222 first.
		o.Rand = strings.NewReader("first id, 16 bts" + "\x00\x00\x00\x00" + "other id, 16 bts" + "\x00\x00\x00\x00" + "\xff\x01\xf8\x01\x01\x01")
	})
	w.start(t.Context(), "c1", askNote)
	first := w.question()
	w.start(t.Context(), "c2", askNote)
	second := w.question()
	if first.Code != "2222" || second.Code != "3333" {
		t.Errorf("codes = %s and %s, want 2222 and 3333", first.Code, second.Code)
	}
	third := <-w.start(t.Context(), "c3", askNote)
	if third.Status != claw.Refused {
		t.Errorf("Run without randomness = %+v, want it refused", third)
	}
	if err := w.gate.Cancel(t.Context(), "s1"); err != nil {
		t.Fatal(err)
	}
}
