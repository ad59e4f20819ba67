package link

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/llm"
)

// Failure is an attempt that did not succeed. Again says that another one may: only what failed
// before an answer began is tried again, so that no text is shown twice.
type Failure struct {
	Err   *llm.Error
	Again bool
}

// Retry says how often and how patiently.
type Retry struct {
	Tries   int           // attempts in all, at least one
	MaxWait time.Duration // a server that asks for a longer wait is not waited for
	Now     func() time.Time
	// Wait returns after d, or with the error of ctx when that ends first.
	Wait func(ctx context.Context, d time.Duration) error
}

// Do attempts until one succeeds, none is left, or the next would have to wait longer than MaxWait or the
// deadline of ctx allows. Its error is the last [*llm.Error], or that of ctx.
func (r Retry) Do(ctx context.Context, attempt func(context.Context) *Failure) error {
	for try := 1; ; try++ {
		failure := attempt(ctx)
		if failure == nil {
			return nil
		}
		if err := ctx.Err(); errors.Is(err, context.Canceled) {
			return err
		}
		out := *failure.Err
		if try > 1 {
			out.What += fmt.Sprintf(", also after %d tries", try)
		}
		// One agent serves one user, so there is no herd that jitter would have to spread.
		wait := 500 * time.Millisecond << (try - 1)
		if out.RetryAfter > 0 {
			wait = out.RetryAfter
		}
		deadline, limited := ctx.Deadline()
		if !failure.Again || try >= r.Tries || wait > r.MaxWait || limited && r.Now().Add(wait).After(deadline) {
			return &out
		}
		if err := r.Wait(ctx, wait); err != nil {
			return err
		}
	}
}

// Sleep is the Wait of programs.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// RetryAfter reads what a server asks for: retry-after-ms, or retry-after in seconds or as a date. Zero means nothing usable.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	const most = 365 * 24 * time.Hour // beyond it a multiplication could overflow
	if ms, err := strconv.ParseFloat(h.Get("Retry-After-Ms"), 64); err == nil && ms > 0 {
		return time.Duration(min(ms, float64(most.Milliseconds())) * float64(time.Millisecond))
	}
	text := h.Get("Retry-After")
	if s, err := strconv.ParseFloat(text, 64); err == nil && s > 0 {
		return time.Duration(min(s, most.Seconds()) * float64(time.Second))
	}
	if at, err := http.ParseTime(text); err == nil && at.After(now) {
		return min(at.Sub(now), most)
	}
	return 0
}
