package telegram

import (
	"fmt"
	"net/http"
	"time"

	"github.com/secureclaw/secureclaw/bridge/telegram/internal/entity"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// typing shows "typing…" for five seconds, if there is room for it.
func (b *bridge) typing(user int64) {
	if !b.pace.tryAction(user) {
		return
	}
	b.wg.Go(func() {
		err := b.api.call(b.hard, b.t.picture, "sendChatAction", struct {
			Chat   int64  `json:"chat_id"`
			Action string `json:"action"`
		}{user, "typing"}, nil)
		if e := asAPI(err); err != nil && e.RetryAfter > 0 {
			b.pace.hold(user, e.RetryAfter)
		}
	})
}

// paint keeps the picture of one run up to date until it ends.
func (b *bridge) paint(r *stream) {
	defer close(r.over)
	defer func() {
		b.streams.mu.Lock()
		defer b.streams.mu.Unlock()
		delete(b.streams.runs, r.run)
	}()
	tick := time.NewTicker(b.t.tick)
	defer tick.Stop()
	var typed, edited time.Time
	shown := ""
	for {
		select {
		case <-r.end:
			return
		case <-b.hard.Done():
			return
		case <-tick.C:
		}
		now, code := time.Now(), b.streams.waitsFor(r.user)
		r.mu.Lock()
		paused, dead := r.paused, r.dead
		text, status := r.picture(now, b.t, code)
		first := r.ref == ""
		ready := text != "" && (status || now.Sub(r.began) >= b.t.bubble)
		r.mu.Unlock()
		if !paused.IsZero() {
			if now.Sub(paused) > staleAfter {
				return
			}
			continue
		}
		if code == "" && now.Sub(typed) >= b.t.typing {
			typed = now
			b.typing(r.user)
		}
		pause := b.t.edit
		if status {
			pause = b.t.status
		}
		if dead || !ready || text == shown || !first && now.Sub(edited) < pause || !b.pace.try(r.user) {
			continue
		}
		if b.bubble(r, text) {
			shown = text
		}
		edited = time.Now()
	}
}

// picture is what the bubble shows now, and whether its status line is a part of it. code is that of a question
// that waits for the user. The caller holds mu.
func (r *stream) picture(now time.Time, t timing, code string) (text string, status bool) {
	if r.text != "" {
		text = tail(entity.Plain(r.text).Text, bubbleUnits-entity.Units(r.plan))
	}
	if now.Sub(r.news) < t.quiet {
		if text != "" {
			text += cursor
		}
		return below(r.plan, text), false
	}
	what := r.tool
	if what == "" {
		what = "thinking"
	}
	line := fmt.Sprintf("⏳ %s · %d s", what, int(now.Sub(r.since).Seconds()))
	if code != "" {
		line = "🔐 waiting for your answer to " + code
	}
	return below(r.plan, below(text, line)), true
}

// below puts one text below another, if there is one.
func below(text, more string) string {
	if text == "" || more == "" {
		return text + more
	}
	return text + "\n\n" + more
}

// tail is the end of a text, in UTF-16 units.
func tail(text string, units int) string {
	n := 0
	runes := []rune(text)
	for i := len(runes) - 1; i >= 0; i-- {
		n++
		if runes[i] > 0xffff {
			n++
		}
		if n > units {
			return "…" + string(runes[i+1:])
		}
	}
	return text
}

// bubble sends or edits a run's message, and reports whether Telegram shows the text.
func (b *bridge) bubble(r *stream, text string) bool {
	r.mu.Lock()
	id := refOf(r.ref)
	r.mu.Unlock()
	method := "sendMessage"
	if id != 0 {
		method = "editMessageText"
	}
	var m message
	err := b.api.call(b.hard, b.t.picture, method, textParams{
		ChatID: r.user, MessageID: id, Text: text, Preview: linkPreview{true},
	}, &m)
	e := asAPI(err)
	switch {
	case err == nil:
	case e.says("message is not modified"):
		return true
	default:
		if e.RetryAfter > 0 {
			b.pace.hold(r.user, e.RetryAfter)
		}
		// A first message whose answer was lost may be there, and another would be a second bubble. What Telegram
		// refuses it refuses again, but for a 429, which the pacer waits out.
		if id == 0 && e.Maybe || e.Code >= 400 && e.Code < 500 && e.Code != http.StatusTooManyRequests {
			r.mu.Lock()
			r.dead = true
			r.mu.Unlock()
		}
		return false
	}
	if id == 0 {
		b.o.Step("bridge.bubble")
		b.streams.mu.Lock()
		b.streams.note(r.run, trace{ref(m.ID), b.streams.traces[r.run].over})
		b.streams.mu.Unlock()
		r.mu.Lock()
		r.ref = ref(m.ID)
		r.mu.Unlock()
		b.tell(wire.Up{Bubble: &wire.Bubble{Run: r.run, Ref: ref(m.ID)}})
	}
	return true
}
