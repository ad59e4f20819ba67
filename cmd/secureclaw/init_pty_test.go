package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// seat is a real pseudo-terminal with the program at it: what a person types and sees.
type seat struct {
	t      *testing.T
	master *os.File
	slave  *os.File // kept open, so that its settings can be looked at
	cmd    *exec.Cmd
	exited chan struct{}

	mu      sync.Mutex
	changed chan struct{}
	screen  []byte // all that was ever shown
	read    int    // how much of it the test has dealt with
}

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// openPTY makes a pseudo-terminal of 100 columns and 50 rows.
func openPTY(t *testing.T) (master, slave *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	master = os.NewFile(uintptr(fd), "/dev/ptmx")
	t.Cleanup(func() { _ = master.Close() })
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = slave.Close() })
	resize(t, slave, 100, 50)
	return master, slave
}

func resize(t *testing.T, tty *os.File, columns, rows uint16) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows}); err != nil {
		t.Fatal(err)
	}
}

// sit starts `secureclaw init` at a terminal of its own. env are more variables.
func sit(t *testing.T, home string, env []string, args ...string) *seat {
	t.Helper()
	master, slave := openPTY(t)
	return sitAt(t, master, slave, home, env, args...)
}

func sitAt(t *testing.T, master, slave *os.File, home string, env []string, args ...string) *seat {
	t.Helper()
	return sitWith(t, master, slave, home, env, append([]string{"init"}, args...)...)
}

// sitWith starts any verb at a terminal.
func sitWith(t *testing.T, master, slave *os.File, home string, env []string, args ...string) *seat {
	t.Helper()
	d := &seat{t: t, master: master, slave: slave, exited: make(chan struct{}), changed: make(chan struct{})}
	d.cmd = exec.Command(os.Args[0], args...)
	d.cmd.Env = append([]string{"SECURECLAW_UNDER_TEST=main", "SECURECLAW_HOME=" + home, "HOME=" + home, "TERM=xterm", "PATH=" + os.Getenv("PATH")}, env...)
	d.cmd.Stdin, d.cmd.Stdout, d.cmd.Stderr = slave, slave, slave
	d.cmd.Dir = t.TempDir()
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go d.watch()
	go func() {
		_ = d.cmd.Wait()
		close(d.exited)
	}()
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill()
		<-d.exited
		if t.Failed() {
			t.Logf("the screen:\n%s", d.shown())
		}
	})
	return d
}

func (d *seat) watch() {
	buf := make([]byte, 4096)
	for {
		n, err := d.master.Read(buf)
		d.mu.Lock()
		d.screen = append(d.screen, buf[:n]...)
		close(d.changed)
		d.changed = make(chan struct{})
		d.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (d *seat) shown() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.ReplaceAll(string(d.screen), "\r\n", "\n")
}

// sees waits until one of the words is on the screen, behind all that was seen before, and says which.
func (d *seat) sees(words ...string) string {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), patience)
	defer cancel()
	for {
		d.mu.Lock()
		text, changed := string(d.screen[d.read:]), d.changed
		first, at := "", len(text)+1
		for _, w := range words {
			if i := strings.Index(text, w); i >= 0 && i < at {
				first, at = w, i
			}
		}
		if first != "" {
			d.read += at + len(first)
		}
		d.mu.Unlock()
		if first != "" {
			return first
		}
		select {
		case <-changed:
		case <-d.exited:
			// What it wrote last may still be on its way.
			select {
			case <-changed:
			case <-time.After(200 * time.Millisecond):
				d.t.Fatalf("the program ended before %q", words)
			}
		case <-ctx.Done():
			d.t.Fatalf("%q never came", words)
		}
	}
}

func (d *seat) types(text string) {
	d.t.Helper()
	if _, err := d.master.WriteString(text); err != nil {
		d.t.Fatal(err)
	}
}

// answers types a line after a question.
func (d *seat) answers(question, line string) {
	d.t.Helper()
	d.sees(question)
	d.types(line + "\n")
}

// echoes reports whether the terminal shows what is typed.
func (d *seat) echoes() bool {
	d.t.Helper()
	termios, err := unix.IoctlGetTermios(int(d.slave.Fd()), unix.TCGETS)
	if err != nil {
		d.t.Fatal(err)
	}
	return termios.Lflag&unix.ECHO != 0
}

// ends waits for the exit and returns its code. The terminal must be as it was.
func (d *seat) ends() int {
	d.t.Helper()
	select {
	case <-d.exited:
	case <-time.After(patience):
		d.t.Fatal("the program does not end")
	}
	if !d.echoes() {
		d.t.Error("the terminal shows nothing any more")
	}
	status, ok := d.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || status.Signaled() {
		d.t.Fatal(errors.New("it was killed"))
	}
	return status.ExitStatus()
}

// never fails when a text is on the screen anywhere.
func (d *seat) never(texts ...string) {
	d.t.Helper()
	for _, text := range texts {
		if strings.Contains(d.shown(), text) {
			d.t.Errorf("%q is on the screen", text)
		}
	}
}
