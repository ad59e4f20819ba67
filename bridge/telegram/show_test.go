package telegram_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/bridge/telegram"
	"github.com/secureclaw/secureclaw/internal/fake"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

func TestTextIsShownInParts(t *testing.T) {
	w := run(t)
	_, question := w.tg.Say(owner, "tell me")
	nth(w.d, 1, "message", aMessage)
	text := strings.Repeat("A line of an answer that is long.\n\n", 250) // three messages
	var shown []string
	for part := 0; ; part++ {
		sent := w.d.show(wire.Send{Item: 1, Kind: wire.SendText, Part: part, Shown: shown, Text: text, ReplyTo: fmt.Sprint(question)})
		if shown = append(shown, sent.Ref); part+1 == sent.Parts {
			break
		}
	}
	got := w.tg.Chat(owner)
	if len(got) != 3 || len(shown) != 3 || got[0].ReplyTo != question || got[1].ReplyTo != 0 {
		t.Fatalf("%d messages, %d refs, replies to %d and %d: want 3, the first a reply to %d", len(got), len(shown), got[0].ReplyTo, got[1].ReplyTo, question)
	}
	all := ""
	for _, m := range got {
		all += m.Text
	}
	if n := strings.Count(all, "A line of an answer that is long."); n != 250 {
		t.Errorf("%d lines arrived, want 250", n)
	}
	for _, c := range w.tg.Calls("sendMessage") {
		if c.Params["link_preview_options"] != `{"is_disabled":true}` || c.Params["parse_mode"] != "" {
			t.Errorf("sendMessage with %v", c.Params)
		}
	}
}

func TestLongTextIsAFile(t *testing.T) {
	w := run(t)
	w.known(owner)
	text := "# Title\n\n" + strings.Repeat("Ünïcode line 🙂 of an answer.\n\n", 2000)
	first := w.d.show(wire.Send{Item: 1, Kind: wire.SendText, Text: text})
	second := w.d.show(wire.Send{Item: 1, Kind: wire.SendText, Part: 1, Shown: []string{first.Ref}, Text: text})
	got := w.tg.Chat(owner)
	if first.Parts != 2 || second.Parts != 2 || len(got) != 2 || got[1].Document == nil {
		t.Fatalf("parts %d, %d; chat %v", first.Parts, second.Parts, w.texts(owner))
	}
	if !strings.HasSuffix(got[0].Text, "complete in the file below") || len([]rune(got[0].Text)) > 700 {
		t.Errorf("the summary is %q", got[0].Text)
	}
	if d := got[1].Document; d.Name != "answer.md" || string(d.Data) != text {
		t.Errorf("the file %s has %d bytes, want answer.md with %d", d.Name, len(d.Data), len(text))
	}
}

// Parts come from the text alone.
func TestPiecesAreAlwaysTheSame(t *testing.T) {
	text := strings.Repeat("a *b* `c`\n\n- d\n- e\n\n", 400)
	first, _ := telegram.Pieces(text)
	for range 5 {
		if again, _ := telegram.Pieces(text); !cmp.Equal(first, again) {
			t.Fatal("the same text was cut otherwise")
		}
	}
	for name, text := range hostile() {
		texts, files := telegram.Pieces(text)
		if len(texts)+files == 0 || len(texts) > 3 {
			t.Errorf("%s: %d texts and %d files", name, len(texts), files)
		}
	}
}

func hostile() map[string]string {
	return map[string]string{
		"nothing":            "",
		"white space":        " \n\t\u200b\u2060 ",
		"not UTF-8":          "\xff\xfe\x80",
		"nulls":              "a\x00b",
		"bidi":               "\u202edrow\u202c \u2066x",
		"lone formatting":    "*** _ ` ``` ~~ [ ]( <b>",
		"open fence":         "```go\nfunc main() {",
		"a link to a script": "[x](javascript:alert(1)) [y](tg://user?id=1) [z](http://)",
		"emoji":              strings.Repeat("👩‍👩‍👧‍👦", 1500),
		"deep quotes":        strings.Repeat("> ", 500) + "x",
		"deep lists":         strings.Repeat("- ", 500) + "x",
		"one long word":      strings.Repeat("x", 9000),
		"an image":           "![a](http://e.example/b.png)",
		"html":               "<script>alert(1)</script><details>",
		"a table":            "|a|b|\n|-|-|\n|1|2|",
		"ansi":               "\x1b[31mred\x1b[0m",
	}
}

