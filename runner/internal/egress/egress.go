// Package egress is the vetted way out of a container: it takes the connections of one task's
// browser and lets through what the task's token names, and nothing else.
//
//	browser ── CONNECT name:443 ──▶ Task.Serve
//	                                  read the request    one spelling, a name, port 443
//	                                  the task's list     before any question to the DNS
//	                                  resolve             every answer must be public
//	                                  dial                exactly an address that was checked
//	browser ◀── 200 ──────────────────┘
//	browser ── ClientHello ─────────▶ its name must be the same, and no other hidden in it
//	browser ◀═ bytes, counted ══════▶ site
//
// It promises that each step comes after the one above it, that the first refusal is the last word,
// and that every decision is told once it is made. Which policy holds is settled by the stream that
// the runner attached, never by what the peer says.
//
// It refuses everything that it was not told to allow: the zero [Options], [Limits], [Proxy] and
// [Task] let nothing through. TLS is not opened, so a page of an allowed site can misuse that site.
package egress

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/secureclaw/secureclaw/internal/domain"
	"github.com/secureclaw/secureclaw/internal/run"
)

// Resolver asks the DNS. *net.Resolver is one.
type Resolver interface {
	// LookupNetIP is given "ip" and an absolute name, with a final dot.
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Limits are the most that one task can move. A zero limit allows nothing.
type Limits struct {
	Streams  int           // open at once
	UpStream int64         // bytes up in one connection
	UpTask   int64         // bytes up in all
	Down     int64         // bytes down in all
	Resolve  time.Duration // for one name
	Dial     time.Duration // for one connection
	Hello    time.Duration // for the whole ClientHello
	Idle     time.Duration // nothing either way
}

// DefaultLimits are those of SECURITY.md.
func DefaultLimits() Limits {
	return Limits{Streams: 64, UpStream: 256 << 10, UpTask: 1 << 20, Down: 64 << 20,
		Resolve: 5 * time.Second, Dial: 10 * time.Second, Hello: 10 * time.Second, Idle: 60 * time.Second}
}

// complete reports whether every limit allows something: one that was forgotten allows nothing.
func (l Limits) complete() bool {
	return l.Streams > 0 && l.UpStream > 0 && l.UpTask > 0 && l.Down > 0 &&
		l.Resolve > 0 && l.Dial > 0 && l.Hello > 0 && l.Idle > 0
}

// Options are what a Proxy is made of.
type Options struct {
	Resolver Resolver // nil: Go's own, asking the servers of this computer's resolv.conf
	Limits   Limits
	// Addresses lists those of this computer, which are never reached; nil asks the kernel each time.
	Addresses func() ([]netip.Addr, error)
	// Exempt are addresses that pass although they are not public, each with the port that stands for
	// 443. It exists for tests with servers on loopback; a test proves that no program sets it.
	Exempt map[netip.Addr]uint16
}

// Proxy is the way out of one runner. The zero Proxy refuses everything.
type Proxy struct {
	resolver Resolver
	limits   Limits
	own      func() ([]netip.Addr, error)
	exempt   map[netip.Addr]uint16
	connect  func(context.Context, netip.AddrPort) (net.Conn, error) // TCP, but in the canary and in tests
}

// New returns a Proxy.
func New(o Options) *Proxy {
	p := &Proxy{resolver: o.Resolver, limits: o.Limits, own: o.Addresses, exempt: o.Exempt}
	if p.resolver == nil {
		p.resolver = systemResolver()
	}
	if p.own == nil {
		p.own = kernelAddresses
	}
	p.connect = p.connectTCP
	return p
}

// Task returns the way out for the names of one verified token. told gets every decision, from many
// goroutines but never from two at once, and must not block for long.
func (p *Proxy) Task(names domain.List, told func(run.Egress)) *Task {
	return &Task{proxy: p, names: names, told: told, seen: map[decision]*record{}, asked: map[domain.Name]bool{}}
}
