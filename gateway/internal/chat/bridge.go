package chat

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/gateway/internal/outbox"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// bridge is the one connected bridge of a messenger. It speaks for many users and says for whom;
// each time we look into our own list.
type bridge struct {
	d       *Desk
	m       *member
	channel claw.Channel
	feed    *outbox.Feed
	files   *uploads
}

// newBridge greets a bridge, tells it what goes on, and begins to feed it.
func (d *Desk) newBridge(ctx context.Context, m *member) (*bridge, error) {
	b := &bridge{d: d, m: m, channel: claw.Channel(m.role), files: newUploads(d.o.Inbox, d.o.Now)}
	m.send(wire.Down{Welcome: &wire.Welcome{Commands: welcome()}})
	if err := d.goesOn(ctx, m); err != nil {
		return nil, err
	}
	feed, err := d.o.Board.o.Outbox.Serve(ctx, b.channel, m.send)
	if err != nil {
		return nil, err
	}
	b.feed = feed
	d.setHealth(b.channel, wire.Health{State: wire.HealthOK})
	return b, nil
}

func (b *bridge) close() {
	b.m.drop()
	b.feed.Close()
	b.files.close()
	b.d.setHealth(b.channel, wire.Health{State: wire.HealthAway, Why: "no bridge is connected"})
}

func (b *bridge) handle(ctx context.Context, up wire.Up) {
	switch {
	case up.Message != nil:
		b.message(ctx, *up.Message)
	case up.File != nil:
		b.file(*up.File)
	case up.Decide != nil:
		b.decide(ctx, *up.Decide)
	case up.Ask != nil:
		b.ask(ctx, *up.Ask)
	case up.Tap != nil:
		b.tap(ctx, *up.Tap)
	case up.Sent != nil:
		b.feed.Sent(ctx, *up.Sent)
	case up.Unsent != nil:
		b.feed.Unsent(ctx, *up.Unsent)
	case up.Fetch != nil:
		b.feed.Fetch(ctx, *up.Fetch)
	case up.Bubble != nil:
		b.bubble(ctx, *up.Bubble)
	case up.Health != nil:
		b.d.setHealth(b.channel, *up.Health)
	case up.Stranger != nil:
		b.stranger(*up.Stranger)
	default:
		b.fault("", "frame", "a messenger's bridge may not send this")
	}
}

func (b *bridge) fault(ref, code, what string) {
	b.m.send(wire.Down{Fault: &wire.Fault{Ref: ref, Code: code, What: what}})
}

// message stores what a user said, says so, and does what it is for.
func (b *bridge) message(ctx context.Context, in wire.Message) {
	d := b.d
	who := addressee{b.channel, in.User}
	if !d.users().Known(b.channel, in.User) {
		d.forbid(claw.Origin{Channel: b.channel, User: in.User}, "message", "not on the list of users")
		b.m.send(wire.Down{Fault: &wire.Fault{Ref: in.ID, Code: "user", What: fmt.Sprintf("user %.32q is not on this gateway's list", in.User), Fix: "add the id to the list of allowed users and restart"}})
		return
	}
	if code, what := wrong(in); code != "" {
		b.fault(in.ID, code, what)
		return
	}
	msg, f := b.read(ctx, who, in)
	if f != nil {
		b.m.send(wire.Down{Fault: f})
		return
	}
	if forModel(msg) && !d.room(msg.Session) {
		b.fault(in.ID, "busy", fmt.Sprintf("%d messages wait in this session already; stop it or wait", maxWaiting))
		return
	}
	if forModel(msg) {
		d.foresee(ctx, msg)
	}
	fresh, err := d.accept(ctx, msg)
	if err != nil {
		b.fault(in.ID, "store", "the message could not be stored, so it will not run: "+err.Error())
		return
	}
	var run claw.RunID
	if forModel(msg) {
		run = runOf(msg)
	}
	b.m.send(wire.Down{Accepted: &wire.Accepted{Message: in.ID, Session: string(msg.Session), Run: string(run), Again: !fresh}})
	switch {
	case !fresh:
	case forModel(msg):
		d.enqueue(ctx, d.answerJob(msg, run, nil))
	default:
		d.carryOut(ctx, msg)
	}
}

// wrong says what a message lacks.
func wrong(in wire.Message) (code, what string) {
	size := len(in.Text)
	for _, f := range in.Foreign {
		size += len(f.Text)
	}
	switch {
	case in.ID == "" || len(in.ID) > 128:
		return "message", "a message needs an id of 1 to 128 bytes"
	case in.Session != "":
		return "message", "the gateway knows which conversation its user is in"
	case strings.TrimSpace(in.Text) == "" && len(in.Foreign)+len(in.Files)+len(in.Refused) == 0:
		return "message", "the message is empty"
	case size > wire.MaxMessage:
		return "message", fmt.Sprintf("the message has %d bytes, the limit is %d: send long text as a file", size, wire.MaxMessage)
	case len(in.Foreign) > 16 || len(in.Files) > 16 || len(in.Refused) > 16:
		return "message", "the message has too many parts"
	}
	return "", ""
}

