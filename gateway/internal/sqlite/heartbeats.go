package sqlite

import (
	"context"
	"database/sql"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/heartbeat"
)

var _ heartbeat.Store = (*DB)(nil)

// Of each heartbeat so many beats are kept that ran, and so many that did not.
const (
	keptRuns  = 80
	keptSkips = 20
)

// HeartbeatStates returns what is kept of each heartbeat that was ever known.
func (db *DB) HeartbeatStates(ctx context.Context) (map[string]heartbeat.State, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT name, toggled, enabled, live, schedule, timezone, done FROM heartbeats`)
	if err != nil {
		return nil, explain(err)
	}
	defer rows.Close()
	out := make(map[string]heartbeat.State)
	for rows.Next() {
		var name string
		var s heartbeat.State
		var done sql.NullInt64
		if err := rows.Scan(&name, &s.Toggled, &s.Enabled, &s.Live, &s.Schedule, &s.Timezone, &done); err != nil {
			return nil, err
		}
		s.Done = fromMillis(done)
		out[name] = s
	}
	return out, explain(rows.Err())
}

// SetHeartbeatState keeps the state of a heartbeat.
func (db *DB) SetHeartbeatState(ctx context.Context, name string, s heartbeat.State) error {
	_, err := db.exec(ctx, `INSERT INTO heartbeats (name, toggled, enabled, live, schedule, timezone, done) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET toggled = excluded.toggled, enabled = excluded.enabled, live = excluded.live,
			schedule = excluded.schedule, timezone = excluded.timezone, done = excluded.done`,
		name, s.Toggled, s.Enabled, s.Live, s.Schedule, s.Timezone, s.Done.UnixMilli())
	return err
}

// AddBeat keeps a beat and, unless it is manual, that its heartbeat is dealt with up to the time when it
// was due: both or neither. Of a beat that is there already, it keeps the second alone. Old beats go.
func (db *DB) AddBeat(ctx context.Context, b claw.Beat) (fresh bool, err error) {
	err = db.inTx(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, `INSERT INTO beats (heartbeat, due, manual, missed, started, ended, session, outcome, silent, note)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (heartbeat, due, manual) DO NOTHING`,
			b.Heartbeat, b.Due.UnixMilli(), b.Manual, b.Missed, millis(b.Started), millis(b.Ended), string(b.Session), b.Outcome, b.Silent, b.Note)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if fresh = n == 1; err == nil && !b.Manual {
			_, err = tx.ExecContext(ctx, `UPDATE heartbeats SET done = ? WHERE name = ?`, b.Due.UnixMilli(), b.Heartbeat)
		}
		for _, kind := range []struct {
			outcomes string
			keep     int
		}{{"outcome = 'skipped'", keptSkips}, {"outcome NOT IN ('skipped', '')", keptRuns}} {
			if err == nil {
				// In the order in which they were kept: one that is due later than now is of a clock that was ahead.
				_, err = tx.ExecContext(ctx, `DELETE FROM beats WHERE heartbeat = ?1 AND `+kind.outcomes+` AND rowid <
					(SELECT rowid FROM beats WHERE heartbeat = ?1 AND `+kind.outcomes+` ORDER BY rowid DESC LIMIT 1 OFFSET ?2)`, b.Heartbeat, kind.keep-1)
			}
		}
		return err
	})
	return fresh && err == nil, err
}

// BeatHanded keeps that the message of a beat is stored.
func (db *DB) BeatHanded(ctx context.Context, session claw.SessionID) error {
	_, err := db.exec(ctx, `UPDATE beats SET handed = 1 WHERE session = ?`, string(session))
	return err
}

// EndBeat keeps Ended, Outcome, Silent and Note of the beat with that Session, and what it and the
// conversations that worked for it cost. The last word counts.
func (db *DB) EndBeat(ctx context.Context, b claw.Beat) error {
	_, err := db.exec(ctx, `WITH RECURSIVE family (id) AS (
			SELECT ?1 UNION SELECT s.id FROM sessions s JOIN family f ON s.parent = f.id WHERE s.parent <> ''
		), cost (input, output, cache_read, cache_write) AS (
			SELECT coalesce(sum(input), 0), coalesce(sum(output), 0), coalesce(sum(cache_read), 0), coalesce(sum(cache_write), 0)
			FROM usage WHERE session IN (SELECT id FROM family)
		)
		UPDATE beats SET handed = 1, ended = ?2, outcome = ?3, silent = ?4, note = ?5,
			input = cost.input, output = cost.output, cache_read = cost.cache_read, cache_write = cost.cache_write
		FROM cost WHERE beats.session = ?1 AND ?1 <> ''`,
		string(b.Session), millis(b.Ended), b.Outcome, b.Silent, b.Note)
	return err
}

const beatColumns = `heartbeat, due, manual, missed, started, ended, session, outcome, silent, note, input, output, cache_read, cache_write, handed`

// OpenBeats returns those that have no outcome, in the order in which they were due, and whether their messages are stored.
func (db *DB) OpenBeats(ctx context.Context) ([]claw.Beat, []bool, error) {
	return db.beats(ctx, `WHERE outcome = '' ORDER BY due, heartbeat`)
}

// Beats returns the last beats of a heartbeat, the newest first.
func (db *DB) Beats(ctx context.Context, name string, limit int) ([]claw.Beat, error) {
	out, _, err := db.beats(ctx, `WHERE heartbeat = ? ORDER BY rowid DESC LIMIT ?`, name, limit)
	return out, err
}

func (db *DB) beats(ctx context.Context, clause string, args ...any) (out []claw.Beat, handed []bool, err error) {
	rows, err := db.read.QueryContext(ctx, `SELECT `+beatColumns+` FROM beats `+clause, args...)
	if err != nil {
		return nil, nil, explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var b claw.Beat
		var due, started, ended sql.NullInt64
		var stored bool
		u := &b.Usage
		if err := rows.Scan(&b.Heartbeat, &due, &b.Manual, &b.Missed, &started, &ended, &b.Session, &b.Outcome, &b.Silent, &b.Note,
			&u.Input, &u.Output, &u.CacheRead, &u.CacheWrite, &stored); err != nil {
			return nil, nil, err
		}
		b.Due, b.Started, b.Ended = fromMillis(due), fromMillis(started), fromMillis(ended)
		out, handed = append(out, b), append(handed, stored)
	}
	return out, handed, explain(rows.Err())
}
