package telegram

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/secureclaw/secureclaw/internal/wire"
)

type updatesParams struct {
	Offset  int64    `json:"offset,omitzero"`
	Limit   int      `json:"limit"`
	Timeout int      `json:"timeout"`
	Allowed []string `json:"allowed_updates"`
}

// receive polls for updates until ctx ends, and returns when all that it began has ended.
func (b *bridge) receive(ctx context.Context) {
	var ours sync.WaitGroup
	defer ours.Wait()
	p := &poller{b: b, limit: 100}
	if !p.meet(ctx) {
		return
	}
	last := b.wall()
	for {
		if b.link.mayPoll(ctx); ctx.Err() != nil {
			return
		}
		offset, inHand, _ := b.ledger.state()
		wait := b.t.poll
		if inHand || !p.well {
			wait = 0 // whether all is well shall be known now, not when the long poll ends
		} else if b.wall().Sub(last) > forgetAfter {
			b.ledger.forget()
			offset, last = 0, b.wall()
		}
		var raw []jsontext.Value
		err := b.api.call(ctx, wait+b.t.call, "getUpdates", updatesParams{
			Offset: offset, Limit: p.limit, Timeout: int(wait.Seconds()), Allowed: []string{"message", "callback_query"},
		}, &raw)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			p.failed(ctx, asAPI(err))
			continue
		}
		p.worked()
		for _, data := range raw {
			if b.update(ctx, &ours, data) {
				last = b.wall()
			}
		}
		b.rest(ctx)
	}
}

// wall is the time by the wall clock, which goes on while the machine sleeps.
func (b *bridge) wall() time.Time { return b.o.Now().Round(0) }

// rest waits between two polls while something is in hand. "/stop" and a tap must not wait until a file is loaded,
// so it is short; but a server that is asked for the same offset twice within half a second answers with one update
// only, which is the one that we have. Without a gateway nobody could act, and there is less of a hurry.
func (b *bridge) rest(ctx context.Context) {
	pause := b.t.again
	if b.link.current() == nil {
		pause *= 5
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	before, _, _ := b.ledger.state()
	for {
		offset, inHand, changed := b.ledger.state()
		if !inHand || offset != before {
			return
		}
		select {
		case <-changed:
		case <-t.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// update takes one update in hand, if it is new.
func (b *bridge) update(ctx context.Context, ours *sync.WaitGroup, data jsontext.Value) bool {
	var u update
	if err := decode(data, &u); err != nil {
		// It can never be read, and behind it others wait.
		var id struct {
			ID int64 `json:"update_id"`
		}
		if decode(data, &id) == nil && b.ledger.see(id.ID) {
			b.o.Log.Error("an update cannot be read and is passed over", "update", id.ID, "err", b.api.clean(err.Error()))
			b.ledger.finish(id.ID)
			return true
		}
		return false
	}
	if !b.ledger.see(u.ID) {
		return false
	}
	finish := func() { b.ledger.finish(u.ID) }
	switch {
	case u.Callback != nil:
		ours.Go(func() { b.pressed(ctx, u.Callback, finish) })
	case u.Message != nil && b.mine(ctx, u.Message):
		b.typing(u.Message.From.ID)
		in := u.Message
		in.Text = b.command(in.Text)
		deliver := func() { b.deliver(ctx, u.ID, in, finish) }
		if isStop(in) {
			ours.Go(deliver) // overtakes
		} else {
			b.inbox.add(in.From.ID, ours, deliver)
		}
	default:
		finish()
	}
	return true
}

// poller is what the loop remembers between two polls.
type poller struct {
	b       *bridge
	limit   int
	well    bool // the last poll worked
	fails   int
	wait    time.Duration
	dropped bool // a webhook
}

// meet learns who the bot is. It returns false when ctx ended first.
func (p *poller) meet(ctx context.Context) bool {
	b := p.b
	for ctx.Err() == nil {
		var me user
		err := b.api.call(ctx, b.t.call, "getMe", struct{}{}, &me)
		if err == nil && me.ID == 0 {
			err = &apiError{Method: "getMe", Code: http.StatusBadGateway, Description: "the answer names no bot"}
		}
		if err == nil {
			b.mu.Lock()
			b.me = me
			b.mu.Unlock()
			b.health.account("@" + me.Username)
			return true
		}
		if ctx.Err() == nil {
			p.failed(ctx, asAPI(err))
		}
	}
	return false
}

func (p *poller) worked() {
	if p.b.health.set(wire.HealthOK, "") {
		p.b.o.Log.Info("Telegram answers", "bot", "@"+p.b.self().Username)
	}
	p.well, p.fails, p.wait, p.limit = true, 0, 0, 100
}

// failed says what is wrong and waits as long as it calls for. It never gives up.
func (p *poller) failed(ctx context.Context, e *apiError) {
	b := p.b
	p.fails++
	p.well = false
	p.wait = grow(p.wait, b.t.backoff, 30*b.t.backoff)
	pause, why := jitter(p.wait), ""
	switch {
	case e.Code == http.StatusUnauthorized || e.Code == http.StatusNotFound:
		pause, why = jitter(b.t.slow), "Telegram does not know this bot token; @BotFather shows the right one"
	case e.Code == http.StatusConflict && e.says("webhook"):
		why = "a webhook takes this bot's messages; another program uses the same token"
		if !p.dropped {
			// Once: what set it may set it again, and two programs that fight over a bot help nobody.
			p.dropped = true
			b.o.Log.Warn("a webhook was set for this bot; it is removed")
			if err := b.api.call(ctx, b.t.call, "deleteWebhook", struct {
				Drop bool `json:"drop_pending_updates"`
			}{}, nil); err == nil {
				return
			}
		}
	case e.Code == http.StatusConflict:
		why = "another program reads this bot's messages; only one may run with a token"
	case e.Code == http.StatusTooManyRequests:
		pause, why = max(e.RetryAfter, pause), "Telegram asks to wait"
	case e.Code == http.StatusRequestEntityTooLarge:
		p.limit = max(1, p.limit/2)
		why = e.Error()
	default:
		why = e.Error()
		if p.fails < 2 { // one lost answer is no news
			why = ""
		}
	}
	if why != "" && b.health.set(wire.HealthDegraded, why) {
		b.o.Log.Warn("Telegram cannot be reached as it should", "why", why, "answer", e.Error())
	}
	sleep(ctx, pause)
}

// command takes our own name off a command: "/stop@bot now" is "/stop now".
func (b *bridge) command(text string) string {
	word, rest, _ := strings.Cut(text, " ")
	name, to, ok := strings.Cut(word, "@")
	if !ok || !strings.HasPrefix(word, "/") || !strings.EqualFold(to, b.self().Username) {
		return text
	}
	return strings.TrimRight(name+" "+rest, " ")
}

// isStop reports whether a message is the user's own "/stop".
func isStop(m *message) bool {
	word, _, _ := strings.Cut(strings.TrimSpace(m.Text), " ")
	return strings.EqualFold(word, "/stop") && !m.forwarded() && m.ViaBot == nil
}
