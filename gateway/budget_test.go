package gateway

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
	"github.com/secureclaw/secureclaw/internal/config"
)

// purse is a budget on a real store, with a clock that the test sets.
type purse struct {
	*budget
	t    *testing.T
	db   *sqlite.DB
	at   time.Time
	told []string
}

func newPurse(t *testing.T, limits config.Limits) *purse {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	db, err := sqlite.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	p := &purse{t: t, db: db, at: time.Date(2026, 10, 24, 18, 30, 0, 0, zone)}
	p.budget = &budget{
		limits: limits, store: db, now: func() time.Time { return p.at },
		announce: func(key, text string) { p.told = append(p.told, key+": "+text) },
	}
	return p
}

func (p *purse) spent(session claw.SessionID, origin claw.Origin, u claw.Usage) {
	p.t.Helper()
	if err := p.db.AddUsage(p.t.Context(), claw.ModelCall{Session: session, Origin: origin, Model: "m", Usage: u, At: p.at}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *purse) says(session claw.SessionID, want ...string) {
	p.t.Helper()
	got, err := p.Spend(p.t.Context(), session, claw.Origin{Channel: "terminal"})
	if err != nil {
		p.t.Fatal(err)
	}
	if len(want) == 0 && got != "" {
		p.t.Errorf("%s: Spend(%s) = %q, want nothing", p.at, session, got)
	}
	for _, w := range want {
		if !strings.Contains(got, w) {
			p.t.Errorf("%s: Spend(%s) = %q, want %q in it", p.at, session, got, w)
		}
	}
}

// Every kind of token counts, whoever spends it; at midnight of the local clock it begins anew, also on a
// day of 25 hours.
func TestTokensPerDay(t *testing.T) {
	p := newPurse(t, config.Limits{TokensPerDay: 1000})
	p.says("s")
	p.spent("s", claw.Origin{Channel: "terminal"}, claw.Usage{Input: 100, Output: 200})
	p.spent("h", claw.Origin{Channel: claw.HeartbeatChannel, User: "morning"}, claw.Usage{CacheRead: 300, CacheWrite: 399})
	p.says("s")
	p.spent("other", claw.Origin{Channel: "telegram", User: "7"}, claw.Usage{Input: 1})
	p.says("s", "1,000 tokens", "1,000 a day", "in 5 h 30 min", "limits.tokensPerDay", `"go on"`)
	p.says("never seen", "Paused")
	if len(p.told) != 1 || !strings.HasPrefix(p.told[0], "limit.day.2026-10-24: ") || !strings.Contains(p.told[0], "heartbeats") {
		t.Errorf("everybody was told %q, want it once", p.told)
	}
	p.at = p.at.Add(5*time.Hour + 29*time.Minute + 59*time.Second)
	p.says("s", "in 1 min")
	p.at = p.at.Add(time.Second) // 0:00 on the day on which the clock is set back
	p.says("s")
	p.spent("s", claw.Origin{Channel: "terminal"}, claw.Usage{Output: 1000})
	p.says("s", "in 25 h 0 min")
	p.at = p.at.Add(24 * time.Hour) // 23:00: still that day
	p.says("s", "in 1 h 0 min")
	p.at = p.at.Add(time.Hour)
	p.says("s")
	if len(p.told) != 2 {
		t.Errorf("everybody was told %q, want it once a day", p.told)
	}
	// A clock that is set back does not give the day's tokens again.
	p.at = p.at.Add(-time.Hour)
	p.says("s", "1,000 tokens")
}

// What was spent while the clock was wrong, and ahead, counts on the day that it bears: not on each day until then.
func TestAClockThatWasAhead(t *testing.T) {
	p := newPurse(t, config.Limits{TokensPerDay: 1000})
	now := p.at
	p.at = now.AddDate(10, 0, 0)
	p.spent("s", claw.Origin{Channel: "terminal"}, claw.Usage{Input: 1000})
	p.says("s", "Paused")
	p.at = now
	p.says("s")
	p.spent("s", claw.Origin{Channel: "terminal"}, claw.Usage{Input: 999})
	p.says("s")
	fresh := &budget{limits: p.limits, store: p.db, now: p.now}
	if _, sum, err := fresh.today(t.Context()); sum != 999 || err != nil {
		t.Errorf("today after a restart = %d, %v, want 999", sum, err)
	}
	p.spent("s", claw.Origin{Channel: "terminal"}, claw.Usage{Input: 1})
	p.says("s", "1,000 tokens")
	p.at = now.AddDate(10, 0, 0)
	p.says("s", "Paused")
}

// The sum in memory is that of the store, however answers and questions mix.
func TestTodayIsExact(t *testing.T) {
	p := newPurse(t, config.Limits{TokensPerDay: 1 << 40})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 25 {
				if err := p.db.AddUsage(t.Context(), claw.ModelCall{Session: "s", Model: "m", Usage: claw.Usage{Input: int64(i)}, At: p.at}); err != nil {
					t.Error(err)
				}
				if _, err := p.Spend(t.Context(), "s", claw.Origin{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if _, sum, err := p.today(t.Context()); sum != 4*300 || err != nil {
		t.Errorf("today = %d, %v, want 1200", sum, err)
	}
	// So is it after a restart.
	fresh := &budget{limits: p.limits, store: p.db, now: p.now}
	if _, sum, err := fresh.today(t.Context()); sum != 4*300 || err != nil {
		t.Errorf("today after a restart = %d, %v, want 1200", sum, err)
	}
}

func TestTokensPerTask(t *testing.T) {
	p := newPurse(t, config.Limits{TokensPerTask: 1000})
	if _, err := p.db.CreateSession(t.Context(), claw.Session{ID: "talk", Created: p.at}); err != nil {
		t.Fatal(err)
	}
	first := claw.Task{ID: "t1", Session: "talk", Message: "m1", Grants: 1, Planning: claw.Usage{Input: 100}}
	second := claw.Task{ID: "t2", Session: "talk", Message: "m2"}
	for _, task := range []claw.Task{first, second} {
		if ok, err := p.db.CreateTask(t.Context(), task); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	for session, task := range map[claw.SessionID]claw.Task{"one": first, "two": first, "else": second} {
		if err := p.db.BeginIteration(t.Context(), task, claw.Session{ID: session, Created: p.at}); err != nil {
			t.Fatal(err)
		}
	}
	p.spent("talk", claw.Origin{}, claw.Usage{Input: 5000})
	p.spent("one", claw.Origin{}, claw.Usage{Input: 500}) // and 100 for its plan
	p.says("one")
	p.says("talk")
	p.spent("two", claw.Origin{}, claw.Usage{CacheRead: 400})
	p.says("two", "this task has spent 1,000 tokens of the 1,000", `"go on"`, "limits.tokensPerTask")
	p.says("else")
	p.says("talk")
	if len(p.told) != 0 {
		t.Errorf("everybody was told of one task: %q", p.told)
	}
	// "go on" gives more.
	first.Grants = 2
	if err := p.db.SaveTask(t.Context(), first, "", nil); err != nil {
		t.Fatal(err)
	}
	p.says("two")
	p.spent("two", claw.Origin{}, claw.Usage{Output: 1000})
	p.says("one", "2,000 tokens of the 2,000", "allow 1,000 more")
}

// Zero is no limit, and a store that does not answer is an error, never a yes.
func TestNoLimit(t *testing.T) {
	p := newPurse(t, config.Limits{})
	p.spent("s", claw.Origin{}, claw.Usage{Input: 1 << 50})
	p.says("s")
	p.limits.TokensPerDay = 1
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if why, err := p.Spend(ctx, "s", claw.Origin{}); err == nil {
		t.Errorf("Spend without a store = %q, %v, want an error", why, err)
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 123456: "123,456", 1234567: "1,234,567", 1e12: "1,000,000,000,000"} {
		if got := grouped(n); got != want {
			t.Errorf("grouped(%d) = %q, want %q", n, got, want)
		}
	}
}
