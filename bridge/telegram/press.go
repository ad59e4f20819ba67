package telegram

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/secureclaw/secureclaw/bridge/telegram/internal/card"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// What a user reads after a tap that decides nothing.
const (
	notYours = "Not yours to answer."
	notValid = "This button is not valid any more."
	later    = "I will pass this on as soon as I can. The card will show what became of it."
)

// pressed takes one tap on a button. Telegram's word is believed for who tapped and in which chat; the data of a
// button is not, since any client can send what it likes: it must read as [card.Data] writes it, and the gateway
// compares it with what it asks.
func (b *bridge) pressed(ctx context.Context, q *callbackQuery, finish func()) {
	if !b.allowed(q.From.ID) || q.From.IsBot {
		b.accuse(q.From.ID, "button", true)
		finish()
		b.toast(ctx, q.ID, notYours)
		return
	}
	verb, approval, digest, ok := card.ParseData(q.Data)
	if !ok || !b.ours(q) {
		finish()
		b.toast(ctx, q.ID, notValid)
		return
	}
	b.o.Step("bridge.update")
	key := "press." + q.ID
	who, shown := strconv.FormatInt(q.From.ID, 10), ref(q.Message.ID)
	up := wire.Up{Decide: &wire.Decide{
		Ref: key, Approval: approval, Allow: verb == card.Approve,
		User: who, Name: q.From.name(), Shown: shown, Digest: digest,
	}}
	if verb == card.DenyWhy {
		up = wire.Up{Ask: &wire.AskWhy{Ref: key, Approval: approval, User: who, Shown: shown, Digest: digest}}
	}

	// The phone shows a clock on the button until it is answered, and forgets the question after a while. If the
	// gateway is away, the tap is kept (by Telegram), and this is said.
	said := make(chan struct{})
	decided := make(chan string, 1)
	b.wg.Go(func() {
		defer close(said)
		t := time.NewTimer(b.t.press)
		defer t.Stop()
		text := later
		select {
		case text = <-decided:
		case <-t.C:
		case <-ctx.Done():
			return
		}
		b.toast(ctx, q.ID, text)
	})
	text, ok := b.decide(ctx, key, up, verb)
	if !ok {
		return
	}
	b.o.Step("bridge.decided")
	finish()
	decided <- text
	<-said
}

// ours reports whether a tap is on a message of this bot in the private chat of the one who tapped. Of a message
// that is too old to be shown to us only its chat is known, and that must do.
func (b *bridge) ours(q *callbackQuery) bool {
	m := q.Message
	if m == nil || m.Chat.Type != "private" || m.Chat.ID != q.From.ID || m.forwarded() || m.ViaBot != nil {
		return false
	}
	return m.Date == 0 || m.From != nil && m.From.ID == b.self().ID
}

// decide gets the gateway's word on a tap, however long it takes. It returns false when ctx ended first.
func (b *bridge) decide(ctx context.Context, key string, up wire.Up, verb byte) (string, bool) {
	for {
		s, err := b.link.session(ctx)
		if err != nil {
			return "", false
		}
		d, err := s.ask(ctx, b.t.ask, key, up)
		switch {
		case ctx.Err() != nil:
			return "", false
		case errors.Is(err, errAway):
			continue
		case err != nil:
			b.o.Log.Error("a decision cannot be told", "err", err)
			return notValid, true
		case d.Fault != nil:
			return sentence(d.Fault.What), true
		case verb == card.DenyWhy:
			return "Reply to the next message with your reason.", true
		case verb == card.Approve:
			return "✅ Approved once", true
		default:
			return "⛔ Denied", true
		}
	}
}

// sentence lets a fault begin as a sentence does.
func sentence(text string) string {
	text = cut(strings.TrimSpace(text), 180)
	if text == "" {
		return notValid
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// toast answers a tap. One that is too old to be answered has nobody who looks.
func (b *bridge) toast(ctx context.Context, id, text string) {
	err := b.api.call(ctx, b.t.call, "answerCallbackQuery", struct {
		ID   string `json:"callback_query_id"`
		Text string `json:"text"`
	}{id, text}, nil)
	if e := asAPI(err); err != nil && ctx.Err() == nil && !e.says("query is too old", "query_id_invalid", "query id is invalid") {
		b.o.Log.Warn("a tap was not answered", "err", e)
	}
}
