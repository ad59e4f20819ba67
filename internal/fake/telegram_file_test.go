package fake_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/secureclaw/secureclaw/internal/fake"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

func (b bot) load(path string) (int, []byte, error) {
	resp, err := http.Get(b.tg.URL() + path)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, data, err
}

func TestTelegramFilesOut(t *testing.T) {
	t.Parallel()
	b, j := strict(t)
	fields := map[string]string{"chat_id": "5", "caption": " a bold file ", "caption_entities": `[{"type":"bold","offset":3,"length":4}]`}
	if r := b.upload("sendDocument", fields, "document", "a.txt", []byte("content")); !r.OK {
		t.Fatalf("sendDocument = %+v", r)
	}
	s := b.tg.Chat(5)[0]
	if s.Document == nil || string(s.Document.Data) != "content" || s.Document.Name != "a.txt" || s.Caption != "a bold file" || s.Text != "" ||
		len(s.Entities) != 1 || s.Entities[0].Offset != 2 {
		t.Errorf("shown %+v with %+v", s, s.Document)
	}
	fields["document"] = "attach://x"
	if r := b.upload("sendDocument", fields, "x", "b.txt", []byte("more")); !r.OK || b.tg.Chat(5)[1].Document.Name != "b.txt" {
		t.Errorf("attach:// = %+v", r)
	}
	b.refusedFile(t, "sendDocument", map[string]string{"chat_id": "5"}, "document", nil, 400, "Bad Request: file must be non-empty")
	b.refusedFile(t, "sendDocument", map[string]string{"chat_id": "5"}, "document", make([]byte, 50<<20+1), 413, "Request Entity Too Large")
	b.refusedFile(t, "sendDocument", map[string]string{"chat_id": "5", "caption": strings.Repeat("x", 1025)}, "document", []byte("x"), 400, "Bad Request: message caption is too long")
	b.refusedFile(t, "sendPhoto", map[string]string{"chat_id": "5"}, "photo", []byte("no picture"), 400, "Bad Request: IMAGE_PROCESS_FAILED")
	png := append([]byte("\x89PNG\r\n\x1a\n"), make([]byte, 100)...)
	if r := b.upload("sendPhoto", map[string]string{"chat_id": "5", "caption": strings.Repeat("😀", 512)}, "photo", "p.png", png); !r.OK {
		t.Errorf("sendPhoto = %+v", r)
	}
	b.refused("editMessageText", fmt.Sprintf(`{"chat_id":5,"message_id":%d,"text":"x"}`, s.MessageID), 400, "Bad Request: there is no text in the message to edit")
	if got := len(strings.Split(strings.TrimSpace(j.verdict()), "telegram would")) - 1; got != 5 || len(b.tg.Chat(5)) != 3 {
		t.Errorf("blamed %d times (%s), %d messages shown", got, j.verdict(), len(b.tg.Chat(5)))
	}
}

func (b bot) refusedFile(t *testing.T, method string, fields map[string]string, field string, data []byte, code int, words string) {
	t.Helper()
	if r := b.upload(method, fields, field, "f", data); r.OK || r.Code != code || r.Description != words {
		t.Errorf("%s of %d bytes = %+v, want %d %q", method, len(data), r, code, words)
	}
}

func TestTelegramFilesIn(t *testing.T) {
	b, _ := strict(t)
	b.tg.SayAs(fake.UserMessage{From: 5, Document: &fake.UserFile{Name: "r.csv", Mime: "text/csv", Data: []byte("1;2")}, Caption: "/read it", MediaGroupID: "g"})
	b.tg.SayAs(fake.UserMessage{From: 5, Photo: &fake.UserFile{Data: bytes.Repeat([]byte("p"), 200)}})
	b.tg.SayAs(fake.UserMessage{From: 5, Document: &fake.UserFile{Name: "big", Data: []byte("x"), Size: 20<<20 + 1}})
	type file struct {
		ID   string `json:"file_id"`
		Name string `json:"file_name"`
		Mime string `json:"mime_type"`
		Size int64  `json:"file_size"`
		Path string `json:"file_path"`
	}
	var got []struct {
		Message struct {
			Caption  string        `json:"caption"`
			Entities []fake.Entity `json:"caption_entities"`
			Group    string        `json:"media_group_id"`
			Document file          `json:"document"`
			Photo    []file        `json:"photo"`
		} `json:"message"`
	}
	if err := json.Unmarshal(b.must("getUpdates", `{"offset":-3}`), &got); err != nil || len(got) != 3 {
		t.Fatalf("getUpdates = %+v, %v", got, err)
	}
	doc := got[0].Message
	if doc.Document.Name != "r.csv" || doc.Document.Mime != "text/csv" || doc.Document.Size != 3 || doc.Caption != "/read it" || doc.Group != "g" || len(doc.Entities) != 1 {
		t.Errorf("the document = %+v", doc)
	}
	photo := got[1].Message.Photo
	if len(photo) != 2 || photo[0].Size != 64 || photo[1].Size != 200 {
		t.Fatalf("the photo = %+v, want two sizes", photo)
	}
	for id, want := range map[string]int{doc.Document.ID: 3, photo[1].ID: 200, photo[0].ID: 64} {
		var f file
		if err := json.Unmarshal(b.must("getFile", fmt.Sprintf(`{"file_id":%q}`, id)), &f); err != nil {
			t.Fatal(err)
		}
		if code, data, err := b.load("/file/bot" + botToken + "/" + f.Path); err != nil || code != 200 || len(data) != want {
			t.Errorf("load %s = %d, %d bytes, %v, want %d", f.Path, code, len(data), err, want)
		}
		b.tg.Fault("file", fake.TelegramFault{LoseAnswer: true})
		if _, data, err := b.load("/file/bot" + botToken + "/" + f.Path); err == nil {
			t.Errorf("a load that breaks = %d bytes without an error", len(data))
		}
		if code, _, _ := b.load("/file/bot1:other/" + f.Path); code != 401 {
			t.Errorf("a load with another token = %d, want 401", code)
		}
	}
	b.refused("getFile", fmt.Sprintf(`{"file_id":%q}`, got[2].Message.Document.ID), 400, "Bad Request: file is too big")
	if code, _, _ := b.load("/file/bot" + botToken + "/documents/none"); code != 404 {
		t.Errorf("a load of nothing = %d, want 404", code)
	}
}

