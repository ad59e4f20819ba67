package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/outbox"
	"github.com/secureclaw/secureclaw/internal/wire"
)

var _ outbox.Store = (*DB)(nil)

// pieceSize is how many bytes of a file are in one row.
const pieceSize = wire.MaxChunk

// maxRefs bounds how many messages may be said to show one item, because the bridge says so.
const maxRefs = 64

// PutItem adds an item and its file's bytes, and reports whether its key was new for that user.
func (db *DB) PutItem(ctx context.Context, item outbox.Item, file []byte) (fresh bool, err error) {
	err = db.inTx(ctx, func(tx *sql.Tx) error {
		fresh, err = putItem(ctx, tx, item, file)
		return err
	})
	return fresh && err == nil, err
}

func putItem(ctx context.Context, tx *sql.Tx, item outbox.Item, file []byte) (bool, error) {
	if err := item.Check(file); err != nil {
		return false, err
	}
	priority := 1
	if item.Kind == wire.SendCard || item.Kind == wire.SendWhy {
		priority = 0
	}
	var name, mime, sum, size any
	if f := item.File; f != nil {
		name, mime, size, sum = f.Name, f.Mime, f.Size, f.SHA256
	}
	var seq int64
	err := tx.QueryRowContext(ctx, `INSERT INTO outbox (channel, user, key, kind, priority, run, reply_to, text, approval, file_name, file_mime, file_size, file_sha256, menu, menu_state, menu_version, at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING seq`,
		string(item.Channel), item.User, item.Key, item.Kind, priority, string(item.Run), item.ReplyTo, item.Text, item.Approval,
		name, mime, size, sum, item.Menu.Name, item.Menu.State, item.Menu.Version, millis(item.At)).Scan(&seq)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	for n := 0; err == nil && n*pieceSize < len(file); n++ {
		piece := file[n*pieceSize : min(len(file), (n+1)*pieceSize)]
		_, err = tx.ExecContext(ctx, `INSERT INTO outbox_pieces (seq, n, data) VALUES (?, ?, ?)`, seq, n, piece)
	}
	return err == nil, err
}

// ItemSent records that a part is shown. A part that is not the next one changes nothing but what
// is known of the messages: it was repeated, and stored when it came first.
func (db *DB) ItemSent(ctx context.Context, seq int64, part, parts int, ref, state string, shown int) error {
	return db.inTx(ctx, func(tx *sql.Tx) error {
		// The edit of a card is one part, whatever its first showing took. Whether it is over is asked
		// after the change: a card is when its approval stands where it is shown to stand, and can go
		// nowhere from there; a menu is one part always, and over until it changes again.
		_, err := tx.ExecContext(ctx, `UPDATE outbox SET tries = 0, error = '', parts = ?3,
				part = iif(kind = 'menu' OR kind = 'card' AND (?2 + 1 >= ?3 OR shown_state <> ''), 0, ?2 + 1),
				shown_state = iif(kind = 'menu' OR kind = 'card' AND (?2 + 1 >= ?3 OR shown_state <> ''), ?4, shown_state)
			WHERE seq = ?1 AND part = ?2 AND state = 'due'`, seq, part, parts, state)
		if err == nil {
			// A message of the card turned up while this was under way: it still shows the question. Of a menu, an old version.
			_, err = tx.ExecContext(ctx, `UPDATE outbox SET shown_state = iif(kind = 'card', 'pending', '')
				WHERE seq = ?1 AND kind IN ('card', 'menu') AND state = 'due' AND shown_state <> '' AND (SELECT count(*) FROM outbox_refs WHERE seq = ?1) > ?2`, seq, shown)
		}
		if err == nil {
			_, err = tx.ExecContext(ctx, `UPDATE outbox SET state = 'sent', ended = `+nowMillis+`
				WHERE seq = ?1 AND state = 'due' AND CASE kind WHEN 'menu' THEN shown_state = CAST(menu_version AS TEXT)
					WHEN 'card' THEN shown_state IN `+finalStates+` AND shown_state = (SELECT a.state FROM approvals a WHERE a.id = outbox.approval)
					ELSE parts > 0 AND part >= parts END`, seq)
		}
		if err == nil {
			err = dropPieces(ctx, tx, seq)
		}
		if err == nil && ref != "" {
			_, err = addRef(ctx, tx, seq, ref)
		}
		return err
	})
}

// ItemUnsent records a failed try and until when its user must wait; never gives the item up.
func (db *DB) ItemUnsent(ctx context.Context, seq int64, until time.Time, never bool, why string) error {
	return db.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE outbox SET tries = tries + 1, error = ?2,
				state = iif(?3, 'failed', state), ended = iif(?3, `+nowMillis+`, ended)
			WHERE seq = ?1 AND state = 'due'`, seq, why, never)
		if err == nil {
			err = dropPieces(ctx, tx, seq)
		}
		if err == nil && !until.IsZero() {
			_, err = tx.ExecContext(ctx, `INSERT INTO outbox_holds (channel, user, until_ms) SELECT channel, user, ?2 FROM outbox WHERE seq = ?1
				ON CONFLICT DO UPDATE SET until_ms = excluded.until_ms`, seq, until.UnixMilli())
		}
		return err
	})
}

// dropPieces forgets the bytes of a file that nobody will fetch any more.
func dropPieces(ctx context.Context, tx *sql.Tx, seq int64) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM outbox_pieces WHERE seq = ?1 AND (SELECT state FROM outbox WHERE seq = ?1) <> 'due'`, seq)
	return err
}

