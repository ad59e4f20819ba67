package sandbox

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Who waits for a call goes first, preparing leaves a turn free, and who gives up leaves none behind.
func TestStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStarts(2)
		var mu sync.Mutex
		var order []string
		done := make(chan struct{})
		begin := func(name string, urgent bool) {
			go func() {
				if s.take(t.Context(), urgent) == nil {
					mu.Lock()
					order = append(order, name)
					mu.Unlock()
					time.Sleep(time.Second)
					s.give()
				}
				done <- struct{}{}
			}()
			synctest.Wait()
		}
		begin("later 1", false)
		begin("later 2", false) // the second turn is for calls
		begin("urgent 1", true)
		begin("urgent 2", true)
		begin("later 3", false)
		begin("urgent 3", true)
		for range 6 {
			<-done
		}
		want := []string{"later 1", "urgent 1", "urgent 2", "urgent 3", "later 2", "later 3"}
		for i := range want {
			if order[i] != want[i] {
				t.Fatalf("order %v, want %v", order, want)
			}
		}
		if s.free != 2 {
			t.Errorf("%d turns are free at the end, want 2", s.free)
		}
	})
}

func TestStartsGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStarts(1)
		if err := s.take(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.take(ctx, true); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("take = %v, want the deadline", err)
		}
		if err := s.take(ctx, false); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("take = %v, want the deadline", err)
		}
		s.give()
		if s.free != 1 || len(s.urgent)+len(s.later) > 0 {
			t.Errorf("starts = %+v, want one turn free and nobody waiting", s)
		}
	})
}
