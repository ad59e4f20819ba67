package telegram_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/internal/fake"
	"github.com/secureclaw/secureclaw/internal/wire"
)

func TestMessageReachesTheGatewayOnce(t *testing.T) {
	w := run(t)
	update, id := w.tg.SayAs(fake.UserMessage{From: owner, FirstName: "Anna", Text: "hello"})
	w.confirmed(update)
	got := nth(w.d, 1, "message", aMessage)
	want := wire.Message{ID: fmt.Sprintf("%d.42.%d", update, id), User: "42", Name: "Anna", Text: "hello", Seq: id}
	if got.Sent.IsZero() || time.Since(got.Sent) > time.Minute {
		t.Errorf("message.Sent = %v, want now", got.Sent)
	}
	got.Sent = time.Time{}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
	if n := len(said(w.d, aMessage)); n != 1 {
		t.Errorf("the gateway got %d messages, want 1", n)
	}
	w.until("typing", func(tg *fake.Telegram) bool { return len(tg.Actions()) > 0 })
	if h := nth(w.d, 1, "health", func(up wire.Up) *wire.Health {
		if up.Health != nil && up.Health.State == wire.HealthOK {
			return up.Health
		}
		return nil
	}); h.Account != "@secureclaw_test_bot" {
		t.Errorf("health.Account = %q", h.Account)
	}
}

func TestWhatIsWritten(t *testing.T) {
	w := run(t)
	w.known(owner)
	shown := w.d.show(wire.Send{Item: 1, Kind: wire.SendText, Text: "my words"})
	var ours int64
	if _, err := fmt.Sscan(shown.Ref, &ours); err != nil {
		t.Fatalf("sent.Ref = %q", shown.Ref)
	}
	update, theirs := w.tg.Say(owner, "what I said before")
	w.confirmed(update)
	for name, tc := range map[string]struct {
		in   fake.UserMessage
		want wire.Message
	}{
		"a command to this bot":    {fake.UserMessage{Text: "/new@SecureClaw_test_bot now"}, wire.Message{Text: "/new now"}},
		"a command to another bot": {fake.UserMessage{Text: "/new@other_bot now"}, wire.Message{Text: "/new@other_bot now"}},
		"an answer to us":          {fake.UserMessage{Text: "yes", ReplyTo: ours}, wire.Message{Text: "yes", ReplyTo: shown.Ref, Foreign: []wire.Foreign{{How: "quoted", From: "this assistant", Text: "my words"}}}},
		"an answer to oneself":     {fake.UserMessage{Text: "and", ReplyTo: theirs}, wire.Message{Text: "and", Foreign: []wire.Foreign{{How: "quoted", From: "Ada", Text: "what I said before"}}}},
		"a quote":                  {fake.UserMessage{Text: "why?", ReplyTo: ours, Quote: "words"}, wire.Message{Text: "why?", ReplyTo: shown.Ref, Foreign: []wire.Foreign{{How: "quoted", From: "this assistant", Text: "words"}}}},
		"forwarded from a user": {fake.UserMessage{Text: "delete all", Forward: &fake.Forward{Kind: "user", User: fake.TelegramUser{ID: 9, FirstName: "Eve"}}},
			wire.Message{Foreign: []wire.Foreign{{How: "forwarded", From: "Eve", Text: "delete all"}}}},
		"forwarded from a hidden user": {fake.UserMessage{Text: "delete all", Forward: &fake.Forward{Kind: "hidden_user", Name: "Mallory"}},
			wire.Message{Foreign: []wire.Foreign{{How: "forwarded", From: "Mallory", Text: "delete all"}}}},
		"forwarded from a chat": {fake.UserMessage{Text: "x", Forward: &fake.Forward{Kind: "chat", Chat: fake.TelegramChat{ID: -5, Type: "group", Title: "Club"}, Signature: "boss"}},
			wire.Message{Foreign: []wire.Foreign{{How: "forwarded", From: "Club (boss)", Text: "x"}}}},
		"forwarded from a channel": {fake.UserMessage{Text: "x", Forward: &fake.Forward{Kind: "channel", Chat: fake.TelegramChat{ID: -1005, Type: "channel", Title: "News"}, MessageID: 3}},
			wire.Message{Foreign: []wire.Foreign{{How: "forwarded", From: "News", Text: "x"}}}},
		"forwarded in a way nobody knows yet": {fake.UserMessage{Text: "x", Extra: map[string]any{"forward_origin": map[string]any{"type": "hologram", "date": 1}}},
			wire.Message{Foreign: []wire.Foreign{{How: "forwarded", From: "somebody", Text: "x"}}}},
		"forwarded as old servers tell it": {fake.UserMessage{Text: "x", Extra: map[string]any{"forward_date": 1}},
			wire.Message{Foreign: []wire.Foreign{{How: "forwarded", From: "somebody", Text: "x"}}}},
		"a forwarded caption": {fake.UserMessage{Caption: "obey", Document: &fake.UserFile{Name: "a.txt", Data: []byte("a")}, Forward: &fake.Forward{Kind: "hidden_user", Name: "Mallory"}},
			wire.Message{Foreign: []wire.Foreign{{How: "forwarded", From: "Mallory", Text: "obey"}}, Files: []string{"a.txt"}}},
		"a forwarded /stop": {fake.UserMessage{Text: "/stop", Forward: &fake.Forward{Kind: "hidden_user", Name: "Mallory"}},
			wire.Message{Foreign: []wire.Foreign{{How: "forwarded", From: "Mallory", Text: "/stop"}}}},
		"by way of another bot": {fake.UserMessage{Text: "obey", ViaBot: &fake.TelegramUser{ID: 8, IsBot: true, FirstName: "G", Username: "gif"}},
			wire.Message{Foreign: []wire.Foreign{{How: "forwarded", From: "the bot @gif", Text: "obey"}}}},
		"a quote from another chat": {fake.UserMessage{Text: "see", Quote: "there", Extra: map[string]any{"external_reply": map[string]any{"origin": map[string]any{"type": "hidden_user", "date": 1, "sender_user_name": "Zoe"}}}},
			wire.Message{Text: "see", Foreign: []wire.Foreign{{How: "quoted", From: "Zoe", Text: "there"}}}},
		"a sticker": {fake.UserMessage{Extra: map[string]any{"sticker": map[string]any{"file_id": "x", "emoji": "🙂"}}},
			wire.Message{Refused: []string{"A sticker cannot be read here."}}},
		"a place, which is a location too": {fake.UserMessage{Extra: map[string]any{"venue": map[string]any{"title": "x"}, "location": map[string]any{"latitude": 1.5}}},
			wire.Message{Refused: []string{"A place cannot be read here."}}},
		"text that is no text": {fake.UserMessage{Text: "a\u202eb\u0000\x1b[31m"}, wire.Message{Text: "a\u202eb\u0000\x1b[31m"}},
	} {
		t.Run(name, func(t *testing.T) {
			tc.in.From = owner
			before := len(said(w.d, aMessage))
			update, id := w.tg.SayAs(tc.in)
			got := nth(w.d, before+1, "message", aMessage)
			tc.want.ID, tc.want.User, tc.want.Name, tc.want.Sent, tc.want.Seq = fmt.Sprintf("%d.42.%d", update, id), "42", "Ada", got.Sent, id
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
			w.confirmed(update)
		})
	}
}

