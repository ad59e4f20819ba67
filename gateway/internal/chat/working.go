package chat

import "github.com/secureclaw/secureclaw/gateway/internal/claw"

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
