// Command browser starts Chromium in a container as the web executor does, opens a page, and reports what
// the kernel says of each process, as one line of JSON. It uses nothing of the executor, whose flags are its own affair.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// climb tries what somebody does who took over the browser and wants the kernel: a user and a network
// namespace of his own, where he has every capability, and from there its packet filters.
func climb(step string) {
	if step == "outside" {
		cmd := exec.Command("/proc/self/exe", "inside")
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		}
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			fail(err)
		}
		return
	}
	got := map[string]string{"CapEff": look("/proc/self").CapEff}
	try := func(name string, family, kind, protocol int) int {
		fd, err := syscall.Socket(family, kind, protocol)
		got[name] = "ok"
		if err != nil {
			got[name] = err.Error()
		}
		return fd
	}
	try("raw", syscall.AF_INET, syscall.SOCK_RAW, syscall.IPPROTO_RAW)
	try("raw6", syscall.AF_INET6, syscall.SOCK_RAW, syscall.IPPROTO_RAW)
	try("icmp", syscall.AF_INET, syscall.SOCK_RAW, syscall.IPPROTO_ICMP)
	try("route", syscall.AF_NETLINK, syscall.SOCK_RAW, syscall.NETLINK_ROUTE)
	try("netfilter", syscall.AF_NETLINK, syscall.SOCK_RAW, syscall.NETLINK_NETFILTER)
	try("packet", syscall.AF_PACKET, syscall.SOCK_RAW, 0)
	try("seqpacket", syscall.AF_INET, syscall.SOCK_SEQPACKET, 0)
	tcp := try("tcp", syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	for name, option := range map[string][2]int{
		"nodelay": {syscall.IPPROTO_TCP, syscall.TCP_NODELAY}, "tos": {syscall.IPPROTO_IP, syscall.IP_TOS},
		"iptables": {syscall.IPPROTO_IP, 64}, "ip6tables": {syscall.IPPROTO_IPV6, 64}, "arptables": {syscall.IPPROTO_IP, 96}, "level raw": {255, 1},
	} {
		got["option "+name] = "ok"
		if err := syscall.SetsockoptInt(tcp, option[0], option[1], 0); err != nil {
			got["option "+name] = err.Error()
		}
	}
	out, err := json.Marshal(got)
	if err != nil {
		fail(err)
	}
	fmt.Println(string(out))
}

// report is what became of the browser.
type report struct {
	Answered  bool   // to the first request over the pipe
	Said      string // on stderr
	Processes []process
	Own       process // this program, in the container's own namespaces
}

// process is one process as /proc shows it.
type process struct {
	Type, Subtype                string // --type and --utility-sub-type
	Args                         string
	Seccomp, Filters, NoNewPrivs string
	CapEff, Uid                  string
	UserNS, PidNS, NetNS         string
}

func main() {
	if len(os.Args) > 1 {
		climb(os.Args[1])
		return
	}
	commands, toBrowser, err1 := os.Pipe()
	fromBrowser, answers, err2 := os.Pipe()
	if err1 != nil || err2 != nil {
		fail(err1, err2)
	}
	// No --no-sandbox, and none of its relatives.
	cmd := exec.Command("/usr/lib/chromium/chromium", "--headless", "--remote-debugging-pipe", "--user-data-dir=/tmp/profile",
		"--no-startup-window", "--no-first-run", "--disable-gpu", "--disable-software-rasterizer", "--disable-background-networking")
	cmd.ExtraFiles = []*os.File{commands, answers}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		fail(err)
	}
	commands.Close()
	answers.Close()
	lines := bufio.NewReader(fromBrowser)
	ask := func(request string) bool {
		_, _ = toBrowser.WriteString(request + "\x00")
		_, err := lines.ReadBytes(0)
		return err == nil
	}
	var r report
	if r.Answered = ask(`{"id":1,"method":"Browser.getVersion"}`); r.Answered {
		ask(`{"id":2,"method":"Target.createTarget","params":{"url":"data:text/html,<title>x</title>hello"}}`)
		// A process appears before it has locked itself up: a filter of its own is the last step.
		for range 100 {
			if r.Processes = processes(); settled(r.Processes) {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
	} else {
		_ = cmd.Wait()
	}
	r.Own = look("/proc/self")
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	r.Said = stderr.String()
	out, err := json.Marshal(r)
	if err != nil {
		fail(err)
	}
	fmt.Println(string(out))
}

func fail(errs ...error) {
	fmt.Fprintln(os.Stderr, errs)
	os.Exit(1)
}

// settled is true when there is a page's process, and all that lock themselves up have.
func settled(all []process) bool {
	pages := false
	for _, p := range all {
		switch p.Type {
		case "", "zygote":
		case "renderer":
			pages = true
			fallthrough
		default:
			if p.Filters == "1" {
				return false
			}
		}
	}
	return pages
}

// processes are Chromium's own: everything here but this program.
func processes() []process {
	var out []process
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		if dir == fmt.Sprintf("/proc/%d", os.Getpid()) {
			continue
		}
		if p := look(dir); p.Args != "" {
			out = append(out, p)
		}
	}
	return out
}

func look(dir string) process {
	args, _ := os.ReadFile(dir + "/cmdline")
	p := process{Args: strings.TrimSpace(strings.ReplaceAll(string(args), "\x00", " "))}
	for _, arg := range strings.Fields(p.Args) {
		if v, ok := strings.CutPrefix(arg, "--type="); ok {
			p.Type = v
		}
		if v, ok := strings.CutPrefix(arg, "--utility-sub-type="); ok {
			p.Subtype = v
		}
	}
	status, _ := os.ReadFile(dir + "/status")
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		value = strings.Join(strings.Fields(value), " ")
		switch name {
		case "Seccomp":
			p.Seccomp = value
		case "Seccomp_filters":
			p.Filters = value
		case "NoNewPrivs":
			p.NoNewPrivs = value
		case "CapEff":
			p.CapEff = value
		case "Uid":
			p.Uid = value
		}
	}
	for name, to := range map[string]*string{"user": &p.UserNS, "pid": &p.PidNS, "net": &p.NetNS} {
		link, err := os.Readlink(dir + "/ns/" + name)
		if err != nil {
			link = err.Error()
		}
		*to = link
	}
	return p
}
