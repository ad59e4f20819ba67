package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

const (
	ripgrep        = "/usr/bin/rg"
	defaultMatches = 200
	maxMatches     = 5000
	maxPattern     = 4 << 10
	// maxSearched is the size of the largest file that is searched: rg holds a line in memory, and a
	// file can be one line.
	maxSearched = "16M"
	// rgPatience is how long a killed rg may keep its pipes.
	rgPatience = 500 * time.Millisecond
)

// search finds lines with rg in every file below a directory, or in one file. Files that an ignore
// file names and hidden ones are searched too: what is there should be found, whoever wrote the
// ignore file. Only what is below a .git folder is left out, and files over 16 MiB. Links are not followed.
func search(ctx context.Context, call executor.Call) executor.Answer {
	var in run.SearchFiles
	if err := strict.Decode(call.Input, &in); err != nil {
		return executor.Refused("arguments: %v", err)
	}
	if err := checkSearch(&in); err != nil {
		return executor.AnswerTo(err)
	}
	where, err := openSearched(call.Roots, in.Path)
	if err != nil {
		return executor.AnswerTo(err)
	}
	defer where.Close()
	info, err := where.Stat()
	if err != nil {
		return executor.AnswerTo(executor.Explain(in.Path, err))
	}
	hits := &collector{limit: in.Limit, room: call.Cap, base: in.Path}
	complaint, err := runRipgrep(ctx, where, info.IsDir(), arguments(in, info.IsDir()), hits)
	result := run.SearchFilesResult{Matches: hits.matches, Truncated: hits.full, Note: hits.note()}
	if result.Matches == nil {
		result.Matches = []run.Match{}
	}
	switch {
	case hits.full || err == nil:
		return executor.Done(result)
	case ctx.Err() != nil:
		result.Truncated = true
		return executor.TimedOut(result, "the search did not end within the time limit")
	case exitCode(err) == 1: // no match
		return executor.Done(result)
	case exitCode(err) == 2 && (len(hits.matches) > 0 || hits.finished):
		result.Note = joinNotes(result.Note, "some files could not be searched: "+complaint)
		return executor.Done(result)
	case exitCode(err) == 2:
		return executor.Failed("%s", complaint)
	default:
		return executor.Failed("the search broke off: %v", err)
	}
}

func checkSearch(in *run.SearchFiles) error {
	switch {
	case in.Pattern == "":
		return executor.Refuse("the pattern is empty")
	case len(in.Pattern) > maxPattern || len(in.Glob) > maxPattern:
		return executor.Refuse("pattern and glob have at most %d bytes", maxPattern)
	case strings.ContainsRune(in.Pattern+in.Glob, 0):
		return executor.Refuse("the pattern or the glob holds a NUL byte")
	case strings.Contains(in.Pattern, "\n"):
		return executor.Refuse("the pattern holds a line break; the search is line by line")
	case in.Limit < 0:
		return executor.Refuse("limit %d must not be negative", in.Limit)
	}
	if in.Limit == 0 {
		in.Limit = defaultMatches
	}
	in.Limit = min(in.Limit, maxMatches)
	return nil
}

// openSearched opens the directory or the regular file.
func openSearched(roots executor.Roots, name string) (*os.File, error) {
	dir, err := roots.Open(name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err == nil {
		return dir, nil
	}
	f, _, fileErr := openRegular(roots, name, unix.O_RDONLY)
	if fileErr != nil {
		return nil, fileErr
	}
	return f, nil
}

// arguments is the whole command line. Pattern and glob stand where rg reads nothing as an option.
func arguments(in run.SearchFiles, dir bool) []string {
	args := []string{
		"--no-config", "--json", "--no-pre", "--no-search-zip", "--no-follow", "--no-mmap", "--no-ignore", "--hidden",
		"--sort=path", "--engine=default", "--max-filesize=" + maxSearched, "--max-count=" + strconv.Itoa(in.Limit),
	}
	if in.CaseSensitive {
		args = append(args, "--case-sensitive")
	} else {
		args = append(args, "--ignore-case")
	}
	if in.Literal {
		args = append(args, "--fixed-strings")
	}
	if in.Glob != "" && dir {
		args = append(args, "--glob="+in.Glob)
	}
	args = append(args, "--glob=!.git", "--regexp="+in.Pattern, "--")
	if dir {
		return append(args, "./")
	}
	return append(args, "-")
}

// runRipgrep runs rg over the open directory or file and feeds its output to hits, until hits has
// enough. The complaint is what rg said on stderr, as one sentence.
func runRipgrep(ctx context.Context, where *os.File, dir bool, args []string, hits *collector) (complaint string, err error) {
	cmd := exec.CommandContext(ctx, ripgrep, args...)
	cmd.Env = []string{}
	cmd.WaitDelay = rgPatience
	if dir {
		// Through the open directory, not by its name again: the name could lead elsewhere by now.
		// The working directory is the whole process's, which lives for this one call.
		if err := where.Chdir(); err != nil {
			return "", err
		}
	} else {
		cmd.Stdin = where
	}
	said := executor.NewCapture(8 << 10)
	cmd.Stderr = said
	out, in, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer out.Close()
	cmd.Stdout = in
	err = cmd.Start()
	in.Close()
	if err != nil {
		return "", fmt.Errorf("start rg: %w", err)
	}
	_ = os.WriteFile("/proc/"+strconv.Itoa(cmd.Process.Pid)+"/oom_score_adj", []byte("1000"), 0)
	if deadline, ok := ctx.Deadline(); ok {
		_ = out.SetReadDeadline(deadline.Add(rgPatience))
	}
	hits.consume(out)
	if hits.full {
		_ = cmd.Process.Kill() // it may have ended by itself
	}
	err = cmd.Wait()
	return reason(said.Text().Text), err
}

// reason picks the sentence out of what rg says: for a bad pattern it draws it first.
func reason(said string) string {
	said = strings.TrimSpace(said)
	if i := strings.LastIndex(said, "\nerror: "); i >= 0 {
		said, _, _ = strings.Cut(said[i+len("\nerror: "):], "\n\n") // behind it comes advice about options of rg
		return "the pattern is not a valid regular expression: " + strings.Join(strings.Fields(said), " ")
	}
	first, _, _ := strings.Cut(said, "\n")
	return strings.TrimPrefix(first, "rg: ")
}

func exitCode(err error) int {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	return 0
}

func joinNotes(notes ...string) string {
	var kept []string
	for _, n := range notes {
		if n != "" {
			kept = append(kept, n)
		}
	}
	return strings.Join(kept, "; ")
}

// place returns the absolute, printable path of a file that rg found.
func place(base string, found []byte) string {
	if string(found) == "<stdin>" {
		return name(base)
	}
	return name(path.Join(base, string(bytes.TrimPrefix(found, []byte("./")))))
}