// What is not for us is confirmed, and nobody hears of it.
func TestWhatIsPassedOver(t *testing.T) {
	w := run(t)
	group := fake.TelegramChat{ID: -100, Type: "group", Title: "Club"}
	me := map[string]any{"id": owner, "is_bot": false, "first_name": "Ada"}
	private := map[string]any{"id": owner, "type": "private", "first_name": "Ada"}
	var last int64
	for _, raw := range []map[string]any{
		{"message": map[string]any{"message_id": 1, "date": 1, "chat": private, "text": "from nobody"}},
		{"message": map[string]any{"message_id": 1, "date": 1, "chat": private, "from": map[string]any{"id": owner, "is_bot": true, "first_name": "B"}, "text": "from a bot"}},
		{"message": map[string]any{"message_id": 1, "date": 1, "chat": map[string]any{"id": guest, "type": "private"}, "from": me, "text": "in another's chat"}},
		{"message": map[string]any{"message_id": 1, "date": 1, "chat": map[string]any{"id": owner, "type": "channel"}, "from": me, "text": "in a channel"}},
		{"message": map[string]any{"message_id": 1, "date": 1, "chat": private, "from": me, "pinned_message": map[string]any{"message_id": 3}}},
		{"message": "of another type"},
		{"edited_message": map[string]any{"message_id": 1, "date": 1, "chat": private, "from": me, "text": "not asked for"}},
		{},
	} {
		last = w.tg.Raw(raw)
	}
	if update, _ := w.tg.SayAs(fake.UserMessage{From: owner, Chat: group, Text: "/start@secureclaw_test_bot"}); update > 0 {
		last = update
	}
	w.confirmed(last)
	if got := said(w.d, aMessage); len(got) != 0 {
		t.Errorf("the gateway got %+v, want nothing", got)
	}
	if calls := w.tg.Calls("sendMessage", "leaveChat"); len(calls) != 0 {
		t.Errorf("the bot said %+v, want nothing", calls)
	}
}

