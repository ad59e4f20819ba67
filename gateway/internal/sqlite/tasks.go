package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/task"
	"github.com/secureclaw/secureclaw/internal/strict"
)

var _ task.Store = (*DB)(nil)

// A task is at work while it is open and its message has no answer; one that is open beside an answered
// message was given up by an error, and is in nobody's way.
const atWork = `t.state = 'open' AND EXISTS (SELECT 1 FROM messages m WHERE m.channel = t.channel AND m.id = t.message AND m.state = 'accepted')`

// CreateTask keeps a new task and reports whether it did: a session has at most one at work.
func (db *DB) CreateTask(ctx context.Context, t claw.Task) (bool, error) {
	data, err := strict.Encode(kept(t))
	if err != nil {
		return false, err
	}
	n, err := db.exec(ctx, `INSERT INTO tasks (id, session, channel, message, state, task_json) SELECT ?1, ?2, ?3, ?4, 'open', ?5
		WHERE NOT EXISTS (SELECT 1 FROM tasks t WHERE t.session = ?2 AND `+atWork+`) ON CONFLICT DO NOTHING`,
		t.ID, string(t.Session), string(t.Channel), t.Message, string(data))
	return n == 1, err
}

// Task returns a task by its id.
func (db *DB) Task(ctx context.Context, id string) (claw.Task, bool, error) {
	return one(db.tasks(ctx, `WHERE t.id = ?`, id))
}

// TaskFor returns the task that answers a message.
func (db *DB) TaskFor(ctx context.Context, channel claw.Channel, message string) (claw.Task, bool, error) {
	return one(db.tasks(ctx, `WHERE t.channel = ? AND t.message = ? ORDER BY t.seq DESC LIMIT 1`, string(channel), message))
}

// TaskAtWork returns the task of a session that is at work.
func (db *DB) TaskAtWork(ctx context.Context, session claw.SessionID) (claw.Task, bool, error) {
	return one(db.tasks(ctx, `WHERE t.session = ? AND `+atWork+` ORDER BY t.seq DESC LIMIT 1`, string(session)))
}

// LastTask returns the task of a session that was planned last.
func (db *DB) LastTask(ctx context.Context, session claw.SessionID) (claw.Task, bool, error) {
	return one(db.tasks(ctx, `WHERE t.session = ? ORDER BY t.seq DESC LIMIT 1`, string(session)))
}

// Tasks returns all tasks of a session, the last one first.
func (db *DB) Tasks(ctx context.Context, session claw.SessionID) ([]claw.Task, error) {
	return db.tasks(ctx, `WHERE t.session = ? ORDER BY t.seq DESC`, string(session))
}

