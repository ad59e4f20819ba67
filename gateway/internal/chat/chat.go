// Package chat is what a user can say to the gateway and what comes back. It knows no messenger: a
// channel is a process that speaks the frames of package wire.
//
// A message is stored before it is acknowledged, runs in its session's own order, and gets exactly
// one reply. A decision never waits behind a message, and neither does a command. A channel that
// vanishes loses nothing: what a terminal misses it can ask for, and what a messenger's user must
// see is in the outbox, stored together with the fact that it is to be shown.
//
// It refuses, and records, whoever is not on its own list of a messenger's users, and an answer to
// a question that was put to somebody else or that shows another call than the one that would run.
//
// [Desk.Serve] is the entry point; a [Board] is what all channels look at.
package chat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/agent"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/gateway/internal/outbox"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// Limits of one gateway.
const (
	maxWaiting     = 64  // messages that wait in one session
	maxConnections = 256 // a terminal costs about 150 KiB
)

// The steps of a message.
const (
	StepAccepted = "chat.accepted" // stored, its sender not told yet
	StepAnswered = "chat.answered" // the reply and the item that shows it are stored
	StepTapped   = "chat.tapped"   // what a tap changed is stored, its user not told yet
)

// Agent answers one message, or goes on after a restart.
type Agent interface {
	Answer(ctx context.Context, msg claw.Message, run claw.RunID, w agent.Watcher) (agent.Answer, error)
	Continue(ctx context.Context, session claw.SessionID, origin claw.Origin, run claw.RunID, results []claw.ToolResult, w agent.Watcher) (agent.Answer, error)
	Abandon(ctx context.Context, session claw.SessionID, results []claw.ToolResult) (agent.Answer, error)
}

// Gate is the part of the gate that users talk to.
type Gate interface {
	Decide(ctx context.Context, id string, d gate.Decision) (gate.Approval, error)
	Pending(ctx context.Context) ([]gate.Approval, error)
	Approval(ctx context.Context, id string) (gate.Approval, error)
	Fate(ctx context.Context, call claw.CallID) (gate.Fate, error)
	Cancel(ctx context.Context, session claw.SessionID) error
}

// Store keeps messages until they are answered, and what a messenger needs beside its outbox.
type Store interface {
	CreateSession(ctx context.Context, s claw.Session) (fresh bool, err error)
	AcceptMessage(ctx context.Context, msg claw.Message) (fresh bool, err error)
	Unanswered(ctx context.Context) ([]claw.Message, error)
	Answered(ctx context.Context, channel claw.Channel, id, reply string) error
	// AnsweredWith keeps the reply and the item that shows it, both or neither.
	AnsweredWith(ctx context.Context, channel claw.Channel, id, reply string, item *outbox.Item, file []byte) (first bool, err error)
	Turns(ctx context.Context, session claw.SessionID, limit int) ([]claw.Turn, error)

	CurrentSession(ctx context.Context, channel claw.Channel, user string) (session claw.SessionID, found bool, err error)
	SetCurrentSession(ctx context.Context, channel claw.Channel, user string, session claw.SessionID) error
	SessionsOf(ctx context.Context, channel claw.Channel, user string, limit int) ([]claw.Session, error)

	AddShown(ctx context.Context, channel claw.Channel, user, key, ref string) error
	ItemByRef(ctx context.Context, channel claw.Channel, user, ref string) (outbox.Item, bool, error)
	// ItemBySeq finds an item by its number, if it is that user's.
	ItemBySeq(ctx context.Context, channel claw.Channel, user string, seq int64) (outbox.Item, bool, error)
	// MoveMenu gives a menu its next state, if its version is still from.
	MoveMenu(ctx context.Context, seq, from int64, state string) (moved bool, err error)
	SetBubble(ctx context.Context, channel claw.Channel, user string, run claw.RunID, ref string) error
	Bubble(ctx context.Context, run claw.RunID) (ref string, err error)
}

