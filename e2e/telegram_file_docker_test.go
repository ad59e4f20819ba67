//go:build docker

package e2e

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/secureclaw/secureclaw/internal/fake"
)

func (w *world) read(name string) string {
	w.t.Helper()
	data, err := os.ReadFile(w.path(name))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(data)
}

var inboxPath = regexp.MustCompile(`/inbox/[^\s;\])]+`)

// A document is read by the file executor, like any other file, and what was read is labelled as somebody else's.
func TestTelegramFileIn(t *testing.T) {
	t.Parallel()
	w := startTelegram(t, setting{})
	p := w.phone(owner)
	text := "a page of somebody's\n" + strings.Repeat("words and words\n", 500)
	w.model.Play(func(req fake.Request) fake.Step {
		last := req.Turns[len(req.Turns)-1]
		if len(last.Results) > 0 {
			return says(closing("I1", "read"))
		}
		path := inboxPath.FindString(last.Text)
		if path == "" {
			return says(closing("I1", "no file in "+last.Text))
		}
		return calls(fake.Call{Tool: "read_file", Input: object(map[string]any{"path": path})})
	})
	w.tg.SayAs(fake.UserMessage{From: owner, Caption: "what is in it?", Document: &fake.UserFile{Name: "../page of/notes.txt", Mime: "text/plain", Data: []byte(text)}})
	p.shows(ending("I1"))
	if !strings.Contains(heard(w.model), "a page of somebody's") {
		t.Errorf("the model heard %.2000q", heard(w.model))
	}
	w.eventually("the log has a result that is labelled external", func() bool {
		return w.entries("result", `"tool":"read_file"`, `"status":"ok"`, `"integrity":"external"`) == 1
	})
	names, err := os.ReadDir(w.path("inbox"))
	if err != nil || len(names) != 1 {
		t.Fatalf("inbox: %v, %v", names, err)
	}
	if got := w.read("inbox/" + names[0].Name()); got != text {
		t.Errorf("%s has %d bytes, want the %d that were sent", names[0].Name(), len(got), len(text))
	}
	if strings.Contains(names[0].Name(), "..") {
		t.Errorf("name %q", names[0].Name())
	}
	// A picture comes too.
	picture := append([]byte("\x89PNG\r\n\x1a\n"), make([]byte, 3000)...)
	w.tg.SayAs(fake.UserMessage{From: owner, Caption: "and this?", Photo: &fake.UserFile{Data: picture}})
	w.eventually("the picture is in the inbox", func() bool {
		names, _ := os.ReadDir(w.path("inbox"))
		return slices.ContainsFunc(names, func(d os.DirEntry) bool {
			data, _ := os.ReadFile(w.path("inbox/" + d.Name()))
			return bytes.Equal(data, picture)
		})
	})
}

// A file that is sent out arrives as it is.
func TestTelegramFileOut(t *testing.T) {
	t.Parallel()
	w := startTelegram(t, setting{})
	p := w.phone(owner)
	for _, size := range []int{1, 900 << 10} {
		data := make([]byte, size)
		_, _ = rand.Read(data)
		name := fmt.Sprintf("data-%d.bin", size)
		if err := os.WriteFile(w.path("workspace/"+name), data, 0o644); err != nil {
			t.Fatal(err)
		}
		w.model.Script(calls(fake.Call{Tool: "send_file", Input: object(map[string]any{"path": name, "caption": "here is *" + name + "*"})}), says(closing(fmt.Sprintf("J%d", size), "sent")))
		p.says("send it to me")
		p.shows(ending(fmt.Sprintf("J%d", size)))
		p.sees("the document", func(chat []fake.Shown) bool {
			return slices.ContainsFunc(chat, func(s fake.Shown) bool {
				return s.Document != nil && s.Document.Name == name && bytes.Equal(s.Document.Data, data) && strings.Contains(s.Caption, name)
			})
		})
	}
}

