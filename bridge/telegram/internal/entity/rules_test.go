package entity

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// check holds a message against the Bot API's rules for entities and against what its servers do:
// it returns the first rule that is broken.
func check(m Message, limit int) error {
	if !utf8.ValidString(m.Text) {
		return fmt.Errorf("not UTF-8")
	}
	u := utf16.Encode([]rune(m.Text))
	if limit > 0 && len(u) > limit {
		return fmt.Errorf("%d units, the most is %d", len(u), limit)
	}
	if limit > 0 && len(m.Entities) > 100 {
		return fmt.Errorf("%d entities, Telegram keeps 100", len(m.Entities))
	}
	if strings.TrimFunc(m.Text, func(r rune) bool { return unicode.IsSpace(r) || r == '\u2800' }) == "" {
		return fmt.Errorf("nothing to see")
	}
	if strings.TrimRightFunc(m.Text, unicode.IsSpace) != m.Text {
		return fmt.Errorf("blanks at the end")
	}
	if strings.TrimLeftFunc(m.Text, unicode.IsSpace) != m.Text && (len(m.Entities) == 0 || m.Entities[0].Offset != 0) {
		return fmt.Errorf("blanks at the start, which the server cuts")
	}
	for _, r := range m.Text {
		if r != '\n' && (unicode.IsControl(r) || r >= 0x2028 && r <= 0x202e || r == 0x30a || r == 0x333 || r == 0x33f) {
			return fmt.Errorf("%U, which the server drops", r)
		}
	}
	high := func(i int) bool { return i < len(u) && i > 0 && u[i] >= 0xdc00 && u[i] < 0xe000 }
	for i, e := range m.Entities {
		end := e.Offset + e.Length
		switch {
		case e.Offset < 0 || e.Length <= 0 || end > len(u):
			return fmt.Errorf("entity %+v outside of %d units", e, len(u))
		case high(e.Offset) || high(end):
			return fmt.Errorf("entity %+v parts a surrogate pair", e)
		case !strings.Contains(" bold italic strikethrough code pre text_link blockquote ", " "+e.Type+" "):
			return fmt.Errorf("entity %+v of no type", e)
		case (e.URL != "") != (e.Type == "text_link") || e.Language != "" && e.Type != "pre":
			return fmt.Errorf("entity %+v has a field of another type", e)
		}
		inner := string(utf16.Decode(u[e.Offset:end]))
		if strings.TrimSpace(inner) == "" || strings.TrimRightFunc(inner, unicode.IsSpace) != inner || inner[0] == '\n' {
			return fmt.Errorf("entity %+v has blanks at its ends: %q", e, inner)
		}
		if e.Type == "text_link" && !strings.HasPrefix(e.URL, "tg://resolve?domain=") {
			link, err := url.Parse(e.URL)
			if err != nil || link.Scheme != "http" && link.Scheme != "https" || !strings.Contains(link.Host, ".") || link.User != nil {
				return fmt.Errorf("link to %q", e.URL)
			}
		}
		if i > 0 {
			before := m.Entities[i-1]
			if e.Offset < before.Offset || e.Offset == before.Offset && e.Length > before.Length {
				return fmt.Errorf("entities %+v and %+v out of order", before, e)
			}
		}
		for j := i - 1; j >= 0 && i-j < 200; j-- {
			o := m.Entities[j]
			outerEnd := o.Offset + o.Length
			if outerEnd <= e.Offset {
				continue
			}
			if end > outerEnd {
				return fmt.Errorf("entities %+v and %+v overlap", o, e)
			}
			solid := func(kind string) bool { return kind == "code" || kind == "pre" }
			switch {
			case solid(o.Type), e.Type == "blockquote", o.Type == e.Type, solid(e.Type) && o.Type != "blockquote":
				return fmt.Errorf("entity %+v may not stand in %+v", e, o)
			}
		}
	}
	return nil
}

// ink is what is left of a text without blanks.
func ink(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '\u2800' {
			return -1
		}
		return r
	}, s)
}

