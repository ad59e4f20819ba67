package gate_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
)

func TestNobodyAnswersInTime(t *testing.T) {
	for name, owned := range map[string]bool{"with the owner loop": true, "without it": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				if owned {
					w.own(w.gate)
				}
				began := time.Now()
				got := <-w.start(t.Context(), "c1", askNote)
				if took := time.Since(began); got.Status != claw.Expired || took != gate.DefaultExpiry {
					t.Errorf("Run = %+v after %v, want expired after %v", got, took, gate.DefaultExpiry)
				}
				w.wantEffects()
				w.wantKinds("c1", "approval.asked", "approval.expired")
				if got := w.desk.states("c1"); !slices.Equal(got, []gate.State{gate.Expired}) {
					t.Errorf("card went through %q, want expired once", got)
				}
			})
		})
	}
}

func TestExpiryDependsOnTheOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *gate.Options) {
			o.Expiry = func(from claw.Origin) time.Duration {
				if from.Channel == "heartbeat" {
					return 8 * time.Hour
				}
				return time.Minute
			}
		})
		call := newCall("c1")
		call.Origin = claw.Origin{Channel: "heartbeat"}
		began := time.Now()
		if got := w.gate.Run(t.Context(), call, askNote, text("c1")); got.Status != claw.Expired || time.Since(began) != 8*time.Hour {
			t.Errorf("Run = %+v after %v, want expired after 8h", got, time.Since(began))
		}
	})
}

// The clock on the wall decides, also over a restart and also when nothing of ours ran at the deadline.
func TestAnAnswerAroundTheDeadline(t *testing.T) {
	for name, tc := range map[string]struct {
		at    time.Duration // after the question
		owned bool
		want  error
	}{
		"a second before":                     {gate.DefaultExpiry - time.Second, false, nil},
		"at the deadline":                     {gate.DefaultExpiry, false, gate.ErrExpired},
		"a second after":                      {gate.DefaultExpiry + time.Second, false, gate.ErrExpired},
		"a second after, with the owner loop": {gate.DefaultExpiry + time.Second, true, gate.ErrExpired},
		"the clock went back an hour":         {-time.Hour, false, nil},
	} {
		for _, restart := range []bool{false, true} {
			t.Run(name+map[bool]string{true: ", over a restart"}[restart], func(t *testing.T) {
				var shift atomic.Int64 // how far the clock on the wall is off
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, func(o *gate.Options) { o.Now = func() time.Time { return time.Now().Add(time.Duration(shift.Load())) } })
					ctx, stop := context.WithCancelCause(t.Context())
					out := w.start(ctx, "c1", askNote)
					a := w.question()
					if restart {
						stop(gate.ErrShutdown)
						<-out
						w.restart()
					}
					shift.Store(int64(tc.at))
					if tc.owned || restart && tc.want == nil {
						w.own(w.gate)
						synctest.Wait()
					}
					got, err := w.gate.Decide(t.Context(), a.ID, yes())
					if !errors.Is(err, tc.want) || tc.want == nil && err != nil {
						t.Errorf("Decide = %v, %v, want %v", got.State, err, tc.want)
					}
					var result claw.ToolResult
					if restart {
						result = w.awaitResumed("c1")
					} else {
						result = <-out
					}
					stop(nil)
					if tc.want != nil {
						if got.State != gate.Expired || result.Status != claw.Expired {
							t.Errorf("approval is %s with result %+v, want expired", got.State, result)
						}
						w.wantEffects()
						return
					}
					if result.Status != claw.OK {
						t.Errorf("result = %+v, want ok", result)
					}
					w.wantEffects("c1")
				})
			})
		}
	}
}

func TestExpiryWhenNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		ctx, stop := context.WithCancelCause(t.Context())
		out := w.start(ctx, "c1", askNote)
		w.question()
		time.Sleep(20 * time.Minute)
		stop(gate.ErrShutdown)
		<-out
		w.restart()
		if got, err := w.gate.Recover(t.Context(), nil); err != nil || len(got) != 0 {
			t.Errorf("Recover before the deadline = %+v, %v, want nothing", got, err)
		}
		w.own(w.gate)
		time.Sleep(10*time.Minute - time.Second)
		synctest.Wait()
		if got := w.desk.results("c1"); len(got) != 0 {
			t.Errorf("a second before the deadline: resumed with %+v", got)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := w.desk.results("c1"); len(got) != 1 || got[0].Status != claw.Expired {
			t.Errorf("at the deadline: resumed with %+v, want expired once", got)
		}
		w.wantEffects()
	})
}

func TestRecoverExpiresWhatPassedItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		ctx, stop := context.WithCancelCause(t.Context())
		out := w.start(ctx, "c1", askNote)
		w.question()
		stop(gate.ErrShutdown)
		<-out
		time.Sleep(gate.DefaultExpiry)
		w.restart()
		got, err := w.gate.Recover(t.Context(), nil)
		if err != nil || len(got) != 1 || got[0].Outcome != gate.Expires || got[0].Call != "c1" {
			t.Errorf("Recover = %+v, %v, want c1 expired", got, err)
		}
		if got := w.desk.results("c1"); len(got) != 1 || got[0].Status != claw.Expired {
			t.Errorf("resumed with %+v, want expired once", got)
		}
	})
}

func TestStopReachesACallThatWasResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		ctx, stop := context.WithCancelCause(t.Context())
		out := w.start(ctx, "c1", askNote)
		a := w.question()
		stop(gate.ErrShutdown)
		<-out
		w.restart()
		w.tools[0].hook = func(ctx context.Context) { <-ctx.Done() }
		w.own(w.gate)
		if _, err := w.gate.Decide(t.Context(), a.ID, yes()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.wantEffects("c1")
		if err := w.gate.Cancel(t.Context(), "s1"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := w.desk.results("c1"); len(got) != 1 || got[0].Status != claw.Cancelled {
			t.Errorf("resumed with %+v, want cancelled once", got)
		}
	})
}

// A call that finds its answer in the store by itself, before it is woken, has it: its end must not
// go up a second time, as if nobody had waited.
func TestAWaiterThatLooksByItselfIsNoOrphan(t *testing.T) {
	for name, allow := range map[string]bool{"allowed": true, "denied": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(o *gate.Options) {
					o.Step = func(step string) {
						if step == gate.StepDecided {
							time.Sleep(time.Minute) // longer than a waiter goes without looking
						}
					}
				})
				w.own(w.gate)
				end := w.start(t.Context(), "c1", askNote)
				a := w.question()
				if _, err := w.gate.Decide(t.Context(), a.ID, gate.Decision{Allow: allow, By: "1000", Channel: "terminal"}); err != nil {
					t.Fatal(err)
				}
				<-end
				synctest.Wait()
				if got := w.desk.results("c1"); len(got) != 0 {
					t.Errorf("Resumed was called with %+v for a call that had its answer", got)
				}
				if got := len(w.effects()); got > 1 || (got == 1) != allow {
					t.Errorf("%d effects when allowed is %v", got, allow)
				}
			})
		})
	}
}
