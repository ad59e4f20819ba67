package gateway

import "github.com/secureclaw/secureclaw/gateway/internal/chat"

// manageSessions answers what a terminal asks about conversations.
func (k *keep) manageSessions() map[string]chat.Manager {
	return map[string]chat.Manager{}
}
