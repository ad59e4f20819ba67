package egress

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/internal/domain"
)

func ports(list ...string) (out []netip.AddrPort) {
	for _, s := range list {
		out = append(out, netip.MustParseAddrPort(s))
	}
	return out
}

func TestAlternate(t *testing.T) {
	for name, tc := range map[string]struct{ in, want []netip.AddrPort }{
		"one":          {ports("1.1.1.1:443"), ports("1.1.1.1:443")},
		"one family":   {ports("1.1.1.1:443", "1.1.1.2:443"), ports("1.1.1.1:443", "1.1.1.2:443")},
		"two families": {ports("[2600::1]:443", "[2600::2]:443", "1.1.1.1:443"), ports("[2600::1]:443", "1.1.1.1:443", "[2600::2]:443")},
	} {
		t.Run(name, func(t *testing.T) {
			if got := alternate(tc.in); !cmp.Equal(got, tc.want, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })) {
				t.Errorf("alternate(%v) = %v, want %v", tc.in, got, tc.want)
			}
		})
	}
}

// How long each address takes and what it says; what is chosen, when, and that the rest is closed.
func TestDial(t *testing.T) {
	type site struct {
		after time.Duration
		err   error
		deaf  bool // connects although nobody wants it any more
	}
	refused := errors.New("connection refused")
	never := site{after: time.Hour}
	for name, tc := range map[string]struct {
		sites []site
		want  int // which of them, -1: none
		took  time.Duration
	}{
		"the first":                     {[]site{{10 * time.Millisecond, nil, false}, {0, nil, false}}, 0, 10 * time.Millisecond},
		"the first refuses":             {[]site{{10 * time.Millisecond, refused, false}, {5 * time.Millisecond, nil, false}}, 1, 15 * time.Millisecond},
		"the first is silent":           {[]site{never, {5 * time.Millisecond, nil, false}}, 1, headStart + 5*time.Millisecond},
		"the first is slow but quicker": {[]site{{headStart + 10*time.Millisecond, nil, false}, {time.Second, nil, false}}, 0, headStart + 10*time.Millisecond},
		"two are silent":                {[]site{never, never, {0, nil, false}}, 2, 2 * headStart},
		"all refuse":                    {[]site{{0, refused, false}, {0, refused, false}, {0, refused, false}}, -1, 0},
		"all are silent":                {[]site{never, never}, -1, 10 * time.Second},
		"two connect":                   {[]site{{500 * time.Millisecond, nil, true}, {5 * time.Millisecond, nil, false}}, 1, 500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &Proxy{limits: DefaultLimits()}
				var mu sync.Mutex
				var open []io.Closer
				closed := 0
				p.connect = func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
					s := tc.sites[to.Addr().As4()[3]]
					select {
					case <-time.After(s.after):
					case <-done(ctx, s.deaf):
						return nil, ctx.Err()
					}
					if s.err != nil {
						return nil, s.err
					}
					a, b := net.Pipe()
					mu.Lock()
					defer mu.Unlock()
					open = append(open, b)
					return noted{a, func() { mu.Lock(); closed++; mu.Unlock() }}, nil
				}
				var vetted []netip.AddrPort
				for i := range tc.sites {
					vetted = append(vetted, netip.AddrPortFrom(netip.AddrFrom4([4]byte{1, 1, 1, byte(i)}), 443))
				}
				begun := time.Now()
				conn, to, err := p.dial(t.Context(), vetted)
				if took := time.Since(begun); took != tc.took {
					t.Errorf("dial took %v, want %v", took, tc.took)
				}
				if tc.want < 0 {
					if err == nil || domain.CodeOf(err) != codeDialError {
						t.Errorf("dial = %v, %v, want %s", to, err, codeDialError)
					}
				} else if err != nil || to != vetted[tc.want] {
					t.Errorf("dial = %v, %v, want %v", to, err, vetted[tc.want])
				} else {
					conn.Close()
				}
				if mu.Lock(); closed != len(open) {
					t.Errorf("%d connections were opened and %d closed, want all", len(open), closed)
				}
				mu.Unlock()
			})
		})
	}
}

func done(ctx context.Context, deaf bool) <-chan struct{} {
	if deaf {
		return nil
	}
	return ctx.Done()
}

type noted struct {
	net.Conn
	note func()
}

func (n noted) Close() error { n.note(); return n.Conn.Close() }

func TestRecheck(t *testing.T) {
	exempt := netip.MustParseAddr("127.0.0.5")
	p := New(Options{Addresses: func() ([]netip.Addr, error) { return nil, nil }, Exempt: map[netip.Addr]uint16{exempt: 8443}})
	for name, tc := range map[string]struct {
		to, network, address string
		ok                   bool
	}{
		"the vetted address":         {"93.184.216.34:443", "tcp4", "93.184.216.34:443", true},
		"the vetted IPv6":            {"[2606:4700::1]:443", "tcp6", "[2606:4700::1]:443", true},
		"another address":            {"93.184.216.34:443", "tcp4", "93.184.216.35:443", false},
		"another port":               {"93.184.216.34:443", "tcp4", "93.184.216.34:80", false},
		"a port that is never right": {"93.184.216.34:80", "tcp4", "93.184.216.34:80", false},
		"a private address":          {"10.0.0.1:443", "tcp4", "10.0.0.1:443", false},
		"a socket of the system":     {"93.184.216.34:443", "unix", "/var/run/docker.sock", false},
		"UDP":                        {"93.184.216.34:443", "udp4", "93.184.216.34:443", false},
		"a name":                     {"93.184.216.34:443", "tcp4", "example.com:443", false},
		"a zone":                     {"[2606:4700::1]:443", "tcp6", "[2606:4700::1%eth0]:443", false},
		"exempt":                     {"127.0.0.5:8443", "tcp4", "127.0.0.5:8443", true},
		"exempt, another port":       {"127.0.0.5:22", "tcp4", "127.0.0.5:22", false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := p.recheck(netip.MustParseAddrPort(tc.to), tc.network, tc.address); (err == nil) != tc.ok {
				t.Errorf("recheck(%s, %s, %s) = %v, want ok: %t", tc.to, tc.network, tc.address, err, tc.ok)
			}
		})
	}
}

// The check stands in the dialer itself: even an address that somebody passed by mistake is not reached.
func TestConnectTCPChecks(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	to := netip.MustParseAddrPort(l.Addr().String())
	if conn, err := New(Options{}).connectTCP(t.Context(), to); err == nil || domain.CodeOf(err) != "loopback" {
		t.Errorf("connectTCP(%v) = %v, %v, want the refusal loopback", to, conn, err)
	}
	p := New(Options{Exempt: map[netip.Addr]uint16{to.Addr(): to.Port()}})
	conn, err := p.connectTCP(t.Context(), to)
	if err != nil {
		t.Fatalf("connectTCP(%v), exempt: %v", to, err)
	}
	conn.Close()
}
