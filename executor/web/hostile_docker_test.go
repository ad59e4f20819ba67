//go:build docker

package web_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/fake"
	"github.com/secureclaw/secureclaw/internal/run"
)

// A wrong certificate is a failure in words, and nothing goes on in spite of it.
func TestCertificates(t *testing.T) {
	for name, tc := range map[string]struct {
		flaw  fake.Flaw
		words string
	}{
		"expired":    {fake.Expired, "has expired, or is not valid yet (net::ERR_CERT_DATE_INVALID)"},
		"early":      {fake.Early, "has expired, or is not valid yet (net::ERR_CERT_DATE_INVALID)"},
		"wrong name": {fake.WrongName, "is for another name (net::ERR_CERT_COMMON_NAME_INVALID)"},
		"by nobody":  {fake.SelfSigned, "issued by nobody whom the browser trusts (net::ERR_CERT_AUTHORITY_INVALID)"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "example.com")
			w.site.Spoil("example.com", tc.flaw)
			out, value := w.browse(t, 20*time.Second, run.Browse{URL: "https://example.com/plain"})
			if out.Status != run.OutputFailed || !strings.Contains(out.Error, tc.words) || value.Content.Text != "" || len(w.site.Asked("example.com")) != 0 {
				t.Errorf("browse = %s\nwant %s %q, and no request", show(out, value, w), run.OutputFailed, tc.words)
			}
		})
	}
	t.Run("of a picture", func(t *testing.T) {
		w := newWorld(t, "example.com", "cdn.example.com")
		w.site.Spoil("cdn.example.com", fake.SelfSigned)
		w.page("example.com", `<p>there</p><img src="https://cdn.example.com/image">`)
		out, value := w.browse(t, 20*time.Second, run.Browse{URL: "https://example.com/"})
		if out.Status != run.OutputOK || !strings.Contains(strings.Join(value.Notes, " "), "cdn.example.com") {
			t.Errorf("browse = %s\nwant the page, and a note about the certificate of cdn.example.com", show(out, value, w))
		}
	})
}

// Whatever a page does, the answer is there when the call's time is over.
func TestDeadlines(t *testing.T) {
	for name, tc := range map[string]struct {
		path    string
		limit   time.Duration
		actions []run.BrowseAction
		status  run.OutputStatus
		text    string
	}{
		"no answer":          {path: "/hang", limit: 3 * time.Second, status: run.OutputTimedOut},
		"no end":             {path: "/drip", limit: 8 * time.Second, status: run.OutputOK},
		"no peace":           {path: "/restless", limit: 8 * time.Second, status: run.OutputOK},
		"a wait":             {path: "/text", limit: 4 * time.Second, actions: []run.BrowseAction{{Do: "wait", Seconds: 30}}, status: run.OutputTimedOut},
		"no time for itself": {path: "/plain", limit: 50 * time.Millisecond, status: run.OutputTimedOut},
		"little time":        {path: "/plain", limit: 400 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "example.com")
			out, value := w.browse(t, tc.limit, run.Browse{URL: "https://example.com" + tc.path, Actions: tc.actions})
			if tc.status != "" && out.Status != tc.status || value.URL == "" {
				t.Errorf("browse = %s\nwant %s with a value", show(out, value, w), tc.status)
			}
			if testing.Verbose() {
				t.Log(show(out, value, w))
			}
		})
	}
}

// A page that takes all the memory costs its own process, and the call says so.
func TestMemory(t *testing.T) {
	w := newWorld(t, "example.com")
	w.memory = "400m"
	w.page("example.com", `<p>there</p><script>const a = []; setInterval(() => { for (let i = 0; i < 10; i++) a.push(new Uint8Array(4 << 20).fill(7)) }, 10)</script>`)
	out, value := w.browse(t, 30*time.Second, run.Browse{URL: "https://example.com/", Actions: []run.BrowseAction{{Do: "wait", Seconds: 10}}})
	if out.Status != run.OutputFailed || !strings.Contains(out.Error, "memory") && !strings.Contains(out.Error, "crash") && !strings.Contains(out.Error, "ended by itself") {
		t.Errorf("browse = %s\nwant %s and that it crashed", show(out, value, w), run.OutputFailed)
	}
}

// What a page wants from other hosts is refused and listed, by every way of asking.
func TestBlocked(t *testing.T) {
	for name, script := range map[string]string{
		"fetch":          `fetch("https://evil.test/x").catch(() => 0)`,
		"picture":        `document.body.append(Object.assign(new Image(), {src: "https://evil.test/x.png"}))`,
		"script":         `document.body.append(Object.assign(document.createElement("script"), {src: "https://evil.test/x.js"}))`,
		"frame":          `document.body.append(Object.assign(document.createElement("iframe"), {src: "https://evil.test/"}))`,
		"WebSocket":      `new WebSocket("wss://evil.test/")`,
		"beacon":         `navigator.sendBeacon("https://evil.test/", "x")`,
		"event source":   `new EventSource("https://evil.test/")`,
		"worker":         `new Worker(URL.createObjectURL(new Blob(["fetch('https://evil.test/')"])))`,
		"worker socket":  `new Worker(URL.createObjectURL(new Blob(["new WebSocket('wss://evil.test/')"])))`,
		"service worker": `navigator.serviceWorker.register("/sw.js")`,
		"prefetch":       `document.head.append(Object.assign(document.createElement("link"), {rel: "preload", as: "style", href: "https://evil.test/x.css"}))`,
		"in a frame":     `document.body.append(Object.assign(document.createElement("iframe"), {srcdoc: "<img src=https://evil.test/>"}))`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "example.com")
			w.page("example.com", `<p>there</p><script>`+script+`</script>`)
			w.site.Handle("example.com", "/sw.js", func(rw http.ResponseWriter, r *http.Request) {
				rw.Header().Set("Content-Type", "text/javascript")
				io.WriteString(rw, `fetch("https://evil.test/").catch(() => 0)`)
			})
			out, value := w.browse(t, 20*time.Second, run.Browse{URL: "https://example.com/", Actions: []run.BrowseAction{{Do: "wait", Seconds: 1}}})
			at := slices.IndexFunc(value.Blocked, func(b run.Blocked) bool { return b.Host == "evil.test" })
			if out.Status != run.OutputOK || at < 0 || value.Blocked[at].Code != "not_allowed" || value.Blocked[at].Count < 1 || value.Blocked[at].Why == "" ||
				!strings.Contains(value.Content.Text, "there") || len(value.Blocked) != 1 {
				t.Errorf("browse = %s\nwant the page, and evil.test alone as blocked", show(out, value, w))
			}
		})
	}
}

