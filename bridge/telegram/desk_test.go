package telegram_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/bridge/telegram"
	"github.com/secureclaw/secureclaw/internal/fake"
	"github.com/secureclaw/secureclaw/internal/wire"
)

const (
	token    = "7000000001:AAEcanary-canary_canary0123456789xyz"
	owner    = int64(42)
	guest    = int64(43)
	stranger = int64(666)
)

// desk is the gateway's side of the socket, spoken by hand. It answers as a gateway that takes everything does,
// unless answer is set.
type desk struct {
	t    *testing.T
	path string

	mu      sync.Mutex
	ln      *wire.Listener
	alive   bool
	conn    *wire.Conn
	ups     []wire.Up
	changed chan struct{}
	answer  func(wire.Up) []wire.Down
	welcome wire.Down
	wg      sync.WaitGroup
}

func newDesk(t *testing.T) *desk {
	d := &desk{t: t, path: filepath.Join(t.TempDir(), "run", "gw.sock"), changed: make(chan struct{}), welcome: wire.Down{Welcome: &wire.Welcome{}}}
	t.Cleanup(func() {
		d.close()
		d.wg.Wait()
	})
	return d
}

// open lets bridges come.
func (d *desk) open() *desk {
	d.t.Helper()
	ln, err := wire.Listen(d.path, wire.Hello{Role: "gateway", Program: "test"})
	if err != nil {
		d.t.Fatalf("wire.Listen: %v", err)
	}
	d.mu.Lock()
	d.ln, d.alive = ln, true
	d.mu.Unlock()
	d.wg.Go(func() {
		for {
			p, err := ln.Accept()
			if err != nil {
				return
			}
			d.wg.Go(func() { d.serve(p) })
		}
	})
	return d
}

func (d *desk) serve(p *wire.Pending) {
	conn, err := p.Handshake()
	if err != nil {
		return
	}
	defer conn.Close()
	d.mu.Lock()
	if !d.alive { // closed meanwhile
		d.mu.Unlock()
		return
	}
	d.conn = conn
	_ = conn.Send(d.welcome)
	d.happened()
	d.mu.Unlock()
	for {
		var up wire.Up
		if err := conn.Receive(&up); err != nil {
			if errors.Is(err, wire.ErrFrame) {
				d.t.Errorf("the bridge sent a bad frame: %v", err)
			}
			d.mu.Lock()
			if d.conn == conn {
				d.conn = nil
			}
			d.happened()
			d.mu.Unlock()
			return
		}
		d.mu.Lock()
		d.ups = append(d.ups, up)
		answer := d.answer
		d.happened()
		d.mu.Unlock()
		if answer == nil {
			answer = yes
		}
		for _, down := range answer(up) {
			_ = conn.Send(down)
		}
	}
}

// yes takes everything.
func yes(up wire.Up) []wire.Down {
	ok := func(ref string) []wire.Down { return []wire.Down{{Answer: &wire.Answer{Ref: ref}}} }
	switch {
	case up.Message != nil:
		return []wire.Down{{Accepted: &wire.Accepted{Message: up.Message.ID, Session: "s", Run: "r"}}}
	case up.File != nil:
		return ok(up.File.Message)
	case up.Decide != nil:
		return ok(up.Decide.Ref)
	case up.Ask != nil:
		return ok(up.Ask.Ref)
	case up.Tap != nil:
		return []wire.Down{{Answer: &wire.Answer{Ref: up.Tap.Ref, Said: "done"}}}
	}
	return nil
}

func (d *desk) happened() {
	close(d.changed)
	d.changed = make(chan struct{})
}

// close is a gateway that dies.
func (d *desk) close() {
	d.mu.Lock()
	ln, conn := d.ln, d.conn
	d.conn, d.alive = nil, false
	d.mu.Unlock()
	if ln != nil {
		_ = ln.Close()
	}
	if conn != nil {
		_ = conn.Close()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ln = nil
	d.happened()
}

func (d *desk) answers(f func(wire.Up) []wire.Down) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answer = f
}

// await waits until ok is true of all that the bridge said.
func (d *desk) await(what string, ok func(ups []wire.Up) bool) {
	d.t.Helper()
	late := time.After(15 * time.Second)
	for {
		d.mu.Lock()
		done, changed := ok(d.ups), d.changed
		d.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-late:
			d.t.Fatalf("the bridge did not say: %s\nit said %s", what, d.story())
		}
	}
}

func (d *desk) story() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var b strings.Builder
	for _, up := range d.ups {
		switch {
		case up.Message != nil:
			b.WriteString("\nmessage " + up.Message.ID + " " + up.Message.Text)
		case up.Sent != nil:
			b.WriteString("\nsent " + up.Sent.Ref)
		case up.Unsent != nil:
			b.WriteString("\nunsent " + up.Unsent.Why)
		case up.Health != nil:
			b.WriteString("\nhealth " + up.Health.State + " " + up.Health.Why)
		default:
			b.WriteString("\nsomething else")
		}
	}
	return b.String()
}

// said returns all frames of one kind.
func said[T any](d *desk, pick func(wire.Up) *T) []T {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []T
	for _, up := range d.ups {
		if v := pick(up); v != nil {
			out = append(out, *v)
		}
	}
	return out
}

