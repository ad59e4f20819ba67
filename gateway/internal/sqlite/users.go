package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// CurrentSession returns the conversation that a messenger's user is in, and false if it was never set.
func (db *DB) CurrentSession(ctx context.Context, channel claw.Channel, user string) (claw.SessionID, bool, error) {
	var id claw.SessionID
	err := db.read.QueryRowContext(ctx, `SELECT session FROM current_sessions WHERE channel = ? AND user = ?`, string(channel), user).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	return id, err == nil, explain(err)
}

// SetCurrentSession moves a user to another of his conversations. A session of somebody else, or of
// another channel, is ErrNoSession.
func (db *DB) SetCurrentSession(ctx context.Context, channel claw.Channel, user string, session claw.SessionID) error {
	n, err := db.exec(ctx, `INSERT INTO current_sessions (channel, user, session) SELECT channel, user, id FROM sessions WHERE id = ?3 AND channel = ?1 AND user = ?2
		ON CONFLICT (channel, user) DO UPDATE SET session = excluded.session`, string(channel), user, string(session))
	return atSession(session, n, err)
}

// SessionsOf returns the conversations of one user of a channel, the one that moved last first: at
// most limit, or all if it is zero. Those that work for another one are not his.
func (db *DB) SessionsOf(ctx context.Context, channel claw.Channel, user string, limit int) ([]claw.Session, error) {
	if limit <= 0 {
		limit = -1
	}
	return db.sessions(ctx, `WHERE s.channel = ? AND s.user = ? AND s.parent = ''
		ORDER BY `+movedLast+` LIMIT ?`,
		string(channel), user, limit)
}

// SessionByID returns one conversation, and false if there is none of that id.
func (db *DB) SessionByID(ctx context.Context, id claw.SessionID) (claw.Session, bool, error) {
	s, err := db.Session(ctx, id)
	if errors.Is(err, ErrNoSession) {
		return claw.Session{}, false, nil
	}
	return s, err == nil, err
}
