package telegram_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/secureclaw/secureclaw/bridge/telegram"
	"github.com/secureclaw/secureclaw/internal/fake"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// healthy waits for a state of health after the first n reports.
func (d *desk) health(n int, state, why string) wire.Health {
	d.t.Helper()
	var got wire.Health
	d.await("health "+state+" "+why, func(ups []wire.Up) bool {
		seen := 0
		for _, up := range ups {
			if up.Health == nil {
				continue
			}
			if seen++; seen > n && up.Health.State == state && strings.Contains(up.Health.Why, why) {
				got = *up.Health
				return true
			}
		}
		return false
	})
	return got
}

func TestPollingThroughTrouble(t *testing.T) {
	for name, tc := range map[string]struct {
		fault fake.TelegramFault
		why   string
	}{
		"500":                         {fake.TelegramFault{Status: 500, Description: "Internal Server Error", Repeat: 3}, "500"},
		"a proxy's page":              {fake.TelegramFault{Garbage: true, Repeat: 3}, "502"},
		"cut off":                     {fake.TelegramFault{Drop: true, Repeat: 3}, "connection"},
		"silence":                     {fake.TelegramFault{Hang: time.Minute, Repeat: 2}, "no answer in time"},
		"429":                         {fake.TelegramFault{Status: 429, Description: "Too Many Requests: retry after 1", RetryAfter: 1}, "asks to wait"},
		"a token that is revoked":     {fake.TelegramFault{Status: 401, Description: "Unauthorized", Repeat: 2}, "does not know this bot token"},
		"a token that was never good": {fake.TelegramFault{Status: 404, Description: "Not Found", Repeat: 2}, "does not know this bot token"},
		"another poller":              {fake.TelegramFault{Status: 409, Description: "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running", Repeat: 2}, "another program"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.tg.Fault("getUpdates", tc.fault)
			began := time.Now()
			w.start(w.options(), func(t *telegram.Timing) { t.Poll(time.Second); t.Call(300 * time.Millisecond) })
			update, _ := w.tg.Say(owner, "hello")
			w.d.health(0, wire.HealthDegraded, tc.why)
			w.d.health(1, wire.HealthOK, "")
			nth(w.d, 1, "message", aMessage)
			w.confirmed(update)
			if took := time.Since(began); tc.fault.RetryAfter > 0 && took < time.Second {
				t.Errorf("it asked again after %v, while Telegram asked for a second", took)
			}
			if n := len(said(w.d, aMessage)); n != 1 {
				t.Errorf("%d messages, want 1", n)
			}
		})
	}
}

func TestUnknownBotIsAskedAgain(t *testing.T) {
	w := newWorld(t)
	w.tg.Fault("getMe", fake.TelegramFault{Status: 401, Description: "Unauthorized", Repeat: 3})
	w.start(w.options())
	w.d.health(0, wire.HealthDegraded, "does not know this bot token")
	w.d.health(1, wire.HealthOK, "")
}

// A lost answer to a poll costs nothing: the same updates come again.
func TestPollWhoseAnswerIsLost(t *testing.T) {
	w := newWorld(t)
	w.tg.Fault("getUpdates", fake.TelegramFault{LoseAnswer: true, Repeat: 2})
	update, _ := w.tg.Say(owner, "hello")
	w.start(w.options())
	w.confirmed(update)
	if n := len(said(w.d, aMessage)); n != 1 {
		t.Errorf("%d messages, want 1", n)
	}
}

func TestWebhookIsDroppedOnce(t *testing.T) {
	w := newWorld(t)
	w.tg.SetWebhook("https://e.example/hook")
	update, _ := w.tg.Say(owner, "hello")
	w.start(w.options())
	nth(w.d, 1, "message", aMessage)
	w.confirmed(update)
	calls := w.tg.Calls("deleteWebhook")
	if len(calls) != 1 || calls[0].Params["drop_pending_updates"] != "false" {
		t.Errorf("deleteWebhook = %+v, want one that keeps the updates", calls)
	}
	// Somebody sets it again: this is said, not fought.
	w.tg.SetWebhook("https://e.example/hook")
	w.d.health(len(said(w.d, aHealth))-1, wire.HealthDegraded, "webhook")
	w.until("polls", func(tg *fake.Telegram) bool {
		n := 0
		for _, c := range tg.Calls("getUpdates") {
			if c.Code == 409 {
				n++
			}
		}
		return n >= 3
	})
	if n := len(w.tg.Calls("deleteWebhook")); n != 1 {
		t.Errorf("deleteWebhook %d times, want once", n)
	}
}

