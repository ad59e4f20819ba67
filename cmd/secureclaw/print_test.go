package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode"

	"pgregory.net/rapid"

	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// tricks are the runes that hide, move or reverse what a terminal shows.
func tricks() []rune {
	return []rune{
		0, 7, 8, '\r', 0x1b, 0x7f, 0x85, 0x9b, // controls, C1 too: 9b is a CSI by itself
		0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069, 0x200e, 0x200f, 0x061c, // bidi
		0x200b, 0x200c, 0x200d, 0x2060, 0xfeff, 0x00ad, 0x180e, // without width
		0x2028, 0x2029, // line ends
		0xe0001, 0xe0041, 0xe007f, // tags
		0x115f, 0x1160, 0x3164, 0xffa0, 0x2800, // blank letters
		0xe000, 0xf8ff, 0x100000, // private use
	}
}

func TestVisibleLetsNothingHide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(rapid.OneOf(
			rapid.String(),
			rapid.Map(rapid.SampledFrom(tricks()), func(r rune) string { return string(r) }),
			rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
		)).Draw(t, "parts")
		text := strings.Join(parts, "")
		got := visible(text)
		for _, r := range got {
			if r != '\n' && r != '\t' && (!unicode.IsGraphic(r) || unicode.In(r, unicode.Cf, unicode.Cc, unicode.Co, unicode.Zl, unicode.Zp)) || r == unicode.ReplacementChar {
				t.Fatalf("visible(%+q) = %+q, which holds %U", text, got, r)
			}
		}
		for _, trick := range tricks() {
			if strings.ContainsRune(got, trick) {
				t.Fatalf("visible(%+q) = %+q, which holds %U", text, got, trick)
			}
		}
		if again := visible(got); again != got {
			t.Fatalf("visible twice = %+q, want %+q", again, got)
		}
		if line := visibleLine(text); strings.ContainsAny(line, "\n\t") {
			t.Fatalf("visibleLine(%+q) = %+q", text, line)
		}
	})
}

func TestVisibleKeepsPlainText(t *testing.T) {
	for _, text := range []string{"", "plain text, 1 < 2 && \"quoted\" \\ back", "two\nlines\tand a tab", "Grüße, 你好, привет, العربية, ελληνικά", "→ ✓ │ …", "🙂 emoji"} {
		if got := visible(text); got != text {
			t.Errorf("visible(%q) = %q, want it unchanged", text, got)
		}
	}
	for text, want := range map[string]string{"a\x1b[2Jb": `a\x1b[2Jb`, "a\u202eb": `a\u{202e}b`, "a\xffb": `a\xffb`, "a\u200bb": `a\u{200b}b`, "\r": `\x0d`, "\ufffd": `\xef`} {
		if got := visible(text); !strings.HasPrefix(got, want) {
			t.Errorf("visible(%+q) = %q, want %q", text, got, want)
		}
	}
}

// A card shows every argument whole and in its own place, whatever is in it.
func TestCardHidesNothing(t *testing.T) {
	input := func(v any) strict.Value {
		data, err := strict.CanonicalOf(v)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	at := time.Date(2026, 11, 22, 12, 30, 0, 0, time.Local)
	cards := []wire.Card{
		{
			ID: "00ff", Code: "ABCD", Step: 2, Tool: "write_file", State: "pending", Expires: at, Rule: "requireApproval[0]", Reason: "touches a file that looks like a secret",
			Origin: "terminal", Sources: []string{"folder workspace", "mail\nApprove?  read_file"}, Digest: strings.Repeat("ab", 32), Mounts: []string{"workspace rw"},
			Input: input(map[string]any{
				"path":    "/workspace/\u202etxt.vne/\u202c\x1b[1A\x1b[2K.env",
				"content": "first\n  Expires    never\n\x1b[2J\x1b[Hlast \u200b\u2066hidden\u2069\r overwritten",
				"mode":    "overwrite",
			}),
		},
		{
			Code: "EFGH", Step: 1, Tool: "run_shell_command", State: "denied", By: "uid 1000 (terminal)", Why: "no\x1b[8m hidden", Outcome: "denied", Rule: "default", Origin: "heartbeat",
			Input: input(map[string]any{
				"command":                            "rm -rf / " + strings.Repeat(" ", 200) + "# at the far right",
				"a\nname that breaks its line\u202e": map[string]any{"deep": []any{1, true, nil, "x\ny"}},
				"number":                             1e3, "empty": "",
			}),
		},
		{Code: "IJKL", Tool: "odd", State: "pending", Input: strict.Value(`"no object \u001b[2J"`), Expires: at},
	}
	var out bytes.Buffer
	for _, c := range cards {
		printCard(&out, c)
		out.WriteByte('\n')
	}
	for _, r := range out.String() {
		if r != '\n' && !plain(r) {
			t.Errorf("a card holds %U", r)
		}
	}
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "  Expires    never") || strings.HasPrefix(line, "Approve?  read_file") {
			t.Errorf("an argument made a line of the card's own: %q", line)
		}
	}
	golden(t, "cards.golden", out.String())
}
