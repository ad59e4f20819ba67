//go:build docker

package web_test

import (
	_ "embed"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/run"
)

//go:embed testdata/act.html
var actPage string

// do is one action with the words of the tree in the place of a ref: "button: Send".
func do(what, element, text string) run.BrowseAction {
	return run.BrowseAction{Do: what, Ref: element, Text: text}
}

// refOf finds the ref that the tree gives an element.
func refOf(t *testing.T, tree, element string) string {
	t.Helper()
	role, name, _ := strings.Cut(element, ": ")
	found := regexp.MustCompile(`\[(\w+) ` + regexp.QuoteMeta(role) + `[^\]:]*:[^\]:]*` + regexp.QuoteMeta(name)).FindStringSubmatch(tree)
	if found == nil {
		t.Fatalf("the tree has no %q:\n%s", element, tree)
	}
	return found[1]
}

func actWorld(t *testing.T) *world {
	w := newWorld(t, "example.com", "frames.example.com", "example.org")
	w.handle("example.com", func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		switch r.URL.Path {
		case "/":
			rw.Write([]byte(actPage))
		case "/file.zip":
			rw.Header().Set("Content-Type", "application/zip")
			rw.Write([]byte("PK"))
		case "/frames":
			rw.Write([]byte(`<p>outer</p><div style="height:900px"></div><iframe src="https://frames.example.com/" width=300 height=100></iframe>`))
		case "/strange":
			rw.Write([]byte(`<p>outer</p><div style="height:900px"></div><iframe src="https://example.org/" width=300 height=100></iframe>`))
		case "/login":
			rw.Write([]byte(`<form action="/next"><input aria-label=User name=u autocomplete=username><input aria-label=Secret type=password name=p><button>Sign in</button></form>`))
		case "/unload":
			rw.Write([]byte(`<button onclick="n.textContent='touched'">Touch</button><p id=n></p><a href="/next">Leave</a><script>onbeforeunload = e => { e.preventDefault(); return "stay" }</script>`))
		default:
			rw.Write([]byte(`<title>next</title><p>the next page ` + strings.ReplaceAll(r.URL.RawQuery, "<", "") + `</p><a href="/">home</a>`))
		}
	})
	for _, host := range []string{"frames.example.com", "example.org"} {
		w.page(host, `<input aria-label=Name oninput="p.textContent = 'hello ' + value"><button onclick="p.textContent='foreign pressed'">Foreign</button><p id=p></p>`)
	}
	return w
}

