package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// What a sum of usage may be told apart by.
const (
	ByQuarter   = "quarter"   // the quarter of an hour; every border between two local days is one
	BySession   = "session"   // the conversation of a user; those that work for it are counted with it
	ByHeartbeat = "heartbeat" // its name
	ByTask      = "task"
	ByModel     = "model"
)

// quarter is a quarter of an hour in milliseconds. No zone has an offset from UTC since 1972 that is not a
// multiple of it.
const quarter = 15 * 60 * 1000

// UsageRow is what was spent under one name.
type UsageRow struct {
	Name  string
	About string    // of a session its title, of a task its request
	At    time.Time // of a quarter its beginning, else the last call
	Calls int64
	Usage claw.Usage
}

// usageNames are the expressions that name a row. Nothing of a caller gets into a statement.
var usageNames = map[string]struct{ name, about, from string }{
	ByQuarter:   {fmt.Sprint("u.at / ", quarter), "''", "usage u WHERE u.at >= ?"},
	BySession:   {"coalesce(nullif(s.parent, ''), u.session)", "coalesce((SELECT title FROM sessions WHERE id = coalesce(nullif(s.parent, ''), u.session)), '')", "usage u LEFT JOIN sessions s ON s.id = u.session WHERE u.at >= ?"},
	ByHeartbeat: {"u.user", "''", "usage u WHERE u.channel = '" + string(claw.HeartbeatChannel) + "' AND u.at >= ?"},
	ByTask:      {"u.task", "coalesce((SELECT task_json ->> '$.request' FROM tasks WHERE id = u.task), '')", "usage u WHERE u.task <> '' AND u.at >= ?"},
	ByModel:     {"u.model", "''", "usage u WHERE u.at >= ?"},
}

// tokens are the columns of a sum, in the order of [usageOf].
const tokens = `coalesce(sum(input), 0), coalesce(sum(output), 0), coalesce(sum(cache_read), 0), coalesce(sum(cache_write), 0)`

// What is asked before every question to a model. Rows are never deleted, so a new one has the largest
// number; NOT INDEXED leaves that number as the only way in.
const (
	usageSince = `SELECT (SELECT max(rowid) FROM usage), ` + tokens + ` FROM usage INDEXED BY usage_at WHERE at >= ? AND at < ?`
	usageAfter = `SELECT (SELECT max(rowid) FROM usage), ` + tokens + ` FROM usage NOT INDEXED WHERE rowid > ? AND at >= ? AND at < ?`
	taskOf     = `WHERE t.id = (SELECT task FROM sessions WHERE id = ? AND task <> '')`
)

func usageOf(u *claw.Usage) []any { return []any{&u.Input, &u.Output, &u.CacheRead, &u.CacheWrite} }

// UsageBy adds up what was spent since a moment, apart for each name; by is one of the constants above.
// The rows have no order.
func (db *DB) UsageBy(ctx context.Context, by string, since time.Time) ([]UsageRow, error) {
	key, ok := usageNames[by]
	if !ok {
		return nil, fmt.Errorf("usage by %q", by)
	}
	from := int64(0)
	if !since.IsZero() {
		from = since.UnixMilli()
	}
	rows, err := db.read.QueryContext(ctx, `SELECT CAST(`+key.name+` AS TEXT) AS name, `+key.about+`, max(u.at), count(*), `+tokens+` FROM `+key.from+` GROUP BY name`, from)
	if err != nil {
		return nil, explain(err)
	}
	defer rows.Close()
	var out []UsageRow
	for rows.Next() {
		var r UsageRow
		var at int64
		if err := rows.Scan(append([]any{&r.Name, &r.About, &at, &r.Calls}, usageOf(&r.Usage)...)...); err != nil {
			return nil, err
		}
		if by == ByQuarter {
			at = at / quarter * quarter
		}
		r.At = time.UnixMilli(at).UTC()
		out = append(out, r)
	}
	return out, explain(rows.Err())
}

// UsageSince adds up what was spent since a moment and before another, and says how far it has read: what is
// written later has a larger number, for [DB.UsageAfter].
func (db *DB) UsageSince(ctx context.Context, since, before time.Time) (u claw.Usage, upto int64, err error) {
	var last sql.NullInt64
	err = db.read.QueryRowContext(ctx, usageSince, since.UnixMilli(), before.UnixMilli()).Scan(append([]any{&last}, usageOf(&u)...)...)
	return u, last.Int64, explain(err)
}

// UsageAfter adds up what was written behind a number and was spent in that time. It reads the new rows and no
// others.
func (db *DB) UsageAfter(ctx context.Context, since, before time.Time, after int64) (u claw.Usage, upto int64, err error) {
	var last sql.NullInt64
	err = db.reads.row(ctx, usageAfter, after, since.UnixMilli(), before.UnixMilli()).Scan(append([]any{&last}, usageOf(&u)...)...)
	return u, last.Int64, explain(err)
}

// TaskOf returns the task that a session works for, with what that task has spent so far; false for a
// session that works for none.
func (db *DB) TaskOf(ctx context.Context, session claw.SessionID) (claw.Task, bool, error) {
	return one(db.tasks(ctx, taskOf, string(session)))
}