// every holds all properties of one source.
func every(t testing.TB, source string, limit int) {
	t.Helper()
	for name, m := range map[string]Message{"Render": Render(source), "Plain": Plain(source)} {
		if err := check(m, 0); err != nil {
			t.Fatalf("%s(%q): %v\n%q", name, source, err, m.Text)
		}
		var back strings.Builder
		for i, part := range Split(m, limit) {
			if err := check(part, max(limit, 2)); err != nil {
				t.Fatalf("part %d of Split(%s(%q), %d): %v\n%q %+v", i, name, source, limit, err, part.Text, part.Entities)
			}
			back.WriteString(part.Text)
		}
		if ink(back.String()) != ink(m.Text) {
			t.Fatalf("Split(%s(%q), %d) lost something: %q, want %q", name, source, limit, back.String(), m.Text)
		}
		if hidden := strings.IndexFunc(m.Text, func(r rune) bool { return r != '\n' && unicode.In(r, unicode.Bidi_Control, unicode.Cc) }); hidden >= 0 {
			t.Fatalf("%s(%q) shows a control character at %d: %q", name, source, hidden, m.Text)
		}
		if Units(m.Text) != len(utf16.Encode([]rune(m.Text))) {
			t.Fatalf("Units(%q) = %d", m.Text, Units(m.Text))
		}
	}
	if m := Plain(source); source == strings.TrimSpace(source) && isASCII(source) && source != "" && m.Text != source {
		t.Fatalf("Plain(%q) = %q", source, m.Text)
	}
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > '~' || r < ' ' }) < 0
}

// pieces is what hostile Markdown is made of.
var pieces = []string{
	"a", "word ", "b c", "\n", "\n\n", "  \n", "\\\n", " ", "    ", "\t", "*", "**", "***", "_", "__", "~~", "~", "`", "``", "```", "```go\n", "\n```\n", "~~~", "> ", ">", ">> ", "- ", "* ", "1. ", "3) ", "  - ", "    - ", "- [x] ", "- [ ] ",
	"# ", "## a\n", "---\n", "===\n", "[", "]", "(", ")", "](", "[x](http://a.b)", "[paypal.com](https://evil.example/a)", "[`c`](https://x.yz)", "![i](http://p.q/r)", "<http://l.m>", "https://auto.link/_a_ ", "www.w.de ", "a@b.cd ",
	"[r]: http://ref.er\n", "[r]", "|", "|a|b|\n|-|:-:|\n|c|d|\n", "a|b\n-|-\n", "<b>", "<!-- c -->", "<div>\n", "</div>", "&amp;", "&#x202e;", "&#0;", "\\", "\\*", "!", "😀", "👩‍👩‍👧‍👦", "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "🇩🇪", "👍🏽", "é", "e\u0301", "a\u030a", "x\u0333", "Z\u0336\u0337\u0338", "漢字。", "한글", "\u1112\u1161\u11ab", "नि", "می\u200cخواهم",
	"\u202e", "\u2066", "\u200b", "\u200d", "\u200e", "\ufeff", "\u00ad", "\u2028", "\U000e0041", "\ufe0f", "\u3164", "\u2800", "\u00a0", "\x00", "\x1b[2J", "\xff", "\xed\xa0\x80", "\r", "\r\n", "\ufffc", "\u180e", "“q”", "…", ". ", "tg://resolve?domain=abc", "javascript:alert(1)", "[j](javascript:x)", "[u](https://a.b@c.d)", "[l](http://localhost)",
}

func hostile(r *rand.Rand) string {
	var b strings.Builder
	for range 1 + r.IntN(25) {
		if r.IntN(20) == 0 {
			b.WriteString(strings.Repeat(pieces[r.IntN(len(pieces))], 1+r.IntN(40)))
		} else {
			b.WriteString(pieces[r.IntN(len(pieces))])
		}
	}
	return b.String()
}

func TestHostileStrings(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 10_000 {
		limit := []int{1, 2, 3, 7, 20, 64, 200, 4096}[r.IntN(8)]
		every(t, hostile(r), limit)
	}
}

func FuzzRender(f *testing.F) {
	for _, piece := range pieces {
		f.Add(piece, 4096)
	}
	f.Add("# Title\n\n*a **b** `c`* [d](http://e.f)\n\n> q\n> - r\n\n```go\n\tx := 1\n```\n", 20)
	f.Fuzz(every0)
}

func every0(t *testing.T, source string, limit int) { every(t, source, limit) }
