package task

import (
	"context"
	"time"
)

// The pauses after a store failed, from the first to the longest, and how often it is tried.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 30 * time.Second
	mostTries    = 25
)

// persist repeats a write until it worked: a disk can be full for a while, and a task without its end is one
// whose effects nobody knows of. Whoever stops the task or the gateway ends that; so do ten minutes.
func (r *Runner) persist(ctx context.Context, write func(context.Context) error) error {
	keep := context.WithoutCancel(ctx)
	for tries, pause := 1, firstPause; ; tries, pause = tries+1, min(2*pause, longestPause) {
		err := write(keep)
		if err == nil || tries == mostTries {
			return err
		}
		r.o.Log.Error("the end of a task is not stored, trying again", "err", err)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return write(keep)
		}
	}
}