// Any string is shown, and the fake, which checks entities as the real server does, has no complaint.
func TestHostileTextIsShown(t *testing.T) {
	w := run(t)
	w.known(owner)
	item := int64(0)
	for name, text := range hostile() {
		item++
		if !isUTF8(text) {
			continue // no frame carries it
		}
		var shown []string
		for part, parts := 0, 1; part < parts; part++ {
			sent := w.d.show(wire.Send{Item: item, Kind: wire.SendText, Part: part, Shown: shown, Text: text})
			shown, parts = append(shown, sent.Ref), sent.Parts
		}
		if len(shown) == 0 {
			t.Errorf("%s: nothing shown", name)
		}
	}
}

func isUTF8(s string) bool { return strings.ToValidUTF8(s, "") == s }

func TestRefusedTextGetsThrough(t *testing.T) {
	bad := func(words string, repeat int) fake.TelegramFault {
		return fake.TelegramFault{Status: 400, Description: "Bad Request: " + words, Repeat: repeat}
	}
	for name, tc := range map[string]struct {
		faults []fake.TelegramFault
		want   []string
		unsent string // with Never
	}{
		"entities":              {[]fake.TelegramFault{bad("can't parse entities: Can't find end", 1)}, []string{"bold"}, ""},
		"the text, whatever":    {[]fake.TelegramFault{bad("something new", 2)}, []string{"[message.txt] "}, ""},
		"the chat":              {[]fake.TelegramFault{bad("chat not found", 1)}, nil, "chat not found"},
		"a user who is gone":    {[]fake.TelegramFault{{Status: 403, Description: "Forbidden: user is deactivated"}}, nil, "deactivated"},
		"a user who had enough": {[]fake.TelegramFault{{Status: 403, Description: "Forbidden: bot was blocked by the user"}}, nil, "blocked"},
	} {
		t.Run(name, func(t *testing.T) {
			w := run(t)
			w.known(owner)
			for _, f := range tc.faults {
				w.tg.Fault("sendMessage", f)
			}
			w.d.send(wire.Down{Send: &wire.Send{Item: 1, User: "42", Kind: wire.SendText, Text: "**bold**"}})
			if tc.unsent != "" {
				if got := nth(w.d, 1, "unsent", anUnsent); !got.Never || !strings.Contains(got.Why, tc.unsent) {
					t.Errorf("unsent = %+v, want never, %s", got, tc.unsent)
				}
				return
			}
			nth(w.d, 1, "sent", aSent)
			if got := w.texts(owner); !cmp.Equal(got, tc.want) {
				t.Errorf("chat = %q, want %q", got, tc.want)
			}
		})
	}
}

func TestTroubleIsReported(t *testing.T) {
	for name, tc := range map[string]struct {
		fault  fake.TelegramFault
		min    int64
		before bool // it was shown although nobody could know
	}{
		"429":             {fake.TelegramFault{Status: 429, Description: "Too Many Requests: retry after 7", RetryAfter: 7}, 7000, false},
		"500":             {fake.TelegramFault{Status: 500, Description: "Internal Server Error"}, 1, false},
		"a proxy's page":  {fake.TelegramFault{Garbage: true}, 1, false},
		"cut off":         {fake.TelegramFault{Drop: true}, 1, false},
		"silence":         {fake.TelegramFault{Hang: 10 * time.Second}, 1, false},
		"a lost answer":   {fake.TelegramFault{LoseAnswer: true}, 1, true},
		"a token revoked": {fake.TelegramFault{Status: 401, Description: "Unauthorized"}, 100, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := run(t, func(t *telegram.Timing) { t.Call(300 * time.Millisecond) })
			w.known(owner)
			w.tg.Fault("sendMessage", tc.fault)
			send := wire.Send{Item: 1, User: "42", Kind: wire.SendText, Text: "the answer"}
			w.d.send(wire.Down{Send: &send})
			got := nth(w.d, 1, "unsent", anUnsent)
			if got.Never || got.Item != 1 || got.AfterMS < tc.min {
				t.Errorf("unsent = %+v, want a wait of at least %d ms", got, tc.min)
			}
			if tc.min == 7000 && got.AfterMS > 7000 {
				t.Errorf("unsent = %+v, want the wait that Telegram named", got)
			}
			if tc.min == 7000 {
				return
			}
			w.d.show(send)
			want := 1
			if tc.before {
				want = 2 // there is no way to know; never more than this one
			}
			if got := w.texts(owner); len(got) != want {
				t.Errorf("chat = %q, want %d messages", got, want)
			}
		})
	}
}

