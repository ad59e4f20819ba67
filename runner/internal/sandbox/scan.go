package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/secureclaw/secureclaw/internal/run"
)

// bounds are what one call may spend on finding what to hide.
type bounds struct {
	entries int           // names looked at, in all mounts
	covers  int           // each is a mount of the container's, at some 0.3 ms of its start
	levels  int           // of folders in folders; each holds a descriptor open
	time    time.Duration // in all mounts
}

func usualBounds() bounds {
	return bounds{entries: 200_000, covers: 500, levels: 100, time: 3 * time.Second}
}

// maxTarget leaves room in a path of the kernel's (4,096 bytes) for the engine's own folder before it.
const maxTarget = 3800

// batch is how many names are read at once; time is looked at between two.
const batch = 512

// hidden is one thing to cover, by its path below its mount, by what lies there, and by the folder in which
// it lies: in one that took the place of another, a hard link would be the same file at the same path, and
// its cover would have gone with the folder of before.
type hidden struct {
	rel      string
	dir      bool
	dev, ino uint64
	folder   [2]uint64 // device and inode
}

// covered is a hidden thing at a moment: changed, in nanoseconds of Unix time, is when its inode last did. A
// cover falls when its file is replaced, and a file system gives the number of an inode to the next
// file; it cannot give the time again.
type covered struct {
	hidden
	changed int64
}

// scan looks for what the mounts of one call hide. It goes by what lies on the disk now: nothing is
// remembered from one call to the next, so a file made in between is found.
//
// It follows no link and covers none. A link's name opens nothing: what it leads to is judged by its
// own name, as the file tools do, and a cover over it hides it from the link as well.
//
// Pipes, sockets and devices are covered, for they are ways to the host's programs. What it cannot
// look into is covered: a folder that the runner may not read, one beyond the levels,
// and a mount point, which shows the container not what is mounted but what lies below it.
type scan struct {
	bounds bounds
	until  time.Time
	seen   int
	covers int
	opened bool // shown lies in something hidden

	// Of the mount at work:
	source string
	target string
	globs  *globs
	shown  string // path of the call's own, only if it is hidden; "" none
	root   unix.Statx_t
	found  []covered
}

