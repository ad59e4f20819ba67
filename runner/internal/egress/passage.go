package egress

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"time"

	"github.com/secureclaw/secureclaw/internal/domain"
)

// chunk is how much is copied at a time: a window of the tunnel is a few of these.
const chunk = 32 << 10

// passage is a connection that was let through.
type passage struct {
	task    *Task
	name    domain.Name
	browser *shutter
	in      io.Reader // of browser, with what was read ahead
	site    net.Conn
	up      int64

	mu    sync.Mutex
	moved time.Time // when a byte last went either way
	timer *time.Timer
	ended bool
	cause error // what ended it; nil: one of the two sides
}

// carry copies both ways until a side closes, a limit is reached, nothing moves or ctx ends. hello was
// checked and goes first.
func (t *Task) carry(ctx context.Context, c *passage, hello []byte) error {
	stop := context.AfterFunc(ctx, func() { c.end(nil) })
	defer stop()
	c.watch(t.proxy.limits.Idle)
	defer c.timer.Stop()

	// After one message of the site it is known whether a second ClientHello has to follow. Until
	// then the browser's next bytes wait, or that one could name whom it likes.
	retry := make(chan bool, 1)
	var work sync.WaitGroup
	work.Go(func() {
		defer close(retry)
		c.end(c.receive(retry))
	})
	c.end(c.send(hello, retry))
	work.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// send carries the browser's bytes.
func (c *passage) send(hello []byte, retry <-chan bool) error {
	if err := c.forward(hello); err != nil {
		return err
	}
	again, ok := <-retry
	if !ok {
		return nil
	}
	if again {
		if err := c.sendAgain(); err != nil {
			return err
		}
	}
	return c.pump(c.in, c.forward)
}

// sendAgain takes the answer to a HelloRetryRequest: one more ClientHello, with the one record of
// nothing before it that middleboxes want to see (RFC 8446 appendix D.4). Servers need not compare it
// with the first, so it is checked like the first.
func (c *passage) sendAgain() error {
	c.browser.expire(time.Now().Add(c.task.proxy.limits.Hello))
	first := make([]byte, 1)
	if _, err := io.ReadFull(c.in, first); err != nil {
		return readAgainFailure(err)
	}
	in := io.MultiReader(bytes.NewReader(first), c.in)
	switch first[0] {
	case recordAlert:
		return errGone // the browser does not go on
	case recordCipherSpec:
		spec := make([]byte, len(emptySpec))
		if _, err := io.ReadFull(in, spec); err != nil {
			return readAgainFailure(err)
		}
		if string(spec) != emptySpec {
			return refuse(codeBadHello, "a record of type %d came instead of the second ClientHello", first[0])
		}
		if err := c.forward(spec); err != nil {
			return err
		}
		in = c.in
	}
	hello, err := readHello(in, c.name)
	if err != nil {
		return err
	}
	c.browser.expire(time.Time{})
	return c.forward(hello)
}

// emptySpec is change_cipher_spec as TLS 1.3 writes it, where it means nothing.
const emptySpec = "\x14\x03\x03\x00\x01\x01"

func readAgainFailure(err error) error {
	if timedOut(err) {
		return refuse(codeHelloTimeout, "the second ClientHello did not come in time")
	}
	return errGone
}

// receive carries the site's bytes and says once, after the first of them, whether they ask for a
// second ClientHello.
func (c *passage) receive(retry chan<- bool) error {
	var start []byte
	known := false
	return c.pump(c.site, func(b []byte) error {
		if !known {
			start = append(start, b[:min(len(b), retryPeek+maxWarnings*alertBytes-len(start))]...)
			again, ok, err := asksRetry(start)
			if err != nil {
				return err
			}
			if ok {
				known = true
				retry <- again
			}
		}
		if c.task.down.Add(int64(len(b))) > c.task.proxy.limits.Down {
			c.task.down.Add(-int64(len(b)))
			return refuse(codeLimit, "the task has received %d bytes, which is the most", c.task.proxy.limits.Down)
		}
		if _, err := c.browser.Write(b); err != nil {
			return errGone
		}
		return nil
	})
}

// retryPeek is a record's head, a message's head, a version and the random of a ServerHello.
const retryPeek = 5 + 4 + 2 + 32

// retryRandom is the random that makes a ServerHello a HelloRetryRequest: the SHA-256 of that word (RFC
// 8446 section 4.1.3).
const retryRandom = "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c"

// Some servers warn, of a name they do not know, before they answer. Clients take a few alerts and go on.
const (
	alertBytes  = 5 + 2
	maxWarnings = 4
)

// asksRetry reads the start of what a site sends. ok is false while more is needed; until then nothing
// more goes up. What TLS clients may read over before a ServerHello ends the connection, alerts alone
// excepted: behind it a HelloRetryRequest would not be seen.
func asksRetry(start []byte) (again, ok bool, err error) {
	for range maxWarnings {
		if len(start) < alertBytes || start[0] != recordAlert || start[3] != 0 || start[4] != 2 {
			break
		}
		start = start[alertBytes:]
	}
	switch {
	case len(start) == 0, start[0] == recordAlert && len(start) < alertBytes:
		return false, false, nil
	case start[0] >= recordCipherSpec && start[0] <= recordHeartbeat && start[0] != recordHandshake:
		return false, false, refuse(codeBadHello, "the site answers with a record of type %d, not with a ServerHello", start[0])
	case start[0] == recordHandshake && len(start) > 5 && start[5] == messageRequest:
		return false, false, refuse(codeBadHello, "the site's handshake begins with a HelloRequest, not with a ServerHello")
	case start[0] != recordHandshake || len(start) > 5 && start[5] != messageServer:
		return false, true, nil // no TLS client goes on from there
	case len(start) < retryPeek:
		return false, false, nil
	}
	// A ServerHello in pieces would hide what it is. No server does that: it fits a record 200 times.
	if length := int(start[3])<<8 | int(start[4]); length < retryPeek-5 {
		return false, false, refuse(codeBadHello, "the site's answer comes in records of %d bytes", length)
	}
	return string(start[retryPeek-32:retryPeek]) == retryRandom, true, nil
}

// forward counts bytes up and sends them.
func (c *passage) forward(b []byte) error {
	limits := c.task.proxy.limits
	if c.up += int64(len(b)); c.up > limits.UpStream {
		return refuse(codeLimit, "a connection has sent %d bytes, which is the most", limits.UpStream)
	}
	if c.task.up.Add(int64(len(b))) > limits.UpTask {
		c.task.up.Add(-int64(len(b)))
		return refuse(codeLimit, "the task has sent %d bytes, which is the most", limits.UpTask)
	}
	if _, err := c.site.Write(b); err != nil {
		return errGone
	}
	return nil
}

// pump gives what comes from one side to take, until that side ends.
func (c *passage) pump(from io.Reader, take func([]byte) error) error {
	buf := make([]byte, chunk)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			c.touch()
			if err := take(buf[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return nil
		}
	}
}

// touch notes that a byte moved.
func (c *passage) touch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moved = time.Now()
}

