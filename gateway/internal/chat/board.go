package chat

import (
	"sync"
	"sync/atomic"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// queueLength is how many frames may wait for a channel that reads slowly; one more drops it. The
// frames are not lost: cards and replies are stored, and a new connection asks for them.
const queueLength = 4096

// maxQueued is about how many bytes may wait for one channel.
const maxQueued = 16 << 20

// Board shows the same things to every connected channel: questions, their answers, replies that
// nobody waits for. It is made before the gate, which asks through it.
type Board struct {
	mu      sync.Mutex
	members map[*member]bool
	resumed []claw.SessionID
	wake    chan struct{}
}

// member is one connected channel.
type member struct {
	role string
	out  chan wire.Down
	gone chan struct{} // closed once, by drop
	once sync.Once

	queued atomic.Int64 // about how many bytes are in out
}

// NewBoard returns a board that nobody looks at yet.
func NewBoard() *Board {
	return &Board{members: map[*member]bool{}, wake: make(chan struct{}, 1)}
}

var _ gate.Asker = (*Board)(nil)

// Asked shows a question.
func (b *Board) Asked(a gate.Approval) { b.all(wire.Down{Card: card(a)}) }

// Decided shows how a question was settled, or how its call ended.
func (b *Board) Decided(a gate.Approval) { b.all(wire.Down{Settled: card(a)}) }

// Notify tells what ran without being asked about.
func (b *Board) Notify(call gate.Call, action claw.Action, result claw.ToolResult, rule string) {
	b.all(wire.Down{Notice: &wire.Notice{Session: string(call.Session), Text: noticeText(action, result, rule)}})
}

// Resumed keeps in mind that a call of a conversation ended although its run is gone, for the desk
// to go on with. The result itself is in the gate's store.
func (b *Board) Resumed(a gate.Approval, _ claw.ToolResult) {
	b.mu.Lock()
	b.resumed = append(b.resumed, a.Call.Session)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *Board) takeResumed() []claw.SessionID {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.resumed
	b.resumed = nil
	return taken
}

func (b *Board) join(role string) *member {
	m := &member{role: role, out: make(chan wire.Down, queueLength), gone: make(chan struct{})}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.members[m] = true
	return m
}

func (b *Board) leave(m *member) {
	b.mu.Lock()
	delete(b.members, m)
	b.mu.Unlock()
	m.drop()
}

func (b *Board) roles() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for m := range b.members {
		out = append(out, m.role)
	}
	return out
}

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
