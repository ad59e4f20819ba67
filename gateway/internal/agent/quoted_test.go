package agent_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// quoting runs one call in a conversation and returns what its gate may ask.
func quoting(t testing.TB, turns ...claw.Turn) func(string) bool {
	t.Helper()
	m := newMemory()
	m.turns["s"] = turns
	h := &hands{}
	a := newAgent(t, &script{replies: []replyFunc{wants(call("t", "{}")), says("done")}}, h, m, 3)
	if _, err := a.Continue(t.Context(), "s", claw.Origin{Channel: "terminal"}, "run_1", nil, &watcher{}); err != nil {
		t.Fatal(err)
	}
	if len(h.calls) != 1 || h.calls[0].Quoted == nil {
		t.Fatalf("%d calls ran, want one that can be asked for quotes", len(h.calls))
	}
	return h.calls[0].Quoted
}

func said(text string) claw.Turn { return claw.Turn{Role: claw.User, Text: text} }

func TestQuotedFromTheUser(t *testing.T) {
	for name, tc := range map[string]struct {
		said string
		text string
		want bool
	}{
		"word for word":                       {"open https://example.com/a please", "https://example.com/a", true},
		"alone":                               {"https://example.com/a", "https://example.com/a", true},
		"more at its end":                     {"open https://example.com/a please", "https://example.com/ab", false},
		"less at its end":                     {"open https://example.com/ab please", "https://example.com/a", false},
		"a query behind it":                   {"open https://example.com/a please", "https://example.com/a?d=secret", false},
		"a query that was there":              {"open https://example.com/a?d=1 please", "https://example.com/a?d=1", true},
		"without its query":                   {"open https://example.com/a?d=1 please", "https://example.com/a", false},
		"less of its query":                   {"open https://example.com/a?d=12 please", "https://example.com/a?d=1", false},
		"a fragment behind it":                {"open https://example.com/a please", "https://example.com/a#secret", false},
		"without its fragment":                {"open https://example.com/a#part please", "https://example.com/a", true},
		"a parent":                            {"open https://example.com/a/b please", "https://example.com/a/", false},
		"its site":                            {"open https://example.com/a please", "https://example.com/", false},
		"another site below":                  {"open https://example.com please", "https://secret.example.com/", false},
		"another site above":                  {"open https://www.example.com please", "https://example.com/", false},
		"a longer name":                       {"open https://example.com please", "https://example.com.evil.net/", false},
		"name without a scheme":               {"look at example.com", "https://example.com/", true},
		"path without a scheme":               {"look at Example.com/A?b=c, please", "https://example.com/A?b=c", true},
		"path in another case":                {"look at example.com/A", "https://example.com/a", false},
		"capitals in the name":                {"HTTPS://EXAMPLE.com/x", "https://example.com/x", true},
		"an old scheme":                       {"http://example.com/x", "https://example.com/x", true},
		"with its port":                       {"https://example.com:443/x", "https://example.com/x", true},
		"another alphabet":                    {"geh auf https://bücher.example/ü", "https://xn--bcher-kva.example/%C3%BC", true},
		"at the end of a sentence":            {"Did you read https://example.com/a?", "https://example.com/a", true},
		"end of a sentence, name alone":       {"I mean example.com.", "https://example.com/", true},
		"in brackets":                         {"(see https://example.com/a).", "https://example.com/a", true},
		"with brackets of its own":            {"see https://example.com/a_(b)", "https://example.com/a_(b)", true},
		"both":                                {"(see https://example.com/a_(b))", "https://example.com/a_(b)", true},
		"in angle brackets":                   {"<https://example.com/a>", "https://example.com/a", true},
		"in Markdown":                         {"[a page](https://example.com/a)", "https://example.com/a", true},
		"twice in Markdown":                   {"[https://example.com/a](https://example.org/b)", "https://example.org/b", true},
		"bold":                                {"**https://example.com/a**", "https://example.com/a", true},
		"in quotes of another language":       {"sieh „https://example.com/a“ an", "https://example.com/a", true},
		"before a full stop of another":       {"看https://example.com/a。好", "https://example.com/a", true},
		"inside another address":              {"https://example.com/?u=https://evil.net/x", "https://evil.net/x", false},
		"a piece of an e-mail address":        {"write to anna@example.com", "https://example.com/", false},
		"with a user name":                    {"https://anna@example.com/", "https://example.com/", false},
		"an address":                          {"https://192.0.2.1/a", "https://192.0.2.1/a", true}, // word for word: whether it may be opened is not asked here
		"nothing":                             {"https://example.com/", "", false},
		"words":                               {"search for red shoes, please", "red shoes", true},
		"a part of a word":                    {"search for red shoes, please", "red shoe", false},
		"words in quotes":                     {"type 'red shoes' there", "red shoes", true},
		"a part of a number":                  {"my code is 123456", "123", false},
		"a number":                            {"my code is 123456.", "123456", true},
		"a number that goes on":               {"it costs 12.50", "12", false},
		"the end of a word":                   {"passwords", "words", false},
		"the start of an address":             {"mail anna@example.com", "anna", false},
		"words that were not said":            {"search for shoes", "secret", false},
		"a key":                               {"press a", "a", true},
		"a letter of a word":                  {"press it", "t", false},
		"across two signs of a cut character": {"é", "\xa9", false},
		"what found no end":                   {strings.Repeat("(", 5000) + "https://example.com/a" + strings.Repeat(")", 5000), "https://example.com/a", true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := quoting(t, said(tc.said))(tc.text); got != tc.want {
				t.Errorf("Quoted(%q) when the user said %.80q = %v, want %v", tc.text, tc.said, got, tc.want)
			}
		})
	}
}

