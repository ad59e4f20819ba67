//go:build docker

package sandbox

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/run"
)

// BenchmarkTunnel moves bytes into a real container ("down", as a page does) and out of it, over the
// bare attached stream and through the tunnel, by turns in one run. Goal: 60 MiB/s down.
func BenchmarkTunnel(b *testing.B) {
	const size = 64 << 20
	bd := newBed(b)
	for _, way := range []string{"down", "up"} {
		b.Run(way, func(b *testing.B) {
			var base, ours time.Duration
			for b.Loop() {
				base += bare(b, bd, way, size)
				ours += tunnelled(b, bd, way+" "+strconv.Itoa(size))
			}
			speed := func(d time.Duration) float64 { return float64(size>>20) * float64(b.N) / d.Seconds() }
			b.ReportMetric(speed(base), "attach-MiB/s")
			b.ReportMetric(speed(ours), "tunnel-MiB/s")
			b.ReportMetric(0, "ns/op")
		})
	}
	b.Run("request", func(b *testing.B) {
		const requests = 500
		var all time.Duration
		for b.Loop() {
			all += tunnelled(b, bd, "requests "+strconv.Itoa(requests))
		}
		b.ReportMetric(float64(all.Microseconds())/float64(requests*b.N), "µs/request")
		b.ReportMetric(0, "ns/op")
	})
}

// tunnelled is how long the executor itself says that it took.
func tunnelled(b *testing.B, bd *bed, what string) time.Duration {
	b.Helper()
	task := bd.webTask(b, "bench", what)
	task.Out = func(_ context.Context, conn net.Conn) {
		in := bufio.NewReader(conn)
		line, err := in.ReadString('\n')
		word, count, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, _ := strconv.ParseInt(count, 10, 64)
		switch {
		case err != nil:
		case word == "down":
			_, _ = io.CopyN(conn, zeros{}, n)
		case word == "up":
			_, _ = io.CopyN(io.Discard, in, n)
			_, _ = conn.Write([]byte{'.'})
		default:
			_, _ = io.WriteString(conn, "response")
		}
	}
	got := bd.do(b, task)
	if got.Outcome != run.Finished {
		b.Fatalf("Run(%s) = %+v", what, got)
	}
	ns, err := strconv.ParseInt(string(got.Output.Value), 10, 64)
	if err != nil {
		b.Fatalf("Run(%s) = %s", what, got.Output.Value)
	}
	return time.Duration(ns)
}

// bare is the same over the attached stream alone.
func bare(b *testing.B, bd *bed, way string, size int64) time.Duration {
	b.Helper()
	c, refusal := bd.engine.connect(b.Context())
	if refusal != nil {
		b.Fatal(refusal)
	}
	task := bd.webTask(b, "raw-"+way, strconv.FormatInt(size, 10))
	made, refusal := bd.created(b, c, task)
	if refusal != nil {
		b.Fatal(refusal)
	}
	defer bd.remove(b.Context(), made)
	defer made.release()
	if err := made.start(b.Context()); err != nil {
		b.Fatal(err)
	}
	if _, err := made.stream.Conn.Write(append(task.Envelope, '\n')); err != nil {
		b.Fatal(err)
	}
	begin := time.Now()
	left := int64(1)
	if way == "down" {
		if _, err := io.CopyN(made.stream.Conn, zeros{}, size); err != nil {
			b.Fatal(err)
		}
	} else {
		left += size
	}
	if n, err := io.CopyN(io.Discard, made.ear, left); err != nil {
		b.Fatal(fmt.Errorf("%d of %d bytes: %w", n, left, err))
	}
	return time.Since(begin)
}