// Two bridges with one token: both say what is wrong and go on, and each message comes once from each at most.
func TestTwoBridges(t *testing.T) {
	w := run(t)
	other := &world{t: t, tg: w.tg, d: newDesk(t).open(), log: &safeBuffer{}}
	o := other.options()
	other.start(o)
	defer other.stop()
	late := time.After(15 * time.Second)
	for {
		both := append(said(w.d, aHealth), said(other.d, aHealth)...)
		if slices.ContainsFunc(both, func(h wire.Health) bool { return strings.Contains(h.Why, "another program") }) {
			break
		}
		select {
		case <-late:
			t.Fatal("no bridge noticed the other")
		case <-time.After(10 * time.Millisecond):
		}
	}
	update, _ := w.tg.Say(owner, "hello")
	w.confirmed(update)
	if a, b := len(said(w.d, aMessage)), len(said(other.d, aMessage)); a > 1 || b > 1 || a+b == 0 {
		t.Errorf("the message came %d and %d times", a, b)
	}
}

func TestGatewayThatHasABridge(t *testing.T) {
	w := newWorld(t)
	w.d.welcome = wire.Down{Fault: &wire.Fault{Code: "taken", What: "another bridge for telegram is connected"}}
	update, _ := w.tg.Say(owner, "hello")
	w.start(w.options())
	tries := map[*wire.Conn]bool{nil: true}
	w.d.await("it asks again", func([]wire.Up) bool {
		tries[w.d.conn] = true
		return len(tries) > 3
	})
	// The other bridge reads there.
	if n := len(w.tg.Calls("getUpdates")); n != 0 || w.tg.Confirmed() >= update {
		t.Errorf("%d polls by a bridge that the gateway refused", n)
	}
	if !strings.Contains(w.log.String(), "another bridge for telegram") {
		t.Error("the reason is not in the log")
	}
	w.d.mu.Lock()
	w.d.welcome = wire.Down{Welcome: &wire.Welcome{}}
	w.d.mu.Unlock()
	w.confirmed(update)
}

func TestMenuIsRegisteredWhenItDiffers(t *testing.T) {
	w := newWorld(t)
	w.d.welcome = wire.Down{Welcome: &wire.Welcome{Commands: []wire.Command{{Name: "new", About: "Begin anew"}, {Name: "stop", About: "Stop"}}}}
	w.tg.Fault("getMyCommands", fake.TelegramFault{Status: 500, Description: "Internal Server Error"})
	w.start(w.options())
	w.until("the menu", func(tg *fake.Telegram) bool { return len(tg.Commands()) == 2 })
	if got := w.tg.Commands()[0]; got.Command != "new" || got.Description != "Begin anew" {
		t.Errorf("menu = %+v", w.tg.Commands())
	}
	w.d.close()
	w.d.open()
	w.until("asked again", func(tg *fake.Telegram) bool { return len(tg.Calls("getMyCommands")) >= 3 })
	w.known(owner)
	if n := len(w.tg.Calls("setMyCommands")); n != 1 {
		t.Errorf("the same menu was set %d times", n)
	}
}

