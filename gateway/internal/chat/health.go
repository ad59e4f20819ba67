package chat

import (
	"slices"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// setHealth keeps how a messenger does. Of what a bridge says the name is ours.
func (d *Desk) setHealth(channel claw.Channel, h wire.Health) {
	if !slices.Contains([]string{wire.HealthOK, wire.HealthDegraded, wire.HealthAway}, h.State) {
		h.State = wire.HealthDegraded
	}
	h.Messenger, h.Account, h.Why = string(channel), printable(h.Account, maxName), printable(h.Why, 300)
	d.mu.Lock()
	defer d.mu.Unlock()
	if h.Since.IsZero() {
		h.Since = d.o.Now()
	}
	if h.Account == "" {
		h.Account = d.health[channel].Account
	}
	d.health[channel] = h
}

// messengers is the health of each messenger that somebody may use or that was connected.
func (d *Desk) messengers() []wire.Health {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []wire.Health
	for _, channel := range messengers() {
		h, known := d.health[channel]
		if !known && len(d.users()[channel]) > 0 {
			h, known = wire.Health{Messenger: string(channel), State: wire.HealthAway, Why: "no bridge is connected", Since: d.began}, true
		}
		if known {
			out = append(out, h)
		}
	}
	return out
}
