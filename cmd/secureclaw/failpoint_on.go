//go:build failpoint

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A build with the tag failpoint is for tests: it ends itself with SIGKILL at a named step, so that
// a test can see what a crash at just that moment leaves.
//
//	FAILPOINT=gate.intent,outbox.sent:3   where to end; ":3" means at the third time in one process
//	FAILPOINT_DIR=/folder                 what fired leaves the file fired.<step> there and never fires again
//	FAILPOINT_LOG=/file                   a line "<step> <pid>" for each step that was reached
//
// A step can also be armed while the programs run: a file arm.<step> in the folder is renamed to
// fired.<step>.<pid> by the one process that reaches the step first, and that one ends.

// longestBackoff is short: a thousand deaths in a row are what such a build is for.
const longestBackoff = 200 * time.Millisecond

const (
	failpointNames  = "FAILPOINT"
	failpointFolder = "FAILPOINT_DIR"
	failpointLog    = "FAILPOINT_LOG"
)

// failpointEnv names the variables that up hands on to its children.
func failpointEnv() []string { return []string{failpointNames, failpointFolder, failpointLog} }

// failpoints is what one process knows of the steps where it has to end.
type failpoints struct {
	folder string
	log    *os.File

	mu   sync.Mutex
	left map[string]int // how many times a step is still passed, the fatal one included
}

// stepHook returns what to call at each named step.
func stepHook() func(string) {
	f := &failpoints{folder: os.Getenv(failpointFolder), left: make(map[string]int)}
	for entry := range strings.SplitSeq(os.Getenv(failpointNames), ",") {
		name, times, counted := strings.Cut(strings.TrimSpace(entry), ":")
		n := 1
		if counted {
			var err error
			if n, err = strconv.Atoi(times); err != nil || n < 1 {
				panic(fmt.Sprintf("%s: %q is not a step and a count", failpointNames, entry))
			}
		}
		if name != "" {
			f.left[name] = n
		}
	}
	if path := os.Getenv(failpointLog); path != "" {
		log, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			panic(err)
		}
		f.log = log
	}
	return f.reached
}

func (f *failpoints) reached(step string) {
	if f.log != nil {
		// One write, so that the lines of several processes do not mix.
		if _, err := fmt.Fprintf(f.log, "%s %d\n", step, os.Getpid()); err != nil {
			panic(err)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.due(step) && f.first(step) || f.armed(step) {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // nothing more may happen on this path while the signal is on its way
	}
}

// due counts the steps that the environment names.
func (f *failpoints) due(step string) bool {
	left, named := f.left[step]
	if !named || left == 0 {
		return false
	}
	f.left[step] = left - 1
	return left == 1
}

// first leaves the mark and reports whether it is the first one, in whatever process.
func (f *failpoints) first(step string) bool {
	if f.folder == "" {
		return true
	}
	mark, err := os.OpenFile(filepath.Join(f.folder, "fired."+step), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return false
	}
	if err != nil {
		panic(err)
	}
	_, err = fmt.Fprintf(mark, "%d\n", os.Getpid())
	if err := errors.Join(err, mark.Sync(), mark.Close()); err != nil {
		panic(err)
	}
	return true
}

// armed takes the file that a test laid down for a step; of several processes one gets it.
func (f *failpoints) armed(step string) bool {
	if f.folder == "" {
		return false
	}
	from := filepath.Join(f.folder, "arm."+step)
	err := os.Rename(from, filepath.Join(f.folder, fmt.Sprintf("fired.%s.%d", step, os.Getpid())))
	return err == nil
}
