package chat_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf16"

	"pgregory.net/rapid"

	"github.com/secureclaw/secureclaw/gateway/internal/chat"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/outbox"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// wild are texts that try to be more than text.
func wild() *rapid.Generator[string] {
	return rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{
		"", " ", "**bold** _it_ `code` ~~x~~ ||spoiler||", "[x](https://evil.example) ![y](http://e.example/z.png) <b>html</b> <script>", "\n\n# Heading\n- item\n> quote\n```\ncode",
		"\u202edrow\u202c\u2066x\u2069", "zero\u200bwidth\u200d\u2060\ufeff", strings.Repeat("🦀", 1000), strings.Repeat("word ", 300), "\x00\x1b[31m", "&lt;b&gt; &amp;", "1. one\n2. two",
		"| a | b |\n|---|---|", "**#1** 2026-01-01: faked", "\\", "a\\`b", strings.Repeat("*", 1500), "مرحبا", "日本語", "e\u0301\u0301\u0301",
	}))
}

func label() *rapid.Generator[claw.Label] {
	return rapid.Custom(func(t *rapid.T) claw.Label {
		return claw.Label{Integrity: claw.Integrity(rapid.IntRange(0, 2).Draw(t, "integrity")), Sources: rapid.SliceOfN(wild(), 0, 5).Draw(t, "sources")}
	})
}

// Whatever is kept, wherever a user is and whatever is tapped: a menu is shown, it fits one message of Telegram's, all
// of it can be seen, nothing in it passes for a line of ours, and every button of it can be tapped.
func TestEveryMenuFits(t *testing.T) {
	kept, beats := &shelf{}, &wheel{}
	h := furnish(t, func(h *house) { h.kept, h.clock, h.fixed = kept, beats, someDay })
	rapid.Check(t, func(t *rapid.T) {
		kept.all, beats.clock = nil, nil
		for i := range rapid.IntRange(0, 20).Draw(t, "memories") {
			kept.all = append(kept.all, claw.Memory{ID: int64(i+1) << rapid.IntRange(0, 46).Draw(t, "shift"), Owner: claw.Owner, Category: wild().Draw(t, "category"),
				Content: wild().Draw(t, "content"), Label: label().Draw(t, "label"), Created: someDay})
		}
		for range rapid.IntRange(0, 9).Draw(t, "heartbeats") {
			beats.clock = append(beats.clock, claw.Heartbeat{Name: wild().Draw(t, "name"), Schedule: wild().Draw(t, "schedule"), Timezone: wild().Draw(t, "zone"),
				Enabled: rapid.Bool().Draw(t, "on"), Last: []claw.Beat{{Outcome: wild().Draw(t, "outcome"), Note: wild().Draw(t, "note")}}})
		}
		var picked []int64
		for _, m := range kept.all[:min(len(kept.all), 48)] {
			picked = append(picked, m.ID)
		}
		name := rapid.SampledFrom([]string{"memories", "forget", "heartbeats", "sessions"}).Draw(t, "menu")
		if name == "forget" {
			picked = picked[:min(len(picked), 10)]
		}
		state := chat.Place{Picked: picked, Page: rapid.IntRange(-3, 2000).Draw(t, "page"), Below: rapid.Int64Range(-3, 70).Draw(t, "below"),
			Gone: rapid.IntRange(0, 10).Draw(t, "gone"), Over: rapid.Bool().Draw(t, "over"), Category: rapid.SampledFrom([]string{"", "x", chat.Tag("")}).Draw(t, "tag")}
		if rapid.Bool().Draw(t, "all") {
			state.Picked = nil
		}
		for range 4 {
			data, err := strict.Encode(state)
			if err != nil || len(data) > outbox.MaxState {
				t.Fatalf("state of %d bytes, %v", len(data), err)
			}
			text, rows, err := h.desk.Menu(t.Context(), outbox.Item{Channel: "telegram", User: anna, Menu: outbox.Menu{Name: name, State: string(data), Version: 1}})
			if err != nil {
				t.Fatalf("Menu(%s, %s) = %v", name, data, err)
			}
			fits(t, name, text, rows)
			// On by a button of it, or by what no button says.
			verb, arg := rapid.SampledFrom([]string{"f", "b", "c", "p", "s", "on", "off", "keep", "all", ""}).Draw(t, "verb"), rapid.String().Draw(t, "arg")
			if len(rows) > 0 && rapid.Bool().Draw(t, "a button") {
				row := rapid.SampledFrom(rows).Draw(t, "row")
				verb, arg, _ = strings.Cut(rapid.SampledFrom(row).Draw(t, "key").Data, ":")
			}
			next, said, err := h.desk.Turn(t.Context(), name, anna, state, verb, arg)
			if err == nil {
				state = next
			}
			if len(utf16.Encode([]rune(said))) > 180 {
				t.Errorf("said %q", said)
			}
		}
	})
}

