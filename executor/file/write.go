package file

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// newMode is the permissions of a created file, less the umask.
const newMode = 0o666

// write creates, replaces or extends a regular file. A reader of the file sees the old content or
// the new one, never a piece; after a crash either is there, complete.
func write(ctx context.Context, call executor.Call) executor.Answer {
	var in run.WriteFile
	if err := strict.Decode(call.Input, &in); err != nil {
		return executor.Refused("arguments: %v", err)
	}
	if in.Mode != run.WriteCreate && in.Mode != run.WriteOverwrite && in.Mode != run.WriteAppend {
		return executor.Refused("mode is %.20q, want %q, %q or %q", in.Mode, run.WriteCreate, run.WriteOverwrite, run.WriteAppend)
	}
	dir, base, err := call.Roots.OpenParent(in.Path, true)
	if err != nil {
		return executor.AnswerTo(err)
	}
	defer dir.Close()
	old, err := openOld(call.Roots, in.Path)
	if err != nil {
		return executor.AnswerTo(err)
	}
	if old != nil {
		defer old.file.Close()
	}
	if err := ctx.Err(); err != nil {
		return executor.AnswerTo(err)
	}
	result := run.WriteFileResult{Path: in.Path, Created: old == nil, Size: int64(len(in.Content))}
	switch {
	case old != nil && in.Mode == run.WriteCreate:
		return executor.Failed("%q exists already; use mode %q to replace it", in.Path, run.WriteOverwrite)
	case old != nil && in.Mode == run.WriteAppend:
		result.Diff = old.diff(in.Path, in.Content, true, call.Cap)
		result.Size, err = old.extend(in.Content)
	default:
		result.Diff = old.diff(in.Path, in.Content, false, call.Cap)
		err = replace(dir, base, in.Content, old)
	}
	if errors.Is(err, unix.EEXIST) {
		return executor.Failed("%q was created by someone else in this moment; nothing was written", in.Path)
	}
	if err != nil {
		return executor.AnswerTo(executor.Explain(in.Path, err))
	}
	return executor.Done(result)
}

// existing is the file that is about to change. A nil existing is a file that is not there.
type existing struct {
	file *os.File
	st   *unix.Stat_t
}

// openOld opens the file for reading and writing, which also asks the file's own permissions: to
// replace it by renaming, the directory's would do. Nil means that there is none.
func openOld(roots executor.Roots, name string) (*existing, error) {
	look, err := roots.Open(name, unix.O_PATH)
	if errors.Is(err, executor.ErrMissing) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	look.Close()
	f, st, err := openRegular(roots, name, os.O_RDWR|unix.O_APPEND)
	if err != nil {
		return nil, err
	}
	if st.Nlink != 1 {
		f.Close()
		return nil, executor.Refuse("%q has %d names (hard links); a write would change a file that may lie elsewhere", name, st.Nlink)
	}
	return &existing{file: f, st: st}, nil
}

// extend appends content and returns the new size. A write that fails half way is taken back.
func (e *existing) extend(content string) (int64, error) {
	if _, err := e.file.WriteString(content); err != nil {
		return 0, errors.Join(err, e.file.Truncate(e.st.Size))
	}
	if err := e.file.Sync(); err != nil {
		return 0, err
	}
	return e.st.Size + int64(len(content)), nil
}

// replace writes content to a new file in dir and gives it the name base: over the old file, or,
// when old is nil, only if nobody has that name.
func replace(dir *os.File, base, content string, old *existing) error {
	at := int(dir.Fd())
	temporary := ".secureclaw-" + rand.Text() + ".tmp"
	mode := uint32(newMode)
	if old != nil {
		mode = old.st.Mode & 0o777 // from the first moment: a private file stays private
	}
	fd, err := unix.Openat(at, temporary, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), temporary)
	err = fill(f, content, old)
	if err == nil && old != nil {
		err = unix.Renameat(at, temporary, at, base)
	} else if err == nil {
		err = publish(at, temporary, base)
	}
	if err != nil {
		if gone := unix.Unlinkat(at, temporary, 0); gone != nil && !errors.Is(gone, unix.ENOENT) {
			return fmt.Errorf("%w (and %s could not be removed)", err, temporary)
		}
		return err
	}
	return dir.Sync()
}

// fill writes content to f, with the permissions of the old file but for setuid and its like, and
// closes it.
func fill(f *os.File, content string, old *existing) error {
	_, err := f.WriteString(content)
	if err == nil && old != nil {
		err = f.Chmod(os.FileMode(old.st.Mode & 0o777))
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// publish gives the file its name unless the name is taken: rename alone would replace in silence.
// Not every file system knows the flag; a link does the same there.
func publish(at int, temporary, base string) error {
	err := unix.Renameat2(at, temporary, at, base, unix.RENAME_NOREPLACE)
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	if err := unix.Linkat(at, temporary, at, base, 0); err != nil {
		return err
	}
	return unix.Unlinkat(at, temporary, 0)
}
