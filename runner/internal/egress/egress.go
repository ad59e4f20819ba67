// Package egress is the vetted way out of a container: it takes the connections of one task's
// browser and lets through what the task's token names, and nothing else.
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

// Options are what a Proxy is made of.
type Options struct {
	Resolver Resolver // nil: Go's own, asking the servers of this computer's resolv.conf
	Limits   Limits
	// Addresses lists those of this computer, which are never reached; nil asks the kernel each time.
	Addresses func() ([]netip.Addr, error)
	// Exempt are addresses that pass although they are not public, each with the port that stands for
	// 443. It exists for tests with servers on loopback; a test proves that no program sets it.
	Exempt map[netip.Addr]uint16
	Now    func() time.Time
}

// Proxy is the way out of one runner.
type Proxy struct{}

// New returns a Proxy.
func New(o Options) *Proxy { panic("not written yet") }

// Canary proves, with no network, that the very code that serves tasks refuses an unlisted name, a
// listed one with a private address, and a ClientHello for another name. Its error says what was let through.
func (p *Proxy) Canary(ctx context.Context) error { panic("not written yet") }

// Task is the way out of one task. The zero Task refuses everything.
type Task struct{}

// Task returns the way out for the names of one verified token. told gets every decision, from many
// goroutines, and must not block for long.
func (p *Proxy) Task(names domain.List, told func(run.Egress)) *Task { panic("not written yet") }

// Serve handles one connection of the browser until it ends, and closes it. It starts with one
// CONNECT request (RFC 9110 section 9.3.6).
func (t *Task) Serve(ctx context.Context, conn net.Conn) { panic("not written yet") }

// Close ends the task's accounting and tells the totals and the repetitions that were only counted.
func (t *Task) Close() { panic("not written yet") }
