package gateway

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// spending is what was spent, as the store knows it.
type spending interface {
	UsageSince(ctx context.Context, since, before time.Time) (u claw.Usage, upto int64, err error)
	UsageAfter(ctx context.Context, since, before time.Time, after int64) (u claw.Usage, upto int64, err error)
	TaskOf(ctx context.Context, session claw.SessionID) (claw.Task, bool, error)
}

// budget holds the limits of tokens against what was spent. Every token counts the same, whether it was
// written, read at full price, or read from or written to a cache: a limit is a bound on work, not a bill.
//
// It is asked before a question, and what a question costs is known after it. So a limit is passed by what
// is under way when it is reached: one question and its answer for each conversation that runs then.
type budget struct {
	limits config.Limits
	store  spending
	now    func() time.Time
	// announce says a sentence to everybody.
	announce func(key, text string)

	mu   sync.Mutex
	day  time.Time // the midnight from which on sum counts
	sum  int64
	upto int64     // how far sum has read
	told time.Time // the day that everybody was told of
}

// Spend says why no more may be spent, or nothing.
func (b *budget) Spend(ctx context.Context, session claw.SessionID, origin claw.Origin) (string, error) {
	if b.limits.TokensPerDay > 0 {
		day, sum, err := b.today(ctx)
		if err != nil {
			return "", fmt.Errorf("what was spent today: %w", err)
		}
		if sum >= b.limits.TokensPerDay {
			why := fmt.Sprintf("Paused: %s tokens were spent today, and the limit is %s a day.", grouped(sum), grouped(b.limits.TokensPerDay))
			until := daysAfter(day, 1).Sub(b.now()).Round(time.Minute)
			fix := fmt.Sprintf("It begins anew at midnight, in %s; or raise limits.tokensPerDay in secureclaw.yaml and restart SecureClaw.", hours(until))
			b.tell(day, why+" Nothing asks the model until then, heartbeats neither. "+fix)
			return why + " " + fix + ` Then say "go on".`, nil
		}
	}
	return b.spendTask(ctx, session)
}

// spendTask says why a task may spend no more.
func (b *budget) spendTask(ctx context.Context, session claw.SessionID) (string, error) {
	if b.limits.TokensPerTask <= 0 {
		return "", nil
	}
	task, ok, err := b.store.TaskOf(ctx, session)
	if err != nil || !ok {
		return "", err
	}
	used, allowed := total(task.Usage), int64(max(task.Grants, 1))*b.limits.TokensPerTask
	if used < allowed {
		return "", nil
	}
	return fmt.Sprintf(`Paused: this task has spent %s tokens of the %s that it may. Say "go on" to allow %s more; limits.tokensPerTask in secureclaw.yaml sets how much that is.`,
		grouped(used), grouped(allowed), grouped(b.limits.TokensPerTask)), nil
}

// today is what was spent since midnight, and that midnight. It reads only what was written since the last time.
// What bears a later date was spent before the clock was set back: it counts on the day that it bears.
func (b *budget) today(ctx context.Context) (time.Time, int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	day := midnight(b.now())
	next := daysAfter(day, 1)
	if !day.Equal(b.day) || b.upto == 0 { // a new day, a clock that was set back, or nothing read yet
		used, upto, err := b.store.UsageSince(ctx, day, next)
		if err != nil {
			return day, 0, err
		}
		b.day, b.sum, b.upto = day, total(used), upto
		return day, b.sum, nil
	}
	used, upto, err := b.store.UsageAfter(ctx, day, next, b.upto)
	if err != nil {
		return day, 0, err
	}
	b.sum, b.upto = b.sum+total(used), upto
	return day, b.sum, nil
}

// show puts today's sum into a status. A store that does not answer is no reason to have no status.
func (b *budget) show(ctx context.Context, s *wire.GatewayStatus) {
	s.TodayMost = b.limits.TokensPerDay
	if _, sum, err := b.today(ctx); err == nil {
		s.Today = sum
	}
}

// tell says once a day that the day's limit is reached.
func (b *budget) tell(day time.Time, text string) {
	b.mu.Lock()
	first := !b.told.Equal(day)
	b.told = day
	b.mu.Unlock()
	if first {
		b.announce("limit.day."+day.Format(time.DateOnly), text)
	}
}

// total is what counts against a limit.
func total(u claw.Usage) int64 { return u.Input + u.Output + u.CacheRead + u.CacheWrite }

// hours says a duration in hours and minutes.
func hours(d time.Duration) string {
	d = max(d, time.Minute)
	if d < time.Hour {
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
}

// grouped writes a number with its thousands apart.
func grouped(n int64) string {
	text := fmt.Sprint(n)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}
