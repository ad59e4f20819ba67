package chat

import (
	"context"
	"errors"
	"fmt"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// decide passes an answer to the gate at once: it must not queue behind the run that waits for it.
func (d *Desk) decide(ctx context.Context, m *member, origin claw.Origin, in wire.Decide) {
	approval, err := d.o.Gate.Decide(ctx, in.Approval, gate.Decision{
		Allow: in.Allow, Reason: in.Reason, By: "uid " + origin.User, Channel: string(origin.Channel),
	})
	fault := func(code, what string) {
		m.send(wire.Down{Fault: &wire.Fault{Ref: in.Ref, Code: code, What: what}})
	}
	switch {
	case errors.Is(err, gate.ErrUnknown):
		fault("unknown", fmt.Sprintf("there is no approval %q", in.Approval))
	case errors.Is(err, gate.ErrDecided):
		fault("decided", fmt.Sprintf("approval %s was already decided: %s", approval.Code, verdictOf(approval)))
	case errors.Is(err, gate.ErrExpired):
		fault("expired", fmt.Sprintf("approval %s expired at %s, so it counts as denied", approval.Code, approval.Deadline.Local().Format("15:04:05")))
	case err != nil:
		fault("store", "the decision could not be stored, so nothing was decided: "+err.Error())
	default:
		m.send(wire.Down{Answer: &wire.Answer{Ref: in.Ref, Cards: []wire.Card{*card(approval)}}})
	}
}

// verdictOf says how a question was settled and by whom.
func verdictOf(a gate.Approval) string {
	if a.Decision == nil {
		return string(a.State)
	}
	word := "denied"
	if a.Decision.Allow {
		word = "allowed"
	}
	return fmt.Sprintf("%s by %s (%s)", word, a.Decision.By, a.Decision.Channel)
}

// stop cancels what runs and what waits in a session, and withdraws its questions.
func (d *Desk) stop(ctx context.Context, m *member, in wire.Stop) {
	session := claw.SessionID(in.Session)
	d.mu.Lock()
	var dropped []job
	if l := d.lanes[session]; l != nil {
		dropped, l.waiting = l.waiting, nil
		if l.cancel != nil {
			l.cancel()
		}
	}
	d.mu.Unlock()
	for _, j := range dropped {
		if j.message == nil {
			continue
		}
		reply := &wire.Reply{Run: string(j.run), Message: j.message.ID, Session: in.Session, Outcome: wire.ReplyStopped, Text: "Stopped before it began."}
		if err := d.o.Store.Answered(ctx, j.message.Origin.Channel, j.message.ID, reply.Text); err != nil {
			d.o.Log.Error("stop not stored", "message", j.message.ID, "err", err)
		}
		d.o.Board.all(wire.Down{Reply: reply})
	}
	err := d.o.Gate.Cancel(ctx, session)
	if err == nil {
		err = d.abandon(ctx, session)
	}
	if err != nil {
		m.send(wire.Down{Fault: &wire.Fault{Ref: in.Ref, Code: "store", What: "open questions could not be withdrawn: " + err.Error()}})
		return
	}
	m.send(wire.Down{Answer: &wire.Answer{Ref: in.Ref}})
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
			status := d.o.Status(ctx)
			status.Channels = d.o.Board.roles()
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
		answer.Cards = fitCards(pending)
	case wire.QueryApproval:
		approval, err := d.o.Gate.Approval(ctx, in.ID)
		if err != nil {
			fault("unknown", fmt.Sprintf("there is no approval %q", in.ID))
			return
		}
		answer.Cards = []wire.Card{*card(approval)}
	default:
		fault("query", fmt.Sprintf("unknown query %q", in.What))
		return
	}
	m.send(wire.Down{Answer: answer})
}
