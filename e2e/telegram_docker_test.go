//go:build docker

package e2e

import (
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/fake"
)

// What is said on Telegram is answered there: once, as a reply, and something moves within a second.
func TestTelegramReply(t *testing.T) {
	t.Parallel()
	w := startTelegram(t, setting{})
	p := w.phone(owner)
	answer := says("Good morning! " + strings.Repeat("It is a long day. ", 40) + ending("T1"))
	answer.Delay = 100 * time.Millisecond
	w.model.Script(answer)
	began := time.Now()
	asked := p.says("hello")
	p.sees("that something moves", func(chat []fake.Shown) bool { return len(w.tg.Actions()) > 0 || len(chat) > 0 })
	within(t, "something moves", time.Second, began)
	p.sees("words while the model still writes", func(chat []fake.Shown) bool {
		return len(chat) == 1 && holds(chat[0], "Good morning", "▌")
	})
	got := p.shows("Good morning", ending("T1"))
	if chat := w.tg.Chat(owner); len(chat) != 1 || got.Edited == 0 {
		t.Errorf("the chat shows %d messages, the last edited %d times; want one that was edited:\n%s", len(chat), got.Edited, p.story())
	}
	if got.ReplyTo != 0 && got.ReplyTo != asked {
		t.Errorf("the answer replies to message %d, want %d", got.ReplyTo, asked)
	}
	if n := w.entries("message", `"channel":"telegram"`, `"user":"40000001"`); n != 1 {
		t.Errorf("the log has %d messages of the owner's, want 1", n)
	}
}

// A question is answered by a button: the call runs, once, and the card says who, when and how it ended.
func TestTelegramApprove(t *testing.T) {
	t.Parallel()
	w := startTelegram(t, setting{})
	p := w.phone(owner)
	e := &errand{kind: errandAsk, mark: "A1", user: owner}
	p.says("errand ask A1")
	card := p.card("ask-A1")
	if e.lines(w) != 0 || w.entries("intent") != 0 {
		t.Fatal("it ran before it was approved")
	}
	p.press(card, approve)
	p.shows(ending("A1"))
	if n := e.lines(w); n != 1 {
		t.Errorf("the effect is there %d times, want once", n)
	}
	p.becomes(card.MessageID, false, "✅", "Ada", "Telegram", "ok")
	if w.entries("approval.decided", `"allow":true`, "40000001", "telegram") != 1 {
		t.Error("the log does not say who approved")
	}
	if p.count("ask-A1", "Approve?") > 1 {
		t.Errorf("more than one card:\n%s", p.story())
	}
}

// A denial by button runs nothing, and the model hears of it.
func TestTelegramDeny(t *testing.T) {
	t.Parallel()
	w := startTelegram(t, setting{})
	p := w.phone(owner)
	e := &errand{kind: errandDeny, mark: "D1", user: owner}
	p.says("errand deny D1")
	card := p.card("ask-D1")
	p.press(card, deny)
	p.shows(ending("D1"))
	p.becomes(card.MessageID, false, "⛔", "Ada")
	if n := e.lines(w); n != 0 || w.entries("intent") != 0 {
		t.Errorf("a denied call had its effect %d times, %d intents", n, w.entries("intent"))
	}
	if !strings.Contains(heard(w.model), "The user said no") {
		t.Errorf("the model heard %q", heard(w.model))
	}
}

// Deny and say why: the question stays open until the reply, whose words reach the model.
func TestTelegramDenyAndSayWhy(t *testing.T) {
	t.Parallel()
	w := startTelegram(t, setting{})
	p := w.phone(owner)
	p.says("errand deny W1")
	card := p.card("ask-W1")
	p.press(card, denyWhy)
	var ask fake.Shown
	p.sees("the question why", func(chat []fake.Shown) bool {
		for _, s := range chat {
			if s.ForceReply {
				ask = s
				return true
			}
		}
		return false
	})
	if out := w.claw("approvals", "--json"); !strings.Contains(out.stdout, "ask-W1") {
		t.Errorf("the question is closed before the reason came: %s", out.stdout)
	}
	w.tg.SayAs(fake.UserMessage{From: owner, Text: "not on a Friday", ReplyTo: ask.MessageID})
	p.shows(ending("W1"))
	p.becomes(card.MessageID, false, "not on a Friday")
	if !strings.Contains(heard(w.model), "not on a Friday") {
		t.Errorf("the model heard %q", heard(w.model))
	}
	if n := w.entries("intent"); n != 0 {
		t.Errorf("%d intents of a denied call", n)
	}
}

// Terminal and Telegram show the same question. The first answer counts, and the other one hears so.
func TestTelegramFirstAnswerWins(t *testing.T) {
	t.Parallel()
	w := startTelegram(t, setting{})
	p := w.phone(owner)

	p.says("errand ask F1")
	card := p.card("ask-F1")
	if out := w.claw("deny", w.card(), "--reason", "the terminal was first"); out.code != 0 {
		t.Fatalf("deny: %+v", out)
	}
	if toast := p.toast(p.pressAgain(card, approve)); !strings.Contains(toast.Text, "lready") {
		t.Errorf("the second answer hears %q", toast.Text)
	}
	p.shows(ending("F1"))
	p.becomes(card.MessageID, false, "the terminal was first")

	p.says("errand ask F2")
	card = p.card("ask-F2")
	code := w.card()
	p.press(card, approve)
	out := w.claw("deny", code)
	if out.code == 0 || !strings.Contains(out.stderr, "already") {
		t.Errorf("deny after the button = %+v", out)
	}
	p.shows(ending("F2"))
	for mark, want := range map[string]int{"F1": 0, "F2": 1} {
		if n := (&errand{kind: errandAsk, mark: mark}).lines(w); n != want {
			t.Errorf("%s had its effect %d times, want %d", mark, n, want)
		}
	}
}

