package fake

import (
	"slices"
	"strings"
)

// method is one method of the API: what it does, and its parameters. A parameter that the real server does not
// know is ignored there without a word, so a typing error would pass; here it is a violation. So is one
// that the real server knows and we do not.
type method struct {
	do     func(*Telegram, *request) (any, error)
	params []string
}

func methods() map[string]method {
	sending := []string{"chat_id", "reply_markup", "reply_parameters", "disable_notification", "protect_content"}
	plus := func(more ...string) []string { return append(more, sending...) }
	return map[string]method{
		"getMe":       {(*Telegram).getMe, nil},
		"getUpdates":  {(*Telegram).getUpdates, []string{"offset", "limit", "timeout", "allowed_updates"}},
		"sendMessage": {(*Telegram).sendMessage, plus("text", "entities", "link_preview_options")},
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
	me := tg.me()
	for _, can := range []string{"can_join_groups", "can_read_all_group_messages", "supports_inline_queries", "can_connect_to_business", "has_main_web_app"} {
		me[can] = can == "can_join_groups"
	}
	return me, nil
}

func (tg *Telegram) me() map[string]any {
	return map[string]any{"id": tg.id, "is_bot": true, "first_name": "SecureClaw", "username": tg.name}
}
