package chat

import (
	"context"
	"fmt"
	"slices"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/outbox"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// maxSessions is how many conversations one can page through.
const maxSessions = 200

func opens(name string) func(*Desk, context.Context, claw.Message) (string, outbox.Menu, error) {
	return func(*Desk, context.Context, claw.Message) (string, outbox.Menu, error) {
		m, err := newMenu(name, place{})
		return "", m, err
	}
}

const noHeartbeats = "No heartbeat is configured. One is written under heartbeats in config/secureclaw.yaml."

// showHeartbeats says what the clock says, whatever a button did.
func (d *Desk) showHeartbeats(ctx context.Context, who addressee, at place) (page, error) {
	if d.o.Clock == nil {
		return page{text: noHeartbeats}, nil
	}
	found, err := d.o.Clock.Heartbeats(ctx)
	if err != nil {
		return page{}, err
	}
	if len(found) == 0 {
		return page{text: noHeartbeats}, nil
	}
	from, to, nav := counted(len(found), at.Page, perPage)
	var lines []string
	var buttons []wire.Button
	for _, h := range found[from:to] {
		lines = append(lines, d.heartbeatLine(h))
		label, verb := "⏸ Turn off ", "off:"
		if !h.Enabled {
			label, verb = "▶ Turn on ", "on:"
		}
		buttons = append(buttons, button(label+printable(h.Name, 18), verb+tag(h.Name)))
	}
	out := page{text: list("**Heartbeats**", lines)}
	if d.owns(who) {
		out.rows = inRows(buttons, 2)
	}
	out.rows = append(out.rows, nav...)
	return out, nil
}

func (d *Desk) heartbeatLine(h claw.Heartbeat) string {
	state := "off"
	if h.Enabled {
		state = "on"
	}
	if h.Toggled {
		state += " (switched by you)"
	}
	line := fmt.Sprintf("**%s** is %s: %s %s", short(h.Name, 40), state, code(h.Schedule), short(h.Timezone, 40))
	if h.Enabled && !h.Next.IsZero() {
		line += ", next " + d.day(h.Next)
	}
	if len(h.Last) == 0 {
		return line + ", never ran"
	}
	last := h.Last[0]
	at := last.Due
	if at.IsZero() {
		at = last.Started
	}
	line += ", last " + d.day(at) + ": "
	if last.Outcome == "" {
		return line + "running"
	}
	line += short(last.Outcome, 20)
	if last.Silent {
		line += ", nothing to tell"
	}
	if last.Note != "" {
		line += " (" + short(last.Note, 80) + ")"
	}
	return line
}

// tapHeartbeats turns one on or off, and pages.
func (d *Desk) tapHeartbeats(ctx context.Context, who addressee, at place, verb, arg string) (place, string, error) {
	if verb == "p" {
		n, err := number(arg, maxPage)
		at.Page = int(n)
		return at, "", err
	}
	if verb != "on" && verb != "off" || !isTag(arg) {
		return at, "", errNoButton
	}
	if !d.owns(who) {
		return at, "", errNoButton // there was none
	}
	if d.o.Clock == nil {
		return at, noHeartbeats, nil
	}
	found, err := d.o.Clock.Heartbeats(ctx)
	if err != nil {
		return at, "", err
	}
	i := slices.IndexFunc(found, func(h claw.Heartbeat) bool { return tag(h.Name) == arg })
	if i < 0 {
		return at, "That heartbeat is not configured any more.", nil
	}
	name := printable(found[i].Name, 60)
	if found[i].Enabled != (verb == "on") {
		if err := d.recordTap(ctx, who, "turn "+verb+" the heartbeat "+name); err != nil {
			return at, "", err
		}
		if err := d.o.Clock.Toggle(ctx, found[i].Name, verb == "on"); err != nil {
			return at, "", err
		}
	}
	return at, name + " is " + verb + ".", nil
}

// owns reports whether somebody is the owner: heartbeats speak in his name.
func (d *Desk) owns(who addressee) bool { return slices.Contains(d.users().owners(), who) }

func (d *Desk) showSessions(ctx context.Context, who addressee, at place) (page, error) {
	found, err := d.conversations(ctx, who)
	if err != nil {
		return page{}, err
	}
	current, err := d.current(ctx, who)
	if err != nil {
		return page{}, err
	}
	if len(found) == 0 {
		return page{text: "There is no conversation yet."}, nil
	}
	from, to, nav := counted(len(found), at.Page, perPage)
	var lines []string
	var buttons []wire.Button
	for _, s := range found[from:to] {
		line := fmt.Sprintf("%s: %s, since %s", code(string(s.ID)), count(s.Turns, "turn"), d.day(s.Created))
		if s.Title != "" {
			line = fmt.Sprintf("**%s**: %s, since %s", short(s.Title, 60), count(s.Turns, "turn"), d.day(s.Created))
		}
		if s.ID == current {
			line += " ← you are here"
		} else {
			buttons = append(buttons, button("→ "+sessionName(s), "s:"+tag(string(s.ID))))
		}
		if read := sources(s.Label, 3); read != "" {
			mark := ""
			if s.Label.Integrity == claw.External {
				mark = "⚠ "
			}
			line += ". " + mark + "It has read: " + read
		}
		lines = append(lines, line)
	}
	return page{list("**Your conversations**", lines) + "\n\n/new begins another one.", append(inRows(buttons, 2), nav...)}, nil
}

// sessionName is what a button calls a conversation.
func sessionName(s claw.Session) string {
	if name := printable(s.Title, 26); name != "" {
		return name
	}
	id := string(s.ID)
	return id[max(0, len(id)-26):]
}

// conversations are those of a user, the last used first, without those that work for another.
func (d *Desk) conversations(ctx context.Context, who addressee) ([]claw.Session, error) {
	found, err := d.o.Store.SessionsOf(ctx, who.channel, who.user, maxSessions)
	return slices.DeleteFunc(found, func(s claw.Session) bool { return s.Parent != "" }), err
}

// tapSessions goes to a conversation, and pages.
func (d *Desk) tapSessions(ctx context.Context, who addressee, at place, verb, arg string) (place, string, error) {
	switch {
	case verb == "p":
		n, err := number(arg, maxPage)
		at.Page = int(n)
		return at, "", err
	case verb != "s" || !isTag(arg):
		return at, "", errNoButton
	}
	found, err := d.conversations(ctx, who)
	if err != nil {
		return at, "", err
	}
	i := slices.IndexFunc(found, func(s claw.Session) bool { return tag(string(s.ID)) == arg })
	if i < 0 {
		return at, "That conversation is not there any more.", nil
	}
	if err := d.o.Store.SetCurrentSession(ctx, who.channel, who.user, found[i].ID); err != nil {
		return at, "", err
	}
	return at, "You are in " + sessionName(found[i]) + " now.", nil
}
