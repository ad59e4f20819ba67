package file_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/secureclaw/secureclaw/internal/run"
)

func mustDo(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// swap exchanges two names as fast as it can until stop is called.
func swap(t testing.TB, a, b string) (stop func()) {
	t.Helper()
	var wait sync.WaitGroup
	done := make(chan struct{})
	wait.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				if err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE); err != nil {
					t.Errorf("swap: %v", err)
					return
				}
			}
		}
	})
	return func() { close(done); wait.Wait() }
}

// Every tool that reads refuses every way that leads past the name.
func TestReadersRefuse(t *testing.T) {
	root, elsewhere := workspace(t, "ro"), workspace(t, "ro")
	put(t, elsewhere, "secret", "canary")
	put(t, root, ".env", "canary")
	put(t, root, "plain", "text")
	mustDo(t,
		os.Symlink(elsewhere.Path+"/secret", root.Path+"/out"),
		os.Symlink(".env", root.Path+"/a"),
		os.Symlink("a", root.Path+"/chain"),
		os.Symlink("loop", root.Path+"/loop"),
		os.Symlink(elsewhere.Path, root.Path+"/dirout"),
		os.Symlink("/proc/self/root", root.Path+"/magic"),
		os.Symlink("..", root.Path+"/up"),
		syscall.Mkfifo(root.Path+"/fifo", 0o600),
		syscall.Mknod(root.Path+"/socket", syscall.S_IFSOCK|0o600, 0),
		syscall.Mknod(root.Path+"/null", syscall.S_IFCHR|0o600, 1<<8|3),
	)
	tools := map[string]func(path string) any{
		run.ToolReadFile:      func(path string) any { return run.ReadFile{Path: path} },
		run.ToolListDirectory: func(path string) any { return run.ListDirectory{Path: path} },
		run.ToolSearchFiles:   func(path string) any { return run.SearchFiles{Pattern: "canary", Path: path} },
	}
	for rel, want := range map[string]string{
		"/out":                  "leads out of the mounted folders",
		"/a":                    "ask for \"" + root.Path + "/.env\" itself",
		"/chain":                "is a link",
		"/loop":                 "is a link",
		"/dirout":               "leads out of the mounted folders",
		"/dirout/secret":        "leads out of the mounted folders",
		"/magic/etc/passwd":     "leads out of the mounted folders",
		"/up":                   "leads out of the mounted folders",
		"/up/" + "x":            "leads out of the mounted folders",
		"/fifo":                 "",
		"/socket":               "",
		"/null":                 "",
		"/none":                 "does not exist",
		"/plain/x":              "no directory",
		"/../etc/passwd":        "not clean",
		"//plain":               "not clean",
		"/./plain":              "not clean",
		"/plain\x00":            "NUL",
		"/../../../etc/passwd":  "not clean",
		"/$(touch pwned)":       "does not exist",
		"/-e":                   "does not exist",
		"-other/plain":          "in no mounted folder",
		"/" + "\u202eplain":     "does not exist",
		"/" + "plain\n":         "does not exist",
		strings.Repeat("/d", 3): "does not exist",
	} {
		for tool, in := range tools {
			t.Run(tool+rel, func(t *testing.T) {
				began := time.Now()
				wantNo(t, perform(t, tool, in(root.Path+rel), root), want)
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("took %v: it waited", took)
				}
			})
		}
	}
	for _, path := range []string{"", "relative", "/", "/etc/passwd", "/proc/self/environ"} {
		for tool, in := range tools {
			wantNo(t, perform(t, tool, in(path), root), "")
		}
	}
}

// Policy judged the name "plain"; a link that takes its place for a moment must not show ".env".
func TestReadAgainstASwappedLink(t *testing.T) {
	root := workspace(t, "ro")
	put(t, root, ".env", "canary")
	path := put(t, root, "plain", "text")
	mustDo(t, os.Symlink(".env", root.Path+"/evil"))
	defer swap(t, path, root.Path+"/evil")()
	seen := map[run.OutputStatus]int{}
	for until, n := time.Now().Add(3*time.Second), 0; time.Now().Before(until) && n < 150 || len(seen) < 2 && n < 1000; n++ {
		out := perform(t, run.ToolReadFile, run.ReadFile{Path: path}, root)
		seen[out.Status]++
		if strings.Contains(string(out.Value), "canary") {
			t.Fatalf("read_file(plain) = %s", out.Value)
		}
	}
	if seen[run.OutputOK] == 0 || seen[run.OutputRefused] == 0 {
		t.Errorf("statuses %v, want both: the race was not a race", seen)
	}
}

