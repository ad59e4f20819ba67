// Package file reads, writes, lists and searches files below the task's roots.
//
// It promises that a path names exactly one file: no link is ever followed, above or below, so the
// name that was decided on is the file that is touched. It opens regular files and directories
// only, never waits for a FIFO, and writes to no file that has a second name (hard link), because
// that name may lie outside the root. Memory stays small for files, lines and directories of any
// size, and every tool ends with its context.
//
// [Tools] is the entry point.
package file

import (
	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/internal/run"
)

// Tools returns the tools of the file executor, by name.
func Tools() map[string]executor.Tool {
	return map[string]executor.Tool{
		run.ToolStat: stat,
	}
}