// addRef records that a message shows an item, and reports whether that was news. A message that was
// known to show another item shows this one from now on: with a new bot the messenger counts anew.
func addRef(ctx context.Context, tx *sql.Tx, seq int64, ref string) (bool, error) {
	result, err := tx.ExecContext(ctx, `INSERT INTO outbox_refs (channel, user, ref, seq, n)
		SELECT channel, user, ?2, seq, (SELECT coalesce(max(n), 0) + 1 FROM outbox_refs WHERE seq = ?1) FROM outbox
			WHERE seq = ?1 AND (SELECT count(*) FROM outbox_refs WHERE seq = ?1) < ?3
		ON CONFLICT (channel, user, ref) DO UPDATE SET seq = excluded.seq, n = excluded.n WHERE seq <> excluded.seq`, seq, ref, maxRefs)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n == 1, err
}

// AddShown records one more message that shows an item. A card of which such a message turns up
// shows "pending" there, whatever its other messages say, and so becomes due; and so does a menu.
func (db *DB) AddShown(ctx context.Context, channel claw.Channel, user, key, ref string) error {
	if ref == "" {
		return nil
	}
	return db.inTx(ctx, func(tx *sql.Tx) error {
		var seq int64
		err := tx.QueryRowContext(ctx, `SELECT seq FROM outbox WHERE channel = ? AND user = ? AND key = ?`, string(channel), user, key).Scan(&seq)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("%w: %.80q", ErrNoItem, key)
		}
		if err != nil {
			return err
		}
		fresh, err := addRef(ctx, tx, seq, ref)
		if err == nil && fresh {
			_, err = tx.ExecContext(ctx, `UPDATE outbox SET shown_state = iif(kind = 'card', 'pending', ''), part = 0, state = 'due', ended = NULL
				WHERE seq = ? AND kind IN ('card', 'menu') AND state <> 'failed'`, seq)
		}
		return err
	})
}

// MoveMenu gives a menu its next state, if its version is still from, and makes it due. Even one that was given
// up: its user tapped it, so that he is there again.
func (db *DB) MoveMenu(ctx context.Context, seq, from int64, state string) (moved bool, err error) {
	if len(state) > outbox.MaxState {
		return false, fmt.Errorf("a menu's state of %d bytes, the most is %d", len(state), outbox.MaxState)
	}
	n, err := db.exec(ctx, `UPDATE outbox SET menu_state = ?3, menu_version = menu_version + 1, state = 'due', part = 0, tries = 0, ended = NULL
		WHERE seq = ?1 AND kind = 'menu' AND menu_version = ?2`, seq, from, state)
	return n == 1 && err == nil, err
}

// ItemFile returns bytes of an item's file from offset on, at most limit and none past its end.
func (db *DB) ItemFile(ctx context.Context, seq, offset int64, limit int) ([]byte, error) {
	if offset < 0 || limit <= 0 {
		return nil, nil
	}
	var data []byte
	err := db.read.QueryRowContext(ctx, `SELECT substr(data, ?3 + 1, ?4) FROM outbox_pieces WHERE seq = ?1 AND n = ?2`,
		seq, offset/pieceSize, offset%pieceSize, limit).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return data, explain(err)
}

// SetBubble keeps the message that shows a run while it goes on; a run stays with the user who had its first one.
func (db *DB) SetBubble(ctx context.Context, channel claw.Channel, user string, run claw.RunID, ref string) error {
	_, err := db.exec(ctx, `INSERT INTO bubbles (run, channel, user, ref, at) VALUES (?, ?, ?, ?, `+nowMillis+`)
		ON CONFLICT (run) DO UPDATE SET ref = excluded.ref WHERE channel = excluded.channel AND user = excluded.user`,
		string(run), string(channel), user, ref)
	return err
}

// Bubble returns the message that shows a run, empty if none is known.
func (db *DB) Bubble(ctx context.Context, run claw.RunID) (ref string, err error) {
	err = db.read.QueryRowContext(ctx, `SELECT ref FROM bubbles WHERE run = ?`, string(run)).Scan(&ref)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return ref, explain(err)
}

// pruneBatch keeps one deletion short: writers wait for it.
const pruneBatch = 1000

// PruneItems forgets what was done with before a time, but nothing that is still to be shown.
func (db *DB) PruneItems(ctx context.Context, before time.Time) error {
	for n := int64(pruneBatch); n == pruneBatch; {
		var err error
		if n, err = db.exec(ctx, `DELETE FROM outbox WHERE seq IN (SELECT seq FROM outbox WHERE ended < ? LIMIT ?)`, before.UnixMilli(), pruneBatch); err != nil {
			return err
		}
	}
	if _, err := db.exec(ctx, `DELETE FROM bubbles WHERE at < ? AND run NOT IN (SELECT run FROM outbox WHERE state = 'due')`, before.UnixMilli()); err != nil {
		return err
	}
	_, err := db.exec(ctx, `DELETE FROM outbox_holds WHERE until_ms < ?`, before.UnixMilli())
	return err
}
