package egress

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/secureclaw/secureclaw/internal/domain"
)

// site is a TLS server on loopback that gives as many bytes as a client asks for, and a proxy that
// lets it through as example.com.
func site(b *testing.B) (p *Proxy, config *tls.Config, address string) {
	b.Helper()
	server, roots := certificate(b, "example.com")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				s := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{server}})
				request := make([]byte, 4)
				if _, err := io.ReadFull(s, request); err != nil {
					return
				}
				left := int(request[0])<<24 | int(request[1])<<16 | int(request[2])<<8 | int(request[3])
				for chunk := make([]byte, 64<<10); left > 0; left -= len(chunk) {
					if _, err := s.Write(chunk[:min(left, len(chunk))]); err != nil {
						return
					}
				}
				s.Close()
			}()
		}
	}()
	to := netip.MustParseAddrPort(l.Addr().String())
	limits := DefaultLimits()
	limits.Down = 1 << 50
	p = New(Options{Limits: limits, Resolver: &trap{answer: to.Addr()}, Exempt: map[netip.Addr]uint16{to.Addr(): to.Port()}})
	return p, &tls.Config{RootCAs: roots, ServerName: "example.com"}, to.String()
}

// fetch asks for n bytes.
func fetch(b *testing.B, conn net.Conn, config *tls.Config, n int) {
	b.Helper()
	defer conn.Close()
	c := tls.Client(conn, config)
	if _, err := c.Write([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}); err != nil {
		b.Fatal(err)
	}
	if got, err := io.Copy(io.Discard, c); got != int64(n) || err != nil {
		b.Fatalf("received %d bytes, %v, want %d", got, err, n)
	}
}

// through returns what opens a connection that has said CONNECT.
func through(b *testing.B, p *Proxy) func() net.Conn {
	task := p.Task(domain.List{"example.com"}, nil)
	var serving sync.WaitGroup
	b.Cleanup(serving.Wait)
	return func() net.Conn {
		browser, served := socketPair(b)
		serving.Go(func() { task.Serve(context.Background(), served) })
		if status, code, err := ask(browser, "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n"); status != 200 {
			b.Fatal(status, code, err)
		}
		return browser
	}
}

func direct(b *testing.B, address string) func() net.Conn {
	return func() net.Conn {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			b.Fatal(err)
		}
		return conn
	}
}

// BenchmarkConnect is one connection with one small answer; the difference of the two is what the
// proxy adds.
func BenchmarkConnect(b *testing.B) {
	p, config, address := site(b)
	for name, open := range map[string]func() net.Conn{"direct": direct(b, address), "through": through(b, unlimited(p))} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				fetch(b, open(), config, 100)
			}
		})
	}
}

// BenchmarkDown is the throughput of one connection.
func BenchmarkDown(b *testing.B) {
	const size = 64 << 20
	p, config, address := site(b)
	for name, open := range map[string]func() net.Conn{"direct": direct(b, address), "through": through(b, p)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				fetch(b, open(), config, size)
			}
		})
	}
}

// unlimited is p for more connections than a task has.
func unlimited(p *Proxy) *Proxy {
	p.limits.UpTask = 1 << 50
	return p
}

func BenchmarkJudge(b *testing.B) {
	for name, own := range map[string]func() ([]netip.Addr, error){"kernel": nil, "list": func() ([]netip.Addr, error) { return nil, nil }} {
		b.Run(name, func(b *testing.B) {
			p := New(Options{Addresses: own})
			for b.Loop() {
				if _, err := p.judge(publicAddress); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
