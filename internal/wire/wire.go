// Package wire carries frames over Unix sockets: one line of strict JSON each, at most [MaxFrame]
// bytes, between processes of one user. It checks who is at the other end (SO_PEERCRED), and a
// frame that is malformed, oversized or of an unknown version ends the connection with a reason.
//
// A server calls [Listen] and [Listener.Accept]; a client calls [Dial]. Both get a [Conn] whose
// hello is done. What the frames mean is said in channel.go (user channels) and in package run.
package wire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/secureclaw/secureclaw/internal/strict"
)

// MaxFrame is the most bytes of one frame, its newline included.
const MaxFrame = 1 << 20

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

// Conn is one connection after its hello. Receive may run beside Send; Send is safe for many goroutines.
type Conn struct {
	// Peer is the other side's hello; UID its effective user id as the kernel says it.
	Peer Hello
	UID  uint32

	conn net.Conn
	in   *bufio.Reader
	mu   sync.Mutex // serialises frames
}

// Listener accepts connections of one user.
type Listener struct {
	ln    *net.UnixListener
	hello Hello
	uid   uint32
}

// Listen opens a socket at path, mode 0600, in a directory of mode 0700 that it makes if needed.
// A dead socket left by an earlier process is replaced; a living one is an error.
func Listen(path string, hello Hello) (*Listener, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("socket directory: %w", err)
	}
	if info, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("socket directory: %w", err)
	} else if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("socket directory %s has mode %04o, want 0700: others could reach the socket", dir, info.Mode().Perm())
	}
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = c.Close()
		return nil, fmt.Errorf("socket %s: another process answers there", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("stale socket: %w", err)
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = ln.Close()
		return nil, fmt.Errorf("socket mode: %w", err)
	}
	hello.Wire = Version
	return &Listener{ln: ln, hello: hello, uid: uint32(os.Getuid())}, nil
}

// Close stops accepting and removes the socket.
func (l *Listener) Close() error { return l.ln.Close() }

// Accept waits for the next connection. The handshake is not done yet: the caller runs
// [Pending.Handshake] in the connection's own goroutine, so that a silent peer delays nobody.
func (l *Listener) Accept() (*Pending, error) {
	c, err := l.ln.AcceptUnix()
	if err != nil {
		return nil, err
	}
	return &Pending{conn: c, l: l}, nil
}

// Pending is a connection before its hello.
type Pending struct {
	conn *net.UnixConn
	l    *Listener
}

// Handshake checks the peer's uid and exchanges hellos. On error the connection is closed.
func (p *Pending) Handshake() (*Conn, error) {
	c := newConn(p.conn)
	uid, err := peerUID(p.conn)
	if err == nil && uid != p.l.uid {
		err = fmt.Errorf("peer has uid %d, want %d", uid, p.l.uid)
	}
	if err != nil {
		return nil, c.refuse(p.l.hello, err)
	}
	c.UID = uid
	_ = p.conn.SetDeadline(time.Now().Add(helloTimeout))
	if err := c.Receive(&c.Peer); err != nil {
		return nil, c.refuse(p.l.hello, fmt.Errorf("hello: %w", err))
	}
	if c.Peer.Wire != Version {
		return nil, c.refuse(p.l.hello, fmt.Errorf("peer speaks wire version %d, this build speaks %d: both programs must come from one release", c.Peer.Wire, Version))
	}
	if err := c.Send(p.l.hello); err != nil {
		return nil, c.refuse(p.l.hello, err)
	}
	_ = p.conn.SetDeadline(time.Time{})
	return c, nil
}

// refuse tells the peer why, closes, and returns the reason.
func (c *Conn) refuse(hello Hello, reason error) error {
	hello.Error = reason.Error()
	_ = c.Send(hello) // the peer may be gone; the reason is returned all the same
	_ = c.Close()
	return reason
}

// Dial connects to the socket at path and does the handshake. The socket's owner must be us: a
// socket that somebody else put there is refused.
func Dial(ctx context.Context, path string, hello Hello) (*Conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	c := newConn(nc)
	uid, err := peerUID(nc.(*net.UnixConn))
	if err == nil && uid != uint32(os.Getuid()) {
		err = fmt.Errorf("socket %s is served by uid %d, want %d", path, uid, os.Getuid())
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	c.UID = uid
	hello.Wire = Version
	_ = nc.SetDeadline(time.Now().Add(helloTimeout))
	if err := c.Send(hello); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("hello: %w", err)
	}
	if err := c.Receive(&c.Peer); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("hello: %w", err)
	}
	if c.Peer.Error != "" {
		_ = c.Close()
		return nil, fmt.Errorf("refused by %s: %s", c.Peer.Role, c.Peer.Error)
	}
	if c.Peer.Wire != Version {
		_ = c.Close()
		return nil, fmt.Errorf("%s speaks wire version %d, this build speaks %d", c.Peer.Role, c.Peer.Wire, Version)
	}
	_ = nc.SetDeadline(time.Time{})
	return c, nil
}

func newConn(nc net.Conn) *Conn {
	return &Conn{conn: nc, in: bufio.NewReaderSize(nc, 64<<10)}
}

// Close ends the connection; a blocked Receive returns.
func (c *Conn) Close() error { return c.conn.Close() }

// Send writes v as one frame.
func (c *Conn) Send(v any) error {
	data, err := strict.Encode(v)
	if err != nil {
		return fmt.Errorf("encode frame: %w", err)
	}
	data = append(data, '\n')
	if len(data) > MaxFrame {
		return fmt.Errorf("%w: %d bytes to send, limit %d", ErrFrame, len(data), MaxFrame)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err = c.conn.Write(data)
	return err
}

// Receive reads one frame into v. At the end of the stream it returns io.EOF; any other error
// means that the peer broke the protocol or the connection, which should be closed.
func (c *Conn) Receive(v any) error {
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

// peerUID asks the kernel who is at the other end (SO_PEERCRED, unix(7)).
func peerUID(c *net.UnixConn) (uint32, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, err
	}
	if credErr != nil {
		return 0, fmt.Errorf("SO_PEERCRED: %w", credErr)
	}
	return cred.Uid, nil
}
