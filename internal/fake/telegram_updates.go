package fake

import (
	"context"
	"net/http"
	"slices"
	"time"
)

// update is one event that waits for the bot.
type update struct {
	id   int64
	body map[string]any
}

// kinds are the updates there are. Those that come only when asked for have the value false.
func kinds() map[string]bool {
	out := map[string]bool{"message_reaction": false, "message_reaction_count": false, "chat_member": false}
	for _, kind := range []string{"message", "edited_message", "channel_post", "edited_channel_post", "inline_query",
		"chosen_inline_result", "callback_query", "shipping_query", "pre_checkout_query", "purchased_paid_media", "poll",
		"poll_answer", "my_chat_member", "chat_join_request", "chat_boost", "removed_chat_boost", "business_connection",
		"business_message", "edited_business_message", "deleted_business_messages"} {
		out[kind] = true
	}
	return out
}

// push queues an update, unless the bot did not ask for its kind. The caller holds mu.
func (tg *Telegram) push(kind string, what any) int64 {
	wanted := kinds()[kind]
	if tg.allowed != nil {
		wanted = slices.Contains(tg.allowed, kind)
	}
	if !wanted {
		return 0
	}
	tg.lastUpdate++
	tg.updates = append(tg.updates, update{tg.lastUpdate, map[string]any{"update_id": tg.lastUpdate, kind: what}})
	tg.happened()
	return tg.lastUpdate
}

// conflict refuses a poll. The server takes its time for a second refusal within three seconds, so that two
// programs that fight for a bot do not storm it. The caller holds mu, which is let go for that time.
func (tg *Telegram) conflict(q *request, words string) error {
	late := time.Now().Before(tg.nextConflict)
	if late {
		tg.mu.Unlock()
		select {
		case <-time.After(3 * time.Second):
		case <-q.http.Context().Done():
		case <-tg.done:
		}
		tg.mu.Lock()
	} else {
		tg.nextConflict = time.Now().Add(3 * time.Second)
	}
	return unlucky(http.StatusConflict, "Conflict: "+words)
}

// getUpdates is the long poll. It is called with mu held, and lets go of it while it waits.
func (tg *Telegram) getUpdates(q *request) (any, error) {
	if tg.webhook != "" {
		return nil, tg.conflict(q, "can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first")
	}
	if err := tg.allow(q); err != nil {
		return nil, err
	}
	offset := q.integer("offset", 0)
	limit := min(max(int(q.integer("limit", 100)), 1), 100)
	timeout := min(max(q.integer("timeout", 0), 0), 50)
	// The server slows those who ask for the same again and again.
	if since := time.Since(tg.polled); offset == tg.offset {
		if timeout < 3 && since < 3*time.Second {
			timeout = 3
		}
		if since < time.Second/2 {
			limit = 1
		}
	}
	tg.polled, tg.offset = time.Now(), offset
	tg.forget(offset)
	if len(tg.updates) == 0 && timeout > 0 {
		if err := tg.wait(q, time.Duration(timeout)*time.Second); err != nil {
			return nil, err
		}
		tg.forget(max(offset, 0))
	}
	out := []map[string]any{}
	for _, u := range tg.updates[:min(limit, len(tg.updates))] {
		out = append(out, u.body)
	}
	return out, nil
}

// wait holds a poll until there is something for it. Whoever waits last is the bot: an older poll, perhaps of a
// process that is dead, must not take its updates.
func (tg *Telegram) wait(q *request, timeout time.Duration) error {
	tg.lastPoll++
	mine := tg.lastPoll
	tg.poll = mine
	tg.happened()
	defer func() {
		if tg.poll == mine {
			tg.poll = 0
		}
		tg.happened()
	}()
	ctx, cancel := context.WithTimeout(q.http.Context(), timeout)
	defer cancel()
	for len(tg.updates) == 0 {
		changed := tg.changed
		tg.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		case <-tg.done:
		}
		tg.mu.Lock()
		if tg.poll != mine {
			return tg.conflict(q, "terminated by other getUpdates request; make sure that only one bot instance is running")
		}
		if tg.webhook != "" {
			return tg.conflict(q, "terminated by setWebhook request")
		}
		if ended(ctx.Done()) || ended(tg.done) {
			return nil
		}
	}
	return nil
}

func ended(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Polling reports whether a poll waits for updates now.
func (tg *Telegram) Polling() bool { return read(tg, func() bool { return tg.poll != 0 }) }

// forget drops what an offset confirms: all before it, or, if it is negative, all but so many. An offset far
// in the future confirms nothing.
func (tg *Telegram) forget(offset int64) {
	n := 0
	switch {
	case offset < 0:
		n = max(0, len(tg.updates)+int(offset))
	case offset <= tg.lastUpdate+11:
		for n < len(tg.updates) && tg.updates[n].id < offset {
			n++
		}
	}
	if n > 0 {
		tg.confirmed = tg.updates[n-1].id
		tg.updates = slices.Clone(tg.updates[n:])
		tg.happened()
	}
}

// allow keeps the kinds of updates that the bot asks for, from now on.
func (tg *Telegram) allow(q *request) error {
	if q.values["allowed_updates"] == "" {
		return nil
	}
	var names []string
	if err := tg.object(q, "allowed_updates", "allowed updates", &names); err != nil {
		return err
	}
	known := kinds()
	for _, name := range names {
		if _, ok := known[name]; !ok {
			tg.violation("allowed_updates: there is no %q", name)
		}
	}
	if tg.allowed = names; len(names) == 0 {
		tg.allowed = nil
	}
	return nil
}
