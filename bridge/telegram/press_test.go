package telegram_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/bridge/telegram"
	"github.com/secureclaw/secureclaw/internal/fake"
	"github.com/secureclaw/secureclaw/internal/wire"
)

const (
	approvalID = "0123456789abcdef0123456789abcdef"
	digest     = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
)

func question(state string) *wire.Card {
	now := time.Now().UTC()
	return &wire.Card{
		ID: approvalID, Code: "A7K2", Session: "s", Step: 1, Tool: "run_shell_command", Input: []byte(`{"command":"make"}`),
		Digest: digest, Rule: "default", Origin: "telegram", Asked: now, Expires: now.Add(time.Hour), State: state,
	}
}

func data(verb string) string { return verb + ":" + approvalID + ":" + digest[:16] }

// shown is a bridge with a card in the owner's chat.
func shown(t *testing.T, change ...func(*telegram.Timing)) (*world, int64) {
	w := run(t, change...)
	w.known(owner, guest)
	sent := w.d.show(wire.Send{Item: 7, Kind: wire.SendCard, Card: question("pending")})
	if sent.State != "pending" || sent.Parts != 1 || sent.Ref == "" {
		t.Fatalf("sent = %+v, want the card in the state pending", sent)
	}
	var id int64
	if _, err := fmt.Sscan(sent.Ref, &id); err != nil {
		t.Fatal(err)
	}
	return w, id
}

func (w *world) toast(n int) string {
	w.t.Helper()
	w.until("a toast", func(tg *fake.Telegram) bool { return len(tg.Toasts()) >= n })
	return w.tg.Toasts()[n-1].Text
}

func TestPressesDecide(t *testing.T) {
	w, id := shown(t)
	shownRef := fmt.Sprint(id)
	w.tg.Press(owner, id, data("a"))
	got := nth(w.d, 1, "decide", aDecide)
	if diff := cmp.Diff(wire.Decide{Ref: got.Ref, Approval: approvalID, Allow: true, User: "42", Name: "Ada", Shown: shownRef, Digest: digest[:16]}, got); diff != "" {
		t.Errorf("decide (-want +got):\n%s", diff)
	}
	if text := w.toast(1); text != "✅ Approved once" {
		t.Errorf("toast = %q", text)
	}
	w.tg.Press(owner, id, data("d"))
	if got := nth(w.d, 2, "decide", aDecide); got.Allow {
		t.Errorf("a tap on Deny came as %+v", got)
	}
	if text := w.toast(2); text != "⛔ Denied" {
		t.Errorf("toast = %q", text)
	}
	w.tg.Press(owner, id, data("w"))
	ask := nth(w.d, 1, "ask", anAsk)
	if diff := cmp.Diff(wire.AskWhy{Ref: ask.Ref, Approval: approvalID, User: "42", Shown: shownRef, Digest: digest[:16]}, ask); diff != "" {
		t.Errorf("ask (-want +got):\n%s", diff)
	}
	w.toast(3)
	// The gateway says no.
	w.d.answers(func(up wire.Up) []wire.Down {
		if up.Decide != nil {
			return []wire.Down{{Fault: &wire.Fault{Ref: up.Decide.Ref, Code: "decided", What: "approval A7K2 was already decided: allowed by Anna. " + strings.Repeat("x", 300)}}}
		}
		return yes(up)
	})
	w.tg.Press(owner, id, data("a"))
	if text := w.toast(4); !strings.HasPrefix(text, "Approval A7K2 was already decided") {
		t.Errorf("toast = %q", text)
	}
	// A message so old that Telegram does not show it to us any more still has its chat.
	w.d.answers(nil)
	w.tg.PressAs(owner, fake.Press{Message: id, Data: data("a"), Gone: true})
	if got := nth(w.d, 4, "decide", aDecide); got.Shown != shownRef {
		t.Errorf("decide = %+v, want the message %s", got, shownRef)
	}
	w.toast(5)
	if w.tg.Pending() > 0 {
		w.until("confirmed", func(tg *fake.Telegram) bool { return tg.Pending() == 0 })
	}
}