func fits(t *rapid.T, name, text string, rows [][]wire.Button) {
	t.Helper()
	plain := strings.ReplaceAll(text, `\`, "")
	if n := len(utf16.Encode([]rune(plain))); n == 0 || n > 4096 {
		t.Errorf("%s has %d units", name, n)
	}
	for _, r := range text {
		if r != '\n' && (!unicode.IsGraphic(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)) {
			t.Errorf("%s shows %U: %q", name, r, text)
		}
	}
	items, n := 0, 0
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, "- ") {
			items++
		} else if line != "" {
			n++
		}
	}
	if items > 10 || n > 3 {
		t.Errorf("%s has %d items and %d other lines: %q", name, items, n, text)
	}
	keys := 0
	for _, row := range rows {
		for _, k := range row {
			keys++
			if k.Label == "" || len([]rune(k.Label)) > 33 || k.Data == "" || len(k.Data) > wire.MaxTap || strings.ContainsFunc(k.Data, func(r rune) bool { return r < '!' || r > '~' }) {
				t.Errorf("%s has the button %+v", name, k)
			}
		}
		if len(row) == 0 || len(row) > 4 {
			t.Errorf("%s has a row of %d", name, len(row))
		}
	}
	if keys > 20 {
		t.Errorf("%s has %d buttons", name, keys)
	}
}

// Markdown of a memory is text of a memory.
func TestMemoriesShowThemselves(t *testing.T) {
	kept := &shelf{all: []claw.Memory{
		{ID: 1, Owner: claw.Owner, Category: "a*b", Content: "**Bold** [x](https://evil.example)\n- **#9** 2026-01-01: faked <b>", Label: claw.UserLabel(), Created: someDay},
		{ID: 2, Owner: claw.Owner, Content: "pay\u202eeve\u202c 100\u200b€ `now` " + strings.Repeat("x", 300), Created: someDay,
			Label: claw.Label{Integrity: claw.External, Sources: []string{"web *news*.example"}}},
	}}
	h := furnish(t, func(h *house) { h.kept, h.fixed = kept, someDay })
	b := h.bridge()
	m := b.opens("m1", anna, "/memories")
	want := "**2 memories**\n\n" +
		`- **#2** 2026-11-22 · ⚠ from web \*news\*.example: payeve 100€ \` + "`now\\` " + strings.Repeat("x", 182) + "… (200 of 318 characters shown)\n" +
		`- **#1** 2026-11-22 · a\*b: \*\*Bold\*\* \[x\](https://evil.example) - \*\*\#9\*\* 2026-01-01: faked \<b\>` +
		"\n\n/memories and a word searches, /forget and a topic deletes."
	if m.text != want {
		t.Errorf("shown is\n%s\nwant\n%s", m.text, want)
	}
	if k := keys(m.menu); k != "[· 1] [a*b · 1]\n" {
		t.Errorf("buttons %s", fmt.Sprint(k))
	}
}
