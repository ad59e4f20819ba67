package fake_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/fake"
)

// polled is one update as the bot gets it.
type polled struct {
	ID      int64 `json:"update_id"`
	Message struct {
		Text string `json:"text"`
	} `json:"message"`
	Callback struct {
		ID string `json:"id"`
	} `json:"callback_query"`
}

func (b bot) poll(body string) []polled {
	b.t.Helper()
	var out []polled
	if err := json.Unmarshal(b.must("getUpdates", body), &out); err != nil {
		b.t.Fatal(err)
	}
	return out
}

func ids(list []polled) []int64 {
	var out []int64
	for _, p := range list {
		out = append(out, p.ID)
	}
	return out
}

func TestTelegramOffsetsConfirm(t *testing.T) {
	b, _ := strict(t) // one update waits
	first := b.poll(`{}`)[0].ID
	second, _ := b.tg.Say(5, "two")
	third, _ := b.tg.Say(5, "three")
	check := func(body string, want ...int64) {
		t.Helper()
		if got := ids(b.poll(body)); !slices.Equal(got, want) {
			t.Errorf("getUpdates %s = %v, want %v", body, got, want)
		}
	}
	check(fmt.Sprintf(`{"offset":%d}`, first), first, second, third)
	if got := b.tg.Confirmed(); got != 0 {
		t.Errorf("Confirmed = %d before any offset beyond, want 0", got)
	}
	check(`{"limit":2}`, first, second) // not confirmed, so told again
	// The same offset again at once: the server tells one only.
	check(`{"limit":2}`, first)
	check(fmt.Sprintf(`{"offset":%d}`, second), second, third)
	if got := b.tg.Confirmed(); got != first {
		t.Errorf("Confirmed = %d, want %d", got, first)
	}
	check(`{"limit":50}`, second, third) // the first is forgotten, and offset 0 does not bring it back
	check(fmt.Sprintf(`{"offset":%d}`, third+1000), second, third)
	check(`{"offset":-1}`, third)
	if got := b.tg.Confirmed(); got != second {
		t.Errorf("Confirmed after offset -1 = %d, want %d", got, second)
	}
	check(fmt.Sprintf(`{"offset":%d}`, third+1))
	if b.tg.Pending() != 0 {
		t.Errorf("Pending = %d, want 0", b.tg.Pending())
	}
	for range 120 {
		b.tg.Say(5, "many")
	}
	if got := len(b.poll(fmt.Sprintf(`{"offset":%d,"limit":1000}`, third))); got != 100 {
		t.Errorf("limit 1000 = %d updates, want 100", got)
	}
}

func TestTelegramPollWaits(t *testing.T) {
	t.Parallel()
	b := bot{t, fake.NewTelegram(t, botToken)}
	begin := time.Now()
	if got := b.poll(`{"timeout":1}`); len(got) != 0 || time.Since(begin) < 900*time.Millisecond {
		t.Errorf("a poll without news = %v after %v, want nothing after its timeout", got, time.Since(begin))
	}
	done := make(chan []polled)
	go func() { done <- b.poll(`{"offset":5,"timeout":30}`) }()
	if err := b.tg.Await(t.Context(), (*fake.Telegram).Polling); err != nil {
		t.Fatal(err)
	}
	id, _ := b.tg.Say(5, "hi")
	if got := <-done; len(got) != 1 || got[0].ID != id {
		t.Errorf("the poll = %v, want update %d", got, id)
	}
}

func TestTelegramAllowedUpdatesAreRemembered(t *testing.T) {
	b, _ := strict(t)
	id := sent(t, b.must("sendMessage", `{"chat_id":5,"text":"x","reply_markup":{"inline_keyboard":[[{"text":"A","callback_data":"a"}]]}}`))
	b.poll(`{"offset":-1,"allowed_updates":["message"]}`)
	b.tg.Press(5, id, "a")
	second, _ := b.tg.Say(5, "hi")
	if got := b.poll(`{}`); len(got) != 2 || got[1].ID != second {
		t.Errorf("getUpdates = %+v, want two messages and not the press", got)
	}
	b.poll(`{"allowed_updates":[]}`)
	press := b.tg.Press(5, id, "a")
	if got := b.poll(fmt.Sprintf(`{"offset":%d}`, second+1)); len(got) != 1 || got[0].Callback.ID != press {
		t.Errorf("after allowed_updates [] comes %+v, want the press", got)
	}
	if id, _ := b.tg.SayAs(fake.UserMessage{From: 5, Text: "old", Date: time.Now().Add(-25 * time.Hour).Unix()}); id != 0 {
		t.Errorf("a message of yesterday is update %d; the server tells no bot", id)
	}
	if id, _ := b.tg.SayAs(fake.UserMessage{From: 5, Text: "late", Date: time.Now().Add(-20 * time.Minute).Unix()}); id == 0 {
		t.Error("a message of 20 minutes ago is not told")
	}
}

