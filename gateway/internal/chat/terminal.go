package chat

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/agent"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// terminal handles one frame of a terminal. The kernel says who is at its other end.
func (d *Desk) terminal(ctx context.Context, m *member, origin claw.Origin, up wire.Up) {
	switch {
	case up.Message != nil:
		d.message(ctx, m, origin, *up.Message)
	case up.Decide != nil:
		d.decide(ctx, m, origin, *up.Decide)
	case up.Stop != nil:
		d.stop(ctx, m, *up.Stop)
	case up.Query != nil:
		d.query(ctx, m, *up.Query)
	case up.Manage != nil:
		d.manage(ctx, m, origin, *up.Manage)
	case up == wire.Up{}:
		m.send(wire.Down{Fault: &wire.Fault{Code: "frame", What: "an empty frame"}})
	default:
		m.send(wire.Down{Fault: &wire.Fault{Code: "frame", What: "only a messenger's bridge may send this"}})
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
	case in.User != "" || in.Name != "" || !in.Sent.IsZero() || in.ReplyTo != "" || len(in.Foreign)+len(in.Files)+len(in.Refused) > 0:
		fault("message", "a terminal's message has an id, a session and a text, and nothing else")
		return
	case in.Text == "":
		fault("message", "the message is empty")
		return
	case len(in.Text) > wire.MaxMessage:
		fault("message", fmt.Sprintf("the message has %d bytes, the limit is %d: put long text into a file of a shared folder", len(in.Text), wire.MaxMessage))
		return
	}
	msg := claw.Message{ID: in.ID, Session: claw.SessionID(in.Session), Text: in.Text, Origin: origin, Label: claw.UserLabel(), At: d.o.Now()}
	if root, err := d.root(ctx, msg.Session); err != nil || root != msg.Session {
		fault("session", "this conversation is a part of a task, and only the task speaks in it")
		return
	}
	run := agent.NewRunID()
	if !d.room(msg.Session) {
		fault("busy", fmt.Sprintf("%d messages wait in this session already; stop it or wait", maxWaiting))
		return
	}
	d.foresee(ctx, msg)
	fresh, err := d.accept(ctx, msg)
	if err != nil {
		fault("store", "the message could not be stored, so it will not run: "+err.Error())
		return
	}
	m.send(wire.Down{Accepted: &wire.Accepted{Message: in.ID, Session: in.Session, Run: string(run), Again: !fresh}})
	if fresh {
		d.enqueue(ctx, d.answerJob(msg, run, m))
	}
}

// accept stores a message, and its session if that is new.
func (d *Desk) accept(ctx context.Context, msg claw.Message) (fresh bool, err error) {
	// Nothing was read yet, so the label is the best one; everything that comes in is joined to it.
	_, err = d.o.Store.CreateSession(ctx, claw.Session{
		ID: msg.Session, Channel: msg.Origin.Channel, User: msg.Origin.User, Created: msg.At, Label: claw.Label{Integrity: claw.ByUser, Privacy: claw.Public},
		Title: sessionTitle(msg),
	})
	if err != nil {
		return false, err
	}
	fresh, err = d.o.Store.AcceptMessage(ctx, msg)
	if err == nil {
		d.o.Step(StepAccepted)
	}
	return fresh, err
}

// sessionTitle is how a conversation that begins with a message is called, for people: its first words, if
// they are the user's.
func sessionTitle(msg claw.Message) string {
	first, _, _ := strings.Cut(strings.TrimSpace(msg.Text), "\n")
	if msg.Command || msg.Label.Integrity != claw.ByUser || strings.HasPrefix(first, "[") {
		return ""
	}
	return printable(first, maxTitle)
}

// maxTitle is the most characters of a title.
const maxTitle = 60

// answerJob is a run that answers a stored message. m is who asked, nil when nobody waits or when the
// answer goes to the outbox.
func (d *Desk) answerJob(msg claw.Message, run claw.RunID, m *member) job {
	return job{run: run, msg: msg, asker: m, work: func(ctx context.Context, w *watcher) (agent.Answer, error) {
		w.working()
		msg := d.aged(msg, d.o.Now())
		if err := d.o.Record(ctx, msg, run); err != nil && ctx.Err() != nil {
			return agent.Answer{}, err // stopped, not broken
		} else if err != nil {
			return agent.Answer{Outcome: agent.Failed, Text: "Nothing was done: the audit log cannot be written (" + err.Error() + "). To fix it: free disk space or repair the state folder, then restart SecureClaw."}, nil
		}
		return d.o.Agent.Answer(ctx, msg, run, w)
	}}
}

// aged is a message whose run began at a moment: one that waited too long for it, behind a question or while we
// were not running, counts as late too.
func (d *Desk) aged(msg claw.Message, began time.Time) claw.Message {
	waited := began.Sub(msg.At)
	if isMessenger(msg.Origin.Channel) && d.o.LateAfter > 0 && waited > d.o.LateAfter {
		msg.Origin.Late += claw.Elapsed(waited.Truncate(time.Second))
	}
	return msg
}

func (d *Desk) query(ctx context.Context, m *member, in wire.Query) {
	fault := func(code, what string) {
		m.send(wire.Down{Fault: &wire.Fault{Ref: in.Ref, Code: code, What: what}})
	}
	answer := &wire.Answer{Ref: in.Ref}
	switch in.What {
	case wire.QueryStatus:
		// Asking the runner can take a while; the connection goes on reading meanwhile.
		d.wg.Go(func() {
			status := d.status(ctx)
			answer.Status = &status
			m.send(wire.Down{Answer: answer})
		})
		return
	case wire.QueryApprovals:
		pending, err := d.o.Gate.Pending(ctx)
		if err != nil {
			fault("store", err.Error())
			return
		}
		answer.Cards = d.o.Board.fitCards(pending)
	case wire.QueryApproval:
		approval, err := d.o.Gate.Approval(ctx, in.ID)
		if err != nil {
			fault("unknown", fmt.Sprintf("there is no approval %q", in.ID))
			return
		}
		answer.Cards = []wire.Card{*d.o.Board.card(approval)}
	default:
		fault("query", fmt.Sprintf("unknown query %q", in.What))
		return
	}
	m.send(wire.Down{Answer: answer})
}

// status is what the gateway knows, and who is connected.
func (d *Desk) status(ctx context.Context) wire.GatewayStatus {
	status := d.o.Status(ctx)
	status.Channels, status.Messengers = d.o.Board.roles(), d.messengers()
	return status
}
