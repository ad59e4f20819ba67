package web

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

func call(t testing.TB, in run.Browse) executor.Call {
	t.Helper()
	input, err := strict.CanonicalOf(in)
	if err != nil {
		t.Fatal(err)
	}
	return executor.Call{Input: input, Domains: []string{"example.com"}, Cap: 1 << 16}
}

func TestRefuses(t *testing.T) {
	ok := run.Browse{URL: "https://example.com/", Extract: run.ExtractTree}
	with := func(change func(*run.Browse)) run.Browse {
		in := ok
		change(&in)
		return in
	}
	act := func(a run.BrowseAction) run.Browse {
		return with(func(in *run.Browse) { in.Actions = []run.BrowseAction{a} })
	}
	for name, tc := range map[string]struct {
		in   run.Browse
		want string
	}{
		"no URL":            {with(func(in *run.Browse) { in.URL = "" }), "(bad_url)"},
		"http":              {with(func(in *run.Browse) { in.URL = "http://example.com/" }), "(scheme)"},
		"file":              {with(func(in *run.Browse) { in.URL = "file:///etc/passwd" }), "(scheme)"},
		"view-source":       {with(func(in *run.Browse) { in.URL = "view-source:https://example.com/" }), "(scheme)"},
		"an address":        {with(func(in *run.Browse) { in.URL = "https://169.254.169.254/" }), "(ip_literal)"},
		"a port":            {with(func(in *run.Browse) { in.URL = "https://example.com:22/" }), "(port)"},
		"no extract":        {with(func(in *run.Browse) { in.Extract = "" }), "extract"},
		"unknown extract":   {with(func(in *run.Browse) { in.Extract = "html" }), "extract"},
		"negative chars":    {with(func(in *run.Browse) { in.MaxChars = -1 }), "max_chars"},
		"too many actions":  {with(func(in *run.Browse) { in.Actions = make([]run.BrowseAction, run.MaxActions+1) }), "the most is 20"},
		"no action":         {act(run.BrowseAction{}), `there is no ""`},
		"unknown action":    {act(run.BrowseAction{Do: "evaluate", Text: "1"}), `there is no "evaluate"`},
		"click nothing":     {act(run.BrowseAction{Do: "click"}), "click needs a ref"},
		"type into nothing": {act(run.BrowseAction{Do: "type", Text: "x"}), "type needs a ref"},
		"select nothing":    {act(run.BrowseAction{Do: "select", Ref: "a"}), "select needs"},
		"scroll sideways":   {act(run.BrowseAction{Do: "scroll", Text: "left"}), "scroll needs"},
		"scroll script":     {act(run.BrowseAction{Do: "scroll", Text: "by(9)"}), "scroll needs"},
		"wait for nothing":  {act(run.BrowseAction{Do: "wait"}), "wait needs"},
		"wait too long":     {act(run.BrowseAction{Do: "wait", Seconds: 31}), "wait needs"},
		"wait backwards":    {act(run.BrowseAction{Do: "wait", Seconds: -1, Text: "x"}), "wait needs"},
		"press nothing":     {act(run.BrowseAction{Do: "press"}), "needs the name of a key"},
		"press no key":      {act(run.BrowseAction{Do: "press", Text: "Entr"}), `no key "Entr"`},
	} {
		t.Run(name, func(t *testing.T) {
			// A browser that could not even be started: nothing may come to that.
			o := Options{Chromium: "/nowhere", Dial: func(context.Context) (net.Conn, error) { return nil, errors.New("no") }}
			got := New(o).Tools()[run.ToolBrowse](t.Context(), call(t, tc.in))
			if got.Status != run.OutputRefused || !strings.Contains(got.Error, tc.want) {
				t.Errorf("browse(%+v) = %s %q, want %s %q", tc.in, got.Status, got.Error, run.OutputRefused, tc.want)
			}
		})
	}
	t.Run("zero Options", func(t *testing.T) {
		if got := New(Options{}).Tools()[run.ToolBrowse](t.Context(), call(t, ok)); got.Status != run.OutputRefused {
			t.Errorf("browse = %s %q, want %s", got.Status, got.Error, run.OutputRefused)
		}
	})
	t.Run("no JSON of the type", func(t *testing.T) {
		o := Options{Chromium: "/nowhere", Dial: func(context.Context) (net.Conn, error) { return nil, errors.New("no") }}
		got := New(o).Tools()[run.ToolBrowse](t.Context(), executor.Call{Input: []byte(`{"url":"https://example.com/","URL":"https://evil.test/","extract":"text"}`)})
		if got.Status != run.OutputRefused {
			t.Errorf("browse = %s %q, want %s", got.Status, got.Error, run.OutputRefused)
		}
	})
}

