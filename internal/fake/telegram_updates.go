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

// poll is a getUpdates that waits.
type poll struct{ other chan struct{} } // closed when another takes its place

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

func conflict(words string) error { return unlucky(http.StatusConflict, "Conflict: "+words) }

// getUpdates is the long poll. It is called with mu held, and lets go of it while it waits.
func (tg *Telegram) getUpdates(q *request) (any, error) {
	if tg.webhook != "" {
		return nil, conflict("can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first")
	}
	if err := tg.allow(q); err != nil {
		return nil, err
	}
	limit := min(max(int(q.integer("limit", 100)), 1), 100)
	timeout := min(max(q.integer("timeout", 0), 0), 50)
	// Whoever asks last is the bot: an older poll, perhaps of a process that is dead, must not take its updates.
	if tg.poll != nil {
		close(tg.poll.other)
	}
	mine := &poll{other: make(chan struct{})}
	tg.poll = mine
	defer func() {
		if tg.poll == mine {
			tg.poll = nil
		}
	}()
	tg.forget(q.integer("offset", 0))
	ctx, cancel := context.WithTimeout(q.http.Context(), time.Duration(timeout)*time.Second)
	defer cancel()
	for len(tg.updates) == 0 {
		changed := tg.changed
		tg.mu.Unlock()
		var err error
		over := false
		select {
		case <-changed:
		case <-mine.other:
			err = conflict("terminated by other getUpdates request; make sure that only one bot instance is running")
		case <-ctx.Done():
			over = true
		case <-tg.done:
			over = true
		}
		tg.mu.Lock()
		if err == nil && tg.webhook != "" {
			err = conflict("terminated by setWebhook request")
		}
		if err != nil {
			return nil, err
		}
		if over {
			break
		}
	}
	out := []map[string]any{}
	for _, u := range tg.updates[:min(limit, len(tg.updates))] {
		out = append(out, u.body)
	}
	return out, nil
}

// forget drops what an offset confirms: all before it, or, if it is negative, all but so many.
func (tg *Telegram) forget(offset int64) {
	n := 0
	switch {
	case offset < 0:
		n = max(0, len(tg.updates)+int(offset))
	case offset > 0:
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
	if err := q.object("allowed_updates", "allowed updates", &names); err != nil {
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
