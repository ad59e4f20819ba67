package fake_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
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
	var r reply
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.tg.URL()+"/bot"+botToken+"/"+method, strings.NewReader(body))
	if err != nil {
		return r, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return r, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&r); err != nil {
		return r, fmt.Errorf("status %d: %w", resp.StatusCode, err)
	}
	return r, nil
}

func (b bot) must(method, body string) json.RawMessage {
	b.t.Helper()
	r, err := b.call(method, body)
	if err != nil || !r.OK {
		b.t.Fatalf("%s %s = %+v, %v, want ok", method, body, r, err)
	}
	return r.Result
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