// The deepest root counts, so a read-only folder inside a writable one stays read-only.
func TestNestedRoots(t *testing.T) {
	outer := workspace(t, "rw")
	put(t, outer, "inner/f", "text")
	inner := run.Root{Name: "inner", Path: outer.Path + "/inner", Mode: "ro"}
	for _, roots := range [][]run.Root{{outer, inner}, {inner, outer}} {
		wantNo(t, perform(t, run.ToolWriteFile, run.WriteFile{Path: inner.Path + "/f", Content: "x", Mode: run.WriteOverwrite}, roots...), "read-only")
		value[run.WriteFileResult](t, perform(t, run.ToolWriteFile, run.WriteFile{Path: outer.Path + "/f", Content: "x", Mode: run.WriteOverwrite}, roots...))
	}
}

// Two gigabytes with holes: the start is there at once, the end within the time limit, memory stays small.
func TestHugeFile(t *testing.T) {
	root := workspace(t, "ro")
	path := root.Path + "/huge"
	f := must(os.Create(path))
	mustDo(t, f.Truncate(2<<30))
	_, err := f.WriteAt([]byte("start\nsecond\n"+strings.Repeat("x", 10<<10)), 0)
	mustDo(t, err, f.Close())

	program := shipped(t)
	out, state := performBy(t, program, run.ToolReadFile, run.ReadFile{Path: path, Limit: 1}, 20*time.Second, root)
	if got := value[run.ReadFileResult](t, out); got.Content != "start\n" || !got.Truncated || got.Size != 2<<30 {
		t.Errorf("first line = %+v", got)
	}
	small(t, "first line of 2 GiB", state)

	out, state = performBy(t, program, run.ToolReadFile, run.ReadFile{Path: path, Offset: 4}, 20*time.Second, root)
	if got := value[run.ReadFileResult](t, out); got.Note != "the file has only 3 lines" {
		t.Errorf("line 4 = %+v", got)
	}
	small(t, "a line behind 2 GiB", state)

	began := time.Now()
	mustDo(t, os.Truncate(path, 1<<42))
	out, state = performBy(t, program, run.ToolReadFile, run.ReadFile{Path: path, Offset: 4}, 300*time.Millisecond, root)
	if took := time.Since(began); out.Status != run.OutputTimedOut || took > 2*time.Second {
		t.Errorf("4 TiB: %s %q after %v, want a timeout", out.Status, out.Error, took)
	}
	small(t, "4 TiB", state)

	out = perform(t, run.ToolSearchFiles, run.SearchFiles{Pattern: "start", Path: root.Path}, root)
	if got := value[run.SearchFilesResult](t, out); len(got.Matches) != 0 {
		t.Errorf("search in a directory with 4 TiB = %+v, want the file left out", got)
	}
	out = perform(t, run.ToolWriteFile, run.WriteFile{Path: path, Content: "new", Mode: run.WriteOverwrite}, run.Root{Name: "work", Path: root.Path, Mode: "rw"})
	if got := value[run.WriteFileResult](t, out); got.Size != 3 {
		t.Errorf("overwrite 4 TiB = %+v", got)
	}
}

// small expects that the executor and what it ran stayed below a modest size. A new process inherits
// the peak of the one that started it, so under the race detector the test's own size counts.
func small(t testing.TB, what string, state *os.ProcessState) {
	t.Helper()
	usage, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		t.Fatal("no resource usage")
	}
	var own syscall.Rusage
	mustDo(t, syscall.Getrusage(syscall.RUSAGE_SELF, &own))
	t.Logf("%s: %d KiB resident at most (the test: %d)", what, usage.Maxrss, own.Maxrss)
	if most := max(24<<10, own.Maxrss); usage.Maxrss > most {
		t.Errorf("%s took %d KiB, want at most %d", what, usage.Maxrss, most)
	}
}

// A file that grows all the time is read to the size it had.
func TestGrowingFile(t *testing.T) {
	root := workspace(t, "ro")
	path := put(t, root, "log", "first\n")
	f := must(os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0))
	defer f.Close()
	var wait sync.WaitGroup
	done := make(chan struct{})
	wait.Go(func() {
		for line := []byte(strings.Repeat("growing\n", 1000)); ; {
			select {
			case <-done:
				return
			default:
				if info, err := f.Stat(); err == nil && info.Size() < 256<<20 {
					f.Write(line)
				}
			}
		}
	})
	out, _ := performLimited(t, run.ToolReadFile, run.ReadFile{Path: path, Offset: 1 << 40}, 10*time.Second, root)
	close(done)
	wait.Wait()
	if out.Status != run.OutputOK {
		t.Errorf("reading behind the end of a growing file = %s %q, want an answer", out.Status, out.Error)
	}
}

