package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/internal/strict"
)

// The tests of this file speak over net.Pipe, which keeps deadlines by the clock of synctest.

// pipe returns a connection and the raw other end.
func pipe(t *testing.T) (*Conn, net.Conn) {
	t.Helper()
	a, b := net.Pipe()
	t.Cleanup(func() { _ = a.Close(); _ = b.Close() })
	return newConn(a), b
}

// write feeds data to a raw end beside the test and closes it behind.
func write(raw net.Conn, data string) {
	go func() {
		_, _ = io.WriteString(raw, data)
		_ = raw.Close()
	}()
}

func TestReceiveRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ in, want string }{
		"duplicate key":            {`{"stop":{"ref":"1","ref":"2","session":"s"}}` + "\n", "duplicate"},
		"duplicate variant":        {`{"stop":{"ref":"1","session":"s"},"stop":null}` + "\n", "duplicate"},
		"key in another case":      {`{"Stop":{"ref":"1","session":"s"}}` + "\n", "unknown"},
		"unknown field":            {`{"stop":{"ref":"1","session":"s","now":true}}` + "\n", "unknown"},
		"nesting":                  {strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40) + "\n", "deeper"},
		"two values on a line":     {`{}{}` + "\n", "after the end"},
		"invalid UTF-8":            {"{\"stop\":{\"ref\":\"\xff\",\"session\":\"s\"}}\n", "UTF-8"},
		"empty line":               {"\n", "empty"},
		"no JSON":                  {"GET / HTTP/1.1\r\n", "invalid character"},
		"cut line":                 {`{"stop":`, "cut after 8 bytes"},
		"one byte over the limit":  {strings.Repeat(" ", MaxFrame) + "\n", "longer than"},
		"endless line":             {strings.Repeat("x", 3*MaxFrame), "longer than"},
		"byte order mark":          {"\ufeff{}\n", "invalid character"},
		"NUL behind":               {"{}\x00\n", "after the end"},
		"separated by a record":    {"\x1e{}\n", "invalid character"},
		"a message of wrong types": {`{"message":{"id":1,"session":"s","text":"t"}}` + "\n", "does not fit"},
	} {
		t.Run(name, func(t *testing.T) {
			c, raw := pipe(t)
			write(raw, tc.in)
			var up Up
			err := c.Receive(&up)
			if !errors.Is(err, ErrFrame) || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("Receive(%.60q) = %v, want ErrFrame with %q", tc.in, err, tc.want)
			}
		})
	}
}

// What stands behind a bad frame is not read: the tail of an oversized line must never be taken for
// a frame of its own.
func TestNothingIsReceivedAfterABadFrame(t *testing.T) {
	good := `{"stop":{"ref":"1","session":"s"}}` + "\n"
	for name, bad := range map[string]string{
		"oversized": strings.Repeat("x", MaxFrame) + "\n",
		"malformed": "{\n",
	} {
		t.Run(name, func(t *testing.T) {
			c, raw := pipe(t)
			write(raw, bad+good+good)
			first := c.Receive(new(Up))
			for range 3 {
				var up Up
				if err := c.Receive(&up); !errors.Is(err, ErrFrame) || err.Error() != first.Error() || up.Stop != nil {
					t.Fatalf("Receive after a bad frame = %+v, %v, want the first error (%v) again", up, err, first)
				}
			}
		})
	}
}

// A server can still say why it hangs up.
func TestReasonReachesThePeer(t *testing.T) {
	c, raw := pipe(t)
	peer := newConn(raw)
	go func() { _, _ = io.WriteString(raw, "nonsense\n") }()
	err := c.Receive(new(Up))
	go func() {
		_ = c.Send(Down{Fault: &Fault{Code: "frame", What: err.Error()}})
		_ = c.Close()
	}()
	var down Down
	if err := peer.Receive(&down); err != nil || down.Fault == nil || !strings.Contains(down.Fault.What, "invalid character") {
		t.Errorf("Receive = %+v, %v, want the reason", down, err)
	}
	if err := peer.Receive(&down); err != io.EOF {
		t.Errorf("Receive after the reason = %v, want EOF", err)
	}
}

