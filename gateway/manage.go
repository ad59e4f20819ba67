package gateway

import (
	"context"
	"maps"

	"github.com/secureclaw/secureclaw/gateway/internal/chat"
	"github.com/secureclaw/secureclaw/gateway/internal/heartbeat"
	"github.com/secureclaw/secureclaw/gateway/internal/memory"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
)

// keep is what the gateway keeps, for those who look into it from a terminal.
type keep struct {
	o      Options
	db     *sqlite.DB
	memory *memory.Memory
	clock  *heartbeat.Clock
	budget *budget
	note   func(kind string, fields map[string]any)                            // writes into the audit log
	record func(ctx context.Context, kind string, fields map[string]any) error // the same, and is on disk when it returns
	desk   func() *chat.Desk                                                   // there is none before it is made
}

// managers are the requests of package wire by their names.
func (k *keep) managers() map[string]chat.Manager {
	all := map[string]chat.Manager{}
	for _, some := range []map[string]chat.Manager{k.manageMemories(), k.manageSessions(), k.manageUsage(), k.manageHeartbeats()} {
		maps.Copy(all, some)
	}
	return all
}