// pressAgain presses a button as a phone does that has not heard of the card's last edit.
func (p *phone) pressAgain(s fake.Shown, verb string) string {
	return p.w.tg.PressAs(p.user, fake.Press{Message: s.MessageID, Data: button(s, verb)})
}

// A question of the terminal's is shown to the owner, and to nobody else.
func TestTelegramOwnerSeesTerminalsQuestion(t *testing.T) {
	t.Parallel()
	w := startTelegram(t, setting{})
	w.phone(owner).says("errand text O1")
	w.phone(guest).says("errand text O2")
	w.phone(owner).shows(ending("O1"))
	w.phone(guest).shows(ending("O2"))
	talk := w.newTalk("errand ask O3")
	card := w.phone(owner).card("ask-O3")
	w.phone(owner).press(card, approve)
	if doc := talk(); doc.Outcome != "done" || len(doc.Calls) != 1 || doc.Calls[0].Status != "ok" {
		t.Errorf("the terminal's message ended as %+v", doc)
	}
	if n := w.phone(guest).count("ask-O3"); n != 0 {
		t.Errorf("the guest sees the terminal's question %d times", n)
	}
}

// A card is a picture of the store: decided while the bridge hangs, with the gateway killed in between, it
// still becomes what was decided, and its buttons go.
func TestTelegramCardFollowsTheStore(t *testing.T) {
	t.Parallel()
	w := startTelegram(t, setting{})
	p := w.phone(owner)
	p.says("errand ask C1")
	card := p.card("ask-C1")
	bridge := w.pid("bridge")
	_ = syscall.Kill(bridge, syscall.SIGSTOP)
	if out := w.claw("deny", w.card(), "--reason", "while you were away"); out.code != 0 {
		t.Fatalf("deny: %+v", out)
	}
	w.kill("gateway")
	_ = syscall.Kill(bridge, syscall.SIGCONT)
	p.becomes(card.MessageID, false, "while you were away")
	p.shows(ending("C1"))
	toast := p.toast(p.pressAgain(card, approve))
	if !strings.Contains(toast.Text, "lready") {
		t.Errorf("a dead button answers %q", toast.Text)
	}
	if n := w.entries("intent"); n != 0 {
		t.Errorf("a dead button ran something: %d intents", n)
	}
}

// A question that was asked before the gateway died is answered after it.
func TestTelegramApproveAcrossRestart(t *testing.T) {
	t.Parallel()
	w := startTelegram(t, setting{})
	p := w.phone(owner)
	p.says("errand ask R1")
	card := p.card("ask-R1")
	w.kill("gateway")
	w.kill("bridge")
	p.press(card, approve)
	p.shows(ending("R1"))
	p.becomes(card.MessageID, false, "✅")
	if n := (&errand{kind: errandAsk, mark: "R1"}).lines(w); n != 1 {
		t.Errorf("the effect is there %d times, want once", n)
	}
}

// deadline is when the one open question ends.
func (w *world) deadline() time.Time {
	w.t.Helper()
	var cards []struct{ Expires time.Time }
	if out := w.claw("approvals", "--json"); json.Unmarshal([]byte(out.stdout), &cards) != nil || len(cards) != 1 {
		w.t.Fatalf("approvals: %+v", out)
	}
	return cards[0].Expires
}

// A second before its deadline a question can be answered, a second after it it cannot, and a gateway
// that was killed meanwhile keeps the deadline.
func TestTelegramDeadline(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		at    time.Duration
		kills time.Duration
		want  int
	}{
		"before": {-time.Second, -3 * time.Second, 1},
		"after":  {time.Second, -1500 * time.Millisecond, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := startTelegram(t, setting{config: errandRules + "approvals:\n  expiry: 10s\n"})
			p := w.phone(owner)
			p.says("errand ask E1")
			card := p.card("ask-E1")
			deadline := w.deadline()
			time.Sleep(time.Until(deadline.Add(tc.kills))) // the clock of the product is the world's
			w.kill("gateway")
			time.Sleep(time.Until(deadline.Add(tc.at)))
			toast := p.toast(p.pressAgain(card, approve))
			p.shows(ending("E1"))
			if n := (&errand{kind: errandAsk, mark: "E1"}).lines(w); n != tc.want {
				t.Errorf("%v from the deadline: the effect is there %d times, want %d", tc.at, n, tc.want)
			}
			if tc.want == 0 {
				if !strings.Contains(toast.Text, "xpired") {
					t.Errorf("an expired button answers %q", toast.Text)
				}
				p.becomes(card.MessageID, false, "xpired")
			} else {
				p.becomes(card.MessageID, false, "✅")
			}
		})
	}
}

// What ran without a question is told: one short message, beside the answer.
func TestTelegramNotify(t *testing.T) {
	t.Parallel()
	w := startTelegram(t, setting{})
	p := w.phone(owner)
	p.says("errand notify N1")
	p.shows(ending("N1"))
	p.sees("a notice", func(chat []fake.Shown) bool {
		n := 0
		for _, s := range chat {
			if holds(s, "notify-N1") && !holds(s, opening("N1")) {
				n++
			}
		}
		return n == 1
	})
	if _, err := os.Stat(w.path("workspace/notify-N1")); err != nil {
		t.Error(err)
	}
}
