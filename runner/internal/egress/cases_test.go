package egress

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/internal/domain"
)

func TestCasesIP(t *testing.T) {
	_, cases := attacks(t, "ip")
	for _, a := range cases {
		t.Run(a.ID, func(t *testing.T) {
			var in string
			decode(t, a, &in)
			got := "allow"
			if code := classify(netip.MustParseAddr(in)); code != "" {
				got = "deny:" + string(code)
			}
			if got != a.Expect {
				t.Errorf("classify(%s) = %s, want %s (%s)", in, got, a.Expect, a.Why)
			}
		})
	}
}

// passing does what is allowed to its end: CONNECT, ClientHello, and the bytes are at the site.
func passing(t *testing.T, r *rig, request, name string) {
	t.Helper()
	sent := plainHello(name).bytes()
	arrived := make(chan []byte, 1)
	r.site = func(conn net.Conn) {
		got := make([]byte, len(sent))
		_, _ = io.ReadFull(conn, got)
		arrived <- got
	}
	events := r.attempt(func(conn net.Conn) {
		if status, code, err := ask(conn, request); status != http.StatusOK || err != nil {
			t.Errorf("%q: status %d, code %q, %v, want 200", request, status, code, err)
			return
		}
		_, _ = conn.Write(sent)
		_, _ = io.Copy(io.Discard, conn)
	})
	if got := verdict(events); got != "allow" {
		t.Errorf("%q: told %s (%+v), want allow", request, got, events)
		return
	}
	if got := <-arrived; !cmp.Equal(got, sent) {
		t.Errorf("%q: the site received %x, want the ClientHello %x", request, got, sent)
	}
	if got := r.addresses(); len(got) != 1 || events[0].Address+":443" != got[0] && "["+events[0].Address+"]:443" != got[0] {
		t.Errorf("%q: dialled %q, told %q, want one address, the same", request, got, events[0].Address)
	}
}

// refused sends a request and wants a refusal with a code, without a question or a dial.
func refused(t *testing.T, r *rig, request, want string) {
	t.Helper()
	var status int
	var code string
	var err error
	events := r.attempt(func(conn net.Conn) { status, code, err = ask(conn, request) })
	if err != nil || status != http.StatusForbidden || "deny:"+code != want {
		t.Errorf("%.100q: answered %d %q, %v, want 403 and %s", request, status, code, err, want)
	}
	if got := verdict(events); got != want || len(events) != 1 || events[0].Text == "" {
		t.Errorf("%.100q: told %+v, want %s once, with words", request, events, want)
	}
	if got := append(r.dns.questions(), r.addresses()...); len(got) > 0 {
		t.Errorf("%.100q: asked or dialled %q, want nothing", request, got)
	}
}

func TestCasesConnect(t *testing.T) {
	_, cases := attacks(t, "connect")
	for _, a := range cases {
		t.Run(a.ID, func(t *testing.T) {
			var in string
			decode(t, a, &in)
			r := newRig(t)
			if a.Expect != "allow" {
				refused(t, r, connectTo(in), a.Expect)
				return
			}
			name, err := domain.ParseAuthority(in)
			if err != nil {
				t.Fatal(err)
			}
			passing(t, r, connectTo(in), string(name))
			if got, want := r.dns.questions(), []string{"A " + string(name) + ".", "AAAA " + string(name) + "."}; len(got) != 2 || !contains(got, want...) {
				t.Errorf("CONNECT %q: asked %q, want %q", in, got, want)
			}
		})
	}
}

func TestCasesHTTP(t *testing.T) {
	_, cases := attacks(t, "http")
	for _, a := range cases {
		t.Run(a.ID, func(t *testing.T) {
			var in string
			decode(t, a, &in)
			if a.Expect == "allow" {
				passing(t, newRig(t), in, "example.com")
				return
			}
			refused(t, newRig(t), in, a.Expect)
		})
	}
}

// A hop of a redirect is a new request of the browser to the proxy.
func TestCasesRedirect(t *testing.T) {
	_, cases := attacks(t, "redirect")
	for _, a := range cases {
		t.Run(a.ID, func(t *testing.T) {
			var in struct{ Start, Location string }
			decode(t, a, &in)
			u, err := url.Parse(in.Location[strings.LastIndexByte(in.Location, ' ')+1:])
			if err != nil {
				t.Fatal(err)
			}
			r := newRig(t)
			if u.Scheme != "https" {
				// Chromium asks a proxy for http: in absolute form. Who reads URLs calls this scheme.
				if a.Expect != "deny:scheme" {
					t.Fatalf("the case wants %s for %s, want deny:scheme", a.Expect, u)
				}
				refused(t, r, "GET "+u.String()+" HTTP/1.1\r\nHost: "+u.Host+"\r\n\r\n", "deny:method")
				return
			}
			target := u.Host
			if u.Port() == "" {
				target += ":443"
			}
			if a.Expect == "allow" {
				passing(t, r, connectTo(target), u.Hostname())
				return
			}
			refused(t, r, connectTo(target), a.Expect)
		})
	}
}

