package chat

import (
	"context"
	"fmt"
	"slices"

	"github.com/secureclaw/secureclaw/gateway/internal/agent"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/outbox"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// Beat takes the message of a heartbeat. When it returns without an error the message is stored and
// will be answered, even after a crash; the same message again changes nothing, and is claw.ErrBeaten
// when it was answered.
func (d *Desk) Beat(ctx context.Context, msg claw.Message) error {
	fresh, err := d.accept(ctx, msg)
	if err != nil {
		return err
	}
	if !fresh {
		if open, err := d.isOpen(ctx, msg); err != nil {
			return err
		} else if !open {
			return claw.ErrBeaten
		}
	}
	// The desk's own loop begins it, whether or not it goes yet: a run belongs to the life of the desk,
	// and not to that of the clock. One that is not new is begun too: the store may have kept it and
	// failed to say so. What is under way already is not begun twice.
	d.o.Board.resume(msg.Session)
	return nil
}

// beaten stores the answer to a heartbeat together with the item that shows it to the owner, if there
// is anything to show. The clock is told before: should we die between the two, the message is answered again.
func (d *Desk) beaten(life context.Context, msg claw.Message, answer agent.Answer) {
	tell := answer.Text
	if d.o.Clock != nil && !d.persist(life, "the end of "+msg.ID, func(ctx context.Context) (err error) {
		tell, err = d.o.Clock.Ended(ctx, msg, string(answer.Outcome), answer.Text)
		return err
	}) {
		return
	}
	// The last owner's item is stored with the answer, those of other messengers before it: their keys
	// make a repetition harmless.
	var items []outbox.Item
	if tell != "" {
		for _, to := range d.users().owners() {
			items = append(items, to.text("reply:"+msg.ID, cut(fmt.Sprintf("**%s**\n\n%s", escape(msg.Origin.User), tell), maxReplyText), d.o.Now()))
		}
	}
	var last *outbox.Item
	if n := len(items); n > 0 {
		last, items = &items[n-1], items[:n-1]
	}
	first := false
	if !d.persist(life, "the answer to "+msg.ID, func(ctx context.Context) (err error) {
		for item := range slices.Values(items) {
			if err := d.o.Board.o.Outbox.Put(ctx, item, nil); err != nil {
				return err
			}
		}
		first, err = d.o.Store.AnsweredWith(ctx, msg.Origin.Channel, msg.ID, answer.Text, last, nil)
		return err
	}) {
		return
	}
	d.o.Step(StepAnswered)
	d.forgetStopped(msg)
	d.o.Board.o.Outbox.Wake()
	if first && tell != "" {
		d.o.Board.all(wire.Down{Notice: &wire.Notice{Text: cut(msg.Origin.User+": "+tell, maxReplyText)}})
	}
}