// BeginIteration keeps that an iteration begins, and makes its session: that of the task is its parent, and
// all that the parent has read counts as read in it.
func (db *DB) BeginIteration(ctx context.Context, t claw.Task, child claw.Session) error {
	return db.inTx(ctx, func(tx *sql.Tx) error {
		label, err := labelIn(ctx, tx, t.Session)
		if err != nil {
			return err
		}
		text, err := strict.Encode(label.Join(child.Label))
		if err != nil {
			return err
		}
		// No ON CONFLICT: a conversation that exists already is somebody else's.
		if _, err := tx.ExecContext(ctx, `INSERT INTO sessions (id, channel, user, title, created, label_json, parent, task) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			string(child.ID), string(child.Channel), child.User, child.Title, child.Created.UnixMilli(), string(text), string(t.Session), t.ID); err != nil {
			return err
		}
		return saveTask(ctx, tx, t)
	})
}

// SaveTask keeps how far a task is. All that the session child has read is joined to what the task's session
// has read, unless child is empty; last, if it is not nil, becomes the next turn of the task's session.
func (db *DB) SaveTask(ctx context.Context, t claw.Task, child claw.SessionID, last *claw.Turn) error {
	return db.inTx(ctx, func(tx *sql.Tx) error {
		if child != "" {
			if err := joinIn(ctx, tx, t.Session, child); err != nil {
				return err
			}
		}
		if last != nil {
			data, err := strict.Encode(*last)
			if err != nil {
				return err
			}
			n, err := addTurn(ctx, tx, t.Session, data)
			if err := atSession(t.Session, n, err); err != nil {
				return err
			}
		}
		return saveTask(ctx, tx, t)
	})
}

func saveTask(ctx context.Context, tx *sql.Tx, t claw.Task) error {
	data, err := strict.Encode(kept(t))
	if err != nil {
		return err
	}
	result, err := tx.ExecContext(ctx, `UPDATE tasks SET channel = ?, message = ?, state = ?, task_json = ? WHERE id = ?`,
		string(t.Channel), t.Message, cmp.Or(string(t.State), "open"), string(data), t.ID)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		return errors.Join(err, fmt.Errorf("task %s: there is none", t.ID))
	}
	return nil
}

// kept is a task without what other columns and tables hold.
func kept(t claw.Task) claw.Task {
	t.ID, t.Session, t.Channel, t.Message, t.State, t.Usage = "", "", "", "", "", claw.Usage{}
	return t
}

func labelIn(ctx context.Context, tx *sql.Tx, id claw.SessionID) (label claw.Label, err error) {
	var text string
	err = tx.QueryRowContext(ctx, `SELECT label_json FROM sessions WHERE id = ?`, string(id)).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return label, fmt.Errorf("%w: %s", ErrNoSession, id)
	}
	if err == nil {
		err = strict.Decode([]byte(text), &label)
	}
	return label, err
}

func joinIn(ctx context.Context, tx *sql.Tx, to, from claw.SessionID) error {
	a, err := labelIn(ctx, tx, to)
	if err != nil {
		return err
	}
	b, err := labelIn(ctx, tx, from)
	if err != nil {
		return err
	}
	text, err := strict.Encode(a.Join(b))
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE sessions SET label_json = ? WHERE id = ?`, string(text), string(to))
	return err
}

// tasks returns the tasks t that a clause selects, each with what it has spent.
func (db *DB) tasks(ctx context.Context, clause string, args ...any) ([]claw.Task, error) {
	rows, err := db.reads.query(ctx, `SELECT t.id, t.session, t.channel, t.message, t.state, t.task_json,
		(SELECT json_array(coalesce(sum(input), 0), coalesce(sum(output), 0), coalesce(sum(cache_read), 0), coalesce(sum(cache_write), 0))
			FROM usage WHERE task = t.id AND task <> '') FROM tasks t `+clause, args...)
	if err != nil {
		return nil, explain(err)
	}
	defer rows.Close()
	var out []claw.Task
	for rows.Next() {
		var t, rest claw.Task
		var text, spent string
		if err := rows.Scan(&t.ID, &t.Session, &t.Channel, &t.Message, &t.State, &text, &spent); err != nil {
			return nil, err
		}
		var sums [4]int64
		if err := errors.Join(strict.Decode([]byte(text), &rest), strict.Decode([]byte(spent), &sums)); err != nil {
			return nil, fmt.Errorf("task %s: %w", t.ID, err)
		}
		rest.ID, rest.Session, rest.Channel, rest.Message, rest.State = t.ID, t.Session, t.Channel, t.Message, t.State
		if rest.State == "open" {
			rest.State = claw.TaskOpen
		}
		rest.Usage = rest.Planning.Add(claw.Usage{Input: sums[0], Output: sums[1], CacheRead: sums[2], CacheWrite: sums[3]})
		out = append(out, rest)
	}
	return out, explain(rows.Err())
}

// Parent is the session that one works for, empty when it works for none or is not known.
func (db *DB) Parent(ctx context.Context, session claw.SessionID) (claw.SessionID, error) {
	var parent claw.SessionID
	err := db.reads.row(ctx, `SELECT parent FROM sessions WHERE id = ?`, string(session)).Scan(&parent)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return parent, explain(err)
}

func one(found []claw.Task, err error) (claw.Task, bool, error) {
	if err != nil || len(found) == 0 {
		return claw.Task{}, false, err
	}
	return found[0], true, nil
}
