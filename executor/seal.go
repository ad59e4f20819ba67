package executor

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// threads is how many threads exist before a tool starts. With a process limit that a fork bomb
	// has used up, the Go runtime cannot make another and would end the process: these are all that
	// waiting, reading two pipes, collecting garbage and writing the result ever need.
	threads = 10
	// heapLimit makes the collector work harder long before the container's memory limit.
	heapLimit = 64 << 20
	// aboveStdio is the lowest descriptor of the result channel: nothing that is inherited by number.
	aboveStdio = 10
)

// Seal makes this process safe to start commands from, and returns the two ends of the result
// channel. It comes first in main, before stdin is read:
//
//   - the process cannot be traced and its files in /proc cannot be opened by the same user, so no
//     command reaches the channel, the token or the task through /proc/1/fd or ptrace;
//   - descriptors 0 and 1 become /dev/null, the channel moves up and closes on exec, and a stray
//     print goes to stderr;
//   - signals that a command could send are taken and dropped. They are not set to "ignore", which a
//     command would inherit: `yes | head` would then never end. See [ignoreReserved] for two that
//     cannot be taken.
func Seal() (stdin, stdout *os.File, err error) {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return nil, nil, fmt.Errorf("make the process unreadable: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return nil, nil, fmt.Errorf("give up new privileges: %w", err)
	}
	// Where this process is not the first, orphans must still come to it and not to the host.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, nil, fmt.Errorf("adopt orphans: %w", err)
	}
	debug.SetTraceback("none")
	signal.Notify(make(chan os.Signal, 1))
	if err := ignoreReserved(); err != nil {
		return nil, nil, err
	}
	if stdin, err = take(os.Stdin); err != nil {
		return nil, nil, err
	}
	if stdout, err = take(os.Stdout); err != nil {
		return nil, nil, err
	}
	os.Stdout = os.Stderr
	return stdin, stdout, nil
}

// ignoreReserved ignores the signals that the Go runtime leaves to C libraries and does not pass on:
// 32 (SIGCANCEL) and 34 (musl's SIGSYNCCALL, SIGRTMIN of glibc). Their default is to end the process.
// The kernel drops such a signal to process 1, but not while the main thread happens to block it
// (complete_signal in kernel/signal.c), and a command that sends thousands meets that moment. What a
// command inherits is harmless: C libraries set handlers of their own before they use these.
func ignoreReserved() error {
	// struct sigaction of the kernel, with a mask of 64 signals.
	action := struct{ handler, flags, restorer, mask uintptr }{handler: 1} // SIG_IGN
	for _, number := range []uintptr{32, 34} {
		if _, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, number, uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0); errno != 0 {
			return fmt.Errorf("ignore signal %d: %w", number, errno)
		}
	}
	return nil
}

// take moves f to a high descriptor that closes on exec and leaves /dev/null in its place.
func take(f *os.File) (*os.File, error) {
	number := int(f.Fd())
	high, err := unix.FcntlInt(uintptr(number), unix.F_DUPFD_CLOEXEC, aboveStdio)
	if err != nil {
		return nil, fmt.Errorf("take %s: %w", f.Name(), err)
	}
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", os.DevNull, err)
	}
	if err := unix.Dup3(null, number, unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("replace %s: %w", f.Name(), err)
	}
	if err := unix.Close(null); err != nil {
		return nil, fmt.Errorf("close %s: %w", os.DevNull, err)
	}
	return os.NewFile(uintptr(high), f.Name()), nil
}

// reserve makes the threads that this process will ever need and bounds its memory.
func reserve(heap int64) {
	runtime.GOMAXPROCS(2)
	if heap <= 0 {
		heap = heapLimit
	}
	debug.SetMemoryLimit(heap)
	debug.SetGCPercent(50)
	var ready, done sync.WaitGroup
	release := make(chan struct{})
	for range threads {
		ready.Add(1)
		done.Go(func() {
			// A goroutine that holds its thread and waits makes the runtime start another one.
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			ready.Done()
			<-release
		})
	}
	ready.Wait()
	close(release)
	done.Wait()
}
