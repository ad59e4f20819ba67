package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/internal/domain"
	"github.com/secureclaw/secureclaw/internal/run"
)

var publicAddress = netip.MustParseAddr("93.184.216.34")

func toPipe(site net.Conn) func(context.Context, netip.AddrPort) (net.Conn, error) {
	return func(context.Context, netip.AddrPort) (net.Conn, error) { return site, nil }
}

// established goes as far as the ClientHello.
func established(conn net.Conn, name string) error {
	if _, err := io.WriteString(conn, connectTo(name+":443")); err != nil {
		return err
	}
	buf := make([]byte, 100)
	if n, err := conn.Read(buf); err != nil || !strings.HasPrefix(string(buf[:n]), "HTTP/1.1 200 ") {
		return fmt.Errorf("CONNECT: %q, %v", buf[:n], err)
	}
	_, err := conn.Write(plainHello(name).bytes())
	return err
}

// serverHello begins like one.
func serverHello() []byte {
	return records(append([]byte{messageServer, 0, 0, 60, 3, 3}, make([]byte, 58)...), 1)
}

// trickle is a site that answers and then sends a byte a second.
func trickle(conn net.Conn) {
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	if _, err := conn.Write(serverHello()); err != nil {
		return
	}
	for {
		time.Sleep(time.Second)
		if _, err := conn.Write([]byte{1}); err != nil {
			return
		}
	}
}

func TestZeroRefuses(t *testing.T) {
	list := domain.List{"example.com"}
	limits := DefaultLimits()
	tasks := map[string]*Task{
		"zero task":    {},
		"zero proxy":   new(Proxy).Task(list, nil),
		"zero options": New(Options{}).Task(list, nil),
		"no names":     New(Options{Limits: limits}).Task(nil, nil),
	}
	for name, forget := range map[string]func(*Limits){
		"streams": func(l *Limits) { l.Streams = 0 }, "up of a connection": func(l *Limits) { l.UpStream = 0 },
		"up of the task": func(l *Limits) { l.UpTask = 0 }, "down": func(l *Limits) { l.Down = 0 }, "resolve": func(l *Limits) { l.Resolve = 0 },
		"dial": func(l *Limits) { l.Dial = 0 }, "hello": func(l *Limits) { l.Hello = 0 }, "idle": func(l *Limits) { l.Idle = 0 },
	} {
		l := DefaultLimits()
		forget(&l)
		tasks["no "+name] = New(Options{Limits: l, Resolver: &trap{answer: publicAddress}}).Task(list, nil)
	}
	for name, task := range tasks {
		t.Run(name, func(t *testing.T) {
			if task.proxy != nil {
				task.proxy.connect = func(context.Context, netip.AddrPort) (net.Conn, error) {
					t.Error("dialled, want nothing")
					return nil, errors.New("no")
				}
			}
			browser, served := socketPair(t)
			defer browser.Close()
			go task.Serve(t.Context(), served)
			want := "limit"
			if name == "no names" {
				want = "not_allowed"
			}
			if status, code, err := ask(browser, connectTo("example.com:443")); status != http.StatusForbidden || code != want || err != nil {
				t.Errorf("CONNECT: %d %q, %v, want 403 %s", status, code, err, want)
			}
			task.Close()
		})
	}
}

// The answer to a request must hold nothing of it, or a page could make documents of the proxy's.
func TestAnswersReflectNothing(t *testing.T) {
	for name, request := range map[string]string{
		"name":   "CONNECT marker.evil.test:443 HTTP/1.1\r\n\r\n",
		"target": "CONNECT <script>marker</script>:443 HTTP/1.1\r\n\r\n",
		"method": "MARKER / HTTP/1.1\r\n\r\n",
		"header": "CONNECT example.com:443 HTTP/1.1\r\nHost: marker\r\n\r\n",
		"path":   "GET /<script>marker HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			var answer []byte
			r.attempt(func(conn net.Conn) {
				_, _ = io.WriteString(conn, request)
				answer, _ = io.ReadAll(conn)
			})
			if got := strings.ToLower(string(answer)); strings.Contains(got, "marker") || strings.Contains(got, "<") || !strings.HasPrefix(got, "http/1.1 403 forbidden\r\nproxy-status: secureclaw; error=http_request_") {
				t.Errorf("%q is answered with %q, want 403 and nothing of it", request, answer)
			}
		})
	}
}

