//go:build docker

package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// wiretap counts every packet on an interface, in and out, by what it is.
type wiretap struct {
	mu   sync.Mutex
	seen map[string]int
}

// The packets that a browse may cause, as wiretap names them; both directions count as one.
const (
	webPackets  = "tcp " + ownAddress + " " + siteAddress + ":443"
	namePackets = "udp " + ownAddress + " " + nameServer + ":53"
)

// tap begins to count on an interface of this thread's network namespace.
func tap(t testing.TB, name string) (*wiretap, error) {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return nil, err
	}
	all := int(binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL)))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all)
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: uint16(all), Ifindex: link.Index}),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20), // what is dropped is not counted
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000}),
	)
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	w := &wiretap{seen: map[string]int{}}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		defer unix.Close(fd)
		frame := make([]byte, 64<<10)
		for {
			n, _, err := unix.Recvfrom(fd, frame, 0)
			switch {
			case err == nil:
				w.count(frame[:n])
			case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR), errors.Is(err, unix.ENETDOWN): // it is not up yet
			default:
				t.Errorf("the wiretap: %v", err)
				<-done
				return
			}
			select {
			case <-done:
				return
			default:
			}
		}
	}()
	t.Cleanup(func() {
		if stats, err := unix.GetsockoptTpacketStats(fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err != nil || stats.Drops > 0 {
			t.Errorf("the wiretap lost packets: %+v, %v", stats, err)
		}
		close(done)
		<-ended
	})
	return w, nil
}

func (w *wiretap) count(frame []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen[kindOf(frame)]++
}

// kindOf names an Ethernet frame: protocol and the two ends, the port of a well-known service only.
func kindOf(frame []byte) string {
	if len(frame) < 14 {
		return "runt"
	}
	kind, ip := binary.BigEndian.Uint16(frame[12:]), frame[14:]
	if kind != unix.ETH_P_IP || len(ip) < 20 {
		return fmt.Sprintf("ethertype %#04x", kind)
	}
	from, to := netip.AddrFrom4([4]byte(ip[12:16])).String(), netip.AddrFrom4([4]byte(ip[16:20])).String()
	head := int(ip[0]&15) * 4
	name, known := map[byte]string{unix.IPPROTO_TCP: "tcp", unix.IPPROTO_UDP: "udp"}[ip[9]]
	if !known || len(ip) < head+4 {
		return fmt.Sprintf("protocol %d %s %s", ip[9], from, to)
	}
	source, target := binary.BigEndian.Uint16(ip[head:]), binary.BigEndian.Uint16(ip[head+2:])
	if from != ownAddress { // an answer
		from, to, target = to, from, source
	}
	return fmt.Sprintf("%s %s %s:%d", name, from, to, target)
}

// total is how many packets of a kind have passed.
func (w *wiretap) total(kind string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[kind]
}

// strange lists what passed and is neither a question to the name server nor a connection to the site.
func (w *wiretap) strange() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, kind := range slices.Sorted(maps.Keys(w.seen)) {
		if kind != webPackets && kind != namePackets {
			out = append(out, fmt.Sprintf("%d × %s", w.seen[kind], kind))
		}
	}
	return out
}

// What the stories promise rests on this: whatever leaves, by whatever protocol, is counted as strange.
func TestWiretapHearsStrangers(t *testing.T) {
	t.Parallel()
	s := newStreet(t)
	s.within(s.here, func() error {
		for network, addrs := range map[string][]string{
			"udp4":     {siteAddress + ":443", "8.8.8.8:53", nameServer + ":123"},
			"tcp4":     {siteAddress + ":80", siteAddress + ":8443", "8.8.8.8:443"},
			"ip4:icmp": {siteAddress},
		} {
			for _, addr := range addrs {
				c, err := net.DialTimeout(network, addr, 200*time.Millisecond)
				if err != nil {
					continue // what counts is that it was tried
				}
				_, err = c.Write([]byte("hello, this is somebody else"))
				if err := errors.Join(err, c.Close()); err != nil {
					return err
				}
			}
		}
		return nil
	})
	for _, want := range []string{
		"udp " + ownAddress + " " + siteAddress + ":443", "udp " + ownAddress + " 8.8.8.8:53", "udp " + ownAddress + " " + nameServer + ":123",
		"tcp " + ownAddress + " " + siteAddress + ":80", "tcp " + ownAddress + " " + siteAddress + ":8443", "tcp " + ownAddress + " 8.8.8.8:443",
		"protocol 1 " + ownAddress + " " + siteAddress,
	} {
		found := false
		for deadline := time.Now().Add(patience); !found && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			found = slices.ContainsFunc(s.wire.strange(), func(line string) bool { return strings.HasSuffix(line, "× "+want) })
		}
		if !found {
			t.Errorf("the wiretap did not hear %s; it heard %q", want, s.wire.strange())
		}
	}
}