func TestLargestFrame(t *testing.T) {
	empty, err := strict.Encode(Up{Message: &Message{}})
	if err != nil {
		t.Fatal(err)
	}
	room := MaxFrame - len(empty) - 1
	c, raw := pipe(t)
	peer := newConn(raw)

	if err := c.Send(Up{Message: &Message{Text: strings.Repeat("x", room+1)}}); !errors.Is(err, ErrFrame) {
		t.Errorf("Send(%d bytes) = %v, want ErrFrame", MaxFrame+1, err)
	}
	sent := make(chan error, 1)
	go func() { sent <- c.Send(Up{Message: &Message{Text: strings.Repeat("x", room)}}) }()
	var up Up
	if err := peer.Receive(&up); err != nil || up.Message == nil || len(up.Message.Text) != room {
		t.Errorf("Receive(%d bytes) = %v", MaxFrame, err)
	}
	if err := <-sent; err != nil {
		t.Errorf("Send(%d bytes) = %v; one that was too long before must not break the connection", MaxFrame, err)
	}
}

// A value that holds raw JSON with line breaks is still one line.
func TestRawJSONStaysOnItsLine(t *testing.T) {
	c, raw := pipe(t)
	go func() { _ = c.Send(Down{Card: &Card{ID: "1", Input: strict.Value("{\n\"a\":\n1}")}}) }()
	var down Down
	if err := newConn(raw).Receive(&down); err != nil || down.Card == nil {
		t.Fatalf("Receive = %+v, %v", down, err)
	}
	if got, want := string(down.Card.Input), `{"a":1}`; got != want {
		t.Errorf("Receive: input %q, want %q", got, want)
	}
}

func TestFramesOfManySendersStayWhole(t *testing.T) {
	c, raw := pipe(t)
	c.conn = halves{c.conn}
	const senders, frames = 16, 50
	var wg sync.WaitGroup
	for i := range senders {
		text := strings.Repeat(string(rune('a'+i)), 1+i*1000)
		wg.Go(func() {
			for range frames {
				if err := c.Send(Up{Message: &Message{Session: text[:1], Text: text}}); err != nil {
					t.Errorf("Send = %v", err)
					return
				}
			}
		})
	}
	peer := newConn(raw)
	got := map[string]int{}
	for range senders * frames {
		var up Up
		if err := peer.Receive(&up); err != nil {
			t.Fatalf("Receive = %v", err)
		}
		if want := strings.Repeat(up.Message.Session, len(up.Message.Text)); up.Message.Text != want {
			t.Fatalf("Receive: a frame of %q holds another's text: %.80q", up.Message.Session, up.Message.Text)
		}
		got[up.Message.Session]++
	}
	wg.Wait()
	for sender, n := range got {
		if n != frames {
			t.Errorf("%d frames of %q arrived, want %d", n, sender, frames)
		}
	}
}

// halves writes in two pieces, as a full socket buffer does, without a lock around both.
type halves struct{ net.Conn }

func (h halves) Write(p []byte) (int, error) {
	n, err := h.Conn.Write(p[:len(p)/2])
	if err != nil {
		return n, err
	}
	m, err := h.Conn.Write(p[n:])
	return n + m, err
}

func TestPeerThatDoesNotReadLosesTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, raw := pipe(t)
		start := time.Now()
		err := c.Send(Up{Stop: &Stop{Ref: "1"}})
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != writeTimeout {
			t.Errorf("Send to a peer that does not read = %v after %v, want a deadline after %v", err, time.Since(start), writeTimeout)
		}
		// Half a frame may be out. The next one must not become its end.
		if again := c.Send(Up{Stop: &Stop{Ref: "2"}}); again != err {
			t.Errorf("Send afterwards = %v, want %v again", again, err)
		}
		if left, err := io.ReadAll(raw); len(left) > 0 || err != nil {
			t.Errorf("the peer reads %q, %v, want the end of the stream", left, err)
		}
	})
}

func TestSlowReaderGetsEveryFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, raw := pipe(t)
		go func() {
			for range 5 {
				if err := c.Send(Up{Stop: &Stop{Ref: "1"}}); err != nil {
					t.Errorf("Send = %v", err)
				}
			}
		}()
		peer := newConn(raw)
		for range 5 {
			time.Sleep(writeTimeout - time.Second)
			if err := peer.Receive(new(Up)); err != nil {
				t.Errorf("Receive = %v", err)
			}
		}
	})
}