// A browser that is not there, ends at once, says nothing or talks nonsense is a clear failure, and
// nothing of it stays.
func TestNoBrowser(t *testing.T) {
	script := func(text string) string {
		path := filepath.Join(t.TempDir(), "browser")
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, tc := range map[string]struct {
		program string
		status  run.OutputStatus
		want    string
	}{
		"missing":    {"/nowhere/chromium", run.OutputFailed, "no such file"},
		"ends":       {script("echo '[1:1:FATAL:x] No usable sandbox! Update your kernel' >&2; echo later >&2; exit 1"), run.OutputFailed, "No usable sandbox!"},
		"says no":    {script("echo 'Missing X server' >&2; exit 1"), run.OutputFailed, "Missing X server"},
		"is silent":  {script("sleep 60 & exec sleep 60"), run.OutputTimedOut, "did not start"},
		"nonsense":   {script(`printf '{"id":1,"result":{}}\0nonsense\0{}\0{"id":true}\0{"method":"Target.targetCreated","params":7}\0' >&4; sleep 60`), run.OutputTimedOut, "did not start"},
		"never ends": {script("exec cat /dev/zero >&4"), run.OutputTimedOut, "did not start"},
		"shouts":     {script("exec cat /dev/zero >&2"), run.OutputTimedOut, "did not start"},
	} {
		t.Run(name, func(t *testing.T) {
			ownTemporary(t)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			o := Options{Chromium: tc.program, Dial: func(context.Context) (net.Conn, error) { return nil, errors.New("no") }}
			began := time.Now()
			got := New(o).Tools()[run.ToolBrowse](ctx, call(t, run.Browse{URL: "https://example.com/", Extract: run.ExtractText}))
			if got.Status != tc.status || !strings.Contains(got.Error, tc.want) {
				t.Errorf("browse = %s %q, want %s %q", got.Status, got.Error, tc.status, tc.want)
			}
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("browse took %v with a limit of 2 s", took)
			}
			gone(t, tc.program)
		})
	}
}

