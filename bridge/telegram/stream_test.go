package telegram_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/bridge/telegram"
	"github.com/secureclaw/secureclaw/internal/fake"
	"github.com/secureclaw/secureclaw/internal/wire"
)

func working(run string) wire.Down {
	return wire.Down{Working: &wire.Working{Run: run, User: "42", Since: time.Now()}}
}

func delta(run, text string) wire.Down { return wire.Down{Delta: &wire.Delta{Run: run, Text: text}} }

func (w *world) bubbleText(want string) {
	w.t.Helper()
	w.until("a bubble with "+want, func(tg *fake.Telegram) bool {
		for _, m := range tg.Chat(owner) {
			if strings.Contains(m.Text, want) {
				return true
			}
		}
		return false
	})
}

func TestRunIsShownInOneMessage(t *testing.T) {
	w := run(t)
	w.known(owner)
	typed := len(w.tg.Actions())
	w.d.send(working("r1"), delta("r1", "Let me "))
	w.bubbleText("Let me ▌")
	got := nth(w.d, 1, "bubble", aBubble)
	if got.Run != "r1" || got.Ref != fmt.Sprint(w.tg.Chat(owner)[0].MessageID) {
		t.Errorf("bubble = %+v, chat %q", got, w.texts(owner))
	}
	w.d.send(delta("r1", "look."))
	w.bubbleText("Let me look. ▌")
	w.d.send(wire.Down{Step: &wire.Step{Run: "r1", Call: "c", Tool: "run_shell_command"}})
	w.bubbleText("Let me look.\n\n⏳ run_shell_command · ")
	// While the user is asked, it is not we who are at work.
	w.d.show(wire.Send{Item: 7, Kind: wire.SendCard, Card: question("pending")})
	w.bubbleText("Let me look.\n\n🔐 waiting for your answer to " + question("pending").Code)
	w.d.show(wire.Send{Item: 7, Kind: wire.SendCard, Shown: []string{fmt.Sprint(w.tg.Chat(owner)[1].MessageID)}, Card: question("allowed")})
	w.bubbleText("Let me look.\n\n⏳ run_shell_command · ")
	w.d.send(wire.Down{Step: &wire.Step{Run: "r1", Call: "c", Tool: "run_shell_command", Status: "ok"}})
	w.bubbleText("⏳ thinking · ")
	w.d.send(delta("r1", "All is well."))
	w.bubbleText("Let me look.\n\nAll is well. ▌")
	w.until("typing goes on", func(tg *fake.Telegram) bool { return len(tg.Actions()) > typed+3 })

	sent := w.d.show(wire.Send{Item: 1, Kind: wire.SendText, Run: "r1", Text: "**All** is well."})
	if sent.Ref != got.Ref {
		t.Errorf("the reply is message %s, want the bubble's %s", sent.Ref, got.Ref)
	}
	// Nothing paints over it, whatever still comes of this run.
	edits := len(w.tg.Calls("editMessageText"))
	w.d.send(delta("r1", "more"), working("r1"), delta("r1", "still more"))
	time.Sleep(500 * time.Millisecond) // more than the quiet time and several edits
	if n := len(w.tg.Calls("editMessageText")); n != edits {
		t.Errorf("%d edits after the reply", n-edits)
	}
	if got := w.texts(owner); len(got) != 2 || got[0] != "All is well." { // and the card
		t.Errorf("chat = %q, want the reply and the card", got)
	}
}

// An edit that is under way when the reply comes is waited for: it must not arrive after it.
func TestSlowEditDoesNotOverwriteTheReply(t *testing.T) {
	w := run(t)
	w.known(owner)
	w.d.send(working("r1"), delta("r1", "old"))
	nth(w.d, 1, "bubble", aBubble)
	before := len(w.tg.Calls("editMessageText"))
	w.tg.Fault("editMessageText", fake.TelegramFault{Slow: 300 * time.Millisecond})
	w.d.send(delta("r1", " picture"))
	w.until("an edit under way", func(tg *fake.Telegram) bool { return len(tg.Calls("editMessageText")) > before })
	w.d.show(wire.Send{Item: 1, Kind: wire.SendText, Run: "r1", Text: "the reply"})
	time.Sleep(400 * time.Millisecond) // when the old one would arrive
	if got := w.texts(owner); len(got) != 1 || got[0] != "the reply" {
		t.Errorf("chat = %q, want the reply", got)
	}
}