// A server that wants another key share asks for a second ClientHello. It must be able to, and that
// ClientHello must be for the same name.
func TestHelloRetry(t *testing.T) {
	server, roots := certificate(t, "example.com")
	config := &tls.Config{Certificates: []tls.Certificate{server}, CurvePreferences: []tls.CurveID{tls.CurveP521}, MinVersion: tls.VersionTLS13}
	t.Run("the same name", func(t *testing.T) {
		r := newRig(t)
		r.site = func(conn net.Conn) { servePage(conn, config) }
		events := r.attempt(func(conn net.Conn) {
			_, _, _ = ask(conn, connectTo("example.com:443"))
			c := &tls.Config{RootCAs: roots, ServerName: "example.com"}
			if got, err := fetchPage(conn, c, "example.com"); got != "example.com example.com" || err != nil {
				t.Errorf("the page is %q, %v, want example.com example.com", got, err)
			}
		})
		if got := verdict(events); got != "allow" {
			t.Errorf("told %+v, want allow", events)
		}
	})
	helloRetry := func() []byte {
		return records(append(append([]byte{messageServer, 0, 0, 60, 3, 3}, retryRandom...), make([]byte, 26)...), 1)
	}
	for name, tc := range map[string]struct {
		second []byte
		early  bool // sent with the first, not after the site's answer
		want   string
		passes bool // reaches the site
	}{
		"the same name, with a change of ciphers": {append([]byte(emptySpec), plainHello("example.com").bytes()...), false, "allow", true},
		"another name":                           {plainHello("evil.test").bytes(), false, "deny:sni_mismatch", false},
		"another name at once":                   {plainHello("evil.test").bytes(), true, "deny:sni_mismatch", false},
		"another name after a change of ciphers": {append([]byte(emptySpec), plainHello("evil.test").bytes()...), false, "deny:sni_mismatch", false},
		"another name in pieces":                 {records(plainHello("evil.test").message(), 50), false, "deny:sni_mismatch", false},
		"hidden":                                 {plainHello("example.com").with(greaseECH()).bytes(), false, "deny:ech", false},
		"two changes of ciphers":                 {append([]byte(emptySpec+emptySpec), plainHello("evil.test").bytes()...), false, "deny:not_tls", false},
		"a long change of ciphers":               {append([]byte("\x14\x03\x03\x00\x02\x01\x01"), plainHello("evil.test").bytes()...), false, "deny:bad_hello", false},
		"data":                                   {[]byte("\x17\x03\x03\x00\x01\x01"), false, "deny:not_tls", false},
		"nothing":                                {nil, false, "deny:hello_timeout", false},
		"an alert":                               {[]byte("\x15\x03\x03\x00\x02\x02\x28"), false, "allow", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			if tc.want == "deny:hello_timeout" {
				r.impatient()
			}
			first := plainHello("example.com").bytes()
			reached := make(chan string, 1)
			r.site = func(conn net.Conn) {
				_, _ = io.ReadFull(conn, make([]byte, len(first)))
				if tc.early {
					time.Sleep(50 * time.Millisecond) // long enough for the second to overtake us, if it could
				}
				_, _ = conn.Write(helloRetry())
				rest := make([]byte, 4<<10)
				n := 0
				for {
					m, err := conn.Read(rest[n:])
					if n += m; err != nil || n >= len(tc.second) && n > 0 {
						break
					}
				}
				reached <- string(rest[:n])
			}
			events := r.attempt(func(conn net.Conn) {
				_, _, _ = ask(conn, connectTo("example.com:443"))
				_, _ = conn.Write(first)
				if !tc.early {
					_, _ = io.ReadFull(conn, make([]byte, len(helloRetry())))
				}
				_, _ = conn.Write(tc.second)
				_, _ = io.Copy(io.Discard, conn)
			})
			if got := verdict(events); got != tc.want {
				t.Errorf("told %+v, want %s", events, tc.want)
			}
			got := strings.TrimPrefix(<-reached, emptySpec)
			if want := strings.TrimPrefix(string(tc.second), emptySpec); tc.passes && got != want || !tc.passes && got != "" {
				t.Errorf("the site received %x, want the second ClientHello: %t", got, tc.passes)
			}
		})
	}
}