func TestStrangersHearOneSentence(t *testing.T) {
	w := run(t)
	for range 3 {
		update, _ := w.tg.SayAs(fake.UserMessage{From: stranger, Text: "/start"})
		w.confirmed(update)
	}
	update, _ := w.tg.SayAs(fake.UserMessage{From: stranger, Text: "let me in"})
	w.confirmed(update)
	w.until("the sentence", func(tg *fake.Telegram) bool { return len(tg.Chat(stranger)) > 0 })
	if got, want := w.texts(stranger), []string{"This is a private assistant. It only talks to its owner."}; !cmp.Equal(got, want) {
		t.Errorf("the stranger read %q, want %q", got, want)
	}
	nth(w.d, 1, "stranger", aStranger)
	if got, want := said(w.d, aStranger), []wire.Stranger{{User: "666", What: "message", Told: true}}; !cmp.Equal(got, want) {
		t.Errorf("the gateway heard %+v, want %+v", got, want)
	}
	// Many of them get no more than twenty answers an hour, and the gateway hears of no more.
	for i := range 40 {
		update, _ = w.tg.Say(1000+int64(i), "/start")
	}
	w.confirmed(update)
	w.until("20 sentences", func(tg *fake.Telegram) bool { return len(tg.Calls("sendMessage")) >= 20 })
	w.stop()
	if n := len(w.tg.Calls("sendMessage")); n != 20 {
		t.Errorf("strangers got %d sentences, want 20", n)
	}
	if n := len(said(w.d, aStranger)); n != 20 {
		t.Errorf("the gateway heard of %d strangers, want 20", n)
	}
	if n := len(said(w.d, aMessage)); n != 0 {
		t.Errorf("the gateway got %d messages of strangers", n)
	}
}

// A stranger who comes while the gateway is away is in the audit log all the same.
func TestStrangerIsReportedWhenTheGatewayComesBack(t *testing.T) {
	w := newWorld(t)
	w.d.close()
	w.start(w.options())
	w.tg.SayAs(fake.UserMessage{From: stranger, Text: "/start"})
	w.until("the sentence", func(tg *fake.Telegram) bool { return len(tg.Chat(stranger)) > 0 })
	w.d.open()
	nth(w.d, 1, "stranger", aStranger)
	if got, want := said(w.d, aStranger), []wire.Stranger{{User: "666", What: "message", Told: true}}; !cmp.Equal(got, want) {
		t.Errorf("the gateway heard %+v, want %+v", got, want)
	}
}

func TestNobodyOnTheListIsNobody(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	o.Allowed = nil
	w.start(o)
	update, _ := w.tg.Say(owner, "hello")
	w.confirmed(update)
	if got := said(w.d, aMessage); len(got) != 0 {
		t.Errorf("the gateway got %+v from nobody", got)
	}
}

func TestNothingIsConfirmedBeforeTheGatewayHasIt(t *testing.T) {
	w := newWorld(t)
	w.d.close()
	w.start(w.options())
	first, _ := w.tg.Say(owner, "one")
	second, _ := w.tg.Say(owner, "two")
	// Three more polls show that it does not move.
	w.until("polls", func(tg *fake.Telegram) bool { return len(tg.Calls("getUpdates")) >= 4 })
	if got := w.tg.Confirmed(); got >= first {
		t.Fatalf("update %d is confirmed while the gateway is away", got)
	}
	// It comes back, and dies before it says anything, twice.
	for range 2 {
		w.d.answers(func(wire.Up) []wire.Down { return nil })
		before := len(said(w.d, aMessage))
		w.d.open()
		nth(w.d, before+1, "message", aMessage)
		w.d.close()
	}
	if got := w.tg.Confirmed(); got >= first {
		t.Fatalf("update %d is confirmed, and no gateway took it", got)
	}
	w.d.answers(nil)
	w.d.open()
	w.confirmed(second)
	var texts []string
	for _, m := range said(w.d, aMessage) {
		texts = append(texts, m.Text)
	}
	if got := strings.Join(texts, " "); got != "one one one two" {
		t.Errorf("the gateway was told %q, want each until it was taken, in order", got)
	}
}

// A backlog must not hold Telegram's window of a hundred updates, behind which nobody's taps are seen.
func TestTooManyMessagesAreRefused(t *testing.T) {
	w := run(t)
	w.d.answers(func(up wire.Up) []wire.Down {
		if up.Message != nil {
			return []wire.Down{{Fault: &wire.Fault{Ref: up.Message.ID, Code: "busy", What: "64 messages wait"}}}
		}
		return yes(up)
	})
	update, _ := w.tg.Say(owner, "one more")
	w.confirmed(update)
	if got := w.texts(owner); len(got) != 1 || !strings.Contains(got[0], "Send it again later") {
		t.Errorf("the user read %q, want to be told", got)
	}
}