// watch ends the passage when nothing has moved for idle. One timer for both ways: a download of an
// hour has a quiet browser, and is not idle.
func (c *passage) watch(idle time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moved = time.Now()
	c.timer = time.AfterFunc(idle, func() {
		c.mu.Lock()
		left := idle - time.Since(c.moved)
		if left > 0 && !c.ended {
			c.timer.Reset(left)
		}
		c.mu.Unlock()
		if left <= 0 {
			c.end(refuse(codeIdle, "nothing moved for %v", idle))
		}
	})
}

// end closes both sides; the first caller's cause counts.
func (c *passage) end(cause error) {
	c.mu.Lock()
	first := !c.ended
	if first {
		c.ended, c.cause = true, cause
	}
	c.mu.Unlock()
	if first {
		c.browser.Close()
		c.site.Close()
	}
}

// shutter is a connection whose Close wakes who reads or writes there: closing a stream of the tunnel
// alone does not, only a deadline in the past does. After Close no deadline can be put off again.
type shutter struct {
	net.Conn
	mu   sync.Mutex
	shut bool
}

func (s *shutter) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = true
	_ = s.Conn.SetDeadline(time.Unix(1, 0))
	return s.Conn.Close()
}

// expire sets a deadline for reading and writing; the zero time is none.
func (s *shutter) expire(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.shut {
		_ = s.Conn.SetDeadline(at)
	}
}
