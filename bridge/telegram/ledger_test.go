package telegram_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/secureclaw/secureclaw/bridge/telegram"
	"github.com/secureclaw/secureclaw/internal/fake"
)

// Whatever the order in which updates are done, nothing that is in hand is confirmed, nothing that is done waits
// for anything but those before it, and no update is taken twice.
func TestLedger(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := telegram.NewLedger()
		next, first := int64(1), int64(0)
		var order, hand []int64
		done := map[int64]bool{}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			if len(hand) == 0 || rapid.Bool().Draw(t, "see") {
				next += int64(rapid.IntRange(1, 3).Draw(t, "gap"))
				if !l.See(next) || l.See(next) {
					t.Fatalf("update %d is not new once", next)
				}
				order, hand = append(order, next), append(hand, next)
			} else {
				i := rapid.IntRange(0, len(hand)-1).Draw(t, "which")
				l.Finish(hand[i])
				if done[hand[i]] = true; l.See(hand[i]) {
					t.Fatalf("update %d is taken again", hand[i])
				}
				hand = slices.Delete(hand, i, i+1)
			}
			for len(order) > 0 && done[order[0]] {
				first, order = order[0]+1, order[1:]
			}
			if offset, busy := l.State(); offset != first || busy != (len(hand) > 0 || len(order) > 0) {
				t.Fatalf("offset %d, in hand %t; want %d with %v in hand", offset, busy, first, hand)
			}
		}
	})
}

// After a quiet week Telegram numbers its updates anew, lower perhaps. They are not hidden by an old offset.
func TestUpdatesAreNumberedAnew(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	clock := newClock()
	o.Now = clock.now
	w.start(o, func(t *telegram.Timing) { t.Poll(time.Second) })
	nth(w.d, 1, "health", okHealth)
	w.known(owner)
	before := len(w.tg.Calls("getUpdates"))
	clock.add(7 * 24 * time.Hour)
	w.until("a poll for anything", func(tg *fake.Telegram) bool {
		calls := tg.Calls("getUpdates")[before:]
		return slices.ContainsFunc(calls, func(c fake.APICall) bool { return c.Params["offset"] == "" })
	})
	low := int64(5)
	w.tg.Raw(map[string]any{"update_id": low, "message": map[string]any{
		"message_id": 900, "date": time.Now().Unix(), "text": "after a week",
		"chat": map[string]any{"id": owner, "type": "private"}, "from": map[string]any{"id": owner, "is_bot": false, "first_name": "Ada"},
	}})
	if got := nth(w.d, 2, "message", aMessage); got.ID != "5.42.900" {
		t.Errorf("message = %+v", got)
	}
}
