package sandbox

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write golden files and seccomp profiles")

type filter struct {
	DefaultAction   string `json:"defaultAction"`
	DefaultErrnoRet int    `json:"defaultErrnoRet"`
	ArchMap         []arch `json:"archMap"`
	Syscalls        []rule `json:"syscalls"`
}

type arch struct {
	Architecture     string   `json:"architecture"`
	SubArchitectures []string `json:"subArchitectures"`
}

type rule struct {
	Names    []string   `json:"names"`
	Action   string     `json:"action"`
	ErrnoRet *int       `json:"errnoRet,omitempty"`
	Args     []argument `json:"args,omitempty"`
	Comment  string     `json:"comment,omitempty"`
	Includes *condition `json:"includes,omitempty"`
	Excludes *condition `json:"excludes,omitempty"`
}

type argument struct {
	Index    int    `json:"index"`
	Value    uint64 `json:"value"`
	ValueTwo uint64 `json:"valueTwo,omitempty"`
	Op       string `json:"op"`
}

type condition struct {
	Caps      []string `json:"caps,omitempty"`
	Arches    []string `json:"arches,omitempty"`
	MinKernel string   `json:"minKernel,omitempty"`
}

// forbidden must be in no rule that allows, in neither profile, whatever the default does in its next version.
var forbidden = []string{
	"io_uring_setup", "io_uring_enter", "io_uring_register", "userfaultfd", "bpf", "perf_event_open",
	"keyctl", "add_key", "request_key", "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise",
	"pidfd_getfd", "kcmp", "setns", "clone3", "socketcall", "modify_ldt", "fanotify_init", "fanotify_mark",
	"mount", "umount", "umount2", "mount_setattr", "move_mount", "open_tree", "fsopen", "fsmount", "fsconfig", "fspick",
	"pivot_root", "open_by_handle_at", "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load",
	"reboot", "swapon", "swapoff", "iopl", "ioperm", "acct", "quotactl", "syslog", "settimeofday", "clock_settime",
	"sethostname", "setdomainname", "vhangup", "nfsservctl", "lookup_dcookie", "uselib", "ustat", "sysfs",
}

// Namespace flags of clone(2).
const (
	newNS, newCgroup, newUTS, newIPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
	newUser, newPID, newNet, newTime = 0x10000000, 0x20000000, 0x40000000, 0x00000080
	newAny                           = newNS | newCgroup | newUTS | newIPC | newUser | newPID | newNet
)

// derive makes our profile out of the default one. A rule that needs a capability, another
// architecture or an old kernel goes; what stays loses what forbidden names.
func derive(def filter, browser bool) filter {
	out := filter{
		DefaultAction:   "SCMP_ACT_ERRNO",
		DefaultErrnoRet: 1,
		// Without sub-architectures a 32-bit or x32 call is a call of an unknown architecture, which libseccomp kills.
		ArchMap: []arch{{"SCMP_ARCH_X86_64", []string{}}, {"SCMP_ARCH_AARCH64", []string{}}},
	}
	special := []string{"socket", "socketpair", "clone", "clone3", "unshare"} // written below, by us
	if browser {
		special = append(special, "setsockopt")
	}
	for _, r := range def.Syscalls {
		if r.Action != "SCMP_ACT_ALLOW" || r.Includes != nil && (len(r.Includes.Caps) > 0 || r.Includes.MinKernel != "") {
			continue
		}
		if r.Includes != nil {
			arches := slices.DeleteFunc(slices.Clone(r.Includes.Arches), func(a string) bool { return a != "amd64" && a != "arm64" })
			if len(arches) == 0 {
				continue
			}
			r.Includes = &condition{Arches: arches}
		}
		r.Excludes = nil
		r.Names = slices.DeleteFunc(slices.Clone(r.Names), func(n string) bool {
			return slices.Contains(forbidden, n) || slices.Contains(special, n)
		})
		if len(r.Names) > 0 {
			out.Syscalls = append(out.Syscalls, r)
		}
	}
	// None when sealed, not even AF_UNIX: a socket in a mounted folder (an agent's, a database's) answers
	// through a read-only mount too, and whoever listens there is outside of the container.
	cloneDenied, unshareDenied := uint64(newAny), uint64(0)
	if browser {
		out.Syscalls = append(out.Syscalls, sockets()...)
		cloneDenied = newNS | newCgroup | newUTS | newIPC
		unshareDenied = cloneDenied | newTime
	}
	enosys := 38
	masked := func(name string, mask uint64) rule {
		return rule{Names: []string{name}, Action: "SCMP_ACT_ALLOW", Args: []argument{{Value: mask, Op: "SCMP_CMP_MASKED_EQ"}}}
	}
	out.Syscalls = append(out.Syscalls,
		rule{Names: []string{"socketpair"}, Action: "SCMP_ACT_ALLOW", Args: []argument{{Value: 1, Op: "SCMP_CMP_EQ"}}},
		masked("clone", cloneDenied),
		// Its flags are behind a pointer, where no filter can look. ENOSYS makes C libraries use clone.
		rule{Names: []string{"clone3"}, Action: "SCMP_ACT_ERRNO", ErrnoRet: &enosys})
	if browser {
		out.Syscalls = append(out.Syscalls, masked("unshare", unshareDenied), rule{Names: []string{"chroot"}, Action: "SCMP_ACT_ALLOW"})
	}
	return out
}

