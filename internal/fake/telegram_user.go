package fake

import (
	"cmp"
	"fmt"
	"maps"
	"time"
)

// UserMessage is a message as a user sends it. Zero fields are left out or stand for the usual.
type UserMessage struct {
	From                int64
	FirstName, Username string // From's, from now on
	// Chat is where it is written; zero is the private chat of From.
	Chat    TelegramChat
	Text    string
	Caption string
	ReplyTo int64
	// Quote is the part of the message replied to that the user chose to quote.
	Quote   string
	Forward *Forward
	// Date is when it was written, unix seconds; zero is now. The server tells no bot of what is older than a day.
	Date         int64
	Document     *UserFile
	Photo        *UserFile
	MediaGroupID string
	ViaBot       *TelegramUser
	// Extra is more of the message's JSON: a sticker, a voice, a location.
	Extra map[string]any
}

// UserFile is a file that a user sends.
type UserFile struct {
	Name, Mime string
	Data       []byte
	// Size is what the server claims; zero is the length of Data.
	Size int64
}

// Forward is where a forwarded message came from. Kind is user (User), hidden_user (Name), chat (Chat, Signature) or
// channel (Chat, MessageID, Signature).
type Forward struct {
	Kind      string
	User      TelegramUser
	Name      string
	Chat      TelegramChat
	MessageID int64
	Signature string
	Date      int64
}

func (f *Forward) json() map[string]any {
	out := map[string]any{"type": f.Kind, "date": f.Date}
	switch f.Kind {
	case "user":
		out["sender_user"] = f.User.json()
	case "hidden_user":
		out["sender_user_name"] = f.Name
	case "chat":
		out["sender_chat"] = f.Chat.json()
	case "channel":
		out["chat"], out["message_id"] = f.Chat.json(), f.MessageID
	}
	if f.Signature != "" {
		out["author_signature"] = f.Signature
	}
	return out
}

// Say lets a user write in his private chat.
func (tg *Telegram) Say(user int64, text string) (updateID, messageID int64) {
	return tg.SayAs(UserMessage{From: user, Text: text})
}

// SayAs lets a user send a message of any kind. UpdateID is 0 if the server does not tell the bot.
func (tg *Telegram) SayAs(u UserMessage) (updateID, messageID int64) {
	tg.mu.Lock()
	defer tg.mu.Unlock()
	p := tg.person(u.From)
	p.FirstName, p.Username = cmp.Or(u.FirstName, p.FirstName), cmp.Or(u.Username, p.Username)
	if u.Chat.ID == 0 || u.Chat.ID == u.From {
		u.Chat = p.private()
		if p.blocked {
			tg.member(p, "kicked", "member")
		}
		p.started, p.blocked = true, false
	}
	tg.lastMessage++
	m := &message{id: tg.lastMessage, chat: u.Chat, from: p.TelegramUser, at: time.Now(), text: u.Text, replyTo: u.ReplyTo, entities: commandsIn(u.Text)}
	if u.Date != 0 {
		m.at = time.Unix(u.Date, 0)
	}
	tg.attach(m, u)
	tg.messages = append(tg.messages, m)
	tg.happened()
	if time.Since(m.at) >= 24*time.Hour {
		return 0, m.id
	}
	return tg.push("message", tg.json(m, true)), m.id
}

// attach puts all but the text into a message. The caller holds mu.
func (tg *Telegram) attach(m *message, u UserMessage) {
	m.extra = make(map[string]any)
	switch {
	case u.Document != nil:
		m.file = tg.store("document", u.Document.Name, u.Document.Mime, u.Document.Data, u.Document.Size)
	case u.Photo != nil:
		m.file = tg.store("photo", u.Photo.Name, u.Photo.Mime, u.Photo.Data, u.Photo.Size)
		m.file.thumb = tg.store("photo", "", "", u.Photo.Data[:min(len(u.Photo.Data), 64)], 0)
	}
	if m.file != nil {
		m.text, m.entities = u.Caption, commandsIn(u.Caption)
	}
	if f := u.Forward; f != nil {
		if f.Date == 0 {
			f.Date = m.at.Unix() - 60
		}
		m.extra["forward_origin"] = f.json()
	}
	if u.Quote != "" {
		m.extra["quote"] = map[string]any{"text": u.Quote, "position": 0, "is_manual": true}
	}
	if u.MediaGroupID != "" {
		m.extra["media_group_id"] = u.MediaGroupID
	}
	if u.ViaBot != nil {
		m.extra["via_bot"] = u.ViaBot.json()
	}
	maps.Copy(m.extra, u.Extra)
}

