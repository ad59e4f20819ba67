// Package file reads, writes, lists and searches files below the task's roots.
//
// It promises that a path names exactly one file: no link is ever followed, so the name that was
// decided on is the file that is touched. It opens regular files and directories only, never waits
// for a FIFO, and writes to no file that has a second name (hard link), because that name may lie
// outside the root. Memory stays small for files, lines and directories of any size, and every tool
// ends with its context.
//
// [Tools] is the entry point.
package file

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/internal/run"
)

// Tools returns the tools of the file executor, by name.
func Tools() map[string]executor.Tool {
	return map[string]executor.Tool{
		run.ToolReadFile:      read,
		run.ToolWriteFile:     write,
		run.ToolListDirectory: list,
		run.ToolSearchFiles:   search,
		run.ToolStat:          stat,
		run.ToolSendFile:      send,
	}
}

// openRegular opens the regular file of that name. What it is gets asked before it is opened, since
// opening a FIFO or a device already does something, and again after, since it may have changed.
func openRegular(roots executor.Roots, path string, flags int) (*os.File, *unix.Stat_t, error) {
	look, err := roots.Open(path, unix.O_PATH)
	if err != nil {
		return nil, nil, err
	}
	_, err = statRegular(look, path)
	look.Close()
	if err != nil {
		return nil, nil, err
	}
	f, err := roots.Open(path, flags)
	if err != nil {
		return nil, nil, err
	}
	st, err := statRegular(f, path)
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, st, nil
}

// statRegular describes the open file and refuses what is no regular file.
func statRegular(f *os.File, path string) (*unix.Stat_t, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, executor.Explain(path, err)
	}
	switch k := kind(&st); k {
	case "file":
		return &st, nil
	case "directory":
		return nil, fmt.Errorf("%q is a directory", path)
	default:
		return nil, executor.Refuse("%q is a %s; only regular files are opened", path, k)
	}
}
