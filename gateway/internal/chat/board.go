package chat

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/outbox"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// queueLength is how many frames may wait for a channel that reads slowly; one more drops it. The
// frames are not lost: cards and replies are stored, and a new connection asks for them.
const queueLength = 4096

// maxQueued is about how many bytes may wait for one channel.
const maxQueued = 16 << 20

// BoardOptions is what a Board is made of; all fields but Inbox and Root are required.
type BoardOptions struct {
	// Outbox shows to the users of messengers what must not be lost.
	Outbox *outbox.Outbox
	// Users may speak and answer on messengers; nobody else may.
	Users Users
	// Inbox takes the pictures that calls bring. The zero Inbox takes none.
	Inbox Inbox
	// Root is the conversation that a session works for, for those who look at that one; nil for itself.
	Root func(claw.SessionID) claw.SessionID
	Now  func() time.Time
	Log  *slog.Logger
}

// Board shows the same things to every user that they concern: questions, their answers, what ran
// unasked, replies that nobody waits for. Terminals get frames; users of messengers get items of the
// outbox. It is made before the gate, which asks through it.
type Board struct {
	o BoardOptions

	mu      sync.Mutex
	members map[*member]bool
	bridges map[claw.Channel]*member // the one bridge of a messenger, from its hello on
	told    []wire.Notice            // what every terminal should hear, also one that comes later
	resumed []claw.SessionID
	wake    chan struct{}
	upset   []outbox.Item // must be put, and are not yet
	poke    chan struct{} // tells run of them

	keeping sync.Mutex // held by the one who writes into the inbox
}

// member is one connected channel.
type member struct {
	role string
	out  chan wire.Down
	gone chan struct{} // closed once, by drop
	once sync.Once
	live bool // of a bridge, under the board's mu: it was told what goes on

	queued atomic.Int64 // about how many bytes are in out
}

// NewBoard returns a board that nobody looks at yet.
func NewBoard(o BoardOptions) *Board {
	return &Board{
		o: o, members: map[*member]bool{}, bridges: map[claw.Channel]*member{},
		wake: make(chan struct{}, 1), poke: make(chan struct{}, 1),
	}
}

// join adds a channel. Of a messenger there is one bridge at a time; it is nil for a second one.
func (b *Board) join(role string) *member {
	m := &member{role: role, out: make(chan wire.Down, queueLength), gone: make(chan struct{})}
	b.mu.Lock()
	defer b.mu.Unlock()
	if channel := claw.Channel(role); isMessenger(channel) {
		if b.bridges[channel] != nil {
			return nil
		}
		b.bridges[channel] = m
		return m
	}
	b.members[m] = true
	for _, n := range b.told {
		m.send(wire.Down{Notice: &n})
	}
	return m
}

func (b *Board) leave(m *member) {
	b.mu.Lock()
	delete(b.members, m)
	if channel := claw.Channel(m.role); b.bridges[channel] == m {
		delete(b.bridges, channel)
	}
	b.mu.Unlock()
	m.drop()
}

// bridge is a messenger's bridge that was told what goes on, nil when there is none.
func (b *Board) bridge(channel claw.Channel) *member {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m := b.bridges[channel]; m != nil && m.live {
		return m
	}
	return nil
}

// enliven lets a bridge see what happens from now on.
func (b *Board) enliven(m *member) {
	b.mu.Lock()
	defer b.mu.Unlock()
	m.live = true
}

func (b *Board) roles() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for m := range b.members {
		out = append(out, m.role)
	}
	for _, m := range b.bridges {
		out = append(out, m.role)
	}
	slices.Sort(out)
	return out
}

// all shows a frame to every terminal.
func (b *Board) all(frame wire.Down) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for m := range b.members {
		m.send(frame)
	}
}

// send never blocks: a channel that does not read is dropped rather than waited for.
func (m *member) send(frame wire.Down) bool {
	select {
	case <-m.gone:
		return false
	default:
	}
	size := weight(frame)
	if m.queued.Add(size) > maxQueued {
		m.drop()
		return false
	}
	select {
	case m.out <- frame:
		return true
	default:
		m.drop()
		return false
	}
}

// sent says that a frame left the queue.
func (m *member) sent(frame wire.Down) { m.queued.Add(-weight(frame)) }

// weight is about how many bytes a frame holds.
func weight(d wire.Down) int64 {
	n := 256
	switch {
	case d.Delta != nil:
		n += len(d.Delta.Text)
	case d.Step != nil:
		n += len(d.Step.Content) + len(d.Step.Input)
	case d.Card != nil:
		n += len(d.Card.Input)
	case d.Settled != nil:
		n += len(d.Settled.Input)
	case d.Chunk != nil:
		n += len(d.Chunk.Data)
	case d.Send != nil:
		n += len(d.Send.Text)
		if d.Send.Card != nil {
			n += len(d.Send.Card.Input)
		}
	case d.Reply != nil:
		n += len(d.Reply.Text)
		for _, c := range d.Reply.Calls {
			n += len(c.Content) + len(c.Input)
		}
	case d.Answer != nil:
		for _, c := range d.Answer.Cards {
			n += len(c.Input)
		}
	}
	return int64(n)
}

func (m *member) drop() { m.once.Do(func() { close(m.gone) }) }
