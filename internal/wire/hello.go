package wire

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Pending is a connection before its hello.
type Pending struct {
	conn *net.UnixConn
	l    *Listener
}

// Handshake checks the peer's uid and exchanges hellos, within 5 s. On error the peer was told why
// and the connection is closed.
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
	if err := c.answer(p.l.hello); err != nil {
		return nil, err
	}
	return c, nil
}

// Dial connects to the socket at path and does the handshake, within 5 s and as long as ctx lives.
// The socket's owner must be us: a socket that somebody else put there is refused.
func Dial(ctx context.Context, path string, hello Hello) (*Conn, error) {
	return dial(ctx, path, hello, uint32(os.Geteuid()))
}

func dial(ctx context.Context, path string, hello Hello, owner uint32) (*Conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	c := newConn(nc)
	uid, err := peerUID(nc.(*net.UnixConn))
	if err == nil && uid != owner {
		err = fmt.Errorf("socket %s is served by uid %d, want %d", path, uid, owner)
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	c.UID = uid
	if err := c.greet(ctx, hello); err != nil {
		return nil, err
	}
	return c, nil
}

// answer is the server's half of the handshake. On error the connection is closed.
func (c *Conn) answer(hello Hello) error {
	_ = c.conn.SetReadDeadline(time.Now().Add(helloTimeout))
	if err := c.Receive(&c.Peer); err != nil {
		return c.refuse(hello, fmt.Errorf("hello: %w", err))
	}
	if c.Peer.Wire != Version {
		return c.refuse(hello, versionError(c.Peer))
	}
	if err := c.Send(hello); err != nil {
		_ = c.Close()
		return fmt.Errorf("hello: %w", err)
	}
	_ = c.conn.SetReadDeadline(time.Time{})
	return nil
}

// greet is the client's half. On error the connection is closed.
func (c *Conn) greet(ctx context.Context, hello Hello) (err error) {
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer func() {
		if !stop() { // ctx ended while we waited: that is the reason, whatever the socket says
			err = context.Cause(ctx)
		}
		if err != nil {
			_ = c.Close()
		}
	}()
	hello.Wire = Version
	_ = c.conn.SetReadDeadline(time.Now().Add(helloTimeout))
	sendErr := c.Send(hello)
	// A server that refuses our uid hangs up without reading: its reason is worth more than ours.
	if err := c.Receive(&c.Peer); err != nil {
		return fmt.Errorf("hello: %w", cmp.Or(sendErr, err))
	}
	if c.Peer.Error != "" {
		return fmt.Errorf("refused by %s: %s", c.Peer.Role, c.Peer.Error)
	}
	if c.Peer.Wire != Version {
		return versionError(c.Peer)
	}
	if sendErr != nil {
		return fmt.Errorf("hello: %w", sendErr)
	}
	_ = c.conn.SetReadDeadline(time.Time{})
	return nil
}

// refuse tells the peer why, closes, and returns the reason.
func (c *Conn) refuse(hello Hello, reason error) error {
	hello.Error = reason.Error()
	_ = c.Send(hello) // the peer may be gone; the reason is returned all the same
	_ = c.Close()
	return reason
}

func versionError(peer Hello) error {
	return fmt.Errorf("%s speaks wire version %d, this build speaks %d: both programs must come from one release", peer.Role, peer.Wire, Version)
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