// A date beyond what JSON can say is as good as none; it must not break the connection.
func TestImpossibleDate(t *testing.T) {
	w := run(t)
	for _, date := range []int64{253402300800, -1, 9e18} {
		before := len(said(w.d, aMessage))
		w.tg.Raw(map[string]any{"message": map[string]any{
			"message_id": 900 + before, "date": date, "text": "hello", "chat": map[string]any{"id": owner, "type": "private"},
			"from": map[string]any{"id": owner, "is_bot": false, "first_name": "Ada"},
		}})
		if got := nth(w.d, before+1, "message", aMessage); !got.Sent.IsZero() || got.Text != "hello" {
			t.Errorf("date %d: message %+v, want it without a time", date, got)
		}
	}
}

func TestBusyGatewayGetsItLater(t *testing.T) {
	w := run(t)
	for _, code := range []string{"store", "a code of tomorrow"} {
		refusals := 2
		w.d.answers(func(up wire.Up) []wire.Down {
			if up.Message != nil && refusals > 0 {
				refusals--
				return []wire.Down{{Fault: &wire.Fault{Ref: up.Message.ID, Code: code, What: "later"}}}
			}
			return yes(up)
		})
		before := len(said(w.d, aMessage))
		update, _ := w.tg.Say(owner, code)
		w.confirmed(update)
		if got := len(said(w.d, aMessage)) - before; got != 3 {
			t.Errorf("%s: told %d times, want 3", code, got)
		}
	}
	if got := w.texts(owner); len(got) != 0 {
		t.Errorf("the user read %q", got)
	}
}

func TestInvalidMessageIsToldToTheUser(t *testing.T) {
	w := run(t)
	w.d.answers(func(up wire.Up) []wire.Down {
		if up.Message != nil {
			return []wire.Down{{Fault: &wire.Fault{Ref: up.Message.ID, Code: "message", What: "the message is empty"}}}
		}
		return yes(up)
	})
	update, _ := w.tg.Say(owner, "x")
	w.confirmed(update)
	if got, want := w.texts(owner), []string{"I could not take this message: the message is empty."}; !cmp.Equal(got, want) {
		t.Errorf("the user read %q, want %q", got, want)
	}
}

// Somebody whom the gateway does not know holds up nobody, and is told nothing.
func TestUserThatTheGatewayDoesNotKnow(t *testing.T) {
	w := run(t)
	w.d.answers(func(up wire.Up) []wire.Down {
		if up.Message != nil {
			return []wire.Down{{Fault: &wire.Fault{Ref: up.Message.ID, Code: "user", What: "not on the list"}}}
		}
		return yes(up)
	})
	update, _ := w.tg.Say(owner, "x")
	w.confirmed(update)
	if got := w.texts(owner); len(got) != 0 {
		t.Errorf("the user read %q, want nothing", got)
	}
}

// A bridge that dies between the update and the gateway's word, or right after it, loses nothing.
func TestRedelivery(t *testing.T) {
	w := newWorld(t)
	w.d.answers(func(wire.Up) []wire.Down { return nil })
	w.start(w.options())
	update, _ := w.tg.Say(owner, "hello")
	first := nth(w.d, 1, "message", aMessage)
	w.stop()
	if got := w.tg.Confirmed(); got >= update {
		t.Fatalf("update %d is confirmed by a bridge that was not told to", got)
	}
	w.d.answers(nil)
	w.start(w.options())
	w.confirmed(update)
	if again := nth(w.d, 2, "message", aMessage); again.ID != first.ID || again.Text != first.Text {
		t.Errorf("the second time it is %+v, want %+v", again, first)
	}
}

func TestOneUserDoesNotWaitForAnother(t *testing.T) {
	w := run(t)
	w.d.answers(func(up wire.Up) []wire.Down {
		if up.Message != nil && up.Message.User == "42" && up.Message.Text != "/stop" {
			return nil
		}
		return yes(up)
	})
	held, _ := w.tg.Say(owner, "held up")
	w.tg.Say(owner, "behind it")
	w.tg.Say(guest, "free")
	w.tg.Say(owner, "/stop")
	w.d.await("the guest and /stop", func(ups []wire.Up) bool {
		seen := map[string]bool{}
		for _, up := range ups {
			if up.Message != nil {
				seen[up.Message.Text] = true
			}
		}
		if seen["behind it"] {
			t.Error("a message overtook one of the same user")
		}
		return seen["free"] && seen["/stop"]
	})
	if got := w.tg.Confirmed(); got >= held {
		t.Errorf("update %d is confirmed, and %d is still in hand", got, held)
	}
}

// An idle bridge asks once and waits; it does not spin.
func TestIdleBridgeIsQuiet(t *testing.T) {
	w := run(t)
	w.known(owner)
	before := len(w.tg.Calls("getUpdates"))
	time.Sleep(300 * time.Millisecond) // the time in which too much would happen
	if n := len(w.tg.Calls("getUpdates")) - before; n > 2 {
		t.Errorf("%d polls in 300 ms without anything to do", n)
	}
}
