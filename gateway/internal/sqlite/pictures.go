package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// Turns and approvals are stored with the names of their pictures; the bytes are here. They are kept
// for the last results of a session that have any: older ones are shown to no model, and the user
// has them as files. A picture whose bytes are gone comes back without them.

// maxPictured is of how many results of one session the pictures are kept.
const maxPictured = 8

// withoutPictures is the results as they are stored in a row of text.
func withoutPictures(results []claw.ToolResult) []claw.ToolResult {
	results = slices.Clone(results)
	for i := range results {
		results[i].Images = slices.Clone(results[i].Images)
		for j := range results[i].Images {
			results[i].Images[j].Data = nil
		}
	}
	return results
}

func pictured(r claw.ToolResult) bool {
	return r.Call != "" && slices.ContainsFunc(r.Images, func(i claw.Image) bool { return len(i.Data) > 0 })
}

// putPictures keeps the pictures of results, and forgets those that are old.
func putPictures(ctx context.Context, tx *sql.Tx, session claw.SessionID, results []claw.ToolResult) error {
	if !slices.ContainsFunc(results, pictured) {
		return nil
	}
	for _, r := range results {
		if !pictured(r) {
			continue
		}
		for n, image := range r.Images {
			// What an approval brought comes a second time with its turn.
			_, err := tx.ExecContext(ctx, `INSERT INTO pictures (call, n, session, data) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET data = excluded.data`,
				string(r.Call), n, string(session), image.Data)
			if err != nil {
				return err
			}
		}
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM pictures WHERE session = ?1 AND call NOT IN
		(SELECT call FROM pictures WHERE session = ?1 GROUP BY call ORDER BY max(rowid) DESC LIMIT ?2)`, string(session), maxPictured)
	return err
}

// addPictures gives a result the bytes of its pictures, as far as they are kept.
func (db *DB) addPictures(ctx context.Context, r *claw.ToolResult) error {
	for n := range r.Images {
		err := db.read.QueryRowContext(ctx, `SELECT data FROM pictures WHERE call = ? AND n = ?`, string(r.Call), n).Scan(&r.Images[n].Data)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return explain(err)
		}
	}
	return nil
}
