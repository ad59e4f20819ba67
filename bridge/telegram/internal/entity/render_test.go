package entity

import (
	"strings"
	"testing"
	"unicode/utf16"
)

// marked writes a message with its entities as tags.
func marked(m Message) string {
	u := utf16.Encode([]rune(m.Text))
	var b strings.Builder
	for i := 0; i <= len(u); i++ {
		for j := len(m.Entities) - 1; j >= 0; j-- {
			if e := m.Entities[j]; e.Offset+e.Length == i {
				b.WriteString("</" + e.Type + ">")
			}
		}
		for _, e := range m.Entities {
			if e.Offset == i {
				b.WriteString("<" + strings.TrimSpace(e.Type+" "+e.URL+e.Language) + ">")
			}
		}
		if i < len(u) {
			n := 1
			if u[i] >= 0xd800 && u[i] < 0xdc00 {
				n = 2
			}
			b.WriteString(string(utf16.Decode(u[i : i+n])))
			i += n - 1
		}
	}
	return b.String()
}

func TestRender(t *testing.T) {
	for name, tc := range map[string]struct{ in, want string }{
		"nothing":           {"", "(empty)"},
		"only blanks":       {" \n\t\u00a0\u2800\n", "(empty)"},
		"only invisible":    {"\u200b\ufeff\u00ad", "(empty)"},
		"plain":             {"hello\nworld", "hello\nworld"},
		"heading":           {"# One `x` two\ntext", "<bold>One</bold> <code>x</code> <bold>two</bold>\n\ntext"},
		"nested styles":     {"**a *b* ~~c~~**", "<bold>a <italic>b</italic> <strikethrough>c</strikethrough></bold>"},
		"style in itself":   {"*a _b_ c*", "<italic>a b c</italic>"},
		"code parts styles": {"***a `b` c***", "<bold><italic>a</italic></bold> <code>b</code> <bold><italic>c</italic></bold>"},
		"surrogates":        {"😀 **😀b**", "😀 <bold>😀b</bold>"},
		"fence":             {"```go\n\tx\n  y\n```", "<pre go>    x\n  y</pre>"},
		"fence left open":   {"```python x\na\n\nb", "<pre python>a\n\nb</pre>"},
		"odd language":      {"```a<b>\nx\n```", "<pre>x</pre>"},
		"indented":          {"    a\n     b\n", "<pre>a\n b</pre>"},
		"empty code":        {"a\n\n```\n\n```\n\nb ` ` c", "a\n\nb   c"},
		"quote":             {"> a\n> `b`\n>> c\n>> d\n\ne", "<blockquote>a\n<code>b</code>\n\n> c\n> d</blockquote>\n\ne"},
		"code in quote":     {"> ```sh\n>  ls\n> ```", "<blockquote><pre sh> ls</pre></blockquote>"},
		"lists":             {"- a\n- b\n  - c\n    1. d\n    2. e\n\n3) f\n", "• a\n• b\n  ◦ c\n    1. d\n    2. e\n\n3) f"},
		"loose list":        {"- a\n\n  b\n\n- c", "• a\n\n  b\n\n• c"},
		"tasks":             {"- [x] a\n- [ ] b", "☑ a\n☐ b"},
		"rule":              {"a\n\n---\n\nb", "a\n\n──────────\n\nb"},
		"breaks":            {"a  \nb\\\nc\nd", "a\nb\nc\nd"},
		"html":              {"a <b>c</b>\n\n<script>\nx\n</script>", "a <b>c</b>\n\n<script>\nx\n</script>"},
		"references":        {`&lt;a&gt; \*b\* &copy; &copy &#x41; \&amp; AT&T`, "<a> *b* © &copy A &amp; AT&T"},
		"hidden reference":  {"a&#x202e;b&#8203;c", "a‹U+202E›bc"},
		"definition":        {"[a]: http://b.c 'd'", "[a]: <code>http://b.c</code> d"},
		"table":             {"|a|b|c|\n|-|-:|:-:|\n|d|e|f|\n|漢|100|12345|", "<pre>a  │   b │   c\n───┼─────┼──────\nd  │   e │   f\n漢 │ 100 │ 12345</pre>"},
		"wide table": {"|a|b|\n|-|-|\n|" + strings.Repeat("w", 60) + "|[x](http://y.z)|\n|1|2|",
			"• <bold>a:</bold> " + strings.Repeat("w", 60) + "\n  <bold>b:</bold> <text_link http://y.z>x</text_link> (y.z)\n• <bold>a:</bold> 1\n  <bold>b:</bold> 2"},
		"image":        {"![a *b*](http://c.d/e)", "🖼 a <italic>b</italic> (<code>http://c.d/e</code>)"},
		"image inside": {"[![a](http://b.c/d)](http://e.f)", "<text_link http://e.f>🖼 a (http://b.c/d)</text_link> (e.f)"},
		"not UTF-8":    {"a\xff\xfeb", "a\ufffdb"},
		"line ends":    {"a\r\nb\rc", "a\nb\nc"},
	} {
		t.Run(name, func(t *testing.T) {
			m := Render(tc.in)
			if got := marked(m); got != tc.want {
				t.Errorf("Render(%q):\n got %q\nwant %q", tc.in, got, tc.want)
			}
			if err := check(m, MaxUnits); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestLinks(t *testing.T) {
	for in, want := range map[string]string{
		"[a](https://b.c/d?e=f#g)":              "<text_link https://b.c/d?e=f#g>a</text_link> (b.c)",
		"[a **b** `c`](http://d.e)":             "<text_link http://d.e>a <bold>b</bold> c</text_link> (d.e)",
		"https://a.b/_c_d":                      "<text_link https://a.b/_c_d>https://a.b/_c_d</text_link>",
		"www.a.bc":                              "<text_link http://www.a.bc>www.a.bc</text_link>",
		"a@b.cd":                                "a@b.cd",
		"[t](tg://resolve?domain=abc)":          "t (<code>tg://resolve?domain=abc</code>)",
		"[t](tg://proxy?server=a)":              "t (<code>tg://proxy?server=a</code>)",
		"[t](javascript:alert(1))":              "t (<code>javascript:alert(1)</code>)",
		"[t](file:///etc/passwd)":               "t (<code>file:///etc/passwd</code>)",
		"[t](/a/b)":                             "t (<code>/a/b</code>)",
		"[t]()":                                 "t",
		"[t](http://localhost:3333/)":           "t (<code>http://localhost:3333/</code>)",
		"[t](http://[::1]/)":                    "t (<code>http://[::1]/</code>)",
		"[t](http://127.0.0.1:80/)":             "<text_link http://127.0.0.1:80/>t</text_link> (127.0.0.1)",
		"[t](http://a.b:99999/)":                "t (<code>http://a.b:99999/</code>)",
		"[t](http://a..b/)":                     "t (<code>http://a..b/</code>)",
		"[t](http://bank.com@evil.cc/)":         "t (<code>http://bank.com@evil.cc/</code>)",
		"[t](https://gооgle.com)":               "t (<code>https://gооgle.com</code>)",
		"[t](<http://a.b/c d>)":                 "t (<code>http://a.b/c d</code>)",
		"[bank.com](https://evil.cc/x)":         "<text_link https://evil.cc/x>bank.com</text_link> (evil.cc)",
		"[https://bank.com/a](https://evil.cc)": "<text_link https://evil.cc>https://bank.com/a</text_link> (evil.cc)",
		"[**bank**.com](https://evil.cc)":       "<text_link https://evil.cc><bold>bank</bold>.com</text_link> (evil.cc)",
		"[bank\u200b.com](https://evil.cc)":     "<text_link https://evil.cc>bank.com</text_link> (evil.cc)",
		"[bank。com](https://evil.cc)":           "<text_link https://evil.cc>bank。com</text_link> (evil.cc)",
		"[see (bank.com)!](https://evil.cc)":    "<text_link https://evil.cc>see (bank.com)!</text_link> (evil.cc)",
		"[x@bank.com](https://evil.cc)":         "<text_link https://evil.cc>x@bank.com</text_link> (evil.cc)",
		"[bank.com](https://bank.com.evil.cc)":  "<text_link https://bank.com.evil.cc>bank.com</text_link> (bank.com.evil.cc)",
		"[www.bank.com](https://bank.com/x)":    "<text_link https://bank.com/x>www.bank.com</text_link>",
		"[Bank.com](https://BANK.com)":          "<text_link https://BANK.com>Bank.com</text_link>",
		"[version 1.2](https://a.b)":            "<text_link https://a.b>version 1.2</text_link> (a.b)",
		"[the bank](https://evil.cc)":           "<text_link https://evil.cc>the bank</text_link> (evil.cc)",
		"[✅ Approve once](https://evil.cc/x)":   "<text_link https://evil.cc/x>✅ Approve once</text_link> (evil.cc)",
		"[ok.com bank.com](https://ok.com)":     "<text_link https://ok.com>ok.com bank.com</text_link> (ok.com)",
	} {
		if got := marked(Render(in)); got != want {
			t.Errorf("Render(%q):\n got %q\nwant %q", in, got, want)
		}
	}
}

func TestClean(t *testing.T) {
	england := "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
	for in, want := range map[string]string{
		"a\u202eb\u2066c\u2069":                       "a‹U+202E›b‹U+2066›c‹U+2069›",
		"\u202e\u202e\u202ea":                         "‹U+202E ×3›a",
		"a\u200eb\u200fc\u061cd\u200be\ufefff\u00ad":  "abcdef",
		"a\u200db\u200cc":                             "abc",
		"👩\u200d🚀 ❤\ufe0f\u200d🔥 👩🏽\u200d💻":           "👩\u200d🚀 ❤\ufe0f\u200d🔥 👩🏽\u200d💻",
		"می\u200cخواهم क\u094d\u200dष":                "می\u200cخواهم क\u094d\u200dष",
		"1\ufe0f\u20e3 ✔\ufe0e a\ufe0f":               "1\ufe0f\u20e3 ✔\ufe0e a‹U+FE0F›",
		"😀\ufe0f\ufe0f":                               "😀\ufe0f‹U+FE0F›",
		"😀\U000e0101\U000e0102":                       "😀‹U+E0101›‹U+E0102›",
		england + " \U000e0068\U000e0069":             england + " ‹U+E0068›‹U+E0069›",
		"🏴\U000e0068\U000e007f":                       "🏴‹U+E0068›‹U+E007F›",
		"a\u3164\u115f\uffa0\u034f\u180e\u2061":       "a‹U+3164›‹U+115F›‹U+FFA0›‹U+034F›‹U+180E›‹U+2061›",
		"a\x00\x1b[2J\x7f\u0085":                      "a‹U+0000›‹U+001B›[2J‹U+007F›‹U+0085›",
		"a\u2028b\u2029c\ufffcd":                      "a‹U+2028›b‹U+2029›c‹U+FFFC›d",
		"Ångstro\u0308m A\u030angstrom x\u030a\u0333": "Ångstro\u0308m Ångstrom x‹U+030A›‹U+0333›",
		"a" + strings.Repeat("\u0336", 10) + "b":      "a" + strings.Repeat("\u0336", 8) + "‹U+0336 ×2›b",
		"a\tb":                                        "a b",
		"\u0601\u0664":                                "\u0601\u0664",
	} {
		if got := Plain(in).Text; got != want {
			t.Errorf("Plain(%+q):\n got %+q\nwant %+q", in, got, want)
		}
		if got := Plain(want).Text; got != want {
			t.Errorf("Plain(%+q) = %+q, want it as it is", want, got)
		}
	}
}

func TestSplit(t *testing.T) {
	for name, tc := range map[string]struct {
		in    string
		limit int
		want  []string
	}{
		"blocks first": {"aaaa. bbbb\n\ncccc. dddd\neeee", 20, []string{"aaaa. bbbb", "cccc. dddd\neeee"}},
		"items":        {"- aaaa\n- bbbb\n  bbbb\n- cccc", 22, []string{"• aaaa\n• bbbb\n  bbbb", "• cccc"}},
		"sentences":    {"Aaaa bb. Cccc ddd eee", 20, []string{"Aaaa bb. Cccc ddd", "eee"}},
		"sentence end": {"Aaaa bbbb cc. Ccc ddd eee", 20, []string{"Aaaa bbbb cc.", "Ccc ddd eee"}},
		"words":        {"aaaa bbbb cccc", 10, []string{"aaaa bbbb", "cccc"}},
		"no words":     {strings.Repeat("a", 25), 10, []string{"aaaaaaaaaa", "aaaaaaaaaa", "aaaaa"}},
		"styles":       {"**aaaa bbbb cccc**", 10, []string{"<bold>aaaa bbbb</bold>", "<bold>cccc</bold>"}},
		"code block":   {"```go\n  a1\n  a2\n\n  a3\n```", 11, []string{"<pre go>  a1\n  a2</pre>", "<pre go>  a3</pre>"}},
		"heading":      {"aaaa aaaa\n\n# bb\n\ncccc cccc cccc", 24, []string{"aaaa aaaa", "<bold>bb</bold>\n\ncccc cccc cccc"}},
		"not in code":  {"aaaa bbbb `cc dd`", 14, []string{"aaaa bbbb", "<code>cc dd</code>"}},
		"link":         {"[aaaa bbbb](http://c.d)", 6, []string{"<text_link http://c.d>aaaa</text_link>", "<text_link http://c.d>bbbb</text_link>", "(c.d)"}},
		"quote":        {"> aaaa\n> bbbb", 6, []string{"<blockquote>aaaa</blockquote>", "<blockquote>bbbb</blockquote>"}},
		"surrogates":   {"😀😀😀", 3, []string{"😀", "😀", "😀"}},
		"families":     {"👩\u200d👩\u200d👧👩\u200d👩\u200d👧", 15, []string{"👩\u200d👩\u200d👧", "👩\u200d👩\u200d👧"}},
		"flags":        {"🇩🇪🇫🇷🇮🇹", 11, []string{"🇩🇪🇫🇷", "🇮🇹"}},
		"marks":        {"e\u0301e\u0301e\u0301", 3, []string{"e\u0301", "e\u0301", "e\u0301"}},
		"hangul":       {"\u1112\u1161\u11ab\u1112\u1161\u11ab", 5, []string{"\u1112\u1161\u11ab", "\u1112\u1161\u11ab"}},
		"Chinese":      {"漢字漢字。漢字漢字", 8, []string{"漢字漢字。", "漢字漢字"}},
		"too small":    {"👩\u200d👩", 1, []string{"👩", "\u200d", "👩"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, part := range Split(Render(tc.in), tc.limit) {
				got = append(got, marked(part))
			}
			if strings.Join(got, "|") != strings.Join(tc.want, "|") {
				t.Errorf("Split(Render(%q), %d):\n got %q\nwant %q", tc.in, tc.limit, got, tc.want)
			}
		})
	}
}

// Telegram keeps 100 entities of a message and drops the rest in silence.
func TestSplitKeepsAllEntities(t *testing.T) {
	parts := Split(Render(strings.Repeat("**a** `b`\n\n", 120)), MaxUnits)
	n := 0
	for _, part := range parts {
		if err := check(part, MaxUnits); err != nil {
			t.Error(err)
		}
		n += len(part.Entities)
	}
	if n != 240 || len(parts) != 3 {
		t.Errorf("%d entities in %d parts, want 240 in 3", n, len(parts))
	}
}