// nth waits for the n-th frame of one kind, counted from 1.
func nth[T any](d *desk, n int, what string, pick func(wire.Up) *T) T {
	d.t.Helper()
	var out T
	d.await(what, func(ups []wire.Up) bool {
		seen := 0
		for _, up := range ups {
			if v := pick(up); v != nil {
				if seen++; seen == n {
					out = *v
					return true
				}
			}
		}
		return false
	})
	return out
}

func aMessage(up wire.Up) *wire.Message   { return up.Message }
func aSent(up wire.Up) *wire.Sent         { return up.Sent }
func anUnsent(up wire.Up) *wire.Unsent    { return up.Unsent }
func aDecide(up wire.Up) *wire.Decide     { return up.Decide }
func anAsk(up wire.Up) *wire.AskWhy       { return up.Ask }
func aBubble(up wire.Up) *wire.Bubble     { return up.Bubble }
func aStranger(up wire.Up) *wire.Stranger { return up.Stranger }
func aHealth(up wire.Up) *wire.Health     { return up.Health }

// send waits for a bridge and sends it frames.
func (d *desk) send(frames ...wire.Down) {
	d.t.Helper()
	var conn *wire.Conn
	d.await("hello", func([]wire.Up) bool { conn = d.conn; return conn != nil })
	for _, f := range frames {
		if err := conn.Send(f); err != nil {
			d.t.Fatalf("send %+v: %v", f, err)
		}
	}
}

// show sends one part and returns what the bridge says of it.
func (d *desk) show(s wire.Send) wire.Sent {
	d.t.Helper()
	if s.User == "" {
		s.User = "42"
	}
	before := len(said(d, aSent))
	d.send(wire.Down{Send: &s})
	got := nth(d, before+1, "sent", aSent)
	if got.Item != s.Item || got.Part != s.Part {
		d.t.Fatalf("sent = %+v for item %d part %d", got, s.Item, s.Part)
	}
	return got
}

// world is a bridge between a Telegram and a gateway.
type world struct {
	t  *testing.T
	tg *fake.Telegram
	d  *desk
	// log is all that the bridge logged.
	log *safeBuffer

	end  context.CancelFunc
	done chan error
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// newWorld starts Telegram and the gateway, and no bridge.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, tg: fake.NewTelegram(t, token), d: newDesk(t).open(), log: &safeBuffer{}}
	t.Cleanup(func() {
		w.stop()
		if strings.Contains(w.log.String(), "canary") {
			t.Errorf("the token is in the log:\n%s", w.log)
		}
		for _, up := range said(w.d, func(up wire.Up) *wire.Up { return &up }) {
			if up.Health != nil && strings.Contains(up.Health.Why, "canary") || up.Unsent != nil && strings.Contains(up.Unsent.Why, "canary") {
				t.Errorf("the token is in a frame: %+v", up)
			}
		}
		if t.Failed() {
			t.Logf("the bridge's log:\n%s", w.log)
		}
	})
	return w
}

func (w *world) options() telegram.Options {
	return telegram.Options{
		Token: token, Allowed: []int64{owner, guest}, APIURL: w.tg.URL(), Socket: w.d.path, Program: "test",
		Now: time.Now, Log: slog.New(slog.NewTextHandler(w.log, nil)), Location: time.UTC,
	}
}

// start starts a bridge; stop ends it.
func (w *world) start(o telegram.Options, change ...func(*telegram.Timing)) *world {
	w.t.Helper()
	ctx, end := context.WithCancel(context.Background())
	w.end, w.done = end, make(chan error, 1)
	done := w.done
	go func() { done <- telegram.RunFast(ctx, o, change...) }()
	return w
}

func (w *world) stop() {
	if w.end == nil {
		return
	}
	w.end()
	w.end = nil
	select {
	case err := <-w.done:
		if err != nil {
			w.t.Errorf("Run = %v, want nil", err)
		}
	case <-time.After(15 * time.Second):
		w.t.Error("Run does not end")
	}
}

// run is a world with a bridge in it.
func run(t *testing.T, change ...func(*telegram.Timing)) *world {
	t.Helper()
	w := newWorld(t)
	w.start(w.options(), change...)
	nth(w.d, 1, "health", aHealth)
	return w
}

// until waits for something at Telegram's side.
func (w *world) until(what string, ok func(*fake.Telegram) bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	if err := w.tg.Await(ctx, ok); err != nil {
		w.t.Fatalf("%s: %v", what, err)
	}
}

// confirmed waits until Telegram heard that an update is done.
func (w *world) confirmed(update int64) {
	w.t.Helper()
	w.until("confirmed", func(tg *fake.Telegram) bool { return tg.Confirmed() >= update })
}

// known makes the users known to Telegram, so that the bot may write to them.
func (w *world) known(users ...int64) {
	w.t.Helper()
	for _, u := range users {
		update, _ := w.tg.Say(u, "hello")
		w.confirmed(update)
	}
}

func (w *world) texts(user int64) []string {
	var out []string
	for _, s := range w.tg.Chat(user) {
		if s.Document != nil {
			out = append(out, "["+s.Document.Name+"] "+s.Caption)
		} else {
			out = append(out, s.Text)
		}
	}
	return out
}

// clock is a clock that a test moves.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Now()} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}
