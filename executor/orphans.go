package executor

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// orphanPause is how long a process that ended may wait for whoever started it. Who waits for a child
// at all takes its end within a millisecond.
const orphanPause = 250 * time.Millisecond

// adopt takes the ends of processes that nobody else waits for, until stop is closed: process 1 gets
// every orphan of its container, and those that were never taken count against the process limit. What
// was seen ended twice, a pause apart, is an orphan.
func adopt(stop <-chan struct{}) {
	tick := time.NewTicker(orphanPause)
	defer tick.Stop()
	seen := 0
	for {
		select {
		case <-tick.C:
		case <-stop:
			return
		}
		pid := firstEnded()
		if pid != 0 && pid == seen {
			_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
			pid = firstEnded()
		}
		seen = pid
	}
}

// firstEnded is a child that has ended and that nobody has waited for yet, or 0.
func firstEnded() int {
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); err != nil {
		return 0 // ECHILD
	}
	// si_pid stands behind three numbers and a gap on all 64-bit systems; package unix does not name it.
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(&info), 16)))
}
