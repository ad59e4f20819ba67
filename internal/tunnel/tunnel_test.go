package tunnel

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// usual are limits that no test but one about them meets.
func usual() Limits { return Limits{Streams: 64, Window: Window, Idle: time.Minute} }

// pair is both ends over two real pipes, as a container has them.
type pair struct {
	host  *Host
	guest *Guest
}

func newPair(t testing.TB, l Limits, serve func(context.Context, net.Conn)) pair {
	t.Helper()
	host, in, out := newHost(t, t.Context(), l, serve)
	guest, err := Open(t.Context(), in, out)
	if err != nil {
		t.Fatalf("Open = %v", err)
	}
	t.Cleanup(func() { _ = guest.Close() })
	return pair{host, guest}
}

// newHost is the host's end, and the guest's stdin and stdout.
func newHost(t testing.TB, ctx context.Context, l Limits, serve func(context.Context, net.Conn)) (h *Host, stdin, stdout *os.File) {
	t.Helper()
	stdin, hostOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	hostIn, stdout, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	h = Accept(ctx, hostIn, hostOut, l, serve)
	t.Cleanup(func() { _ = h.Close(); stdin.Close(); stdout.Close() })
	return h, stdin, stdout
}

// echo sends back what comes.
func echo(_ context.Context, conn net.Conn) { _, _ = io.Copy(conn, conn) }

func TestAnswer(t *testing.T) {
	p := newPair(t, usual(), echo)
	taken := make(chan error, 1)
	go func() {
		_, err := io.WriteString(p.guest.Answer(), "the line\n")
		taken <- errors.Join(err, p.guest.Answer().Close())
	}()
	r := bufio.NewReader(p.host.Answer())
	if line, err := r.ReadString('\n'); line != "the line\n" || err != nil {
		t.Fatalf("Answer = %q, %v, want the line", line, err)
	}
	select {
	case err := <-taken:
		t.Fatalf("the guest's Close = %v before the end was read", err)
	case <-time.After(20 * time.Millisecond):
	}
	if rest, err := io.ReadAll(r); len(rest) > 0 || err != nil {
		t.Fatalf("after the line: %q, %v, want the end", rest, err)
	}
	if err := <-taken; err != nil {
		t.Errorf("the guest's Close = %v, want nil: its line was taken", err)
	}
	_ = p.guest.Close()
	<-p.host.Done()
	if err := p.host.Close(); err != nil {
		t.Errorf("Close = %v, want nil after a guest that hung up", err)
	}
}

// The program may end as soon as its answer was taken: no stream is in the middle of a frame then.
func TestNothingFollowsTheAnswer(t *testing.T) {
	p := newPair(t, usual(), func(_ context.Context, conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	for range 8 {
		conn, err := p.guest.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		go pour(t.Context(), conn)
	}
	go func() { _, _ = io.ReadAll(p.host.Answer()) }()
	_, _ = io.WriteString(p.guest.Answer(), "the line\n")
	if err := p.guest.Answer().Close(); err != nil {
		t.Fatalf("Close = %v", err)
	}
	if err := p.guest.out.whole(syn(99)); err != io.ErrClosedPipe {
		t.Errorf("a frame after the answer: %v, want io.ErrClosedPipe", err)
	}
	_ = p.guest.Close()
	<-p.host.Done()
	if err := p.host.Close(); err != nil {
		t.Errorf("Close = %v, want nil: every frame was whole", err)
	}
}

// An answer that was cut is not one that ended.
func TestAnswerCut(t *testing.T) {
	for name, end := range map[string]func(p pair){
		"the guest dies":     func(p pair) { _ = p.guest.Close() },
		"the host hangs up":  func(p pair) { go p.host.Close() },
		"noise on the pipes": func(p pair) { _ = p.guest.out.whole([]byte("segmentation fault\n")) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, usual(), echo)
			if _, err := io.WriteString(p.guest.Answer(), "half"); err != nil {
				t.Fatal(err)
			}
			var half [4]byte
			if _, err := io.ReadFull(p.host.Answer(), half[:]); err != nil {
				t.Fatal(err)
			}
			end(p)
			if n, err := p.host.Answer().Read(half[:]); n > 0 || err == nil || err == io.EOF {
				t.Errorf("Read after %s = %d, %v, want an error that is not io.EOF", name, n, err)
			}
		})
	}
}

