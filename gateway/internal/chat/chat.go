// Package chat is what a user can say to the gateway and what comes back. It knows no messenger: a
// channel is a process that speaks the frames of package wire.
//
// A message is stored before it is acknowledged, runs in its session's own order, and gets exactly
// one reply. A decision never waits behind a message. A channel that vanishes loses nothing.
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
	"github.com/secureclaw/secureclaw/internal/wire"
)

// Limits of one gateway.
const (
	maxWaiting     = 64 // messages that wait in one session
	maxConnections = 64
)

// channels are the roles that may speak for a user. A peer names its own role, and the name stands
// in the model's system prompt, on cards and in the audit log: it is one of these or nothing.
// "heartbeat" is not among them, for nobody outside may be the clock.
func channels() []string { return []string{"terminal", "telegram"} }

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

// Store keeps messages until they are answered.
type Store interface {
	CreateSession(ctx context.Context, s claw.Session) (fresh bool, err error)
	AcceptMessage(ctx context.Context, msg claw.Message) (fresh bool, err error)
	Unanswered(ctx context.Context) ([]claw.Message, error)
	Answered(ctx context.Context, channel claw.Channel, id, reply string) error
	Turns(ctx context.Context, session claw.SessionID, limit int) ([]claw.Turn, error)
}

// Options is what a Desk is made of; all fields are required.
type Options struct {
	Board  *Board
	Agent  Agent
	Gate   Gate
	Store  Store
	Status func(ctx context.Context) wire.GatewayStatus
	// Record is told of each message before it runs. An error keeps the message from running.
	Record func(ctx context.Context, msg claw.Message, run claw.RunID) error
	Now    func() time.Time
	Log    *slog.Logger
}

// Desk serves user channels.
type Desk struct {
	o Options

	mu    sync.Mutex
	lanes map[claw.SessionID]*lane
	wg    sync.WaitGroup
	conns int
}

// lane is the queue of one session. Its goroutine lives while there is work.
type lane struct {
	waiting []job
	cancel  context.CancelFunc // of the job that runs, by its user
}

// job is one run that waits or runs.
type job struct {
	run     claw.RunID
	session claw.SessionID
	message *claw.Message // nil when a restart left no message to answer
	asker   *member       // who gets deltas; nil when nobody waits
	work    func(ctx context.Context, w agent.Watcher) (agent.Answer, error)
}

// New returns a Desk.
func New(o Options) *Desk {
	return &Desk{o: o, lanes: map[claw.SessionID]*lane{}}
}

// Running is how many sessions have work.
func (d *Desk) Running() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.lanes)
}