func TestListDirectory(t *testing.T) {
	root := workspace(t, "ro")
	put(t, root, "b.txt", "12345")
	put(t, root, "line\nbreak", "")
	put(t, root, "bad\xffbyte", "")
	put(t, root, "\u202egnp.exe", "")
	put(t, root, "back\\slash", "")
	put(t, root, "grüße 猫", "")
	mustDo(t, os.Mkdir(root.Path+"/dir", 0o755), os.Symlink("to\nthere", root.Path+"/link"), syscall.Mkfifo(root.Path+"/fifo", 0o600))
	got := value[run.ListDirectoryResult](t, perform(t, run.ToolListDirectory, run.ListDirectory{Path: root.Path}, root))
	var lines []string
	for _, e := range got.Entries {
		lines = append(lines, fmt.Sprintf("%s %s %d %s", e.Type, e.Name, e.Size, e.Target))
	}
	want := strings.Join([]string{
		"file b.txt 5 ", `file back\\slash 0 `, `file bad\xffbyte 0 `, "directory dir 0 ", "fifo fifo 0 ", "file grüße 猫 0 ",
		`file line\nbreak 0 `, `link link 8 to\nthere`, `file \u202egnp.exe 0 `,
	}, "\n")
	if text := strings.Join(lines, "\n"); text != want || got.Total != 9 || got.Truncated {
		t.Errorf("list_directory = %s\ntotal %d, truncated %v, want\n%s", text, got.Total, got.Truncated, want)
	}
}

func TestListHundredThousand(t *testing.T) {
	root := workspace(t, "ro")
	for i := range 100_000 {
		mustDo(t, syscall.Mknod(fmt.Sprintf("%s/%05d", root.Path, 99_999-i), syscall.S_IFREG|0o600, 0))
	}
	program := shipped(t)
	began := time.Now()
	out, state := performBy(t, program, run.ToolListDirectory, run.ListDirectory{Path: root.Path, Limit: 10}, 20*time.Second, root)
	got := value[run.ListDirectoryResult](t, out)
	t.Logf("100,000 entries in %v", time.Since(began))
	if len(got.Entries) != 10 || got.Entries[9].Name != "00009" || got.Total != 100_000 || !got.Truncated {
		t.Errorf("list_directory = %d entries, total %d, truncated %v", len(got.Entries), got.Total, got.Truncated)
	}
	small(t, "100,000 entries", state)
	got = value[run.ListDirectoryResult](t, perform(t, run.ToolListDirectory, run.ListDirectory{Path: root.Path, Limit: 1 << 30}, root))
	if len(got.Entries) == 0 || len(got.Entries) > 10_000 || got.Total != 100_000 || !got.Truncated {
		t.Errorf("with a huge limit: %d entries, total %d, truncated %v", len(got.Entries), got.Total, got.Truncated)
	}
}

func TestStat(t *testing.T) {
	root := workspace(t, "ro")
	path := put(t, root, "f", "12345")
	mustDo(t, os.Symlink("f", root.Path+"/link"), os.Symlink(filepath.Dir(root.Path), root.Path+"/up"))
	got := value[run.StatResult](t, perform(t, run.ToolStat, run.Stat{Path: path}, root))
	if got.Path != path || got.Name != "f" || got.Type != "file" || got.Size != 5 || got.Mode != "-rw-r--r--" || got.Links != 1 {
		t.Errorf("stat(f) = %+v", got)
	}
	got = value[run.StatResult](t, perform(t, run.ToolStat, run.Stat{Path: root.Path + "/link"}, root))
	if got.Type != "link" || got.Target != "f" {
		t.Errorf("stat(link) = %+v, want the link itself", got)
	}
	got = value[run.StatResult](t, perform(t, run.ToolStat, run.Stat{Path: root.Path}, root))
	if got.Type != "directory" {
		t.Errorf("stat(root) = %+v", got)
	}
	wantNo(t, perform(t, run.ToolStat, run.Stat{Path: root.Path + "/none"}, root), "does not exist")
	wantNo(t, perform(t, run.ToolStat, run.Stat{Path: root.Path + "/up/x"}, root), "leads out")
	wantNo(t, perform(t, run.ToolStat, run.Stat{Path: "/etc/passwd"}, root), "in no mounted folder")
}
