package telegram

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/secureclaw/secureclaw/bridge/telegram/internal/card"
	"github.com/secureclaw/secureclaw/bridge/telegram/internal/entity"
	"github.com/secureclaw/secureclaw/internal/wire"
)

const (
	maxTextParts = 3    // more become a file
	summaryUnits = 600  // of the text that stands before the file
	captionUnits = 1024 // Telegram's limit
)

// show shows one part of an item. The error is an [apiError], errAway, or ctx's.
func (b *bridge) show(ctx context.Context, s *session, in wire.Send) (wire.Sent, error) {
	chat := refOf(in.User)
	switch in.Kind {
	case wire.SendText:
		return b.showText(ctx, chat, in)
	case wire.SendCard:
		return b.showCard(ctx, chat, in)
	case wire.SendWhy:
		return b.showWhy(ctx, chat, in)
	case wire.SendFile:
		return b.showFile(ctx, chat, s, in)
	case wire.SendMenu:
		return b.showMenu(ctx, chat, in)
	}
	return wire.Sent{}, forGood("an item of the unknown kind " + cut(in.Kind, 20))
}

// forGood is an item that cannot be shown, whatever Telegram says.
func forGood(what string) error {
	return &apiError{Method: "show", Code: http.StatusBadRequest, Description: "refused for good: " + what}
}

// piece is one message of a text: words, or a file with the words.
type piece struct {
	text entity.Message
	file *document
}

// pieces cuts Markdown into messages. The same text always gives the same pieces: part 2 after a restart goes on
// where part 1 ended.
func pieces(markdown string) []piece {
	all := entity.Render(markdown)
	parts := entity.Split(all, entity.MaxUnits)
	if len(parts) <= maxTextParts {
		var out []piece
		for _, p := range parts {
			out = append(out, piece{text: p})
		}
		return out
	}
	short := entity.Split(all, summaryUnits)[0]
	short.Text += "\n\n… complete in the file below"
	return []piece{{text: short}, {file: textFile("answer.md", "text/markdown; charset=utf-8", markdown)}}
}

func textFile(name, mime, text string) *document {
	text = strings.ToValidUTF8(text, "�")
	return &document{name: name, mime: mime, size: int64(len(text)), body: strings.NewReader(text)}
}

func (b *bridge) showText(ctx context.Context, chat int64, in wire.Send) (wire.Sent, error) {
	all := pieces(in.Text)
	// A part that is not there was shown by a build that cut otherwise. Its end is better shown twice than not.
	p := all[min(max(in.Part, 0), len(all)-1)]
	how := manner{replyTo: refOf(in.ReplyTo)}
	if in.Run != "" {
		// Even if another part is next: from here on nothing paints this run.
		bubble := b.streams.stop(ctx, in.Run)
		if bubble == "" {
			bubble = in.Bubble
		}
		if in.Part == 0 {
			how.edit = refOf(bubble)
		}
	}
	if in.Part > 0 {
		how.replyTo = 0
	}
	id, err := b.put(ctx, chat, p, how)
	return wire.Sent{Parts: max(len(all), in.Part+1), Ref: ref(id)}, err
}

func (b *bridge) showWhy(ctx context.Context, chat int64, in wire.Send) (wire.Sent, error) {
	if in.Card == nil {
		return wire.Sent{}, forGood("a question without its card")
	}
	how := manner{replyTo: refOf(in.ReplyTo), markup: &markup{ForceReply: true, Selective: true, Placeholder: "Why not?"}}
	id, err := b.put(ctx, chat, piece{text: card.Why(*in.Card)}, how)
	return wire.Sent{Parts: 1, Ref: ref(id)}, err
}