// Chromium's own sandbox stays on, it can be reached over the pipe only, and nothing goes round the proxy.
func TestFlags(t *testing.T) {
	all := strings.Join(flags, "\n")
	for _, banned := range []string{"no-sandbox", "disable-setuid-sandbox", "disable-namespace-sandbox", "disable-seccomp", "single-process",
		"in-process-gpu", "no-zygote", "remote-debugging-port", "remote-debugging-address", "ignore-certificate", "disable-web-security",
		"allow-running-insecure", "disable-site-isolation", "allow-file-access", "load-extension", "user-agent"} {
		if strings.Contains(all, banned) {
			t.Errorf("the flags contain %s", banned)
		}
	}
	for _, wanted := range []string{"--remote-debugging-pipe", "--proxy-bypass-list=<-loopback>", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
		"--disable-quic", "--force-webrtc-ip-handling-policy=disable_non_proxied_udp"} {
		if !strings.Contains("\n"+all+"\n", "\n"+wanted+"\n") {
			t.Errorf("the flags do not contain %s", wanted)
		}
	}
	for _, text := range []string{preferences, localState} {
		if _, err := strict.Canonical([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestKeys(t *testing.T) {
	for text, want := range map[string]key{
		"Enter":           {name: "Enter", code: "Enter", text: "\r", number: 13},
		"enter":           {name: "Enter", code: "Enter", text: "\r", number: 13},
		"a":               {name: "a", code: "KeyA", text: "a", number: 65},
		"A":               {name: "A", code: "KeyA", text: "A", number: 65, held: 8},
		"7":               {name: "7", code: "Digit7", text: "7", number: 55},
		"+":               {name: "+", text: "+"},
		" ":               {name: " ", code: "Space", text: " ", number: 32},
		"ß":               {name: "ß", text: "ß"},
		"F5":              {name: "F5", code: "F5", number: 116},
		"Shift+Tab":       {name: "Tab", code: "Tab", number: 9, held: 8},
		"Control+a":       {name: "a", code: "KeyA", number: 65, held: 2},
		"ctrl+Shift++":    {name: "+", held: 10},
		"Control+Alt+End": {name: "End", code: "End", number: 35, held: 3},
	} {
		if got, err := parseKey(text); got != want || err != nil {
			t.Errorf("parseKey(%q) = %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "Entr", "F13", "F0", "ab", "Control+", "Super+a", "\n", "\u200b", "a+b", "F5x"} {
		if got, err := parseKey(text); err == nil {
			t.Errorf("parseKey(%q) = %+v, want an error", text, got)
		}
	}
}

// What a watch keeps has an end, whatever comes.
func TestWatchIsBounded(t *testing.T) {
	p, in, _ := browserEnd(t)
	go func() { // a browser that reads
		for {
			if _, err := in.ReadBytes(0); err != nil {
				return
			}
		}
	}()
	w := newWatch(p)
	w.follow("S", "F")
	send := func(text string) {
		if m, err := decode([]byte(text)); err == nil {
			w.event(string(m.Method), m)
		}
	}
	for i := range 10_000 {
		id := strings.Repeat("7", i%9) + string(rune('a'+i%26)) + strings.Repeat("x", i/1000) + time.Duration(i).String()
		send(`{"method":"Network.requestWillBeSent","params":{"requestId":"` + id + `","frameId":"F","type":"Document","request":{"url":"https://h` + id + `.test/"},"redirectResponse":{"url":"https://r` + id + `.test/"}},"sessionId":"S"}`)
		send(`{"method":"Network.webSocketCreated","params":{"requestId":"` + id + `","url":"wss://h` + id + `.test/"},"sessionId":"S"}`)
		send(`{"method":"Page.windowOpen","params":{"url":"https://w` + id + `.test/"},"sessionId":"S"}`)
		send(`{"method":"Browser.downloadWillBegin","params":{"frameId":"F","url":"https://d.test/","suggestedFilename":"` + id + `"}}`)
		send(`{"method":"Log.entryAdded","params":{"entry":{"text":"Not allowed to ` + id + `"}},"sessionId":"S"}`)
		send(`{"method":"Target.attachedToTarget","params":{"sessionId":"C` + id + `","targetInfo":{"targetId":"T` + id + `","type":"iframe"},"waitingForDebugger":true},"sessionId":"S"}`)
	}
	if len(w.open) > maxOpen || len(w.wanted) > maxHosts || len(w.hops) > maxHops || len(w.notes) > maxNotes || len(w.children) > maxChildren {
		t.Errorf("a watch holds %d requests, %d hosts, %d hops, %d notes, %d children", len(w.open), len(w.wanted), len(w.hops), len(w.notes), len(w.children))
	}
	if w.windows != 10_000 || w.download == nil || w.doc.url == "" {
		t.Errorf("a watch counted %d windows, download %v, document %q", w.windows, w.download, w.doc.url)
	}
}

// Where an action leads is no redirect, and what a server makes of it is.
func TestHops(t *testing.T) {
	w := newWatch(&pipe{})
	w.follow("S", "F")
	ask := func(id, url, redirected string) {
		t.Helper()
		if redirected != "" {
			redirected = `,"redirectResponse":{"url":"` + redirected + `"}`
		}
		m, err := decode([]byte(`{"method":"Network.requestWillBeSent","params":{"requestId":"` + id + `","frameId":"F","type":"Document","request":{"url":"` + url + `"}` + redirected + `},"sessionId":"S"}`))
		if err != nil {
			t.Fatal(err)
		}
		w.event(string(m.Method), m)
	}
	ask("1", "https://a.test/", "")
	ask("2", "https://b.test/", "") // by a script
	w.act(true)
	ask("3", "https://c.test/", "")
	ask("3", "https://d.test/", "https://c.test/")
	acted := w.look().doc.acted
	w.act(false)
	ask("3", "https://e.test/", "https://d.test/")
	still := w.look().doc.acted
	ask("4", "https://f.test/", "")
	want := []string{"https://a.test/", "https://c.test/", "https://d.test/", "https://e.test/"}
	if !slices.Equal(w.hops, want) || !acted || !still || w.look().doc.acted {
		t.Errorf("hops %q, want %q; the document is an action's: %v %v %v, want true true false", w.hops, want, acted, still, w.look().doc.acted)
	}
}

func TestRefusedInWords(t *testing.T) {
	for name, tc := range map[string]struct {
		url, failed string
		code        string // what the proxy said about example.org
		want        string
	}{
		"unlisted":           {"https://evil.test/", "net::ERR_TUNNEL_CONNECTION_FAILED", "", "redirected to https://evil.test/, which this call may not reach: it is not on this call's list of names (not_allowed); call browse_web with that url"},
		"refused by proxy":   {"https://example.org/", "net::ERR_TUNNEL_CONNECTION_FAILED", "private", "redirected to https://example.org/, which may not be reached: its address is not a public one, or its connection not what it says (private)"},
		"broken, not denied": {"https://example.com/x", "net::ERR_TUNNEL_CONNECTION_FAILED", "", ""},
		"loaded":             {"https://example.com/x", "", "", ""},
		"plain":              {"http://example.com/", "net::ERR_DISALLOWED_URL_SCHEME", "", `redirected to http://example.com/, which may not be reached: the scheme "http" is not https (scheme)`},
		"overtaken":          {"http://example.com/", aborted, "", ""},
		"first":              {"https://example.com/", "net::ERR_TUNNEL_CONNECTION_FAILED", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			j, err := newJob(call(t, run.Browse{URL: "https://example.com/", Extract: run.ExtractText}))
			if err != nil {
				t.Fatal(err)
			}
			v := &visitor{job: j, window: &window{relay: &relay{refused: map[string]*refusal{"example.org": {count: 1, code: tc.code}}}}}
			if got := v.refused(document{url: tc.url, failed: tc.failed}); got != tc.want {
				t.Errorf("refused(%s, %s) = %q, want %q", tc.url, tc.failed, got, tc.want)
			}
			acted := strings.Replace(tc.want, "redirected to", "it leads to", 1)
			if got := v.refused(document{url: tc.url, failed: tc.failed, acted: true}); got != acted {
				t.Errorf("refused(%s, %s) of an action = %q, want %q", tc.url, tc.failed, got, acted)
			}
		})
	}
}
