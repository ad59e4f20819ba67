package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"

	"github.com/secureclaw/secureclaw/internal/domain"
)

// maxAnswers is the most addresses that a name may have. Sites have a handful; a flood of them is a
// way to make somebody try many.
const maxAnswers = 16

// systemResolver is Go's own: no C library, no mDNS, nothing that a module of the system adds. It
// reads resolv.conf, checks the question and the id of answers, and asks by TCP what is too long for
// UDP. StrictErrors: when one of the two questions (A, AAAA) stays open, not all answers were seen, and
// the name is refused. A name in /etc/hosts is answered from there, because whoever writes that file
// is root; such an answer is judged like any other.
func systemResolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, StrictErrors: true}
}

// vet asks for the addresses of a name, once, and judges each. One that is not public refuses the
// name: what comes next to it may be a trap of the same making, and a site that means well has none.
func (p *Proxy) vet(ctx context.Context, name domain.Name) ([]netip.AddrPort, error) {
	ctx, cancel := context.WithTimeout(ctx, p.limits.Resolve)
	defer cancel()
	// The final dot makes the name absolute: no search suffix of resolv.conf is tried on it.
	answers, err := p.resolver.LookupNetIP(ctx, "ip", string(name)+".")
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, refuse(codeDNSError, "the DNS did not answer within %v", p.limits.Resolve)
	case err != nil:
		return nil, refuse(codeDNSError, "the DNS has no answer: %.200v", err)
	case len(answers) == 0:
		return nil, refuse(codeDNSError, "the DNS knows no address of the name")
	case len(answers) > maxAnswers:
		return nil, refuse(codeDNSTooMany, "the name has %d addresses, the most is %d", len(answers), maxAnswers)
	}
	var vetted []netip.AddrPort
	for _, addr := range answers {
		port, err := p.judge(addr)
		if err != nil {
			return nil, err
		}
		if to := netip.AddrPortFrom(addr.Unmap(), port); !slices.Contains(vetted, to) {
			vetted = append(vetted, to)
		}
	}
	return vetted, nil
}
