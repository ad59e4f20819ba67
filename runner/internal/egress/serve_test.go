package egress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
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

// Whoever ends the task ends its streams, at any step, and no word is told of it but that a name was
// asked for.
func TestCancel(t *testing.T) {
	for name, tc := range map[string]struct {
		begin func(net.Conn)
		want  string
	}{
		"before the request": {func(net.Conn) {}, "nothing was told"},
		"in the request":     {func(conn net.Conn) { _, _ = io.WriteString(conn, "CONNECT ") }, "nothing was told"},
		"in the hello":       {func(conn net.Conn) { _, _, _ = ask(conn, connectTo("example.com:443")) }, "deny:gone"},
		"while it flows":     {func(conn net.Conn) { _ = established(conn, "example.com") }, "allow"},
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
			tc.begin(browser)
			time.Sleep(20 * time.Millisecond)
			cancel()
			select {
			case <-done:
			case <-time.After(5 * time.Second):
				t.Fatal("Serve goes on after its context has ended")
			}
			task.Close()
			if got := verdict(r.events[:len(r.events)-1]); got != tc.want {
				t.Errorf("told %+v, want %s", r.events, tc.want)
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
