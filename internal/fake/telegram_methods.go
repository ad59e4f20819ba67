package fake

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// method is one method of the API: what it does, and its parameters. A parameter that the real server does not
// know is ignored there without a word, so a typing error would pass; here it is a violation. So is one
// that the real server knows and we do not.
type method struct {
	do     func(*Telegram, *request) (any, error)
	params []string
}

func methods() map[string]method {
	sending := []string{"chat_id", "reply_markup", "reply_parameters", "disable_notification", "protect_content", "parse_mode"}
	plus := func(more ...string) []string { return append(more, sending...) }
	return map[string]method{
		"getMe":                  {(*Telegram).getMe, nil},
		"getUpdates":             {(*Telegram).getUpdates, []string{"offset", "limit", "timeout", "allowed_updates"}},
		"getWebhookInfo":         {(*Telegram).getWebhookInfo, nil},
		"setWebhook":             {(*Telegram).setWebhook, []string{"url", "drop_pending_updates", "allowed_updates", "secret_token"}},
		"deleteWebhook":          {(*Telegram).deleteWebhook, []string{"drop_pending_updates"}},
		"sendMessage":            {(*Telegram).sendMessage, plus("text", "entities", "link_preview_options")},
		"sendDocument":           {(*Telegram).sendDocument, plus("document", "caption", "caption_entities", "disable_content_type_detection")},
		"sendPhoto":              {(*Telegram).sendPhoto, plus("photo", "caption", "caption_entities")},
		"editMessageText":        {(*Telegram).editMessageText, []string{"chat_id", "message_id", "text", "entities", "link_preview_options", "reply_markup", "parse_mode"}},
		"editMessageReplyMarkup": {(*Telegram).editMessageReplyMarkup, []string{"chat_id", "message_id", "reply_markup"}},
		"deleteMessage":          {(*Telegram).deleteMessage, []string{"chat_id", "message_id"}},
		"sendChatAction":         {(*Telegram).sendChatAction, []string{"chat_id", "action"}},
		"answerCallbackQuery":    {(*Telegram).answerCallbackQuery, []string{"callback_query_id", "text", "show_alert", "cache_time"}},
		"getFile":                {(*Telegram).getFile, []string{"file_id"}},
		"setMyCommands":          {(*Telegram).setMyCommands, []string{"commands", "scope", "language_code"}},
		"getMyCommands":          {(*Telegram).getMyCommands, []string{"scope", "language_code"}},
		"deleteMyCommands":       {(*Telegram).deleteMyCommands, []string{"scope", "language_code"}},
	}
}

// canonical is a method's name as documented; the server does not look at its case.
func canonical(name string) string {
	for known := range methods() {
		if strings.EqualFold(known, name) {
			return known
		}
	}
	return name
}

// act runs a call.
func (tg *Telegram) act(q *request) (any, error) {
	m, ok := methods()[q.method]
	if !ok {
		return nil, &refusal{code: 404, words: "Not Found: method not found", foreseen: true}
	}
	tg.mu.Lock()
	defer tg.mu.Unlock()
	for name := range q.values {
		if !slices.Contains(m.params, name) {
			tg.violation("%s: parameter %q is not known here", q.method, name)
		}
	}
	return m.do(tg, q)
}

func (tg *Telegram) getMe(*request) (any, error) {
	me := tg.self().json()
	for _, can := range []string{"can_join_groups", "can_read_all_group_messages", "supports_inline_queries", "can_connect_to_business", "has_main_web_app"} {
		me[can] = can == "can_join_groups"
	}
	return me, nil
}

func (tg *Telegram) getWebhookInfo(*request) (any, error) {
	return map[string]any{"url": tg.webhook, "has_custom_certificate": false, "pending_update_count": len(tg.updates)}, nil
}

// setWebhook only remembers the address: nothing is sent there.
func (tg *Telegram) setWebhook(q *request) (any, error) {
	if q.values["url"] == "" {
		return tg.deleteWebhook(q)
	}
	if u, err := url.Parse(q.values["url"]); err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, wrong("bad webhook: An HTTPS URL must be provided for webhook")
	}
	if err := tg.allow(q); err != nil {
		return nil, err
	}
	tg.webhook = q.values["url"]
	tg.happened()
	return true, nil
}

