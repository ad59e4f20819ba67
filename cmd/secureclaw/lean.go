package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// lean gives back the pages of the program file that only starting needed: every package of every role
// is set up in every process, and a process that then does little keeps them resident for nothing. They
// are clean and come back from the file when they are used (madvise(2), MADV_DONTNEED). Failing is harmless.
func lean() {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(maps)) {
		var from, to uintptr
		var mode string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); err != nil || !strings.HasSuffix(strings.TrimSpace(line), self) {
			continue
		}
		if mode == "r-xp" || mode == "r--p" { // never what can be written: that would come back as it was in the file
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED)
		}
	}
}
