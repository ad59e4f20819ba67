package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"
)

// floor is what no container can be faster than: a process of this machine without any wall, started for
// the work or blocked already.
type floor struct {
	program string
	cat     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

func newFloor(ctx context.Context) (*floor, error) {
	program, err := exec.LookPath("true")
	if err != nil {
		return nil, err
	}
	f := &floor{program: program, cat: exec.CommandContext(ctx, "cat")}
	if f.in, err = f.cat.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := f.cat.StdoutPipe()
	if err != nil {
		return nil, err
	}
	f.out = bufio.NewReader(out)
	if err := f.cat.Start(); err != nil {
		return nil, err
	}
	return f, nil
}

// fork starts a process that does nothing, and waits for its end.
func (f *floor) fork(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	err := exec.CommandContext(ctx, f.program).Run()
	return time.Since(began), err
}

// line sends one line to the blocked process and takes it back.
func (f *floor) line(context.Context) (time.Duration, error) {
	began := time.Now()
	if _, err := io.WriteString(f.in, "one line\n"); err != nil {
		return 0, err
	}
	got, err := f.out.ReadString('\n')
	took := time.Since(began)
	if err == nil && got != "one line\n" {
		err = fmt.Errorf("cat wrote %q", got)
	}
	return took, err
}

// close ends the blocked process, which it does by itself when its input does.
func (f *floor) close() error {
	return errors.Join(f.in.Close(), f.cat.Wait())
}
