package chat_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/wire"
)

// bridge is a messenger's bridge that shows everything at once, and keeps the screens of its users.
type bridge struct {
	t    *testing.T
	conn *wire.Conn

	mu      sync.Mutex
	changed *sync.Cond
	broken  error
	deaf    bool                 // does not say that it showed anything
	screen  map[string][]*onShow // by user
	frames  []wire.Down          // everything but sends, in order
	refs    int
}

// onShow is one message on a screen.
type onShow struct {
	ref, kind, text, replyTo string
	card                     *wire.Card
	menu                     *wire.Menu
	item                     int64
	file                     *wire.File
	run                      string
}

func (h *house) bridge() *bridge {
	h.t.Helper()
	b := &bridge{t: h.t, conn: h.connectAs("telegram").conn, screen: map[string][]*onShow{}}
	b.begin()
	return b
}

// begin reads what the gateway says, until the connection ends.
func (b *bridge) begin() {
	b.t.Helper()
	b.changed = sync.NewCond(&b.mu)
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.read()
	}()
	b.t.Cleanup(func() { _ = b.conn.Close(); <-done })
	b.await("the welcome", func() bool {
		return slices.ContainsFunc(b.frames, func(d wire.Down) bool { return d.Welcome != nil })
	})
}

// gone ends the bridge and waits until the gateway noticed.
func (b *bridge) gone(h *house) {
	_ = b.conn.Close()
	c := h.connect()
	defer c.conn.Close()
	for {
		c.send(wire.Up{Query: &wire.Query{Ref: "s", What: wire.QueryStatus}})
		if s := until(c, anAnswer).Status; s.Messengers[0].State == wire.HealthAway {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (b *bridge) read() {
	for {
		var d wire.Down
		err := b.conn.Receive(&d)
		b.mu.Lock()
		if err != nil {
			b.broken = err
			b.changed.Broadcast()
			b.mu.Unlock()
			return
		}
		var sent *wire.Sent
		if d.Send != nil && !b.deaf {
			sent = b.show(d.Send)
		} else if d.Send == nil {
			b.frames = append(b.frames, d)
		}
		b.changed.Broadcast()
		b.mu.Unlock()
		if sent != nil && b.conn.Send(wire.Up{Sent: sent}) != nil {
			return
		}
	}
}

func (b *bridge) show(s *wire.Send) *wire.Sent {
	sent := &wire.Sent{Item: s.Item, Part: s.Part, Parts: 1}
	m := &onShow{kind: s.Kind, text: s.Text, replyTo: s.ReplyTo, card: s.Card, file: s.File, run: s.Run, menu: s.Menu, item: s.Item}
	if s.Card != nil {
		sent.State = s.Card.State
	}
	if s.Kind == wire.SendWhy {
		sent.State = ""
	}
	if s.Menu != nil {
		sent.State = fmt.Sprint(s.Menu.Version)
	}
	if (s.Kind == wire.SendCard || s.Kind == wire.SendMenu) && len(s.Shown) > 0 {
		for _, ref := range s.Shown {
			for _, old := range b.screen[s.User] {
				if old.ref == ref {
					old.card, old.menu, old.text = s.Card, s.Menu, s.Text
				}
			}
		}
		return sent
	}
	b.refs++
	m.ref = fmt.Sprint(1000 + b.refs)
	if s.Bubble != "" {
		m.ref = s.Bubble
	}
	sent.Ref = m.ref
	b.screen[s.User] = append(b.screen[s.User], m)
	return sent
}

// await waits for something on the screens or among the frames.
func (b *bridge) await(what string, is func() bool) {
	b.t.Helper()
	late := time.AfterFunc(20*time.Second, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.broken = fmt.Errorf("not within 20 s")
		b.changed.Broadcast()
	})
	defer late.Stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	for !is() {
		if b.broken != nil {
			var all []string
			for user, ms := range b.screen {
				for _, m := range ms {
					all = append(all, fmt.Sprintf("%s: %s %q %v", user, m.kind, m.text, m.card))
				}
			}
			b.t.Fatalf("waiting for %s: %v\n%s\n%+v", what, b.broken, strings.Join(all, "\n"), b.frames)
		}
		b.changed.Wait()
	}
}

// frame waits for a frame that pick likes, among those that nobody took yet.
func pickFrame[T any](b *bridge, what string, pick func(wire.Down) *T) T {
	b.t.Helper()
	var found *T
	b.await(what, func() bool {
		for i, d := range b.frames {
			if found = pick(d); found != nil {
				b.frames = append(b.frames[:i:i], b.frames[i+1:]...)
				return true
			}
		}
		return false
	})
	return *found
}

func (b *bridge) fault() wire.Fault       { b.t.Helper(); return pickFrame(b, "a fault", aFault) }
func (b *bridge) accepted() wire.Accepted { b.t.Helper(); return pickFrame(b, "accepted", accepted) }

func (b *bridge) send(up wire.Up) {
	b.t.Helper()
	if err := b.conn.Send(up); err != nil {
		b.t.Fatal(err)
	}
}

// say is a message of a user.
func (b *bridge) say(id, user, text string) {
	b.t.Helper()
	b.send(wire.Up{Message: &wire.Message{ID: id, User: user, Name: "Anna", Text: text}})
}

// shows waits for a text on Anna's screen.
func (b *bridge) shows(text string) onShow { b.t.Helper(); return b.showsTo(anna, text) }

func (b *bridge) showsTo(user, text string) onShow {
	b.t.Helper()
	return b.find(fmt.Sprintf("%q", text), user, func(m *onShow) bool { return strings.Contains(m.text, text) })
}

// card waits for a card in a state, the last one that has it.
func (b *bridge) card(user, state string) onShow {
	b.t.Helper()
	return b.find("a card that is "+state, user, func(m *onShow) bool { return m.kind == wire.SendCard && m.card.State == state })
}

func (b *bridge) find(what, user string, is func(*onShow) bool) (found onShow) {
	b.t.Helper()
	b.await(what, func() bool {
		ok := false
		for _, m := range b.screen[user] {
			if is(m) {
				found, ok = *m, true
			}
		}
		return ok
	})
	return found
}

// first waits for the first message on Anna's screen that one of them likes, or for died.
func (b *bridge) first(died <-chan struct{}, likes ...func(*onShow) bool) (found *onShow) {
	b.t.Helper()
	if died != nil {
		over := make(chan struct{})
		defer close(over)
		go func() {
			select {
			case <-died:
				b.mu.Lock()
				defer b.mu.Unlock()
				b.changed.Broadcast()
			case <-over:
			}
		}()
	}
	b.await("a card or a reply", func() bool {
		for _, m := range b.screen[anna] {
			for _, like := range likes {
				if like(m) {
					copied := *m
					found = &copied
					return true
				}
			}
		}
		select {
		case <-died: // never, when it is nil
			return true
		default:
			return false
		}
	})
	return found
}

// count is how many messages of a kind a user has.
func (b *bridge) count(user, kind string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, m := range b.screen[user] {
		if m.kind == kind {
			n++
		}
	}
	return n
}

// tap presses a button of a card, and it must count.
func (b *bridge) tap(user string, m onShow, allow bool) {
	b.t.Helper()
	if f := b.press(user, m, allow); f != nil {
		b.t.Fatalf("a tap of %s: %+v", user, f)
	}
}

// press presses a button of a card and returns why it did not count.
func (b *bridge) press(user string, m onShow, allow bool) *wire.Fault {
	b.t.Helper()
	return b.decide(wire.Decide{Approval: m.card.ID, Allow: allow, User: user, Name: "Anna", Shown: m.ref, Digest: m.card.Digest[:16]})
}

func (b *bridge) decide(d wire.Decide) *wire.Fault {
	b.t.Helper()
	b.mu.Lock()
	b.refs++
	d.Ref = fmt.Sprint("tap", b.refs)
	b.mu.Unlock()
	b.send(wire.Up{Decide: &d})
	return b.verdict(d.Ref)
}

// verdict waits for the word on what was sent with a ref: nil when it was done.
func (b *bridge) verdict(ref string) *wire.Fault {
	b.t.Helper()
	d := pickFrame(b, "an answer to "+ref, func(d wire.Down) *wire.Down {
		if d.Answer != nil && d.Answer.Ref == ref || d.Fault != nil && d.Fault.Ref == ref {
			return &d
		}
		return nil
	})
	return d.Fault
}

// texts is how many texts a user has; the caller holds mu or is in await.
func (b *bridge) texts(user string) int {
	n := 0
	for _, m := range b.screen[user] {
		if m.kind == wire.SendText {
			n++
		}
	}
	return n
}
