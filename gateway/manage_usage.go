package gateway

import "github.com/secureclaw/secureclaw/gateway/internal/chat"

// manageUsage answers what a terminal asks about what was spent.
func (k *keep) manageUsage() map[string]chat.Manager {
	return map[string]chat.Manager{}
}
