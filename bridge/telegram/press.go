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
	laterOn  = "I will pass this on as soon as I can. The message will change then."
)

// pressed takes one tap on a button. Telegram's word is believed for who tapped and in which chat; the data of a
// button is not, since any client can send what it likes: it must read as [card.Data] or [menuData] writes it, and the
// gateway compares it with what it asks.
func (b *bridge) pressed(ctx context.Context, q *callbackQuery, finish func()) {
	if !b.allowed(q.From.ID) || q.From.IsBot {
		b.accuse(q.From.ID, "button", true)
		finish()
		b.toast(ctx, q.ID, notYours)
		return
	}
	key := "press." + q.ID
	up, words, ok := b.meant(q, key)
	if !ok {
		finish()
		b.toast(ctx, q.ID, notValid)
		return
	}
	b.o.Step("bridge.update")

	// The phone shows a clock on the button until it is answered, and forgets the question after a while. If the
	// gateway is away, the tap is kept (by Telegram), and this is said.
	said := make(chan struct{})
	decided := make(chan string, 1)
	b.wg.Go(func() {
		defer close(said)
		t := time.NewTimer(b.t.press)
		defer t.Stop()
		text := words.later
		select {
		case text = <-decided:
		case <-t.C:
		case <-ctx.Done():
			return
		}
		b.toast(ctx, q.ID, text)
	})
	text, ok := b.decide(ctx, key, up, words)
	if !ok {
		return
	}
	b.o.Step("bridge.decided")
	finish()
	decided <- text
	<-said
}

// words are what a user reads after a tap: once the gateway took it, and while it is away.
type words struct{ done, later string }

// meant is what a tap says to the gateway.
func (b *bridge) meant(q *callbackQuery, key string) (wire.Up, words, bool) {
	if !b.ours(q) {
		return wire.Up{}, words{}, false
	}
	who, shown := strconv.FormatInt(q.From.ID, 10), ref(q.Message.ID)
	if item, data, ok := parseMenu(q.Data); ok {
		return wire.Up{Tap: &wire.Tap{Ref: key, User: who, Item: item, Shown: shown, Data: data}}, words{later: laterOn}, true
	}
	verb, approval, digest, ok := card.ParseData(q.Data)
	if !ok {
		return wire.Up{}, words{}, false
	}
	if verb == card.DenyWhy {
		up := wire.Up{Ask: &wire.AskWhy{Ref: key, Approval: approval, User: who, Shown: shown, Digest: digest}}
		return up, words{"Reply to the next message with your reason.", later}, true
	}
	up := wire.Up{Decide: &wire.Decide{
		Ref: key, Approval: approval, Allow: verb == card.Approve,
		User: who, Name: q.From.name(), Shown: shown, Digest: digest,
	}}
	if verb == card.Approve {
		return up, words{"✅ Approved once", later}, true
	}
	return up, words{"⛔ Denied", later}, true
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
func (b *bridge) decide(ctx context.Context, key string, up wire.Up, words words) (string, bool) {
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
		case up.Tap != nil && d.Answer != nil:
			return cut(d.Answer.Said, 180), true
		default:
			return words.done, true
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
