package wire

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxPath is the longest name a Unix socket may have (unix(7): sun_path, less its final NUL).
const maxPath = 107

// Listener accepts connections of one user.
type Listener struct {
	ln    *net.UnixListener
	lock  *os.File
	hello Hello
	uid   uint32
}

// Listen opens a socket at path, mode 0600, in a directory of mode 0700 that it makes if needed.
// A dead socket left by an earlier process is replaced; a living one, and any other file, is an
// error.
func Listen(path string, hello Hello) (*Listener, error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("socket %s: the name has %d bytes, the system allows %d: choose a shorter folder", path, len(path), maxPath)
	}
	if err := privateDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	lock, err := hold(path + ".lock")
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	ln, err := listen(path)
	if err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	hello.Wire = Version
	return &Listener{ln: ln, lock: lock, hello: hello, uid: uint32(os.Geteuid())}, nil
}

// ListenOwn is Listen for a protocol that is not ours: no hello is exchanged, but whoever is not of our
// own user is hung up on unheard.
func ListenOwn(path string) (net.Listener, error) {
	l, err := Listen(path, Hello{})
	if err != nil {
		return nil, err
	}
	return own{l}, nil
}

// own accepts connections of our own user.
type own struct{ l *Listener }

func (o own) Accept() (net.Conn, error) {
	for {
		p, err := o.l.Accept()
		if err != nil {
			return nil, err
		}
		if uid, err := peerUID(p.conn); err == nil && uid == o.l.uid {
			return p.conn, nil
		}
		_ = p.conn.Close()
	}
}

func (o own) Close() error   { return o.l.Close() }
func (o own) Addr() net.Addr { return o.l.ln.Addr() }

// Close stops accepting and removes the socket. Connections that were accepted live on.
func (l *Listener) Close() error {
	err := l.ln.Close()
	_ = l.lock.Close() // after the socket is gone, or a successor's would be removed
	return err
}

// Accept waits for the next connection. The handshake is not done yet: the caller runs
// [Pending.Handshake] in the connection's own goroutine, so that a silent peer delays nobody. While the
// process or the system has no room for another connection it waits: peers stay in the queue of
// the socket. An error means that the listener is of no more use.
func (l *Listener) Accept() (*Pending, error) {
	for {
		c, err := l.ln.AcceptUnix()
		if err == nil {
			return &Pending{conn: c, l: l}, nil
		}
		if !passing(err) {
			return nil, err
		}
		time.Sleep(noRoomPause)
	}
}

// noRoomPause is how long to wait for room. Closing the listener during it is noticed right after.
const noRoomPause = 20 * time.Millisecond

// passing reports whether an accept may succeed later: too many open files, no memory, or a peer
// that left before its turn (accept(2)).
func passing(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// listen replaces a dead socket at path. The caller holds the lock of path.
func listen(path string) (*net.UnixListener, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("a file that is not a socket is in the way (%v)", info.Mode())
	default:
		if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
			_ = c.Close()
			return nil, errors.New("another process answers there")
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = ln.Close()
		return nil, err
	}
	return ln, nil
}

// privateDir makes dir if needed and insists that nobody else can reach into it: the directory, not
// the socket's own mode, is what keeps others out on every system.
func privateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("socket directory: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("socket directory: %w", err)
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return fmt.Errorf("socket directory %s has mode %04o, want 0700, or others could reach the socket: chmod 700 %s", dir, perm, dir)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || stat.Uid != uint32(os.Geteuid()) {
		return fmt.Errorf("socket directory %s belongs to another user", dir)
	}
	return nil
}

// hold takes a lock that lives as long as the process. Asking the socket alone is not enough: of
// two processes that start at once, each could find it dead and remove the other's.
func hold(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.New("another process answers there")
		}
		return nil, fmt.Errorf("lock: %w", err)
	}
	return f, nil
}