// sockets are those of the browser. In a user namespace of its own a process has every capability over the
// network namespace it makes beside it, and with them the kernel's packet filters, traffic control and raw
// sockets, which is where most ways from a container into the kernel were found. None of that can be had
// without AF_NETLINK, a raw socket, or an option of the packet filters, which begin at 64.
func sockets() []rule {
	const unix, inet, inet6, stream, datagram = 1, 2, 10, 1, 2
	allow := func(call string, args ...argument) rule {
		return rule{Names: []string{call}, Action: "SCMP_ACT_ALLOW", Args: args}
	}
	is := func(index int, value uint64) argument {
		return argument{Index: index, Value: value, Op: "SCMP_CMP_EQ"}
	}
	out := []rule{allow("socket", is(0, unix))}
	for _, family := range []uint64{inet, inet6} {
		for _, kind := range []uint64{stream, datagram} {
			// Above its four bits are SOCK_NONBLOCK and SOCK_CLOEXEC.
			out = append(out, allow("socket", is(0, family), argument{Index: 1, Value: 15, ValueTwo: kind, Op: "SCMP_CMP_MASKED_EQ"}))
		}
	}
	for _, level := range []uint64{1, 6, 17} { // SOL_SOCKET, TCP, UDP
		out = append(out, allow("setsockopt", is(1, level)))
	}
	for _, level := range []uint64{0, 41} { // IP, IPv6
		out = append(out, allow("setsockopt", is(1, level), argument{Index: 2, Value: 64, Op: "SCMP_CMP_LT"}))
	}
	return out
}

func TestProfilesAreDerived(t *testing.T) {
	text, err := os.ReadFile("seccomp/testdata/moby-default.json")
	if err != nil {
		t.Fatal(err)
	}
	var def filter
	if err := json.Unmarshal(text, &def); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		shipped string
		browser bool
	}{
		"sealed":  {profile("shell"), false},
		"browser": {profile("web"), true},
	} {
		want := encodeFilter(t, derive(def, tc.browser))
		if *update {
			if err := os.WriteFile("seccomp/"+name+".json", want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if diff := cmp.Diff(string(want), tc.shipped); diff != "" {
			t.Errorf("%s.json differs from its derivation (-want +shipped):\n%s", name, diff)
		}
	}
}

func encodeFilter(t *testing.T, f filter) []byte {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "\t")
	if err := enc.Encode(f); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The shipped text is what counts, so the promises are checked on it and not on derive.
func TestProfilesRefuse(t *testing.T) {
	for _, kind := range []string{"shell", "file", "web", "", "unheard-of"} {
		var f filter
		if err := json.Unmarshal([]byte(profile(kind)), &f); err != nil {
			t.Fatal(err)
		}
		if f.DefaultAction != "SCMP_ACT_ERRNO" {
			t.Errorf("profile(%q) allows by default: %s", kind, f.DefaultAction)
		}
		for _, a := range f.ArchMap {
			if len(a.SubArchitectures) > 0 {
				t.Errorf("profile(%q) has sub-architectures %v of %s, want none", kind, a.SubArchitectures, a.Architecture)
			}
		}
		for _, r := range f.Syscalls {
			if r.Action != "SCMP_ACT_ALLOW" {
				continue
			}
			for _, name := range r.Names {
				if slices.Contains(forbidden, name) || strings.HasPrefix(name, "io_uring") {
					t.Errorf("profile(%q) allows %s", kind, name)
				}
				if kind == "web" && name == "socket" && (r.Args[0].Value == 16 || r.Args[0].Value != 1 && len(r.Args) != 2) {
					t.Errorf("profile(%q) allows sockets with %+v", kind, r.Args)
				}
				if kind == "web" && name == "setsockopt" && len(r.Args) == 0 {
					t.Errorf("profile(%q) allows %s with any arguments", kind, name)
				}
				if slices.Contains([]string{"socket", "socketpair", "clone", "unshare"}, name) && len(r.Args) == 0 {
					t.Errorf("profile(%q) allows %s with any arguments", kind, name)
				}
				if kind != "web" && (name == "unshare" || name == "chroot") {
					t.Errorf("profile(%q) allows %s", kind, name)
				}
				if kind != "web" && name == "socket" {
					t.Errorf("profile(%q) allows sockets of family %d", kind, r.Args[0].Value)
				}
			}
		}
	}
}