func TestSilentPeerIsHungUpOn(t *testing.T) {
	for name, handshake := range map[string]func(*Conn) error{
		"server": func(c *Conn) error { return c.answer(Hello{Role: "gateway"}) },
		"client": func(c *Conn) error { return c.greet(context.Background(), Hello{Role: "terminal"}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, raw := pipe(t)
				go func() { _, _ = io.Copy(io.Discard, raw) }() // reads and says nothing
				start := time.Now()
				err := handshake(c)
				if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != helloTimeout {
					t.Errorf("handshake with a silent peer = %v after %v, want a deadline after %v", err, time.Since(start), helloTimeout)
				}
				if _, err := c.conn.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
					t.Errorf("the connection is still open (%v)", err)
				}
			})
		})
	}
}

// One byte every second keeps nothing open either: the deadline is for the whole hello.
func TestDrippingPeerIsHungUpOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, raw := pipe(t)
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			for {
				if _, err := raw.Write([]byte(" ")); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}()
		start := time.Now()
		go func() { _, _ = io.Copy(io.Discard, raw) }()
		if err := c.answer(Hello{}); err == nil || time.Since(start) != helloTimeout {
			t.Errorf("handshake with a dripping peer = %v after %v, want an error after %v", err, time.Since(start), helloTimeout)
		}
		<-gone
	})
}

// After the hello a connection may be silent for as long as it likes.
func TestDeadlineOfTheHelloDoesNotOutliveIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, raw := pipe(t)
		client := newConn(raw)
		done := make(chan error, 1)
		go func() { done <- server.answer(Hello{Wire: Version, Role: "gateway"}) }()
		if err := client.greet(t.Context(), Hello{Role: "terminal"}); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(Hello{Wire: Version, Role: "terminal"}, server.Peer); diff != "" {
			t.Errorf("the server's peer (-want +got):\n%s", diff)
		}
		go func() {
			time.Sleep(24 * time.Hour)
			_ = client.Send(Up{Stop: &Stop{Ref: "1"}})
		}()
		if err := server.Receive(new(Up)); err != nil {
			t.Errorf("Receive after a day = %v", err)
		}
	})
}

func TestGreetEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, raw := pipe(t)
		go func() { _, _ = io.Copy(io.Discard, raw) }()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if err := c.greet(ctx, Hello{}); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("greet = %v after %v, want the context's end after 1s", err, time.Since(start))
		}
	})
}

// Whatever bytes come, a frame that is accepted means the same after it is sent on, and nothing is
// accepted behind the first bad one.
func FuzzReceive(f *testing.F) {
	f.Add([]byte(`{"message":{"id":"1","session":"s","text":"hi"}}` + "\n" + `{"stop":{"ref":"2","session":"s"}}` + "\n"))
	f.Add([]byte("{}\n\n{}\n"))
	f.Add([]byte(`{"decide":{"ref":"","approval":"","allow":true,"allow":false}}` + "\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		c := newConn(stream{Reader: bytes.NewReader(in)})
		var broken error
		for range bytes.Count(in, []byte("\n")) + 2 {
			var up Up
			err := c.Receive(&up)
			if broken != nil && err == nil {
				t.Fatalf("Receive(%q) accepts %+v after %v", in, up, broken)
			}
			if err != nil {
				broken = err
				continue
			}
			var out bytes.Buffer
			if err := newConn(stream{Writer: &out}).Send(up); err != nil {
				t.Fatalf("Send(%+v) = %v, and it was received", up, err)
			}
			var again Up
			if err := newConn(stream{Reader: &out}).Receive(&again); err != nil || !cmp.Equal(up, again) {
				t.Fatalf("Receive(Send(%+v)) = %+v, %v", up, again, err)
			}
		}
		if broken == nil {
			t.Fatalf("Receive(%q) never ends", in)
		}
	})
}

// stream is a connection in memory that waits for nobody.
type stream struct {
	io.Reader
	io.Writer
	net.Conn
}

func (s stream) Read(p []byte) (int, error)       { return s.Reader.Read(p) }
func (s stream) Write(p []byte) (int, error)      { return s.Writer.Write(p) }
func (s stream) SetWriteDeadline(time.Time) error { return nil }