// Options is what a Desk is made of; what is not said to be optional is required.
type Options struct {
	Board  *Board
	Agent  Agent
	Tasks  Tasks // optional
	Gate   Gate
	Store  Store
	Status func(ctx context.Context) wire.GatewayStatus
	// Record is told of each message before it runs. An error keeps the message from running.
	Record func(ctx context.Context, msg claw.Message, run claw.RunID) error
	// Foresee is told of a message that will run as soon as it is stored, and returns what is to be run meanwhile. It
	// must not block, and nothing may hang on it: not every message is stored. Optional.
	Foresee func(ctx context.Context, msg claw.Message) (read func())
	// Note writes into the audit log what precedes no effect: who was refused. Optional.
	Note func(kind string, fields map[string]any)
	// Journal returns the last n entries of the audit log, one sentence each, and how the log does. Optional.
	Journal func(ctx context.Context, n int) (entries []string, state string, err error)
	// Clock knows the heartbeats. Optional.
	Clock Clock
	// Memories are what is kept beyond conversations. Optional.
	Memories Memories
	// Manage answers a terminal's [wire.Manage], by its name. Optional.
	Manage map[string]Manager
	// Inbox takes the files of messengers' users. The zero Inbox takes none.
	Inbox Inbox
	// LateAfter is how old a messenger's message may be and still be acted on unasked; zero is for ever.
	LateAfter time.Duration
	Now       func() time.Time
	Log       *slog.Logger
	// Step is called at each named step, so that a test can end the process there. Nil means none.
	Step func(step string)
}

// Manager answers one kind of [wire.Manage]: args are its JSON, what it returns is encoded strictly. It
// decodes args strictly itself, and its error is a sentence for the user.
type Manager func(ctx context.Context, origin claw.Origin, args []byte) (any, error)

// Clock is what beats.
type Clock interface {
	Heartbeats(ctx context.Context) ([]claw.Heartbeat, error)
	Toggle(ctx context.Context, name string, on bool) error
	// Ended is told how the message of a beat is answered, before that is stored, and says what the owner
	// should hear of it; empty for nothing.
	Ended(ctx context.Context, msg claw.Message, outcome, text string) (tell string, err error)
}

// Memories are what a user can look into, and have forgotten.
type Memories interface {
	Categories(ctx context.Context, owner string) ([]claw.MemoryCategory, error)
	List(ctx context.Context, q claw.MemoryQuery) ([]claw.Memory, error)
	Memories(ctx context.Context, ids []int64) ([]claw.Memory, error)
	Search(ctx context.Context, owner, query string, limit int) ([]claw.Memory, error)
	// About finds what has all the words of a topic.
	About(ctx context.Context, owner, topic string, limit int) ([]claw.Memory, error)
	Forget(ctx context.Context, owner string, ids []int64) (int, error)
}

// Desk serves user channels.
type Desk struct {
	o     Options
	began time.Time

	mu      sync.Mutex
	lanes   map[claw.SessionID]*lane
	runs    map[claw.RunID]shownRun // of messengers' users: those that go on
	ended   []endedRun              // the last ones that ended: a bubble may come late
	stopped map[string]bool         // messages that the user stopped and that have no answer yet
	health  map[claw.Channel]wire.Health
	stops   map[addressee]lastStop
	wg      sync.WaitGroup
	conns   int
}

// New returns a Desk.
func New(o Options) *Desk {
	if o.Step == nil {
		o.Step = func(string) {}
	}
	if o.Foresee == nil {
		o.Foresee = func(context.Context, claw.Message) func() { return func() {} }
	}
	if o.Note == nil {
		o.Note = func(string, map[string]any) {}
	}
	return &Desk{
		o: o, began: o.Now(), lanes: map[claw.SessionID]*lane{}, runs: map[claw.RunID]shownRun{},
		stopped: map[string]bool{}, health: map[claw.Channel]wire.Health{}, stops: map[addressee]lastStop{},
	}
}

