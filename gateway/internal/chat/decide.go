package chat

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// decide passes a terminal's answer to the gate at once: it must not queue behind the run that waits for it.
func (d *Desk) decide(ctx context.Context, m *member, origin claw.Origin, in wire.Decide) {
	if in.User != "" || in.Name != "" || in.Shown != "" || in.Digest != "" {
		m.send(wire.Down{Fault: &wire.Fault{Ref: in.Ref, Code: "frame", What: "a terminal's decision names no user: the kernel says who it is"}})
		return
	}
	approval, err := d.o.Gate.Decide(ctx, in.Approval, gate.Decision{
		Allow: in.Allow, Reason: in.Reason, By: "uid " + origin.User, Channel: string(origin.Channel),
	})
	if err != nil {
		f := d.notDecided(in.Ref, in.Approval, approval, err)
		if f.Code == "decided" {
			f.What = fmt.Sprintf("approval %s was already decided: %s", approval.Code, d.verdict(approval))
		}
		m.send(wire.Down{Fault: f})
		return
	}
	m.send(wire.Down{Answer: &wire.Answer{Ref: in.Ref, Cards: []wire.Card{*Card(approval)}}})
}

// notDecided says why a decision came to nothing.
func (d *Desk) notDecided(ref, id string, a gate.Approval, err error) *wire.Fault {
	f := &wire.Fault{Ref: ref}
	switch {
	case errors.Is(err, gate.ErrUnknown):
		f.Code, f.What = "unknown", fmt.Sprintf("there is no approval %.40q", id)
	case errors.Is(err, gate.ErrDecided):
		f.Code, f.What = "decided", "already "+d.verdict(a)
	case errors.Is(err, gate.ErrExpired):
		f.Code, f.What = "expired", fmt.Sprintf("approval %s expired at %s, so it counts as denied", a.Code, d.clock(a.Deadline))
	default:
		f.Code, f.What = "store", "the decision could not be stored, so nothing was decided: "+err.Error()
	}
	return f
}

// verdict says how a question was settled, by whom and when.
func (d *Desk) verdict(a gate.Approval) string {
	if a.Decision == nil {
		return fmt.Sprintf("%s at %s", a.State, d.clock(a.Decided))
	}
	word := "denied"
	if a.Decision.Allow {
		word = "approved"
	}
	by := a.Decision.By
	if a.Decision.Name != "" {
		by = a.Decision.Name
	}
	return fmt.Sprintf("%s by %s at %s (%s)", word, by, d.clock(a.Decided), a.Decision.Channel)
}

// clock is a time of day in the user's zone.
func (d *Desk) clock(t time.Time) string { return t.In(d.o.Now().Location()).Format("15:04:05") }

// asked finds the question that a user of a messenger answers, and refuses whoever may not: somebody who is not
// on our own list, or who is not the one that was asked, or whose button shows another call.
func (d *Desk) asked(ctx context.Context, ref string, who addressee, what, id, shown string) (gate.Approval, *wire.Fault) {
	refuse := func(text string) (gate.Approval, *wire.Fault) {
		d.forbid(claw.Origin{Channel: who.channel, User: who.user}, what+" "+printable(id, 40), text)
		return gate.Approval{}, &wire.Fault{Ref: ref, Code: "forbidden", What: text}
	}
	if !d.users().Known(who.channel, who.user) {
		return refuse("you are not on the list of users")
	}
	a, err := d.o.Gate.Approval(ctx, id)
	if err != nil {
		return gate.Approval{}, d.notDecided(ref, id, a, err)
	}
	if !d.users().mayAnswer(who.channel, who.user, a.Call.Origin) {
		return refuse("this approval is not yours to answer")
	}
	if len(shown) != shownDigest || len(a.Digest) < shownDigest || shown != a.Digest[:shownDigest] {
		return refuse("this button does not belong to what is asked now")
	}
	return a, nil
}

// settled is why a question takes no more answers, nil while it does.
func (d *Desk) settled(ref string, a gate.Approval) *wire.Fault {
	switch {
	case a.State == gate.Expired || a.State == gate.Pending && !d.o.Now().Before(a.Deadline):
		return d.notDecided(ref, a.ID, a, gate.ErrExpired)
	case a.State != gate.Pending:
		return d.notDecided(ref, a.ID, a, gate.ErrDecided)
	}
	return nil
}

// shownDigest is how many hex digits of the digest are on a button: 64 bits of what was shown.
const shownDigest = 16

// decision is the answer of a messenger's user.
func decision(who addressee, name string, allow bool, reason string) gate.Decision {
	return gate.Decision{
		Allow: allow, Reason: reason, By: who.user, Name: printable(name, maxName), Channel: string(who.channel),
	}
}

// maxName is how many characters of a user's own name are kept.
const maxName = 64

// forbid writes a refusal into the audit log.
func (d *Desk) forbid(origin claw.Origin, what, why string) {
	d.o.Log.Warn("refused", "channel", origin.Channel, "user", printable(origin.User, 32), "what", what, "why", why)
	d.o.Note("forbidden", map[string]any{"channel": origin.Channel, "user": printable(origin.User, 32), "what": what, "why": why})
}