// So is a bubble that is just being sent.
func TestReplyDuringTheFirstBubble(t *testing.T) {
	w := run(t)
	w.known(owner)
	w.tg.Fault("sendMessage", fake.TelegramFault{Slow: 300 * time.Millisecond})
	w.d.send(working("r1"), delta("r1", "picture"))
	w.until("the bubble under way", func(tg *fake.Telegram) bool { return len(tg.Calls("sendMessage")) == 1 })
	w.d.show(wire.Send{Item: 1, Kind: wire.SendText, Run: "r1", Text: "the reply"})
	if got := w.texts(owner); len(got) != 1 || got[0] != "the reply" {
		t.Errorf("chat = %q, want the reply in the bubble's place", got)
	}
}

func TestBubbleThatIsGone(t *testing.T) {
	for name, fault := range map[string]string{
		"deleted": "Bad Request: message to edit not found", "too old": "Bad Request: message can't be edited",
	} {
		t.Run(name, func(t *testing.T) {
			w := run(t)
			w.known(owner)
			w.tg.Fault("editMessageText", fake.TelegramFault{Status: 400, Description: fault})
			sent := w.d.show(wire.Send{Item: 1, Kind: wire.SendText, Run: "r1", Bubble: "41", Text: "the reply"})
			if got := w.texts(owner); len(got) != 1 || got[0] != "the reply" || sent.Ref == "41" {
				t.Errorf("sent %+v, chat = %q", sent, got)
			}
		})
	}
}

// A bubble whose answer was lost may be there. With another, and another lost answer, they would
// pile up, so there is none.
func TestLostBubbleIsNotSentTwice(t *testing.T) {
	w := run(t)
	w.known(owner)
	w.tg.Fault("sendMessage", fake.TelegramFault{LoseAnswer: true})
	w.d.send(working("r1"), delta("r1", "picture"))
	w.bubbleText("picture")
	w.d.send(delta("r1", " two"))
	time.Sleep(300 * time.Millisecond) // in which another would be sent
	if n := len(w.tg.Calls("sendMessage")); n != 1 {
		t.Errorf("%d bubbles were sent, want the one that was lost", n)
	}
	w.d.show(wire.Send{Item: 1, Kind: wire.SendText, Run: "r1", Text: "the reply"})
	if got := w.texts(owner); len(got) != 2 || got[1] != "the reply" {
		t.Errorf("chat = %q, want the lost bubble and the reply", got)
	}
}

// 429 for an edit pauses the picture for as long as Telegram says, and the reply too.
func TestPictureStopsAt429(t *testing.T) {
	w := run(t)
	w.known(owner)
	w.d.send(working("r1"), delta("r1", "one"))
	nth(w.d, 1, "bubble", aBubble)
	edits := func() int { return len(w.tg.Calls("editMessageText")) }
	before := edits()
	w.tg.Fault("editMessageText", fake.TelegramFault{Status: 429, Description: "Too Many Requests: retry after 1", RetryAfter: 1, Repeat: 2})
	w.d.send(delta("r1", " two"))
	w.until("the refusal", func(tg *fake.Telegram) bool { return edits() == before+1 })
	began := time.Now()
	w.d.send(delta("r1", " three"))
	w.until("the next try", func(tg *fake.Telegram) bool { return edits() == before+2 })
	if took := time.Since(began); took < 800*time.Millisecond {
		t.Errorf("it painted again after %v, while Telegram asked for a second", took)
	}
	w.d.show(wire.Send{Item: 1, Kind: wire.SendText, Run: "r1", Text: "the reply"})
	if took := time.Since(began); took < 1800*time.Millisecond {
		t.Errorf("the reply left after %v, while Telegram asked for a second twice", took)
	}
	if got := w.texts(owner); len(got) != 1 || got[0] != "the reply" {
		t.Errorf("chat = %q", got)
	}
}

