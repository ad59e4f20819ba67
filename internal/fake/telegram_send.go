package fake

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"
)

// sendMessage shows a text.
func (tg *Telegram) sendMessage(q *request) (any, error) {
	m := &message{}
	if err := tg.body(q, m, "text", "entities"); err != nil {
		return nil, err
	}
	return tg.send(q, m)
}

// body reads text, entities and buttons into m, all that can be refused without a look at the chat.
func (tg *Telegram) body(q *request, m *message, text, entities string) error {
	if q.values["parse_mode"] != "" {
		return wrong("can't parse entities: parse_mode is not known here, texts go out with entities")
	}
	if text == "text" && q.values[text] == "" {
		return wrong("message text is empty")
	}
	list, err := tg.entities(q, entities)
	if err != nil {
		return err
	}
	m.text, m.entities, err = normalize(q.values[text], list, text == "caption")
	if err != nil {
		return err
	}
	return tg.markup(q, m)
}

// send shows a new message of the bot.
func (tg *Telegram) send(q *request, m *message) (any, error) {
	p, err := tg.recipient(q)
	if err != nil {
		return nil, err
	}
	m.chat, m.from = p.private(), tg.self()
	if m.replyTo, err = tg.replied(q, m.chat.ID); err != nil {
		return nil, err
	}
	if m.file != nil && units(m.text) > maxCaption {
		return nil, wrong("message caption is too long")
	}
	if units(m.text) > maxText {
		return nil, wrong("message is too long")
	}
	if err := tg.pace(p); err != nil {
		return nil, err
	}
	tg.lastMessage++
	m.id, m.at = tg.lastMessage, time.Now()
	tg.messages = append(tg.messages, m)
	tg.happened()
	return tg.json(m, true), nil
}

// recipient is whom a call writes to. The caller holds mu.
func (tg *Telegram) recipient(q *request) (*person, error) {
	if q.values["chat_id"] == "" {
		return nil, wrong("chat_id is empty")
	}
	p := tg.people[q.integer("chat_id", math.MinInt64)]
	switch {
	case p == nil:
		return nil, unlucky(400, "Bad Request: chat not found")
	case p.blocked:
		return nil, unlucky(403, "Forbidden: bot was blocked by the user")
	case !p.started:
		return nil, unlucky(403, "Forbidden: bot can't initiate conversation with a user")
	}
	return p, nil
}

// pace is the rate limit of one chat. The caller holds mu.
func (tg *Telegram) pace(p *person) error {
	if tg.perSecond == 0 {
		return nil
	}
	now := time.Now()
	p.sent = slices.DeleteFunc(p.sent, func(t time.Time) bool { return now.Sub(t) >= time.Second })
	if len(p.sent) >= tg.perSecond {
		return &refusal{code: 429, words: "Too Many Requests: retry after 1", retryAfter: 1}
	}
	p.sent = append(p.sent, now)
	return nil
}

// replied is the message that a new one answers.
func (tg *Telegram) replied(q *request, chat int64) (int64, error) {
	var to struct {
		MessageID int64 `json:"message_id"`
		ChatID    any   `json:"chat_id"`
		Without   bool  `json:"allow_sending_without_reply"`
	}
	if err := tg.object(q, "reply_parameters", "reply parameters", &to); err != nil || q.values["reply_parameters"] == "" {
		return 0, err
	}
	if to.MessageID == 0 {
		return 0, wrong("Can't find field \"message_id\"")
	}
	if other, given := number(to.ChatID); given && other != chat {
		tg.violation("%s: a reply to another chat is not known here", q.method)
	}
	if tg.find(chat, to.MessageID) != nil {
		return to.MessageID, nil
	}
	if to.Without {
		return 0, nil
	}
	return 0, unlucky(400, "Bad Request: message to be replied not found")
}

// key is a button as it comes: clients send the fields of other kinds along, empty.
type key struct {
	Button
	CopyText struct {
		Text string `json:"text"`
	} `json:"copy_text"`
}

// markup reads the buttons of a message.
func (tg *Telegram) markup(q *request, m *message) error {
	var markup struct {
		Keyboard    [][]key         `json:"inline_keyboard"`
		Force       bool            `json:"force_reply"`
		Placeholder string          `json:"input_field_placeholder"`
		Selective   bool            `json:"selective"`
		Remove      bool            `json:"remove_keyboard"`
		Reply       json.RawMessage `json:"keyboard"`
	}
	if err := tg.object(q, "reply_markup", "reply keyboard markup", &markup); err != nil {
		return err
	}
	if markup.Reply != nil || markup.Remove {
		tg.violation("%s: only inline keyboards and force_reply are known here", q.method)
	}
	count := 0
	for _, keys := range markup.Keyboard {
		var row []Button
		for _, k := range keys {
			if err := k.check(); err != nil {
				return err
			}
			row = append(row, k.Button)
		}
		if len(row) > 0 {
			m.buttons = append(m.buttons, row)
		}
		count += len(row)
	}
	if count > 100 {
		return wrong("reply markup is too long")
	}
	m.forceReply = count == 0 && markup.Force
	if units(markup.Placeholder) > 64 {
		return wrong("REPLY_MARKUP_PLACEHOLDER_INVALID")
	}
	return nil
}

