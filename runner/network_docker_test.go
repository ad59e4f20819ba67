//go:build docker

package runner

import (
	"bytes"
	"encoding/binary"
	"flag"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// networkEnv marks the process that runs in a network of its own. Its value is in every name that no
// page may reach.
const networkEnv = "SECURECLAW_TEST_NETWORK"

// inNetwork reports whether this process has a network of its own: loopback, and one way out that
// leads nowhere and is watched. If not it runs the test again in a process that has, and passes on how
// that went. The engine is reached by its Unix socket from there, too. While it runs, the real
// network is watched for what a page would have said in clear.
func inNetwork(t *testing.T) bool {
	t.Helper()
	if os.Getenv(networkEnv) != "" {
		return true
	}
	mark := "n" + nonce()
	tap := newWiretap(t, 0, func(packet []byte) bool { return bytes.Contains(packet, []byte(mark)) })
	pattern := "^" + t.Name() + "$"
	if given := flag.Lookup("test.run").Value.String(); strings.HasPrefix(given, pattern+"/") || strings.HasPrefix(given, t.Name()+"/") {
		pattern = given
	}
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+pattern, "-test.v", "-test.timeout=40m", "-test.parallel="+flag.Lookup("test.parallel").Value.String())
	again.Env = append(os.Environ(), networkEnv+"="+mark)
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	out, err := again.CombinedOutput()
	t.Logf("in a network of its own:\n%s", out)
	if err != nil {
		t.Errorf("in a network of its own: %v", err)
	}
	if !bytes.Contains(out, []byte("--- PASS: "+t.Name())) && err == nil {
		t.Error("in a network of its own: nothing ran")
	}
	for _, packet := range tap.packets() {
		t.Errorf("on this computer's network: a packet about a host that is not allowed: %x", packet)
	}
	return false
}

// tapWayOut brings up the network of this process and watches its way out.
func tapWayOut(t *testing.T) *wiretap {
	t.Helper()
	for _, line := range []string{
		"link set lo up",
		"link add out0 type veth peer name out1",
		"link set out0 addrgenmode none",
		"link set out1 addrgenmode none",
		"link set out1 up",
		"link set out0 arp off up",
		"addr add 203.0.113.2/24 dev out0",
		"route add default via 203.0.113.1 dev out0",
		"-6 addr add 2001:db8::2/64 dev out0 nodad",
		"-6 route add default via 2001:db8::1 dev out0",
	} {
		if out, err := exec.CommandContext(t.Context(), "ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s (this test makes a network, as root)", line, err, out)
		}
	}
	link, err := net.InterfaceByName("out0")
	if err != nil {
		t.Fatal(err)
	}
	tap := newWiretap(t, link.Index, func(packet []byte) bool { return !housekeeping(packet) })
	// What leaves is seen, or seeing nothing would prove nothing.
	for _, address := range []string{"198.51.100.7:53", "[2001:db8:1::7]:53"} {
		c, err := net.Dial("udp", address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("seen?")); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			if seen := tap.packets(); len(seen) == 1 && bytes.HasSuffix(seen[0], []byte("seen?")) {
				break
			} else if len(seen) > 0 || time.Now().After(end) {
				t.Fatalf("a packet to %s is seen as %x", address, seen)
			}
		}
	}
	return tap
}

// wiretap sees the packets of one interface, or of all, and keeps those that matter.
type wiretap struct {
	fd   int
	keep func(packet []byte) bool

	mu  sync.Mutex
	got [][]byte
}

func newWiretap(t *testing.T, link int, keep func([]byte) bool) *wiretap {
	t.Helper()
	all := binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL}) // in network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(all))
	if err != nil {
		t.Fatalf("watch the network: %v (this test needs root)", err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 32<<20)
	timeout := unix.NsecToTimeval(int64(100 * time.Millisecond))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		t.Fatal(err)
	}
	if link != 0 {
		if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: link}); err != nil {
			t.Fatal(err)
		}
	}
	w := &wiretap{fd: fd, keep: keep}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		w.watch(stop)
	}()
	t.Cleanup(func() { close(stop); <-done; _ = unix.Close(fd) })
	return w
}

func (w *wiretap) watch(stop <-chan struct{}) {
	for buf := make([]byte, 64<<10); ; {
		select {
		case <-stop:
			return
		default:
		}
		n, _, err := unix.Recvfrom(w.fd, buf, 0)
		if err != nil || !w.keep(buf[:n]) {
			continue
		}
		w.mu.Lock()
		if len(w.got) < 100 { // more say no more
			w.got = append(w.got, bytes.Clone(buf[:min(n, 400)]))
		}
		w.mu.Unlock()
	}
}

// housekeeping is what a kernel says about an IPv6 address of its own: multicast membership and
// neighbours (ICMPv6 130 to 143). No program can make it say more in it.
func housekeeping(frame []byte) bool {
	if len(frame) < 14+40+8 || frame[12] != 0x86 || frame[13] != 0xdd {
		return false
	}
	next, at := frame[20], 54
	if next == 0 { // hop-by-hop, before membership reports
		next, at = frame[54], 54+8*(int(frame[55])+1)
	}
	return next == 58 && at < len(frame) && frame[at] >= 130 && frame[at] <= 143
}

// packets are those seen since the last time.
func (w *wiretap) packets() [][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	got := w.got
	w.got = nil
	return got
}