// Everything in a result has an end.
func TestCaps(t *testing.T) {
	w := newWorld(t, "example.com", "*.example.com")
	long := strings.Repeat("x", 100_000)
	w.handle("example.com", func(rw http.ResponseWriter, r *http.Request) {
		var n int
		fmt.Sscanf(r.URL.Path, "/%d", &n)
		if n < 15 {
			http.Redirect(rw, r, fmt.Sprintf("/%d?%s", n+1, long[:30_000]), http.StatusFound)
			return
		}
		rw.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(rw, `<title>%s</title><script>
			for (let i = 0; i < 100; i++) { alert("%s"); open("https://evil" + i + ".test/%s"); fetch("https://h" + i + ".evil.test/").catch(() => 0) }
		</script>%s`, long, long, long[:3000], strings.Repeat("<p>“"+long[:1000]+"” \\ ", 2000))
	})
	for _, extract := range []string{run.ExtractTree, run.ExtractText, run.ExtractLinks, run.ExtractScreenshot} {
		out, value := w.browse(t, 40*time.Second, run.Browse{URL: "https://example.com/0", Extract: extract})
		switch {
		case out.Status != run.OutputOK:
			t.Errorf("%s: browse = %.3000s", extract, show(out, value, w))
		case len(value.Title) > 310 || len(value.Redirects) > 20 || len(value.Notes) > 24 || len(value.Blocked) > 30 || len(value.URL) > 2060:
			t.Errorf("%s: title %d, redirects %d, notes %d, blocked %d, URL %d: too much", extract, len(value.Title), len(value.Redirects), len(value.Notes), len(value.Blocked), len(value.URL))
		case extract != run.ExtractLinks && !value.Content.Truncated:
			t.Errorf("%s: 2 MB of text in %d bytes, and not said to be cut", extract, len(value.Content.Text))
		case (extract == run.ExtractScreenshot) != (value.Image != nil):
			t.Errorf("%s: a picture: %v", extract, value.Image != nil)
		case value.Image != nil && (len(value.Image.Data) == 0 || len(value.Image.Data) > run.MaxPicture || len(value.Content.Text) > 4000):
			t.Errorf("%s: a picture of %d bytes with %d bytes of text", extract, len(value.Image.Data), len(value.Content.Text))
		}
		t.Logf("%s: value of %d bytes, content %d", extract, len(out.Value), len(value.Content.Text))
	}
	out, value := w.browse(t, 40*time.Second, run.Browse{URL: "https://example.com/0", MaxChars: 100})
	if n := len([]rune(value.Content.Text)); out.Status != run.OutputOK || n > 100 || !value.Content.Truncated {
		t.Errorf("max_chars 100 gives %d characters, truncated %v", n, value.Content.Truncated)
	}
}

// The fake site's own restless pages, as one list: none of them is a hang.
func TestSitePages(t *testing.T) {
	for path, want := range map[string]string{
		"/chain": "", "/loop": "redirects without end", "/status?code=418": "", "/dialogs": "", "/unload": "", "/windows?to=https://evil.test/": "",
		"/download?bytes=1000": "is a file", "/huge?nodes=50000": "", "/deep?levels=1000": "", "/deep?levels=20000": "crash", "/bidi": "", "/mimic": "", "/pdf": "is a PDF", "/text": "", "/json": "", "/image": "",
		"/wants?out=evil.test": "", "/flood?n=10000&out=evil.test": "", "/altsvc": "", "/mixed": "", "/echo": "", "/form": "", "/rich?other=example.org": "",
	} {
		t.Run(path, func(t *testing.T) {
			w := newWorld(t, "example.com")
			out, value := w.browse(t, 30*time.Second, run.Browse{URL: "https://example.com" + path, Extract: run.ExtractTree})
			if (out.Status == run.OutputOK) != (want == "") || !strings.Contains(out.Error, want) || strings.Contains(value.Title, "reached") {
				t.Errorf("browse = %s\nwant %q", show(out, value, w), want)
			}
			for _, r := range w.site.Requests() {
				if r.Host != "example.com" || !r.TLS {
					t.Errorf("%s was asked for %s", r.Host, r.Path)
				}
			}
			for _, h := range w.site.Hellos() {
				if h.ECH || h.Plain || h.Name != "example.com" {
					t.Errorf("there was a connection %+v", h)
				}
			}
		})
	}
}
