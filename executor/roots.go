package executor

import (
	"errors"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/secureclaw/secureclaw/internal/run"
)

// Roots are the folders that a task may touch, and the only way to open anything in them.
//
// The gateway decided on the name that was asked for. So a name means exactly one thing here: every
// step below a root is a real directory and never a link, whatever it points to, or a link could
// carry the decision on one file over to another. The kernel walks the path in one call, so
// swapping a link in at the right moment wins nothing. Names are compared byte by byte; on a file
// system that folds letter case, two names of one file are two names here.
type Roots []run.Root

// Find returns the root that a path lies in, the deepest one, and the path below it ("." for the
// root itself). It reads the name alone; what the name leads to is decided when it is opened.
func (r Roots) Find(name string) (root run.Root, rel string, err error) {
	switch {
	case strings.ContainsRune(name, 0):
		return run.Root{}, "", Refuse("the path %q holds a NUL byte", name)
	case !path.IsAbs(name):
		return run.Root{}, "", Refuse("the path %q is not absolute; %s", name, r.list())
	case path.Clean(name) != name:
		return run.Root{}, "", Refuse("the path %q is not clean; ask for %q", name, path.Clean(name))
	}
	for _, candidate := range r {
		below, ok := beneath(candidate.Path, name)
		if ok && len(candidate.Path) > len(root.Path) {
			root, rel = candidate, below
		}
	}
	if root.Path == "" {
		return run.Root{}, "", Refuse("%q lies in no mounted folder; %s", name, r.list())
	}
	return root, rel, nil
}

// FindWritable is [Roots.Find] for a path that is about to change.
func (r Roots) FindWritable(name string) (root run.Root, rel string, err error) {
	root, rel, err = r.Find(name)
	if err == nil && root.Mode != "rw" {
		return run.Root{}, "", Refuse("%s is mounted read-only", root.Path)
	}
	return root, rel, err
}

// Open opens an existing name below a root, with flags as in open(2). It never creates, never
// follows a link, never waits for a FIFO's other end. What kind of file it is, the caller must ask.
func (r Roots) Open(name string, flags int) (*os.File, error) {
	root, rel, err := r.Find(name)
	if err != nil {
		return nil, err
	}
	top, err := openRoot(root)
	if err != nil {
		return nil, err
	}
	defer top.Close()
	fd, err := openBeneath(int(top.Fd()), rel, flags&^(unix.O_CREAT|unix.O_TMPFILE&^unix.O_DIRECTORY)|unix.O_NONBLOCK)
	if err != nil {
		return nil, r.explain(top, root, rel, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// OpenParent opens the directory that holds name, for a change of that name, and returns it with
// the last element. With create, missing directories are made (0777 less the umask), each one step below a real one.
func (r Roots) OpenParent(name string, create bool) (dir *os.File, base string, err error) {
	root, rel, err := r.FindWritable(name)
	if err != nil {
		return nil, "", err
	}
	if rel == "." {
		return nil, "", Refuse("%s is the mounted folder itself", name)
	}
	top, err := openRoot(root)
	if err != nil {
		return nil, "", err
	}
	parent := path.Dir(rel)
	fd, err := openBeneath(int(top.Fd()), parent, unix.O_RDONLY|unix.O_DIRECTORY)
	if errors.Is(err, unix.ENOENT) && create {
		fd, err = makeBeneath(int(top.Fd()), parent)
	}
	if err != nil {
		err = r.explain(top, root, parent, err)
		return nil, "", errors.Join(err, top.Close())
	}
	return os.NewFile(uintptr(fd), path.Dir(name)), path.Base(rel), top.Close()
}

func (r Roots) list() string {
	if len(r) == 0 {
		return "no folder is mounted"
	}
	names := make([]string, 0, len(r))
	for _, root := range r {
		names = append(names, root.Path)
	}
	return "mounted: " + strings.Join(names, ", ")
}

// beneath returns name relative to root when it is root or below it. Both are clean and absolute.
func beneath(root, name string) (rel string, ok bool) {
	if name == root {
		return ".", true
	}
	if root != "/" {
		root += "/"
	}
	return strings.CutPrefix(name, root)
}