func TestBackoffGrows(t *testing.T) {
	w := run(t)
	w.known(owner)
	w.tg.Fault("sendMessage", fake.TelegramFault{Status: 500, Description: "Internal Server Error", Repeat: 6})
	var waits []int64
	for n := range 6 {
		w.d.send(wire.Down{Send: &wire.Send{Item: 1, User: "42", Kind: wire.SendText, Text: "x"}})
		waits = append(waits, nth(w.d, n+1, "unsent", anUnsent).AfterMS)
	}
	if waits[5] < 8*waits[0] {
		t.Errorf("waits = %v, want them to grow", waits)
	}
}

// A gateway that dies while a part is on its way asks again, and hears of what was shown: one message.
func TestGatewayDiesInMidDelivery(t *testing.T) {
	w := run(t)
	w.known(owner)
	w.tg.Fault("sendMessage", fake.TelegramFault{Slow: 300 * time.Millisecond})
	send := wire.Send{Item: 1, User: "42", Kind: wire.SendText, Text: "the answer"}
	w.d.send(wire.Down{Send: &send})
	w.until("the call", func(tg *fake.Telegram) bool { return len(tg.Calls("sendMessage")) == 1 })
	w.d.close()
	w.d.open()
	first := w.d.show(send)
	// And once more, when even the report was lost.
	w.d.close()
	w.d.open()
	again := w.d.show(send)
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("the second report (-first +again):\n%s", diff)
	}
	if got := w.texts(owner); len(got) != 1 {
		t.Errorf("chat = %q, want one message", got)
	}
	// Another text of the same number, from a new database, is another text.
	send.Text = "another answer"
	w.d.show(send)
	if got := w.texts(owner); len(got) != 2 {
		t.Errorf("chat = %q, want two messages", got)
	}
}

func TestCardIsEditedToItsEnd(t *testing.T) {
	w, id := shown(t)
	if got := w.tg.Chat(owner)[0]; len(got.Buttons) == 0 || got.Buttons[0][0].Data != data("a") {
		t.Fatalf("the card has the buttons %v", got.Buttons)
	}
	ref := fmt.Sprint(id)
	sent := w.d.show(wire.Send{Item: 7, Kind: wire.SendCard, Shown: []string{ref}, Card: question("denied")})
	if diff := cmp.Diff(wire.Sent{Item: 7, Parts: 1, State: "denied"}, sent); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
	got := w.tg.Chat(owner)
	if len(got) != 1 || len(got[0].Buttons) != 0 || got[0].Edited != 1 {
		t.Errorf("chat = %+v, want one card, edited once, without buttons", got)
	}
	// The same again is no trouble.
	other := question("denied")
	other.By = "somebody"
	w.tg.Fault("editMessageText", fake.TelegramFault{Status: 400, Description: "Bad Request: message is not modified: specified new message content"})
	if sent := w.d.show(wire.Send{Item: 7, Kind: wire.SendCard, Shown: []string{ref}, Card: other}); sent.State != "denied" || sent.Ref != "" {
		t.Errorf("sent = %+v", sent)
	}
	// Nor is a card that the user deleted.
	w.tg.Delete(owner, id)
	if sent := w.d.show(wire.Send{Item: 7, Kind: wire.SendCard, Shown: []string{ref}, Card: question("expired")}); sent.State != "expired" || sent.Ref != "" {
		t.Errorf("sent = %+v", sent)
	}
	if got := w.texts(owner); len(got) != 0 {
		t.Errorf("chat = %q, want nothing new", got)
	}
}

// Telegram's answer to the first message was lost, so the card was sent again: both become right.
func TestEveryMessageOfACardIsEdited(t *testing.T) {
	w, first := shown(t)
	second := w.d.show(wire.Send{Item: 7, Kind: wire.SendCard, Card: question("pending")})
	sent := w.d.show(wire.Send{Item: 7, Kind: wire.SendCard, Shown: []string{second.Ref, fmt.Sprint(first)}, Card: question("denied")})
	if sent.State != "denied" {
		t.Errorf("sent = %+v", sent)
	}
	for _, s := range w.tg.Chat(owner) {
		if len(s.Buttons) != 0 || s.Edited != 1 {
			t.Errorf("message %d has %d rows of buttons after %d edits, want none after one", s.MessageID, len(s.Buttons), s.Edited)
		}
	}
}

