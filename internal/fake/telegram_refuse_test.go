package fake_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/secureclaw/secureclaw/internal/fake"
)

// What a client could have foreseen is refused, and fails the test of who sends it.
func TestTelegramRefusesWhatIsWrong(t *testing.T) {
	keys := func(n int) string {
		return strings.Repeat(`[{"text":"A","callback_data":"a"}],`, n-1) + `[{"text":"A","callback_data":"a"}]`
	}
	entity := func(text, e string) string { return fmt.Sprintf(`{"chat_id":5,"text":%q,"entities":[%s]}`, text, e) }
	markup := func(m string) string { return `{"chat_id":5,"text":"x","reply_markup":` + m + `}` }
	commands := func(list string) string { return `{"commands":[` + list + `]}` }
	for name, tc := range map[string]struct {
		method, body string
		code         int
		words        string
	}{
		"no such method":                  {"sendMesage", `{}`, 404, "Not Found: method not found"},
		"not JSON":                        {"sendMessage", `{"chat_id":5,`, 400, "Bad Request: can't parse JSON object"},
		"not UTF-8":                       {"sendMessage", "{\"chat_id\":5,\"text\":\"\xff\"}", 400, "Bad Request: strings must be encoded in UTF-8"},
		"no text":                         {"sendMessage", `{"chat_id":5}`, 400, "Bad Request: message text is empty"},
		"an empty text":                   {"sendMessage", `{"chat_id":5,"text":""}`, 400, "Bad Request: message text is empty"},
		"white space":                     {"sendMessage", `{"chat_id":5,"text":" \n\t "}`, 400, "Bad Request: text must be non-empty"},
		"zero width alone":                {"sendMessage", `{"chat_id":5,"text":"\u200b\ufeff"}`, 400, "Bad Request: text must be non-empty"},
		"no chat":                         {"sendMessage", `{"text":"x"}`, 400, "Bad Request: chat_id is empty"},
		"4097 letters":                    {"sendMessage", `{"chat_id":5,"text":"` + strings.Repeat("ä", 4097) + `"}`, 400, "Bad Request: message is too long"},
		"2049 emoji":                      {"sendMessage", `{"chat_id":5,"text":"` + strings.Repeat("😀", 2049) + `"}`, 400, "Bad Request: message is too long"},
		"33 kB":                           {"sendMessage", `{"chat_id":5,"text":"` + strings.Repeat("x", 33000) + `"}`, 400, "Bad Request: text is too long"},
		"a parse mode":                    {"sendMessage", `{"chat_id":5,"text":"x","parse_mode":"HTML"}`, 400, "Bad Request: can't parse entities: parse_mode is not known here, texts go out with entities"},
		"an entity of no type":            {"sendMessage", entity("abc", `{"offset":0,"length":1}`), 400, `Bad Request: can't parse MessageEntity: Can't find field "type"`},
		"an entity without offset":        {"sendMessage", entity("abc", `{"type":"bold","length":1}`), 400, `Bad Request: can't parse MessageEntity: Can't find field "offset"`},
		"an unknown entity":               {"sendMessage", entity("abc", `{"type":"heading","offset":0,"length":1}`), 400, "Bad Request: can't parse MessageEntity: Unsupported type specified"},
		"a link to nowhere":               {"sendMessage", entity("abc", `{"type":"text_link","offset":0,"length":1}`), 400, `Bad Request: can't parse MessageEntity: Can't find field "url"`},
		"a link of mail":                  {"sendMessage", entity("abc", `{"type":"text_link","offset":0,"length":1,"url":"mailto:a@b.c"}`), 400, "Bad Request: entity URL 'mailto:a@b.c' is invalid: Unsupported URL protocol"},
		"a link to a file":                {"sendMessage", entity("abc", `{"type":"text_link","offset":0,"length":1,"url":"file:///etc/passwd"}`), 400, "Bad Request: entity URL 'file:///etc/passwd' is invalid: Unsupported URL protocol"},
		"a link to this machine":          {"sendMessage", entity("abc", `{"type":"text_link","offset":0,"length":1,"url":"http://localhost:3333"}`), 400, "Bad Request: entity URL 'http://localhost:3333' is invalid: Wrong HTTP URL"},
		"a negative offset":               {"sendMessage", entity("abc", `{"type":"bold","offset":-1,"length":1}`), 400, "Bad Request: receive an entity with incorrect offset -1"},
		"a negative length":               {"sendMessage", entity("abc", `{"type":"bold","offset":0,"length":-1}`), 400, "Bad Request: receive an entity with incorrect length -1"},
		"an entity after the end":         {"sendMessage", entity("abc", `{"type":"bold","offset":4,"length":1}`), 400, "Bad Request: entity begins after the end of the text at UTF-16 offset 4"},
		"an entity beyond the end":        {"sendMessage", entity("abc", `{"type":"bold","offset":2,"length":2}`), 400, "Bad Request: entity beginning at UTF-16 offset 2 ends after the end of the text at UTF-16 offset 4"},
		"an entity that counts bytes":     {"sendMessage", entity("äöü", `{"type":"bold","offset":0,"length":6}`), 400, "Bad Request: entity beginning at UTF-16 offset 0 ends after the end of the text at UTF-16 offset 6"},
		"an entity from within a pair":    {"sendMessage", entity("👉x", `{"type":"bold","offset":1,"length":1}`), 400, "Bad Request: entity begins in a middle of a UTF-16 symbol at byte offset 4"},
		"an entity into a pair":           {"sendMessage", entity("👉x", `{"type":"bold","offset":0,"length":1}`), 400, "Bad Request: entity beginning at UTF-16 offset 0 ends in a middle of a UTF-16 symbol at byte offset 4"},
		"markup that is no JSON":          {"sendMessage", `{"chat_id":5,"text":"x","reply_markup":"{"}`, 400, "Bad Request: can't parse reply keyboard markup JSON object"},
		"a button that does nothing":      {"sendMessage", markup(`{"inline_keyboard":[[{"text":"A"}]]}`), 400, "Bad Request: can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard"},
		"a button without words":          {"sendMessage", markup(`{"inline_keyboard":[[{"callback_data":"a"}]]}`), 400, `Bad Request: can't parse inline keyboard button: Can't find field "text"`},
		"65 bytes of data":                {"sendMessage", markup(`{"inline_keyboard":[[{"text":"A","callback_data":"` + strings.Repeat("x", 65) + `"}]]}`), 400, "Bad Request: BUTTON_DATA_INVALID"},
		"33 umlauts of data":              {"sendMessage", markup(`{"inline_keyboard":[[{"text":"A","callback_data":"` + strings.Repeat("ä", 33) + `"}]]}`), 400, "Bad Request: BUTTON_DATA_INVALID"},
		"a button to this machine":        {"sendMessage", markup(`{"inline_keyboard":[[{"text":"A","url":"http://127001/"}]]}`), 400, "Bad Request: inline keyboard button URL 'http://127001/' is invalid: Wrong HTTP URL"},
		"101 buttons":                     {"sendMessage", markup(`{"inline_keyboard":[` + keys(101) + `]}`), 400, "Bad Request: reply markup is too long"},
		"a reply to nothing":              {"sendMessage", `{"chat_id":5,"text":"x","reply_parameters":{"allow_sending_without_reply":true}}`, 400, `Bad Request: Can't find field "message_id"`},
		"an edit to nothing":              {"editMessageText", `{"chat_id":5,"message_id":42,"text":""}`, 400, "Bad Request: message text is empty"},
		"an edit too long":                {"editMessageText", `{"chat_id":5,"message_id":42,"text":"` + strings.Repeat("x", 4097) + `"}`, 400, "Bad Request: MESSAGE_TOO_LONG"},
		"an edit of the user's words":     {"editMessageText", `{"chat_id":5,"message_id":41,"text":"x"}`, 400, "Bad Request: message can't be edited"},
		"an edit of force_reply":          {"editMessageText", `{"chat_id":5,"message_id":43,"text":"x"}`, 400, "Bad Request: message can't be edited"},
		"an edit into force_reply":        {"editMessageText", `{"chat_id":5,"message_id":42,"text":"x","reply_markup":{"force_reply":true}}`, 400, "Bad Request: inline keyboard expected"},
		"an edit of no message":           {"editMessageText", `{"text":"x"}`, 400, "Bad Request: message identifier is not specified"},
		"buttons that do nothing":         {"editMessageReplyMarkup", `{"chat_id":5,"message_id":42,"reply_markup":{"inline_keyboard":[[{"text":"A"}]]}}`, 400, "Bad Request: can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard"},
		"a deletion of no message":        {"deleteMessage", `{"chat_id":5}`, 400, "Bad Request: message identifier is not specified"},
		"an unknown action":               {"sendChatAction", `{"chat_id":5,"action":"dancing"}`, 400, "Bad Request: wrong parameter action in request"},
		"201 letters of toast":            {"answerCallbackQuery", `{"callback_query_id":"1","text":"` + strings.Repeat("x", 201) + `"}`, 400, "Bad Request: MESSAGE_TOO_LONG"},
		"no document":                     {"sendDocument", `{"chat_id":5}`, 400, "Bad Request: there is no document in the request"},
		"a document nobody has":           {"sendDocument", `{"chat_id":5,"document":"AAA"}`, 400, "Bad Request: wrong file identifier/HTTP URL specified"},
		"no file":                         {"getFile", `{}`, 400, "Bad Request: file_id not specified"},
		"a file nobody has":               {"getFile", `{"file_id":"AAA"}`, 400, "Bad Request: invalid file_id"},
		"a command in capitals":           {"setMyCommands", commands(`{"command":"New","description":"d"}`), 400, "Bad Request: BOT_COMMAND_INVALID"},
		"a command without a name":        {"setMyCommands", commands(`{"command":"","description":"d"}`), 400, "Bad Request: command must be non-empty"},
		"a command of 33 letters":         {"setMyCommands", commands(`{"command":"` + strings.Repeat("x", 33) + `","description":"d"}`), 400, "Bad Request: command length must not exceed 32"},
		"a command that says nothing":     {"setMyCommands", commands(`{"command":"new","description":" "}`), 400, "Bad Request: command description must be non-empty"},
		"a command that says too much":    {"setMyCommands", commands(`{"command":"new","description":"` + strings.Repeat("x", 257) + `"}`), 400, "Bad Request: command description length must not exceed 256"},
		"101 commands":                    {"setMyCommands", commands(strings.Repeat(`{"command":"new","description":"d"},`, 100) + `{"command":"new","description":"d"}`), 400, "Bad Request: BOT_COMMANDS_TOO_MUCH"},
		"a webhook that is not encrypted": {"setWebhook", `{"url":"http://example.com"}`, 400, "Bad Request: bad webhook: An HTTPS URL must be provided for webhook"},
	} {
		t.Run(name, func(t *testing.T) {
			b, j := strict(t) // 41 is the user's
			b.must("sendMessage", `{"chat_id":5,"text":"42"}`)
			b.must("sendMessage", `{"chat_id":5,"text":"43","reply_markup":{"force_reply":true}}`)
			b.refused(tc.method, tc.body, tc.code, tc.words)
			if !strings.Contains(j.verdict(), tc.words) || len(b.tg.Violations()) != 1 {
				t.Errorf("the test was told %q, and violations are %q", j.verdict(), b.tg.Violations())
			}
			if len(b.tg.Chat(5)) != 2 {
				t.Errorf("what was refused is shown: %+v", b.tg.Chat(5))
			}
		})
	}
}