// TestActions acts on a page as a model does: it reads the tree first, and names elements by its refs in another call.
func TestActions(t *testing.T) {
	w := actWorld(t)
	trees := map[string]string{}
	tree := func(t *testing.T, path string) string {
		if trees[path] == "" {
			out, value := w.browse(t, 30*time.Second, run.Browse{URL: "https://example.com" + path, Extract: run.ExtractTree})
			if out.Status != run.OutputOK {
				t.Fatal(show(out, value, w))
			}
			trees[path] = value.Content.Text
		}
		return trees[path]
	}
	for name, tc := range map[string]struct {
		path    string
		actions []run.BrowseAction
		text    string // in what is then to be read
		line    string // in what the last action says
		error   string // empty: every action is done
		url     string // the page's at the end, when it is another
	}{
		"click":                    {actions: []run.BrowseAction{do("click", "button: Press me", "")}, text: "pressed true", line: `clicked button "Press me"`},
		"click twice":              {actions: []run.BrowseAction{do("click", "button: Press me", ""), do("click", "button: Press me", "")}, text: "pressed true. pressed true"},
		"click disabled":           {actions: []run.BrowseAction{do("click", "button: Never", "")}, error: "it is disabled"},
		"click aria-disabled":      {actions: []run.BrowseAction{do("click", "button: Hardly", "")}, error: "it is disabled"},
		"click covered":            {actions: []run.BrowseAction{do("click", "button: Under", "")}, error: `covered by div#over "Cookies?"`},
		"click a drawn checkbox":   {actions: []run.BrowseAction{do("click", "checkbox: Agree", "")}, text: "agreed true"},
		"click what moves":         {actions: []run.BrowseAction{do("click", "button: Runner", "")}, text: "caught"},
		"click lines":              {actions: []run.BrowseAction{do("click", "link: a link over several lines", "")}, text: "lines", url: "https://example.com/#lines"},
		"click in a shadow":        {actions: []run.BrowseAction{do("click", "button: Shadow", "")}, text: "shadow"},
		"click in a frame":         {actions: []run.BrowseAction{do("click", "button: Inner", "")}, text: "inner"},
		"click in a foreign frame": {path: "/frames", actions: []run.BrowseAction{do("click", "button: Foreign", "")}, text: "foreign pressed"},
		"type in a foreign frame":  {path: "/frames", actions: []run.BrowseAction{do("type", "textbox: Name", "Ada")}, text: "hello Ada"},
		"click in another process": {path: "/strange", actions: []run.BrowseAction{do("click", "button: Foreign", "")}, text: "foreign pressed"},
		"type in another process":  {path: "/strange", actions: []run.BrowseAction{do("type", "textbox: Name", "Ada")}, text: "hello Ada"},
		"press in another process": {path: "/strange", actions: []run.BrowseAction{do("press", "textbox: Name", "x")}, text: "hello x"},
		"click far below":          {actions: []run.BrowseAction{do("click", "button: Far", "")}, text: "far true"},
		"click deep in a box":      {actions: []run.BrowseAction{do("click", "button: Deep", "")}, text: "deep"},
		"click a link":             {actions: []run.BrowseAction{do("click", "link: Next page", "")}, text: "the next page", line: "the page is now https://example.com/next", url: "https://example.com/next"},
		"click a foreign link":     {actions: []run.BrowseAction{do("click", "link: Away", "")}, error: "call browse_web with that url", url: "https://evil.test/away"},
		"click a blank link":       {actions: []run.BrowseAction{do("click", "link: Blank", "")}, text: "log:", line: "call browse_web with https://example.com/next"},
		"click a popup":            {actions: []run.BrowseAction{do("click", "button: Popup", "")}, text: "log:", line: "call browse_web with https://evil.test/popup"},
		"click a download":         {actions: []run.BrowseAction{do("click", "link: File", "")}, text: "log:", line: "wanted to download a file"},
		"click a question":         {actions: []run.BrowseAction{do("click", "button: Ask", "")}, text: "answer false", line: "a dialog was dismissed"},
		"click a loop":             {actions: []run.BrowseAction{do("click", "button: Loop", ""), do("click", "button: Press me", "")}, text: "pressed true"},
		"click and push":           {actions: []run.BrowseAction{do("click", "button: Push", "")}, text: "pushed", line: "the page is now https://example.com/pushed", url: "https://example.com/pushed"},
		"leave a page that asks":   {path: "/unload", actions: []run.BrowseAction{do("click", "button: Touch", ""), do("click", "link: Leave", "")}, text: "the next page", url: "https://example.com/next"},

		"type":       {actions: []run.BrowseAction{do("type", "textbox: Query", "grüße 👋")}, text: "input grüße 👋", line: "typed 7 characters"},
		"type twice": {actions: []run.BrowseAction{do("type", "textbox: Query", "one"), do("type", "textbox: Query", "two")}, text: "input one. input two"},
		// Each browse fails when Chromium asks its maker, here whether the password is a known one.
		"sign in": {path: "/login", actions: []run.BrowseAction{do("type", "textbox: User", "ada@example.com"), do("type", "textbox: Secret", "correct horse"), do("click", "button: Sign in", ""), {Do: run.DoWait, Seconds: 2}},
			text: "the next page", url: "https://example.com/next?u=ada%40example.com&p=correct+horse"},
		"type a password":    {actions: []run.BrowseAction{do("type", "textbox: Secret", "hunter2")}, text: "secret 7", line: `typed 7 characters into textbox "Secret"`},
		"type too much":      {actions: []run.BrowseAction{do("type", "textbox: Short", "abcdef")}, line: "typed 6 characters into textbox \"Short\", which now holds 3"},
		"type into fixed":    {actions: []run.BrowseAction{do("type", "textbox: Fixed", "x")}, error: "it can only be read"},
		"type into a button": {actions: []run.BrowseAction{do("type", "button: Press me", "x")}, error: "it takes no text"},
		"type a date":        {actions: []run.BrowseAction{do("type", "date: Day", "2030-02-01")}, text: "day 2030-02-01"},
		"type a number":      {actions: []run.BrowseAction{do("type", "spinbutton: Number", "42")}, text: "number 42"},
		"type a story":       {actions: []run.BrowseAction{do("type", "textbox: Story", "a\nb")}, text: "story 3"},
		"type rich":          {actions: []run.BrowseAction{do("type", "textbox: Rich", "plain")}, text: "rich plain."},
		"type nothing":       {actions: []run.BrowseAction{do("type", "textbox: Story", "")}, text: "story 0", line: "emptied"},

		"select":            {actions: []run.BrowseAction{do("select", "combobox: Colour", "green")}, text: "colour g", line: `selected "Green"`},
		"select by value":   {actions: []run.BrowseAction{do("select", "combobox: Colour", "g")}, text: "colour g"},
		"select nothing":    {actions: []run.BrowseAction{do("select", "combobox: Colour", "Pink")}, error: `no option "Pink"; it has "Red" "Green" "Blue"`},
		"select disabled":   {actions: []run.BrowseAction{do("select", "combobox: Colour", "Blue")}, error: "disabled"},
		"select in no list": {actions: []run.BrowseAction{do("select", "textbox: Query", "x")}, error: "no list of options"},

		"scroll down":   {actions: []run.BrowseAction{do("scroll", "", "down"), do("scroll", "", "down")}, line: "scrolled down"},
		"scroll bottom": {actions: []run.BrowseAction{do("scroll", "", "bottom")}, line: "stands at 100 %"},
		"scroll top":    {actions: []run.BrowseAction{do("scroll", "", "bottom"), do("scroll", "", "top")}, line: "stands at 0 %"},
		"scroll to":     {actions: []run.BrowseAction{do("scroll", "button: Far", "")}, line: `scrolled to button "Far"`},

		"wait":             {actions: []run.BrowseAction{{Do: "wait", Seconds: 1}}, line: "waited 1 s"},
		"wait for a text":  {actions: []run.BrowseAction{do("click", "button: Later", ""), do("wait", "", "Later  ON")}, text: "later on", line: "until the text appeared"},
		"wait in vain":     {actions: []run.BrowseAction{{Do: "wait", Text: "nowhere"}}, error: `the text "nowhere" did not appear within 10s`},
		"wait for no text": {actions: []run.BrowseAction{{Do: "wait", Text: "nowhere", Seconds: 1}}, error: `the text "nowhere" did not appear within 1s`},
		"back":             {actions: []run.BrowseAction{do("click", "link: Next page", ""), do("back", "", "")}, text: "log:", line: "went back; the page is now https://example.com/"},
		"back from a push": {actions: []run.BrowseAction{do("click", "button: Push", ""), do("back", "", "")}, text: "pushed", line: "went back"},
		"back too far":     {actions: []run.BrowseAction{do("back", "", "")}, error: "there is no page before this one"},
		"press Enter":      {actions: []run.BrowseAction{do("type", "textbox: Query", "tea"), do("press", "", "Enter")}, text: "the next page q=tea", url: "https://example.com/next?q=tea"},
		"press on":         {actions: []run.BrowseAction{do("press", "button: Keys", "Escape"), do("press", "", "Control+b"), do("press", "", "x"), do("press", "", "ArrowDown")}, text: "key Escape. key ctrl+b. key x. key ArrowDown"},
		"press select all": {actions: []run.BrowseAction{do("press", "textbox: Query", "a"), do("press", "", "b"), do("press", "", "Control+a"), do("press", "", "c")}, text: "input a. input ab. input c"},
		"press Tab":        {actions: []run.BrowseAction{do("press", "textbox: Query", "a"), do("press", "", "Tab")}, text: "change"},
		"an unknown ref":   {actions: []run.BrowseAction{{Do: "click", Ref: "nope"}, do("click", "button: Press me", "")}, error: "action 1", line: "1 more actions were not done"},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.path == "" {
				tc.path = "/"
			}
			actions := append([]run.BrowseAction{}, tc.actions...)
			for i, a := range actions {
				if a.Ref != "" && a.Ref != "nope" {
					actions[i].Ref = refOf(t, tree(t, tc.path), a.Ref)
				}
			}
			out, value := w.browse(t, 30*time.Second, run.Browse{URL: "https://example.com" + tc.path, Actions: actions})
			last := ""
			if n := len(value.Actions); n > 0 {
				last = value.Actions[n-1]
			}
			want := run.OutputOK
			if tc.error != "" {
				want = run.OutputFailed
			}
			if tc.url == "" {
				tc.url = "https://example.com" + tc.path
			}
			if out.Status != want || !strings.Contains(out.Error, tc.error) || !strings.Contains(value.Content.Text, tc.text) ||
				!strings.Contains(last, tc.line) || value.URL != tc.url {
				t.Errorf("%+v = %s\nwant %s %q, the text %q, the line %q, the url %s", tc.actions, show(out, value, w), want, tc.error, tc.text, tc.line, tc.url)
			}
			if name == "back" && strings.Contains(strings.Join(value.Notes, ""), "never settled") {
				t.Errorf("%+v: notes %q; a page that comes back whole has settled", tc.actions, value.Notes)
			}
			if strings.Contains(strings.Join(value.Actions, ""), "hunter2") {
				t.Errorf("%+v writes the password into %q", tc.actions, value.Actions)
			}
			if testing.Verbose() {
				t.Logf("%q", value.Actions)
			}
		})
	}
}
