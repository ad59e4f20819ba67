package telegram

import (
	"context"
	"math/rand/v2"
	"time"
)

// sleep waits, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// jitter spreads a wait over ±20 %, so that many do not come back at once.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return d*4/5 + rand.N(d*2/5+1)
}

// grow doubles a wait up to a limit.
func grow(d, first, longest time.Duration) time.Duration {
	if d == 0 {
		return first
	}
	return min(2*d, longest)
}
