package telegram

import "strings"

// The types of the Bot API, as far as we read them (core.telegram.org/bots/api). They are our own: the ones of
// github.com/go-telegram/bot fail on a whole update when one variant in it is newer than they are (a kind of
// forward, of paid media), and an update that cannot be read is a message that is lost.

type update struct {
	ID       int64          `json:"update_id"`
	Message  *message       `json:"message"`
	Callback *callbackQuery `json:"callback_query"`
}

type user struct {
	ID       int64  `json:"id"`
	IsBot    bool   `json:"is_bot"`
	First    string `json:"first_name"`
	Last     string `json:"last_name"`
	Username string `json:"username"`
}

// name is what somebody calls himself: shown, and never asked.
func (u *user) name() string {
	if u == nil {
		return ""
	}
	name := strings.TrimSpace(u.First + " " + u.Last)
	if name == "" {
		name = u.Username
	}
	return cut(strings.ToValidUTF8(name, "�"), 64)
}

type chat struct {
	ID       int64  `json:"id"`
	Type     string `json:"type"`
	Title    string `json:"title"`
	Username string `json:"username"`
}

type message struct {
	ID   int64 `json:"message_id"`
	Date int64 `json:"date"` // 0: the message is inaccessible
	Chat chat  `json:"chat"`
	From *user `json:"from"`

	Forward     *origin  `json:"forward_origin"`
	ForwardDate int64    `json:"forward_date"` // all that an older server of one's own tells
	ViaBot      *user    `json:"via_bot"`
	ReplyTo     *message `json:"reply_to_message"`
	External    *struct {
		Origin *origin `json:"origin"`
	} `json:"external_reply"`
	Quote *struct {
		Text string `json:"text"`
	} `json:"quote"`

	Text    string `json:"text"`
	Caption string `json:"caption"`

	Photo     []attachment `json:"photo"`
	Animation *attachment  `json:"animation"`
	Document  *attachment  `json:"document"`
	Audio     *attachment  `json:"audio"`
	Voice     *attachment  `json:"voice"`
	Video     *attachment  `json:"video"`
	VideoNote *attachment  `json:"video_note"`

	Sticker   present `json:"sticker"`
	Venue     present `json:"venue"`
	Location  present `json:"location"`
	Contact   present `json:"contact"`
	Poll      present `json:"poll"`
	Dice      present `json:"dice"`
	Game      present `json:"game"`
	Story     present `json:"story"`
	PaidMedia present `json:"paid_media"`
	Checklist present `json:"checklist"`
	Invoice   present `json:"invoice"`
	Giveaway  present `json:"giveaway"`
	Gift      present `json:"gift"`
}

// words is what is written in a message, wherever it stands.
func (m *message) words() string {
	if m.Text != "" {
		return m.Text
	}
	return m.Caption
}

func (m *message) forwarded() bool { return m.Forward != nil || m.ForwardDate != 0 }

// present is a field of which only its being there counts.
type present bool

func (p *present) UnmarshalJSON([]byte) error {
	*p = true
	return nil
}

type attachment struct {
	FileID string `json:"file_id"`
	Name   string `json:"file_name"`
	Mime   string `json:"mime_type"`
	Size   int64  `json:"file_size"`
	Width  int64  `json:"width"`
	Height int64  `json:"height"`
}

// origin is who wrote what was forwarded, in one shape for all its variants.
type origin struct {
	Type       string `json:"type"`
	User       *user  `json:"sender_user"`
	UserName   string `json:"sender_user_name"`
	SenderChat *chat  `json:"sender_chat"`
	Chat       *chat  `json:"chat"`
	Signature  string `json:"author_signature"`
}

// from names an author in words.
func (o *origin) from() string {
	name := ""
	switch {
	case o == nil:
	case o.User != nil:
		name = o.User.name()
	case o.UserName != "":
		name = o.UserName
	case o.SenderChat != nil:
		name = o.SenderChat.Title
	case o.Chat != nil:
		name = o.Chat.Title
	}
	if o != nil && o.Signature != "" {
		name += " (" + o.Signature + ")"
	}
	if name = strings.TrimSpace(name); name == "" {
		return "somebody"
	}
	return cut(strings.ToValidUTF8(name, "�"), 128)
}

type callbackQuery struct {
	ID      string   `json:"id"`
	From    user     `json:"from"`
	Message *message `json:"message"`
	Data    string   `json:"data"`
}

type remoteFile struct {
	Path string `json:"file_path"`
	Size int64  `json:"file_size"`
}

// What we send.

type apiEntity struct {
	Type     string `json:"type"`
	Offset   int    `json:"offset"`
	Length   int    `json:"length"`
	URL      string `json:"url,omitempty"`
	Language string `json:"language,omitempty"`
}

type apiButton struct {
	Text string `json:"text"`
	Data string `json:"callback_data"`
}

type markup struct {
	Keyboard    [][]apiButton `json:"inline_keyboard,omitempty"`
	ForceReply  bool          `json:"force_reply,omitzero"`
	Selective   bool          `json:"selective,omitzero"`
	Placeholder string        `json:"input_field_placeholder,omitzero"`
}

type replyParameters struct {
	MessageID int64 `json:"message_id"`
	Anyway    bool  `json:"allow_sending_without_reply"`
}

type linkPreview struct {
	Disabled bool `json:"is_disabled"`
}

type textParams struct {
	ChatID    int64            `json:"chat_id"`
	MessageID int64            `json:"message_id,omitzero"` // of an edit
	Text      string           `json:"text"`
	Entities  []apiEntity      `json:"entities,omitempty"`
	Preview   linkPreview      `json:"link_preview_options"`
	Reply     *replyParameters `json:"reply_parameters,omitzero"`
	Markup    *markup          `json:"reply_markup,omitzero"`
}