// users are those who may use messengers.
func (d *Desk) users() Users { return d.o.Board.o.Users }

// Serve accepts channels until ctx ends, then stops every run and waits for it. It returns an error
// when it can accept no more.
func (d *Desk) Serve(ctx context.Context, ln *wire.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer ln.Close()
	// The board outlives the runs: what they say last is stored too.
	putting, stopPutting := context.WithCancel(context.WithoutCancel(ctx))
	var board sync.WaitGroup
	board.Go(func() { d.o.Board.run(putting) })
	defer board.Wait()
	defer stopPutting()
	defer d.wg.Wait()
	defer cancel()
	d.wg.Go(func() { d.resumeLoop(ctx) })
	if err := d.o.Inbox.clean(); err != nil {
		d.o.Log.Warn("unfinished files of the inbox not removed", "err", err)
	}
	if err := d.project(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("open questions: %w", err)
	}
	if err := d.recover(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("unfinished messages: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	for {
		pending, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("accept: %w", err)
		}
		d.wg.Go(func() { d.connection(ctx, pending) })
	}
}

func (d *Desk) connection(ctx context.Context, pending *wire.Pending) {
	conn, err := pending.Handshake()
	if err != nil {
		d.o.Log.Warn("channel refused", "err", err)
		return
	}
	defer conn.Close()
	if !d.enter() {
		_ = conn.Send(wire.Down{Fault: &wire.Fault{
			Code: "busy", What: fmt.Sprintf("%d channels are connected, and there are no more places", maxConnections), Fix: "close a terminal",
		}})
		return
	}
	defer d.exit()
	if !slices.Contains(channels(), claw.Channel(conn.Peer.Role)) {
		_ = conn.Send(wire.Down{Fault: &wire.Fault{
			Code: "role", What: fmt.Sprintf("%.40q is no channel that this gateway knows", conn.Peer.Role), Fix: "both programs must come from one release",
		}})
		return
	}
	m := d.o.Board.join(conn.Peer.Role)
	if m == nil {
		_ = conn.Send(wire.Down{Fault: &wire.Fault{
			Code: "taken", What: "another bridge for " + conn.Peer.Role + " is connected", Fix: "stop one of the two",
		}})
		return
	}
	defer d.o.Board.leave(m)
	stop := context.AfterFunc(ctx, func() { m.drop() })
	defer stop()
	var writer sync.WaitGroup
	writer.Go(func() { write(conn, m) })
	defer writer.Wait()
	defer m.drop()
	handle := func(up wire.Up) {
		d.terminal(ctx, m, claw.Origin{Channel: claw.Channel(m.role), User: strconv.FormatUint(uint64(conn.UID), 10)}, up)
	}
	if isMessenger(claw.Channel(m.role)) {
		b, err := d.newBridge(ctx, m)
		if err != nil {
			d.o.Log.Error("bridge not served", "channel", m.role, "err", err)
			return
		}
		defer b.close()
		handle = func(up wire.Up) { b.handle(ctx, up) }
	}
	for {
		var up wire.Up
		if err := conn.Receive(&up); err != nil {
			if errors.Is(err, wire.ErrFrame) {
				m.send(wire.Down{Fault: &wire.Fault{Code: "frame", What: "the connection is closed: " + err.Error()}})
				m.send(wire.Down{}) // the writer's mark to close after what is queued
				writer.Wait()
			}
			return
		}
		handle(up)
	}
}

// write sends what is queued until the member is dropped; then the connection is closed, which ends its reader.
func write(conn *wire.Conn, m *member) {
	defer conn.Close()
	for {
		select {
		case <-m.gone:
			return
		case frame := <-m.out:
			m.sent(frame)
			if frame == (wire.Down{}) {
				return
			}
			if err := conn.Send(frame); err != nil {
				m.drop()
				return
			}
		}
	}
}

func (d *Desk) enter() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conns >= maxConnections {
		return false
	}
	d.conns++
	return true
}

func (d *Desk) exit() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conns--
}
