package gateway

import "github.com/secureclaw/secureclaw/gateway/internal/chat"

// manageHeartbeats answers what a terminal asks about heartbeats.
func (k *keep) manageHeartbeats() map[string]chat.Manager {
	return map[string]chat.Manager{}
}
