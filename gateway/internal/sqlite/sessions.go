package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// ErrNoSession is a session that was never created.
var ErrNoSession = errors.New("no such session")

// CreateSession adds a session and reports whether it is new. One that exists stays as it is.
func (db *DB) CreateSession(ctx context.Context, s claw.Session) (bool, error) {
	label, err := strict.Encode(s.Label)
	if err != nil {
		return false, err
	}
	n, err := db.exec(ctx, `INSERT INTO sessions (id, channel, user, title, created, label_json, parent, task) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		string(s.ID), string(s.Channel), s.User, s.Title, s.Created.UnixMilli(), string(label), string(s.Parent), s.Task)
	return n == 1, err
}

// movedLast puts the session that was said something in last before the others.
const movedLast = `max(s.created, coalesce((SELECT t.at FROM turns t WHERE t.session = s.id ORDER BY t.n DESC LIMIT 1), 0)) DESC, s.rowid DESC`

// Sessions returns all sessions, the one that moved last first.
func (db *DB) Sessions(ctx context.Context) ([]claw.Session, error) {
	return db.sessions(ctx, `ORDER BY `+movedLast)
}

// Session returns one session, or [ErrNoSession].
func (db *DB) Session(ctx context.Context, id claw.SessionID) (claw.Session, error) {
	found, err := db.sessions(ctx, `WHERE s.id = ?`, string(id))
	if err != nil {
		return claw.Session{}, err
	}
	if len(found) == 0 {
		return claw.Session{}, fmt.Errorf("%w: %s", ErrNoSession, id)
	}
	return found[0], nil
}

// Children returns the sessions that work for one, the oldest first.
func (db *DB) Children(ctx context.Context, parent claw.SessionID) ([]claw.Session, error) {
	if parent == "" {
		return nil, nil // it is nobody's parent: that is how a session has none
	}
	return db.sessions(ctx, `WHERE s.parent = ? AND s.parent <> '' ORDER BY s.created, s.rowid`, string(parent))
}

// Family returns a session and all that work for it, directly or for one that does; it comes first,
// then the oldest.
func (db *DB) Family(ctx context.Context, id claw.SessionID) ([]claw.SessionID, error) {
	// UNION, and not UNION ALL: a ring of parents, which nobody makes, has an end.
	rows, err := db.read.QueryContext(ctx, `WITH RECURSIVE family (id) AS (
		SELECT id FROM sessions WHERE id = ?1 UNION SELECT s.id FROM sessions s JOIN family ON s.parent = family.id AND s.parent <> '')
		SELECT s.id FROM sessions s JOIN family USING (id) ORDER BY s.id = ?1 DESC, s.created, s.rowid`, string(id))
	if err != nil {
		return nil, explain(err)
	}
	defer rows.Close()
	var out []claw.SessionID
	for rows.Next() {
		var member claw.SessionID
		if err := rows.Scan(&member); err != nil {
			return nil, err
		}
		out = append(out, member)
	}
	return out, explain(rows.Err())
}

// sessions returns the sessions s that a clause selects, in its order.
func (db *DB) sessions(ctx context.Context, clause string, args ...any) ([]claw.Session, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT s.id, s.channel, s.user, s.title, s.created, s.label_json, s.parent, s.task,
		(SELECT count(*) FROM turns WHERE session = s.id) FROM sessions s `+clause, args...)
	if err != nil {
		return nil, explain(err)
	}
	defer rows.Close()
	var out []claw.Session
	for rows.Next() {
		var s claw.Session
		var created sql.NullInt64
		var label string
		if err := rows.Scan(&s.ID, &s.Channel, &s.User, &s.Title, &created, &label, &s.Parent, &s.Task, &s.Turns); err != nil {
			return nil, err
		}
		if err := strict.Decode([]byte(label), &s.Label); err != nil {
			return nil, fmt.Errorf("session %s: label: %w", s.ID, err)
		}
		s.Created = fromMillis(created)
		out = append(out, s)
	}
	return out, explain(rows.Err())
}

// SetTitle names a session.
func (db *DB) SetTitle(ctx context.Context, id claw.SessionID, title string) error {
	n, err := db.exec(ctx, `UPDATE sessions SET title = ? WHERE id = ?`, title, string(id))
	return atSession(id, n, err)
}

