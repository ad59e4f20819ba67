package runner

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/internal/capability"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// claimsOf is what a slot reads of a token that lives for a while.
func claimsOf(session string, lives time.Duration) capability.Claims {
	return capability.Claims{Session: session, Expires: time.Now().Add(lives).Unix()}
}

func TestSlotsSayWhyNot(t *testing.T) {
	const most = 2
	for name, tc := range map[string]struct {
		waiting []string // whose calls wait
		call    capability.Claims
		stopped bool
		want    run.Refusal
	}{
		"the token expires first": {
			want: run.Refusal{Code: codeBusy, What: "Too many calls run at once, so this one did not.", Why: "2 run at a time, and this one waited until its token expired.", Fix: "Try again in a moment."},
		},
		"too many of the same session": {
			waiting: strings.Fields(strings.Repeat("me ", maxWaitingOfOne)),
			want:    run.Refusal{Code: codeBusy, What: "Too many calls run at once, so this one did not.", Why: "2 run at a time, and 32 of the same session wait already.", Fix: "Ask for fewer calls at once."},
		},
		"too many of all": {
			waiting: strings.Fields(strings.Repeat("x ", maxWaiting)),
			want:    run.Refusal{Code: codeBusy, What: "Too many calls run at once, so this one did not.", Why: "2 run at a time, and 64 wait already.", Fix: "Try again in a moment."},
		},
		"cancelled": {
			stopped: true,
			want:    run.Refusal{Code: "cancelled", What: "The call was cancelled while it waited, so nothing ran."},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSlots(most)
				for _, session := range []string{"me", "other"} {
					give, waited, refusal := s.take(t.Context(), claimsOf(session, time.Hour), time.Now())
					if refusal != nil || waited != 0 {
						t.Fatalf("take of a free place: %+v after %d us", refusal, waited)
					}
					defer give()
				}
				ctx, stop := context.WithCancel(t.Context())
				for i, session := range tc.waiting {
					if session == "x" {
						session += strconv.Itoa(i) // everybody has one
					}
					go s.take(ctx, claimsOf(session, time.Hour), time.Now())
				}
				synctest.Wait()
				mine, leave := context.WithCancel(ctx)
				if tc.stopped {
					time.AfterFunc(time.Second, leave)
				}
				_, waited, refusal := s.take(mine, claimsOf("me", time.Minute), time.Now())
				if refusal == nil {
					t.Fatal("take of a place that is not free returned one")
				}
				if diff := cmp.Diff(tc.want, *refusal); diff != "" {
					t.Errorf("refusal (-want +got):\n%s", diff)
				}
				if name == "the token expires first" && waited < 59e6 {
					t.Errorf("waited %d us, want a minute", waited)
				}
				stop()
				leave()
				synctest.Wait()
			})
		})
	}
}

// Who opens connections without end gets an end, and the runner works on when they are gone.
func TestConnectionsHaveABound(t *testing.T) {
	b := newBed(t, testConfig())
	var open []*wire.Conn
	for range maxPeers {
		open = append(open, b.dial(t))
	}
	// The handshake of the last may be just before it is counted.
	var refused *run.Refusal
	for limit := time.After(20 * time.Second); refused == nil; {
		conn := b.dial(t)
		got := make(chan run.Event, 1)
		go func() {
			var e run.Event
			_ = conn.Receive(&e) // ends with the connection
			got <- e
		}()
		select {
		case e := <-got:
			refused = e.Refusal
		case <-time.After(100 * time.Millisecond):
			open = append(open, conn)
		case <-limit:
			t.Fatalf("none of %d connections was refused, want the one after %d", len(open), maxPeers)
		}
	}
	if refused.Code != codeBusy || len(open) > maxPeers+1 {
		t.Errorf("connection %d was refused with %+v, want the one after %d with %s", len(open)+1, refused, maxPeers, codeBusy)
	}
	for _, conn := range open {
		_ = conn.Close()
	}
	for limit := time.After(20 * time.Second); ; {
		conn := b.dial(t)
		_ = conn.Send(run.Request{Status: &struct{}{}}) // may be refused, until those are noticed
		var e run.Event
		if conn.Receive(&e) == nil && e.Status != nil {
			return
		}
		select {
		case <-limit:
			t.Fatal("no status after all connections were closed")
		case <-time.After(time.Millisecond):
		}
	}
}
