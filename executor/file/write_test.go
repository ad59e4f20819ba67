package file_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/executor/file"
	"github.com/secureclaw/secureclaw/internal/run"
)

func TestWrite(t *testing.T) {
	root := workspace(t, "rw")
	for name, tc := range map[string]struct {
		before *string
		mode   string
		text   string
		want   string
		diff   string
	}{
		"create":             {nil, run.WriteCreate, "a\n", "a\n", "--- /dev/null\n+++ PATH\n@@ -0,0 +1,1 @@\n+a\n"},
		"create empty":       {nil, run.WriteCreate, "", "", "[no change]\n"},
		"overwrite":          {new("a\nb\n"), run.WriteOverwrite, "a\nc\n", "a\nc\n", "--- PATH\n+++ PATH\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"},
		"overwrite nothing":  {nil, run.WriteOverwrite, "a\n", "a\n", "--- /dev/null\n+++ PATH\n@@ -0,0 +1,1 @@\n+a\n"},
		"append":             {new("a\n"), run.WriteAppend, "b\n", "a\nb\n", "--- PATH\n+++ PATH\n@@ -1,1 +1,2 @@\n a\n+b\n"},
		"append to nothing":  {nil, run.WriteAppend, "b\n", "b\n", "--- /dev/null\n+++ PATH\n@@ -0,0 +1,1 @@\n+b\n"},
		"replace binary":     {new("a\x00"), run.WriteOverwrite, "b\n", "b\n", "[binary content: 2 bytes before, 2 after]\n"},
		"replace many lines": {new(strings.Repeat("\n", 30_000)), run.WriteOverwrite, "b\n", "b\n", "[30000 lines before and 1 after, too many for a diff]\n"},
		"replace large":      {new(strings.Repeat("x", 1<<20+1)), run.WriteOverwrite, "b\n", "b\n", "[the file had 1048577 bytes, too many for a diff]\n"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(root.Path, strings.ReplaceAll(name, " ", "-"), "deep", "f")
			if tc.before != nil {
				put(t, root, strings.TrimPrefix(path, root.Path), *tc.before)
				if err := os.Chmod(path, 0o640); err != nil {
					t.Fatal(err)
				}
			}
			got := value[run.WriteFileResult](t, perform(t, run.ToolWriteFile, run.WriteFile{Path: path, Content: tc.text, Mode: tc.mode}, root))
			after, err := os.ReadFile(path)
			if err != nil || string(after) != tc.want || got.Size != int64(len(tc.want)) || got.Created != (tc.before == nil) {
				t.Errorf("write_file(%s) left %q (%v), result %+v, want %q", tc.mode, after, err, got, tc.want)
			}
			if want := strings.ReplaceAll(tc.diff, "PATH", path); got.Diff.Text != want {
				t.Errorf("diff = %q, want %q", got.Diff.Text, want)
			}
			if info, err := os.Stat(path); tc.before != nil && (err != nil || info.Mode() != 0o640) {
				t.Errorf("mode = %v (%v), want the old -rw-r-----", info.Mode(), err)
			}
			if names, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*secureclaw*")); err != nil || len(names) > 0 {
				t.Errorf("left behind: %q (%v)", names, err)
			}
		})
	}
}

// What must not be written stays as it is, and the reason helps.
func TestWriteRefuses(t *testing.T) {
	root, elsewhere := workspace(t, "rw"), workspace(t, "rw")
	canary := put(t, elsewhere, "canary", "untouched")
	put(t, root, "there", "untouched")
	mustDo(t,
		os.Symlink(canary, root.Path+"/out"),
		os.Symlink("there", root.Path+"/in"),
		os.Symlink(elsewhere.Path, root.Path+"/dirout"),
		os.Symlink("nowhere", root.Path+"/dangling"),
		os.Link(canary, root.Path+"/hard"),
		syscall.Mkfifo(root.Path+"/fifo", 0o600),
		syscall.Mknod(root.Path+"/socket", syscall.S_IFSOCK|0o600, 0),
		os.Mkdir(root.Path+"/dir", 0o755),
	)
	readOnly := root
	readOnly.Mode = "ro"
	for name, tc := range map[string]struct {
		path, mode string
		root       run.Root
		want       string
	}{
		"a link out":                     {"/out", run.WriteOverwrite, root, "leads out of the mounted folders"},
		"a link out, append":             {"/out", run.WriteAppend, root, "leads out of the mounted folders"},
		"a link out, create":             {"/out", run.WriteCreate, root, "leads out of the mounted folders"},
		"a link inside":                  {"/in", run.WriteOverwrite, root, "ask for \"" + root.Path + "/there\" itself"},
		"a dangling link":                {"/dangling", run.WriteCreate, root, "is a link"},
		"through a linked directory":     {"/dirout/new", run.WriteCreate, root, "leads out of the mounted folders"},
		"new folder in a linked one":     {"/dirout/a/b/new", run.WriteCreate, root, "leads out of the mounted folders"},
		"a hard link":                    {"/hard", run.WriteOverwrite, root, "2 names"},
		"a hard link, append":            {"/hard", run.WriteAppend, root, "2 names"},
		"a FIFO":                         {"/fifo", run.WriteOverwrite, root, "is a fifo"},
		"a FIFO, append":                 {"/fifo", run.WriteAppend, root, "is a fifo"},
		"a socket":                       {"/socket", run.WriteOverwrite, root, "is a socket"},
		"a directory":                    {"/dir", run.WriteOverwrite, root, "is a directory"},
		"the root":                       {"", run.WriteOverwrite, root, "the mounted folder itself"},
		"below a file":                   {"/there/x", run.WriteCreate, root, "no directory"},
		"create what is there":           {"/there", run.WriteCreate, root, "exists already"},
		"no mode":                        {"/new", "", root, "mode is"},
		"dots":                           {"/../" + filepath.Base(elsewhere.Path) + "/canary", run.WriteOverwrite, root, "not clean"},
		"dots that stay":                 {"/dir/../there", run.WriteOverwrite, root, "not clean"},
		"a read-only mount":              {"/new", run.WriteCreate, readOnly, "read-only"},
		"a name too long":                {"/" + strings.Repeat("n", 300), run.WriteCreate, root, "too long"},
		"a name that only starts alike ": {"x/new", run.WriteCreate, root, "in no mounted folder"},
	} {
		t.Run(name, func(t *testing.T) {
			wantNo(t, perform(t, run.ToolWriteFile, run.WriteFile{Path: tc.root.Path + tc.path, Content: "evil", Mode: tc.mode}, tc.root), tc.want)
		})
	}
	for _, path := range []string{canary, root.Path + "/there", root.Path + "/hard"} {
		if got, err := os.ReadFile(path); err != nil || string(got) != "untouched" {
			t.Errorf("%s = %q (%v), want it untouched", path, got, err)
		}
	}
	if names := must(os.ReadDir(elsewhere.Path)); len(names) != 1 {
		t.Errorf("outside: %v, want the canary alone", names)
	}
	if names := must(filepath.Glob(root.Path + "/.secureclaw*")); len(names) != 0 {
		t.Errorf("left behind: %v", names)
	}
}