// What the server would pass over in silence is taken for a mistake.
func TestTelegramMindsWhatTheServerIgnores(t *testing.T) {
	for name, tc := range map[string]struct{ method, body, told string }{
		"a parameter with a typing error": {"sendMessage", `{"chat_id":5,"text":"x","entites":[]}`, `"entites" is not known`},
		"a field with a typing error":     {"sendMessage", `{"chat_id":5,"text":"x","reply_markup":{"inline_keybord":[]}}`, "inline_keybord"},
		"a button with one":               {"sendMessage", `{"chat_id":5,"text":"x","reply_markup":{"inline_keyboard":[[{"text":"A","callback_data":"a","colour":1}]]}}`, "colour"},
		"entities that are no list":       {"sendMessage", `{"chat_id":5,"text":"x","entities":"bold"}`, "not a list"},
		"an update nobody knows":          {"getUpdates", `{"allowed_updates":["mesage"]}`, `"mesage"`},
		"a keyboard for all":              {"sendMessage", `{"chat_id":5,"text":"x","reply_markup":{"keyboard":[["A"]]}}`, "only inline keyboards"},
	} {
		t.Run(name, func(t *testing.T) {
			b, j := strict(t)
			b.must(tc.method, tc.body)
			if !strings.Contains(j.verdict(), tc.told) {
				t.Errorf("the test was told %q, want %q", j.verdict(), tc.told)
			}
		})
	}
}

