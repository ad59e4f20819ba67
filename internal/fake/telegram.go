package fake

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Telegram is Telegram's Bot API for one bot, with the phones of its users. It serves api.telegram.org's
// paths on a real socket: /bot<token>/<method> and /file/bot<token>/<path>.
//
// It refuses what the real server refuses, with the real codes and words. A refusal that a client could have
// foreseen (a bad entity, an unknown parameter, a text too long) is also a violation, see [Telegram.Violations];
// one that only the world knows of (a bot that is blocked, a message that is gone, a second poll) is not.
type Telegram struct {
	token string
	id    int64
	name  string
	fail  func(format string, args ...any)
	http  *httptest.Server
	done  chan struct{}

	mu      sync.Mutex
	changed chan struct{} // closed and renewed whenever anything happens

	violations []string
	calls      []APICall
	faults     []*queuedFault

	updates        []update
	lastUpdate     int64
	confirmed      int64
	allowed        []string // nil: Telegram's default
	poll, lastPoll int64    // which waits, if any
	webhook        string
	polled         time.Time // when getUpdates was asked last,
	offset         int64     // and for which
	nextConflict   time.Time // from when on a 409 is answered at once

	lastMessage int64
	messages    []*message
	people      map[int64]*person
	callbacks   map[string]bool // presses that wait for an answer
	files       map[string]*stored
	lastID      int64 // of files and callbacks
	toasts      []Toast
	actions     []Action
	commands    []Command // the menu set last
	menus       map[string][]Command
	perSecond   int
}

// APICall is one call of a method by the bot, in the order of arrival, refused or not.
type APICall struct {
	Method string
	// Params are the parameters as texts; objects and lists are JSON.
	Params map[string]string
	// Files are the names of uploaded files by their field.
	Files map[string]string
	At    time.Time
	// Code is the answer's error_code, 200 for success, and 0 while there is none (or when a fault took it).
	Code int
	// Description is the words of a refusal.
	Description string
}

// Toast is what a user sees after pressing a button.
type Toast struct {
	CallbackID string
	Text       string
	Alert      bool
	At         time.Time
}

// Action is a line such as "typing…" over a chat.
type Action struct {
	Chat   int64
	Action string
	At     time.Time
}

// Command is one line of the bot's menu.
type Command struct {
	Command     string `json:"command"`
	Description string `json:"description"`
}

// NewTelegram starts the server for one bot. It ends with the test, and a violation fails the test.
func NewTelegram(t testing.TB, token string) *Telegram {
	t.Helper()
	tg, end := ServeTelegram(token)
	tg.fail = t.Errorf
	t.Cleanup(end)
	return tg
}

// ServeTelegram is [NewTelegram] for what outlives a test: violations are only noted.
func ServeTelegram(token string) (*Telegram, func()) {
	tg := &Telegram{
		token:       token,
		id:          7000000001,
		name:        "secureclaw_test_bot",
		fail:        func(string, ...any) {},
		done:        make(chan struct{}),
		changed:     make(chan struct{}),
		lastUpdate:  873000000,
		lastMessage: 40,
		people:      make(map[int64]*person),
		callbacks:   make(map[string]bool),
		files:       make(map[string]*stored),
		menus:       make(map[string][]Command),
	}
	if id, _, ok := strings.Cut(token, ":"); ok {
		_, _ = fmt.Sscan(id, &tg.id) // a token that is no token keeps the default
	}
	tg.http = httptest.NewServer(tg)
	return tg, func() {
		tg.mu.Lock()
		tg.fail = func(string, ...any) {} // whoever wanted to hear is gone
		tg.mu.Unlock()
		close(tg.done)
		tg.http.CloseClientConnections()
		tg.http.Close()
	}
}

// URL takes the place of https://api.telegram.org.
func (tg *Telegram) URL() string { return tg.http.URL }

// Bot is who the bot is.
func (tg *Telegram) Bot() (id int64, username string) { return tg.id, tg.name }

// Violations are the requests so far that a correct client never sends.
func (tg *Telegram) Violations() []string {
	return read(tg, func() []string { return slices.Clone(tg.violations) })
}

// Toasts are the answers to presses, oldest first.
func (tg *Telegram) Toasts() []Toast {
	return read(tg, func() []Toast { return slices.Clone(tg.toasts) })
}

// Actions are the chat actions, oldest first.
func (tg *Telegram) Actions() []Action {
	return read(tg, func() []Action { return slices.Clone(tg.actions) })
}

// Commands is the menu as set last.
func (tg *Telegram) Commands() []Command {
	return read(tg, func() []Command { return slices.Clone(tg.commands) })
}

// Calls are all calls so far, of all methods or of those named.
func (tg *Telegram) Calls(methods ...string) []APICall {
	return read(tg, func() []APICall {
		var out []APICall
		for _, c := range tg.calls {
			if len(methods) == 0 || slices.Contains(methods, c.Method) {
				out = append(out, c)
			}
		}
		return out
	})
}

// Confirmed is the highest update id that the bot confirmed with an offset; 0 for none.
func (tg *Telegram) Confirmed() int64 { return read(tg, func() int64 { return tg.confirmed }) }

// Pending is how many updates the bot has not confirmed.
func (tg *Telegram) Pending() int { return read(tg, func() int { return len(tg.updates) }) }

// Await waits until ok is true, looking again whenever anything happens here. Ok may call every method of tg but
// this one. Without a deadline in ctx it gives up after 20 seconds. The error tells what went on.
func (tg *Telegram) Await(ctx context.Context, ok func(*Telegram) bool) error {
	if _, has := ctx.Deadline(); !has {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
	}
	for {
		changed := read(tg, func() chan struct{} { return tg.changed })
		if ok(tg) {
			return nil
		}
		select {
		case <-changed:
		case <-tg.done:
			return errors.New("telegram: the server ended")
		case <-ctx.Done():
			return fmt.Errorf("telegram: it did not happen: %w\n%s", ctx.Err(), tg.story())
		}
	}
}

// story is the last calls and all that is shown, for a person who reads why a test failed.
func (tg *Telegram) story() string {
	var b strings.Builder
	calls := tg.Calls()
	for _, c := range calls[max(0, len(calls)-12):] {
		fmt.Fprintf(&b, "call  %s %d %s %.300q\n", c.Method, c.Code, c.Description, fmt.Sprint(c.Params))
	}
	for _, user := range read(tg, tg.users) {
		for _, s := range tg.History(user) {
			fmt.Fprintf(&b, "chat %d  #%d mine=%t edited=%d %.300q %v\n", user, s.MessageID, s.Mine, s.Edited, s.Text, s.Buttons)
		}
	}
	return b.String()
}

func read[T any](tg *Telegram, get func() T) T {
	tg.mu.Lock()
	defer tg.mu.Unlock()
	return get()
}

// happened wakes everyone who waits. The caller holds mu.
func (tg *Telegram) happened() {
	close(tg.changed)
	tg.changed = make(chan struct{})
}

// violation notes what a correct client never does. The caller holds mu.
func (tg *Telegram) violation(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	tg.violations = append(tg.violations, text)
	tg.fail("telegram would not take this from a correct bot: %s", text)
}

// users are all whom the server knows, in order. The caller holds mu.
func (tg *Telegram) users() []int64 {
	var out []int64
	for id := range tg.people {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}