func TestStreamsCarryBothWays(t *testing.T) {
	p := newPair(t, usual(), echo)
	var work sync.WaitGroup
	for i := range 40 {
		work.Go(func() {
			conn, err := p.guest.Dial(t.Context())
			if err != nil {
				t.Errorf("Dial = %v", err)
				return
			}
			defer conn.Close()
			sent := make([]byte, 100_000*(i%7)+i)
			_, _ = rand.Read(sent)
			work.Go(func() {
				_, _ = conn.Write(sent)
				_ = conn.(*stream).CloseWrite()
			})
			got, err := io.ReadAll(conn)
			if err != nil || !bytes.Equal(got, sent) {
				t.Errorf("stream %d: %d bytes back of %d, %v", i, len(got), len(sent), err)
			}
		})
	}
	work.Wait()
	if n := p.host.Refused(); n != 0 {
		t.Errorf("Refused = %d, want none", n)
	}
	eventually(t, "every place is free again", func() bool { return p.host.Open() == 0 })
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

// What is a limit of zero, or no server, lets nothing out, and the answer comes all the same.
func TestZeroMeansNo(t *testing.T) {
	with := func(change func(*Limits)) Limits {
		l := usual()
		change(&l)
		return l
	}
	for name, tc := range map[string]struct {
		l     Limits
		serve func(context.Context, net.Conn)
	}{
		"zero":              {Limits{}, echo},
		"no streams":        {with(func(l *Limits) { l.Streams = 0 }), echo},
		"fewer than none":   {with(func(l *Limits) { l.Streams = -1 }), echo},
		"no window":         {with(func(l *Limits) { l.Window = 0 }), echo},
		"a small window":    {with(func(l *Limits) { l.Window = Window - 1 }), echo},
		"no time":           {with(func(l *Limits) { l.Idle = 0 }), echo},
		"nobody serves":     {usual(), nil},
		"an endless window": {with(func(l *Limits) { l.Window = 1 << 40 }), echo},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, tc.l, tc.serve)
			conn, err := p.guest.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, _ = conn.Write([]byte("x"))
			if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil || err == io.EOF {
				t.Errorf("Read = %d, %v, want a reset", n, err)
			}
			if n := p.host.Refused(); n != 1 {
				t.Errorf("Refused = %d, want 1", n)
			}
			go func() { _, _ = io.WriteString(p.guest.Answer(), "x"); _ = p.guest.Answer().Close() }()
			if got, err := io.ReadAll(p.host.Answer()); string(got) != "x" || err != nil {
				t.Errorf("Answer = %q, %v", got, err)
			}
		})
	}
}