func (k key) check() error {
	switch {
	case k.Text == "":
		return wrong("can't parse inline keyboard button: Can't find field \"text\"")
	case k.URL != "" && badLink(k.URL) != "":
		return wrong("inline keyboard button URL '%s' is invalid: %s", k.URL, badLink(k.URL))
	case k.URL == "" && k.Data == "" && k.CopyText.Text != "":
		return wrong("a button that copies is not known here")
	case k.URL == "" && k.Data == "":
		return wrong("can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard")
	case len(k.Data) > 64:
		return wrong("BUTTON_DATA_INVALID")
	}
	return nil
}

// object reads a parameter that is JSON. A field that is not known is taken for a mistake.
func (tg *Telegram) object(q *request, name, what string, into any) error {
	raw := q.values[name]
	if raw == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(raw), into); err != nil {
		return wrong("can't parse %s JSON object", what)
	}
	strict := json.NewDecoder(strings.NewReader(raw))
	strict.DisallowUnknownFields()
	if err := strict.Decode(reflect.New(reflect.TypeOf(into).Elem()).Interface()); err != nil {
		tg.violation("%s: %s: %v", q.method, name, err)
	}
	return nil
}

// editMessageText changes a text; without buttons in the call the message loses those it has.
func (tg *Telegram) editMessageText(q *request) (any, error) {
	next := &message{}
	if err := tg.body(q, next, "text", "entities"); err != nil {
		return nil, err
	}
	m, err := tg.editable(q, next)
	if err != nil {
		return nil, err
	}
	if m.file != nil {
		return nil, wrong("there is no text in the message to edit")
	}
	if units(next.text) > maxText {
		return nil, wrong("MESSAGE_TOO_LONG")
	}
	return tg.change(m, next.text, next.entities, next.buttons)
}

// editMessageReplyMarkup changes or removes the buttons.
func (tg *Telegram) editMessageReplyMarkup(q *request) (any, error) {
	next := &message{}
	if err := tg.markup(q, next); err != nil {
		return nil, err
	}
	m, err := tg.editable(q, next)
	if err != nil {
		return nil, err
	}
	return tg.change(m, m.text, m.entities, next.buttons)
}

// editable finds the bot's message that a call wants to change.
func (tg *Telegram) editable(q *request, next *message) (*message, error) {
	if q.values["chat_id"] == "" && q.values["message_id"] == "" {
		return nil, wrong("message identifier is not specified")
	}
	p, err := tg.recipient(q)
	if err != nil {
		return nil, err
	}
	m := tg.find(p.ID, q.integer("message_id", 0))
	switch {
	case m == nil:
		return nil, unlucky(400, "Bad Request: message to edit not found")
	case m.from.ID != tg.id || m.forceReply:
		return nil, wrong("message can't be edited")
	case next.forceReply:
		return nil, wrong("inline keyboard expected")
	}
	return m, tg.pace(p)
}

// change is an edit, if it changes anything.
func (tg *Telegram) change(m *message, text string, entities []Entity, buttons [][]Button) (any, error) {
	same := func(a, b any) bool { return fmt.Sprint(a) == fmt.Sprint(b) }
	if m.text == text && same(m.entities, entities) && same(m.buttons, buttons) {
		return nil, unlucky(400, "Bad Request: message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message")
	}
	m.text, m.entities, m.buttons = text, entities, buttons
	m.edited = time.Now()
	m.edits++
	tg.happened()
	return tg.json(m, true), nil
}

// deleteMessage takes a message away on both sides; in a private chat a bot may do that to all.
func (tg *Telegram) deleteMessage(q *request) (any, error) {
	if q.values["message_id"] == "" {
		return nil, wrong("message identifier is not specified")
	}
	p, err := tg.recipient(q)
	if err != nil {
		return nil, err
	}
	m := tg.find(p.ID, q.integer("message_id", 0))
	if m == nil {
		return nil, unlucky(400, "Bad Request: message to delete not found")
	}
	if time.Since(m.at) > 48*time.Hour {
		return nil, unlucky(400, "Bad Request: message can't be deleted")
	}
	tg.remove(m)
	return true, nil
}

func (tg *Telegram) remove(m *message) {
	tg.messages = slices.DeleteFunc(tg.messages, func(o *message) bool { return o == m })
	tg.happened()
}
