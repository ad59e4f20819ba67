package tunnel

import (
	"context"
	"io"
	"net"
	"os"
	"testing"
)

const chunk = 32 << 10 // what io.Copy moves at once

// BenchmarkPipe is the baseline: the same bytes over a bare pipe.
func BenchmarkPipe(b *testing.B) {
	r, w, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	go func() {
		defer w.Close()
		for block := make([]byte, chunk); ; {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}()
	b.SetBytes(chunk)
	for got := make([]byte, chunk); b.Loop(); {
		if _, err := io.ReadFull(r, got); err != nil {
			b.Fatal(err)
		}
	}
}

// pour writes until nobody wants any more.
func pour(_ context.Context, conn net.Conn) {
	for block := make([]byte, chunk); ; {
		if _, err := conn.Write(block); err != nil {
			return
		}
	}
}

// BenchmarkDown is what a page's bytes take: host to guest.
func BenchmarkDown(b *testing.B) {
	p := newPair(b, usual(), pour)
	conn, err := p.guest.Dial(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(chunk)
	for got := make([]byte, chunk); b.Loop(); {
		if _, err := io.ReadFull(conn, got); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUp is guest to host, through the guard.
func BenchmarkUp(b *testing.B) {
	conns := make(chan net.Conn)
	p := newPair(b, usual(), func(ctx context.Context, conn net.Conn) {
		conns <- conn
		<-ctx.Done()
	})
	up, err := p.guest.Dial(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	go pour(b.Context(), up)
	conn := <-conns
	b.SetBytes(chunk)
	for got := make([]byte, chunk); b.Loop(); {
		if _, err := io.ReadFull(conn, got); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRequest is one small stream: opened, one request, one answer, closed.
func BenchmarkRequest(b *testing.B) {
	p := newPair(b, usual(), echo)
	for got := make([]byte, 100); b.Loop(); {
		conn, err := p.guest.Dial(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := conn.Write(got); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(conn, got); err != nil {
			b.Fatal(err)
		}
		if err := conn.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
