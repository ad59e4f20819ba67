package fake

import (
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
	Mine      bool // the user's own message
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

// message is one message of one chat.
type message struct {
	id, chat   int64
	user       bool // written by the user
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

// person finds a user or makes him up. The caller holds mu.
func (tg *Telegram) person(id int64) *person {
	p := tg.people[id]
	if p == nil {
		p = &person{name: "Ada"}
		tg.people[id] = p
	}
	return p
}

func (p *person) json(id int64) map[string]any {
	out := map[string]any{"id": id, "is_bot": false, "first_name": p.name, "language_code": "en"}
	if p.username != "" {
		out["username"] = p.username
	}
	return out
}

// find returns a message that is not deleted. The caller holds mu.
func (tg *Telegram) find(chat, id int64) *message {
	i := slices.IndexFunc(tg.messages, func(m *message) bool { return m.chat == chat && m.id == id })
	if i < 0 {
		return nil
	}
	return tg.messages[i]
}

// json is the message as the API tells it. The caller holds mu.
func (tg *Telegram) json(m *message, replies bool) map[string]any {
	p := tg.person(m.chat)
	chat := map[string]any{"id": m.chat, "type": "private", "first_name": p.name}
	if p.username != "" {
		chat["username"] = p.username
	}
	out := map[string]any{"message_id": m.id, "date": m.at.Unix(), "chat": chat, "from": tg.me()}
	if m.user {
		out["from"] = p.json(m.chat)
	}
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
	if to := tg.find(m.chat, m.replyTo); to != nil && replies {
		out["reply_to_message"] = tg.json(to, false)
	}
	for name, value := range m.extra {
		out[name] = value
	}
	return out
}

// Chat is what the bot has shown a user, as it stands now, oldest first.
func (tg *Telegram) Chat(user int64) []Shown {
	return slices.DeleteFunc(tg.History(user), func(s Shown) bool { return s.Mine })
}

// History is both sides of a chat as it stands now, oldest first.
func (tg *Telegram) History(user int64) []Shown {
	return read(tg, func() []Shown {
		var out []Shown
		for _, m := range tg.messages {
			if m.chat == user {
				out = append(out, m.shown())
			}
		}
		return out
	})
}

func (m *message) shown() Shown {
	s := Shown{
		MessageID: m.id, Mine: m.user, Text: m.text, Entities: slices.Clone(m.entities), ForceReply: m.forceReply,
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
