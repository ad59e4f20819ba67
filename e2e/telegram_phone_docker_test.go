//go:build docker

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/fake"
)

// The people of the stories. The owner is the first of the allow-list.
const (
	owner    = 40000001
	guest    = 40000002
	stranger = 66666666
)

func joinIDs(ids []int64) string {
	var out []string
	for _, id := range ids {
		out = append(out, strconv.FormatInt(id, 10))
	}
	return strings.Join(out, ",")
}

// startTelegram starts an installation whose owner, and a guest, talk to it on Telegram. The model plays a part, see [plays].
func startTelegram(t testing.TB, s setting) *world {
	t.Helper()
	w := newTelegram(t, s)
	w.start()
	return w
}

// newTelegram is startTelegram without the start.
func newTelegram(t testing.TB, s setting) *world {
	t.Helper()
	if s.model == nil {
		s.model = fake.NewAnthropic(t)
	}
	s.model.Play(plays)
	if s.config == "" {
		s.config = errandRules
	}
	if s.telegram == nil {
		s.telegram = []int64{owner, guest}
	}
	return newWorld(t, s)
}

// phone is one person's private chat with the bot.
type phone struct {
	w    *world
	user int64
}

func (w *world) phone(user int64) *phone { return &phone{w, user} }

// says writes to the bot and returns the message's id.
func (p *phone) says(text string) int64 {
	_, id := p.w.tg.Say(p.user, text)
	return id
}

// until waits for something that the chat must show; the chat is what the bot wrote, oldest first.
func (p *phone) until(ctx context.Context, what string, is func(chat []fake.Shown) bool) error {
	err := p.w.tg.Await(ctx, func(tg *fake.Telegram) bool { return is(tg.Chat(p.user)) })
	if err != nil {
		return fmt.Errorf("user %d does not see %s: %w", p.user, what, err)
	}
	return nil
}

// sees is until for a story: it ends the test when it does not come.
func (p *phone) sees(what string, is func(chat []fake.Shown) bool) {
	p.w.t.Helper()
	if err := p.until(p.w.t.Context(), what, is); err != nil {
		p.w.t.Fatalf("%v\n%s", err, p.w.said)
	}
}

// shows waits for a message that holds all texts and returns the newest such one.
func (p *phone) shows(texts ...string) fake.Shown {
	p.w.t.Helper()
	var out fake.Shown
	p.sees(fmt.Sprintf("a message with %q", texts), func(chat []fake.Shown) bool {
		for _, s := range slices.Backward(chat) {
			if holds(s, texts...) {
				out = s
				return true
			}
		}
		return false
	})
	return out
}

// holds reports whether a message shows all texts.
func holds(s fake.Shown, texts ...string) bool {
	return !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(s.Text+s.Caption, text) })
}

// now returns a message as it stands now.
func (p *phone) now(id int64) fake.Shown {
	p.w.t.Helper()
	for _, s := range p.w.tg.Chat(p.user) {
		if s.MessageID == id {
			return s
		}
	}
	p.w.t.Fatalf("message %d is gone", id)
	return fake.Shown{}
}

// becomes waits until a message shows all texts and has buttons or none.
func (p *phone) becomes(id int64, buttons bool, texts ...string) fake.Shown {
	p.w.t.Helper()
	p.sees(fmt.Sprintf("message %d with %q, buttons %t", id, texts, buttons), func(chat []fake.Shown) bool {
		return slices.ContainsFunc(chat, func(s fake.Shown) bool {
			return s.MessageID == id && holds(s, texts...) && buttons == (len(s.Buttons) > 0)
		})
	})
	return p.now(id)
}

// count is how many messages show all texts now.
func (p *phone) count(texts ...string) int {
	n := 0
	for _, s := range p.w.tg.Chat(p.user) {
		if holds(s, texts...) {
			n++
		}
	}
	return n
}

// What a button does: the first letter of its data.
const (
	approve = "a:"
	deny    = "d:"
	denyWhy = "w:"
)

// button returns the data of a button, empty when the message has none such.
func button(s fake.Shown, verb string) string {
	for _, row := range s.Buttons {
		for _, b := range row {
			if strings.HasPrefix(b.Data, verb) {
				return b.Data
			}
		}
	}
	return ""
}

// card waits for a question with buttons that holds all texts.
func (p *phone) card(texts ...string) fake.Shown {
	p.w.t.Helper()
	var out fake.Shown
	p.sees(fmt.Sprintf("a question with buttons and %q", texts), func(chat []fake.Shown) bool {
		for _, s := range slices.Backward(chat) {
			if button(s, deny) != "" && holds(s, texts...) {
				out = s
				return true
			}
		}
		return false
	})
	return out
}

// press presses a button of a message and returns what the phone shows at once.
func (p *phone) press(s fake.Shown, verb string) fake.Toast {
	p.w.t.Helper()
	id := p.w.tg.Press(p.user, s.MessageID, button(s, verb))
	return p.toast(id)
}

// toast waits for the answer to a press.
func (p *phone) toast(press string) fake.Toast {
	p.w.t.Helper()
	var out fake.Toast
	p.sees("an answer to the press", func([]fake.Shown) bool {
		all := p.w.tg.Toasts()
		i := slices.IndexFunc(all, func(t fake.Toast) bool { return t.CallbackID == press })
		if i >= 0 {
			out = all[i]
		}
		return i >= 0
	})
	return out
}

// within fails the test when something took longer than it may.
func within(t testing.TB, what string, limit time.Duration, began time.Time) {
	t.Helper()
	took := time.Since(began)
	t.Logf("%s: %v", what, took.Round(time.Millisecond))
	if took > limit {
		t.Errorf("%s took %v, want at most %v", what, took, limit)
	}
}
