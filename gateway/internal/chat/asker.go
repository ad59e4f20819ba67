package chat

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/gateway/internal/outbox"
	"github.com/secureclaw/secureclaw/internal/wire"
)

var _ gate.Asker = (*Board)(nil)

// Asked shows a question.
func (b *Board) Asked(a gate.Approval) {
	b.all(wire.Down{Card: b.card(a)})
	b.put(b.cards(a, "card:"+a.ID)...)
}

// Decided shows how a question was settled, or how its call ended. The outbox finds by itself which
// messages show an older state.
func (b *Board) Decided(a gate.Approval) {
	b.all(wire.Down{Settled: b.card(a)})
	b.o.Outbox.Wake()
}

// card is an approval for terminals. Whoever looks at a conversation sees what its iterations ask.
func (b *Board) card(a gate.Approval) *wire.Card {
	c := Card(a)
	c.Session = string(b.root(a.Call.Session))
	return c
}

// root is the conversation that a session works for.
func (b *Board) root(session claw.SessionID) claw.SessionID {
	if b.o.Root == nil {
		return session
	}
	return b.o.Root(session)
}

// cards are the items that show an approval to those who are asked.
func (b *Board) cards(a gate.Approval, key string) []outbox.Item {
	var items []outbox.Item
	for _, to := range b.o.Users.addressees(a.Call.Origin) {
		items = append(items, outbox.Item{Channel: to.channel, User: to.user, Key: key, Kind: wire.SendCard, Approval: a.ID, At: b.o.Now()})
	}
	return items
}

// Notify tells what ran without being asked about.
func (b *Board) Notify(call gate.Call, action claw.Action, result claw.ToolResult, rule string) {
	text := noticeText(action, result, rule)
	b.all(wire.Down{Notice: &wire.Notice{Session: string(b.root(call.Session)), Text: text}})
	if isMessenger(call.Origin.Channel) || call.Origin.Channel == claw.HeartbeatChannel {
		for _, to := range b.o.Users.addressees(call.Origin) {
			b.putNow(to.text("notice:"+string(call.ID), escape(text), b.o.Now()))
		}
	}
}

// Resumed keeps in mind that a call of a conversation ended although its run is gone, for the desk
// to go on with. The result itself is in the gate's store.
func (b *Board) Resumed(a gate.Approval, _ claw.ToolResult) { b.resume(a.Call.Session) }

// resume lets the desk go on with a conversation that has an unanswered message.
func (b *Board) resume(session claw.SessionID) {
	b.mu.Lock()
	b.resumed = append(b.resumed, session)
	b.mu.Unlock()
	signal(b.wake)
}

func (b *Board) takeResumed() []claw.SessionID {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.resumed
	b.resumed = nil
	return taken
}

// Tell says one sentence to the user who set a run in motion, and to every terminal, also to those
// that connect later. It returns when it is stored; the key makes a repetition harmless.
func (b *Board) Tell(ctx context.Context, key string, session claw.SessionID, origin claw.Origin, text string) error {
	to := b.o.Users.addressees(origin)
	if len(to) == 0 {
		to = b.o.Users.owners() // somebody must hear of it
	}
	for _, who := range to {
		if err := b.o.Outbox.Put(ctx, who.text(key, escape(text), b.o.Now()), nil); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	notice := wire.Notice{Session: string(b.root(session)), Text: text}
	b.mu.Lock()
	b.told = append(b.told, notice)
	b.mu.Unlock()
	b.all(wire.Down{Notice: &notice})
	return nil
}

// Announce says one sentence to every user of every messenger and to every terminal: what concerns
// all of them, like a part of SecureClaw that was turned off. It does not wait for anybody, and it is not
// lost: what cannot be stored now is stored later, for as long as we live. A terminal that connects later
// does not hear of it, because it may be over by then; the status says how things are.
func (b *Board) Announce(key, text string) {
	for _, channel := range messengers() {
		for _, user := range b.o.Users[channel] {
			if b.o.Users.Known(channel, user) {
				b.putNow(addressee{channel, user}.text(key, escape(text), b.o.Now()))
			}
		}
	}
	b.all(wire.Down{Notice: &wire.Notice{Text: text}})
}

// Deliver puts a file into the outbox for the user who set a call's run in motion. It returns when
// the file is stored; the user has it some time later.
func (b *Board) Deliver(ctx context.Context, call gate.Call, name, mime, caption string, data []byte) error {
	if !isMessenger(call.Origin.Channel) {
		return fmt.Errorf("this conversation is in a %s: a file can only be sent to somebody who writes from a messenger; tell the user where the file lies instead", call.Origin.Channel)
	}
	if len(data) > wire.MaxFile {
		return fmt.Errorf("the file has %d bytes, the most is %d", len(data), wire.MaxFile)
	}
	to := b.o.Users.addressees(call.Origin)
	if len(to) == 0 {
		return errors.New("this user is not on the list of users any more")
	}
	sum := sha256.Sum256(data)
	for _, who := range to {
		item := who.text("file:"+string(call.ID), cut(caption, maxCaption), b.o.Now())
		item.Kind = wire.SendFile
		item.File = &wire.File{Name: fileName(name), Mime: mimeType(mime), Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:])}
		if err := b.o.Outbox.Put(ctx, item, data); err != nil {
			return fmt.Errorf("the file could not be stored: %w", err)
		}
	}
	return nil
}

// maxCaption is the most bytes of what stands below a file.
const maxCaption = 4 << 10

// text is an item that says something to one user. The text is Markdown.
func (a addressee) text(key, text string, at time.Time) outbox.Item {
	return outbox.Item{Channel: a.channel, User: a.user, Key: key, Kind: wire.SendText, Text: text, At: at}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