// What only the server can know is refused without blame.
func TestTelegramRefusesWithoutBlame(t *testing.T) {
	b, j := strict(t)
	text := func(chat int) string { return fmt.Sprintf(`{"chat_id":%d,"text":"x"}`, chat) }
	b.refused("sendMessage", text(6), 400, "Bad Request: chat not found")
	b.refused("sendMessage", text(-100123), 400, "Bad Request: chat not found")
	b.tg.Meet(7)
	b.refused("sendMessage", text(7), 403, "Forbidden: bot can't initiate conversation with a user")
	b.tg.Say(7, "/start")
	b.must("sendMessage", text(7))
	b.tg.Block(7)
	b.refused("sendMessage", text(7), 403, "Forbidden: bot was blocked by the user")
	b.refused("sendChatAction", `{"chat_id":7,"action":"typing"}`, 403, "Forbidden: bot was blocked by the user")
	b.tg.Say(7, "sorry")
	b.must("sendMessage", text(7))

	id := sent(t, b.must("sendMessage", text(5)))
	same := "Bad Request: message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message"
	b.refused("editMessageText", fmt.Sprintf(`{"chat_id":5,"message_id":%d,"text":"x"}`, id), 400, same)
	b.refused("editMessageText", fmt.Sprintf(`{"chat_id":5,"message_id":%d,"text":" x\n"}`, id), 400, same)
	b.refused("editMessageReplyMarkup", fmt.Sprintf(`{"chat_id":5,"message_id":%d}`, id), 400, same)
	b.tg.Delete(5, id)
	b.refused("editMessageText", fmt.Sprintf(`{"chat_id":5,"message_id":%d,"text":"y"}`, id), 400, "Bad Request: message to edit not found")
	b.refused("editMessageText", fmt.Sprintf(`{"chat_id":7,"message_id":%d,"text":"y"}`, id), 400, "Bad Request: message to edit not found")
	b.refused("deleteMessage", fmt.Sprintf(`{"chat_id":5,"message_id":%d}`, id), 400, "Bad Request: message to delete not found")
	b.refused("sendMessage", fmt.Sprintf(`{"chat_id":5,"text":"y","reply_parameters":{"message_id":%d}}`, id), 400, "Bad Request: message to be replied not found")
	got := sent(t, b.must("sendMessage", fmt.Sprintf(`{"chat_id":5,"text":"y","reply_parameters":{"message_id":%d,"allow_sending_without_reply":true}}`, id)))
	if s, _ := b.tg.Message(5, got); s.ReplyTo != 0 {
		t.Errorf("the reply to what is gone replies to %d", s.ReplyTo)
	}
	b.refused("answerCallbackQuery", `{"callback_query_id":"77"}`, 400, "Bad Request: query is too old and response timeout expired or query ID is invalid")

	if r, err := b.post("/bot7000000001:AAother/getMe", "application/json", []byte("{}")); err != nil || r.Code != 401 || r.Description != "Unauthorized" {
		t.Errorf("another token = %+v, %v, want 401", r, err)
	}
	if r, err := b.post("/wrong", "application/json", []byte("{}")); err != nil || r.Code != 404 || r.Description != "Not Found" {
		t.Errorf("another path = %+v, %v, want 404", r, err)
	}
	b.tg.RateLimit(1)
	b.tg.Say(8, "hi")
	b.must("sendMessage", text(8))
	if r, err := b.call("sendMessage", text(8)); err != nil || r.Code != 429 || r.Description != "Too Many Requests: retry after 1" || r.Parameters.RetryAfter != 1 {
		t.Errorf("the second message within a second = %+v, %v, want 429", r, err)
	}
	if n := len(b.tg.Chat(8)); n != 1 {
		t.Errorf("%d messages are shown, want 1", n)
	}
	if j.verdict() != "" {
		t.Errorf("the client was blamed: %s", j.verdict())
	}
}

