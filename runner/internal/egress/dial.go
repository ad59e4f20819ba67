package egress

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// headStart is how long an address has before the next one is tried beside it (RFC 8305 section 5): a
// network that swallows IPv6 must not cost a page its time.
const headStart = 250 * time.Millisecond

// dial connects to the first of the vetted addresses that answers.
func (p *Proxy) dial(ctx context.Context, vetted []netip.AddrPort) (net.Conn, netip.AddrPort, error) {
	type attempt struct {
		to   netip.AddrPort
		conn net.Conn
		err  error
	}
	ctx, cancel := context.WithTimeout(ctx, p.limits.Dial)
	done := make(chan attempt)
	running := 0
	defer func() {
		cancel()
		for ; running > 0; running-- {
			if late := <-done; late.err == nil {
				late.conn.Close()
			}
		}
	}()
	queue := alternate(vetted)
	next := time.NewTimer(headStart)
	defer next.Stop()
	start := func() {
		to := queue[0]
		queue = queue[1:]
		running++
		next.Reset(headStart)
		go func() {
			conn, err := p.connect(ctx, to)
			done <- attempt{to, conn, err}
		}()
	}
	var last error
	for start(); running > 0; {
		select {
		case a := <-done:
			running--
			if a.err == nil {
				return a.conn, a.to, nil
			}
			last = a.err
			if len(queue) > 0 && ctx.Err() == nil {
				start()
			}
		case <-next.C:
			if len(queue) > 0 {
				start()
			}
		}
	}
	return nil, netip.AddrPort{}, refuse(codeDialError, "none of its %d addresses could be reached: %.200v", len(vetted), last)
}

// alternate keeps the resolver's order within a family and takes turns between the two, the first
// answer's family first.
func alternate(vetted []netip.AddrPort) []netip.AddrPort {
	var turns [2][]netip.AddrPort
	for _, to := range vetted {
		i := 0
		if to.Addr().Is4() != vetted[0].Addr().Is4() {
			i = 1
		}
		turns[i] = append(turns[i], to)
	}
	var queue []netip.AddrPort
	for i := range vetted {
		for _, family := range turns {
			if i < len(family) {
				queue = append(queue, family[i])
			}
		}
	}
	return queue
}

// connectTCP dials one vetted address. Just before the kernel is asked, the address is compared
// and judged once more: whatever a dialer does with names, proxies or fallbacks, nothing else is reached.
func (p *Proxy) connectTCP(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{ControlContext: func(_ context.Context, network, address string, _ syscall.RawConn) error {
		return p.recheck(to, network, address)
	}}
	return d.DialContext(ctx, "tcp", to.String())
}

func (p *Proxy) recheck(to netip.AddrPort, network, address string) error {
	got, err := netip.ParseAddrPort(address)
	if err != nil || got != to || network != "tcp4" && network != "tcp6" {
		return fmt.Errorf("dialling %s %s, which is not %v that was checked", network, address, to)
	}
	port, err := p.judge(to.Addr())
	if err != nil {
		return err
	}
	if port != to.Port() {
		return fmt.Errorf("dialling port %d of %v, which may be reached on %d only", to.Port(), to.Addr(), port)
	}
	return nil
}