func TestTelegramConflicts(t *testing.T) {
	t.Parallel()
	b := bot{t, fake.NewTelegram(t, botToken)}
	older := make(chan reply)
	go func() {
		r, _ := b.call("getUpdates", `{"timeout":30}`)
		older <- r
	}()
	if err := b.tg.Await(t.Context(), (*fake.Telegram).Polling); err != nil {
		t.Fatal(err)
	}
	newer := make(chan []polled)
	go func() { newer <- b.poll(`{"timeout":30,"offset":1}`) }()
	if r := <-older; r.Code != http.StatusConflict || r.Description != "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running" {
		t.Errorf("the older poll = %+v, want 409", r)
	}
	id, _ := b.tg.Say(5, "hi")
	if got := <-newer; len(got) != 1 || got[0].ID != id {
		t.Errorf("the newer poll = %v, want update %d", got, id)
	}

	b.tg.SetWebhook("https://example.com/hook")
	begin := time.Now()
	words := "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
	b.refused("getUpdates", `{}`, 409, words)
	if time.Since(begin) < 2*time.Second {
		t.Errorf("the second conflict came after %v; the server lets it wait", time.Since(begin))
	}
	var hook struct {
		URL     string `json:"url"`
		Pending int    `json:"pending_update_count"`
	}
	if err := json.Unmarshal(b.must("getWebhookInfo", "{}"), &hook); err != nil || hook.URL != "https://example.com/hook" || hook.Pending != 1 {
		t.Errorf("getWebhookInfo = %+v, %v", hook, err)
	}
	b.must("deleteWebhook", `{"drop_pending_updates":false}`)
	if got := b.poll(`{}`); len(got) != 1 {
		t.Errorf("after deleteWebhook %v, want the update that waited", got)
	}
	b.must("setWebhook", `{"url":"https://example.com/hook"}`)
	b.must("deleteWebhook", `{"drop_pending_updates":true}`)
	if b.tg.Pending() != 0 {
		t.Errorf("Pending = %d after a drop, want 0", b.tg.Pending())
	}
}

// Many users, buttons and a bot at once: each update comes in order and once per confirmation.
func TestTelegramUnderLoad(t *testing.T) {
	b := bot{t, fake.NewTelegram(t, botToken)}
	const users, each = 8, 25
	var talk sync.WaitGroup
	for user := range int64(users) {
		talk.Go(func() {
			for i := range each {
				b.tg.Say(user+1, fmt.Sprint(i))
			}
		})
	}
	var offset int64
	seen := 0
	for seen < users*each {
		for _, u := range b.poll(fmt.Sprintf(`{"offset":%d,"timeout":5}`, offset)) {
			if u.ID < offset {
				t.Fatalf("update %d comes after %d was confirmed", u.ID, offset-1)
			}
			offset = u.ID + 1
			seen++
		}
	}
	talk.Wait()
	var bots sync.WaitGroup
	for user := range int64(users) {
		bots.Go(func() {
			for range each {
				if _, err := b.call("sendMessage", fmt.Sprintf(`{"chat_id":%d,"text":"x"}`, user+1)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	err := b.tg.Await(t.Context(), func(tg *fake.Telegram) bool { return len(tg.Calls("sendMessage")) == users*each })
	bots.Wait()
	if err != nil {
		t.Error(err)
	}
	if rest := b.poll(fmt.Sprintf(`{"offset":%d}`, offset)); seen != users*each || len(rest) > 0 || b.tg.Pending() != 0 {
		t.Errorf("saw %d of %d updates, then %v, %d pending", seen, users*each, rest, b.tg.Pending())
	}
	numbers := make(map[int64]bool)
	for user := range int64(users) {
		for _, s := range b.tg.History(user + 1) {
			if numbers[s.MessageID] {
				t.Errorf("message id %d is in two chats", s.MessageID)
			}
			numbers[s.MessageID] = true
		}
	}
	if len(numbers) != 2*users*each {
		t.Errorf("%d messages, want %d", len(numbers), 2*users*each)
	}
}
