package wire_test

import (
	"bufio"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/internal/wire"
)

var (
	gateway  = wire.Hello{Role: "gateway", Program: "test 1"}
	terminal = wire.Hello{Role: "terminal", Program: "test 2"}
)

// socketPath is in a fresh directory with a short name: a socket's may have 107 bytes.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "wire")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func listen(t *testing.T, path string) *wire.Listener {
	t.Helper()
	l, err := wire.Listen(path, gateway)
	if err != nil {
		t.Fatalf("Listen(%s) = %v", path, err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// handshake accepts one connection beside the test.
func handshake(l *wire.Listener) <-chan result {
	done := make(chan result, 1)
	go func() {
		p, err := l.Accept()
		if err != nil {
			done <- result{err: err}
			return
		}
		c, err := p.Handshake()
		done <- result{c, err}
	}()
	return done
}

type result struct {
	conn *wire.Conn
	err  error
}

func TestHandshake(t *testing.T) {
	path := socketPath(t)
	server := handshake(listen(t, path))
	client, err := wire.Dial(t.Context(), path, terminal)
	if err != nil {
		t.Fatalf("Dial = %v", err)
	}
	defer client.Close()
	got := <-server
	if got.err != nil {
		t.Fatalf("Handshake = %v", got.err)
	}
	defer got.conn.Close()
	withVersion := func(h wire.Hello) wire.Hello { h.Wire = wire.Version; return h }
	if diff := cmp.Diff(withVersion(gateway), client.Peer); diff != "" {
		t.Errorf("Dial: the peer (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(withVersion(terminal), got.conn.Peer); diff != "" {
		t.Errorf("Handshake: the peer (-want +got):\n%s", diff)
	}
	if me := uint32(os.Geteuid()); client.UID != me || got.conn.UID != me {
		t.Errorf("the peers have uid %d and %d, want %d", client.UID, got.conn.UID, me)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket has mode %v, %v, want 0600", info.Mode(), err)
	}
	_ = client.Close()
	if err := got.conn.Receive(new(wire.Up)); err != io.EOF {
		t.Errorf("Receive after the client closed = %v, want EOF", err)
	}
}

// Whoever opens with anything but a good hello is told why, and nothing follows.
func TestHandshakeRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ in, want string }{
		"a newer version":     {`{"wire":2,"role":"terminal","program":"p"}` + "\n", "one release"},
		"no version":          {`{"role":"terminal","program":"p"}` + "\n", "one release"},
		"a duplicate version": {`{"wire":2,"wire":1,"role":"terminal","program":"p"}` + "\n", "duplicate"},
		"an unknown field":    {`{"wire":1,"role":"terminal","program":"p","admin":true}` + "\n", "unknown"},
		"another letter case": {`{"Wire":1,"role":"terminal","program":"p"}` + "\n", "unknown"},
		"an oversized hello":  {strings.Repeat("x", 2*wire.MaxFrame), "longer than"},
		"a browser":           {"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n", "invalid character"},
	} {
		t.Run(name, func(t *testing.T) {
			path := socketPath(t)
			server := handshake(listen(t, path))
			raw, err := net.Dial("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			go func() { _, _ = io.WriteString(raw, tc.in) }()
			if got := <-server; got.err == nil || !strings.Contains(got.err.Error(), tc.want) {
				t.Errorf("Handshake(%.60q) = %v, want an error with %q", tc.in, got.err, tc.want)
			}
			line, err := bufio.NewReader(raw).ReadString('\n')
			if err != nil || !strings.Contains(line, tc.want) {
				t.Errorf("the peer reads %q, %v, want a reason with %q", line, err, tc.want)
			}
			if n, err := raw.Read(make([]byte, 1)); n != 0 || err == nil {
				t.Errorf("the peer reads on: %d, %v, want the connection closed", n, err)
			}
		})
	}
}

func TestDialRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ in, want string }{
		"a newer version":   {`{"wire":2,"role":"gateway","program":"p"}` + "\n", "one release"},
		"a server's reason": {`{"wire":1,"role":"gateway","program":"p","error":"no more room"}` + "\n", "no more room"},
		"no hello":          {"", "EOF"},
		"an unknown field":  {`{"wire":1,"role":"gateway","program":"p","x":1}` + "\n", "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			path := socketPath(t)
			ln, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			go func() {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				_, _ = bufio.NewReader(c).ReadString('\n')
				_, _ = io.WriteString(c, tc.in)
				_ = c.Close()
			}()
			if c, err := wire.Dial(t.Context(), path, terminal); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Dial = %v, %v, want an error with %q", c, err, tc.want)
			}
		})
	}
}

func TestListenRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		prepare func(t *testing.T, path string) string
		want    string
	}{
		"a directory that others may enter": {func(t *testing.T, path string) string {
			must(t, os.Chmod(filepath.Dir(path), 0o755))
			return path
		}, "mode 0755, want 0700"},
		"a directory that the group may list": {func(t *testing.T, path string) string {
			must(t, os.Chmod(filepath.Dir(path), 0o740))
			return path
		}, "mode 0740, want 0700"},
		"a living socket": {func(t *testing.T, path string) string {
			listen(t, path)
			return path
		}, "another process answers"},
		"a living socket without a lock": {func(t *testing.T, path string) string {
			ln, err := net.Listen("unix", path)
			must(t, err)
			t.Cleanup(func() { _ = ln.Close() })
			return path
		}, "another process answers"},
		"a file of the user's": {func(t *testing.T, path string) string {
			must(t, os.WriteFile(path, []byte("thesis"), 0o600))
			t.Cleanup(func() {
				if data, err := os.ReadFile(path); string(data) != "thesis" {
					t.Errorf("Listen left %q of the file, %v", data, err)
				}
			})
			return path
		}, "not a socket"},
		"a link in its place": {func(t *testing.T, path string) string {
			must(t, os.Symlink("/tmp", path))
			return path
		}, "not a socket"},
		"a link for a lock": {func(t *testing.T, path string) string {
			must(t, os.Symlink(filepath.Join(t.TempDir(), "x"), path+".lock"))
			return path
		}, "symbolic links"},
		"a name that is too long": {func(_ *testing.T, path string) string {
			return path + strings.Repeat("s", 100)
		}, "the system allows 107"},
	} {
		t.Run(name, func(t *testing.T) {
			path := tc.prepare(t, socketPath(t))
			l, err := wire.Listen(path, gateway)
			if err == nil {
				_ = l.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Listen = %v, want an error with %q", err, tc.want)
			}
		})
	}
}

func TestListenMakesItsDirectoryPrivate(t *testing.T) {
	path := filepath.Join(filepath.Dir(socketPath(t)), "run", "s")
	listen(t, path)
	if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %v, %v, want 0700", info.Mode(), err)
	}
}

// stale leaves a socket at path that nobody serves, as a killed process does.
func stale(t *testing.T, path string) {
	t.Helper()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	must(t, err)
	ln.SetUnlinkOnClose(false)
	must(t, ln.Close())
}

func TestListenReplacesADeadSocket(t *testing.T) {
	path := socketPath(t)
	stale(t, path)
	server := handshake(listen(t, path))
	c, err := wire.Dial(t.Context(), path, terminal)
	if err != nil {
		t.Fatalf("Dial = %v", err)
	}
	_ = c.Close()
	<-server
}

// Of many that find the same dead socket at once, one gets it, and nobody removes the winner's.
func TestOneOfManyListens(t *testing.T) {
	for range 20 {
		path := socketPath(t)
		stale(t, path)
		var won atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				l, err := wire.Listen(path, gateway)
				if err == nil {
					won.Add(1)
					t.Cleanup(func() { _ = l.Close() })
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("Listen succeeded %d times at once, want 1", won.Load())
		}
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatalf("nobody answers at the winner's socket: %v", err)
		}
		_ = c.Close()
	}
}

func TestCloseMakesRoomForTheNext(t *testing.T) {
	path := socketPath(t)
	for range 3 {
		must(t, listen(t, path).Close())
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is still there after Close: %v", err)
	}
}

// A process without a free descriptor keeps its listener, and accepts again when there is one.
func TestAcceptWaitsForRoom(t *testing.T) {
	path := socketPath(t)
	l := listen(t, path)
	var before syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before))
	tight := before
	tight.Cur = 64
	must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &tight))
	defer func() { must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before)) }()
	var hoard []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		hoard = append(hoard, f)
	}
	must(t, hoard[0].Close()) // room for the client's end alone
	client, err := net.Dial("unix", path)
	must(t, err)
	defer client.Close()
	_, err = io.WriteString(client, `{"wire":1,"role":"terminal","program":"x"}`+"\n")
	must(t, err)
	server := handshake(l)
	// Whoever accepts meets the limit first: only then is there room.
	select {
	case got := <-server:
		t.Fatalf("Accept without a free descriptor = %v, want it to wait", got.err)
	case <-time.After(200 * time.Millisecond):
	}
	for _, f := range hoard[1:] {
		must(t, f.Close())
	}
	if got := <-server; got.err != nil {
		t.Errorf("Accept with room again = %v", got.err)
	} else {
		_ = got.conn.Close()
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