// The same state in one message more is another edit, not the one that was reported before.
func TestCopyThatTurnsUpIsEdited(t *testing.T) {
	w, first := shown(t)
	second := w.d.show(wire.Send{Item: 7, Kind: wire.SendCard, Card: question("pending"), Run: "again"})
	denied := question("denied")
	w.d.show(wire.Send{Item: 7, Kind: wire.SendCard, Shown: []string{fmt.Sprint(first)}, Card: denied})
	w.d.show(wire.Send{Item: 7, Kind: wire.SendCard, Shown: []string{fmt.Sprint(first), second.Ref}, Card: denied})
	for _, s := range w.tg.Chat(owner) {
		if len(s.Buttons) != 0 {
			t.Errorf("message %d still has its buttons", s.MessageID)
		}
	}
}

// A question whose arguments Telegram does not take as a file is shown without buttons, and holds up nothing.
func TestCardWhoseFileIsRefused(t *testing.T) {
	w := run(t)
	w.known(owner)
	c := question("pending")
	c.Input = strict.Value(`{"command":"` + strings.Repeat("echo long; ", 1500) + `"}`)
	w.tg.Fault("sendDocument", fake.TelegramFault{Status: 400, Description: "Bad Request: wrong type of the file", Repeat: -1})
	sent := w.d.show(wire.Send{Item: 1, Kind: wire.SendCard, Card: c})
	got := w.tg.Chat(owner)
	if sent.Parts != 1 || sent.State != "pending" || len(got) != 1 || len(got[0].Buttons) != 0 {
		t.Errorf("sent %+v, chat %+v, want the question alone, without buttons", sent, got)
	}
}

func TestCardWithAFile(t *testing.T) {
	w := run(t)
	w.known(owner)
	card := question("pending")
	card.Input = strict.Value(`{"command":"` + strings.Repeat("echo long; ", 1500) + `"}`)
	first := w.d.show(wire.Send{Item: 1, Kind: wire.SendCard, Card: card})
	if first.Parts != 2 || first.State != "" {
		t.Fatalf("sent = %+v, want the first of two parts and no state yet", first)
	}
	second := w.d.show(wire.Send{Item: 1, Kind: wire.SendCard, Part: 1, Shown: []string{first.Ref}, Card: card})
	got := w.tg.Chat(owner)
	if second.State != "pending" || len(got) != 2 || got[0].Document == nil || len(got[0].Buttons) != 0 || len(got[1].Buttons) == 0 {
		t.Fatalf("sent %+v, chat %+v: want the file, then the card with its buttons", second, got)
	}
	if !strings.Contains(string(got[0].Document.Data), "echo long;") {
		t.Errorf("the file has %d bytes", len(got[0].Document.Data))
	}
	done := *card
	done.State = "denied"
	w.d.show(wire.Send{Item: 1, Kind: wire.SendCard, Shown: []string{first.Ref, second.Ref}, Card: &done})
	if got := w.tg.Chat(owner); len(got) != 2 || got[1].Edited != 1 || len(got[1].Buttons) != 0 {
		t.Errorf("chat = %+v, want the card edited, its buttons gone", got)
	}
	// Decided between the file and the card: the card follows without buttons.
	before := len(w.tg.Chat(owner))
	card.ID = strings.Repeat("a", 32)
	first = w.d.show(wire.Send{Item: 2, Kind: wire.SendCard, Card: card})
	done.ID = card.ID
	w.d.show(wire.Send{Item: 2, Kind: wire.SendCard, Part: 1, Shown: []string{first.Ref}, Card: &done})
	if got := w.tg.Chat(owner); len(got) != before+2 || len(got[before+1].Buttons) != 0 {
		t.Errorf("chat = %+v", got)
	}
}

// A card that Telegram refuses does not hold up everything behind it.
func TestRefusedCard(t *testing.T) {
	w := run(t)
	w.known(owner)
	w.tg.Fault("sendMessage", fake.TelegramFault{Status: 400, Description: "Bad Request: something new", Repeat: 2})
	w.d.send(wire.Down{Send: &wire.Send{Item: 1, User: "42", Kind: wire.SendCard, Card: question("pending")}})
	nth(w.d, 1, "sent", aSent)
	got := w.tg.Chat(owner)
	if len(got) != 1 || !strings.Contains(got[0].Text, "A7K2") || len(got[0].Buttons) != 0 {
		t.Errorf("chat = %+v, want a word about A7K2 without buttons", got)
	}
}