// mount returns what m hides. shown is a path inside the container that the call names itself: the
// policy has judged it, so it stays visible with all that is below it.
func (s *scan) mount(ctx context.Context, m Mount, shown string) ([]covered, *run.Refusal) {
	globs, ok := compile(m.Hide)
	if !ok {
		return nil, &run.Refusal{
			Code: CodeHide,
			What: "A pattern of a mount's hide cannot be used, so nothing ran.",
			Why:  fmt.Sprintf("In the mount %s the braces of one stand for more than %d names.", m.Target, maxAlternatives),
			Fix:  "Write fewer braces in it, or several patterns, in secureclaw.yaml.",
		}
	}
	s.source, s.target, s.globs, s.found = m.Source, m.Target, globs, nil
	s.shown = s.ownPath(shown)
	s.opened = s.opened || s.shown != ""
	fd, err := unix.Open(m.Source, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == nil {
		if err = stat(fd, &s.root); err != nil {
			_ = unix.Close(fd)
		}
	}
	if err != nil {
		return nil, s.blind("", err)
	}
	refusal := s.folder(ctx, fd, "", 0, false)
	return s.found, refusal
}

// ownPath is shown relative to the mount if it lies in it and is hidden there.
func (s *scan) ownPath(shown string) string {
	rel, ok := strings.CutPrefix(shown, s.target+"/")
	if !ok || path.Clean(shown) != shown {
		return ""
	}
	for i := 0; i < len(rel); i++ {
		if rel[i] == '/' && s.globs.match(rel[:i], path.Base(rel[:i])) {
			return rel
		}
	}
	if s.globs.match(rel, path.Base(rel)) {
		return rel
	}
	return ""
}

// folder looks at all that the open folder fd holds and closes it. opened says that it is hidden
// itself and only stands open for the way to shown.
func (s *scan) folder(ctx context.Context, fd int, rel string, level int, opened bool) *run.Refusal {
	dir := os.NewFile(uintptr(fd), path.Join(s.source, rel))
	defer dir.Close()
	for {
		entries, err := dir.ReadDir(batch)
		if refusal := s.spend(ctx, len(entries)); refusal != nil {
			return refusal
		}
		for _, e := range entries {
			below := e.Name()
			if rel != "" {
				below = rel + "/" + below
			}
			if refusal := s.entry(ctx, fd, e, below, level, opened); refusal != nil {
				return refusal
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return s.blind(rel, err)
		}
	}
}

// doors lead to a program of the host's, whatever the mount's mode says: a read-only mount does not
// keep a command from writing into a pipe that lies in it.
const doors = fs.ModeNamedPipe | fs.ModeSocket | fs.ModeDevice

func (s *scan) entry(ctx context.Context, parent int, e fs.DirEntry, rel string, level int, opened bool) *run.Refusal {
	if e.Type()&fs.ModeSymlink != 0 {
		return nil
	}
	if rel == s.shown { // never for "", the mount itself
		return nil
	}
	onTheWay := strings.HasPrefix(s.shown, rel+"/")
	hides := opened || e.Type()&doors != 0 || s.globs.match(rel, e.Name())
	switch {
	case hides && !onTheWay:
		return s.cover(parent, e, rel)
	case !e.IsDir():
		return nil
	case level == s.bounds.levels:
		return s.cover(parent, e, rel)
	}
	fd, err := openFolder(parent, e.Name())
	var st unix.Statx_t
	if err == nil {
		if err = stat(fd, &st); err != nil {
			_ = unix.Close(fd)
		}
	}
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return nil // gone, or no folder any more, in this very moment
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return s.cover(parent, e, rel)
	case err != nil:
		return s.blind(rel, err)
	case otherMount(&s.root, &st):
		_ = unix.Close(fd)
		return s.cover(parent, e, rel)
	}
	return s.folder(ctx, fd, rel, level+1, hides)
}

// spend counts n names and looks at the clock.
func (s *scan) spend(ctx context.Context, n int) *run.Refusal {
	s.seen += n
	switch {
	case ctx.Err() != nil:
		return cancelled()
	case s.seen > s.bounds.entries:
		return s.tooLarge(fmt.Sprintf("it holds more than %d files and folders", s.bounds.entries))
	case time.Now().After(s.until):
		return s.tooLarge(fmt.Sprintf("looking through it took longer than %v", s.bounds.time))
	}
	return nil
}

// cover notes one thing to hide, or says why it cannot be hidden.
func (s *scan) cover(parent int, e fs.DirEntry, rel string) *run.Refusal {
	var st, folder unix.Stat_t
	if err := unix.Fstatat(parent, e.Name(), &st, unix.AT_SYMLINK_NOFOLLOW); errors.Is(err, unix.ENOENT) {
		return nil
	} else if err != nil {
		return s.blind(rel, err)
	}
	if err := unix.Fstat(parent, &folder); err != nil {
		return s.blind(rel, err)
	}
	if !utf8.ValidString(rel) || len(s.target)+1+len(rel) > maxTarget {
		why := "its name is not UTF-8, and engines are told names in UTF-8"
		if utf8.ValidString(rel) {
			why = "its path is too long for another mount"
		}
		return &run.Refusal{
			Code: CodeHide,
			What: "A file that looks like a secret cannot be hidden, so nothing ran.",
			Why:  fmt.Sprintf("It is %.200q in %s: %s.", rel, s.target, why),
			Fix:  "Give it another name, move it out of the folder, or change the mount's hide in secureclaw.yaml.",
		}
	}
	s.found = append(s.found, covered{hidden{
		rel: rel, dir: st.Mode&unix.S_IFMT == unix.S_IFDIR, dev: uint64(st.Dev), ino: st.Ino, folder: [2]uint64{uint64(folder.Dev), folder.Ino},
	}, st.Ctim.Nano()})
	if s.covers++; s.covers > s.bounds.covers {
		where, n := s.densest()
		return &run.Refusal{
			Code: CodeHide,
			What: "Too many files look like secrets to hide them all, so nothing ran.",
			Why:  fmt.Sprintf("More than %d match the mount's hide; %d of those in %s lie in %.100q.", s.bounds.covers, n, s.target, where),
			Fix:  `Hide that whole folder in one (add it to the mount's hide in secureclaw.yaml, like "**/node_modules"), or make the patterns there narrower.`,
		}
	}
	return nil
}

// densest is the folder at the top of the mount that holds most of what was found.
func (s *scan) densest() (where string, n int) {
	count := make(map[string]int)
	for _, h := range s.found {
		top, _, nested := strings.Cut(h.rel, "/")
		if !nested {
			top = "."
		}
		if count[top]++; count[top] > n {
			where, n = top, count[top]
		}
	}
	return where, n
}

func (s *scan) tooLarge(why string) *run.Refusal {
	return &run.Refusal{
		Code: CodeHide,
		What: "The secrets in a shared folder could not all be found in time, so nothing ran.",
		Why:  fmt.Sprintf("The folder is %s: %s.", s.target, why),
		Fix:  `Share a smaller folder, or add big ones to the mount's hide in secureclaw.yaml (like "**/node_modules"): what is hidden is not looked through.`,
	}
}

// blind is the refusal of a folder that could not be read to its end.
func (s *scan) blind(rel string, err error) *run.Refusal {
	return &run.Refusal{
		Code: CodeHide,
		What: "A shared folder could not be searched for secrets to hide, so nothing ran.",
		Why:  fmt.Sprintf("At %.200q: %v.", path.Join(s.target, rel), err),
		Fix:  "Let the runner's user read the folder, or take it out of the mount.",
	}
}

func openFolder(parent int, name string) (int, error) {
	for {
		// O_NOFOLLOW: a folder may have become a link since it was listed.
		fd, err := unix.Openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

func stat(fd int, st *unix.Statx_t) error {
	return unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_BASIC_STATS|unix.STATX_MNT_ID, st)
}

// otherMount reports whether a folder belongs to another mount than its root. Kernels before 5.8 do
// not tell mounts apart, but devices.
func otherMount(root, st *unix.Statx_t) bool {
	if root.Mask&st.Mask&unix.STATX_MNT_ID != 0 {
		return root.Mnt_id != st.Mnt_id
	}
	return root.Dev_major != st.Dev_major || root.Dev_minor != st.Dev_minor
}
