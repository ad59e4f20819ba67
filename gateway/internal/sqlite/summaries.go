package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// AddSummary keeps what stands for the first turns of a session. A later one for the same turns replaces
// it; the turns stay as they are. One for turns that do not exist is an error.
func (db *DB) AddSummary(ctx context.Context, s claw.Summary) error {
	n, err := db.exec(ctx, `INSERT INTO summaries (session, upto, at, model, text) SELECT session, n, ?3, ?4, ?5 FROM turns WHERE session = ?1 AND n = ?2
		ON CONFLICT (session, upto) DO UPDATE SET at = excluded.at, model = excluded.model, text = excluded.text`,
		string(s.Session), s.Upto, s.At.UnixMilli(), s.Model, s.Text)
	if err == nil && n == 0 {
		return fmt.Errorf("session %s has no turn %d to sum up", s.Session, s.Upto)
	}
	return err
}

// Summary returns the one that stands for the most turns of a session, and false if there is none.
func (db *DB) Summary(ctx context.Context, session claw.SessionID) (claw.Summary, bool, error) {
	s := claw.Summary{Session: session}
	var at sql.NullInt64
	err := db.reads.row(ctx, `SELECT upto, at, model, text FROM summaries WHERE session = ? ORDER BY upto DESC LIMIT 1`, string(session)).
		Scan(&s.Upto, &at, &s.Model, &s.Text)
	if errors.Is(err, sql.ErrNoRows) {
		return claw.Summary{}, false, nil
	}
	s.At = fromMillis(at)
	return s, err == nil, explain(err)
}