func TestCasesDNS(t *testing.T) {
	_, cases := attacks(t, "dns")
	for _, a := range cases {
		t.Run(a.ID, func(t *testing.T) {
			var in struct {
				Target  string
				Answers answer
			}
			decode(t, a, &in)
			if in.Answers.SelfIP {
				in.Answers.A = []string{"93.184.216.99"}
			}
			r := newRig(t, in.Answers)
			if in.Answers.Timeout {
				r.impatient()
			}
			name := strings.TrimSuffix(in.Target, ":443")
			// One question of each type, absolute, whatever comes of it: no suffix, no second look.
			want := []string{"A " + name + ".", "AAAA " + name + "."}
			if a.Expect != "allow" {
				var code string
				events := r.attempt(func(conn net.Conn) { _, code, _ = ask(conn, connectTo(in.Target)) })
				if got := verdict(events); got != a.Expect || "deny:"+code != a.Expect || len(events) != 1 || events[0].Name != name {
					t.Errorf("told %+v, answered %q, want %s (%s)", events, code, a.Expect, a.Why)
				}
				if got := r.addresses(); len(got) > 0 {
					t.Errorf("dialled %q, want nothing", got)
				}
			} else {
				passing(t, r, connectTo(in.Target), name)
				if got := r.addresses(); len(got) != 1 || got[0] != "93.184.216.34:443" {
					t.Errorf("dialled %q, want 93.184.216.34:443 (%s)", got, a.Why)
				}
			}
			if got := r.dns.questions(); len(got) != 2 || !contains(got, want...) {
				t.Errorf("asked %q, want %q", got, want)
			}
			if len(in.Answers.Sequence) == 0 {
				return
			}
			// The name answers otherwise now. A second connection must be judged by that.
			events := r.attempt(func(conn net.Conn) { _, _, _ = ask(conn, connectTo(in.Target)) })
			if got := verdict(events); got != "deny:loopback" || len(r.addresses()) > 0 {
				t.Errorf("after rebinding: told %s, dialled %q, want deny:loopback and nothing", got, r.addresses())
			}
		})
	}
}

func TestCasesTLS(t *testing.T) {
	_, cases := attacks(t, "tls")
	for _, a := range cases {
		t.Run(a.ID, func(t *testing.T) {
			var in struct {
				Target string
				Hello  firstBytes
			}
			decode(t, a, &in)
			r := newRig(t)
			if a.Expect == "allow" {
				shakesHands(t, r, in.Target, in.Hello)
				return
			}
			if in.Hello.ThenStall > 0 {
				r.impatient()
			}
			reached := make(chan int64, 1)
			r.site = func(conn net.Conn) {
				n, _ := io.Copy(io.Discard, conn)
				reached <- n
			}
			begun := time.Now()
			events := r.attempt(func(conn net.Conn) {
				if status, code, err := ask(conn, connectTo(in.Target)); status != http.StatusOK || err != nil {
					t.Errorf("CONNECT: %d %q, %v, want 200", status, code, err)
				}
				_, _ = conn.Write(in.Hello.bytes(t))
				_, _ = io.Copy(io.Discard, conn)
			})
			if got := verdict(events); got != a.Expect || len(events) != 1 || events[0].Name != "example.com" {
				t.Errorf("told %+v after %v, want %s (%s)", events, time.Since(begun), a.Expect, a.Why)
			}
			if n := <-reached; n > 0 {
				t.Errorf("%d bytes reached the site, want 0", n)
			}
		})
	}
}

func TestCasesStream(t *testing.T) {
	_, cases := attacks(t, "stream")
	tests := map[string]func(*testing.T){
		"10,000 streams opened at once":                                  floods,
		"stream opened, nothing sent for 60 s":                           staysSilent,
		"tunnel held open after the task deadline":                       outlivesItsTask,
		"length field 0xffffffff":                                        nil, // package tunnel
		"stdout noise before the first frame":                            nil, // package tunnel
		"a second task replays the first task's token on its own stream": nil, // package runner
	}
	for _, a := range cases {
		t.Run(a.ID, func(t *testing.T) {
			var in string
			decode(t, a, &in)
			test, known := tests[in]
			switch {
			case test != nil:
				test(t)
			case !known && (a.Expect == "deny:limit" || a.Expect == "deny:idle"):
				t.Errorf("no test for %q, want %s", in, a.Expect)
			}
		})
	}
}

// Every kind of case has an owner; a new kind must find one.
func TestCasesKinds(t *testing.T) {
	owners := []string{"conventions", "ip", "connect", "dns", "tls", "redirect", "http", "stream", // here
		"url", "config", // package domain
		"browser"} // executor/web, in its container
	for _, a := range allAttacks(t) {
		if !slices.Contains(owners, a.Kind) {
			t.Errorf("case %s is of kind %q, which is nobody's, want a test", a.ID, a.Kind)
		}
	}
}

// floods holds as many streams as there may be and opens the rest of 10,000.
func floods(t *testing.T) {
	r := newRig(t)
	task := r.proxy.Task(r.list, r.told)
	var serving sync.WaitGroup
	var held []net.Conn
	open := func() net.Conn {
		browser, served := net.Pipe()
		serving.Go(func() { task.Serve(t.Context(), served) })
		return browser
	}
	for range 64 {
		conn := open()
		// Half a request: it is being read now.
		_, _ = io.WriteString(conn, "CONNECT ")
		held = append(held, conn)
	}
	for i := range 10_000 - 64 {
		conn := open()
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || !strings.Contains(answer.Header.Get("Proxy-Status"), `details="limit"`) {
			t.Fatalf("stream %d: %v, %v, want the refusal limit", 64+i, answer, err)
		}
		conn.Close()
	}
	for _, conn := range held {
		conn.Close()
	}
	serving.Wait()
	// The places are free again.
	again := open()
	if status, code, _ := ask(again, connectTo("evil.test:443")); status != 403 || code != "not_allowed" {
		t.Errorf("after the flood: %d %q, want 403 not_allowed", status, code)
	}
	again.Close()
	serving.Wait()
	task.Close()
	counted := int64(0)
	for _, e := range r.events {
		if e.Code == "limit" {
			counted = max(counted, e.Count)
		}
	}
	total := r.events[len(r.events)-1]
	if counted != 10_000-64 || len(r.events) > 10 || !total.Total || total.Count != 10_001 {
		t.Errorf("told %d events, limit %d times, totals %+v, want few, 9936 and 10001", len(r.events), counted, total)
	}
}