func TestTelegramUserMessagesHaveTheirShapes(t *testing.T) {
	b, _ := strict(t)
	_, about := b.tg.Say(5, "first")
	ada := fake.TelegramUser{ID: 9, FirstName: "Bob"}
	news := fake.TelegramChat{ID: -1001, Type: "channel", Title: "News"}
	for want, u := range map[string]fake.UserMessage{
		`"sender_user":{"first_name":"Bob","id":9,`: {From: 5, Text: "x", Forward: &fake.Forward{Kind: "user", User: ada}},
		`"sender_user_name":"Eve"`:                  {From: 5, Text: "x", Forward: &fake.Forward{Kind: "hidden_user", Name: "Eve"}},
		`"sender_chat":{"id":-1001,`:                {From: 5, Text: "x", Forward: &fake.Forward{Kind: "chat", Chat: news}},
		`"author_signature":"ed","chat":{"id":-100`: {From: 5, Text: "x", Forward: &fake.Forward{Kind: "channel", Chat: news, MessageID: 3, Signature: "ed"}},
		`"quote":{"is_manual":true,"position":0,"t`: {From: 5, Text: "x", Quote: "fir", ReplyTo: about},
		`"reply_to_message":{"chat":{`:              {From: 5, Text: "x", ReplyTo: about},
		`"via_bot":{"first_name":"Bob"`:             {From: 5, Text: "x", ViaBot: &ada},
		`"voice":{"duration":3}`:                    {From: 5, Extra: map[string]any{"voice": map[string]any{"duration": 3}}},
		`"type":"group"`:                            {From: 5, Text: "x", Chat: fake.TelegramChat{ID: -7, Type: "group", Title: "G"}},
		`"username":"ada"`:                          {From: 5, Text: "x", Username: "ada"},
	} {
		b.tg.SayAs(u)
		if got := string(b.must("getUpdates", `{"offset":-1}`)); !strings.Contains(got, want) {
			t.Errorf("%+v = %s, want %s", u, got, want)
		}
	}
	b.tg.Edit(5, about, "second")
	if got := string(b.must("getUpdates", `{"offset":-1}`)); !strings.Contains(got, `"edited_message":{`) || !strings.Contains(got, `"second"`) {
		t.Errorf("an edit = %s", got)
	}
	b.tg.Block(5)
	if got := string(b.must("getUpdates", `{"offset":-1}`)); !strings.Contains(got, `"my_chat_member":{`) {
		t.Errorf("a block = %s", got)
	}
	id := b.tg.Raw(map[string]any{"poll": map[string]any{"id": "1"}})
	if got := b.poll(`{"offset":-1}`); len(got) != 1 || got[0].ID != id {
		t.Errorf("a raw update = %+v, want %d", got, id)
	}
	if len(b.tg.Chat(-7)) != 0 || len(b.tg.History(-7)) != 1 {
		t.Errorf("the group's history = %+v", b.tg.History(-7))
	}
}

func TestTelegramMenu(t *testing.T) {
	b, _ := strict(t)
	b.must("setMyCommands", `{"commands":[{"command":"/new","description":" start over "}]}`)
	if got := b.tg.Commands(); len(got) != 1 || got[0] != (fake.Command{Command: "new", Description: "start over"}) {
		t.Errorf("Commands = %+v", got)
	}
	if got := string(b.must("getMyCommands", `{"scope":{"type":"default"}}`)); got != `[{"command":"new","description":"start over"}]` {
		t.Errorf("getMyCommands = %s", got)
	}
	if got := string(b.must("getMyCommands", `{"scope":{"type":"all_private_chats"}}`)); got != `[]` {
		t.Errorf("getMyCommands of another scope = %s", got)
	}
	b.must("deleteMyCommands", `{}`)
	if got := b.tg.Commands(); len(got) != 0 {
		t.Errorf("Commands = %+v, want none", got)
	}
	b.must("sendChatAction", `{"chat_id":5,"action":"typing"}`)
	if got := b.tg.Actions(); len(got) != 1 || got[0].Action != "typing" || got[0].Chat != 5 {
		t.Errorf("Actions = %+v", got)
	}
}