// Serve accepts channels until ctx ends, then stops every run and waits for it. It returns an error
// when it can accept no more.
func (d *Desk) Serve(ctx context.Context, ln *wire.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d.wg.Go(func() { d.resumeLoop(ctx) })
	if err := d.recover(ctx); err != nil {
		return fmt.Errorf("unfinished messages: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	for {
		pending, err := ln.Accept()
		if err != nil {
			stopped := ctx.Err() != nil || errors.Is(err, net.ErrClosed)
			cancel() // whatever the reason is: nothing here ends by itself
			d.wg.Wait()
			if stopped {
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
		_ = conn.Send(wire.Down{Fault: &wire.Fault{Code: "busy", What: "too many channels are connected"}})
		return
	}
	defer d.exit()
	if !slices.Contains(channels(), conn.Peer.Role) {
		_ = conn.Send(wire.Down{Fault: &wire.Fault{
			Code: "role", What: fmt.Sprintf("%.40q is no channel that this gateway knows", conn.Peer.Role), Fix: "both programs must come from one release",
		}})
		return
	}
	m := d.o.Board.join(conn.Peer.Role)
	defer d.o.Board.leave(m)
	stop := context.AfterFunc(ctx, func() { m.drop() })
	defer stop()
	var writer sync.WaitGroup
	writer.Go(func() { write(conn, m) })
	defer writer.Wait()
	defer m.drop()
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
		origin := claw.Origin{Channel: claw.Channel(conn.Peer.Role), User: strconv.FormatUint(uint64(conn.UID), 10)}
		d.handle(ctx, m, origin, up)
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

func (d *Desk) handle(ctx context.Context, m *member, origin claw.Origin, up wire.Up) {
	switch {
	case up.Message != nil:
		d.message(ctx, m, origin, *up.Message)
	case up.Decide != nil:
		d.decide(ctx, m, origin, *up.Decide)
	case up.Stop != nil:
		d.stop(ctx, m, *up.Stop)
	case up.Query != nil:
		d.query(ctx, m, *up.Query)
	default:
		m.send(wire.Down{Fault: &wire.Fault{Code: "frame", What: "an empty frame"}})
	}
}

// message stores what the user said, says so, and queues it.
func (d *Desk) message(ctx context.Context, m *member, origin claw.Origin, in wire.Message) {
	fault := func(code, what string) {
		m.send(wire.Down{Fault: &wire.Fault{Ref: in.ID, Code: code, What: what}})
	}
	switch {
	case in.ID == "" || len(in.ID) > 128 || in.Session == "" || len(in.Session) > 128:
		fault("message", "a message needs an id and a session of 1 to 128 bytes")
		return
	case in.Text == "":
		fault("message", "the message is empty")
		return
	case len(in.Text) > wire.MaxMessage:
		fault("message", fmt.Sprintf("the message has %d bytes, the limit is %d: put long text into a file of a shared folder", len(in.Text), wire.MaxMessage))
		return
	}
	msg := claw.Message{ID: in.ID, Session: claw.SessionID(in.Session), Text: in.Text, Origin: origin, Label: claw.UserLabel(), At: d.o.Now()}
	run := agent.NewRunID()
	if !d.room(msg.Session) {
		fault("busy", fmt.Sprintf("%d messages wait in this session already; stop it or wait", maxWaiting))
		return
	}
	// Nothing was read yet, so the label is the best one; everything that comes in is joined to it.
	_, err := d.o.Store.CreateSession(ctx, claw.Session{
		ID: msg.Session, Channel: origin.Channel, User: origin.User, Created: msg.At, Label: claw.Label{Integrity: claw.ByUser, Privacy: claw.Public},
	})
	fresh := false
	if err == nil {
		fresh, err = d.o.Store.AcceptMessage(ctx, msg)
	}
	if err != nil {
		fault("store", "the message could not be stored, so it will not run: "+err.Error())
		return
	}
	m.send(wire.Down{Accepted: &wire.Accepted{Message: in.ID, Session: in.Session, Run: string(run), Again: !fresh}})
	if !fresh {
		return
	}
	d.enqueue(ctx, d.answerJob(msg, run, m))
}

// answerJob is a run that answers a stored message.
func (d *Desk) answerJob(msg claw.Message, run claw.RunID, m *member) job {
	return job{run: run, session: msg.Session, message: &msg, asker: m, work: func(ctx context.Context, w agent.Watcher) (agent.Answer, error) {
		if err := d.o.Record(ctx, msg, run); err != nil {
			return agent.Answer{Outcome: agent.Failed, Text: "Nothing was done: the audit log cannot be written (" + err.Error() + "). To fix it: free disk space or repair the state folder, then restart SecureClaw."}, nil
		}
		return d.o.Agent.Answer(ctx, msg, run, w)
	}}
}

func (d *Desk) room(session claw.SessionID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.lanes[session]
	return l == nil || len(l.waiting) < maxWaiting
}

// enqueue puts a job behind the others of its session and makes sure that somebody works on them.
func (d *Desk) enqueue(ctx context.Context, j job) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.lanes[j.session]
	if l != nil {
		l.waiting = append(l.waiting, j)
		return
	}
	l = &lane{waiting: []job{j}}
	d.lanes[j.session] = l
	d.wg.Go(func() { d.work(ctx, j.session, l) })
}

// work runs the jobs of one session one after the other. A run can end early for two reasons, and
// the gate must tell them apart: the user stops it, and its questions are withdrawn; or the gateway
// stops, and they stay open for the next one.
func (d *Desk) work(ctx context.Context, session claw.SessionID, l *lane) {
	for {
		d.mu.Lock()
		if len(l.waiting) == 0 || ctx.Err() != nil {
			delete(d.lanes, session)
			d.mu.Unlock()
			return
		}
		j := l.waiting[0]
		l.waiting = l.waiting[1:]
		runCtx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
		l.cancel = func() { cancel(context.Canceled) }
		d.mu.Unlock()
		detach := context.AfterFunc(ctx, func() { cancel(gate.ErrShutdown) })
		d.runJob(runCtx, j)
		detach()
		cancel(nil)
	}
}

// runJob runs one job and sends its one reply. When the whole gateway stops, the message stays
// unanswered in the store, and the next start goes on with it.
func (d *Desk) runJob(ctx context.Context, j job) {
	began := d.o.Now()
	w := &watcher{run: j.run, member: j.asker}
	answer, err := j.work(ctx, w)
	if errors.Is(err, gate.ErrShutdown) || errors.Is(err, errWaiting) {
		return
	}
	if err != nil && ctx.Err() != nil {
		answer.Outcome, answer.Text, err = agent.Stopped, "Stopped.", nil
	}
	if err != nil {
		d.o.Log.Error("run failed", "run", j.run, "err", err)
		answer.Outcome = agent.Failed
		answer.Text = "Something in SecureClaw itself failed: " + err.Error() + "."
	}
	reply := &wire.Reply{
		Run: string(j.run), Session: string(j.session), Outcome: string(answer.Outcome), Text: answer.Text, Model: answer.Model,
		Calls: w.steps(answer.Results), Usage: wire.Usage(answer.Usage), Seconds: d.o.Now().Sub(began).Seconds(),
	}
	if j.message != nil {
		reply.Message = j.message.ID
		if err := d.o.Store.Answered(context.WithoutCancel(ctx), j.message.Origin.Channel, j.message.ID, answer.Text); err != nil {
			d.o.Log.Error("reply not stored", "message", j.message.ID, "err", err)
		}
	}
	fit(reply)
	if j.asker == nil || !j.asker.send(wire.Down{Reply: reply}) {
		d.o.Board.all(wire.Down{Reply: reply})
	}
}
