package sqlite

import (
	"context"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// TurnRow is a turn as it is stored: what package strict encoded, without the bytes of pictures.
type TurnRow struct {
	N    int
	At   time.Time
	Text string
}

// TurnRows returns the turns of a session behind a number, the oldest first: at least one if there is any,
// and no more than fit into about size bytes.
func (db *DB) TurnRows(ctx context.Context, id claw.SessionID, after, size int) ([]TurnRow, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT n, at, turn_json FROM turns WHERE session = ? AND n > ? ORDER BY n`, string(id), after)
	if err != nil {
		return nil, explain(err)
	}
	defer rows.Close()
	var out []TurnRow
	for rows.Next() {
		var row TurnRow
		var at int64
		if err := rows.Scan(&row.N, &at, &row.Text); err != nil {
			return nil, err
		}
		if size -= len(row.Text); size < 0 && len(out) > 0 {
			break
		}
		row.At = time.UnixMilli(at).UTC()
		out = append(out, row)
	}
	return out, explain(rows.Err())
}

// Summaries returns all summaries of a session that were ever made, the first one first.
func (db *DB) Summaries(ctx context.Context, session claw.SessionID) ([]claw.Summary, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT upto, at, model, text FROM summaries WHERE session = ? ORDER BY upto`, string(session))
	if err != nil {
		return nil, explain(err)
	}
	defer rows.Close()
	var out []claw.Summary
	for rows.Next() {
		s := claw.Summary{Session: session}
		var at int64
		if err := rows.Scan(&s.Upto, &at, &s.Model, &s.Text); err != nil {
			return nil, err
		}
		s.At = time.UnixMilli(at).UTC()
		out = append(out, s)
	}
	return out, explain(rows.Err())
}
