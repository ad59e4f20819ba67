package gateway

import (
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/internal/config"
)

// heartbeats are those that are configured.
func heartbeats(cfg *config.Config) []claw.Heartbeat {
	var out []claw.Heartbeat
	for _, h := range cfg.Heartbeats {
		out = append(out, claw.Heartbeat{Name: h.Name, Schedule: h.Schedule, Timezone: h.Timezone, Prompt: h.Prompt, Missed: h.Missed, Enabled: h.Enabled})
	}
	return out
}