// None of these reaches the gateway as a decision.
func TestForgedPresses(t *testing.T) {
	w, id := shown(t)
	_, foreign := w.tg.Say(owner, "my own message")
	count := 0
	press := func(from int64, p fake.Press) string {
		w.tg.PressAs(from, p)
		count++
		return w.toast(count)
	}
	for name, tc := range map[string]struct {
		from  int64
		press fake.Press
		want  string
	}{
		"a stranger, with the right data":     {stranger, fake.Press{Message: id, Data: data("a")}, "Not yours to answer."},
		"a stranger, in the owner's chat":     {stranger, fake.Press{Message: id, Data: data("a"), Chat: fake.TelegramChat{ID: owner, Type: "private"}}, "Not yours to answer."},
		"a guest, in the owner's chat":        {guest, fake.Press{Message: id, Data: data("a"), Chat: fake.TelegramChat{ID: owner, Type: "private"}}, "This button is not valid any more."},
		"the owner, in a group":               {owner, fake.Press{Message: id, Data: data("a"), Chat: fake.TelegramChat{ID: -100, Type: "group"}}, "This button is not valid any more."},
		"the owner, in a group with his id":   {owner, fake.Press{Message: 9999, Data: data("a"), Chat: fake.TelegramChat{ID: owner, Type: "supergroup"}}, "This button is not valid any more."},
		"under a message that is not ours":    {owner, fake.Press{Message: foreign, Data: data("a")}, "This button is not valid any more."},
		"no data":                             {owner, fake.Press{Message: id}, "This button is not valid any more."},
		"garbage":                             {owner, fake.Press{Message: id, Data: "\x00\u202e🙂"}, "This button is not valid any more."},
		"another verb":                        {owner, fake.Press{Message: id, Data: data("x")}, "This button is not valid any more."},
		"a verb in another case":              {owner, fake.Press{Message: id, Data: data("A")}, "This button is not valid any more."},
		"two verbs":                           {owner, fake.Press{Message: id, Data: data("aa")}, "This button is not valid any more."},
		"upper-case hex":                      {owner, fake.Press{Message: id, Data: strings.ToUpper(data("a"))}, "This button is not valid any more."},
		"a short id":                          {owner, fake.Press{Message: id, Data: "a:0123:" + digest[:16]}, "This button is not valid any more."},
		"more behind it":                      {owner, fake.Press{Message: id, Data: data("a") + ":"}, "This button is not valid any more."},
		"a digest that is longer":             {owner, fake.Press{Message: id, Data: data("a") + "00"}, "This button is not valid any more."},
		"the code instead of the id":          {owner, fake.Press{Message: id, Data: "a:A7K2:" + digest[:16]}, "This button is not valid any more."},
		"spaces":                              {owner, fake.Press{Message: id, Data: " " + data("a")}, "This button is not valid any more."},
		"another approval's, forwarded to us": {owner, fake.Press{Message: 0, Chat: fake.TelegramChat{ID: guest, Type: "private"}, Data: data("a")}, "This button is not valid any more."},
	} {
		t.Run(name, func(t *testing.T) {
			if got := press(tc.from, tc.press); got != tc.want {
				t.Errorf("toast = %q, want %q", got, tc.want)
			}
		})
	}
	w.tg.Raw(map[string]any{"callback_query": map[string]any{"id": "1", "from": map[string]any{"id": owner, "is_bot": false, "first_name": "Ada"}, "inline_message_id": "abc", "data": data("a")}})
	card := map[string]any{"message_id": id, "date": 1, "chat": map[string]any{"id": owner, "type": "private"}, "from": map[string]any{"id": 7000000001, "is_bot": true, "first_name": "S"},
		"forward_origin": map[string]any{"type": "hidden_user", "date": 1, "sender_user_name": "x"}}
	last := w.tg.Raw(map[string]any{"callback_query": map[string]any{"id": "2", "from": map[string]any{"id": owner, "is_bot": false, "first_name": "Ada"}, "message": card, "data": data("a")}})
	w.confirmed(last)
	if got := said(w.d, aDecide); len(got) != 0 {
		t.Errorf("the gateway was told %+v", got)
	}
	if got := said(w.d, aStranger); len(got) == 0 || got[0].What != "button" || got[0].User != "666" {
		t.Errorf("the gateway heard of strangers: %+v, want the one who pressed", got)
	}
}

// A tap while the gateway is away is answered, kept, and decided later.
func TestPressWaitsForTheGateway(t *testing.T) {
	w, id := shown(t)
	w.d.close()
	w.tg.Press(owner, id, data("a"))
	if text := w.toast(1); !strings.Contains(text, "as soon as I can") {
		t.Errorf("toast = %q, want a word of patience", text)
	}
	if w.tg.Pending() == 0 {
		t.Error("the tap is confirmed, and no gateway has it")
	}
	w.d.open()
	if got := nth(w.d, 1, "decide", aDecide); !got.Allow {
		t.Errorf("decide = %+v", got)
	}
	w.until("confirmed", func(tg *fake.Telegram) bool { return tg.Pending() == 0 })
	if n := len(w.tg.Toasts()); n != 1 {
		t.Errorf("%d toasts, want the one", n)
	}
}

// A tap that cannot be answered any more still decides.
func TestPressTooOldToAnswer(t *testing.T) {
	w, id := shown(t)
	w.tg.Fault("answerCallbackQuery", fake.TelegramFault{Status: 400, Description: "Bad Request: query is too old and response timeout expired or query ID is invalid"})
	w.tg.Press(owner, id, data("d"))
	nth(w.d, 1, "decide", aDecide)
	w.until("confirmed", func(tg *fake.Telegram) bool { return tg.Pending() == 0 })
	if strings.Contains(w.log.String(), "a tap was not answered") {
		t.Error("it is logged as trouble")
	}
}

// The bridge dies after the gateway decided and before Telegram heard: the tap comes again, and so does the question
// to the gateway, which knows that it was decided.
func TestPressIsRepeatedAfterACrash(t *testing.T) {
	w, id := shown(t)
	w.d.answers(func(up wire.Up) []wire.Down {
		if up.Decide != nil {
			return nil
		}
		return yes(up)
	})
	w.tg.Press(owner, id, data("a"))
	first := nth(w.d, 1, "decide", aDecide)
	w.stop()
	w.d.answers(nil)
	w.start(w.options())
	again := nth(w.d, 2, "decide", aDecide)
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("the second time (-first +again):\n%s", diff)
	}
	w.until("confirmed", func(tg *fake.Telegram) bool { return tg.Pending() == 0 })
}
