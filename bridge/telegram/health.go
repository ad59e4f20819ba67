package telegram

import (
	"sync"
	"time"

	"github.com/secureclaw/secureclaw/internal/wire"
)

// health is how the bridge does with Telegram. The gateway hears of each change, and of the state whenever it
// comes back.
type health struct {
	now  func() time.Time
	tell func(wire.Health)

	mu  sync.Mutex
	cur wire.Health
}

func newHealth(now func() time.Time, tell func(wire.Health)) *health {
	return &health{now: now, tell: tell, cur: wire.Health{
		Messenger: role, State: wire.HealthDegraded, Why: "it has not reached Telegram yet", Since: now(),
	}}
}

// set reports whether anything changed.
func (h *health) set(state, why string) bool {
	h.mu.Lock()
	if h.cur.State == state && h.cur.Why == why {
		h.mu.Unlock()
		return false
	}
	if h.cur.State != state {
		h.cur.Since = h.now()
	}
	h.cur.State, h.cur.Why = state, why
	cur := h.cur
	h.mu.Unlock()
	h.tell(cur)
	return true
}

func (h *health) account(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cur.Account = name // told with the next state
}

func (h *health) repeat() {
	h.mu.Lock()
	cur := h.cur
	h.mu.Unlock()
	h.tell(cur)
}
