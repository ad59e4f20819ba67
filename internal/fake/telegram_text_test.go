package fake_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/internal/fake"
)

// What is shown is not always what was sent.
func TestTelegramShowsWhatTheServerMakesOfAText(t *testing.T) {
	e := func(kind string, offset, length int) fake.Entity {
		return fake.Entity{Type: kind, Offset: offset, Length: length}
	}
	link := fake.Entity{Type: "text_link", Offset: 2, Length: 2, URL: "https://example.com"}
	for name, tc := range map[string]struct {
		text  string
		sent  []fake.Entity
		want  string
		shown []fake.Entity
	}{
		"plain":                       {"hello", nil, "hello", nil},
		"4096 letters":                {strings.Repeat("ä", 4096), nil, strings.Repeat("ä", 4096), nil},
		"4096 with space around":      {"  " + strings.Repeat("x", 4096) + "\n", nil, strings.Repeat("x", 4096), nil},
		"space around":                {" \n hi \n", []fake.Entity{e("bold", 3, 2)}, "hi", []fake.Entity{e("bold", 0, 2)}},
		"an entity over the end":      {"hi  ", []fake.Entity{e("bold", 0, 4)}, "hi", []fake.Entity{e("bold", 0, 2)}},
		"an entity of space at start": {"  hi", []fake.Entity{e("bold", 1, 3)}, " hi", []fake.Entity{e("bold", 0, 3)}},
		"an entity of space at end":   {"hi  ", []fake.Entity{e("bold", 3, 1)}, "hi", nil},
		"control characters":          {"a\tb\x00c\r\nd", []fake.Entity{e("code", 7, 1)}, "a b c\nd", []fake.Entity{e("code", 6, 1)}},
		"direction overrides":         {"a\u202eb\u2028c", []fake.Entity{e("code", 0, 5)}, "abc", []fake.Entity{e("code", 0, 3)}},
		"marks of direction":          {"a\u200f\u200eb", nil, "a\u200c\u200eb", nil},
		"word joiner":                 {"\u200b\u2060", nil, "\u200b\u2060", nil},
		"pairs":                       {"👉 👉", []fake.Entity{e("bold", 3, 2)}, "👉 👉", []fake.Entity{e("bold", 3, 2)}},
		"empty entities":              {"hi", []fake.Entity{e("bold", 1, 0)}, "hi", nil},
		"what the server finds":       {"/new", []fake.Entity{e("bot_command", 0, 4)}, "/new", nil},
		"bold around code":            {"abcdef", []fake.Entity{e("bold", 0, 6), e("code", 2, 2)}, "abcdef", []fake.Entity{e("bold", 0, 2), e("code", 2, 2), e("bold", 4, 2)}},
		"bold in code":                {"abcdef", []fake.Entity{e("pre", 0, 6), e("bold", 2, 2)}, "abcdef", []fake.Entity{e("pre", 0, 6)}},
		"bold that touches bold":      {"abcdef", []fake.Entity{e("bold", 0, 2), e("bold", 2, 3)}, "abcdef", []fake.Entity{e("bold", 0, 5)}},
		"a link in bold":              {"abcdef", []fake.Entity{e("bold", 0, 6), link}, "abcdef", []fake.Entity{e("bold", 0, 2), link, e("bold", 2, 2), e("bold", 4, 2)}},
		"code over a link":            {"abcdef", []fake.Entity{link, e("code", 3, 3)}, "abcdef", []fake.Entity{link}},
		"code in a quote":             {"abcdef", []fake.Entity{e("blockquote", 0, 6), e("code", 1, 2)}, "abcdef", []fake.Entity{e("blockquote", 0, 6), e("code", 1, 2)}},
		"code out of a quote":         {"abcdef", []fake.Entity{e("blockquote", 0, 3), e("code", 1, 4)}, "abcdef", []fake.Entity{e("blockquote", 0, 3)}},
	} {
		t.Run(name, func(t *testing.T) {
			tg := fake.NewTelegram(t, botToken)
			tg.Say(5, "hi")
			body, err := json.Marshal(map[string]any{"chat_id": 5, "text": tc.text, "entities": tc.sent})
			if err != nil {
				t.Fatal(err)
			}
			bot{t, tg}.must("sendMessage", string(body))
			s := tg.Chat(5)[0]
			if s.Text != tc.want {
				t.Errorf("shown %q, want %q", s.Text, tc.want)
			}
			if diff := cmp.Diff(append([]fake.Entity{}, tc.shown...), append([]fake.Entity{}, s.Entities...)); diff != "" {
				t.Errorf("entities (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTelegramFindsCommands(t *testing.T) {
	for text, want := range map[string][]fake.Entity{
		"/new":              {{Type: "bot_command", Offset: 0, Length: 4}},
		"/new@some_bot now": {{Type: "bot_command", Offset: 0, Length: 13}},
		"👉 /stop, please":   {{Type: "bot_command", Offset: 3, Length: 5}},
		"a /b\n/c /d":       {{Type: "bot_command", Offset: 2, Length: 2}, {Type: "bot_command", Offset: 5, Length: 2}, {Type: "bot_command", Offset: 8, Length: 2}},
		"and/or":            nil,
		"/etc/passwd":       nil,
		"/":                 nil,
		"/ä":                nil,
	} {
		tg := fake.NewTelegram(t, botToken)
		tg.Say(5, text)
		if diff := cmp.Diff(want, tg.History(5)[0].Entities); diff != "" {
			t.Errorf("Say(%q) entities (-want +got):\n%s", text, diff)
		}
	}
}