// The token is in the address of every call. It is in nothing that anybody reads, whatever goes wrong.
func TestTokenIsNeverShown(t *testing.T) {
	to := func(h http.HandlerFunc) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL
	}
	closed := httptest.NewServer(nil)
	closed.Close()
	var reached sync.Map
	elsewhere := to(func(w http.ResponseWriter, r *http.Request) {
		reached.Store(r.URL.Path, true)
		_, _ = io.WriteString(w, `{"ok":true,"result":{"id":1,"is_bot":true}}`)
	})
	echo := func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.Path) }
	for name, api := range map[string]string{
		"nobody there": closed.URL,
		"no such host": "http://no-such-host.invalid",
		"no such port": "http://127.0.0.1:1",
		"no TLS":       strings.Replace(closed.URL, "http", "https", 1),
		"a redirect": to(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere+r.URL.Path, http.StatusTemporaryRedirect)
		}),
		"a redirect 301": to(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere+r.URL.Path, http.StatusMovedPermanently)
		}),
		"an echo": to(echo),
		"an echo in JSON": to(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"ok":false,"error_code":400,"description":"what is %s?"}`, r.URL.Path)
		}),
		"escaped, too": to(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"ok":false,"error_code":400,"description":"what is %s?"}`, url.QueryEscape(r.URL.Path))
		}),
		"of another type": to(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"ok":true,"result":{"id":%q}}`, r.URL.Path)
		}),
		"as a field": to(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"ok":true,"result":{},%q:1,%q:2}`, r.URL.Path, r.URL.Path)
		}),
		"hanging up": to(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
		"too long": to(func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(strings.Repeat(r.URL.Path, 100_000)))
		}),
		"a bad header": to(func(w http.ResponseWriter, r *http.Request) {
			c, _, _ := w.(http.Hijacker).Hijack()
			_, _ = io.WriteString(c, r.URL.Path+"\r\n\r\n")
			_ = c.Close()
		}),
		"a bad address": "http://[" + token + "]:x",
		"with a user":   "https://u:" + token + "@h",
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			_, err := telegram.Me(ctx, api, token)
			if err == nil || strings.Contains(err.Error(), "canary") {
				t.Errorf("Me = %v, want an error without the token", err)
			}
			ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if _, err := telegram.Pair(ctx, api, token, "code", func(telegram.User) bool { return true }); err == nil || strings.Contains(err.Error(), "canary") {
				t.Errorf("Pair = %v, want an error without the token", err)
			}
			w := newWorld(t) // which looks at the log and the frames
			o := w.options()
			o.APIURL = api
			ctx, cancel = context.WithTimeout(t.Context(), 150*time.Millisecond)
			defer cancel()
			if err := telegram.RunFast(ctx, o, func(t *telegram.Timing) { t.Call(50 * time.Millisecond) }); err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("Run = %v", err)
			}
		})
	}
	reached.Range(func(path, _ any) bool {
		t.Error("a redirect was followed with the token in it")
		return false
	})
}

// The same for downloads, whose addresses hold the token as well.
func TestTokenOfADownloadIsNotShown(t *testing.T) {
	w := newWorld(t)
	to, _ := url.Parse(w.tg.URL())
	proxy := httputil.NewSingleHostReverseProxy(to)
	var mode string
	var mu sync.Mutex
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		mu.Lock()
		mode := mode
		mu.Unlock()
		switch {
		case !strings.HasPrefix(r.URL.Path, "/file/"):
			proxy.ServeHTTP(rw, r)
		case mode == "redirect":
			http.Redirect(rw, r, w.tg.URL()+r.URL.Path, http.StatusFound)
		case mode == "echo":
			http.Error(rw, r.URL.Path, http.StatusTeapot)
		default:
			panic(http.ErrAbortHandler)
		}
	}))
	defer s.Close()
	defer w.stop()
	o := w.options()
	o.APIURL = s.URL
	w.start(o)
	for n, m := range []string{"redirect", "echo", "cut"} {
		mu.Lock()
		mode = m
		mu.Unlock()
		w.tg.SayAs(fake.UserMessage{From: owner, Document: &fake.UserFile{Name: "a", Data: []byte("x")}})
		got := nth(w.d, n+1, "message", aMessage)
		if len(got.Refused) != 1 || strings.Contains(got.Refused[0], "canary") {
			t.Errorf("%s: message = %+v", m, got)
		}
	}
}

func TestOptionsThatNeverWork(t *testing.T) {
	w := newWorld(t)
	for name, change := range map[string]func(*telegram.Options){
		"no token":              func(o *telegram.Options) { o.Token = "" },
		"no colon":              func(o *telegram.Options) { o.Token = "123456" },
		"a way out":             func(o *telegram.Options) { o.Token = "1:a/../../x" },
		"a question":            func(o *telegram.Options) { o.Token = "1:a?b" },
		"a new line":            func(o *telegram.Options) { o.Token = "1:a\n" },
		"no socket":             func(o *telegram.Options) { o.Socket = "" },
		"another scheme":        func(o *telegram.Options) { o.APIURL = "ftp://h" },
		"no host":               func(o *telegram.Options) { o.APIURL = "https://" },
		"a query in the server": func(o *telegram.Options) { o.APIURL = "https://h?x=" },
	} {
		o := w.options()
		change(&o)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if err := telegram.Run(ctx, o); err == nil {
			t.Errorf("%s: Run = nil, want an error at once", name)
		}
		cancel()
	}
}

