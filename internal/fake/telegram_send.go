package fake

import (
	"math"
	"strings"
	"time"
)

// sendMessage shows a text.
func (tg *Telegram) sendMessage(q *request) (any, error) {
	var entities []Entity
	if err := q.object("entities", "entities", &entities); err != nil {
		return nil, err
	}
	text := strings.TrimSpace(q.values["text"])
	if text == "" {
		return nil, wrong("message text is empty")
	}
	if units(text) > 4096 {
		return nil, wrong("message is too long")
	}
	chat, err := tg.recipient(q)
	if err != nil {
		return nil, err
	}
	m := &message{chat: chat, text: text, entities: entities}
	if err := tg.markup(q, m); err != nil {
		return nil, err
	}
	return tg.show(m), nil
}

// recipient is the chat that a call writes to. The caller holds mu.
func (tg *Telegram) recipient(q *request) (int64, error) {
	id := q.integer("chat_id", math.MinInt64)
	if id == math.MinInt64 {
		return 0, wrong("chat_id is empty")
	}
	p := tg.people[id]
	switch {
	case p == nil:
		return 0, unlucky(400, "Bad Request: chat not found")
	case p.blocked:
		return 0, unlucky(403, "Forbidden: bot was blocked by the user")
	case !p.started:
		return 0, unlucky(403, "Forbidden: bot can't initiate conversation with a user")
	}
	return id, nil
}

func (tg *Telegram) markup(q *request, m *message) error {
	var markup struct {
		Keyboard [][]Button `json:"inline_keyboard"`
		Force    bool       `json:"force_reply"`
	}
	if err := q.object("reply_markup", "reply keyboard markup", &markup); err != nil {
		return err
	}
	m.buttons, m.forceReply = markup.Keyboard, markup.Force
	return nil
}

// show puts a new message of the bot into its chat. The caller holds mu.
func (tg *Telegram) show(m *message) map[string]any {
	tg.lastMessage++
	m.id, m.at = tg.lastMessage, time.Now()
	tg.messages = append(tg.messages, m)
	tg.happened()
	return tg.json(m, true)
}