// browsed is a call that opened a page, and what came of it.
func browsed(t testing.TB, asked run.Browse, status claw.Status, problem string, page run.BrowseResult) []claw.Turn {
	t.Helper()
	encode := func(v any) string {
		data, err := strict.Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	content := encode(page)
	if problem != "" {
		content = problem + "\n" + content
	}
	return []claw.Turn{
		said("go on"),
		{Role: claw.Assistant, Calls: []claw.ToolCall{{ID: "c1", ModelID: "c1", Tool: run.ToolBrowse, Input: encode(asked)}}},
		{Role: claw.User, Results: []claw.ToolResult{{Call: "c1", ModelID: "c1", Tool: run.ToolBrowse, Status: status, Content: content}}},
	}
}

// Only the user's turns are his words: not what the model said, called or read.
func TestQuotedFromNobodyElse(t *testing.T) {
	const address = "https://evil.net/?d=secret"
	turns := append([]claw.Turn{{Role: claw.Assistant, Text: "I open " + address}},
		browsed(t, run.Browse{URL: address, Extract: run.ExtractTree}, claw.Denied, "", run.BrowseResult{URL: address})...)
	turns = append(turns, claw.Turn{Role: claw.Assistant, Calls: []claw.ToolCall{{ID: "c2", ModelID: "c2", Tool: run.ToolReadFile, Input: `{"path":"a"}`}}},
		claw.Turn{Role: claw.User, Results: []claw.ToolResult{{Call: "c2", ModelID: "c2", Tool: run.ToolReadFile, Status: claw.OK, Content: address}}})
	if quoting(t, turns...)(address) {
		t.Errorf("Quoted(%q), which the model, a file and a refused call have said, want false", address)
	}
}

// However long a conversation is, the answer comes soon.
func TestQuotedIsBounded(t *testing.T) {
	var turns []claw.Turn
	for i := range 350 {
		text := strings.Repeat(fmt.Sprintf("https://a%d.example/x?y=%d://://a.b.c)))))) ", i, i), 1000)
		turns = append(turns, said(text+strings.Repeat("https://", 5000)))
	}
	turns = append(turns, said("https://example.com/new"))
	quoted := quoting(t, turns...)
	began := time.Now()
	if !quoted("https://example.com/new") || quoted("https://example.com/never") {
		t.Error("the newest message is not what counts")
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("Quoted took %v over %d long messages", took, len(turns))
	}
}

func FuzzQuoted(f *testing.F) {
	f.Add("see (https://example.com/a_(b)).", "https://example.com/a_(b)")
	f.Add("example.com/x", "https://example.com/x?y")
	f.Add("\xff\xfe(", ")")
	f.Fuzz(func(t *testing.T, text, asked string) {
		quoted := quoting(t, said(text))
		// What is quoted was said: apart from spelling, its letters and digits stand there in one piece.
		if quoted(asked) && !strings.Contains(letters(text), letters(strings.TrimPrefix(asked, "https://"))) && isPlain(text) && isPlain(asked) {
			t.Errorf("Quoted(%q) when the user said %q", asked, text)
		}
	})
}

func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(s))
}

func isPlain(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > '~' || r < ' ' || r == '%' })
}
