package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// terminal asks questions. It reads no byte more than the line that it was asked for, so that what is
// typed ahead stays for the next question, and every wait ends with its context.
type terminal struct {
	in  *os.File
	out io.Writer
}

// errLeft says that nobody is there to answer any more.
var errLeft = errors.New("the terminal was closed")

// maxLine is what a terminal hands over at once, at most.
const maxLine = 4096

// isTerminal reports whether somebody sits there: questions must be seen and answered.
func isTerminal(files ...*os.File) bool {
	for _, f := range files {
		if !term.IsTerminal(int(f.Fd())) {
			return false
		}
	}
	return true
}

// ask prints a question and reads one line; an empty one is the default.
func (t *terminal) ask(ctx context.Context, question, byDefault string) (string, error) {
	if byDefault != "" {
		question += " [" + visibleLine(byDefault) + "]"
	}
	fmt.Fprint(t.out, question+": ")
	line, err := t.line(ctx)
	if err != nil {
		return "", err
	}
	if line == "" {
		return byDefault, nil
	}
	return line, nil
}

// yes asks a question until the answer is one.
func (t *terminal) yes(ctx context.Context, question string, byDefault bool) (bool, error) {
	hint := " [y/N] "
	if byDefault {
		hint = " [Y/n] "
	}
	for {
		fmt.Fprint(t.out, question+hint)
		line, err := t.line(ctx)
		if err != nil {
			return false, err
		}
		switch strings.ToLower(line) {
		case "":
			return byDefault, nil
		case "y", "yes":
			return true, nil
		case "n", "no":
			return false, nil
		}
		fmt.Fprintln(t.out, "  please answer y or n")
	}
}

// chooseUnseen is choose for a question that follows a key: whoever pastes a key here does not show it.
func (t *terminal) chooseUnseen(ctx context.Context, question string, letters ...string) (string, error) {
	for {
		answer, err := t.hidden(ctx, fmt.Sprintf("%s [%s]", question, letters[0]))
		if err != nil {
			return "", err
		}
		answer = strings.ToLower(strings.TrimSpace(answer))
		if answer == "" {
			return letters[0], nil
		}
		if slices.Contains(letters, answer) {
			return answer, nil
		}
		fmt.Fprintf(t.out, "  please answer %s; a key comes after that\n", strings.Join(letters, ", "))
	}
}

// choose asks until the answer is one of the letters; the first is the default.
func (t *terminal) choose(ctx context.Context, question string, letters ...string) (string, error) {
	for {
		answer, err := t.ask(ctx, question, letters[0])
		if err != nil {
			return "", err
		}
		for _, letter := range letters {
			if strings.EqualFold(answer, letter) {
				return letter, nil
			}
		}
	}
}

// hidden reads a line that the terminal does not show. It is not term.ReadPassword, which neither Ctrl-C
// nor Ctrl-D can leave.
func (t *terminal) hidden(ctx context.Context, question string) (string, error) {
	fd := int(t.in.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return "", err
	}
	// The echo goes before the question comes, and comes back whatever happens.
	quiet := *before
	quiet.Lflag &^= unix.ECHO
	quiet.Lflag |= unix.ICANON | unix.ISIG
	quiet.Iflag |= unix.ICRNL
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &quiet); err != nil {
		return "", err
	}
	defer func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, before) }()
	fmt.Fprint(t.out, question+": ")
	line, err := t.line(ctx)
	if err == nil {
		fmt.Fprintln(t.out) // the Enter was not shown either
	}
	return line, err
}

// line reads one line, without the blanks around it.
func (t *terminal) line(ctx context.Context) (string, error) {
	if err := t.wait(ctx); err != nil {
		fmt.Fprintln(t.out)
		return "", err
	}
	var line []byte
	for b := make([]byte, 1); len(line) < maxLine; {
		n, err := unix.Read(int(t.in.Fd()), b)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil || n == 0:
			fmt.Fprintln(t.out)
			return "", errLeft
		case b[0] == '\n':
			return strings.TrimSpace(string(line)), nil
		default:
			line = append(line, b[0])
		}
	}
	return "", errors.New("the line is too long")
}

// wait returns when a whole line is there, or ctx ends: a read of a terminal cannot be cancelled.
func (t *terminal) wait(ctx context.Context) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	defer w.Close()
	stop := context.AfterFunc(ctx, func() { _, _ = w.Write([]byte{0}) })
	defer stop()
	fds := []unix.PollFd{{Fd: int32(t.in.Fd()), Events: unix.POLLIN}, {Fd: int32(r.Fd()), Events: unix.POLLIN}}
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		if fds[0].Revents != 0 && ctx.Err() == nil {
			return nil
		}
	}
}

// forget drops what was typed and not read.
func (t *terminal) forget() { _ = unix.IoctlSetInt(int(t.in.Fd()), unix.TCFLSH, unix.TCIFLUSH) }
