//go:build docker

package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/fake"
)

// once checks that a text was shown exactly once.
func (p *phone) once(text string) {
	p.w.t.Helper()
	if n := p.count(text); n != 1 {
		p.w.t.Errorf("%q is shown %d times, want once:\n%s", text, n, p.story())
	}
}

// Refused in the middle of three messages, the answer goes on at the refused one, when it may.
func TestTelegramGoesOnAtTheRefusedPart(t *testing.T) {
	t.Parallel()
	w := startTelegram(t, setting{})
	p := w.phone(owner)
	w.tg.Fault("sendMessage", fake.TelegramFault{}) // the first one passes
	w.tg.Fault("sendMessage", fake.TelegramFault{Status: 429, Description: "Too Many Requests: retry after 2", RetryAfter: 2})
	p.says("errand long G1")
	// While it is written, its end alone is in the bubble; beginning and end are there when it is whole.
	p.sees("the whole answer", func([]fake.Shown) bool { return p.count(part("G1", 0)) > 0 && p.count(ending("G1")) > 0 })
	for i := range longParts {
		p.once(part("G1", i))
	}
	sends := w.tg.Calls("sendMessage")
	for i, call := range sends {
		if i > 0 && sends[i-1].Code != 200 {
			if wait := call.At.Sub(sends[i-1].At); wait < 2*time.Second || call.Params["text"] != sends[i-1].Params["text"] {
				t.Errorf("after the refusal of %.60q came %.60q after %v, want the same after 2 s", sends[i-1].Params["text"], call.Params["text"], wait)
			}
		}
	}
	if n := len(sends); n < 3 || n > 4 {
		t.Errorf("%d sends for three messages and one refusal", n)
	}
}

// When Telegram takes a message and its answer is lost, the user sees it at most twice, and never not.
func TestTelegramLosesAnAnswer(t *testing.T) {
	t.Parallel()
	w := startTelegram(t, setting{})
	p := w.phone(owner)
	w.tg.Fault("sendMessage", fake.TelegramFault{LoseAnswer: true})
	p.says("errand text B1")
	p.shows(ending("B1"))
	p.says("errand text B2")
	p.shows(ending("B2"))
	if n := p.count(ending("B1")); n < 1 || n > 2 {
		t.Errorf("shown %d times, want once or twice", n)
	}
	p.once(ending("B2"))
}

// health is what `status` says of Telegram.
func (w *world) health() string {
	w.t.Helper()
	var status struct {
		Messengers []struct{ Messenger, State, Why string }
	}
	out := w.claw("status", "--json")
	if err := json.Unmarshal([]byte(out.stdout), &status); err != nil || len(status.Messengers) != 1 {
		return fmt.Sprintf("%v: %+v", err, out)
	}
	return status.Messengers[0].State
}

// While another program polls with the same token, Telegram is degraded; it comes back by itself.
func TestTelegramConflict(t *testing.T) {
	t.Parallel()
	w := newTelegram(t, setting{})
	w.tg.Fault("getUpdates", fake.TelegramFault{Status: 409, Description: "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running", Repeat: -1})
	w.start()
	w.eventually("Telegram is degraded", func() bool { return w.health() == "degraded" })
	if human := w.claw("status").stdout; !strings.Contains(human, "degraded") {
		t.Errorf("status says\n%s", human)
	}
	p := w.phone(owner)
	p.says("errand text K1")
	w.tg.ClearFaults()
	p.shows(ending("K1"))
	w.eventually("Telegram is ok", func() bool { return w.health() == "ok" })
	p.once(ending("K1"))
}

// Whoever is killed in the middle of a run, the user sees one outcome.
func TestTelegramKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	for _, role := range []string{"bridge", "gateway", "runner"} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			w := startTelegram(t, setting{})
			p := w.phone(owner)
			w.model.Script(calls(shell("sleep 3", 10)))
			w.model.Script(says(closing("Z1", "slept")))
			p.says("sleep a little")
			w.oneContainer()
			w.kill(role)
			p.shows(ending("Z1"))
			p.says("errand text Z2")
			p.shows(ending("Z2"))
			p.once(opening("Z1"))
			p.once(ending("Z1"))
			w.noContainer()
			if n := w.entries("intent"); n != 1 {
				t.Errorf("%d intents, want 1", n)
			}
			if role == "gateway" && !strings.Contains(heard(w.model), "unknown") {
				t.Errorf("the model heard %q", heard(w.model))
			}
		})
	}
}

// What is said while nothing of us runs waits at Telegram, and is answered once.
func TestTelegramMessagesWait(t *testing.T) {
	t.Parallel()
	w := startTelegram(t, setting{})
	p := w.phone(owner)
	p.says("errand text V0")
	p.shows(ending("V0"))
	w.stop()
	for i := 1; i <= 5; i++ {
		p.says(fmt.Sprintf("errand text V%d", i))
	}
	w.phone(guest).says("errand auto V6")
	w.start()
	for i := 1; i <= 5; i++ {
		p.shows(ending(fmt.Sprintf("V%d", i)))
	}
	w.phone(guest).shows(ending("V6"))
	for i := range 6 {
		p.once(ending(fmt.Sprintf("V%d", i)))
	}
	if n := (&errand{kind: errandAuto, mark: "V6"}).lines(w); n != 1 {
		t.Errorf("the effect is there %d times, want once", n)
	}
	w.eventually("Telegram has nothing left", func() bool { return w.tg.Pending() == 0 })
}
