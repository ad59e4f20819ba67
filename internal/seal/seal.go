// Package seal takes from a process the power to start others and to look into them.
//
// It is for the roles that listen to strangers: the gateway, which reads what models write, and the
// bridges, which read what anybody sends. What it takes cannot be had back, whatever code runs
// afterwards. The entry point is [Process].
package seal

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Process takes from this process, for good, the power to start another one and to look into others:
// the kernel then refuses execve, execveat, fork and ptrace with EPERM (seccomp(2)), whatever code
// runs here. It also closes /proc/self to other processes of the same user, so that the keys
// cannot be read from the environment (prctl(2), PR_SET_DUMPABLE). It is called before anything
// else by the program that takes the role; a kernel that cannot do it is an error.
func Process() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("seal: PR_SET_DUMPABLE: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("seal: PR_SET_NO_NEW_PRIVS: %w", err)
	}
	filter, err := noProcesses()
	if err != nil {
		return err
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	// TSYNC: every thread that the Go runtime has started already gets the filter too.
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog))); errno != 0 {
		return fmt.Errorf("seal: seccomp: %w", errno)
	}
	runtime.KeepAlive(filter)
	return nil
}

// Offsets in struct seccomp_data (linux/seccomp.h) and the bit that marks x32 system calls.
const (
	offNumber = 0
	offArch   = 4
	offArg0   = 16 // low half on little-endian machines
	x32Bit    = 0x40000000
)

// noProcesses is the filter: threads may be made, processes not.
func noProcesses() ([]unix.SockFilter, error) {
	var arch uint32
	var banned []uint32
	switch runtime.GOARCH {
	case "amd64":
		arch = unix.AUDIT_ARCH_X86_64
		banned = []uint32{57, 58} // fork, vfork: not on every architecture
	case "arm64":
		arch = unix.AUDIT_ARCH_AARCH64
	default:
		return nil, fmt.Errorf("seal: no filter for %s", runtime.GOARCH)
	}
	banned = append(banned, unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV)

	stmt := func(code uint16, k uint32) unix.SockFilter { return unix.SockFilter{Code: code, K: k} }
	jump := func(code uint16, k uint32, jt, jf uint8) unix.SockFilter {
		return unix.SockFilter{Code: code, K: k, Jt: jt, Jf: jf}
	}
	const (
		load  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		least = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
		bits  = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
		ret   = unix.BPF_RET | unix.BPF_K
	)
	refuse := stmt(ret, unix.SECCOMP_RET_ERRNO|uint32(unix.EPERM))
	allow := stmt(ret, unix.SECCOMP_RET_ALLOW)

	f := []unix.SockFilter{
		stmt(load, offArch),
		jump(equal, arch, 1, 0),
		refuse, // a 32-bit call would have other numbers
		stmt(load, offNumber),
		jump(least, x32Bit, 0, 1),
		refuse,
	}
	for _, n := range banned {
		f = append(f, jump(equal, n, 0, 1), refuse)
	}
	return append(f,
		// clone3 hides its flags behind a pointer: say that it does not exist, and libc uses clone.
		jump(equal, unix.SYS_CLONE3, 0, 1),
		stmt(ret, unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS)),
		jump(equal, unix.SYS_CLONE, 1, 0),
		allow,
		stmt(load, offArg0),
		jump(bits, unix.CLONE_THREAD, 0, 1),
		allow,
		refuse,
	), nil
}