func TestTelegramPressesAndEdits(t *testing.T) {
	b, j := strict(t)
	id := sent(t, b.must("sendMessage", `{"chat_id":5,"text":"Approve?","reply_markup":{"inline_keyboard":[[{"text":"Yes","callback_data":"y"},{"text":"No","callback_data":"n"}]]}}`))
	press := b.tg.Press(5, id, "y")
	b.must("answerCallbackQuery", fmt.Sprintf(`{"callback_query_id":%q,"text":"ok","show_alert":true}`, press))
	b.refused("answerCallbackQuery", fmt.Sprintf(`{"callback_query_id":%q}`, press), 400, "Bad Request: query is too old and response timeout expired or query ID is invalid")
	if toasts := b.tg.Toasts(); len(toasts) != 1 || toasts[0].Text != "ok" || !toasts[0].Alert || toasts[0].CallbackID != press {
		t.Errorf("Toasts = %+v", toasts)
	}
	late := b.tg.Press(5, id, "n")
	b.tg.ExpireCallbacks()
	b.refused("answerCallbackQuery", fmt.Sprintf(`{"callback_query_id":%q}`, late), 400, "Bad Request: query is too old and response timeout expired or query ID is invalid")
	b.must("editMessageText", fmt.Sprintf(`{"chat_id":5,"message_id":%d,"text":"Approved"}`, id))
	s, ok := b.tg.Message(5, id)
	if !ok || s.Text != "Approved" || len(s.Buttons) != 0 || s.Edited != 1 {
		t.Errorf("after the edit: %+v, want no buttons", s)
	}
	if j.verdict() != "" {
		t.Errorf("the client was blamed: %s", j.verdict())
	}
	if got := b.tg.Press(5, id, "y"); got != "" || !strings.Contains(j.verdict(), "shows no button") {
		t.Errorf("a press of what is not there = %q, told %q", got, j.verdict())
	}
	if got := b.tg.PressAs(666, fake.Press{Message: id, Chat: fake.TelegramChat{ID: 5, Type: "private"}, Data: "y"}); got == "" {
		t.Error("a forged press was not sent")
	}
}
