package fake_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/fake"
)

const hello = `{"chat_id":5,"text":"hello"}`

func TestTelegramFaults(t *testing.T) {
	for name, tc := range map[string]struct {
		fault fake.TelegramFault
		shown int // messages after the call that it befell
		check func(r reply, err error) bool
	}{
		"a refusal": {fake.TelegramFault{Status: 500, Description: "Internal Server Error"}, 0, func(r reply, err error) bool {
			return err == nil && r.Code == 500 && r.Description == "Internal Server Error"
		}},
		"a flood": {fake.TelegramFault{Status: 429, Description: "Too Many Requests: retry after 7", RetryAfter: 7}, 0, func(r reply, err error) bool {
			return err == nil && r.Code == 429 && r.Parameters.RetryAfter == 7
		}},
		"dropped":        {fake.TelegramFault{Drop: true}, 0, func(_ reply, err error) bool { return errors.Is(err, io.EOF) }},
		"lost":           {fake.TelegramFault{LoseAnswer: true}, 1, func(_ reply, err error) bool { return errors.Is(err, io.EOF) }},
		"hanging":        {fake.TelegramFault{Hang: 20 * time.Millisecond}, 0, func(_ reply, err error) bool { return errors.Is(err, io.EOF) }},
		"a proxy's page": {fake.TelegramFault{Garbage: true}, 0, func(_ reply, err error) bool { return err != nil && strings.Contains(err.Error(), "status 502") }},
		"slow":           {fake.TelegramFault{Slow: 20 * time.Millisecond}, 1, func(r reply, err error) bool { return err == nil && r.OK }},
	} {
		t.Run(name, func(t *testing.T) {
			tg := fake.NewTelegram(t, botToken)
			tg.Say(5, "hi")
			b := bot{t, tg}
			tg.Fault("sendMessage", tc.fault)
			b.must("getMe", "{}") // another method is not befallen
			begin := time.Now()
			r, err := b.call("sendMessage", hello)
			if !tc.check(r, err) {
				t.Errorf("the call = %+v, %v", r, err)
			}
			if wait := max(tc.fault.Hang, tc.fault.Slow); time.Since(begin) < wait {
				t.Errorf("the call took %v, want at least %v", time.Since(begin), wait)
			}
			if got := len(tg.Chat(5)); got != tc.shown {
				t.Errorf("%d messages are shown, want %d", got, tc.shown)
			}
			b.must("sendMessage", hello) // once only
			if got := len(tg.Chat(5)); got != tc.shown+1 {
				t.Errorf("%d messages are shown in the end, want %d", got, tc.shown+1)
			}
		})
	}
}

func TestTelegramFaultsComeInOrder(t *testing.T) {
	b, _ := strict(t)
	b.tg.Fault("sendMessage", fake.TelegramFault{Status: 500, Description: "a", Repeat: 2})
	b.tg.Fault("", fake.TelegramFault{Status: 500, Description: "b"})
	b.tg.Fault("sendMessage", fake.TelegramFault{Status: 500, Description: "c", Repeat: -1})
	for _, want := range []string{"a", "a", "b", "c", "c", "c"} {
		b.refused("sendMessage", hello, 500, want)
	}
	b.must("getMe", "{}")
	b.tg.ClearFaults()
	b.must("sendMessage", hello)
	if calls := b.tg.Calls("sendMessage"); len(calls) != 7 || calls[6].Code != 200 || calls[0].Code != 0 || calls[6].Params["text"] != "hello" {
		t.Errorf("Calls = %+v", calls)
	}
}

// A lost answer of getUpdates confirms what its offset says, and loses nothing else.
func TestTelegramLostPollLosesNothing(t *testing.T) {
	b, _ := strict(t)
	first := b.poll(`{}`)[0].ID
	second, _ := b.tg.Say(5, "two")
	b.tg.Fault("getUpdates", fake.TelegramFault{LoseAnswer: true})
	if r, err := b.call("getUpdates", `{"offset":`+itoa(second)+`}`); err == nil {
		t.Errorf("the lost poll = %+v", r)
	}
	if b.tg.Confirmed() != first {
		t.Errorf("Confirmed = %d, want %d", b.tg.Confirmed(), first)
	}
	if got := b.poll(`{}`); len(got) != 1 || got[0].ID != second {
		t.Errorf("the next poll = %v, want update %d again", got, second)
	}
}

// A client that leaves frees its poll: no conflict for the next.
func TestTelegramForgetsWhoLeft(t *testing.T) {
	tg := fake.NewTelegram(t, botToken)
	ctx, leave := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, tg.URL()+"/bot"+botToken+"/getUpdates?timeout=50", nil)
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan error)
	go func() {
		_, err := http.DefaultClient.Do(req)
		gone <- err
	}()
	if err := tg.Await(t.Context(), (*fake.Telegram).Polling); err != nil {
		t.Fatal(err)
	}
	leave()
	<-gone
	if err := tg.Await(t.Context(), func(tg *fake.Telegram) bool { return !tg.Polling() }); err != nil {
		t.Error(err)
	}
	id, _ := tg.Say(5, "hi")
	b := bot{t, tg}
	if got := b.poll(`{"timeout":5,"offset":1}`); len(got) != 1 || got[0].ID != id {
		t.Errorf("the next poll = %v, want update %d", got, id)
	}
}

func TestTelegramAwaitGivesUp(t *testing.T) {
	b, _ := strict(t)
	b.must("sendMessage", hello)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	err := b.tg.Await(ctx, func(tg *fake.Telegram) bool { return len(tg.Chat(5)) > 1 })
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), `"hello"`) {
		t.Errorf("Await = %v, want what was shown", err)
	}
}

func TestTelegramOutlivesATest(t *testing.T) {
	tg, end := fake.ServeTelegram(botToken)
	tg.Say(5, "hi")
	b := bot{t, tg}
	b.refused("sendMessage", `{"chat_id":5}`, 400, "Bad Request: message text is empty")
	if v := tg.Violations(); len(v) != 1 {
		t.Errorf("Violations = %q, want one", v)
	}
	if id, name := tg.Bot(); id != 7000000001 || name == "" {
		t.Errorf("Bot = %d %q", id, name)
	}
	last := b.poll(`{}`)[0].ID
	poll := make(chan struct{})
	go func() {
		defer close(poll)
		_, _ = b.call("getUpdates", fmt.Sprintf(`{"timeout":50,"offset":%d}`, last+1)) // empty or broken, as it happens
	}()
	if err := tg.Await(t.Context(), (*fake.Telegram).Polling); err != nil {
		t.Fatal(err)
	}
	end()
	<-poll // the end does not wait for it, nor it for its timeout
	if _, err := b.call("getMe", "{}"); err == nil {
		t.Error("a server that ended answers")
	}
}

// Cut is a network that goes away for a moment.
func TestTelegramCut(t *testing.T) {
	tg := fake.NewTelegram(t, botToken)
	b := bot{t, tg}
	poll := make(chan error)
	go func() {
		_, err := b.call("getUpdates", `{"timeout":50}`)
		poll <- err
	}()
	if err := tg.Await(t.Context(), (*fake.Telegram).Polling); err != nil {
		t.Fatal(err)
	}
	tg.Cut()
	if err := <-poll; err == nil {
		t.Error("a poll got an answer over a connection that was cut")
	}
	b.must("getMe", "{}")
}