// showCard shows an approval as it stands: the arguments that do not fit first, as a file, then the question. What is
// shown already is edited.
func (b *bridge) showCard(ctx context.Context, chat int64, in wire.Send) (wire.Sent, error) {
	if in.Card == nil {
		return wire.Sent{}, forGood("a card without its approval")
	}
	c, err := card.Render(*in.Card, b.o.Location)
	if err != nil {
		return wire.Sent{}, forGood("a card that cannot be shown: " + b.api.clean(err.Error()))
	}
	// An item that is edited counts its parts from 0 again. Otherwise part 0 is the file, if there is one.
	edit := in.Part == 0 && len(in.Shown) > 0
	sent := wire.Sent{Parts: in.Part + 1, State: in.Card.State}
	if c.File != nil && in.Part == 0 && !edit {
		d := &document{name: c.File.Name, mime: "application/json", size: int64(len(c.File.Data)), body: bytes.NewReader(c.File.Data)}
		if err := b.ready(ctx, chat); err != nil {
			return wire.Sent{}, err
		}
		id, err := b.upload(ctx, chat, d, entity.Message{}, 0)
		if e := asAPI(err); err == nil || e.Code != http.StatusBadRequest && e.Code != http.StatusRequestEntityTooLarge || hopeless(e) {
			return wire.Sent{Parts: 2, Ref: ref(id)}, err // no state: the question itself is not shown yet
		}
		b.o.Log.Error("Telegram refuses the arguments of a question as a file", "item", in.Item, "err", err)
		c = c.Undelivered() // not all of it can be seen, so it has no buttons
	}
	how := manner{stays: true}
	if len(c.Buttons) > 0 {
		how.markup = &markup{}
		for _, row := range c.Buttons {
			var keys []apiButton
			for _, k := range row {
				keys = append(keys, apiButton{k.Text, k.Data})
			}
			how.markup.Keyboard = append(how.markup.Keyboard, keys)
		}
	}
	if edit {
		how.edit = refOf(in.Shown[len(in.Shown)-1])
		// A card that was shown twice, because nobody knew of the first time, is right in both places.
		others := in.Shown[:len(in.Shown)-1]
		if len(others) > 0 && beginsWithFile(*in.Card) {
			others = others[1:]
		}
		for _, other := range others {
			if err := b.editToo(ctx, chat, refOf(other), c.Message, how.markup); err != nil {
				return wire.Sent{}, err
			}
		}
	}
	id, err := b.put(ctx, chat, piece{text: c.Message}, how)
	if e := asAPI(err); err != nil && e.Code == http.StatusBadRequest && !hopeless(e) {
		// It would be refused again and again, and everything else of this user waits behind it.
		b.o.Log.Error("Telegram refuses a card", "item", in.Item, "err", e)
		text := fmt.Sprintf("🔐 Question %s (%s) cannot be shown here. The terminal shows it.", in.Card.Code, cut(in.Card.Tool, 40))
		id, err = b.put(ctx, chat, piece{text: entity.Plain(text)}, manner{})
	}
	if err == nil {
		b.streams.asks(chat, in.Card)
	}
	if id != how.edit {
		sent.Ref = ref(id)
	}
	return sent, err
}

// beginsWithFile reports whether a card's first message is the file with its arguments, which stays as it is.
func beginsWithFile(c wire.Card) bool {
	c.State = "pending" // settled cards have no file any more
	asked, err := card.Render(c, nil)
	return err == nil && asked.File != nil
}

// editToo edits one more message that shows a card. One that is gone stays gone.
func (b *bridge) editToo(ctx context.Context, chat, id int64, text entity.Message, keys *markup) error {
	if err := b.ready(ctx, chat); err != nil {
		return err
	}
	params := textParams{ChatID: chat, MessageID: id, Text: text.Text, Entities: entities(text), Preview: linkPreview{true}, Markup: keys}
	err := b.api.call(ctx, b.t.call, "editMessageText", params, &message{})
	if e := asAPI(err); err != nil && e.Code == http.StatusBadRequest && !hopeless(e) {
		return nil
	}
	return err
}

func (b *bridge) showFile(ctx context.Context, chat int64, s *session, in wire.Send) (wire.Sent, error) {
	if in.File == nil || in.File.Size < 0 || in.File.Size > wire.MaxFile {
		return wire.Sent{}, forGood("a file that cannot be sent")
	}
	caption, before := entity.Message{}, []piece(nil)
	if strings.TrimSpace(in.Text) != "" {
		if caption = entity.Render(in.Text); entity.Units(caption.Text) > captionUnits {
			caption, before = entity.Message{}, pieces(in.Text)
		}
	}
	sent := wire.Sent{Parts: max(len(before)+1, in.Part+1)}
	how := manner{}
	if in.Part == 0 {
		how.replyTo = refOf(in.ReplyTo)
	}
	if in.Part < len(before) {
		id, err := b.put(ctx, chat, before[in.Part], how)
		sent.Ref = ref(id)
		return sent, err
	}
	d := &document{name: in.File.Name, mime: in.File.Mime, size: in.File.Size, body: b.fetched(ctx, s, in)}
	if err := b.ready(ctx, chat); err != nil {
		return wire.Sent{}, err
	}
	id, err := b.upload(ctx, chat, d, caption, how.replyTo)
	if e := asAPI(err); err != nil && (e.Code == http.StatusBadRequest || e.Code == http.StatusRequestEntityTooLarge) && !hopeless(e) {
		// Telegram does not want this file, today or tomorrow. The user hears of it.
		text := fmt.Sprintf("The file %s could not be sent: Telegram does not take it.", cut(in.File.Name, 100))
		id, err = b.put(ctx, chat, piece{text: entity.Plain(text)}, how)
	}
	sent.Ref = ref(id)
	return sent, err
}

