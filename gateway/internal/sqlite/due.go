package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/outbox"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// ErrNoItem is an item that is not in the outbox.
var ErrNoItem = errors.New("no such item in the outbox")

const (
	// nowMillis is the time, where no caller gives it: it only says when a row may be forgotten.
	nowMillis = `CAST(unixepoch('subsec') * 1000 AS INTEGER)`
	// finalStates are those that an approval cannot leave; gate.State.Final says the same.
	finalStates = `('denied','expired','cancelled','done','unknown')`

	itemColumns = `o.seq, o.channel, o.user, o.key, o.kind, o.run, o.reply_to, o.text, o.approval, o.file_name, o.file_mime, o.file_size, o.file_sha256,
		o.menu, o.menu_state, o.menu_version,
		o.at, o.part, o.shown_state, o.tries, (SELECT json_group_array(r.ref) FROM (SELECT ref FROM outbox_refs WHERE seq = o.seq ORDER BY n) r)`

	// maxHold is longer than any wait that the outbox asks for. A hold that ends later is from a clock
	// that was set back since.
	maxHold = time.Hour + time.Minute
)

// dueItems finds the next item of each user: the users by one step through the index for each of them
// (a DISTINCT would walk over all their items), then each one's first card, or else his first other
// item. "allowed" and "started" look the same to a user, so they are one. A question that was never
// shown goes before the edits of old ones.
const dueItems = `
WITH RECURSIVE users (user) AS (
	SELECT min(user) FROM outbox WHERE channel = ?1 AND state = 'due'
	UNION ALL
	SELECT (SELECT min(o.user) FROM outbox o WHERE o.channel = ?1 AND o.state = 'due' AND o.user > users.user) FROM users WHERE users.user IS NOT NULL
), next (until_ms, seq) AS (
	SELECT h.until_ms, coalesce(
		(SELECT o.seq FROM outbox o LEFT JOIN approvals a ON a.id = o.approval
			WHERE o.channel = ?1 AND o.user = u.user AND o.state = 'due' AND o.priority = 0 AND (o.kind <> 'card' OR
				iif(a.state = 'started', 'allowed', a.state) IS NOT iif(o.shown_state = 'started', 'allowed', o.shown_state))
			ORDER BY o.kind = 'card' AND (a.state IS NOT 'pending' OR o.shown_state <> ''), o.seq LIMIT 1),
		(SELECT o.seq FROM outbox o WHERE o.channel = ?1 AND o.user = u.user AND o.state = 'due' AND o.priority = 1 ORDER BY o.seq LIMIT 1))
	FROM users u LEFT JOIN outbox_holds h ON h.channel = ?1 AND h.user = u.user AND h.until_ms > ?2 AND h.until_ms <= ?2 + ?3
	WHERE u.user IS NOT NULL
)
SELECT n.until_ms, ` + itemColumns + ` FROM next n CROSS JOIN outbox o WHERE o.seq = n.seq`

// DueItems returns, of each user of a channel, the one item that is next, and when the first of the
// users that must wait may go on.
func (db *DB) DueItems(ctx context.Context, channel claw.Channel, now time.Time) ([]outbox.Item, time.Time, error) {
	rows, err := db.read.QueryContext(ctx, dueItems, string(channel), now.UnixMilli(), maxHold.Milliseconds())
	if err != nil {
		return nil, time.Time{}, explain(err)
	}
	defer rows.Close()
	var items []outbox.Item
	var next time.Time
	for rows.Next() {
		var until sql.NullInt64
		item, err := scanItem(rows, &until)
		if err != nil {
			return nil, time.Time{}, err
		}
		if !until.Valid {
			items = append(items, item)
		} else if end := fromMillis(until); next.IsZero() || end.Before(next) {
			next = end
		}
	}
	return items, next, explain(rows.Err())
}

// ItemByRef finds the item that a message of the messenger shows.
func (db *DB) ItemByRef(ctx context.Context, channel claw.Channel, user, ref string) (outbox.Item, bool, error) {
	item, err := scanItem(db.read.QueryRowContext(ctx, `SELECT `+itemColumns+` FROM outbox_refs s JOIN outbox o ON o.seq = s.seq
		WHERE s.channel = ? AND s.user = ? AND s.ref = ?`, string(channel), user, ref))
	if errors.Is(err, sql.ErrNoRows) {
		return outbox.Item{}, false, nil
	}
	return item, err == nil, explain(err)
}

// ItemBySeq finds an item of a user by its number.
func (db *DB) ItemBySeq(ctx context.Context, channel claw.Channel, user string, seq int64) (outbox.Item, bool, error) {
	item, err := scanItem(db.read.QueryRowContext(ctx, `SELECT `+itemColumns+` FROM outbox o WHERE o.seq = ? AND o.channel = ? AND o.user = ?`,
		seq, string(channel), user))
	if errors.Is(err, sql.ErrNoRows) {
		return outbox.Item{}, false, nil
	}
	return item, err == nil, explain(err)
}

// scanItem reads itemColumns, after what stands before them.
func scanItem(row scanner, before ...any) (outbox.Item, error) {
	var item outbox.Item
	var name, mime, sum sql.NullString
	var size, at sql.NullInt64
	var shown string
	err := row.Scan(append(before, &item.Seq, &item.Channel, &item.User, &item.Key, &item.Kind, &item.Run, &item.ReplyTo, &item.Text, &item.Approval,
		&name, &mime, &size, &sum, &item.Menu.Name, &item.Menu.State, &item.Menu.Version, &at, &item.Part, &item.State, &item.Tries, &shown)...)
	if err != nil {
		return outbox.Item{}, err
	}
	if name.Valid {
		item.File = &wire.File{Name: name.String, Mime: mime.String, Size: size.Int64, SHA256: sum.String}
	}
	item.At = fromMillis(at)
	if err := strict.Decode([]byte(shown), &item.Shown); err != nil {
		return outbox.Item{}, fmt.Errorf("item %d: %w", item.Seq, err)
	}
	if len(item.Shown) == 0 {
		item.Shown = nil
	}
	return item, nil
}
