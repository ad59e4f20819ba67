package chat

import (
	"context"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// AtWork are the sessions in which something runs or waits for its turn.
func (d *Desk) AtWork() map[claw.SessionID]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := map[claw.SessionID]bool{}
	for id := range d.lanes {
		out[id] = true
	}
	return out
}

// Halt stops a conversation, and says in words what it stopped.
func (d *Desk) Halt(ctx context.Context, session claw.SessionID) (string, error) {
	var h halt
	if err := d.stopSession(ctx, session, &h); err != nil {
		return "", err
	}
	h.wait(ctx)
	return h.words(), nil
}
