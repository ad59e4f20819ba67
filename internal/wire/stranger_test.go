package wire_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/secureclaw/secureclaw/internal/wire"
)

// The test binary runs again as another user's process, see strangers.
func TestMain(m *testing.M) {
	path := os.Getenv("WIRE_TEST_SOCKET")
	switch os.Getenv("WIRE_TEST_ROLE") {
	case "":
		os.Exit(m.Run())
	case "client":
		strangerDials(path)
	case "server":
		strangerListens(path)
	}
}

// The kernel says who is at the other end, and only we get in. This is the last wall: here it is
// the only one, because socket and directory are opened to everybody.
func TestAnotherUserIsRefused(t *testing.T) {
	me := uint32(os.Geteuid())
	t.Run("client, by a server of another uid", func(t *testing.T) {
		path := socketPath(t)
		l := listen(t, path)
		l.ForUID(me + 1)
		server := handshake(l)
		_, err := wire.Dial(t.Context(), path, terminal)
		want := fmt.Sprintf("peer has uid %d, want %d", me, me+1)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Dial = %v, want an error with %q", err, want)
		}
		if got := <-server; got.err == nil || !strings.Contains(got.err.Error(), want) {
			t.Errorf("Handshake = %v, want an error with %q", got.err, want)
		}
	})
	t.Run("server, by a client of another uid", func(t *testing.T) {
		path := socketPath(t)
		listen(t, path)
		_, err := wire.DialOwner(t.Context(), path, terminal, me+1)
		if want := fmt.Sprintf("is served by uid %d, want %d", me, me+1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Dial = %v, want an error with %q", err, want)
		}
	})
	// With a real process of another user it needs root to become one. The two above guard the same
	// check with the kernel's answer about ourselves, and run for everybody.
	if me == 0 {
		strangers(t)
	}
}

const stranger = 65534

func strangers(t *testing.T) {
	t.Run("a real client", func(t *testing.T) {
		path := socketPath(t)
		server := handshake(listen(t, path))
		must(t, os.Chmod(filepath.Dir(path), 0o755))
		must(t, os.Chmod(path, 0o666))
		out, err := asStranger(t, "client", path).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "peer has uid 65534, want 0") {
			t.Errorf("the stranger reads %q, %v, want the reason", out, err)
		}
		if got := <-server; got.err == nil || !strings.Contains(got.err.Error(), "peer has uid 65534, want 0") {
			t.Errorf("Handshake = %v, want the stranger's uid", got.err)
		}
	})
	t.Run("a real server", func(t *testing.T) {
		path := socketPath(t)
		must(t, os.Chown(filepath.Dir(path), stranger, stranger))
		cmd := asStranger(t, "server", path)
		stdout, err := cmd.StdoutPipe()
		must(t, err)
		stdin, err := cmd.StdinPipe()
		must(t, err)
		must(t, cmd.Start())
		if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
			t.Fatalf("the stranger says %q, %v", line, err)
		}
		if _, err := wire.Dial(t.Context(), path, terminal); err == nil || !strings.Contains(err.Error(), "is served by uid 65534, want 0") {
			t.Errorf("Dial = %v, want the stranger's uid", err)
		}
		if _, err := wire.Listen(path, gateway); err == nil || !strings.Contains(err.Error(), "belongs to another user") {
			t.Errorf("Listen in a stranger's directory = %v, want an error", err)
		}
		must(t, stdin.Close())
		must(t, cmd.Wait())
	})
}

// asStranger runs this test binary as another user. /proc/self/exe reaches it in a directory that
// the other user may not enter.
func asStranger(t *testing.T, role, path string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = []string{"WIRE_TEST_ROLE=" + role, "WIRE_TEST_SOCKET=" + path}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stranger, Gid: stranger}}
	return cmd
}

// strangerDials knocks and prints what it is told.
func strangerDials(path string) {
	c, err := net.Dial("unix", path)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	_, _ = io.Copy(os.Stdout, c)
}

// strangerListens serves path until its stdin ends.
func strangerListens(path string) {
	ln, err := net.Listen("unix", path)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	defer ln.Close()
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}
