package file_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/internal/run"
)

func TestSearch(t *testing.T) {
	root := workspace(t, "ro")
	put(t, root, "a.go", "package a\n// Needle one\n")
	put(t, root, "sub/b.txt", "nothing\nneedle two\r\nneedle three\n")
	put(t, root, ".hidden/c", "needle hidden\n")
	put(t, root, ".gitignore", "ignored\n")
	put(t, root, "ignored", "needle ignored\n")
	put(t, root, ".git/config", "needle in git\n")
	put(t, root, "bad\xff\nname", "needle\xff bytes\n")
	put(t, root, "-e", "needle option\n")
	put(t, root, "paren", "f(x\n")
	mustDo(t, os.Symlink("/etc", root.Path+"/etc"), syscall.Mkfifo(root.Path+"/fifo", 0o600))
	for name, tc := range map[string]struct {
		in   run.SearchFiles
		want []string
	}{
		"everything but .git, sorted": {run.SearchFiles{Pattern: "needle"}, []string{
			"-e:1:needle option", ".hidden/c:1:needle hidden", "a.go:2:// Needle one", `bad\xff\nname:1:needle\xff bytes`,
			"ignored:1:needle ignored", "sub/b.txt:2:needle two", "sub/b.txt:3:needle three"}},
		"case":                     {run.SearchFiles{Pattern: "Needle", CaseSensitive: true}, []string{"a.go:2:// Needle one"}},
		"glob":                     {run.SearchFiles{Pattern: "needle", Glob: "*.go"}, []string{"a.go:2:// Needle one"}},
		"glob cannot open .git":    {run.SearchFiles{Pattern: "in git", Glob: "**/config"}, nil},
		"regular expression":       {run.SearchFiles{Pattern: "^needle t.{2,4}e$"}, []string{"sub/b.txt:3:needle three"}},
		"literal":                  {run.SearchFiles{Pattern: "f(x", Literal: true}, []string{"paren:1:f(x"}},
		"a folder":                 {run.SearchFiles{Pattern: "two", Path: "/sub"}, []string{"sub/b.txt:2:needle two"}},
		"one file":                 {run.SearchFiles{Pattern: "two", Path: "/sub/b.txt"}, []string{"sub/b.txt:2:needle two"}},
		"inside .git when asked":   {run.SearchFiles{Pattern: "needle", Path: "/.git"}, []string{".git/config:1:needle in git"}},
		"no match":                 {run.SearchFiles{Pattern: "haystack"}, nil},
		"nothing through a link":   {run.SearchFiles{Pattern: "root:x:0"}, nil},
		"an option as pattern":     {run.SearchFiles{Pattern: "--pre=id"}, nil},
		"-e as pattern":            {run.SearchFiles{Pattern: "-e"}, nil},
		"a command as pattern":     {run.SearchFiles{Pattern: "$(touch pwned)", Literal: true}, nil},
		"an option as glob":        {run.SearchFiles{Pattern: "needle", Glob: "--pre=id"}, nil},
		"a dash as literal":        {run.SearchFiles{Pattern: "--files", Literal: true}, nil},
		"a file named as option":   {run.SearchFiles{Pattern: "option", Path: "/-e"}, []string{"-e:1:needle option"}},
		"a negative glob excludes": {run.SearchFiles{Pattern: "needle", Glob: "!**/*"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			tc.in.Path = root.Path + tc.in.Path
			got := value[run.SearchFilesResult](t, perform(t, run.ToolSearchFiles, tc.in, root))
			var lines []string
			for _, m := range got.Matches {
				lines = append(lines, fmt.Sprintf("%s:%d:%s", strings.TrimPrefix(m.Path, root.Path+"/"), m.Line, m.Text))
			}
			if diff := cmp.Diff(tc.want, lines); diff != "" || got.Truncated || got.Note != "" {
				t.Errorf("search_files(%+v) = %+v (-want +got):\n%s", tc.in, got, diff)
			}
		})
	}
	if names := must(filepath.Glob(root.Path + "/pwned")); len(names) > 0 {
		t.Error("a pattern ran a command")
	}
}

