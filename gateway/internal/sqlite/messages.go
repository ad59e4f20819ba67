package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/outbox"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// AcceptMessage keeps a message and reports whether it is new: its channel and id were not seen
// before. When it returns, the sender may forget the message.
func (db *DB) AcceptMessage(ctx context.Context, m claw.Message) (bool, error) {
	if m.ID == "" || m.Origin.Channel == "" {
		return false, errors.New("a message needs an id and a channel, or it cannot be told from its repetition")
	}
	data, err := strict.Encode(m)
	if err != nil {
		return false, err
	}
	n, err := db.exec(ctx, `INSERT INTO messages (channel, id, session, at, state, message_json) VALUES (?, ?, ?, ?, 'accepted', ?) ON CONFLICT DO NOTHING`,
		string(m.Origin.Channel), m.ID, string(m.Session), m.At.UnixMilli(), string(data))
	return n == 1, err
}

const answer = `UPDATE messages SET state = 'answered', reply = ? WHERE channel = ? AND id = ? AND state = 'accepted'`

// Answered keeps the reply to a message. The first reply stands.
func (db *DB) Answered(ctx context.Context, channel claw.Channel, id, reply string) error {
	_, err := db.exec(ctx, answer, reply, string(channel), id)
	return err
}

// AnsweredWith keeps the reply to a message and, in the same transaction, puts what shows it into
// the outbox, so that there is never one without the other. It reports whether this is the first
// reply; if not, nothing is kept and nothing is put. item may be nil.
func (db *DB) AnsweredWith(ctx context.Context, channel claw.Channel, id, reply string, item *outbox.Item, file []byte) (first bool, err error) {
	err = db.inTx(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, answer, reply, string(channel), id)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if first = n == 1; err != nil || !first || item == nil {
			return err
		}
		_, err = putItem(ctx, tx, *item, file)
		return err
	})
	return first && err == nil, err
}

// Reply returns the reply to a message, and false while there is none.
func (db *DB) Reply(ctx context.Context, channel claw.Channel, id string) (string, bool, error) {
	var reply sql.NullString
	err := db.read.QueryRowContext(ctx, `SELECT reply FROM messages WHERE channel = ? AND id = ?`, string(channel), id).Scan(&reply)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	return reply.String, reply.Valid, explain(err)
}

// Unanswered returns the accepted messages that have no reply, in the order in which they came. At
// start these are the ones that an earlier life left behind.
func (db *DB) Unanswered(ctx context.Context) ([]claw.Message, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT channel, id, message_json FROM messages WHERE state = 'accepted' ORDER BY seq`)
	if err != nil {
		return nil, explain(err)
	}
	defer rows.Close()
	var out []claw.Message
	for rows.Next() {
		var channel, id, text string
		if err := rows.Scan(&channel, &id, &text); err != nil {
			return nil, err
		}
		var m claw.Message
		if err := strict.Decode([]byte(text), &m); err != nil {
			return nil, fmt.Errorf("message %s of %s: %w", id, channel, err)
		}
		out = append(out, m)
	}
	return out, explain(rows.Err())
}