// The gateway comes back and does not know the bubble: it is told.
func TestBubbleIsToldAgain(t *testing.T) {
	w := run(t)
	w.known(owner)
	w.d.send(working("r1"), delta("r1", "one"))
	first := nth(w.d, 1, "bubble", aBubble)
	w.d.close()
	w.d.open()
	w.d.send(working("r1"))
	if again := nth(w.d, 2, "bubble", aBubble); again != first {
		t.Errorf("bubble = %+v, want %+v", again, first)
	}
	w.d.send(delta("r1", " two"))
	w.bubbleText("one two ▌")
	if got := w.texts(owner); len(got) != 1 {
		t.Errorf("chat = %q, want one bubble", got)
	}
}

// A bridge that is new takes over the bubble that the gateway knows.
func TestBubbleOfAnEarlierBridge(t *testing.T) {
	w := run(t)
	w.known(owner)
	w.d.send(working("r1"), delta("r1", "one"))
	first := nth(w.d, 1, "bubble", aBubble)
	w.stop()
	w.start(w.options())
	w.d.await("the old connection's end", func([]wire.Up) bool { return true })
	nth(w.d, 2, "health ok", okHealth)
	w.d.send(wire.Down{Working: &wire.Working{Run: "r1", User: "42", Bubble: first.Ref}}, delta("r1", "two"))
	w.bubbleText("two ▌")
	if got := w.texts(owner); len(got) != 1 {
		t.Errorf("chat = %q, want one bubble", got)
	}
}

func okHealth(up wire.Up) *wire.Health {
	if up.Health != nil && up.Health.State == wire.HealthOK {
		return up.Health
	}
	return nil
}

func TestLongPictureShowsItsEnd(t *testing.T) {
	w := run(t)
	w.known(owner)
	w.d.send(working("r1"))
	for range 20 {
		w.d.send(delta("r1", strings.Repeat("🙂 word ", 1000)))
	}
	w.d.send(delta("r1", "the end"))
	w.bubbleText("the end ▌") // the fake refuses what is longer than 4096 units
}

func TestPicturesOfStrangersAreNotPainted(t *testing.T) {
	w := run(t)
	w.known(owner)
	w.tg.Meet(stranger)
	n := len(w.tg.Actions())
	w.d.send(wire.Down{Working: &wire.Working{Run: "r1", User: "666"}}, delta("r1", "secret"), delta("no such run", "x"))
	w.d.show(wire.Send{Item: 1, Kind: wire.SendText, Text: "done"})
	time.Sleep(100 * time.Millisecond)
	if got := w.tg.Actions(); len(got) > n+1 || len(w.tg.Chat(stranger)) > 0 {
		t.Errorf("actions = %+v, chat %q", got, w.texts(stranger))
	}
}

// Pictures leave room for what must be sent.
func TestPictureGivesWay(t *testing.T) {
	w := run(t, func(t *telegram.Timing) { t.Pace(time.Second, 3) })
	w.known(owner)
	w.d.send(working("r1"), delta("r1", "a"))
	nth(w.d, 1, "bubble", aBubble)
	for n := range 40 {
		w.d.send(delta("r1", fmt.Sprint(n, " ")))
		time.Sleep(5 * time.Millisecond)
	}
	began := time.Now()
	w.d.show(wire.Send{Item: 1, Kind: wire.SendCard, Card: question("pending")})
	if took := time.Since(began); took > 500*time.Millisecond {
		t.Errorf("a card waited %v for pictures", took)
	}
}