// SetWebhook sets a webhook, as another program with the same token may have done.
func (tg *Telegram) SetWebhook(address string) {
	tg.mu.Lock()
	defer tg.mu.Unlock()
	tg.webhook = address
	tg.happened()
}

func (tg *Telegram) deleteWebhook(q *request) (any, error) {
	tg.webhook = ""
	if q.bool("drop_pending_updates") {
		tg.updates = nil
	}
	tg.happened()
	return true, nil
}

func (tg *Telegram) sendChatAction(q *request) (any, error) {
	actions := []string{"typing", "upload_photo", "record_video", "upload_video", "record_voice", "upload_voice", "upload_document",
		"choose_sticker", "find_location", "record_video_note", "upload_video_note"}
	if !slices.Contains(actions, q.values["action"]) {
		return nil, wrong("wrong parameter action in request")
	}
	p, err := tg.recipient(q)
	if err != nil {
		return nil, err
	}
	tg.actions = append(tg.actions, Action{Chat: p.ID, Action: q.values["action"], At: time.Now()})
	tg.happened()
	return true, nil
}

// answerCallbackQuery ends the waiting of a button. A press is answered once.
func (tg *Telegram) answerCallbackQuery(q *request) (any, error) {
	id := q.values["callback_query_id"]
	if units(q.values["text"]) > 200 {
		return nil, wrong("MESSAGE_TOO_LONG")
	}
	if !tg.callbacks[id] {
		return nil, unlucky(400, "Bad Request: query is too old and response timeout expired or query ID is invalid")
	}
	delete(tg.callbacks, id)
	tg.toasts = append(tg.toasts, Toast{CallbackID: id, Text: q.values["text"], Alert: q.bool("show_alert"), At: time.Now()})
	tg.happened()
	return true, nil
}

func (tg *Telegram) setMyCommands(q *request) (any, error) {
	var list []Command
	if err := tg.object(q, "commands", "commands", &list); err != nil {
		return nil, err
	}
	name := regexp.MustCompile(`^[a-z0-9_]+$`)
	for i, c := range list {
		c.Command = strings.TrimPrefix(strings.TrimSpace(c.Command), "/")
		c.Description = strings.TrimSpace(c.Description)
		switch {
		case c.Command == "":
			return nil, wrong("command must be non-empty")
		case utf8.RuneCountInString(c.Command) > 32:
			return nil, wrong("command length must not exceed 32")
		case !name.MatchString(c.Command):
			return nil, wrong("BOT_COMMAND_INVALID")
		case c.Description == "":
			return nil, wrong("command description must be non-empty")
		case utf8.RuneCountInString(c.Description) > 256:
			return nil, wrong("command description length must not exceed 256")
		}
		list[i] = c
	}
	if len(list) > 100 {
		return nil, wrong("BOT_COMMANDS_TOO_MUCH")
	}
	tg.menus[q.menu()], tg.commands = list, list
	tg.happened()
	return true, nil
}

func (tg *Telegram) getMyCommands(q *request) (any, error) {
	return append([]Command{}, tg.menus[q.menu()]...), nil
}

func (tg *Telegram) deleteMyCommands(q *request) (any, error) {
	delete(tg.menus, q.menu())
	tg.commands = nil
	tg.happened()
	return true, nil
}

// menu names the menu that a call is about.
func (q *request) menu() string {
	scope := q.values["scope"]
	if scope == `{"type":"default"}` {
		scope = ""
	}
	return scope + " " + q.values["language_code"]
}

// RateLimit refuses with 429 what the bot sends or edits in one chat beyond so many in a second. Zero is no limit.
func (tg *Telegram) RateLimit(perChatPerSecond int) {
	tg.mu.Lock()
	defer tg.mu.Unlock()
	tg.perSecond = perChatPerSecond
}
