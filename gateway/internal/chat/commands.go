package chat

import (
	"context"
	"fmt"
	"strings"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/gateway/internal/outbox"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// command is one word that a messenger's user can type behind a slash. No model reads it.
type command struct {
	name, about string
	// run does at once what must be done before the user's next message is looked at, and returns how
	// to word the answer, which may take a while. Both must be harmless when a restart repeats them.
	run func(d *Desk, ctx context.Context, msg claw.Message) words
	// open, in place of run, answers with a menu, or with a text when that is not empty. It changes nothing.
	open func(d *Desk, ctx context.Context, msg claw.Message) (text string, m outbox.Menu, err error)
}

// words is an answer to come, in Markdown.
type words func(ctx context.Context) (string, error)

func commands() []command {
	return []command{
		{name: "start", about: "say hello", run: says(startText)},
		{name: "help", about: "what you can say", run: later((*Desk).help)},
		{name: "new", about: "begin a new conversation", run: (*Desk).newSession},
		{name: "stop", about: "stop everything that runs for you here", run: (*Desk).stopAll},
		{name: "status", about: "how SecureClaw does", run: later((*Desk).statusText)},
		{name: "approvals", about: "what waits for your answer", run: later((*Desk).approvals)},
		{name: "audit", about: "the last entries of the audit log", run: later((*Desk).journal)},
		{name: "sessions", about: "your conversations, and going from one to another", open: opens("sessions")},
		{name: "memories", about: "what is remembered about you", open: (*Desk).memories},
		{name: "forget", about: "forget a topic", open: (*Desk).forget},
		{name: "heartbeats", about: "what is planned on a clock, on and off", open: opens("heartbeats")},
	}
}

// welcome is the table that a bridge registers; nobody needs to be told of start.
func welcome() []wire.Command {
	var out []wire.Command
	for _, c := range commands() {
		if c.name != "start" {
			out = append(out, wire.Command{Name: c.name, About: c.about})
		}
	}
	return out
}

// says is a command that changes nothing and answers the same to everybody.
func says(text string) func(*Desk, context.Context, claw.Message) words {
	return func(*Desk, context.Context, claw.Message) words {
		return func(context.Context) (string, error) { return text, nil }
	}
}

// later is a command that changes nothing.
func later(text func(*Desk, context.Context, claw.Message) (string, error)) func(*Desk, context.Context, claw.Message) words {
	return func(d *Desk, _ context.Context, msg claw.Message) words {
		return func(ctx context.Context) (string, error) { return text(d, ctx, msg) }
	}
}

// commandName is the first word without its slash and without the name of the account it is for.
func commandName(text string) string {
	word, _, _ := strings.Cut(strings.TrimPrefix(text, "/"), "@")
	word, _, _ = strings.Cut(word, " ")
	word, _, _ = strings.Cut(word, "\n")
	return strings.ToLower(word)
}

// carryOut does what a stored message is for that no model reads, and answers it.
func (d *Desk) carryOut(ctx context.Context, msg claw.Message) {
	if !d.users().Known(msg.Origin.Channel, msg.Origin.User) { // of an earlier life
		d.forbid(msg.Origin, "message", "no longer on the list of users")
		d.answer(ctx, msg, "", "")
		return
	}
	var text words
	var open func(context.Context) (string, outbox.Menu, error)
	switch {
	case msg.Stopped:
		text = func(context.Context) (string, error) { return "Stopped before it began.", nil }
	case msg.Denies != "":
		text = d.deny(ctx, msg)
	default:
		text = d.unknownCommand(msg)
		for _, c := range commands() {
			switch {
			case c.name != commandName(msg.Text):
			case c.open != nil:
				open = func(ctx context.Context) (string, outbox.Menu, error) { return c.open(d, ctx, msg) }
			default:
				text = c.run(d, ctx, msg)
			}
		}
	}
	d.wg.Go(func() {
		if err := d.o.Record(ctx, msg, ""); err != nil {
			d.o.Log.Error("command not recorded", "message", msg.ID, "err", err)
		}
		var answer string
		var m outbox.Menu
		var err error
		if open != nil {
			answer, m, err = open(ctx)
		} else {
			answer, err = text(ctx)
		}
		if ctx.Err() != nil {
			return // the next start carries it out again
		}
		if err != nil {
			d.o.Log.Error("command failed", "message", msg.ID, "err", err)
			answer = "That did not work: " + escape(err.Error()) + "."
		}
		if err == nil && answer == "" && m.Name != "" {
			d.answerMenu(ctx, msg, m)
			return
		}
		d.answer(ctx, msg, "", answer)
	})
}

func (d *Desk) unknownCommand(msg claw.Message) words {
	return func(context.Context) (string, error) {
		return "There is no command " + code("/"+printable(commandName(msg.Text), 32)) + ". /help says which there are.", nil
	}
}

// deny carries out a denial with a reason. It says something only when it came too late.
func (d *Desk) deny(ctx context.Context, msg claw.Message) words {
	who := addressee{msg.Origin.Channel, msg.Origin.User}
	a, err := d.o.Gate.Approval(ctx, msg.Denies)
	if err == nil && !d.users().mayAnswer(who.channel, who.user, a.Call.Origin) {
		d.forbid(msg.Origin, "decide "+msg.Denies, "not the one who was asked")
		return func(context.Context) (string, error) { return "This approval is not yours to answer.", nil }
	}
	if err == nil {
		a, err = d.o.Gate.Decide(ctx, a.ID, decision(who, msg.Name, false, cut(strings.TrimSpace(msg.Text), maxReason)))
	}
	return func(context.Context) (string, error) {
		if err == nil || d.didDeny(a, who, msg) {
			return "", nil
		}
		what := d.notDecided("", msg.Denies, a, err).What
		return escape(strings.ToUpper(what[:1]) + what[1:] + "."), nil
	}
}

// didDeny reports whether it was this very message that denied, before a restart.
func (d *Desk) didDeny(a gate.Approval, who addressee, msg claw.Message) bool {
	want := decision(who, msg.Name, false, cut(strings.TrimSpace(msg.Text), maxReason))
	return a.State == gate.Denied && a.Decision != nil && *a.Decision == want
}

// newSession moves the user to a fresh conversation. Its id follows from the message, so that
// a repetition finds the same one.
func (d *Desk) newSession(ctx context.Context, msg claw.Message) words {
	session := claw.SessionID(fmt.Sprintf("%s-%s-%s-%s", msg.Origin.Channel, msg.Origin.User, msg.At.UTC().Format("20060102"), digest(msg.ID, "")))
	_, err := d.o.Store.CreateSession(ctx, claw.Session{
		ID: session, Channel: msg.Origin.Channel, User: msg.Origin.User, Created: msg.At, Label: claw.Label{Integrity: claw.ByUser, Privacy: claw.Public},
	})
	if err == nil {
		err = d.o.Store.SetCurrentSession(ctx, msg.Origin.Channel, msg.Origin.User, session)
	}
	busy := d.busy(msg.Session)
	return func(context.Context) (string, error) {
		if busy {
			return newText + " What still runs in the last one goes on; /stop ends it.", err
		}
		return newText, err
	}
}

// busy reports whether a session has work.
func (d *Desk) busy(session claw.SessionID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lanes[session] != nil
}

// stopAll stops what runs for a user, at once. A stop that an earlier life accepted was carried out
// at the start, see [Desk.recover].
func (d *Desk) stopAll(ctx context.Context, msg claw.Message) words {
	if msg.At.Before(d.began) {
		return func(context.Context) (string, error) { return "Stopped.", nil }
	}
	h, err := d.stopUser(ctx, addressee{msg.Origin.Channel, msg.Origin.User})
	return func(ctx context.Context) (string, error) {
		h.wait(ctx)
		return h.words(), err
	}
}
