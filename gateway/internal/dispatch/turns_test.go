package dispatch

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestOneSessionLeavesRoomForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all turns
		var running atomic.Int64
		for range 32 {
			go func() {
				give, ok := all.take(t.Context(), "greedy")
				if !ok {
					t.Error("take in a living context = false")
					return
				}
				running.Add(1)
				time.Sleep(time.Minute)
				running.Add(-1)
				give()
			}()
		}
		synctest.Wait()
		if got := running.Load(); got != perSession {
			t.Errorf("%d calls of one session run at once, want %d", got, perSession)
		}
		give, ok := all.take(t.Context(), "other") // would block for ever
		if !ok {
			t.Fatal("another session got no turn")
		}
		give()
		stopped, stop := context.WithCancel(t.Context())
		stop()
		if _, ok := all.take(stopped, "greedy"); ok {
			t.Error("a stopped call got a turn")
		}
		time.Sleep(9 * time.Minute)
		synctest.Wait()
		if running.Load() != 0 || len(all.open) != 0 {
			t.Errorf("after all calls: %d run, %d sessions are remembered, want none", running.Load(), len(all.open))
		}
	})
}
