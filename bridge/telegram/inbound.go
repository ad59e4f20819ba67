package telegram

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/secureclaw/secureclaw/internal/wire"
)

// mine reports whether a message is for the gateway: written by a person on the allow-list in his own private chat
// with the bot. What is not is dealt with here.
func (b *bridge) mine(ctx context.Context, m *message) bool {
	if m.Chat.Type != "private" {
		b.group(m)
		return false
	}
	if m.From == nil || m.From.IsBot || m.Chat.ID != m.From.ID {
		return false
	}
	if !b.allowed(m.From.ID) {
		b.stranger(ctx, m)
		return false
	}
	return m.words() != "" || m.attached() != nil || m.unreadable() != ""
}

// deliver hands one message to the gateway until it is stored. Only then is the update done.
func (b *bridge) deliver(ctx context.Context, update int64, m *message, finish func()) {
	b.o.Step("bridge.update")
	out := b.translate(update, m)
	var with *session // the connection on which its files are
	wait, lost := time.Duration(0), 0
	for {
		s, err := b.link.session(ctx)
		if err != nil {
			return
		}
		var d wire.Down
		if with != s {
			err = b.files(ctx, s, m, &out)
		}
		if err == nil {
			with = s
			d, err = s.ask(ctx, b.t.ask, out.ID, wire.Up{Message: &out})
		}
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errAway):
			continue // on the next connection
		case errors.Is(err, wire.ErrFrame):
			b.o.Log.Error("a message does not fit in a frame", "message", out.ID, "err", err)
			b.say(ctx, m.From.ID, "I could not take this message: it is too long.")
			finish()
			return
		case err != nil:
			b.o.Log.Warn("a message is not taken yet", "message", out.ID, "err", err)
		case d.Accepted != nil:
			b.o.Step("bridge.accepted")
			finish()
			return
		case d.Fault != nil && d.Fault.Code == "message":
			b.o.Log.Warn("the gateway cannot take a message", "message", out.ID, "what", d.Fault.What)
			b.say(ctx, m.From.ID, "I could not take this message: "+cut(d.Fault.What, 300)+".")
			finish()
			return
		case d.Fault != nil && d.Fault.Code == "busy":
			// Not kept for later: Telegram shows the hundred oldest updates, and behind as many messages that wait
			// nobody's taps, stops and questions would be seen any more.
			b.o.Log.Warn("a message is not taken", "message", out.ID, "what", d.Fault.What)
			b.say(ctx, m.From.ID, "Too many of your messages wait, so I did not take this one. Send it again later, or /stop.")
			finish()
			return
		case d.Fault != nil && d.Fault.Code == "user":
			// The gateway's list is the one that counts. Asking again would hold up everybody.
			b.o.Log.Error("the gateway does not know this user", "user", m.From.ID, "what", d.Fault.What)
			finish()
			return
		case d.Fault != nil && d.Fault.Code == "file" && lost < 3:
			with = nil // the gateway does not have the file any more: once more, from its start
			lost++
		case d.Fault != nil && d.Fault.Code == "file":
			out.Files, out.Refused = nil, append(out.Refused, "The file was not taken: "+cut(d.Fault.What, 300)+".")
		case d.Fault != nil:
			b.o.Log.Warn("a message is not taken yet", "message", out.ID, "code", d.Fault.Code, "what", d.Fault.What)
		}
		wait = grow(wait, b.t.backoff/4, 10*b.t.backoff)
		sleep(ctx, jitter(wait))
	}
}

// lastSecond is the end of the year 9999: a later time has no form in JSON (RFC 3339).
const lastSecond = 253402300799

// translate says in the gateway's words what came, but for its files.
func (b *bridge) translate(update int64, m *message) wire.Message {
	out := wire.Message{
		ID: messageID(update, m.Chat.ID, m.ID), User: fmt.Sprint(m.From.ID), Name: m.From.name(), Seq: m.ID,
	}
	if m.Date > 0 && m.Date <= lastSecond {
		out.Sent = time.Unix(m.Date, 0).UTC() // else its age is not known
	}
	foreign := func(how, from, text string) {
		if text != "" {
			out.Foreign = append(out.Foreign, wire.Foreign{How: how, From: from, Text: text})
		}
	}
	switch {
	case m.forwarded():
		// Nobody can write a caption of his own on what he forwards: all of it is somebody else's.
		foreign("forwarded", m.Forward.from(), m.words())
	case m.ViaBot != nil:
		// The user chose it, but another bot wrote it.
		foreign("forwarded", "the bot @"+cut(m.ViaBot.Username, 64), m.words())
	default:
		out.Text = m.words()
	}
	quote := ""
	if m.Quote != nil {
		quote = m.Quote.Text
	}
	if r := m.ReplyTo; r != nil {
		from := r.From.name()
		if r.forwarded() {
			from = r.Forward.from()
		}
		if r.From != nil && r.From.ID == b.self().ID {
			out.ReplyTo, from = ref(r.ID), "this assistant"
		}
		if quote == "" {
			quote = r.words()
		}
		foreign("quoted", from, quote)
	} else if m.External != nil {
		foreign("quoted", m.External.Origin.from(), quote)
	} else {
		foreign("quoted", "somebody", quote)
	}
	if why := m.unreadable(); why != "" {
		out.Refused = append(out.Refused, why)
	}
	return out
}

// unreadable says of what we cannot hand on what it is; it is empty for everything else.
func (m *message) unreadable() string {
	for _, k := range []struct {
		there present
		what  string
	}{
		{m.Sticker, "A sticker"}, {m.Venue, "A place"}, {m.Location, "A location"}, {m.Contact, "A contact"},
		{m.Poll, "A poll"}, {m.Dice, "A dice"}, {m.Game, "A game"}, {m.Story, "A story"}, {m.PaidMedia, "Paid media"},
		{m.Checklist, "A checklist"}, {m.Invoice, "An invoice"}, {m.Giveaway, "A giveaway"}, {m.Gift, "A gift"},
	} {
		if k.there {
			return k.what + " cannot be read here."
		}
	}
	return ""
}

// say sends one plain sentence of the bridge's own, once, as well as it can.
func (b *bridge) say(ctx context.Context, chat int64, text string) {
	if b.pace.wait(ctx, chat) != nil {
		return
	}
	err := b.api.call(ctx, b.t.call, "sendMessage", textParams{ChatID: chat, Text: text, Preview: linkPreview{true}}, nil)
	if err != nil && ctx.Err() == nil {
		b.o.Log.Warn("a sentence was not sent", "err", err)
	}
}
