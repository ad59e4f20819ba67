package fake

import (
	"maps"
	"slices"
	"time"
)

// Entity is a part of a text that is shown differently. Offset and Length count UTF-16 code units.
type Entity struct {
	Type          string         `json:"type"`
	Offset        int            `json:"offset"`
	Length        int            `json:"length"`
	URL           string         `json:"url,omitempty"`
	User          map[string]any `json:"user,omitempty"`
	Language      string         `json:"language,omitempty"`
	CustomEmojiID string         `json:"custom_emoji_id,omitempty"`
}

// Button is one button under a message. Data is what a press sends; URL what a press opens.
type Button struct {
	Text string `json:"text"`
	Data string `json:"callback_data,omitempty"`
	URL  string `json:"url,omitempty"`
}

// ShownFile is a document or a picture as a user can open it.
type ShownFile struct {
	Kind string // document or photo
	Name string
	Mime string
	Data []byte
}

// Shown is a message as it stands in a chat now.
type Shown struct {
	MessageID int64
	Mine      bool // not the bot's
	Text      string
	Entities  []Entity // of Text, or of Caption if there is a file
	Buttons   [][]Button
	// ForceReply is set if the user's phone offers to reply to the message.
	ForceReply bool
	Edited     int // how often its text or buttons changed
	Document   *ShownFile
	Caption    string
	ReplyTo    int64
	At         time.Time // when it was sent
	EditedAt   time.Time
}

// TelegramUser is a user or a bot.
type TelegramUser struct {
	ID        int64
	FirstName string
	Username  string
	IsBot     bool
}

func (u TelegramUser) json() map[string]any {
	out := map[string]any{"id": u.ID, "is_bot": u.IsBot, "first_name": u.FirstName}
	if u.Username != "" {
		out["username"] = u.Username
	}
	if !u.IsBot {
		out["language_code"] = "en"
	}
	return out
}

// TelegramChat is a place for messages. Type is private, group, supergroup or channel.
type TelegramChat struct {
	ID       int64
	Type     string
	Title    string // or the first name of the user
	Username string
}

func (c TelegramChat) json() map[string]any {
	out := map[string]any{"id": c.ID, "type": c.Type}
	name := "title"
	if c.Type == "private" {
		name = "first_name"
	}
	if c.Title != "" {
		out[name] = c.Title
	}
	if c.Username != "" {
		out["username"] = c.Username
	}
	return out
}

// person is a user as the bot's server knows him.
type person struct {
	TelegramUser
	started bool // wrote or pressed start
	blocked bool
	sent    []time.Time // when the bot wrote to him, for the rate limit
}

func (p *person) private() TelegramChat {
	return TelegramChat{ID: p.ID, Type: "private", Title: p.FirstName, Username: p.Username}
}

// person finds a user or makes him up. The caller holds mu.
func (tg *Telegram) person(id int64) *person {
	p := tg.people[id]
	if p == nil {
		p = &person{TelegramUser: TelegramUser{ID: id, FirstName: "Ada"}}
		tg.people[id] = p
	}
	return p
}

func (tg *Telegram) self() TelegramUser {
	return TelegramUser{ID: tg.id, FirstName: "SecureClaw", Username: tg.name, IsBot: true}
}

// message is one message of one chat.
type message struct {
	id         int64
	chat       TelegramChat
	from       TelegramUser
	at, edited time.Time
	edits      int
	text       string // or caption
	entities   []Entity
	buttons    [][]Button
	forceReply bool
	file       *stored
	replyTo    int64
	extra      map[string]any // more of its JSON
}

// find returns a message that is not deleted. The caller holds mu.
func (tg *Telegram) find(chat, id int64) *message {
	i := slices.IndexFunc(tg.messages, func(m *message) bool { return m.chat.ID == chat && m.id == id })
	if i < 0 {
		return nil
	}
	return tg.messages[i]
}

// json is the message as the API tells it. The caller holds mu.
func (tg *Telegram) json(m *message, replies bool) map[string]any {
	out := map[string]any{"message_id": m.id, "date": m.at.Unix(), "chat": m.chat.json(), "from": m.from.json()}
	text, entities := "text", "entities"
	if m.file != nil {
		text, entities = "caption", "caption_entities"
		m.file.json(out)
	}
	if m.text != "" {
		out[text] = m.text
	}
	if len(m.entities) > 0 {
		out[entities] = m.entities
	}
	if !m.edited.IsZero() {
		out["edit_date"] = m.edited.Unix()
	}
	if m.buttons != nil {
		out["reply_markup"] = map[string]any{"inline_keyboard": m.buttons}
	}
	if to := tg.find(m.chat.ID, m.replyTo); to != nil && replies {
		out["reply_to_message"] = tg.json(to, false)
	}
	maps.Copy(out, m.extra)
	return out
}

// Chat is what the bot has shown a user, as it stands now, oldest first.
func (tg *Telegram) Chat(user int64) []Shown {
	return slices.DeleteFunc(tg.History(user), func(s Shown) bool { return s.Mine })
}

// History is both sides of a chat as it stands now, oldest first.
func (tg *Telegram) History(chat int64) []Shown {
	return read(tg, func() []Shown {
		var out []Shown
		for _, m := range tg.messages {
			if m.chat.ID == chat {
				out = append(out, m.shown(tg.id))
			}
		}
		return out
	})
}

// Message is one message as it stands now; false if there is none, or it was deleted.
func (tg *Telegram) Message(chat, id int64) (Shown, bool) {
	tg.mu.Lock()
	defer tg.mu.Unlock()
	m := tg.find(chat, id)
	if m == nil {
		return Shown{}, false
	}
	return m.shown(tg.id), true
}

func (m *message) shown(bot int64) Shown {
	s := Shown{
		MessageID: m.id, Mine: m.from.ID != bot, Text: m.text, Entities: slices.Clone(m.entities), ForceReply: m.forceReply,
		Edited: m.edits, ReplyTo: m.replyTo, At: m.at, EditedAt: m.edited,
	}
	for _, row := range m.buttons {
		s.Buttons = append(s.Buttons, slices.Clone(row))
	}
	if m.file != nil {
		s.Text, s.Caption = "", m.text
		s.Document = &ShownFile{Kind: m.file.kind, Name: m.file.name, Mime: m.file.mime, Data: m.file.data}
	}
	return s
}
