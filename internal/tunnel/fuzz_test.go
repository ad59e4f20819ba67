package tunnel

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// seeds are conversations, right and wrong.
func seeds(f *testing.F) {
	for _, seed := range [][]byte{
		nil,
		concat(ack, syn(1), data(1, "hello"), data(2, "{}\n"), fin(2), fin(1)),
		concat(ack, syn(1), syn(3), syn(5), syn(7), data(7, "late"), fin(7), rst(5)),
		concat(ack, syn(1), room(1, 1), data(1, "x")),
		concat(ack, syn(1), frame(typeData, 0, 1, 0xffffffff)),
		concat(ack, syn(1), rst(1), syn(3), rst(3), room(3, 9)),
		concat(ack, frame(typeGoAway, 0, 0, 0), ping),
		[]byte("Segmentation fault\n"),
	} {
		for how := range byte(3) {
			f.Add(how, seed)
		}
	}
}

// FuzzGuard: whatever bytes come, what reaches yamux are whole frames, those of the input in their order and
// unchanged, but that data may come in several, for no more streams than there may be; and it either was all right or ended with
// ErrProtocol, after which nothing follows. The guard's own memory stays small.
func FuzzGuard(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, how byte, in []byte) {
		const most = 2
		g := newGuard(bytes.NewReader(in), io.Discard, Limits{Streams: most, Window: Window, Idle: time.Second}, func(error) {})
		_, _ = g.Write(frame(typeUpdate, flagSYN, answerID, 0))
		rest, live := in, map[uint32]bool{}
		var part header // of the input's frame of which not all has passed
		for {
			var raw [headerBytes]byte
			n, err := io.ReadFull(g, raw[:])
			if err != nil {
				if n != 0 {
					t.Fatalf("half a header passed: % x", raw[:n])
				}
				if err != io.EOF && !errors.Is(err, ErrProtocol) {
					t.Fatalf("Read = %v", err)
				}
				if again, err := g.Read(raw[:]); again != 0 || err == nil {
					t.Fatalf("after the end: %d, %v", again, err)
				}
				return
			}
			h := parse(raw[:])
			var body []byte
			if h.kind == typeData {
				if h.length > Window {
					t.Fatalf("%v passed", h)
				}
				body = make([]byte, min(int(h.length), len(rest)))
				n, err := io.ReadFull(g, body)
				body = body[:n]
				if err != nil && !errors.Is(err, ErrProtocol) {
					t.Fatalf("body of %v: %v", h, err)
				}
			}
			// The frame is the input's next, or one after it, or goes on with the one before.
			for part.length == 0 {
				if len(rest) < headerBytes {
					t.Fatalf("%v passed, and is not in % x", h, in)
				}
				next := parse(rest)
				rest = rest[headerBytes:]
				if next == h && h.kind != typeData {
					break
				}
				if next.kind != typeData {
					continue
				}
				whole := next
				if next.length = h.length; next == h && whole.length >= h.length && bytes.HasPrefix(rest, body) {
					part = whole
					break
				}
				rest = rest[min(int(whole.length), len(rest)):]
			}
			if h.kind == typeData {
				if h.stream != part.stream || h.length > part.length || h.length == 0 || !bytes.HasPrefix(rest, body) {
					t.Fatalf("%v passed with % x, and of %v comes % x", h, body, part, rest)
				}
				rest = rest[len(body):]
				part.length -= h.length
			}
			switch h.flags {
			case flagSYN:
				live[h.stream] = true
				switch how % 3 {
				case 1:
					_, _ = g.Write(frame(typeUpdate, flagFIN, h.stream, 0))
				case 2:
					_, _ = g.Write(frame(typeUpdate, flagRST, h.stream, 0))
				}
			case flagRST:
				delete(live, h.stream)
			}
			if len(live) > most || g.taken > most || len(g.streams) > most+1 || len(g.queue) > most || len(g.late)*64 > len(in)/headerBytes+128 || len(g.resets) > len(in)/headerBytes {
				t.Fatalf("%d live, %d taken, %d streams, %d queued, %d words, %d resets", len(live), g.taken, len(g.streams), len(g.queue), len(g.late), len(g.resets))
			}
		}
	})
}

// discard is a stdin that nobody reads and that takes everything.
type discard struct{ io.Writer }

func (discard) Close() error { return nil }

// FuzzHost: whatever bytes come, the host with its real yamux ends when they do, waits for all it
// started, and has seen a malformed frame or none. yamux itself never finds anything to object to.
func FuzzHost(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, how byte, in []byte) {
		// The pipe delivers nothing before the host has begun: no guest speaks first.
		r, w := io.Pipe()
		begun := make(chan struct{}, 64)
		out := discard{writer(func(p []byte) (int, error) {
			select {
			case begun <- struct{}{}:
			default:
			}
			return len(p), nil
		})}
		l := Limits{Streams: 2, Window: Window, Idle: time.Minute}
		h := Accept(t.Context(), r, out, l, func(_ context.Context, conn net.Conn) {
			switch how % 3 {
			case 0:
				_, _ = io.Copy(io.Discard, conn)
			case 1:
				_, _ = io.Copy(conn, conn)
			}
		})
		go func() {
			<-begun
			_, _ = w.Write(in)
			_ = w.Close()
		}()
		line, _ := io.ReadAll(io.LimitReader(h.Answer(), int64(len(in))+1))
		if len(line) > len(in) {
			t.Fatalf("an answer of %d bytes from %d", len(line), len(in))
		}
		if how >= 128 { // or else the answer alone ends
			_ = h.Close()
		}
		<-h.Done()
		if err := h.Close(); err != nil && !errors.Is(err, ErrProtocol) {
			t.Fatalf("Close = %v", err)
		}
	})
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }
