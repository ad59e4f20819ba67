package fake

import (
	"fmt"
	"maps"
	"time"
)

// UserMessage is a message as a user sends it. Zero fields are left out or stand for the usual.
type UserMessage struct {
	From    int64
	Text    string
	ReplyTo int64
	// Date is when it was written, unix seconds; zero is now.
	Date int64
}

// callback is a press that may be answered.
type callback struct{ answered bool }

// Say lets a user write in his private chat.
func (tg *Telegram) Say(user int64, text string) (updateID, messageID int64) {
	return tg.SayAs(UserMessage{From: user, Text: text})
}

// SayAs lets a user send a message of any kind. UpdateID is 0 if the bot did not ask for messages.
func (tg *Telegram) SayAs(u UserMessage) (updateID, messageID int64) {
	tg.mu.Lock()
	defer tg.mu.Unlock()
	p := tg.person(u.From)
	p.started, p.blocked = true, false
	tg.lastMessage++
	m := &message{id: tg.lastMessage, chat: u.From, user: true, at: time.Now(), text: u.Text, replyTo: u.ReplyTo, entities: commandsIn(u.Text)}
	if u.Date != 0 {
		m.at = time.Unix(u.Date, 0)
	}
	tg.messages = append(tg.messages, m)
	id := tg.push("message", tg.json(m, true))
	tg.happened()
	return id, m.id
}

// Press lets a user press a button of a message as it is shown now. A press of what is not there is a mistake of
// the test; [Telegram.PressAs] makes up any press.
func (tg *Telegram) Press(user, messageID int64, data string) (callbackID string) {
	tg.mu.Lock()
	defer tg.mu.Unlock()
	m := tg.find(user, messageID)
	if m == nil || !m.has(data) {
		tg.fail("telegram: message %d of chat %d shows no button %q", messageID, user, data)
		return ""
	}
	return tg.press(tg.person(user).json(user), tg.json(m, true), data)
}

func (m *message) has(data string) bool {
	for _, row := range m.buttons {
		for _, b := range row {
			if b.Data == data {
				return true
			}
		}
	}
	return false
}

// press sends the update of a press. The caller holds mu.
func (tg *Telegram) press(from, message map[string]any, data string) string {
	tg.lastID++
	id := fmt.Sprintf("43126%014d", tg.lastID)
	tg.callbacks[id] = &callback{}
	tg.push("callback_query", map[string]any{"id": id, "from": from, "message": message, "chat_instance": "-3456789012345678901", "data": data})
	return id
}

// Raw sends an update as it is given; without an update_id it gets the next one.
func (tg *Telegram) Raw(u map[string]any) int64 {
	tg.mu.Lock()
	defer tg.mu.Unlock()
	u = maps.Clone(u)
	id, given := number(u["update_id"])
	if !given {
		id = tg.lastUpdate + 1
		u["update_id"] = id
	}
	tg.lastUpdate = max(tg.lastUpdate, id)
	tg.updates = append(tg.updates, update{id, u})
	tg.happened()
	return id
}

func number(v any) (int64, bool) {
	switch n := v.(type) {
	case int:
		return int64(n), true
	case int64:
		return n, true
	case float64:
		return int64(n), true
	}
	return 0, false
}