// Label returns the label of all that a session's model can see. With an error it is the worst one.
func (db *DB) Label(ctx context.Context, id claw.SessionID) (claw.Label, error) {
	var text string
	err := db.reads.row(ctx, `SELECT label_json FROM sessions WHERE id = ?`, string(id)).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return claw.Label{}, fmt.Errorf("%w: %s", ErrNoSession, id)
	}
	if err != nil {
		return claw.Label{}, explain(err)
	}
	var label claw.Label
	if err := strict.Decode([]byte(text), &label); err != nil {
		return claw.Label{}, fmt.Errorf("session %s: label: %w", id, err)
	}
	return label, nil
}

// SetLabel replaces a session's label. The caller joins; a label that got better is the caller's decision.
func (db *DB) SetLabel(ctx context.Context, id claw.SessionID, label claw.Label) error {
	data, err := strict.Encode(label)
	if err != nil {
		return err
	}
	n, err := db.exec(ctx, `UPDATE sessions SET label_json = ? WHERE id = ?`, string(data), string(id))
	return atSession(id, n, err)
}

// AppendTurn adds the next turn of a session.
func (db *DB) AppendTurn(ctx context.Context, id claw.SessionID, turn claw.Turn) error {
	results := turn.Results
	turn.Results = withoutPictures(results)
	data, err := strict.Encode(turn)
	if err != nil {
		return err
	}
	var n int64
	err = db.inTx(ctx, func(tx *sql.Tx) error {
		if n, err = addTurn(ctx, tx, id, data); err != nil || n == 0 {
			return err
		}
		return putPictures(ctx, tx, id, results)
	})
	return atSession(id, n, err)
}

// addTurn adds an encoded turn. It says how many: none when there is no such session.
func addTurn(ctx context.Context, tx *sql.Tx, id claw.SessionID, data []byte) (int64, error) {
	result, err := tx.ExecContext(ctx, `INSERT INTO turns (session, n, at, turn_json)
		SELECT id, (SELECT coalesce(max(n), 0) + 1 FROM turns WHERE session = ?1), CAST(unixepoch('subsec') * 1000 AS INTEGER), ?2 FROM sessions WHERE id = ?1`,
		string(id), string(data))
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// maxTurnsBytes is about how much of a conversation is brought into memory at once: far more than a
// model is sent, and little beside what a day of large outputs could hold.
const maxTurnsBytes = 8 << 20

// Turns returns the last turns of a session in their order: at most limit, or all if it is zero, and
// no more than fit into some 8 MiB. A session that does not exist has none. Pictures come with the
// newest results that have any; those of older ones have no bytes.
func (db *DB) Turns(ctx context.Context, id claw.SessionID, limit int) ([]claw.Turn, error) {
	turns, _, err := db.TurnsAfter(ctx, id, 0, limit)
	return turns, err
}

// TurnsAfter returns what [DB.Turns] does, but only turns behind a number, and the number of the first
// one. Numbers begin at 1 and have no gaps.
func (db *DB) TurnsAfter(ctx context.Context, id claw.SessionID, after, limit int) (turns []claw.Turn, first int, err error) {
	if limit <= 0 {
		limit = -1
	}
	rows, err := db.reads.query(ctx, `SELECT n, turn_json FROM turns WHERE session = ? AND n > ? ORDER BY n DESC LIMIT ?`, string(id), after, limit)
	if err != nil {
		return nil, 0, explain(err)
	}
	defer rows.Close()
	var out []claw.Turn
	size := 0
	for rows.Next() && size < maxTurnsBytes {
		var n int
		var text string
		if err := rows.Scan(&n, &text); err != nil {
			return nil, 0, err
		}
		var turn claw.Turn
		if err := strict.Decode([]byte(text), &turn); err != nil {
			return nil, 0, fmt.Errorf("session %s: turn %d: %w", id, n, err)
		}
		out, first = append(out, turn), n
		size += len(text)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, 0, explain(err)
	}
	with := 0
	for i := range out { // from the newest on
		for j := range out[i].Results {
			r := &out[i].Results[j]
			if len(r.Images) == 0 || with == maxPictured {
				continue
			}
			with++
			if err := db.addPictures(ctx, r); err != nil {
				return nil, 0, err
			}
		}
	}
	slices.Reverse(out)
	return out, first, nil
}

// atSession turns "no row changed" into ErrNoSession.
func atSession(id claw.SessionID, n int64, err error) error {
	if err == nil && n == 0 {
		return fmt.Errorf("%w: %s", ErrNoSession, id)
	}
	return err
}
