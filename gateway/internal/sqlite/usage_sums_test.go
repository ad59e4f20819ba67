package sqlite_test

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
)

// spend adds one answer to the usage.
func spend(t *testing.T, db *sqlite.DB, session claw.SessionID, origin claw.Origin, model string, at time.Time, u claw.Usage) {
	t.Helper()
	if err := db.AddUsage(t.Context(), claw.ModelCall{Session: session, Run: "r", Origin: origin, Model: model, Usage: u, At: at}); err != nil {
		t.Fatal(err)
	}
}

func TestUsageBy(t *testing.T) {
	db := open(t, t.TempDir())
	ctx := t.Context()
	base := time.Date(2026, 11, 23, 10, 7, 0, 0, time.UTC)
	for _, s := range []claw.Session{
		{ID: "talk", Channel: "terminal", User: "1000", Title: "Notes", Created: base},
		{ID: "step", Channel: "terminal", User: "1000", Created: base, Parent: "talk", Task: "task_1"},
		{ID: "beat", Channel: claw.HeartbeatChannel, User: "morning", Created: base},
	} {
		if _, err := db.CreateSession(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	person, clock := claw.Origin{Channel: "terminal", User: "1000"}, claw.Origin{Channel: claw.HeartbeatChannel, User: "morning"}
	spend(t, db, "talk", person, "a", base, claw.Usage{Input: 1, Output: 2, CacheRead: 3, CacheWrite: 4})
	spend(t, db, "step", person, "b", base.Add(10*time.Minute), claw.Usage{Input: 10})
	spend(t, db, "beat", clock, "a", base.Add(20*time.Minute), claw.Usage{Output: 100})
	spend(t, db, "gone", person, "a", base.Add(-time.Hour), claw.Usage{CacheRead: 7})
	at := func(min int) time.Time { return base.Add(time.Duration(min) * time.Minute) }
	quarter := func(h, m int) time.Time { return time.Date(2026, 11, 23, h, m, 0, 0, time.UTC) }
	all := claw.Usage{Input: 1, Output: 2, CacheRead: 3, CacheWrite: 4}
	for name, tc := range map[string]struct {
		by    string
		since time.Time
		want  []sqlite.UsageRow
	}{
		"sessions with those that work for them": {sqlite.BySession, base, []sqlite.UsageRow{
			{"beat", "", at(20), 1, claw.Usage{Output: 100}}, {"talk", "Notes", at(10), 2, all.Add(claw.Usage{Input: 10})}}},
		"a session that is not there": {sqlite.BySession, time.Time{}, []sqlite.UsageRow{
			{"beat", "", at(20), 1, claw.Usage{Output: 100}}, {"gone", "", at(-60), 1, claw.Usage{CacheRead: 7}}, {"talk", "Notes", at(10), 2, all.Add(claw.Usage{Input: 10})}}},
		"heartbeats": {sqlite.ByHeartbeat, time.Time{}, []sqlite.UsageRow{{"morning", "", at(20), 1, claw.Usage{Output: 100}}}},
		"tasks":      {sqlite.ByTask, time.Time{}, []sqlite.UsageRow{{"task_1", "", at(10), 1, claw.Usage{Input: 10}}}},
		"models":     {sqlite.ByModel, base.Add(time.Minute), []sqlite.UsageRow{{"a", "", at(20), 1, claw.Usage{Output: 100}}, {"b", "", at(10), 1, claw.Usage{Input: 10}}}},
	} {
		got, err := db.UsageBy(ctx, tc.by, tc.since)
		slices.SortFunc(got, func(a, b sqlite.UsageRow) int { return cmp.Compare(a.Name, b.Name) })
		if diff := gocmp.Diff(tc.want, got); err != nil || diff != "" {
			t.Errorf("%s: UsageBy(%s, %s): %v (-want +got)\n%s", name, tc.by, tc.since, err, diff)
		}
	}
	quarters, err := db.UsageBy(ctx, sqlite.ByQuarter, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	var begins []time.Time
	for _, q := range quarters {
		begins = append(begins, q.At)
	}
	slices.SortFunc(begins, time.Time.Compare)
	if diff := gocmp.Diff([]time.Time{quarter(9, 0), quarter(10, 0), quarter(10, 15)}, begins); diff != "" {
		t.Errorf("quarters (-want +got)\n%s", diff)
	}
	if _, err := db.UsageBy(ctx, "u.user; DROP TABLE usage", base); err == nil {
		t.Error("UsageBy takes any word into its statement")
	}
}

// A sum goes on from where it stopped, and rows that are dated before its day do not count in it.
func TestUsageGoesOn(t *testing.T) {
	db := open(t, t.TempDir())
	ctx := t.Context()
	day := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	if u, upto, err := db.UsageSince(ctx, day, day.AddDate(0, 0, 1)); u != (claw.Usage{}) || upto != 0 || err != nil {
		t.Errorf("UsageSince of nothing = %+v, %d, %v", u, upto, err)
	}
	spend(t, db, "s", claw.Origin{}, "m", day.Add(-time.Hour), claw.Usage{Input: 5})
	spend(t, db, "s", claw.Origin{}, "m", day, claw.Usage{Input: 7})
	u, upto, err := db.UsageSince(ctx, day, day.AddDate(0, 0, 1))
	if u != (claw.Usage{Input: 7}) || upto != 2 || err != nil {
		t.Errorf("UsageSince = %+v, %d, %v, want the 7 of today and row 2", u, upto, err)
	}
	spend(t, db, "s", claw.Origin{}, "m", day.Add(-1), claw.Usage{Input: 100}) // asked yesterday, answered today
	spend(t, db, "s", claw.Origin{}, "m", day.Add(time.Hour), claw.Usage{Output: 11})
	if u, upto, err = db.UsageAfter(ctx, day, day.AddDate(0, 0, 1), upto); u != (claw.Usage{Output: 11}) || upto != 4 || err != nil {
		t.Errorf("UsageAfter = %+v, %d, %v, want 11 and row 4", u, upto, err)
	}
	if u, upto, err = db.UsageAfter(ctx, day, day.AddDate(0, 0, 1), upto); u != (claw.Usage{}) || upto != 4 || err != nil {
		t.Errorf("UsageAfter with nothing new = %+v, %d, %v", u, upto, err)
	}
}

func TestTaskOf(t *testing.T) {
	db := open(t, t.TempDir())
	now := time.Now()
	if _, err := db.CreateSession(t.Context(), claw.Session{ID: "talk", Created: now}); err != nil {
		t.Fatal(err)
	}
	spend(t, db, "talk", claw.Origin{}, "m", now, claw.Usage{Input: 50})
	for id, steps := range map[string][]claw.SessionID{"t1": {"one", "two"}, "t2": {"other"}} {
		task := claw.Task{ID: id, Session: "talk", Request: "first one, then two", Grants: len(steps), Planning: claw.Usage{Input: 1000}}
		if ok, err := db.CreateTask(t.Context(), task); !ok || err != nil {
			t.Fatal(ok, err)
		}
		for _, s := range steps {
			if err := db.BeginIteration(t.Context(), task, claw.Session{ID: s, Created: now}); err != nil {
				t.Fatal(err)
			}
			spend(t, db, s, claw.Origin{}, "m", now, claw.Usage{Input: 1, CacheWrite: 2})
		}
		if err := db.SaveTask(t.Context(), claw.Task{ID: id, Session: "talk", State: claw.TaskDone, Request: task.Request, Grants: task.Grants, Planning: task.Planning}, "", nil); err != nil {
			t.Fatal(err)
		}
	}
	for session, want := range map[claw.SessionID]struct {
		task   string
		grants int
		spent  claw.Usage
	}{
		"talk": {}, "nobody": {}, "": {},
		"one": {"t1", 2, claw.Usage{Input: 1002, CacheWrite: 4}}, "two": {"t1", 2, claw.Usage{Input: 1002, CacheWrite: 4}}, "other": {"t2", 1, claw.Usage{Input: 1001, CacheWrite: 2}},
	} {
		got, ok, err := db.TaskOf(t.Context(), session)
		if got.ID != want.task || got.Grants != want.grants || got.Usage != want.spent || ok != (want.task != "") || err != nil {
			t.Errorf("TaskOf(%q) = %q with %d grants and %+v, %v, %v; want %+v", session, got.ID, got.Grants, got.Usage, ok, err, want)
		}
	}
	rows, err := db.UsageBy(t.Context(), sqlite.ByTask, time.Time{})
	if err != nil || len(rows) != 2 || rows[0].About != "first one, then two" {
		t.Errorf("UsageBy(task) = %+v, %v, want the request beside each", rows, err)
	}
}

// What is asked before every question to a model reads no table from its beginning to its end.
func TestSpendingIsFoundByIndex(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	raw := rawDB(t, dir)
	defer raw.Close()
	for name, tc := range map[string]struct {
		query string
		args  []any
		want  string
	}{
		"since midnight": {sqlite.UsageSinceQuery, []any{1, 2}, "SEARCH usage USING INDEX usage_at (at>? AND at<?)"},
		"what is new":    {sqlite.UsageAfterQuery, []any{1, 1, 2}, "SEARCH usage USING INTEGER PRIMARY KEY (rowid>?)"},
		"of a task":      {`SELECT (SELECT sum(input) FROM usage WHERE task = t.id AND task <> '') FROM tasks t ` + sqlite.TaskOfClause, []any{"s"}, "SEARCH usage USING INDEX usage_task (task=?)"},
	} {
		rows, err := raw.Query("EXPLAIN QUERY PLAN "+tc.query, tc.args...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		plan := ""
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			plan += detail + "\n"
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(plan, tc.want) || strings.Contains(plan, "SCAN ") && !strings.Contains(plan, "SCAN CONSTANT ROW") {
			t.Errorf("%s: the plan is\n%swant %q and no scan", name, plan, tc.want)
		}
	}
}

func BenchmarkUsageAfter(b *testing.B) {
	db, err := sqlite.Open(b.Context(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	now := time.Now()
	for range 2000 {
		if err := db.AddUsage(b.Context(), claw.ModelCall{Session: "s", Model: "m", At: now, Usage: claw.Usage{Input: 1}}); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if _, _, err := db.UsageAfter(b.Context(), now.Add(-time.Hour), now.Add(time.Hour), 1999); err != nil {
			b.Fatal(err)
		}
	}
}
