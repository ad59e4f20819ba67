//go:build docker

package runner

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/runner/internal/egress"
)

// The streams of a hostile executor end with its task, and no word in them makes them another's.
func TestHostileStreams(t *testing.T) { bothWays(t, hostileStreams) }

func hostileStreams(t *testing.T, keep config.Bytes) {
	limits := func(l *egress.Limits) { l.Hello, l.Idle = 2*time.Second, 2*time.Second }
	b, w, _ := hostileBed(t, keep, limits)
	good := string(hello{SNI: []string{"example.com"}}.bytes("example.com"))
	tests := map[string]func(t *testing.T, c ssrfCase, r *record){
		"S274": func(t *testing.T, c ssrfCase, r *record) {
			v, said := b.play(t, "example.com", 30*time.Second, on(0, "open", 10_000))
			if v.result.Outcome == run.Finished && told(v, "limit") == 0 {
				t.Errorf("%s: %q opened, told %+v, outcome %+v; want refusals limit, or the task's end", c.ID, said, v.egress, *v.result)
			}
		},
		"S275": func(t *testing.T, c ssrfCase, r *record) {
			v, said := b.play(t, "example.com", 30*time.Second,
				sending(1, "CONN", 1), on(1, "rest", 15_000), // never says the rest
				sending(2, connectExample, 1), on(2, "head", true), sending(2, good, 1), on(2, "rest", 15_000)) // never says more
			if got := told(v, "idle"); got < 1 || len(said) != 3 || strings.Contains(said[0], "timeout") || strings.Contains(said[2], "timeout") {
				t.Errorf("%s: told %+v and said %q, want streams that the proxy closed", c.ID, v.egress, said)
			}
		},
		"S278": func(t *testing.T, c ssrfCase, r *record) {
			protocolEnds(t, c, b, on(0, "net", true), sending(1, "x", 1), on(0, "raw", base64.StdEncoding.EncodeToString([]byte{0, 0, 0, 1, 0, 0, 0, 3, 0xff, 0xff, 0xff, 0xff})))
		},
		"S280": func(t *testing.T, c ssrfCase, r *record) {
			protocolEnds(t, c, b, on(0, "raw", base64.StdEncoding.EncodeToString([]byte("Warning: a library says hello\n"))))
		},
		"S282": func(t *testing.T, c ssrfCase, r *record) {
			began := time.Now()
			v, _ := b.play(t, "example.com", time.Second,
				sending(1, connectExample, 1), on(1, "head", true), sending(1, good, 1), on(1, "wait", 60_000))
			if v.result.Outcome != run.TimedOut || time.Since(began) > 12*time.Second {
				t.Errorf("%s: outcome %+v after %v, want a timeout after 3 s", c.ID, *v.result, time.Since(began))
			}
			if string(r.arrived()) != good {
				t.Fatalf("%s: the stream did not carry its hello, so nothing was tested", c.ID)
			}
			gone(t, r)
			if told(v, "limit") != 1 && told(v, "") != 1 {
				t.Errorf("%s: told %+v", c.ID, v.egress)
			}
		},
		"S283": replayed(b),
	}
	for _, c := range cases(t, "stream", 6) {
		t.Run(c.ID, func(t *testing.T) {
			test := tests[c.ID]
			if test == nil {
				t.Fatalf("%s (%s, %s) has no test", c.ID, c.Input, c.Why)
			}
			r := &record{}
			w.good.serveRaw(r.serve)
			w.evil.serveRaw(r.serve)
			test(t, c, r)
			if n, _, _ := w.evil.seen(); n != 0 {
				t.Errorf("%s: %d connections to a host that is not allowed", c.ID, n)
			}
		})
	}
}

func protocolEnds(t *testing.T, c ssrfCase, b *bed, script ...steps) {
	t.Helper()
	v, _ := b.play(t, "example.com", 20*time.Second, append(script, on(0, "wait", 300), sending(9, connectExample, 1), on(9, "head", true))...)
	if v.result.Outcome != run.Broken || !strings.Contains(v.result.Detail, "malformed") || told(v, "") != 0 {
		t.Errorf("%s (%s): result %+v, told %+v; want %s for malformed frames, and nothing resynchronised", c.ID, c.Why, *v.result, v.egress, run.Broken)
	}
}

// gone waits until no connection is left outside.
func gone(t *testing.T, r *record) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); r.connections() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d connections outside have outlived their task", r.connections())
		}
	}
}

// replayed: another task's token opens nothing, neither as an order to the runner nor as a word in a
// stream. The runner knows a stream by the container that it attached itself.
func replayed(b *bed) func(*testing.T, ssrfCase, *record) {
	return func(t *testing.T, c ssrfCase, r *record) {
		first := b.order(t, pageClaims(t, b.cfg, "evil.test"), browseInput(t, scripted(t, "evil.test", []steps{on(0, "token", true)})))
		v := sorted(t, b.ask(t, run.Request{Run: &first}))
		var said []string
		if v.result == nil || v.result.Output == nil || strict.Decode(v.result.Output.Value, &said) != nil || len(said) != 1 || said[0] != first.Token {
			t.Fatalf("the first task = %+v, want its token", v)
		}
		// The whole order again.
		if got := refusalOf(t, b.ask(t, run.Request{Run: &first})); got.Code != codeToken {
			t.Errorf("%s: the first order again = %+v, want refusal %s", c.ID, got, codeToken)
		}
		// The token with a second task of its own.
		second := b.order(t, pageClaims(t, b.cfg, "example.com"), browseInput(t, scripted(t, "example.com", []steps{on(0, "token", true)})))
		if got := refusalOf(t, b.ask(t, run.Request{Run: &run.Order{Token: first.Token, Task: second.Task}})); got.Code != codeToken {
			t.Errorf("%s: the first token with a second task = %+v, want refusal %s", c.ID, got, codeToken)
		}
		// From inside a second container, in every place where a proxy might look for who speaks.
		for name, tc := range map[string]struct{ text, code string }{
			"without":  {"", "not_allowed"},
			"basic":    {"Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(first.Token)) + "\r\n", "bad_request"},
			"bearer":   {"Proxy-Authorization: Bearer " + first.Token + "\r\n", "bad_request"},
			"a cookie": {"Cookie: token=" + first.Token + "\r\n", ""},
		} {
			v, said := b.play(t, "example.com", 20*time.Second, sending(1, "CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n"+tc.text+"\r\n", 1), on(1, "head", true))
			if told(v, "") != 0 || len(v.denied()) == 0 && told(v, tc.code) == 0 || len(said) != 1 || strings.HasPrefix(said[0], "HTTP/1.1 2") || strings.Contains(said[0], first.Token[:20]) {
				t.Errorf("%s: the first token in a second task's stream, %s: told %+v, answered %q; want a refusal", c.ID, name, v.egress, said)
			}
		}
	}
}
