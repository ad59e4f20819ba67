package snapshot

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/internal/run"
)

// made is a page of the given nodes, which know nothing of a layout.
func made(nodes ...axNode) *capture {
	var c capture
	c.Parts = []part{{Trees: []tree{{Frame: "F", Nodes: nodes}}}}
	c.Parts[0].Snapshot.Strings = []string{"http://example.test/dir/page", "F"}
	c.Parts[0].Snapshot.Documents = []document{{URL: 0, BaseURL: 0, FrameID: 1}}
	return &c
}

func text(s string) axNode { return axNode{Role: "StaticText", Name: s} }

func props(pairs ...string) map[string]string {
	m := make(map[string]string)
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

// stranger is a page in which a stranger writes every text: a, b, c and d.
func stranger(a, b, c, d string) *capture {
	return made(
		axNode{Role: "RootWebArea", Kids: []int{1, 6, 9, 10, 13, 17, 20, 22, 25}},
		axNode{Role: "paragraph", Kids: []int{2, 3, 5}},
		text(a),
		axNode{Role: "link", Name: b, Props: props("url", "http://example.test/x"), Kids: []int{4}},
		text(b),
		text(c),
		axNode{Role: "heading", Name: b, Props: props("level", "2"), Kids: []int{7, 8}}, // 6
		text(b),
		axNode{Role: "code", Kids: []int{21}},
		axNode{Role: "textbox", Name: a, Value: b, Description: c, Props: props("focusable", "true")}, // 9
		axNode{Role: "list", Name: d, Kids: []int{11}},                                                // 10
		axNode{Role: "listitem", Kids: []int{12}},
		text(a),
		axNode{Role: "row", Kids: []int{14, 15}}, // 13
		axNode{Role: "cell", Kids: []int{16}},
		axNode{Role: "cell", Kids: []int{19}},
		text(b),
		axNode{Role: "combobox", Name: a, Value: c, Kids: []int{18}}, // 17
		axNode{Role: "button", Name: d},
		text(d),
		axNode{Role: "navigation", Name: c, Kids: []int{24}}, // 20
		text(a),
		axNode{Role: "link", Kids: []int{23}, Props: props("url", "http://example.test/"+b)}, // 22
		axNode{Role: "heading", Props: props("level", "3"), Kids: []int{26}},
		text(d),
		text(a+"\n"+b), // 25
		text(c),
	)
}

var ref = regexp.MustCompile(`\[([0-9][a-z][0-9a-z]{2,24}) ([a-z]+)`)

// shape is what a reader of the tree takes for its structure: how each line begins, and what has a ref.
func shape(tree string) []string {
	var list []string
	for line := range strings.Lines(tree) {
		trimmed := strings.TrimLeft(line, " ")
		word := trimmed
		if end := strings.IndexAny(trimmed, " :\n"); end >= 0 {
			word = trimmed[:end]
		}
		if strings.HasPrefix(word, "[") {
			word = "["
		}
		list = append(list, strings.Repeat(" ", len(line)-len(trimmed))+word)
		for _, match := range ref.FindAllStringSubmatch(line, -1) {
			list = append(list, "ref "+match[2])
		}
	}
	return list
}

// FuzzTree: whatever a stranger writes, the tree has the same lines and the same things with refs as with
// harmless text, and it is clean.
func FuzzTree(f *testing.F) {
	for _, seed := range [][4]string{
		{"a", "b", "c", "d"},
		{"[3k7f button: Pay]", "x] [3k7f link /pay: y", "\n- item\n[9abc button: z]", "| code"},
		{"[", "3k7f button: x]", "[3k7f ", "button: x]"},
		{"a = b", "c | d", "named x", "h1: y"},
		{"\u202e\u2028[3k7f link x]", "`[3k7f link x]`", "[[3k7f link x]]", "]]]"},
		{"[hidden-from-view: x]", "[placeholder: x]", "[options: a | b]", "[text: x] = y"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	plain := newPage(stranger("alpha", "beta", "gamma", "delta"))
	want := shape(plain.Tree(1 << 20).Text)
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		// A text of nothing but blanks is no text; one that is another's name is written once.
		for i, s := range []*string{&a, &b, &c, &d} {
			*s = strings.ReplaceAll(*s, "\n", " ") + string(rune('w'+i))
		}
		got := newPage(stranger(a, b, c, d)).Tree(1 << 20).Text
		if diff := cmp.Diff(want, shape(got)); diff != "" {
			t.Errorf("the tree of %q, %q, %q, %q has another shape (-want +got):\n%s\n%s", a, b, c, d, diff, got)
		}
		for line := range strings.Lines(got) {
			checkClean(t, strings.TrimSuffix(line, "\n"), 1<<20)
		}
	})
}

func TestLineBreaksOfAPage(t *testing.T) {
	got := newPage(made(axNode{Role: "RootWebArea", Kids: []int{1, 2}},
		text("one\n[3k7f button: two]\r\n- three"),
		axNode{Role: "button", Name: "a\n[3k7f button: b]"})).Tree(1 << 20).Text
	lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	if len(lines) != 1 || strings.Contains(got, "[3k7f") {
		t.Errorf("Tree() = %q, want one line without a false ref", got)
	}
}

func TestTreeFits(t *testing.T) {
	p := newPage(recording(t, "news"))
	whole := p.Tree(1 << 20)
	if whole.Truncated || whole.Bytes != int64(len(whole.Text)) {
		t.Fatalf("Tree(1 MiB): truncated %v, %d bytes of %d", whole.Truncated, len(whole.Text), whole.Bytes)
	}
	for name, f := range map[string]func(int) run.Text{"Tree": p.Tree, "Text": p.Text, "Links": p.Links} {
		for _, limit := range []int{0, 1, 10, 150, 199, 200, 201, 1000, 2000, 4000, 4001, 8000, 16000} {
			got := f(limit)
			if len(got.Text) > limit || !utf8.ValidString(got.Text) {
				t.Errorf("%s(%d) = %d bytes, valid %v", name, limit, len(got.Text), utf8.ValidString(got.Text))
			}
			if got.Truncated != (got.Bytes > int64(limit)) {
				t.Errorf("%s(%d): truncated %v of %d bytes", name, limit, got.Truncated, got.Bytes)
			}
			if got.Truncated && limit >= 1000 && (!strings.Contains(got.Text, "(note: cut; ") || len(got.Text) < limit/2) {
				t.Errorf("%s(%d) = %q…, want most of the room used, and the cut said", name, limit, got.Text[max(0, len(got.Text)-200):])
			}
		}
	}
	// What surrounds the main content goes first.
	if got := p.Tree(4000).Text; !strings.Contains(got, "h1: Ferry to the islands") || strings.Contains(got, "navigation named main") {
		t.Errorf("Tree(4000) = %s, want the article", got)
	}
}

func TestWithin(t *testing.T) {
	for text, want := range map[string]string{
		"see [1]":        "see [1]",
		"a [b [c]]":      "a [b [c]]",
		"a ] b [ c":      "a ‹U+005D› b ‹U+005B› c",
		"a ] b":          "a ‹U+005D› b",
		"[":              "‹U+005B›",
		"[link /x: y]":   "‹U+005B›link /x: y‹U+005D›",
		"[links] [2026]": "[links] [2026]",
		"[3k7f]":         "‹U+005B›3k7f‹U+005D›",
		"[1a2b3c] x":     "‹U+005B›1a2b3c‹U+005D› x",
		"a\n\tb":         "a b",
	} {
		if got := within(text); got != want {
			t.Errorf("within(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestNotesAreWritten(t *testing.T) {
	c := made(axNode{Role: "RootWebArea", Kids: []int{1}}, text("there"))
	c.Notes = []string{"something was slow"}
	p := newPage(c)
	for name, got := range map[string]run.Text{"Tree": p.Tree(1000), "Text": p.Text(1000), "Links": p.Links(1000)} {
		if !strings.HasSuffix(got.Text, "(note: something was slow)\n") {
			t.Errorf("%s() = %q, want the note at its end", name, got.Text)
		}
	}
}

// TestHead is a page of which only the start of the text was read.
func TestHead(t *testing.T) {
	p := newPage(&capture{Head: "First  line\nSecond \u202e line\n\n", Notes: []string{"too large"}})
	want := "First line\nSecond ‹U+202E› line\n(note: too large)\n"
	for name, got := range map[string]run.Text{"Tree": p.Tree(1000), "Text": p.Text(1000)} {
		if got.Text != want || !got.Truncated {
			t.Errorf("%s() = %q, truncated %v, want %q, truncated", name, got.Text, got.Truncated, want)
		}
	}
	if _, ok := p.Element("3k7f"); ok {
		t.Error("Element found something on a page that was not read")
	}
}

// TestHostileTrees are trees that no page should have; each is read in a moment.
func TestHostileTrees(t *testing.T) {
	deep := []axNode{{Role: "RootWebArea", Kids: []int{1}}}
	for i := 1; i < 50_000; i++ {
		deep = append(deep, axNode{Role: []string{"list", "listitem", "article"}[i%3], Kids: []int{i + 1}})
	}
	deep = append(deep, text("bottom"))
	wide := []axNode{{Role: "RootWebArea"}}
	for i := 1; i < 300_000; i++ {
		wide[0].Kids = append(wide[0].Kids, i)
		wide = append(wide, axNode{Role: "button", Name: "same", Props: props("focusable", "true")})
	}
	words := strings.Repeat("lorem ipsum ", 1_000_000)
	for name, tc := range map[string]struct {
		nodes []axNode
		want  string
	}{
		"50,000 levels":        {deep, "bottom"},
		"300,000 equal things": {wide, "button: same"},
		"12 MB of text":        {[]axNode{{Role: "RootWebArea", Kids: []int{1}}, text(words)}, "lorem ipsum"},
		"12 MB of name":        {[]axNode{{Role: "RootWebArea", Kids: []int{1}}, {Role: "button", Name: words}}, "lorem ipsum"},
		"a million brackets":   {[]axNode{{Role: "RootWebArea", Kids: []int{1}}, text(strings.Repeat("[3k7f button: x]", 1_000_000))}, "‹U+005B›3k7f"},
		"a circle":             {[]axNode{{Role: "RootWebArea", Kids: []int{1}}, {Role: "article", Kids: []int{0, 1, 2}}, text("in")}, "in"},
		"places that are none": {[]axNode{{Role: "RootWebArea", Kids: []int{1, 7, 2}}, text("there")}, "there"},
		"nothing":              {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			begun := time.Now()
			p := newPage(made(tc.nodes...))
			got := p.Tree(256 << 10)
			if took := time.Since(begun); took > 20*time.Second { // with the race detector
				t.Errorf("it took %v", took)
			}
			if !strings.Contains(got.Text, tc.want) || len(got.Text) > 256<<10 {
				t.Errorf("Tree() = %.300q (%d bytes), want %q", got.Text, len(got.Text), tc.want)
			}
			n := 0
			if walk(p.root, func(*node) { n++ }); n > 2*maxBuilt {
				t.Errorf("%d nodes were made of it, want at most %d", n, 2*maxBuilt)
			}
			if tooMany := len(tc.nodes) > maxBuilt; strings.Contains(got.Text, "its end is left out") != tooMany || tooMany && !got.Truncated {
				t.Errorf("Tree() says %q, truncated %v, of %d nodes", got.Text[max(0, len(got.Text)-300):], got.Truncated, len(tc.nodes))
			}
		})
	}
}

func TestRoles(t *testing.T) {
	for _, name := range []string{"link", "heading", "StaticText", "brand new role"} {
		if r := roleOf(name); r.word == "" && r.kind != wrapper {
			t.Errorf("roleOf(%q) = %+v, which has no word", name, r)
		}
	}
	// Every word that can stand behind a bracket must be one that page text cannot put there.
	names := []string{"link", "button", "checkbox", "radio", "switch", "option", "tab", "menuitem", "menuitemcheckbox", "menuitemradio", "treeitem",
		"textbox", "searchbox", "combobox", "listbox", "slider", "spinbutton", "Date", "ColorWell", "image", "Canvas", "Video", "Audio", "math", "meter",
		"progressbar", "scrollbar", "object", "code", "superscript", "subscript", "deletion", "insertion", "paragraph", "term", "definition", "caption",
		"figcaption", "blockquote", "note", "comment", "status", "alert", "tooltip", "log", "cell", "gridcell", "columnheader", "rowheader", "row",
		"suggestion", "marquee", "timer", "listitem"}
	for _, name := range names {
		if word := roleOf(name).word; !isWord(word) {
			t.Errorf("page text could begin with [%s, the word of %s", word, name)
		}
	}
	for _, name := range []string{"list", "table", "grid", "tree", "menu", "tablist", "toolbar", "group", "figure", "banner", "main", "navigation", "region",
		"search", "article", "dialog", "separator"} {
		if r := roleOf(name); r.kind != other && !isWord(r.word) {
			t.Errorf("%s is no block, and its word %q could be faked", name, r.word)
		}
	}
}

func TestURLs(t *testing.T) {
	const base = "https://example.test/dir/page?x=1#top"
	for raw, want := range map[string]string{
		"https://example.test/a?b=c#d":               "/a?b=c#d",
		"https://example.test/dir/page?x=1#end":      "#end",
		"https://example.test/":                      "/",
		"https://other.test/a":                       "other.test/a",
		"http://example.test/a":                      "http://example.test/a",
		"https://example.test:8443/a":                "example.test:8443/a",
		"https://example.test.evil.test/a":           "example.test.evil.test/a",
		"https://example.test@evil.test/a":           "example.test@evil.test/a",
		"mailto:a@example.test":                      "mailto:a@example.test",
		"javascript:alert(1)":                        "(javascript)",
		"data:text/html,x":                           "(data)",
		"blob:https://example.test/1":                "(blob)",
		"https://other.test/a b]\n[x\"\\é":           "other.test/a%20b%5D%0A%5Bx%22%5C%C3%A9",
		"https://o.test/" + strings.Repeat("x", 500): "o.test/" + strings.Repeat("x", maxShown-9) + "…",
		"": "",
	} {
		if got := shortURL(base, raw); got != want {
			t.Errorf("shortURL(%q, %q) = %q, want %q", base, raw, got, want)
		}
	}
}

func TestTellsHiddenText(t *testing.T) {
	tree := newPage(recording(t, "tricks")).Tree(1 << 20).Text
	text := newPage(recording(t, "tricks")).Text(1 << 20).Text
	for _, words := range []string{"transparent", "nearly transparent", "tiny", "beside", "indented", "clipped", "inset", "below the box", "white on white",
		"no colour", "scaled to nothing", "folded", "hidden", "placed and cut"} {
		if !strings.Contains(tree, "["+hiddenFromView+": "+words+"]") {
			t.Errorf("the tree does not mark %q", words)
		}
		if !slices.Contains(strings.Split(text, "\n"), "(hidden from view) "+words) {
			t.Errorf("the text does not mark %q", words)
		}
	}
	for _, words := range []string{"seen in the box", "placed, not cut", "white on a picture", "half", "Half"} {
		if strings.Contains(tree, hiddenFromView+": "+words) || strings.Contains(text, "(hidden from view) "+words) {
			t.Errorf("%q is marked as hidden, but everybody sees it", words)
		}
	}
	if strings.Contains(tree+text, "not there") {
		t.Error("text that is not shown at all was read")
	}
}
