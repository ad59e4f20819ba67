package wire

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// Quiet reports whether the connection is open and holds nothing that was not received yet. It does
// not wait, and nobody may Receive meanwhile. A client that keeps a connection for later asks before it uses it: a server that ended
// meanwhile has left it, and what is then sent would be lost without a word.
func (c *Conn) Quiet() bool {
	if c.broken != nil || c.in.Buffered() > 0 {
		return false
	}
	sc, ok := c.conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	quiet := false
	err = raw.Read(func(fd uintptr) bool {
		var one [1]byte
		_, _, err := unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		quiet = errors.Is(err, unix.EAGAIN) // else there is a byte, an error, or the end of the stream
		return true
	})
	return err == nil && quiet
}