// A disk that is full half way leaves the old content and nothing else. The limit on file sizes
// stands for it: it fails the same write at the same place.
func TestWriteThatFailsHalfWay(t *testing.T) {
	root := workspace(t, "rw")
	put(t, root, "old", "old\n")
	for path, modes := range map[string][]string{"/old": {run.WriteOverwrite, run.WriteAppend}, "/new": {run.WriteCreate, run.WriteOverwrite, run.WriteAppend}} {
		for _, mode := range modes {
			key, line := envelope(t, run.ToolWriteFile, run.WriteFile{Path: root.Path + path, Content: strings.Repeat("x", 100<<10), Mode: mode}, 5*time.Second, root)
			cmd := exec.Command("/bin/sh", "-c", `ulimit -f 8; exec "$0"`, os.Args[0])
			cmd.Env = []string{"EXECUTOR_UNDER_TEST=1", noRaceSleep, executor.KeyVariable + "=" + key}
			cmd.Stdin = bytes.NewReader(line)
			raw, err := cmd.Output()
			if err != nil || !strings.Contains(string(raw), "larger than the executor may write") {
				t.Errorf("%s %s = %.300s (%v), want the reason", mode, path, raw, err)
			}
			names := must(os.ReadDir(root.Path))
			if old := string(must(os.ReadFile(root.Path + "/old"))); old != "old\n" || len(names) != 1 {
				t.Errorf("%s %s left %q in the old file and %v", mode, path, old, names)
			}
		}
	}
}

// Whoever gets the name between the question and the rename keeps it.
func TestPublishNeverReplaces(t *testing.T) {
	root := workspace(t, "rw")
	put(t, root, "temporary", "mine")
	path := put(t, root, "f", "theirs")
	dir := must(os.Open(root.Path))
	defer dir.Close()
	if err := file.Publish(int(dir.Fd()), "temporary", "f"); !errors.Is(err, syscall.EEXIST) {
		t.Errorf("Publish over a file = %v, want EEXIST", err)
	}
	if got := string(must(os.ReadFile(path))); got != "theirs" {
		t.Errorf("the file holds %q, want theirs", got)
	}
}

// Many creators at once: exactly one wins, and the other one's text is nowhere.
func TestCreateIsExclusive(t *testing.T) {
	root := workspace(t, "rw")
	path := root.Path + "/f"
	created := make(chan bool, 8)
	for i := range cap(created) {
		go func() {
			out := perform(t, run.ToolWriteFile, run.WriteFile{Path: path, Content: strings.Repeat("x", i+1), Mode: run.WriteCreate}, root)
			created <- out.Status == run.OutputOK
		}()
	}
	wins := 0
	for range cap(created) {
		if <-created {
			wins++
		}
	}
	if wins != 1 {
		t.Errorf("%d of %d creators won, want 1", wins, cap(created))
	}
}

// A link that appears and disappears wins nothing, however the moment falls.
func TestWriteAgainstASwappedLink(t *testing.T) {
	root, elsewhere := workspace(t, "rw"), workspace(t, "rw")
	canary := put(t, elsewhere, "f", "untouched")
	put(t, root, "real/f", "old")
	mustDo(t, os.Symlink(elsewhere.Path, root.Path+"/evil"))
	stop := swap(t, root.Path+"/real", root.Path+"/evil")
	for until, n := time.Now().Add(2*time.Second), 0; time.Now().Before(until) && n < 150; n++ {
		for _, mode := range []string{run.WriteOverwrite, run.WriteAppend} {
			perform(t, run.ToolWriteFile, run.WriteFile{Path: root.Path + "/real/f", Content: "evil", Mode: mode}, root)
		}
	}
	stop()
	if got := string(must(os.ReadFile(canary))); got != "untouched" {
		t.Errorf("outside the root: %q, want it untouched", got)
	}
	if names := must(os.ReadDir(elsewhere.Path)); len(names) != 1 {
		t.Errorf("outside the root: %v, want one file", names)
	}
}
