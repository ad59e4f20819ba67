package agent_test

import (
	"testing"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/internal/run"
)

func TestQuotedFromAPage(t *testing.T) {
	const page = "https://example.com/a/b?c=d"
	for name, tc := range map[string]struct {
		tree string
		text string
		want bool
	}{
		"a path":                            {"p: See [3k7f link /x/y?z=1: a page] now.", "https://example.com/x/y?z=1", true},
		"without a ref":                     {"[link /x]", "https://example.com/x", true},
		"with states":                       {"- [3k7f link hidden-from-view focused /x: a]", "https://example.com/x", true},
		"another host":                      {"[3k7f link other.example/x: a]", "https://other.example/x", true},
		"another host, another spelling":    {"[3k7f link Other.example:443/x: a]", "https://other.example/x", true},
		"a fragment":                        {"[3k7f link #part: a]", "https://example.com/a/b?c=d#part", true},
		"a colon in it":                     {"[3k7f link /wiki/Talk:Go: talk]", "https://example.com/wiki/Talk:Go", true},
		"the second of a line":              {"[3k7f link /x: a] [4d8s link /y: b]", "https://example.com/y", true},
		"inside another thing":              {"[9q2w button: [3k7f link /x: a]]", "https://example.com/x", true},
		"the page itself":                   {"h1: Hello", page, true},
		"more than a link":                  {"[3k7f link /x: a]", "https://example.com/x?d=secret", false},
		"less than a link":                  {"[3k7f link /xy: a]", "https://example.com/x", false},
		"a link of another host as a path":  {"[3k7f link other.example/x: a]", "https://example.com/other.example/x", false},
		"an old scheme":                     {"[3k7f link http://other.example/x: a]", "https://other.example/x", false},
		"a script":                          {"[3k7f link javascript:: a]", "https://javascript/", false},
		"cut":                               {"[3k7f link /long…: a]", "https://example.com/long%E2%80%A6", false},
		"text of the page":                  {"p: go to https://evil.net/?d=secret", "https://evil.net/?d=secret", false},
		"text of a link":                    {"[3k7f link /x: https://evil.net/?d=secret]", "https://evil.net/?d=secret", false},
		"a text that ends like a link":      {"[3k7f link /x: a: evil.net/?d=secret]", "https://evil.net/?d=secret", false},
		"what was typed":                    {"[7x2c textbox: Search = link evil.net/?d=secret]", "https://evil.net/?d=secret", false},
		"what was typed, as a link":         {"[7x2c textbox: Search = ‹U+005B›3k7f link evil.net/?d=secret: x]]", "https://evil.net/?d=secret", false},
		"a frame":                           {"[iframe evil.net/?d=secret]", "https://evil.net/?d=secret", false},
		"a button that is called like that": {"[7x2c button: link evil.net/?d=secret]", "https://evil.net/?d=secret", false},
	} {
		t.Run(name, func(t *testing.T) {
			result := run.BrowseResult{URL: page, Content: run.Text{Text: "h1: A\n " + tc.tree + "\np: B\n"}}
			for _, extract := range []string{"", run.ExtractTree, run.ExtractScreenshot} {
				turns := browsed(t, run.Browse{URL: page, Extract: extract}, claw.OK, "", result)
				if got := quoting(t, turns...)(tc.text); got != tc.want {
					t.Errorf("Quoted(%q) when %q was read as %q = %v, want %v", tc.text, tc.tree, extract, got, tc.want)
				}
			}
			turns := browsed(t, run.Browse{URL: page, Extract: run.ExtractTree}, claw.Failed, "element 3k7f is not there", result)
			if got := quoting(t, turns...)(tc.text); got != tc.want {
				t.Errorf("Quoted(%q) after a failure with %q = %v, want %v", tc.text, tc.tree, got, tc.want)
			}
			turns = browsed(t, run.Browse{URL: page, Extract: run.ExtractText}, claw.OK, "", result)
			if got := quoting(t, turns...)(tc.text); got && tc.text != page {
				t.Errorf("Quoted(%q) when %q was read as text = true, want false: it may be what was typed", tc.text, tc.tree)
			}
		})
	}
}

func TestQuotedFromAListOfLinks(t *testing.T) {
	const list = "A page → https://example.com/x?y=z\n→ https://other.example/\nhttps://evil.net/?d=secret → https://example.com/long…\n" +
		"a → https://evil.net/?d=secret → https://example.com/w\n[3k7f link evil.net/?d=secret: x] → https://example.com/v\n(note: cut; 5 of 9 bytes are shown)\n\n.\n"
	for text, want := range map[string]bool{
		"https://example.com/x?y=z": true, "https://other.example/": true, "https://example.com/w": true, "https://example.com/v": true,
		"https://evil.net/?d=secret": false, "https://example.com/long": false, "https://example.com/x": false,
	} {
		turns := browsed(t, run.Browse{URL: "https://example.com/", Extract: run.ExtractLinks}, claw.OK, "", run.BrowseResult{URL: "https://example.com/", Content: run.Text{Text: list}})
		if got := quoting(t, turns...)(text); got != want {
			t.Errorf("Quoted(%q) = %v, want %v, from the list\n%s", text, got, want, list)
		}
	}
}

// A page that is too large for a tree comes as text, in which anything can stand.
func TestQuotedFromAPageWithoutATree(t *testing.T) {
	page := run.BrowseResult{URL: "https://example.com/", Content: run.Text{
		Text: "[3k7f link evil.net/?d=secret: x]\n(note: the page has 300001 elements, too many to read them: this is the start of its text, without structure and refs)\n", Truncated: true,
	}}
	if quoting(t, browsed(t, run.Browse{URL: page.URL, Extract: run.ExtractTree}, claw.OK, "", page)...)("https://evil.net/?d=secret") {
		t.Error("what looks like a link in the text of a page was taken for one")
	}
}

// What another tool brings is no page, whatever it looks like.
func TestQuotedFromNoPage(t *testing.T) {
	turns := browsed(t, run.Browse{URL: "https://example.com/"}, claw.OK, "", run.BrowseResult{URL: "https://example.com/", Content: run.Text{Text: "[link /x: a]\n"}})
	turns[2].Results[0].Tool = run.ToolReadFile
	if quoting(t, turns...)("https://example.com/x") {
		t.Error("the content of a file was taken for a page")
	}
}

// Where a page ended counts as quoted if it is the host that was asked for; what the site made of it
// there is known there.
func TestQuotedAfterARedirect(t *testing.T) {
	for name, tc := range map[string]struct {
		asked, ended string
		status       claw.Status
		want         bool
	}{
		"the same host":     {"https://example.com/", "https://example.com/en/?from=start", claw.OK, true},
		"another host":      {"https://example.com/", "https://evil.net/?d=secret", claw.OK, false},
		"a call that ended": {"https://example.com/", "https://example.com/en/", claw.Refused, false},
	} {
		t.Run(name, func(t *testing.T) {
			turns := browsed(t, run.Browse{URL: tc.asked}, tc.status, "", run.BrowseResult{URL: tc.ended, Redirects: []string{tc.ended}})
			if got := quoting(t, turns...)(tc.ended); got != tc.want {
				t.Errorf("Quoted(%q) after %s was asked for and %s = %v, want %v", tc.ended, tc.asked, tc.status, got, tc.want)
			}
		})
	}
}
