// Package shell runs one shell command.
//
// It promises an answer by the deadline whatever the command does: endless output, a line of a
// gigabyte, children that detach themselves, a fork bomb, a memory bomb. Nothing the command
// started is alive when the answer is written. It refuses a working directory outside the task's
// roots or behind a link. What a command may reach is decided by the container around it, not here.
//
// [Tools] is the entry point.
package shell

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

const (
	// scratch is the container's own empty folder. A command without any mount can run there.
	scratch = "/tmp"
	// maxCommand is the kernel's limit for one argument.
	maxCommand = 128<<10 - 1
	// maxOutput is how much a command may print in all. More is no output to read, and it is killed.
	maxOutput = 64 << 20
	// linger is how long children may finish by themselves after the shell has ended.
	linger = 250 * time.Millisecond
	// cleanup is how long killing everything may take: less than the executor's own grace.
	cleanup = 900 * time.Millisecond
)

// Tools returns the tools of the shell executor, by name.
func Tools() map[string]executor.Tool {
	return map[string]executor.Tool{run.ToolShell: command}
}

func command(ctx context.Context, call executor.Call) executor.Answer {
	var in run.Shell
	if err := strict.Decode(call.Input, &in); err != nil {
		return executor.Refused("arguments: %v", err)
	}
	dir, err := workingDirectory(call.Roots, in)
	if err != nil {
		return executor.AnswerTo(err)
	}
	defer dir.Close()
	limit := time.Until(deadline(ctx))
	if in.TimeoutSeconds > 0 {
		limit = min(limit, time.Duration(in.TimeoutSeconds)*time.Second)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return execute(ctx, dir, in.Command, call.Cap, limit)
}

// workingDirectory checks the arguments and opens the directory that the command starts in.
func workingDirectory(roots executor.Roots, in run.Shell) (*os.File, error) {
	switch {
	case in.Command == "":
		return nil, executor.Refuse("the command is empty")
	case strings.ContainsRune(in.Command, 0):
		return nil, executor.Refuse("the command holds a NUL byte")
	case len(in.Command) > maxCommand:
		return nil, executor.Refuse("the command has %d bytes, at most %d; put the script into a file", len(in.Command), maxCommand)
	case in.TimeoutSeconds < 0:
		return nil, executor.Refuse("timeout_seconds is %d", in.TimeoutSeconds)
	case in.Access != run.AccessRead && in.Access != run.AccessWrite:
		return nil, executor.Refuse("access is %.20q, want %q or %q", in.Access, run.AccessRead, run.AccessWrite)
	}
	if in.WorkingDirectory == scratch {
		roots = executor.Roots{{Name: "scratch", Path: scratch, Mode: "rw"}}
	}
	find := roots.Find
	if in.Access == run.AccessWrite {
		find = roots.FindWritable
	}
	if _, _, err := find(in.WorkingDirectory); err != nil {
		return nil, fmt.Errorf("working directory: %w", err)
	}
	dir, err := roots.Open(in.WorkingDirectory, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, fmt.Errorf("working directory: %w", err)
	}
	return dir, nil
}

func deadline(ctx context.Context) time.Time {
	if d, ok := ctx.Deadline(); ok {
		return d
	}
	return time.Now() // no limit is no time
}
