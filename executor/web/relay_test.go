package web

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// pair is a connection over loopback, both ends.
func pair(t testing.TB) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, _ := l.Accept()
		accepted <- c
	}()
	if near, err = net.Dial("tcp4", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	return near, <-accepted
}

// relayTo starts a relay whose streams are served by serve.
func relayTo(t testing.TB, serve func(net.Conn)) *relay {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := listen(ctx, func(context.Context) (net.Conn, error) {
		near, far := pair(t)
		go serve(far)
		return near, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); r.wait() })
	return r
}

func connect(t testing.TB, r *relay) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp4", r.address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.TCPConn)
}

// Bytes pass as they are, and the end of one direction is not the end of the other.
func TestRelayCarriesBothHalves(t *testing.T) {
	r := relayTo(t, func(c net.Conn) {
		defer c.Close()
		all, _ := io.ReadAll(c) // until the other side says that it has no more
		fmt.Fprintf(c, "got %d bytes", len(all))
	})
	conn := connect(t, r)
	if _, err := conn.Write([]byte("\x00\x01CONNECT\r\n\xff")); err != nil {
		t.Fatal(err)
	}
	conn.CloseWrite()
	if got, err := io.ReadAll(conn); string(got) != "got 12 bytes" || err != nil {
		t.Errorf("through the relay came %q, %v", got, err)
	}
}

// The relay remembers who was refused and why, from the first line and the answer's head alone.
func TestRelayRemembersRefusals(t *testing.T) {
	for name, tc := range map[string]struct {
		request, answer string
		host, code      string
		count           int
	}{
		"refused":      {"CONNECT Evil.Test:443 HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 403 Forbidden\r\nProxy-Status: secureclaw; error=http_request_denied; details=\"not_allowed\"\r\n\r\n", "evil.test", "not_allowed", 1},
		"an address":   {"CONNECT [::1]:443 HTTP/1.1\r\n\r\n", "HTTP/1.1 403 Forbidden\r\nProxy-Status: secureclaw; details=\"ip_literal\"\r\n\r\n", "::1", "ip_literal", 1},
		"plain":        {"GET http://evil.test/x HTTP/1.1\r\n\r\n", "HTTP/1.1 405 No\r\nproxy-status: secureclaw; details=\"method\"\r\n\r\n", "evil.test", "method", 1},
		"let through":  {"CONNECT example.com:443 HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 403 x\r\n\r\n", "example.com", "", 0},
		"no code":      {"CONNECT evil.test:443 HTTP/1.1\r\n\r\n", "HTTP/1.1 502 Bad\r\n\r\n", "evil.test", "", 1},
		"a bad code":   {"CONNECT evil.test:443 HTTP/1.1\r\n\r\n", "HTTP/1.1 403 x\r\nProxy-Status: a; details=\"<b>Click\"\r\n\r\n", "evil.test", "", 1},
		"no answer":    {"CONNECT evil.test:443 HTTP/1.1\r\n\r\n", "", "evil.test", "", 0},
		"no HTTP":      {"CONNECT evil.test:443 HTTP/1.1\r\n\r\n", "\x16\x03\x01", "evil.test", "", 0},
		"no request":   {"\x16\x03\x01\r\n\r\n", "HTTP/1.1 403 x\r\n\r\n", "", "", 0},
		"endless head": {"CONNECT evil.test:443 HTTP/1.1\r\n\r\n", "HTTP/1.1 403 x\r\nA: " + strings.Repeat("a", 1<<16) + "\r\n\r\n", "evil.test", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := relayTo(t, func(c net.Conn) {
				defer c.Close()
				bufio.NewReader(c).ReadString('\n')
				io.WriteString(c, tc.answer)
				c.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, c)
			})
			conn := connect(t, r)
			io.WriteString(conn, tc.request)
			if got, _ := io.ReadAll(conn); string(got) != tc.answer {
				t.Errorf("%.40q was answered %.100q, want %.100q", tc.request, got, tc.answer)
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			entry := r.refused[tc.host]
			if (entry == nil) != (tc.count == 0) || entry != nil && (entry.count != tc.count || entry.code != tc.code) {
				t.Errorf("%.40q answered %.60q left %q: %+v, want %d × %q", tc.request, tc.answer, tc.host, entry, tc.count, tc.code)
			}
		})
	}
}

// counted is a stream that is open until it is closed.
type counted struct {
	net.Conn
	open *atomic.Int64
	once sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}

// Ten thousand connections neither break the relay nor leave anything behind, and never more streams
// than the cap are open.
func TestRelayHoldsAFlood(t *testing.T) {
	before := runtime.NumGoroutine()
	var open, most, served atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	r, err := listen(ctx, func(context.Context) (net.Conn, error) {
		near, far := net.Pipe()
		n := open.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		go func() {
			defer far.Close()
			defer served.Add(1)
			request, err := http.ReadRequest(bufio.NewReader(far))
			if err == nil {
				fmt.Fprintf(far, "HTTP/1.1 403 Forbidden\r\nProxy-Status: s; details=\"not_allowed\"\r\nX: %s\r\n\r\n", request.RequestURI)
			}
		}()
		return &counted{Conn: near, open: &open}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	const all = 10_000
	var clients sync.WaitGroup
	for worker := range 200 {
		clients.Go(func() {
			for i := range all / 200 {
				conn, err := net.Dial("tcp4", r.address())
				if err != nil {
					t.Error(err)
					return
				}
				fmt.Fprintf(conn, "CONNECT h%d.evil.test:443 HTTP/1.1\r\n\r\n", worker*1000+i)
				if i%3 != 0 { // some go without waiting
					io.ReadAll(conn)
				}
				conn.Close()
			}
		})
	}
	clients.Wait()
	cancel()
	r.wait()
	const runner = 64 // streams that the runner lets one task have
	if most.Load() >= runner {
		t.Errorf("%d streams were open at once, want fewer than %d", most.Load(), runner)
	}
	if served.Load() < all/2 {
		t.Errorf("%d connections were served of %d", served.Load(), all)
	}
	if n := len(r.refused); n > maxRefused {
		t.Errorf("%d hosts are remembered, want at most %d", n, maxRefused)
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines before, %d after", before, runtime.NumGoroutine())
}

// A way out that is broken is a closed connection, and the relay goes on.
func TestRelayWithoutAWayOut(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r, err := listen(ctx, func(context.Context) (net.Conn, error) { return nil, errors.New("no tunnel") })
	if err != nil {
		t.Fatal(err)
	}
	for range 2 * maxStreams {
		conn := connect(t, r)
		io.WriteString(conn, "CONNECT example.com:443 HTTP/1.1\r\n\r\n")
		if got, _ := io.ReadAll(conn); len(got) != 0 {
			t.Errorf("the relay answered %q by itself", got)
		}
	}
	cancel()
	r.wait()
}

// The relay ends with its context, whatever hangs in it.
func TestRelayEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r, err := listen(ctx, func(ctx context.Context) (net.Conn, error) {
		near, _ := pair(t) // nobody ever reads or writes at the other end
		return near, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for range maxStreams + 10 {
		io.WriteString(connect(t, r), "CONNECT example.com:443 HTTP/1.1\r\n\r\n")
	}
	cancel()
	done := make(chan struct{})
	go func() { r.wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Error("the relay did not end")
	}
}

// pause ends with its context.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		pause(ctx, time.Hour)
		if took := time.Since(began); took != time.Second {
			t.Errorf("pause took %v", took)
		}
	})
}
