//go:build docker

package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/fake"
)

// forgery is a press that is not what it seems.
type forgery struct {
	from  int64
	press fake.Press
}

// Who is not on the list gets one neutral sentence at most, nothing of his reaches the model, and the log has him.
func TestTelegramStranger(t *testing.T) {
	t.Parallel()
	w := startTelegram(t, setting{})
	eve := w.phone(stranger)
	eve.says("/start")
	eve.says("errand auto Q1")
	eve.says("please")
	p := w.phone(owner)
	p.says("errand ask Q2")
	card := p.card("ask-Q2")
	for name, forged := range map[string]forgery{
		"from his own chat":    {stranger, fake.Press{Message: card.MessageID, Data: button(card, approve)}},
		"as if in the owner's": {stranger, fake.Press{Chat: fake.TelegramChat{ID: owner, Type: "private"}, Message: card.MessageID, Data: button(card, approve)}},
		"in a group with him":  {owner, fake.Press{Chat: fake.TelegramChat{ID: -100777, Type: "supergroup", Title: "g"}, Message: card.MessageID, Data: button(card, approve)}},
	} {
		w.tg.PressAs(forged.from, forged.press)
		w.eventually("the press "+name+" is taken", func() bool { return w.tg.Pending() == 0 })
	}
	w.tg.SayAs(fake.UserMessage{From: owner, Text: "errand auto Q3", Chat: fake.TelegramChat{ID: -100777, Type: "supergroup", Title: "g"}})
	w.eventually("all is taken", func() bool { return w.tg.Pending() == 0 })
	p.press(card, deny)
	p.shows(ending("Q2"))

	if n := len(w.tg.Chat(stranger)); n > 1 {
		t.Errorf("the stranger got %d messages: %s", n, eve.story())
	}
	if n := len(w.tg.Chat(-100777)); n != 0 {
		t.Errorf("the group got %d messages", n)
	}
	if n := w.entries("intent"); n != 0 {
		t.Errorf("%d calls ran", n)
	}
	for _, r := range w.model.Requests() {
		if body := string(r.Body); strings.Contains(body, "Q1") || strings.Contains(body, "Q3") {
			t.Errorf("the model was asked: %.300s", body)
		}
	}
	w.eventually("the log knows the stranger", func() bool {
		for _, line := range w.audit() {
			if strings.Contains(line, "stranger") && strings.Contains(line, "66666666") {
				return true
			}
		}
		return false
	})
}

// An allow-listed user answers his own questions, and only the ones that are asked: not another's card, not a
// digest that is not on it, not one that was decided, not one that was forwarded to him.
func TestTelegramForgedAnswers(t *testing.T) {
	t.Parallel()
	w := startTelegram(t, setting{})
	p, other := w.phone(owner), w.phone(guest)
	other.says("errand text H0")
	other.shows(ending("H0"))
	p.says("errand ask H1")
	card := p.card("ask-H1")
	good := button(card, approve)
	verb, digest := good[:strings.LastIndex(good, ":")+1], good[strings.LastIndex(good, ":")+1:]
	for name, forged := range map[string]forgery{
		"another user":              {guest, fake.Press{Message: card.MessageID, Data: good}},
		"another's chat":            {guest, fake.Press{Chat: fake.TelegramChat{ID: owner, Type: "private"}, Message: card.MessageID, Data: good}},
		"another digest":            {owner, fake.Press{Message: card.MessageID, Data: verb + strings.Repeat("0", len(digest))}},
		"no digest":                 {owner, fake.Press{Message: card.MessageID, Data: strings.TrimSuffix(verb, ":")}},
		"a verb that is not":        {owner, fake.Press{Message: card.MessageID, Data: "x" + good[1:]}},
		"an approval that is not":   {owner, fake.Press{Message: card.MessageID, Data: approve + strings.Repeat("0", 32) + ":" + digest}},
		"nothing":                   {owner, fake.Press{Message: card.MessageID, Data: ""}},
		"the card in a group":       {owner, fake.Press{Chat: fake.TelegramChat{ID: -100778, Type: "group", Title: "g"}, Message: card.MessageID, Data: good}},
		"a forward of the card":     {guest, fake.Press{Message: card.MessageID + 1000, Data: good}},
		"the owner in a guest chat": {owner, fake.Press{Chat: fake.TelegramChat{ID: guest, Type: "private"}, Message: card.MessageID, Data: good}},
	} {
		w.tg.PressAs(forged.from, forged.press)
		w.eventually("the press of "+name+" is taken", func() bool { return w.tg.Pending() == 0 })
		if n := w.entries("approval.decided"); n != 0 {
			t.Fatalf("%s decided", name)
		}
	}
	if out := w.claw("approvals", "--json"); !strings.Contains(out.stdout, "ask-H1") {
		t.Fatalf("the question is gone: %s", out.stdout)
	}
	p.press(card, approve)
	p.shows(ending("H1"))
	for range 3 {
		if toast := p.toast(p.pressAgain(card, approve)); !strings.Contains(toast.Text, "lready") {
			t.Errorf("a press of what is decided hears %q", toast.Text)
		}
	}
	if toast := p.toast(p.pressAgain(card, deny)); !strings.Contains(toast.Text, "lready") {
		t.Errorf("a denial of what ran hears %q", toast.Text)
	}
	if n := (&errand{kind: errandAsk, mark: "H1"}).lines(w); n != 1 {
		t.Errorf("the effect is there %d times, want once", n)
	}
}

// Nobody on the list means nobody, the token alone lets no one in.
func TestTelegramEmptyList(t *testing.T) {
	t.Parallel()
	w := newTelegram(t, setting{})
	w.write(".env", strings.ReplaceAll(w.read(".env"), "TELEGRAM_ALLOWED_USERS="+joinIDs([]int64{owner, guest}), "TELEGRAM_ALLOWED_USERS="))
	w.start()
	w.phone(owner).says("errand auto Y1")
	w.eventually("it is taken", func() bool { return w.tg.Pending() == 0 })
	time.Sleep(500 * time.Millisecond) // what must not happen has no event
	if n := len(w.model.Requests()); n != 0 {
		t.Errorf("the model was asked %d times", n)
	}
}
