package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/internal/run"
)

// execute runs the command in dir until it ends, ctx ends or it has printed too much, kills what is
// left of it and says what happened.
func execute(ctx context.Context, dir *os.File, text string, limit int, allowed time.Duration) executor.Answer {
	before := readPressure()
	printed := newMeter(maxOutput)
	stdout, err := printed.stream(limit)
	if err != nil {
		return executor.Failed("the command could not be started: %v", err)
	}
	stderr, err := printed.stream(limit)
	if err != nil {
		return executor.Failed("the command could not be started: %v", err)
	}
	family, err := start(dir, stdout.child, stderr.child, text)
	if err != nil {
		return executor.Failed("the command could not be started: %v", err)
	}

	var end ending
	select {
	case status := <-family.ended:
		end.code = exitCode(status)
		end.left = family.finish(linger)
	case <-ctx.Done():
		end.timedOut = true
	case <-printed.over:
		end.overflowed = true
	}
	if end.timedOut || end.overflowed {
		end.code = killed
		family.finish(0)
	}
	// Every writer is dead, so the pipes end by themselves; a process stuck in the kernel must not
	// keep the answer.
	stdout.close(time.Now().Add(cleanup / 4))
	stderr.close(time.Now().Add(cleanup / 4))

	result := run.ShellResult{
		ExitCode: end.code,
		Stdout:   stdout.capture.Text(),
		Stderr:   stderr.capture.Text(),
		Note:     end.note(before, readPressure(), allowed),
	}
	switch {
	case end.timedOut:
		return executor.TimedOut(result, "the command did not end within %v and was killed", allowed.Round(time.Millisecond))
	case end.overflowed:
		answer := executor.Failed("the command printed more than %d MiB and was killed", maxOutput>>20)
		answer.Value = result
		return answer
	default:
		return executor.Done(result)
	}
}

// ending is how a command came to its end.
type ending struct {
	code       int
	timedOut   bool
	overflowed bool
	left       int // processes that outlived the shell and were killed
}

func (e ending) note(before, after pressure, allowed time.Duration) string {
	var notes []string
	if e.timedOut {
		notes = append(notes, fmt.Sprintf("killed with all its processes after %v", allowed.Round(time.Millisecond)))
	}
	if e.overflowed {
		notes = append(notes, fmt.Sprintf("killed after printing more than %d MiB", maxOutput>>20))
	}
	if e.left > 0 {
		notes = append(notes, processes(e.left)+" left behind by the command and killed")
	}
	if n := after.outOfMemory - before.outOfMemory; n > 0 {
		notes = append(notes, "the memory limit was reached: "+processes(int(n))+" killed for it")
	}
	if after.processLimit > before.processLimit {
		notes = append(notes, "the process limit was reached: starting another process failed")
	}
	return strings.Join(notes, "; ")
}

func processes(n int) string {
	if n == 1 {
		return "1 process was"
	}
	return fmt.Sprintf("%d processes were", n)
}

// meter counts what is printed on all streams and closes over when it is too much.
type meter struct {
	left atomic.Int64
	over chan struct{}
	once sync.Once
}

func newMeter(limit int64) *meter {
	m := &meter{over: make(chan struct{})}
	m.left.Store(limit)
	return m
}

func (m *meter) count(n int) {
	if m.left.Add(-int64(n)) < 0 {
		m.once.Do(func() { close(m.over) })
	}
}

// stream is one output of the command: the pipe's end for the child, and what came through it.
type stream struct {
	child   *os.File
	parent  *os.File
	capture *executor.Capture
	done    chan struct{} // closed when capture is written to no more
}

func (m *meter) stream(limit int) (*stream, error) {
	parent, child, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s := &stream{child: child, parent: parent, capture: executor.NewCapture(limit), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		buffer := make([]byte, 64<<10)
		for {
			n, err := parent.Read(buffer)
			m.count(n)
			s.capture.Write(buffer[:n])
			if err != nil {
				return // io.EOF, or the deadline of close
			}
		}
	}()
	return s, nil
}

// close waits until all writers are gone, or until the given time.
func (s *stream) close(by time.Time) {
	if err := s.parent.SetReadDeadline(by); err != nil && !errors.Is(err, io.EOF) {
		s.parent.Close()
	}
	<-s.done
	s.parent.Close()
}
