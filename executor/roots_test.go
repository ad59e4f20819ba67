package executor_test

import (
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/internal/run"
)

// maze is a root full of ways out, and a canary outside.
func maze(t testing.TB) (roots executor.Roots, outside string) {
	t.Helper()
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	root, outside := base+"/root", base+"/outside"
	for _, err := range []error{
		os.MkdirAll(root+"/d/e", 0o755),
		os.MkdirAll(outside+"/d", 0o755),
		os.WriteFile(outside+"/f", []byte("canary"), 0o644),
		os.WriteFile(outside+"/d/f", []byte("canary"), 0o644),
		os.WriteFile(root+"/f", []byte("inside"), 0o644),
		os.WriteFile(root+"/d/f", []byte("inside"), 0o644),
		os.WriteFile(root+"/d/e/f", []byte("inside"), 0o644),
		os.Symlink(outside, root+"/abs"),
		os.Symlink("../outside", root+"/rel"),
		os.Symlink("../../outside/f", root+"/d/file"),
		os.Symlink("d", root+"/in"),
		os.Symlink("..", root+"/d/up"),
		os.Symlink("self", root+"/self"),
		os.Symlink("/proc/self/root", root+"/magic"),
		os.Symlink("/proc/self/cwd/..", root+"/d/magic"),
		syscall.Mkfifo(root+"/fifo", 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return executor.Roots{{Name: "root", Path: root, Mode: "rw"}}, outside
}

var steps = []string{"d", "e", "f", "abs", "rel", "file", "in", "up", "self", "magic", "fifo", "none", "..", ".", "", "outside", "root", "etc", "passwd"}

// No path, of any shape, touches anything outside the root.
func FuzzRoots(f *testing.F) {
	roots, outside := maze(f)
	root := roots[0].Path
	for _, seed := range []string{"/f", "/d/e/f", "/abs/f", "/../outside/f", "/d/../../outside/f", "/rel/f", "/in/f", "/d/up/f", "/magic" + outside + "/f", "//f", "/f/", "/\x00", "/./f", "/fifo"} {
		f.Add(root+seed, true)
		f.Add(seed, false)
	}
	f.Add(outside+"/f", false)
	f.Add("/etc/passwd", false)
	f.Fuzz(func(t *testing.T, name string, create bool) {
		opened, err := roots.Open(name, unix.O_RDONLY)
		if err == nil {
			wantInside(t, opened, root, name)
			if content, err := io.ReadAll(io.LimitReader(opened, 100)); err == nil && strings.Contains(string(content), "canary") {
				t.Fatalf("Open(%q) shows the canary", name)
			}
			opened.Close()
		}
		dir, base, err := roots.OpenParent(name, create && strings.Count(name, "/") < 20)
		if err == nil {
			wantInside(t, dir, root, name)
			if strings.Contains(base, "/") || base == ".." || base == "." || base == "" {
				t.Fatalf("OpenParent(%q) has base %q", name, base)
			}
			dir.Close()
		}
		if entries, err := os.ReadDir(outside); err != nil || len(entries) != 2 {
			t.Fatalf("after %q the outside holds %v (%v)", name, entries, err)
		}
	})
}

// wantInside asks the kernel where an open file is.
func wantInside(t testing.TB, f *os.File, root, name string) {
	t.Helper()
	real, err := os.Readlink("/proc/self/fd/" + itoa(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if real != root && !strings.HasPrefix(real, root+"/") {
		t.Fatalf("%q opened %q, outside of %q", name, real, root)
	}
	if want := path.Clean(name); real != want && !strings.HasPrefix(want, real+"/") {
		t.Fatalf("%q opened %q: a name must lead to itself", name, real)
	}
}

func itoa(fd uintptr) string {
	if fd < 10 {
		return string(rune('0' + fd))
	}
	return itoa(fd/10) + string(rune('0'+fd%10))
}

// A kernel without openat2 gives the same answers.
func TestWalkAgreesWithOpenat2(t *testing.T) {
	roots, _ := maze(t)
	top, err := unix.Open(roots[0].Path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(top)
	rapid.Check(t, func(t *rapid.T) {
		rel := path.Join(rapid.SliceOfN(rapid.SampledFrom(steps[:12]), 1, 5).Draw(t, "steps")...)
		flags := rapid.SampledFrom([]int{unix.O_RDONLY | unix.O_NONBLOCK, unix.O_PATH, unix.O_RDONLY | unix.O_DIRECTORY, unix.O_PATH | unix.O_DIRECTORY, unix.O_RDWR | unix.O_NONBLOCK}).Draw(t, "flags")
		byKernel, errKernel := inode(executor.OpenBeneath(top, rel, flags))
		byStep, errStep := inode(executor.WalkBeneath(top, rel, flags))
		if byKernel != byStep || !errors.Is(errStep, errKernel) {
			t.Fatalf("%q with flags %#x: openat2 gives inode %d, %v; step by step %d, %v", rel, flags, byKernel, errKernel, byStep, errStep)
		}
	})
}

func inode(fd int, err error) (uint64, error) {
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	return st.Ino, err
}

func TestLinksAreNamed(t *testing.T) {
	roots, _ := maze(t)
	root := roots[0].Path
	for rel, want := range map[string]string{
		"/in/f":      `"` + root + `/in" is a link; links are not followed, ask for "` + root + `/d/f" itself`,
		"/in/e/f":    `"` + root + `/in" is a link; links are not followed, ask for "` + root + `/d/e/f" itself`,
		"/d/up/f":    `"` + root + `/d/up" is a link; links are not followed, ask for "` + root + `/f" itself`,
		"/abs/f":     `"` + root + `/abs" is a link that leads out of the mounted folders; links are not followed`,
		"/d/file":    `"` + root + `/d/file" is a link that leads out of the mounted folders; links are not followed`,
		"/magic/etc": `"` + root + `/magic" is a link that leads out of the mounted folders; links are not followed`,
	} {
		_, err := roots.Open(root+rel, unix.O_RDONLY)
		refusal, ok := errors.AsType[*executor.Refusal](err)
		if !ok || refusal.Reason != want {
			t.Errorf("Open(%s) = %v, want the refusal %q", rel, err, want)
		}
	}
}

func TestFindTakesTheDeepestRoot(t *testing.T) {
	roots := executor.Roots{
		{Name: "a", Path: "/a", Mode: "rw"},
		{Name: "b", Path: "/a/b", Mode: "ro"},
	}
	for name, want := range map[string]string{
		"/a": "a .", "/a/x": "a x", "/a/b": "b .", "/a/b/c/d": "b c/d", "/a/bc": "a bc",
		"/": "", "/ab": "", "": "", "a": "", "/a/": "", "/a/../a/x": "", "/a/b/..": "", "//a": "", "/a/\x00": "",
	} {
		root, rel, err := roots.Find(name)
		if got := strings.TrimSpace(root.Name + " " + rel); got != want || (err == nil) != (want != "") {
			t.Errorf("Find(%q) = %q, %v, want %q", name, got, err, want)
		}
	}
	if _, _, err := roots.FindWritable("/a/b/x"); err == nil {
		t.Error("FindWritable(/a/b/x) allows it, want the deeper root's ro to count")
	}
	if root, _, err := (executor.Roots{{Name: "all", Path: "/", Mode: "ro"}}).Find("/etc"); err != nil || root != (run.Root{Name: "all", Path: "/", Mode: "ro"}) {
		t.Errorf("Find(/etc) below / = %v, %v", root, err)
	}
}