func TestWhyAsksForAReply(t *testing.T) {
	w, id := shown(t)
	w.d.show(wire.Send{Item: 8, Kind: wire.SendWhy, Card: question("pending"), ReplyTo: fmt.Sprint(id)})
	got := w.tg.Chat(owner)
	if last := got[len(got)-1]; !last.ForceReply || last.ReplyTo != id {
		t.Errorf("shown %+v, want a question that asks for a reply", last)
	}
	why := w.tg.Calls("sendMessage")
	if m := why[len(why)-1].Params["reply_markup"]; !strings.Contains(m, `"selective":true`) || !strings.Contains(m, "input_field_placeholder") {
		t.Errorf("reply_markup = %s", m)
	}
	last := got[len(got)-1].MessageID
	w.tg.SayAs(fake.UserMessage{From: owner, Text: "too risky", ReplyTo: last})
	before := len(said(w.d, aMessage))
	_ = before
	m := nth(w.d, 3, "message", aMessage)
	if m.ReplyTo != fmt.Sprint(last) || m.Text != "too risky" {
		t.Errorf("message = %+v, want a reply to %d", m, last)
	}
}

func file(data []byte, name string) *wire.File {
	sum := sha256.Sum256(data)
	return &wire.File{Name: name, Mime: "text/plain", Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:])}
}

// serveFile lets the gateway answer fetches from data.
func (d *desk) serveFile(data []byte) {
	d.answers(func(up wire.Up) []wire.Down {
		if f := up.Fetch; f != nil {
			end := min(f.Offset+wire.MaxChunk, int64(len(data)))
			return []wire.Down{{Chunk: &wire.Chunk{Item: f.Item, Offset: f.Offset, Data: data[min(f.Offset, end):end]}}}
		}
		return yes(up)
	})
}

func TestFileIsSent(t *testing.T) {
	w := run(t)
	w.known(owner)
	data := []byte(strings.Repeat("0123456789abcdef", 3*wire.MaxChunk/16+1))
	w.d.serveFile(data)
	w.d.show(wire.Send{Item: 1, Kind: wire.SendFile, File: file(data, "a/../b\"\r\nX-Evil: 1.txt"), Text: "the **report**"})
	got := w.tg.Chat(owner)
	if len(got) != 1 || got[0].Document == nil {
		t.Fatalf("chat = %q", w.texts(owner))
	}
	if d := got[0].Document; string(d.Data) != string(data) || d.Name != "a_.._b___X-Evil: 1.txt" || d.Mime != "text/plain" {
		t.Errorf("the file %q (%s) has %d bytes, want %d", d.Name, d.Mime, len(d.Data), len(data))
	}
	if got[0].Caption != "the report" || len(got[0].Entities) != 1 {
		t.Errorf("caption %q with %v", got[0].Caption, got[0].Entities)
	}
	// A caption that is too long goes before it.
	long := strings.Repeat("word ", 400)
	first := w.d.show(wire.Send{Item: 2, Kind: wire.SendFile, File: file(data[:10], "c.txt"), Text: long})
	w.d.serveFile(data[:10])
	second := w.d.show(wire.Send{Item: 2, Kind: wire.SendFile, Part: 1, Shown: []string{first.Ref}, File: file(data[:10], "c.txt"), Text: long})
	got = w.tg.Chat(owner)
	if first.Parts != 2 || second.Parts != 2 || len(got) != 3 || got[1].Document != nil || got[2].Document == nil || got[2].Caption != "" {
		t.Errorf("parts %d, %d; chat %q", first.Parts, second.Parts, w.texts(owner))
	}
}

// A file that is not what the gateway announced is never complete at Telegram.
func TestDamagedFileIsNotSent(t *testing.T) {
	data := []byte(strings.Repeat("x", wire.MaxChunk+100))
	for name, served := range map[string][]byte{
		"another last byte": append(data[:len(data)-1:len(data)-1], 'y'),
		"too short":         data[:wire.MaxChunk],
		"nothing":           {},
		"too long a chunk":  data[:200],
	} {
		t.Run(name, func(t *testing.T) {
			w := run(t)
			w.known(owner)
			w.d.serveFile(served)
			want := file(data, "a.txt")
			if name == "too long a chunk" {
				want = file(data[:100], "a.txt")
			}
			w.d.send(wire.Down{Send: &wire.Send{Item: 1, User: "42", Kind: wire.SendFile, File: want}})
			if got := nth(w.d, 1, "unsent", anUnsent); got.Never || !strings.Contains(got.Why, "file from the gateway") {
				t.Errorf("unsent = %+v", got)
			}
			if got := w.texts(owner); len(got) != 0 {
				t.Errorf("chat = %q, want nothing", got)
			}
		})
	}
}