func TestPlainServerIsWarnedOf(t *testing.T) {
	for api, want := range map[string]bool{"http://10.255.255.1": true, "http://127.0.0.1:1": false, "http://[::1]:1": false, "http://localhost:1": false, "https://127.0.0.1:1": false} {
		w := newWorld(t)
		o := w.options()
		o.APIURL = api
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		_ = telegram.RunFast(ctx, o)
		cancel()
		if got := strings.Contains(w.log.String(), "without encryption"); got != want {
			t.Errorf("%s: warned = %t, want %t", api, got, want)
		}
	}
}

func TestMe(t *testing.T) {
	tg := fake.NewTelegram(t, token)
	got, err := telegram.Me(t.Context(), tg.URL(), token)
	if want := (telegram.Account{ID: 7000000001, Username: "secureclaw_test_bot", Name: "SecureClaw"}); err != nil || got != want {
		t.Errorf("Me = %+v, %v, want %+v", got, err, want)
	}
	for name, tc := range map[string]struct {
		token string
		fault fake.TelegramFault
		want  string
	}{
		"another token": {"7000000001:AAEother", fake.TelegramFault{}, "no bot has this token (401)"},
		"unknown":       {token, fake.TelegramFault{Status: 404, Description: "Not Found"}, "no bot has this token (404)"},
		"no token":      {"hello", fake.TelegramFault{}, "malformed"},
		"cut off":       {token, fake.TelegramFault{Drop: true}, "cannot be reached"},
		"a page":        {token, fake.TelegramFault{Garbage: true}, "cannot be reached"},
	} {
		if tc.fault != (fake.TelegramFault{}) {
			tg.Fault("getMe", tc.fault)
		}
		if _, err := telegram.Me(t.Context(), tg.URL(), tc.token); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: Me = %v, want %q", name, err, tc.want)
		}
	}
}

func TestPair(t *testing.T) {
	tg := fake.NewTelegram(t, token)
	tg.SetWebhook("https://e.example/hook")
	const code = "Zm9vYmFyYmF6cXV4MTIz"
	early, _ := tg.Say(stranger, "hello")
	tg.Say(stranger, "/start")
	tg.Say(stranger, "/start "+code[:10])
	tg.Say(stranger, "x/start "+code)
	tg.SayAs(fake.UserMessage{From: stranger, Text: "/start " + code, Forward: &fake.Forward{Kind: "hidden_user", Name: "x"}})
	tg.SayAs(fake.UserMessage{From: stranger, Chat: fake.TelegramChat{ID: -100, Type: "group"}, Text: "/start " + code})
	tg.SayAs(fake.UserMessage{From: guest, FirstName: "Bob", Text: "/start " + code})
	tg.SayAs(fake.UserMessage{From: owner, FirstName: "Anna", Username: "anna", Text: "/start " + code})
	var asked []telegram.User
	got, err := telegram.Pair(t.Context(), tg.URL(), token, code, func(u telegram.User) bool {
		asked = append(asked, u)
		return u.ID == owner
	})
	if want := (telegram.User{ID: owner, Name: "Anna", Username: "anna"}); err != nil || got != want {
		t.Fatalf("Pair = %+v, %v, want %+v", got, err, want)
	}
	if len(asked) != 2 || asked[0].ID != guest {
		t.Errorf("asked about %+v, want Bob and Anna", asked)
	}
	for user, want := range map[int64]int{owner: 1, guest: 0, stranger: 0} {
		if got := tg.Chat(user); len(got) != want {
			t.Errorf("user %d read %+v, want %d messages", user, got, want)
		}
	}
	if tg.Confirmed() >= early {
		t.Error("an update that the bridge needs was confirmed")
	}
	if n := len(tg.Calls("deleteWebhook")); n != 1 {
		t.Errorf("deleteWebhook %d times", n)
	}
	if _, err := telegram.Pair(t.Context(), tg.URL(), token, "", nil); err == nil {
		t.Error("Pair without a code = nil")
	}
	if _, err := telegram.Pair(t.Context(), tg.URL(), "1:a", code, nil); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("Pair with another token = %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := telegram.Pair(ctx, tg.URL(), token, "another", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Pair that nobody answers = %v, want the end of its context", err)
	}
}

