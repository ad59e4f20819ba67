package shell

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// killed is the exit code of a command that got SIGKILL.
const killed = 128 + int(unix.SIGKILL)

// family is the command and everything it starts. This process is process 1 of the container, or at
// least the one that orphans come to, so everything in it ends as a child of this process. One
// goroutine waits for all of them: nobody else in this program may wait, or an exit code is lost.
type family struct {
	ended  chan unix.WaitStatus // the shell's own end
	gone   chan struct{}        // closed when no child is left
	reaped atomic.Int64         // orphans that ended by SIGKILL
}

// start runs text in a shell, in dir. The shell is bash, because that is what people and models
// write; without profile and rc files, because the result must not depend on a file in a mount. The
// text is an argument: bash would read a script on stdin piece by piece, and the command could
// read the rest of it. It is no secret to processes that the command starts itself.
func start(dir, stdout, stderr *os.File, text string) (*family, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	// The working directory belongs to the whole process, and this one lives for a single command.
	// Going through the open directory leaves no path to swap between check and use.
	if err := dir.Chdir(); err != nil {
		return nil, fmt.Errorf("enter the working directory: %w", err)
	}
	pid, err := syscall.ForkExec("/bin/bash", []string{"bash", "--noprofile", "--norc", "-c", text}, &syscall.ProcAttr{
		Env:   []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/tmp", "TMPDIR=/tmp", "LANG=C.UTF-8", "TERM=dumb"},
		Files: []uintptr{null.Fd(), stdout.Fd(), stderr.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return nil, fmt.Errorf("start bash: %w", err)
	}
	// When memory runs out, the kernel shall take the command and not the one who reports it.
	// Children inherit the score. Bash takes a hundred times longer to load than this write takes;
	// should it fail, the largest process dies first, which is still not this one.
	_ = os.WriteFile("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", []byte("1000"), 0)
	// Our copies of the children's ends must go, or the pipes never end.
	stdout.Close()
	stderr.Close()
	f := &family{ended: make(chan unix.WaitStatus, 1), gone: make(chan struct{})}
	go f.wait(pid)
	return f, nil
}

// wait reaps every child until none is left: the shell, and orphans as an init does.
func (f *family) wait(shell int) {
	defer close(f.gone)
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return // ECHILD
		case pid == shell:
			f.ended <- status
		case status.Signaled() && status.Signal() == unix.SIGKILL:
			f.reaped.Add(1)
		}
	}
}

// finish waits for children to end by themselves, then kills all that is left and returns how many.
func (f *family) finish(wait time.Duration) int {
	patience := time.NewTimer(wait)
	defer patience.Stop()
	select {
	case <-f.gone:
		return 0
	case <-patience.C:
	}
	before := f.reaped.Load()
	end := time.NewTimer(cleanup)
	defer end.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		killAll()
		select {
		case <-f.gone:
			return int(f.reaped.Load() - before)
		case <-end.C:
			return int(f.reaped.Load() - before)
		case <-again.C:
		}
	}
}

// killAll kills every process but this one. As process 1 that is one call, which no fork can
// outrun. Elsewhere it would kill the host: then only the descendants die, found by their parents.
func killAll() {
	if os.Getpid() == 1 {
		_ = unix.Kill(-1, unix.SIGKILL) // ESRCH: nobody left
		return
	}
	for _, pid := range descendants(os.Getpid()) {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
}

// exitCode is the status as shells say it.
func exitCode(status unix.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}
