package egress

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestCanary(t *testing.T) {
	asked := 0
	p := New(Options{Limits: DefaultLimits()})
	p.resolver = nil // no network, nor a name server: a call here would panic
	p.connect = nil
	own := p.own
	p.own = func() ([]netip.Addr, error) { asked++; return own() }
	begun := time.Now()
	if err := p.Canary(t.Context()); err != nil {
		t.Errorf("Canary() = %v, want none", err)
	}
	if asked == 0 {
		t.Error("Canary did not ask for the addresses of this computer, so it ran other code than tasks do")
	}
	t.Logf("Canary took %v", time.Since(begun))
}

// A canary that cannot find anything proves nothing: each of these lets something through, or nothing.
func TestCanaryFinds(t *testing.T) {
	everything := map[netip.Addr]uint16{netip.MustParseAddr("169.254.169.254"): 443, netip.MustParseAddr("10.0.0.1"): 443}
	for name, tc := range map[string]struct {
		proxy *Proxy
		want  []string
	}{
		"private addresses pass": {New(Options{Limits: DefaultLimits(), Exempt: everything}), []string{
			"metadata service: decided \"\" (allowed: true), want \"link_local\"", "private address: decided \"\" (allowed: true), want \"private\""}},
		"nothing passes": {New(Options{}), []string{"public address: decided \"limit\""}},
		"the zero Proxy": {&Proxy{}, []string{"public address: decided \"limit\""}},
		"addresses fail": {New(Options{Limits: DefaultLimits(), Addresses: func() ([]netip.Addr, error) { return nil, context.Canceled }}),
			[]string{"public address: decided \"self\""}},
	} {
		t.Run(name, func(t *testing.T) {
			err := tc.proxy.Canary(t.Context())
			for _, want := range tc.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("Canary() = %v, want %q in it", err, want)
				}
			}
		})
	}
}
