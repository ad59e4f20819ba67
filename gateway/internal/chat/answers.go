package chat

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
)

// This file words the answers to commands: Markdown, the same for the same state.

const (
	startText = "Hello. I am SecureClaw, your assistant, and I run on your own computer.\n\n" +
		"Write what you want, or send a file. Before I do something that your rules want you to see first, I ask you here. /help says what else you can type."
	newText = "This is a new conversation. The earlier ones are kept; /sessions lists them."
)

const (
	maxListed  = 20 // approvals in one answer
	maxJournal = 10 // entries of the audit log
)

// list is a title and one line for each thing.
func list(title string, lines []string) string {
	return title + "\n\n- " + strings.Join(lines, "\n- ")
}

func (d *Desk) help(context.Context, claw.Message) (string, error) {
	var lines []string
	for _, c := range welcome() {
		lines = append(lines, "/"+c.Name+" – "+c.About)
	}
	return "Write what you want in your own words, or send a file or a photo. You can also type:\n\n- " + strings.Join(lines, "\n- "), nil
}

func (d *Desk) statusText(ctx context.Context, _ claw.Message) (string, error) {
	s := d.status(ctx)
	lines := []string{
		"Gateway: ok, version " + escape(s.Version) + ", since " + d.day(s.Started),
		"Model: " + escape(s.Model),
		"Runner: " + escape(s.Runner),
		"Audit log: " + escape(s.Audit),
		"Now: " + count(s.Running, "conversation") + " at work, " + count(s.Pending, "call") + " waiting for an answer",
	}
	if s.Engine != "" {
		lines[2] += " (" + escape(s.Engine) + ")"
	}
	if s.Fix != "" {
		lines[2] += ". To fix it: " + escape(s.Fix)
	}
	if s.Browsing != "" {
		lines = append(lines, "Browsing: "+escape(s.Browsing))
	}
	for _, h := range s.Messengers {
		line := escape(title(h.Messenger)) + ": " + escape(h.State)
		if h.Account != "" {
			line += " as " + escape(h.Account)
		}
		if h.Why != "" {
			line += " – " + escape(h.Why)
		}
		lines = append(lines, line)
	}
	for _, w := range s.Warnings {
		lines = append(lines, "Warning: "+escape(w))
	}
	return list("**Status**", lines), nil
}

// approvals lists what waits for this user, and shows the cards again at the end of the chat.
func (d *Desk) approvals(ctx context.Context, msg claw.Message) (string, error) {
	pending, err := d.o.Gate.Pending(ctx)
	if err != nil {
		return "", err
	}
	who := addressee{msg.Origin.Channel, msg.Origin.User}
	pending = slices.DeleteFunc(pending, func(a gate.Approval) bool { return !d.users().mayAnswer(who.channel, who.user, a.Call.Origin) })
	if len(pending) == 0 {
		return "Nothing waits for your answer.", nil
	}
	title := count(len(pending), "call") + " waiting for your answer:"
	if len(pending) > maxListed {
		title = fmt.Sprintf("%d calls waiting for your answer, the first %d:", len(pending), maxListed)
		pending = pending[:maxListed]
	}
	var lines []string
	for _, a := range pending {
		lines = append(lines, fmt.Sprintf("%s %s, expires %s", code(a.Code), code(a.Action.Tool), d.clock(a.Deadline)))
		for _, item := range d.o.Board.cards(a, "card:"+a.ID+":again:"+msg.ID) {
			if item.Channel != who.channel || item.User != who.user {
				continue
			}
			if err := d.o.Board.o.Outbox.Put(ctx, item, nil); err != nil {
				return "", err
			}
		}
	}
	return list(title, lines), nil
}

// journal is the owner's: the log holds what everybody did.
func (d *Desk) journal(ctx context.Context, msg claw.Message) (string, error) {
	if who := (addressee{msg.Origin.Channel, msg.Origin.User}); !slices.Contains(d.users().owners(), who) {
		return "The audit log holds what everybody did, so only its owner can read it here.", nil
	}
	if d.o.Journal == nil {
		return "The audit log cannot be read from here.", nil
	}
	entries, state, err := d.o.Journal(ctx, maxJournal)
	if err != nil {
		return "", err
	}
	var lines []string
	for _, e := range entries {
		lines = append(lines, escape(e))
	}
	if len(lines) == 0 {
		lines = []string{"nothing yet"}
	}
	return list("**The last entries of the audit log**", lines) + "\n\n" + escape(state), nil
}

// day is a time in the user's zone.
func (d *Desk) day(t time.Time) string {
	return t.In(d.o.Now().Location()).Format("2006-01-02 15:04")
}

func title(name string) string {
	if name == "" {
		return ""
	}
	return strings.ToUpper(name[:1]) + name[1:]
}