// The gateway dies in the middle of a file, and the next one sends it whole.
func TestGatewayDiesInMidFile(t *testing.T) {
	w := run(t)
	w.known(owner)
	data := []byte(strings.Repeat("0123456789abcdef", 4*wire.MaxChunk/16))
	send := wire.Send{Item: 1, User: "42", Kind: wire.SendFile, File: file(data, "a.bin")}
	w.d.answers(func(up wire.Up) []wire.Down {
		if f := up.Fetch; f != nil && f.Offset >= 2*wire.MaxChunk {
			go w.d.close()
			return nil
		} else if f != nil {
			return []wire.Down{{Chunk: &wire.Chunk{Item: 1, Offset: f.Offset, Data: data[f.Offset : f.Offset+wire.MaxChunk]}}}
		}
		return yes(up)
	})
	w.d.send(wire.Down{Send: &send})
	w.d.await("the gateway's end", func([]wire.Up) bool { return w.d.ln == nil })
	w.d.serveFile(data)
	w.d.open()
	w.d.show(send)
	got := w.tg.Chat(owner)
	if len(got) != 1 || string(got[0].Document.Data) != string(data) {
		t.Errorf("chat = %q, want the one file", w.texts(owner))
	}
}

func TestFileThatTelegramRefuses(t *testing.T) {
	w := run(t)
	w.known(owner)
	w.d.serveFile([]byte("x"))
	w.tg.Fault("sendDocument", fake.TelegramFault{Status: 413, Description: "Request Entity Too Large"})
	w.d.show(wire.Send{Item: 1, Kind: wire.SendFile, File: file([]byte("x"), "a.txt")})
	if got := w.texts(owner); len(got) != 1 || !strings.Contains(got[0], "a.txt could not be sent") {
		t.Errorf("chat = %q", got)
	}
}

func TestNothingIsSentToStrangers(t *testing.T) {
	w := run(t)
	w.known(owner)
	w.tg.Meet(stranger)
	for n, user := range []string{"666", "", "-42", "0", "owner"} {
		w.d.send(wire.Down{Send: &wire.Send{Item: int64(n), User: user, Kind: wire.SendText, Text: "secret"}})
		if got := nth(w.d, n+1, "unsent", anUnsent); !got.Never {
			t.Errorf("user %q: unsent = %+v, want never", user, got)
		}
	}
	for n, s := range []wire.Send{{Kind: "dance"}, {Kind: wire.SendCard}, {Kind: wire.SendWhy}, {Kind: wire.SendFile}} {
		s.Item, s.User = int64(10+n), "42"
		w.d.send(wire.Down{Send: &s})
		if got := nth(w.d, n+6, "unsent", anUnsent); !got.Never {
			t.Errorf("%s: unsent = %+v, want never", s.Kind, got)
		}
	}
	if calls := w.tg.Calls("sendMessage"); len(calls) != 0 {
		t.Errorf("calls = %+v", calls)
	}
}

func TestPaceKeepsBelowTheLimit(t *testing.T) {
	w := run(t, func(t *telegram.Timing) { t.Pace(100*time.Millisecond, 3) })
	w.known(owner)
	begin := time.Now()
	for n := range 8 {
		w.d.show(wire.Send{Item: int64(n), Kind: wire.SendText, Text: "x"})
	}
	if took := time.Since(begin); took < 400*time.Millisecond {
		t.Errorf("8 messages took %v; 3 at once and 5 more at 100 ms take 500 ms", took)
	}
}

// What is on its way when the bridge is told to end arrives and is reported.
func TestEndWaitsForWhatIsOnItsWay(t *testing.T) {
	w := run(t)
	w.known(owner)
	w.tg.Fault("sendMessage", fake.TelegramFault{Slow: 200 * time.Millisecond})
	w.d.send(wire.Down{Send: &wire.Send{Item: 1, User: "42", Kind: wire.SendText, Text: "x"}})
	w.until("the call", func(tg *fake.Telegram) bool { return len(tg.Calls("sendMessage")) == 1 })
	w.stop()
	nth(w.d, 1, "sent", aSent)
	if got := w.texts(owner); len(got) != 1 {
		t.Errorf("chat = %q", got)
	}
}