func TestAsksRetry(t *testing.T) {
	retry := records(append(append([]byte{messageServer, 0, 0, 60, 3, 3}, retryRandom...), make([]byte, 26)...), 1)
	for name, tc := range map[string]struct {
		start     []byte
		again, ok bool
		code      domain.Code
	}{
		"nothing":               {nil, false, false, ""},
		"part of a record":      {retry[:retryPeek-1], false, false, ""},
		"retry":                 {retry[:retryPeek], true, true, ""},
		"ServerHello":           {serverHello()[:retryPeek], false, true, ""},
		"alert":                 {[]byte{recordAlert}, false, true, ""},
		"HTTP":                  {[]byte("HTTP/1.1 400"), false, true, ""},
		"another message":       {[]byte{recordHandshake, 3, 3, 0, 9, 11}, false, true, ""},
		"ServerHello in pieces": {records(retry[5:], 30)[:retryPeek], false, false, codeBadHello},
	} {
		t.Run(name, func(t *testing.T) {
			again, ok, err := asksRetry(tc.start)
			if again != tc.again || ok != tc.ok || domain.CodeOf(err) != tc.code {
				t.Errorf("asksRetry(%x) = %t, %t, %v, want %t, %t, %q", tc.start, again, ok, err, tc.again, tc.ok, tc.code)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	for name, tc := range map[string]struct {
		set      func(*Limits)
		up, down int // the browser and the site send as much after the hello
		want     string
	}{
		"within all":              {func(*Limits) {}, 100 << 10, 1 << 20, "allow"},
		"up of the connection":    {func(*Limits) {}, 300 << 10, 0, "deny:limit"},
		"up of the task":          {func(l *Limits) { l.UpTask = 50 << 10 }, 60 << 10, 0, "deny:limit"},
		"down":                    {func(l *Limits) { l.Down = 1 << 20 }, 0, 2 << 20, "deny:limit"},
		"the hello alone is more": {func(l *Limits) { l.UpStream = 10 }, 0, 0, "deny:limit"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			tc.set(&r.proxy.limits)
			var reached int64
			r.site = func(conn net.Conn) {
				_, _ = conn.Write(serverHello())
				go func() { _, _ = conn.Write(make([]byte, tc.down)) }()
				reached, _ = io.Copy(io.Discard, conn)
			}
			var came int64
			events := r.attempt(func(conn net.Conn) {
				_, _, _ = ask(conn, connectTo("example.com:443"))
				_, _ = conn.Write(plainHello("example.com").bytes())
				_, _ = conn.Write(make([]byte, tc.up))
				if tc.want == "allow" {
					came, _ = io.CopyN(io.Discard, conn, int64(tc.down))
					return
				}
				came, _ = io.Copy(io.Discard, conn)
			})
			if got := verdict(events); got != tc.want {
				t.Errorf("told %+v, want %s", events, tc.want)
			}
			r.work.Wait()
			l := r.proxy.limits
			if most := min(l.UpStream, l.UpTask); reached > most || came > l.Down {
				t.Errorf("%d bytes went up and %d down, want at most %d and %d", reached, came, most, l.Down)
			}
			total := r.events[len(r.events)-1]
			if total.Up < reached || total.Up > l.UpTask || total.Down < came || total.Down > l.Down {
				t.Errorf("totals %+v, want %d bytes up and %d down or a little more", total, reached, came)
			}
		})
	}
}

// What all connections of a task have sent counts, not what one has.
func TestLimitOfTheTask(t *testing.T) {
	r := newRig(t)
	task := r.proxy.Task(r.list, r.told)
	sent := 0
	for i := range 10 {
		browser, served := socketPair(t)
		var serving sync.WaitGroup
		serving.Go(func() { task.Serve(t.Context(), served) })
		r.site = func(conn net.Conn) {
			_, _ = conn.Write(serverHello())
			_, _ = io.CopyN(io.Discard, conn, 200<<10)
		}
		_, _, _ = ask(browser, connectTo("example.com:443"))
		_, _ = browser.Write(plainHello("example.com").bytes())
		_, _ = browser.Write(make([]byte, 200<<10))
		_, _ = io.Copy(io.Discard, browser)
		browser.Close()
		serving.Wait()
		if n := int(task.up.Load()); n > 1<<20 {
			t.Fatalf("after %d connections %d bytes went up, want at most %d", i+1, n, 1<<20)
		} else {
			sent = n
		}
	}
	task.Close()
	limits := 0
	for _, e := range r.events {
		if e.Code == string(codeLimit) {
			limits++
		}
	}
	if limits == 0 || sent < 800<<10 {
		t.Errorf("%d bytes went up and limit was told %d times, want nearly 1 MiB and at least once", sent, limits)
	}
}

func TestIdle(t *testing.T) {
	for name, tc := range map[string]struct {
		site func(net.Conn)
		want string
		at   time.Duration
	}{
		"nothing either way":       {func(conn net.Conn) { _, _ = conn.Write(serverHello()); _, _ = io.Copy(io.Discard, conn) }, "deny:idle", time.Minute},
		"a site that says nothing": {func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }, "deny:idle", time.Minute},
		"a long quiet download":    {func(conn net.Conn) { go trickle(conn); time.Sleep(10 * time.Minute); conn.Close() }, "allow", 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.proxy.limits = DefaultLimits()
			synctest.Test(t, func(t *testing.T) {
				site, there := net.Pipe()
				r.proxy.connect = toPipe(site)
				events, took := pipes(t.Context(), t, r, func(conn net.Conn) {
					go func() {
						_, _ = io.ReadFull(there, make([]byte, len(plainHello("example.com").bytes())))
						tc.site(there)
					}()
					if err := established(conn, "example.com"); err != nil {
						t.Error(err)
					}
					_, _ = io.Copy(io.Discard, conn)
				})
				if got := verdict(events); got != tc.want || took != tc.at {
					t.Errorf("%s after %v (%+v), want %s after %v", got, took, events, tc.want, tc.at)
				}
			})
		})
	}
}

// A ClientHello has its time in all, however steadily it drips.
func TestHelloTimeout(t *testing.T) {
	r := newRig(t)
	r.proxy.limits = DefaultLimits()
	synctest.Test(t, func(t *testing.T) {
		site, there := net.Pipe()
		defer there.Close()
		r.proxy.connect = toPipe(site)
		events, took := pipes(t.Context(), t, r, func(conn net.Conn) {
			_, _ = io.WriteString(conn, connectTo("example.com:443"))
			_, _ = conn.Read(make([]byte, 100))
			go func() { _, _ = io.Copy(io.Discard, conn) }()
			for _, b := range plainHello("example.com").bytes() {
				if _, err := conn.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		})
		if got := verdict(events); got != "deny:hello_timeout" || took != 10*time.Second {
			t.Errorf("%s after %v, want deny:hello_timeout after 10s", got, took)
		}
	})
}

// A browser that takes nothing must not hold a stream for longer than one that sends nothing.
func TestIdleWhileWriting(t *testing.T) {
	r := newRig(t)
	r.proxy.limits = DefaultLimits()
	synctest.Test(t, func(t *testing.T) {
		site, there := net.Pipe()
		r.proxy.connect = toPipe(site)
		events, _ := pipes(t.Context(), t, r, func(conn net.Conn) {
			go func() { _, _ = io.Copy(io.Discard, there) }()
			go func() { _, _ = there.Write(serverHello()) }()
			if err := established(conn, "example.com"); err != nil {
				t.Error(err)
			}
		})
		if got := verdict(events); got != "deny:idle" {
			t.Errorf("told %+v, want deny:idle", events)
		}
	})
}

// Whoever ends the task ends its streams, at any step, and no word is told of it.
func TestCancel(t *testing.T) {
	for name, begin := range map[string]func(net.Conn){
		"before the request": func(net.Conn) {},
		"in the request":     func(conn net.Conn) { _, _ = io.WriteString(conn, "CONNECT ") },
		"in the hello":       func(conn net.Conn) { _, _, _ = ask(conn, connectTo("example.com:443")) },
		"while it flows":     func(conn net.Conn) { _ = established(conn, "example.com") },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.proxy.limits = DefaultLimits()
			ctx, cancel := context.WithCancel(t.Context())
			task := r.proxy.Task(r.list, r.told)
			browser, served := socketPair(t)
			defer browser.Close()
			done := make(chan struct{})
			go func() {
				task.Serve(ctx, stubborn{served})
				close(done)
			}()
			begin(browser)
			time.Sleep(20 * time.Millisecond)
			cancel()
			select {
			case <-done:
			case <-time.After(5 * time.Second):
				t.Fatal("Serve goes on after its context has ended")
			}
			task.Close()
			for _, e := range r.events {
				if !e.Allowed && !e.Total {
					t.Errorf("told %+v, want no refusal", e)
				}
			}
		})
	}
}