// manner is how a piece is shown.
type manner struct {
	edit    int64 // the message that it takes the place of
	replyTo int64
	markup  *markup
	// stays: an edited message that is gone stays gone. The state of a card is told elsewhere, and a new message
	// without buttons would be noise; a menu was deleted by its user.
	stays bool
}

// ready waits for a turn, right before a message leaves.
func (b *bridge) ready(ctx context.Context, chat int64) error {
	if err := b.pace.wait(ctx, chat); err != nil {
		return err
	}
	b.o.Step("bridge.sending")
	return nil
}

// put shows one piece and returns the message that shows it. Any text gets through: as it is, or without
// formatting, or as a file.
func (b *bridge) put(ctx context.Context, chat int64, p piece, how manner) (int64, error) {
	if err := b.ready(ctx, chat); err != nil {
		return 0, err
	}
	if p.file != nil {
		return b.upload(ctx, chat, p.file, entity.Message{}, how.replyTo)
	}
	params := textParams{ChatID: chat, MessageID: how.edit, Text: p.text.Text, Entities: entities(p.text), Preview: linkPreview{true}, Markup: how.markup}
	for {
		method := "editMessageText"
		if params.MessageID == 0 {
			method = "sendMessage"
			if how.replyTo != 0 {
				params.Reply = &replyParameters{how.replyTo, true}
			}
		}
		var m message
		err := b.api.call(ctx, b.t.call, method, params, &m)
		if err == nil {
			if m.ID == 0 {
				m.ID = params.MessageID
			}
			return m.ID, nil
		}
		e := asAPI(err)
		switch {
		case e.Code != http.StatusBadRequest || hopeless(e):
			return 0, err
		case params.MessageID != 0 && e.says("message is not modified"):
			return params.MessageID, nil
		case params.MessageID != 0 && e.says("message to edit not found", "message_id_invalid") && how.stays:
			return params.MessageID, nil
		case params.MessageID != 0 && e.says("message to edit not found", "can't be edited", "message_id_invalid", "no text in the message"):
			params.MessageID = 0
		case len(params.Entities) > 0:
			b.o.Log.Warn("Telegram refuses the formatting of a text, which is sent without", "err", e)
			params.Entities = nil
		case how.markup != nil || how.stays:
			return 0, err // as a file it could not be answered
		default:
			b.o.Log.Warn("Telegram refuses a text, which is sent as a file", "err", e)
			id, err := b.upload(ctx, chat, textFile("message.txt", "text/plain; charset=utf-8", p.text.Text), entity.Message{}, how.replyTo)
			if err == nil && how.edit != 0 {
				b.remove(ctx, chat, how.edit) // one outcome, not an old picture beside it
			}
			if e := asAPI(err); err != nil && e.Code == http.StatusBadRequest && !hopeless(e) {
				return 0, forGood(e.Description)
			}
			return id, err
		}
	}
}

// remove deletes a message of ours, as well as it can.
func (b *bridge) remove(ctx context.Context, chat, id int64) {
	err := b.api.call(ctx, b.t.call, "deleteMessage", struct {
		Chat int64 `json:"chat_id"`
		ID   int64 `json:"message_id"`
	}{chat, id}, nil)
	if err != nil && ctx.Err() == nil {
		b.o.Log.Warn("an old message stays", "err", err)
	}
}

func entities(m entity.Message) []apiEntity {
	var out []apiEntity
	for _, e := range m.Entities {
		out = append(out, apiEntity{e.Type, e.Offset, e.Length, e.URL, e.Language})
	}
	return out
}