// What one stream does not read costs the others nothing.
func TestOneStreamBlocksNoOther(t *testing.T) {
	release := make(chan struct{})
	p := newPair(t, usual(), func(ctx context.Context, conn net.Conn) {
		var kind [1]byte
		if _, err := io.ReadFull(conn, kind[:]); err != nil {
			return
		}
		if kind[0] == 'd' {
			<-release
			return
		}
		echo(ctx, conn)
	})
	defer close(release)
	deaf, err := p.guest.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var sent atomic.Int64
	go func() {
		for block := bytes.Repeat([]byte("d"), 16<<10); ; {
			n, err := deaf.Write(block)
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	}()
	eventually(t, "the window is full", func() bool { return sent.Load() >= Window-32<<10 })
	conn, err := p.guest.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	got := make([]byte, 5)
	if _, err := io.WriteString(conn, "e"+"hello"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != "hello" {
		t.Errorf("beside a full stream: %q, %v, want hello", got, err)
	}
	if n := sent.Load(); n > 2*Window {
		t.Errorf("a stream that nobody reads took %d bytes, want about %d", n, Window)
	}
	_ = deaf.Close()
}

// A stream that carries nothing ends; one that carries a byte now and then does not.
func TestIdle(t *testing.T) {
	l := usual()
	l.Idle = time.Second
	ends := make(chan error, 2)
	p := newPair(t, l, func(_ context.Context, conn net.Conn) {
		var b [1]byte
		for {
			if _, err := conn.Read(b[:]); err != nil {
				_ = conn.SetDeadline(time.Now().Add(time.Hour)) // revives nothing
				if _, again := conn.Write(b[:]); again != err {
					t.Errorf("Write after the end = %v, want %v", again, err)
				}
				ends <- err
				return
			}
		}
	})
	quiet, err := p.guest.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer quiet.Close()
	busy, err := p.guest.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	begin := time.Now()
	tick := time.NewTicker(l.Idle / 10)
	defer tick.Stop()
	for range 15 {
		<-tick.C
		if _, err := busy.Write([]byte("x")); err != nil {
			t.Fatalf("the busy stream after %v: %v", time.Since(begin), err)
		}
	}
	select {
	case err := <-ends:
		var timeout net.Error
		if !errors.Is(err, ErrIdle) || !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("the quiet stream ended with %v, want ErrIdle", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the quiet stream lives on")
	}
	if len(ends) > 0 {
		t.Error("the busy stream ended too")
	}
	if n, err := quiet.Read(make([]byte, 1)); n > 0 || err != io.EOF {
		t.Errorf("the guest reads %d, %v, want the end", n, err)
	}
	<-ends
}

// Whoever serves may set deadlines and half-close, as on any connection.
func TestStreamIsAConn(t *testing.T) {
	done := make(chan error, 1)
	p := newPair(t, usual(), func(_ context.Context, conn net.Conn) {
		done <- func() error {
			_ = conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
			if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				return fmt.Errorf("Read past its deadline = %v", err)
			}
			_ = conn.SetReadDeadline(time.Time{})
			if _, err := io.WriteString(conn, "all"); err != nil {
				return err
			}
			if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				return err
			}
			if got, err := io.ReadAll(conn); string(got) != "seen" || err != nil {
				return fmt.Errorf("after CloseWrite: %q, %v", got, err)
			}
			if err := conn.Close(); err != nil {
				return err
			}
			if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				return fmt.Errorf("Read after Close = %v", err)
			}
			if conn.RemoteAddr().String() == "" || conn.LocalAddr().Network() == "" {
				return errors.New("no address")
			}
			return nil
		}()
	})
	conn, err := p.guest.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); string(got) != "all" || err != nil {
		t.Errorf("the guest reads %q, %v", got, err)
	}
	if _, err := io.WriteString(conn, "seen"); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the guest's Read after Close = %v", err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Close waits for those who serve, and they learn of it.
func TestCloseWaits(t *testing.T) {
	var serving, left atomic.Int64
	p := newPair(t, usual(), func(ctx context.Context, conn net.Conn) {
		serving.Add(1)
		<-ctx.Done()
		_, err := conn.Read(make([]byte, 1))
		if err == nil || err == io.EOF {
			t.Errorf("Read after the end = %v", err)
		}
		time.Sleep(20 * time.Millisecond)
		left.Add(1)
	})
	for range 10 {
		conn, err := p.guest.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	eventually(t, "ten streams are served", func() bool { return serving.Load() == 10 })
	if err := p.host.Close(); err != nil || left.Load() != 10 {
		t.Errorf("Close = %v after %d of 10 returned", err, left.Load())
	}
	if err := p.host.Close(); err != nil {
		t.Errorf("the second Close = %v", err)
	}
	eventually(t, "the guest knows", func() bool { _, err := p.guest.Dial(t.Context()); return err != nil })
}

// A guest that reads nothing holds up nobody's end.
func TestGuestThatReadsNothing(t *testing.T) {
	serving := make(chan struct{})
	h, stdin, stdout := newHost(t, t.Context(), usual(), func(_ context.Context, conn net.Conn) {
		defer close(serving)
		for block := make([]byte, 64<<10); ; {
			if _, err := conn.Write(block); err != nil {
				return
			}
		}
	})
	if _, err := io.ReadFull(stdin, make([]byte, headerBytes)); err != nil { // the host begins
		t.Fatal(err)
	}
	if _, err := stdout.Write(concat(ack, syn(1))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stream is served", func() bool { return h.Open() == 1 })
	time.Sleep(20 * time.Millisecond)
	begin := time.Now()
	_ = h.Close()
	<-serving
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("Close took %v", took)
	}
}
