// Package wire carries frames over Unix sockets: one line of strict JSON each, at most [MaxFrame]
// bytes, between processes of one user. It checks who is at the other end (SO_PEERCRED), and a
// frame that is malformed, oversized or of an unknown version ends the connection with a reason.
//
// A server calls [Listen] and [Listener.Accept]; a client calls [Dial]. Both get a [Conn] whose
// hello is done. What the frames mean is said in channel.go (user channels) and in package run.
package wire

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/secureclaw/secureclaw/internal/strict"
)

// MaxFrame is the most bytes of one frame, its newline included.
const MaxFrame = 1 << 20

// smallFrame is what is copied without a thought.
const smallFrame = 16 << 10

// Version is the protocol that this build speaks. Another one is refused in the hello.
const Version = 1

// helloTimeout bounds the handshake, so that a silent peer holds nothing open.
const helloTimeout = 5 * time.Second

// writeTimeout bounds one frame to a peer that does not read.
const writeTimeout = 30 * time.Second

// Hello opens a connection, from both sides.
type Hello struct {
	Wire int `json:"wire"` // protocol version
	// Role says who speaks: gateway, runner, terminal, telegram.
	Role string `json:"role"`
	// Program is name and version of the program, for logs.
	Program string `json:"program"`
	// Error is set by a server that refuses; nothing follows it.
	Error string `json:"error,omitzero"`
}

// ErrFrame is what a peer did wrong on the wire: the connection is unusable afterwards.
var ErrFrame = errors.New("bad frame")

// Conn is one connection after its hello. One goroutine may Receive while others Send.
type Conn struct {
	// Peer is the other side's hello; UID its effective user id as the kernel says it.
	Peer Hello
	UID  uint32

	conn   net.Conn
	in     *bufio.Reader
	broken error // why nothing more is received

	mu   sync.Mutex // serialises frames
	torn error      // why nothing more is sent
}

func newConn(nc net.Conn) *Conn {
	return &Conn{conn: nc, in: bufio.NewReaderSize(nc, 64<<10)}
}

// Close ends the connection; a blocked Receive or Send returns.
func (c *Conn) Close() error { return c.conn.Close() }

// Send writes v as one frame. A value that does not fit in a frame is an error and nothing is
// written; a peer that takes none for 30 s loses the connection.
func (c *Conn) Send(v any) error {
	data, err := strict.Encode(v)
	if err != nil {
		return fmt.Errorf("%w: encode: %w", ErrFrame, err)
	}
	if len(data)+1 > MaxFrame {
		return fmt.Errorf("%w: %d bytes to send, limit %d", ErrFrame, len(data)+1, MaxFrame)
	}
	if len(data) < smallFrame {
		data = append(data, '\n')
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.torn != nil {
		return c.torn
	}
	_ = c.conn.SetWriteDeadline(time.Now().Add(writeTimeout)) // fails on a closed connection only, and so does Write
	if err := c.write(data); err != nil {
		// Part of the frame may be out: whatever followed would be read as its end.
		c.torn = fmt.Errorf("send: %w", err)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			_ = c.conn.Close()
		}
		return c.torn
	}
	return nil
}

// write writes a frame at once; one that is not small gets its newline there, and is not copied for it.
func (c *Conn) write(data []byte) error {
	if len(data) < smallFrame || data[len(data)-1] == '\n' {
		_, err := c.conn.Write(data)
		return err
	}
	_, err := (&net.Buffers{data, []byte{'\n'}}).WriteTo(c.conn)
	return err
}

// Receive reads one frame into v, which must be zero. At the end of the stream it returns io.EOF;
// any other error means that the peer broke the protocol ([ErrFrame]) or the connection. After an
// error nothing more is received: what follows half a frame is not a frame. The caller may still
// Send a reason, and closes.
func (c *Conn) Receive(v any) error {
	if c.broken == nil {
		c.broken = c.receive(v)
	}
	return c.broken
}

func (c *Conn) receive(v any) error {
	line, err := strict.ReadLine(c.in, MaxFrame)
	if errors.Is(err, strict.ErrLine) {
		return fmt.Errorf("%w: %w", ErrFrame, err)
	}
	if err != nil {
		return err
	}
	if err := strict.Decode(line, v); err != nil {
		return fmt.Errorf("%w: %w", ErrFrame, err)
	}
	return nil
}
