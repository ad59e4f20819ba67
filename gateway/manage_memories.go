package gateway

import "github.com/secureclaw/secureclaw/gateway/internal/chat"

// manageMemories answers what a terminal asks about memories.
func (k *keep) manageMemories() map[string]chat.Manager {
	return map[string]chat.Manager{}
}
