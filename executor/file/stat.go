package file

import (
	"context"
	"os"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// maxInteger is the largest number that every reader of JSON holds exactly. A sparse file can be larger.
const maxInteger = 1<<53 - 1

// stat describes one name. The last element may be a link, which is then described and not followed.
func stat(_ context.Context, call executor.Call) executor.Answer {
	var in run.Stat
	if err := strict.Decode(call.Input, &in); err != nil {
		return executor.Refused("arguments: %v", err)
	}
	_, rel, err := call.Roots.Find(in.Path)
	if err != nil {
		return executor.AnswerTo(err)
	}
	parent, base := path.Dir(in.Path), path.Base(in.Path)
	if rel == "." {
		parent, base = in.Path, "."
	}
	dir, err := call.Roots.Open(parent, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return executor.AnswerTo(err)
	}
	defer dir.Close()
	var st unix.Stat_t
	if err := unix.Fstatat(int(dir.Fd()), base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		if err == unix.ENOENT {
			return executor.Failed("%q does not exist", in.Path)
		}
		return executor.AnswerTo(executor.Explain(in.Path, err))
	}
	result := run.StatResult{Entry: entry(dir, base, &st), Path: in.Path, Mode: mode(&st), Links: min(uint64(st.Nlink), maxInteger)}
	result.Name = name(path.Base(in.Path))
	return executor.Done(result)
}

// entry describes base in dir, which st was read from.
func entry(dir *os.File, base string, st *unix.Stat_t) run.Entry {
	e := run.Entry{
		Name:     name(base),
		Type:     kind(st),
		Size:     min(st.Size, maxInteger),
		Modified: time.Unix(st.Mtim.Unix()).UTC().Format(time.RFC3339),
	}
	switch e.Type {
	case "link":
		target := make([]byte, unix.PathMax)
		if n, err := unix.Readlinkat(int(dir.Fd()), base, target); err == nil {
			e.Target = name(string(target[:n]))
		}
	case "directory":
		e.Size = 0 // what the file system needs for its names; tells nothing
	}
	return e
}

// kind names the type of a file.
func kind(st *unix.Stat_t) string {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return "file"
	case unix.S_IFDIR:
		return "directory"
	case unix.S_IFLNK:
		return "link"
	case unix.S_IFIFO:
		return "fifo"
	case unix.S_IFSOCK:
		return "socket"
	default:
		return "device"
	}
}

// mode writes permissions as ls does, "-rw-r--r--".
func mode(st *unix.Stat_t) string {
	letter := map[string]string{"file": "-", "directory": "d", "link": "l", "fifo": "p", "socket": "s", "device": "c"}[kind(st)]
	if st.Mode&unix.S_IFMT == unix.S_IFBLK {
		letter = "b"
	}
	return letter + os.FileMode(st.Mode & 0o777).String()[1:]
}

// name writes a file name so that it can be shown on one line: as it is when every character is
// printable, else escaped as in a Go string, where a backslash is doubled.
func name(raw string) string {
	odd := func(r rune) bool { return r == '\\' || !unicode.IsPrint(r) }
	if utf8.ValidString(raw) && !strings.ContainsFunc(raw, odd) {
		return raw
	}
	quoted := strconv.Quote(raw)
	return quoted[1 : len(quoted)-1]
}