// Edit lets a user change a text of his own.
func (tg *Telegram) Edit(user, messageID int64, text string) (updateID int64) {
	tg.mu.Lock()
	defer tg.mu.Unlock()
	m := tg.find(user, messageID)
	if m == nil || m.from.ID != user {
		tg.fail("telegram: message %d of chat %d is not the user's own", messageID, user)
		return 0
	}
	m.text, m.entities, m.edited = text, commandsIn(text), time.Now()
	m.edits++
	return tg.push("edited_message", tg.json(m, true))
}

// Delete lets a user delete a message on both sides. The bot is not told.
func (tg *Telegram) Delete(chat, messageID int64) {
	tg.mu.Lock()
	defer tg.mu.Unlock()
	if m := tg.find(chat, messageID); m != nil {
		tg.remove(m)
	}
}

// Meet makes a user known who never wrote to the bot, so that it may not write to him either.
func (tg *Telegram) Meet(user int64) {
	tg.mu.Lock()
	defer tg.mu.Unlock()
	tg.person(user)
}

// Block lets a user block the bot, until he writes again.
func (tg *Telegram) Block(user int64) {
	tg.mu.Lock()
	defer tg.mu.Unlock()
	p := tg.person(user)
	p.blocked = true
	tg.member(p, "member", "kicked")
}

// member tells the bot that it was blocked or unblocked. The caller holds mu.
func (tg *Telegram) member(p *person, before, after string) {
	side := func(status string) map[string]any {
		out := map[string]any{"user": tg.self().json(), "status": status}
		if status == "kicked" {
			out["until_date"] = 0
		}
		return out
	}
	tg.push("my_chat_member", map[string]any{
		"chat": p.private().json(), "from": p.json(), "date": time.Now().Unix(), "old_chat_member": side(before), "new_chat_member": side(after),
	})
}

// Raw sends an update as it is given; without an update_id it gets the next one.
func (tg *Telegram) Raw(u map[string]any) (updateID int64) {
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
	return tg.press(tg.person(user).TelegramUser, tg.json(m, true), data)
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

// Press is a press that the phone of an honest user would not send, or no longer.
type Press struct {
	Message int64        // need not be a message of Chat
	Chat    TelegramChat // zero: the private chat of who presses
	Data    string
	// Gone sends the message as one that the server cannot show any more (date 0).
	Gone bool
}

// PressAs sends any press.
func (tg *Telegram) PressAs(from int64, p Press) (callbackID string) {
	tg.mu.Lock()
	defer tg.mu.Unlock()
	who := tg.person(from)
	if p.Chat.ID == 0 {
		p.Chat = who.private()
	}
	about := map[string]any{"message_id": p.Message, "chat": p.Chat.json(), "date": time.Now().Unix(), "from": tg.self().json(), "text": "…"}
	if m := tg.find(p.Chat.ID, p.Message); m != nil {
		about = tg.json(m, true)
	}
	if p.Gone {
		about = map[string]any{"message_id": p.Message, "chat": p.Chat.json(), "date": 0}
	}
	return tg.press(who.TelegramUser, about, p.Data)
}

// press sends the update of a press. The caller holds mu.
func (tg *Telegram) press(from TelegramUser, message map[string]any, data string) string {
	tg.lastID++
	id := fmt.Sprintf("43126%014d", tg.lastID)
	tg.callbacks[id] = true
	tg.push("callback_query", map[string]any{"id": id, "from": from.json(), "message": message, "chat_instance": "-3456789012345678901", "data": data})
	return id
}

// ExpireCallbacks makes all presses so far too old to be answered.
func (tg *Telegram) ExpireCallbacks() {
	tg.mu.Lock()
	defer tg.mu.Unlock()
	clear(tg.callbacks)
}