// A hundred updates of others do not hide the one that is waited for.
func TestPairBehindManyUpdates(t *testing.T) {
	tg := fake.NewTelegram(t, token)
	for range 150 {
		tg.Say(stranger, "/start")
	}
	tg.Say(owner, "/start code")
	if got, err := telegram.Pair(t.Context(), tg.URL(), token, "code", func(telegram.User) bool { return true }); err != nil || got.ID != owner {
		t.Errorf("Pair = %+v, %v", got, err)
	}
}

// Run leaves nothing behind, whatever was under way.
func TestRunLeavesNoGoroutine(t *testing.T) {
	w := newWorld(t)
	before := goleak.IgnoreCurrent()
	w.d.answers(func(up wire.Up) []wire.Down { return nil }) // nothing is ever answered
	w.tg.Fault("sendMessage", fake.TelegramFault{Hang: time.Minute, Repeat: -1})
	w.tg.Fault("file", fake.TelegramFault{Hang: time.Minute, Repeat: -1})
	w.start(w.options(), func(t *telegram.Timing) {
		t.Ask(time.Minute)
		t.Call(time.Minute)
		t.Grace(50 * time.Millisecond)
	})
	w.tg.Say(stranger, "/start")
	w.tg.SayAs(fake.UserMessage{From: owner, Document: &fake.UserFile{Name: "a", Data: []byte("x")}})
	w.tg.Say(guest, "hello")
	w.tg.PressAs(owner, fake.Press{Message: 1, Data: data("a")})
	nth(w.d, 1, "message", aMessage)
	nth(w.d, 1, "decide", aDecide)
	w.d.send(working("r1"), delta("r1", "x"), wire.Down{Send: &wire.Send{Item: 1, User: "43", Kind: wire.SendText, Text: "x"}})
	w.until("calls that hang", func(tg *fake.Telegram) bool { return len(tg.Calls("sendMessage")) >= 2 && len(tg.Calls("file")) >= 1 })
	began := time.Now()
	w.stop()
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("Run took %v to end", took)
	}
	w.d.close()
	w.tg.Cut()
	w.d.wg.Wait()
	if err := goleak.Find(before, goleak.IgnoreAnyFunction("net/http/httptest.(*Server).goServe.func1"), goleak.IgnoreAnyFunction("net/http.(*conn).serve")); err != nil {
		t.Error(err)
	}
}

// Each named step is reached, and in the order that makes it worth a name.
func TestSteps(t *testing.T) {
	w := newWorld(t)
	var mu sync.Mutex
	var steps []string
	o := w.options()
	o.Step = func(s string) {
		mu.Lock()
		defer mu.Unlock()
		confirmed, told := w.tg.Pending() == 0, len(said(w.d, aMessage))+len(said(w.d, aDecide))
		steps = append(steps, fmt.Sprint(s, " confirmed=", confirmed, " told=", told, " sent=", len(w.tg.Calls("sendMessage")), " reported=", len(said(w.d, aSent)), " bubbles=", len(said(w.d, aBubble)), " toasts=", len(w.tg.Toasts())))
	}
	w.start(o)
	nth(w.d, 1, "health", okHealth)
	w.known(owner)
	w.d.send(working("r1"), delta("r1", "x"))
	nth(w.d, 1, "bubble", aBubble)
	w.d.show(wire.Send{Item: 1, Kind: wire.SendText, Text: "x"})
	w.tg.PressAs(owner, fake.Press{Message: 1, Data: data("a")})
	w.until("a toast", func(tg *fake.Telegram) bool { return len(tg.Toasts()) == 1 })
	mu.Lock()
	defer mu.Unlock()
	want := []string{
		"bridge.update confirmed=false told=0 sent=0 reported=0 bubbles=0 toasts=0",
		"bridge.accepted confirmed=false told=1 sent=0 reported=0 bubbles=0 toasts=0",
		"bridge.bubble confirmed=true told=1 sent=1 reported=0 bubbles=0 toasts=0",
		"bridge.sending confirmed=true told=1 sent=1 reported=0 bubbles=1 toasts=0",
		"bridge.shown confirmed=true told=1 sent=2 reported=0 bubbles=1 toasts=0",
		"bridge.update confirmed=false told=1 sent=2 reported=1 bubbles=1 toasts=0",
		"bridge.decided confirmed=false told=2 sent=2 reported=1 bubbles=1 toasts=0",
	}
	if !slices.Equal(steps, want) {
		t.Errorf("steps:\n%s\nwant:\n%s", strings.Join(steps, "\n"), strings.Join(want, "\n"))
	}
}