// A program named by --pre would leave its mark: nothing that the model can say makes rg start one.
func TestSearchStartsNoProgram(t *testing.T) {
	root := workspace(t, "rw")
	mark := filepath.Join(root.Path, "mark")
	program := put(t, root, "program", "#!/bin/sh\necho ran >> "+mark+"\ncat\n")
	mustDo(t, os.Chmod(program, 0o755))
	put(t, root, "f.gz", "text")
	for _, evil := range []string{"--pre=" + program, "--pre " + program, "-z", "--search-zip", "--pre-glob=*", "--hostname-bin=" + program, "$(" + program + ")", "`" + program + "`", ";" + program} {
		for _, literal := range []bool{false, true} {
			perform(t, run.ToolSearchFiles, run.SearchFiles{Pattern: evil, Path: root.Path, Literal: literal}, root)
			perform(t, run.ToolSearchFiles, run.SearchFiles{Pattern: "text", Glob: evil, Path: root.Path, Literal: literal}, root)
		}
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("a search started a program")
	}
}

func TestSearchBadPattern(t *testing.T) {
	root := workspace(t, "ro")
	put(t, root, "f", "text\n")
	for name, tc := range map[string]struct {
		in   run.SearchFiles
		want string
	}{
		"unclosed":       {run.SearchFiles{Pattern: "("}, "not a valid regular expression: unclosed group"},
		"look-around":    {run.SearchFiles{Pattern: "(?=x)"}, "look-around"},
		"bad glob":       {run.SearchFiles{Pattern: "x", Glob: "["}, "glob"},
		"empty":          {run.SearchFiles{}, "empty"},
		"line break":     {run.SearchFiles{Pattern: "a\nb"}, "line break"},
		"NUL":            {run.SearchFiles{Pattern: "a\x00b"}, "NUL"},
		"too long":       {run.SearchFiles{Pattern: strings.Repeat("x", 5000)}, "at most"},
		"negative limit": {run.SearchFiles{Pattern: "x", Limit: -1}, "negative"},
		"too expensive":  {run.SearchFiles{Pattern: `\w{1000}{1000}`}, "size limit"},
	} {
		t.Run(name, func(t *testing.T) {
			tc.in.Path = root.Path
			out := perform(t, run.ToolSearchFiles, tc.in, root)
			wantNo(t, out, tc.want)
			if strings.Contains(out.Error, "\n") {
				t.Errorf("error %q has more than one line", out.Error)
			}
		})
	}
}

func TestSearchLimits(t *testing.T) {
	root := workspace(t, "ro")
	for i := range 30 {
		put(t, root, fmt.Sprintf("f%02d", i), strings.Repeat("needle\n", 100))
	}
	got := value[run.SearchFilesResult](t, perform(t, run.ToolSearchFiles, run.SearchFiles{Pattern: "needle", Path: root.Path, Limit: 150}, root))
	if len(got.Matches) != 150 || !got.Truncated || got.Matches[149].Line != 50 {
		t.Errorf("limit 150: %d matches, truncated %v", len(got.Matches), got.Truncated)
	}
	got = value[run.SearchFilesResult](t, perform(t, run.ToolSearchFiles, run.SearchFiles{Pattern: "needle", Path: root.Path, Limit: 1 << 30}, root))
	if len(got.Matches) == 0 || !got.Truncated {
		t.Errorf("no limit: %d matches, truncated %v, want the cap to cut", len(got.Matches), got.Truncated)
	}

	// A match in a long line is shown around the match; a line of megabytes is counted.
	put(t, root, "long", strings.Repeat("é", 5000)+"pin"+strings.Repeat("é", 5000)+"\n")
	put(t, root, "longer", strings.Repeat("x", 3<<20)+"pin\n")
	out, state := performBy(t, shipped(t), run.ToolSearchFiles, run.SearchFiles{Pattern: "pin", Path: root.Path}, 20*time.Second, root)
	got = value[run.SearchFilesResult](t, out)
	if len(got.Matches) != 1 || !strings.Contains(got.Matches[0].Text, "pin") || len(got.Matches[0].Text) > 520 || strings.Contains(got.Matches[0].Text, `\x`) ||
		got.Note != "1 matches on lines over 1024 KiB are left out" {
		t.Errorf("long lines: %+v", got)
	}
	small(t, "long lines", state)
}

// A search over 400 MB cannot end in a tenth of a second; the deadline still gets its answer.
func TestSearchTimeout(t *testing.T) {
	root := workspace(t, "ro")
	for i := range 400 {
		put(t, root, fmt.Sprintf("d%d/big", i), strings.Repeat(strings.Repeat("a", 99)+"\n", 10_000))
	}
	began := time.Now()
	out, _ := performLimited(t, run.ToolSearchFiles, run.SearchFiles{Pattern: `[^a][^a\s]`, Path: root.Path}, 100*time.Millisecond, root)
	if took := time.Since(began); out.Status != run.OutputTimedOut || took > 2*time.Second {
		t.Errorf("search = %s %q after %v, want a timeout", out.Status, out.Error, took)
	}
}
