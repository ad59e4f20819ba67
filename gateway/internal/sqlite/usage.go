package sqlite

import (
	"context"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// UsageQuery selects model calls. Zero fields select all.
type UsageQuery struct {
	Session claw.SessionID
	Model   string
	Since   time.Time // from this moment on
}

// AddUsage keeps the cost of one answer, and for which task its session works.
func (db *DB) AddUsage(ctx context.Context, c claw.ModelCall) error {
	_, err := db.exec(ctx, `INSERT INTO usage (at, session, run, model, input, output, cache_read, cache_write, channel, user, task)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, coalesce((SELECT task FROM sessions WHERE id = ?2), ''))`,
		c.At.UnixMilli(), string(c.Session), string(c.Run), c.Model, c.Usage.Input, c.Usage.Output, c.Usage.CacheRead, c.Usage.CacheWrite,
		string(c.Origin.Channel), c.Origin.User)
	return err
}

// UsageSum adds up what the query selects.
func (db *DB) UsageSum(ctx context.Context, q UsageQuery) (claw.Usage, error) {
	var u claw.Usage
	err := db.read.QueryRowContext(ctx, `SELECT coalesce(sum(input), 0), coalesce(sum(output), 0), coalesce(sum(cache_read), 0), coalesce(sum(cache_write), 0)
		FROM usage WHERE (?1 = '' OR session = ?1) AND (?2 = '' OR model = ?2) AND (?3 IS NULL OR at >= ?3)`,
		string(q.Session), q.Model, millis(q.Since)).Scan(&u.Input, &u.Output, &u.CacheRead, &u.CacheWrite)
	return u, explain(err)
}
