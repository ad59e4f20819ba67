package fake_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"mime/multipart"
	"net/http"
	"net/url"
	"testing"

	"github.com/secureclaw/secureclaw/internal/fake"
)

const botToken = "7000000001:AAtest"

// bot calls the API as a client without any library would.
type bot struct {
	t  testing.TB
	tg *fake.Telegram
}

// reply is an answer of the API.
type reply struct {
	OK          bool            `json:"ok"`
	Result      json.RawMessage `json:"result"`
	Code        int             `json:"error_code"`
	Description string          `json:"description"`
	Parameters  struct {
		RetryAfter int `json:"retry_after"`
	} `json:"parameters"`
}

// call sends JSON. The error is the connection's.
func (b bot) call(method, body string) (reply, error) {
	return b.post("/bot"+botToken+"/"+method, "application/json", []byte(body))
}

func (b bot) post(path, kind string, body []byte) (reply, error) {
	var r reply
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.tg.URL()+path, bytes.NewReader(body))
	if err != nil {
		return r, err
	}
	req.Header.Set("Content-Type", kind)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return r, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&r); err != nil {
		return r, fmt.Errorf("status %d: %w", resp.StatusCode, err)
	}
	if !r.OK && r.Code != resp.StatusCode {
		return r, fmt.Errorf("status %d and error_code %d", resp.StatusCode, r.Code)
	}
	return r, nil
}

// upload sends a multipart form with one file.
func (b bot) upload(method string, fields map[string]string, field, name string, data []byte) reply {
	b.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for key, value := range maps.All(fields) {
		if err := form.WriteField(key, value); err != nil {
			b.t.Fatal(err)
		}
	}
	if field != "" {
		part, err := form.CreateFormFile(field, name)
		if err != nil {
			b.t.Fatal(err)
		}
		if _, err := part.Write(data); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := form.Close(); err != nil {
		b.t.Fatal(err)
	}
	r, err := b.post("/bot"+botToken+"/"+method, form.FormDataContentType(), body.Bytes())
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// refused checks that a call is refused in these words.
func (b bot) refused(method, body string, code int, words string) {
	b.t.Helper()
	r, err := b.call(method, body)
	if err != nil || r.OK || r.Code != code || r.Description != words {
		b.t.Errorf("%s %.200s = %d %q, %v, want %d %q", method, body, r.Code, r.Description, err, code, words)
	}
}

func (b bot) must(method, body string) json.RawMessage {
	b.t.Helper()
	r, err := b.call(method, body)
	if err != nil || !r.OK {
		b.t.Fatalf("%s %s = %+v, %v, want ok", method, body, r, err)
	}
	return r.Result
}

// strict starts a server whose violations are noted, with a user 5 who wrote.
func strict(t *testing.T) (bot, *judge) {
	j := &judge{TB: t}
	tg := fake.NewTelegram(j, botToken)
	tg.Say(5, "/start")
	return bot{t, tg}, j
}

// sent is the id of a message in a result.
func sent(t testing.TB, result json.RawMessage) int64 {
	t.Helper()
	var m struct {
		ID int64 `json:"message_id"`
	}
	if err := json.Unmarshal(result, &m); err != nil || m.ID == 0 {
		t.Fatalf("result %s has no message_id: %v", result, err)
	}
	return m.ID
}

func TestTelegramReadsAllEncodings(t *testing.T) {
	b, _ := strict(t)
	b.must("sendMessage", `{"chat_id":5,"text":"json","reply_markup":{"inline_keyboard":[[{"text":"A","callback_data":"a"}]]}}`)
	form := url.Values{"chat_id": {"5"}, "text": {"form"}, "reply_markup": {`{"inline_keyboard":[[{"text":"A","callback_data":"a"}]]}`}}
	if r, err := b.post("/bot"+botToken+"/sendmessage", "application/x-www-form-urlencoded", []byte(form.Encode())); err != nil || !r.OK {
		t.Errorf("a form = %+v, %v", r, err)
	}
	fields := map[string]string{"chat_id": "5", "text": "parts", "reply_markup": form.Get("reply_markup")}
	if r := b.upload("sendMessage", fields, "", "", nil); !r.OK {
		t.Errorf("parts = %+v", r)
	}
	resp, err := http.Get(b.tg.URL() + "/bot" + botToken + "/sendMessage?" + form.Encode())
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("GET = %v, %v", resp, err)
	}
	resp.Body.Close()
	chat := b.tg.Chat(5)
	if len(chat) != 4 {
		t.Fatalf("Chat = %+v, want four messages", chat)
	}
	for i, text := range []string{"json", "form", "parts", "form"} {
		if s := chat[i]; s.Text != text || len(s.Buttons) != 1 || s.Buttons[0][0] != (fake.Button{Text: "A", Data: "a"}) {
			t.Errorf("message %d = %+v, want %q with a button", i, s, text)
		}
	}
	if v := b.tg.Violations(); len(v) > 0 {
		t.Errorf("violations %v, want none", v)
	}
}

func TestTelegramCarriesAConversation(t *testing.T) {
	tg := fake.NewTelegram(t, botToken)
	b := bot{t, tg}
	b.must("getMe", "{}")
	update, _ := tg.Say(5, "/new hello")
	var got []struct {
		ID      int64 `json:"update_id"`
		Message struct {
			Text     string        `json:"text"`
			Entities []fake.Entity `json:"entities"`
			Chat     struct{ ID int64 }
		}
	}
	if err := json.Unmarshal(b.must("getUpdates", `{"timeout":5}`), &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].ID != update || got[0].Message.Text != "/new hello" || got[0].Message.Chat.ID != 5 || len(got[0].Message.Entities) != 1 {
		t.Fatalf("getUpdates = %+v, want the message of update %d", got, update)
	}
	b.must("sendMessage", `{"chat_id":5,"text":"hi"}`)
	if chat := tg.Chat(5); len(chat) != 1 || chat[0].Text != "hi" {
		t.Errorf("Chat = %+v, want hi", chat)
	}
}