// read turns a frame into a message: what it is for, and what the model reads of it.
func (b *bridge) read(ctx context.Context, who addressee, in wire.Message) (claw.Message, *wire.Fault) {
	d := b.d
	msg := claw.Message{
		ID: in.ID, Text: in.Text, Origin: claw.Origin{Channel: who.channel, User: who.user}, Label: claw.UserLabel(), At: d.o.Now(), Name: printable(in.Name, maxName),
	}
	fault := func(err error) (claw.Message, *wire.Fault) {
		return msg, &wire.Fault{Ref: in.ID, Code: "store", What: "the message could not be stored, so it will not run: " + err.Error()}
	}
	var err error
	if msg.Session, err = d.current(ctx, who); err != nil {
		return fault(err)
	}
	if text := strings.TrimSpace(in.Text); strings.HasPrefix(text, "/") {
		msg.Text, msg.Command = text, true
		if commandName(text) == "stop" {
			d.noteStop(who, in)
		}
		return msg, nil
	}
	msg.Stopped = d.stoppedBefore(who, in)
	if in.ReplyTo != "" {
		item, found, err := d.o.Store.ItemByRef(ctx, who.channel, who.user, in.ReplyTo)
		if err != nil {
			return fault(err)
		}
		if found && item.Kind == wire.SendWhy && strings.TrimSpace(in.Text) != "" { // what he forwards are not his words
			msg.Denies = item.Approval
			return msg, nil
		}
	}
	lines, err := b.files.lines(in)
	if err != nil {
		return msg, faultOf(in.ID, err)
	}
	var late time.Duration
	if old := msg.At.Sub(in.Sent); d.o.LateAfter > 0 && (in.Sent.IsZero() || old.Abs() > d.o.LateAfter) {
		// Of one whose time is missing or lies ahead the age is not known, and it counts as late.
		late = d.o.LateAfter + time.Second
		if !in.Sent.IsZero() {
			late = max(late, old.Truncate(time.Second))
		}
	}
	msg.Origin.Late = claw.Elapsed(late)
	msg.Label = foreignLabel(who.channel, in.Foreign)
	msg.Text = modelText(in, late, lines)
	return msg, nil
}

// current is the conversation that a user is in.
func (d *Desk) current(ctx context.Context, who addressee) (claw.SessionID, error) {
	session, found, err := d.o.Store.CurrentSession(ctx, who.channel, who.user)
	if err == nil && !found {
		session = claw.SessionID(string(who.channel) + "-" + who.user)
	}
	return session, err
}

func (b *bridge) file(in wire.FilePart) {
	if err := b.files.take(in); err != nil {
		b.m.send(wire.Down{Fault: faultOf(in.Message, err)})
		return
	}
	b.m.send(wire.Down{Answer: &wire.Answer{Ref: in.Message}})
}

// decide passes a user's answer to the gate, after we looked who it is and what he saw.
func (b *bridge) decide(ctx context.Context, in wire.Decide) {
	who := addressee{b.channel, in.User}
	a, f := b.d.asked(ctx, in.Ref, who, "decide", in.Approval, in.Digest)
	if f != nil {
		b.m.send(wire.Down{Fault: f})
		return
	}
	b.shown(ctx, who, a, in.Shown)
	a, err := b.d.o.Gate.Decide(ctx, a.ID, decision(who, in.Name, in.Allow, cut(in.Reason, maxReason)))
	if err != nil {
		b.m.send(wire.Down{Fault: b.d.notDecided(in.Ref, in.Approval, a, err)})
		return
	}
	b.m.send(wire.Down{Answer: &wire.Answer{Ref: in.Ref, Cards: []wire.Card{*Card(a)}}})
}

// maxReason is how much of a user's reason the model reads.
const maxReason = 4000

// shown remembers the message whose button was tapped, if nobody knew that it shows the card: a
// bridge may have died before it could say so. Such a card is edited from then on too.
func (b *bridge) shown(ctx context.Context, who addressee, a gate.Approval, ref string) {
	if ref == "" {
		return
	}
	_, known, err := b.d.o.Store.ItemByRef(ctx, who.channel, who.user, ref)
	if err == nil && !known {
		err = b.d.o.Store.AddShown(ctx, who.channel, who.user, "card:"+a.ID, ref)
	}
	if err != nil {
		b.d.o.Log.Warn("card not known", "approval", a.ID, "message", ref, "err", err)
	}
	b.d.o.Board.o.Outbox.Wake()
}

// ask puts the question "why not?" to a user who wants to deny with a reason. The call waits on.
func (b *bridge) ask(ctx context.Context, in wire.AskWhy) {
	who := addressee{b.channel, in.User}
	a, f := b.d.asked(ctx, in.Ref, who, "ask", in.Approval, in.Digest)
	if f == nil {
		b.shown(ctx, who, a, in.Shown)
		f = b.d.settled(in.Ref, a)
	}
	if f != nil {
		b.m.send(wire.Down{Fault: f})
		return
	}
	now := b.d.o.Now()
	item := outbox.Item{
		Channel: who.channel, User: who.user, Key: fmt.Sprintf("why:%s:%d", a.ID, now.UnixNano()), Kind: wire.SendWhy, Approval: a.ID, At: now,
	}
	if err := b.d.o.Board.o.Outbox.Put(ctx, item, nil); err != nil {
		b.fault(in.Ref, "store", "the question could not be stored: "+err.Error())
		return
	}
	b.m.send(wire.Down{Answer: &wire.Answer{Ref: in.Ref, Cards: []wire.Card{*Card(a)}}})
}

// bubble keeps the message that shows a run.
func (b *bridge) bubble(ctx context.Context, in wire.Bubble) {
	user, ok := b.d.userOf(b.channel, claw.RunID(in.Run))
	if !ok || in.Ref == "" {
		return // the run of an earlier life: its reply is sent anew
	}
	if err := b.d.o.Store.SetBubble(ctx, b.channel, user, claw.RunID(in.Run), in.Ref); err != nil {
		b.d.o.Log.Warn("message of a run not stored", "run", in.Run, "err", err)
	}
}

func (b *bridge) stranger(in wire.Stranger) {
	b.d.o.Note("stranger", map[string]any{
		"channel": b.channel, "user": printable(in.User, 32), "what": printable(in.What, 32), "told": in.Told, "before": in.Before,
	})
}