// An answer that is longer than three messages comes as a file, whole.
func TestTelegramLongAnswer(t *testing.T) {
	t.Parallel()
	w := startTelegram(t, setting{})
	p := w.phone(owner)
	var b strings.Builder
	for i := range 60 {
		fmt.Fprintf(&b, "## Chapter %d\n\n%s %s\n\n", i, part("LA", i), strings.Repeat("and so on ", 40))
	}
	w.model.Script(says(b.String()))
	p.says("tell me everything")
	var file *fake.ShownFile
	p.sees("a file", func(chat []fake.Shown) bool {
		for _, s := range chat {
			if s.Document != nil {
				file = s.Document
				return true
			}
		}
		return false
	})
	for i := range 60 {
		if strings.Count(string(file.Data), part("LA", i)) != 1 {
			t.Errorf("chapter %d is not once in %s", i, file.Name)
		}
	}
	if !strings.HasSuffix(file.Name, ".md") || len(w.tg.Chat(owner)) > 2 {
		t.Errorf("file %q, %d messages:\n%s", file.Name, len(w.tg.Chat(owner)), p.story())
	}
}

// What cannot be read off a card cannot be approved there: too long, and the card says where it can.
func TestTelegramCardsOfHostileArguments(t *testing.T) {
	t.Parallel()
	w := startTelegram(t, setting{})
	p := w.phone(owner)

	w.model.Script(calls(fake.Call{Tool: "write_file", Input: object(map[string]any{"path": "ask-P1", "mode": "create", "content": "a\u202etxt.exe \u200b\u2066x\u2069 **b** <b>c</b> [d](http://e)"})}))
	w.model.Script(says(closing("P1", "over")))
	p.says("write it")
	card := p.card("ask-P1")
	for _, r := range "\u202e\u200b\u2066\u2069" {
		if strings.ContainsRune(card.Text, r) {
			t.Errorf("the card holds %U as it is: %q", r, card.Text)
		}
	}
	if !strings.Contains(card.Text, "**b** <b>c</b> [d](http://e)") {
		t.Errorf("the card does not show the bytes: %q", card.Text)
	}
	for _, e := range card.Entities {
		if e.Type == "text_link" || e.Type == "text_mention" {
			t.Errorf("an argument became a link: %+v", e)
		}
	}
	p.press(card, deny)
	p.shows(ending("P1"))

	w.model.Script(calls(fake.Call{Tool: "write_file", Input: object(map[string]any{"path": "ask-P2", "mode": "create", "content": strings.Repeat("0123456789", 7000)})}))
	w.model.Script(says(closing("P2", "over")))
	p.says("write more")
	code := w.card()
	big := p.shows("ask-P2")
	if len(big.Buttons) != 0 || !strings.Contains(strings.ToLower(big.Text), "terminal") {
		t.Errorf("70 KB can be approved by a button, or nobody says where: %q %v", big.Text, big.Buttons)
	}
	if out := w.claw("approve", code); out.code != 0 {
		t.Fatalf("approve: %+v", out)
	}
	p.shows(ending("P2"))
	if got := len(w.read("workspace/ask-P2")); got != 70000 {
		t.Errorf("%d bytes were written, want 70000", got)
	}

	// In between: all of it is attached, and the buttons come with it.
	body := strings.Repeat("line of a long file\n", 1000)
	w.model.Script(calls(fake.Call{Tool: "write_file", Input: object(map[string]any{"path": "ask-P3", "mode": "create", "content": body})}))
	w.model.Script(says(closing("P3", "over")))
	p.says("write some")
	card = p.card("ask-P3")
	p.sees("all arguments as a file", func(chat []fake.Shown) bool {
		return slices.ContainsFunc(chat, func(s fake.Shown) bool {
			return s.Document != nil && strings.Contains(string(s.Document.Data), strings.Repeat(`line of a long file\n`, 1000))
		})
	})
	p.press(card, approve)
	p.shows(ending("P3"))
	if w.read("workspace/ask-P3") != body {
		t.Error("what was written is not what was on the card")
	}
}
