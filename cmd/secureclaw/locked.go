package main

import (
	"os/exec"
	"runtime"
)

// runLocked runs cmd on one operating-system thread that lives as long as the process does: the
// kernel sends Pdeathsig when the *thread* that started it ends (prctl(2), PR_SET_PDEATHSIG), and
// the Go runtime may end idle threads.
func runLocked(cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return err
	}
	return cmd.Wait()
}
