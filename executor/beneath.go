package executor

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/secureclaw/secureclaw/internal/run"
)

// resolve is how the kernel walks below a root: not above it, through no link of any kind.
const resolve = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS

// renames is how often a walk is tried again when a rename in the same moment made the kernel unsure.
const renames = 100

func openRoot(root run.Root) (*os.File, error) {
	fd, err := retry(func() (int, error) {
		return unix.Open(root.Path, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, fmt.Errorf("the mounted folder %s cannot be opened: %w", root.Path, err)
	}
	return os.NewFile(uintptr(fd), root.Path), nil
}

// openBeneath opens rel, a clean relative path, below the directory top.
func openBeneath(top int, rel string, flags int) (int, error) {
	if !hasOpenat2(top) {
		return walkBeneath(top, rel, flags)
	}
	how := &unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC | unix.O_NOCTTY), Resolve: resolve}
	if flags&unix.O_PATH != 0 {
		// The kernel refuses any other flag beside O_PATH.
		how.Flags = uint64(flags&(unix.O_PATH|unix.O_DIRECTORY) | unix.O_CLOEXEC)
	}
	return retry(func() (int, error) { return unix.Openat2(top, rel, how) })
}

// hasOpenat2 asks the kernel by the most harmless call. Linux before 5.6 answers ENOSYS, and an old
// seccomp profile EPERM.
func hasOpenat2(top int) bool {
	fd, err := unix.Openat2(top, ".", &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: resolve})
	if err != nil {
		return !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM)
	}
	unix.Close(fd)
	return true
}

// walkBeneath is openBeneath for kernels without openat2: one step at a time, none through a link.
// A clean relative path holds no "..", so no step leads up.
func walkBeneath(top int, rel string, flags int) (int, error) {
	dir, err := unix.FcntlInt(uintptr(top), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	steps := strings.Split(rel, "/")
	for _, step := range steps[:len(steps)-1] {
		next, err := openStep(dir, step, unix.O_PATH|unix.O_DIRECTORY)
		unix.Close(dir)
		if err != nil {
			return -1, err
		}
		dir = next
	}
	defer unix.Close(dir)
	return openStep(dir, steps[len(steps)-1], flags)
}

// openStep opens one name in dir and answers ELOOP for a link, as openat2 does.
func openStep(dir int, name string, flags int) (int, error) {
	fd, err := retry(func() (int, error) {
		return unix.Openat(dir, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	})
	var st unix.Stat_t
	switch {
	case errors.Is(err, unix.ENOTDIR):
		// O_DIRECTORY complains before O_NOFOLLOW does.
		if unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
			return -1, unix.ELOOP
		}
		return -1, err
	case err != nil:
		return -1, err
	}
	// With O_PATH, O_NOFOLLOW opens the link itself.
	if flags&unix.O_PATH != 0 {
		if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT == unix.S_IFLNK {
			unix.Close(fd)
			return -1, errors.Join(err, unix.ELOOP)
		}
	}
	return fd, nil
}

// makeBeneath opens the directory rel below top and makes what is missing of it.
func makeBeneath(top int, rel string) (int, error) {
	dir, err := openStep(top, ".", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return -1, err
	}
	for step := range strings.SplitSeq(rel, "/") {
		err := unix.Mkdirat(dir, step, 0o777)
		if err == nil {
			err = unix.Fsync(dir)
		}
		if err != nil && !errors.Is(err, unix.EEXIST) {
			unix.Close(dir)
			return -1, err
		}
		next, err := openStep(dir, step, unix.O_RDONLY|unix.O_DIRECTORY)
		unix.Close(dir)
		if err != nil {
			return -1, err
		}
		dir = next
	}
	return dir, nil
}

// retry repeats a system call that was interrupted, or that a rename elsewhere disturbed.
func retry(call func() (int, error)) (int, error) {
	for try := 0; ; try++ {
		fd, err := call()
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) && try < renames {
			continue
		}
		return fd, err
	}
}

// ErrMissing is the error of opening a name that is not there, in a directory that is.
var ErrMissing = errors.New("does not exist")

// explain turns what the kernel said about a path into a sentence that tells what to ask for instead.
func (r Roots) explain(top *os.File, root run.Root, rel string, err error) error {
	name := path.Join(root.Path, rel)
	switch {
	case errors.Is(err, unix.ELOOP):
		return r.explainLink(int(top.Fd()), root, rel)
	case errors.Is(err, unix.EXDEV):
		return Refuse("%q leads out of %s", name, root.Path)
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%q %w", name, ErrMissing)
	case errors.Is(err, unix.ENOTDIR):
		return fmt.Errorf("%q does not exist: a part of the path is no directory", name)
	case errors.Is(err, unix.ENAMETOOLONG):
		return Refuse("a name in %.80q… is too long", name)
	case errors.Is(err, unix.ENXIO):
		return Refuse("%q is a FIFO, a socket or a device; only regular files are opened", name)
	case errors.Is(err, unix.EISDIR):
		return fmt.Errorf("%q is a directory", name)
	default:
		return Explain(name, err)
	}
}

// Explain turns the error of a system call on the named file into a sentence.
func Explain(name string, err error) error {
	switch {
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Errorf("%q: the file's own permissions do not allow it", name)
	case errors.Is(err, unix.EROFS):
		return Refuse("%q is mounted read-only", name)
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("%q: no space left", name)
	case errors.Is(err, unix.EFBIG):
		return fmt.Errorf("%q: larger than the executor may write", name)
	default:
		return fmt.Errorf("%q: %w", name, err)
	}
}

// explainLink finds the first link on the way to rel and says where it points, when that is in a
// root too. It only reads names, for a sentence: nothing is opened through what it finds.
func (r Roots) explainLink(top int, root run.Root, rel string) error {
	steps := strings.Split(rel, "/")
	for i := range steps {
		dir := path.Join(steps[:i]...)
		if dir == "" {
			dir = "."
		}
		fd, err := openBeneath(top, dir, unix.O_PATH|unix.O_DIRECTORY)
		if err != nil {
			break
		}
		target := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(fd, steps[i], target)
		unix.Close(fd)
		if err != nil {
			continue
		}
		link, to := path.Join(root.Path, dir, steps[i]), string(target[:n])
		if !path.IsAbs(to) {
			to = path.Join(root.Path, dir, to)
		}
		to = path.Join(append([]string{to}, steps[i+1:]...)...)
		if _, _, err := r.Find(to); err != nil {
			return Refuse("%q is a link that leads out of the mounted folders; links are not followed", link)
		}
		return Refuse("%q is a link; links are not followed, ask for %q itself", link, to)
	}
	return Refuse("%q goes through a link; links are not followed", path.Join(root.Path, rel))
}
