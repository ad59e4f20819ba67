//go:build docker

package web_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/run"
)

// TestPages opens pages of every kind: each is a clear result and none a hang.
func TestPages(t *testing.T) {
	type want struct {
		status run.OutputStatus
		code   int
		error  string // part of the sentence
		text   string // part of the content
		note   string // part of a note
		within time.Duration
	}
	ok := run.OutputOK
	html := func(text string) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "text/html; charset=utf-8")
			io.WriteString(rw, text)
		}
	}
	typed := func(kind, body string) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", kind)
			io.WriteString(rw, body)
		}
	}
	for name, tc := range map[string]struct {
		serve http.HandlerFunc
		want  want
	}{
		"plain text":           {typed("text/plain", "just words"), want{status: ok, code: 200, text: "just words"}},
		"JSON":                 {typed("application/json", `{"a": 17}`), want{status: ok, code: 200, text: `"a"`}},
		"not found":            {func(rw http.ResponseWriter, r *http.Request) { http.Error(rw, "nothing here", 404) }, want{status: ok, code: 404, text: "nothing here"}},
		"server error":         {func(rw http.ResponseWriter, r *http.Request) { http.Error(rw, "it broke", 500) }, want{status: ok, code: 500, text: "it broke"}},
		"error without a body": {func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(503) }, want{code: 503, status: run.OutputFailed, error: "503"}},
		"drawn late":           {html("<body><script>setTimeout(() => { document.body.textContent = 'drawn at last' }, 900)</script>"), want{status: ok, code: 200, text: "drawn at last"}},
		"empty page":           {html(""), want{status: ok, code: 200}},
		"no content":           {func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(204) }, want{status: run.OutputFailed, code: 204, error: "204"}},
		"image":                {typed("image/gif", "GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"), want{status: ok, code: 200}},
		"PDF":                  {typed("application/pdf", "%PDF-1.4\n%%EOF\n"), want{status: run.OutputFailed, error: "is a PDF (application/pdf, 15 bytes)"}},
		"zip":                  {typed("application/zip", "PK\x03\x04"), want{status: run.OutputFailed, error: "is a file (application/zip, 4 bytes)"}},
		"attachment": {func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Disposition", `attachment; filename="report.html"`)
			html("<p>no page")(rw, r)
		}, want{status: run.OutputFailed, error: "is a file (text/html", note: `"report.html" from example.com`}},
		"endless download": {func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "application/octet-stream")
			for block := make([]byte, 1<<16); ; {
				if _, err := rw.Write(block); err != nil {
					return
				}
			}
		}, want{status: run.OutputFailed, error: "is a file (application/octet-stream)"}},
		"download from a script": {html(`<p>page</p><a download href="/x.zip"></a><script>document.querySelector("a").click()</script>`),
			want{status: ok, code: 200, text: "page", note: "a download was refused"}},
		"user name wanted": {func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			http.Error(rw, "who are you", http.StatusUnauthorized)
		}, want{status: run.OutputFailed, code: 401, error: "user name and password"}},
		"closed connection": {func(rw http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) },
			want{status: run.OutputFailed, error: "closed without an answer "}},
		"redirects without end": {func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, r.URL.Path+"x", http.StatusFound) },
			want{status: run.OutputFailed, error: "redirects without end"}},

		"alert":   {html(`<p>before<script>alert("boo\u202e!")</script><p>after`), want{status: ok, text: "after", note: `a dialog (alert) was dismissed: "boo\u202e!"`}},
		"confirm": {html(`<script>document.write("it was " + confirm("sure?"))</script>`), want{status: ok, text: "it was false", note: "(confirm)"}},
		"prompt":  {html(`<script>document.write("it was " + prompt("name?"))</script>`), want{status: ok, text: "it was null", note: "(prompt)"}},
		"alerts without end": {html(`<p>there</p><script>for(;;) alert("again")</script><p>after`),
			want{status: ok, text: "there", note: "dialogs were dismissed in all", within: 10 * time.Second}},
		"an alert every millisecond": {html(`<p>there</p><script>setInterval(() => alert("again"), 1)</script>`),
			want{status: ok, text: "there", note: "dialogs were dismissed in all", within: 20 * time.Second}},
		"a dialog in a frame": {html(`<p>there</p><iframe srcdoc="<script>alert('inner')</script>"></iframe>`), want{status: ok, text: "there", note: "inner"}},
		"print":               {html(`<p>there</p><script>print()</script>`), want{status: ok, text: "there"}},

		"a window at once":    {html(`<p>there</p><script>document.title = String(open("https://example.org/w"))</script>`), want{status: ok, text: "there", note: "https://example.org/w"}},
		"a window in a frame": {html(`<p>there</p><iframe srcdoc="<script>open('https://example.org/w')</script>"></iframe>`), want{status: ok, text: "there", note: "https://example.org/w"}},

		"data: address":        {html(`<p>there</p><script>location = "data:text/html,<h1>data</h1>"</script>`), want{status: ok, text: "there", note: "data URL"}},
		"file: address":        {html(`<p>there</p><script>location = "file:///etc/passwd"</script>`), want{status: ok, text: "there", note: "file:"}},
		"view-source: address": {html(`<p>there</p><script>location = "view-source:https://example.com/"</script>`), want{status: ok, text: "there", note: "view-source:"}},
		"chrome: address":      {html(`<p>there</p><script>location = "chrome://version/"</script>`), want{status: ok, text: "there", note: "chrome:"}},
		"mailto: address":      {html(`<p>there</p><script>location = "mailto:a@example.com"</script>`), want{status: ok, text: "there", note: "mailto:"}},
		"javascript: address":  {html(`<p>there</p><script>location = "javascript:document.body.append('ran')"</script>`), want{status: ok, text: "there"}},
		"redirect to data:": {func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Location", "data:text/html,x")
			rw.WriteHeader(302)
		}, want{status: run.OutputFailed, error: "the browser refuses such an address"}},
		"redirect to file:": {func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Location", "file:///etc/passwd")
			rw.WriteHeader(302)
		}, want{status: run.OutputFailed, error: "the browser refuses such an address"}},

		"a page that asks for everything": {html(`<p id=p>there</p><script>
			const say = t => p.textContent += " " + t;
			navigator.geolocation.getCurrentPosition(() => say("place"), e => say("place-denied"));
			Notification.requestPermission().then(s => say("notify-" + s));
			navigator.mediaDevices.getUserMedia({audio: true}).then(() => say("mic"), e => say("mic-denied"));
			navigator.clipboard.readText().then(() => say("clip"), e => say("clip-denied"));
			</script>`), want{status: ok, text: "place-denied"}},

		"a script without end": {html(`<p>there</p><script>for(;;);</script><p>after`),
			want{status: ok, text: "there", note: "the script that it ran was stopped", within: 15 * time.Second}},
		"a script without end after the load": {html(`<p>there</p><script>onload = () => setTimeout(() => { for(;;); }, 0)</script>`),
			want{status: ok, text: "there", note: "the script that it ran was stopped", within: 15 * time.Second}},
		"a page that keeps changing": {html(`<p>there</p><p id=c></p><script>let n = 0; setInterval(() => { c.append(n++ + " ") }, 5)</script>`),
			want{status: ok, text: "there", within: 6 * time.Second}},
		"a picture that never comes": {func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow.png" {
				<-r.Context().Done()
				return
			}
			html(`<p>there</p><img src=/slow.png>`)(rw, r)
		}, want{status: ok, text: "there", note: "not loaded to its end", within: 6 * time.Second}},
		"an answer that never comes": {func(rw http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			want{status: run.OutputFailed, error: "did not answer", within: 18 * time.Second}},
		"a body that never ends": {func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "text/html")
			for i := 0; ; i++ {
				if _, err := fmt.Fprintf(rw, "<p>line %d", i); err != nil {
					return
				}
				rw.(http.Flusher).Flush()
				time.Sleep(5 * time.Millisecond)
			}
		}, want{status: ok, text: "line 7", note: "never settled", within: 22 * time.Second}},
		"text that comes after a request": {func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/data" {
				time.Sleep(300 * time.Millisecond)
				io.WriteString(rw, "late words")
				return
			}
			html(`<p id=p></p><script>fetch("/data").then(r => r.text()).then(t => setTimeout(() => p.textContent = t, 50))</script>`)(rw, r)
		}, want{status: ok, text: "late words"}},
		"a page that moves on after a second": {func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/" {
				html(`<p>one moment<meta http-equiv=refresh content="1;url=/next">`)(rw, r)
				return
			}
			html(`<p>arrived`)(rw, r)
		}, want{status: ok, text: "arrived"}},
		"10,000 requests": {html(`<p>there</p><script>for (let i = 0; i < 10000; i++) fetch("https://evil.test/" + i).catch(() => 0)</script>`),
			want{status: ok, text: "there", within: 29 * time.Second}},
		"10,000 hosts": {html(`<p>there</p><script>for (let i = 0; i < 10000; i++) fetch("https://h" + i + ".evil.test/").catch(() => 0)</script>`),
			want{status: ok, text: "there", within: 29 * time.Second}},
		"a million log lines": {html(`<p>there</p><script>for (let i = 0; i < 300000; i++) console.log("x".repeat(100))</script>`), want{status: ok, text: "there", within: 20 * time.Second}},
		"50,000 elements that come and go": {html(`<p>there</p><script>for (let i = 0; i < 50000; i++) { const e = document.createElement("b"); document.body.append(e); if (i % 2) e.remove() }</script>`),
			want{status: ok, text: "there", within: 20 * time.Second}},
		"200 frames": {html(`<p>there</p><script>for (let i = 0; i < 200; i++) { const f = document.createElement("iframe"); f.srcdoc = "x"; document.body.append(f) }</script>`),
			want{status: ok, text: "there", within: 29 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "example.com")
			w.handle("example.com", tc.serve)
			began := time.Now()
			answer, value := w.browse(t, 30*time.Second, run.Browse{URL: "https://example.com/"})
			took := time.Since(began)
			if answer.Status != tc.want.status || !strings.Contains(answer.Error, tc.want.error) {
				t.Errorf("browse = %s %q, want %s %q", answer.Status, answer.Error, tc.want.status, tc.want.error)
			}
			if tc.want.code != 0 && value.Status != tc.want.code {
				t.Errorf("browse has status %d, want %d", value.Status, tc.want.code)
			}
			if !strings.Contains(value.Content.Text, tc.want.text) {
				t.Errorf("browse has the content %.200q, want %q in it", value.Content.Text, tc.want.text)
			}
			if !strings.Contains(strings.Join(value.Notes, "\n"), tc.want.note) {
				t.Errorf("browse has the notes %q, want %q in them", value.Notes, tc.want.note)
			}
			if notes := strings.Join(value.Notes, "\n"); name == "mailto: address" && strings.Contains(notes, "settled") {
				t.Errorf("browse has the notes %q, want none that it never settled: it stands still", value.Notes)
			}
			if name == "an answer that never comes" && len(value.Notes) > 0 {
				t.Errorf("browse has the notes %q, want none: no page was there that could run a script or not settle", value.Notes)
			}
			if tc.want.within != 0 && took > tc.want.within {
				t.Errorf("browse took %v, want less than %v", took, tc.want.within)
			}
			if t.Failed() || testing.Verbose() {
				t.Logf("%v: %s", took, show(answer, value, w))
			}
		})
	}
}
