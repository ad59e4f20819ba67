package gateway

import (
	"context"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
	"github.com/secureclaw/secureclaw/internal/config"
)

// budget holds the limits of tokens against what was spent.
type budget struct {
	limits config.Limits
	db     *sqlite.DB
}

// Spend says why no more may be spent, or nothing.
func (b *budget) Spend(ctx context.Context, session claw.SessionID, origin claw.Origin) (string, error) {
	return "", nil
}
