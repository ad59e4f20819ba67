package gate

import (
	"context"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// Fate is what the store knows of a call after a restart.
type Fate struct {
	Asked  bool            // there is an approval for it; without one, only the audit log knows the call
	Open   bool            // it waits for an answer or is being run; its end comes through [Asker.Resumed]
	Result claw.ToolResult // how it ended, when it was asked about and is not open
}

// Fate looks up what became of a call of an earlier life.
func (g *Gate) Fate(ctx context.Context, call claw.CallID) (Fate, error) {
	found, err := g.store.List(ctx, Query{Call: call, Limit: 1})
	if err != nil || len(found) == 0 {
		return Fate{}, err
	}
	a := found[0]
	if !a.State.Final() {
		return Fate{Asked: true, Open: true}, nil
	}
	return Fate{Asked: true, Result: a.outcome()}, nil
}
