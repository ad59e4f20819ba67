package telegram

import (
	"context"
	"sync"
	"time"
)

// pacer keeps below Telegram's limits (about one message a second in a chat, thirty in all), so that a 429 is
// the exception. What somebody waits for takes its turn; what only paints gives way.
type pacer struct {
	now       func() time.Time
	perChat   time.Duration
	chatBurst float64

	mu    sync.Mutex
	all   bucket
	chats map[int64]*bucket
}

// bucket holds tokens; one is used for each message. It may owe some.
type bucket struct {
	tokens float64
	at     time.Time
	held   time.Time // nothing leaves before it
}

func newPacer(t timing) *pacer {
	p := &pacer{now: time.Now, perChat: t.perChat, chatBurst: float64(t.chatBurst), chats: make(map[int64]*bucket)}
	p.all = bucket{tokens: burstOfAll, at: p.now()}
	return p
}

func (b *bucket) fill(now time.Time, each time.Duration, burst float64) {
	b.tokens = min(burst, b.tokens+float64(now.Sub(b.at))/float64(each))
	b.at = now
}

// level brings both buckets up to date. The caller holds mu.
func (p *pacer) level(chat int64) (*bucket, time.Time) {
	now := p.now()
	c := p.chats[chat]
	if c == nil {
		p.prune(now)
		c = &bucket{tokens: p.chatBurst, at: now}
		p.chats[chat] = c
	}
	c.fill(now, p.perChat, p.chatBurst)
	p.all.fill(now, perToken, burstOfAll)
	return c, now
}

// chatsKept is how many chats may be remembered. Strangers come and go.
const chatsKept = 256

// prune forgets chats that have been quiet for so long that nothing is left to count. The caller holds mu.
func (p *pacer) prune(now time.Time) {
	if len(p.chats) < chatsKept {
		return
	}
	for id, c := range p.chats {
		if c.fill(now, p.perChat, p.chatBurst); c.tokens >= p.chatBurst && now.After(c.held) {
			delete(p.chats, id)
		}
	}
}

// What may leave in a second, to all chats together.
const (
	burstOfAll = 25
	perToken   = time.Second / burstOfAll
)

// wait takes a token for a message that must be sent, and waits until it is one's turn.
func (p *pacer) wait(ctx context.Context, chat int64) error {
	p.mu.Lock()
	c, now := p.level(chat)
	c.tokens--
	p.all.tokens--
	d := max(time.Duration(-c.tokens*float64(p.perChat)), time.Duration(-p.all.tokens*float64(perToken)), c.held.Sub(now))
	p.mu.Unlock()
	if d > 0 {
		sleep(ctx, d)
	}
	return ctx.Err()
}

// try takes a token for a picture, if enough are left for what may come.
func (p *pacer) try(chat int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, now := p.level(chat)
	if c.tokens < 2 || p.all.tokens < 5 || now.Before(c.held) {
		return false
	}
	c.tokens--
	p.all.tokens--
	return true
}

// tryAction is try for what is no message, such as "typing…".
func (p *pacer) tryAction(chat int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, now := p.level(chat)
	if p.all.tokens < 5 || now.Before(c.held) {
		return false
	}
	p.all.tokens--
	return true
}

// hold keeps a chat quiet for as long as Telegram said.
func (p *pacer) hold(chat int64, d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, now := p.level(chat)
	c.held = now.Add(d)
}
