package seal_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/secureclaw/secureclaw/internal/seal"
)

// TestMain runs the binary again as a sealed process, because a seal cannot be broken afterwards.
func TestMain(m *testing.M) {
	if os.Getenv("SEAL_UNDER_TEST") != "" {
		sealed()
		return
	}
	os.Exit(m.Run())
}

// sealed tries what a captured process would try, and prints what the kernel said.
func sealed() {
	if err := exec.Command("/bin/true").Run(); err != nil {
		os.Stdout.WriteString("before: " + err.Error() + "\n")
	}
	if err := seal.Process(); err != nil {
		os.Stdout.WriteString("seal: " + err.Error() + "\n")
		return
	}
	say := func(name string, err error) {
		word := "allowed"
		if errors.Is(err, syscall.EPERM) {
			word = "EPERM"
		} else if err != nil {
			word = err.Error()
		}
		os.Stdout.WriteString(name + "=" + word + "\n")
	}
	say("start", exec.Command("/bin/true").Run())
	say("execve", syscall.Exec("/bin/true", []string{"true"}, nil))
	_, _, errno := syscall.RawSyscall(syscall.SYS_PTRACE, 16, 1, 0)
	say("ptrace", errno)
	_, err := os.ReadFile("/proc/self/status")
	say("files", err)
	// The runtime must still be able to make threads.
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { _ = syscall.Nanosleep(&syscall.Timespec{Nsec: 5e6}, nil) })
	}
	wg.Wait()
	os.Stdout.WriteString("threads=allowed\n")
}

func TestSealedProcessStartsNothing(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SEAL_UNDER_TEST=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("sealed process: %v\n%s", err, out)
	}
	want := "start=EPERM\nexecve=EPERM\nptrace=EPERM\nfiles=allowed\nthreads=allowed\n"
	if got := string(out); strings.TrimSpace(got) != strings.TrimSpace(want) {
		t.Errorf("a sealed process said\n%s\nwant\n%s", got, want)
	}
}