// stubborn is like a stream of the tunnel: closing it does not wake who reads.
type stubborn struct{ net.Conn }

func (s stubborn) Close() error { return nil }

// Who sets a deadline a moment too late does not open again what was closed.
func TestShutter(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	s := &shutter{Conn: stubborn{a}}
	s.Close()
	s.expire(time.Now().Add(time.Hour))
	s.expire(time.Time{})
	if n, err := s.Read(make([]byte, 1)); !timedOut(err) {
		t.Errorf("Read after Close = %d, %v, want a timeout at once", n, err)
	}
}

// The same decision is told once and counted; the names of strangers end at some number.
func TestDecisionsAreBounded(t *testing.T) {
	r := newRig(t)
	task := r.proxy.Task(r.list, r.told)
	serve := func(request string) {
		browser, served := net.Pipe()
		done := make(chan struct{})
		go func() {
			task.Serve(t.Context(), served)
			close(done)
		}()
		go func() { _, _ = io.WriteString(browser, request) }() // after Close nobody reads it
		_, _ = io.Copy(io.Discard, browser)
		browser.Close()
		<-done
	}
	for range 3 {
		serve(connectTo("tracker.test:443"))
	}
	for i := range 1000 {
		serve(connectTo(fmt.Sprintf("n%d.evil.test:443", i)))
	}
	serve(connectTo("10.0.0.1:443"))
	before := len(r.events)
	task.Close()
	task.Close()
	if before > maxDecisions+2 {
		t.Errorf("%d events were told while it ran, want at most %d", before, maxDecisions+2)
	}
	first, closing := r.events[0], r.events[before:]
	if want := (run.Egress{Name: "tracker.test", Code: "not_allowed", Text: first.Text}); !cmp.Equal(first, want) || first.Text == "" {
		t.Errorf("told first %+v, want %+v", first, want)
	}
	want := []run.Egress{
		{Name: "tracker.test", Code: "not_allowed", Text: first.Text, Count: 3},
		{Code: "not_allowed", Text: closing[1].Text, Count: 1000 - (maxDecisions - 1)},
		{Total: true, Count: 1004},
	}
	if diff := cmp.Diff(want, closing); diff != "" {
		t.Errorf("told at Close (-want +got):\n%s", diff)
	}
	// After the totals nothing is told and nothing served.
	browser, served := socketPair(t)
	defer browser.Close()
	go task.Serve(t.Context(), served)
	if status, code, err := ask(browser, connectTo("tracker.test:443")); status != http.StatusForbidden || code != "limit" || err != nil {
		t.Errorf("CONNECT after Close: %d %q, %v, want 403 limit", status, code, err)
	}
	if len(r.events) != before+len(closing) {
		t.Errorf("told %+v after Close, want nothing", r.events[before+len(closing):])
	}
}
