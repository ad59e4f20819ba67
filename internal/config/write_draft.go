package config

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// draft is a file that lies beside the one whose place it is to take. Its name is always the same,
// so that what a crash left behind is replaced by the next one.
type draft struct {
	path      string
	temporary string
	was       []byte // nil when there is no file yet
	mode      os.FileMode
	owner     *syscall.Stat_t // of a file that is somebody else's; nil is us
	changed   bool            // what the draft holds is not what the file holds
}

// write makes the draft, closed to others until it is done.
func (f *draft) write(data []byte) error {
	name := "." + strings.TrimPrefix(filepath.Base(f.path), ".") + ".draft"
	f.temporary = filepath.Join(filepath.Dir(f.path), name)
	if err := os.Remove(f.temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(f.temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// compare notes whether there is anything to replace.
func (f *draft) compare() error {
	now, err := os.ReadFile(f.temporary)
	f.changed = err == nil && (f.was == nil || !bytes.Equal(now, f.was))
	return err
}

// commit puts the draft in its place.
func (f *draft) commit() error {
	if !f.changed {
		f.discard()
		return nil
	}
	if f.owner != nil {
		// Root edits a user's file: it stays the user's. Anybody else may not give files away.
		_ = os.Chown(f.temporary, int(f.owner.Uid), int(f.owner.Gid))
	}
	if err := os.Chmod(f.temporary, f.mode); err != nil {
		return err
	}
	if err := os.Rename(f.temporary, f.path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(f.path))
}

// revert brings back what commit replaced.
func (f *draft) revert() {
	switch {
	case !f.changed:
	case f.was == nil:
		_ = os.Remove(f.path)
	default:
		_ = writeFile(f.path, f.was, f.mode)
	}
}

// discard removes the draft, if it is still one.
func (f *draft) discard() {
	if f.temporary != "" {
		_ = os.Remove(f.temporary)
	}
}

// syncFolder makes a rename last through a power cut.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
