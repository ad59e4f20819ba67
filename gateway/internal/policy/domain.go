package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/domain"
)

// Sites is what the configuration says of names; [*config.Config] is one.
type Sites interface {
	// Reach is what a call that opens a page of host may reach, and whether host is a trusted domain.
	Reach(host domain.Name) (names []string, trusted bool)
	// Named reports whether host itself stands among the trusted domains, and not only below a wildcard.
	Named(host domain.Name) bool
}

// noSites trusts nothing.
type noSites struct{}

func (noSites) Reach(host domain.Name) ([]string, bool) { return []string{string(host)}, false }
func (noSites) Named(domain.Name) bool                  { return false }

// domainKey is the condition on the domains of a call, not on an argument.
//
// In notify and autoApprove it must cover every domain of a call that has one: a name by itself or by
// "*.name" (one label more, as package domain says), a wildcard of the call by the very same. The
// pattern trustedDomains covers the names of a page's whole site: the first domain of the call is
// trusted, and each further one is what the configuration adds for it.
//
// What autoApprove lets run is told all the same when a rule in notify covers one of its domains.
//
// In requireApproval one domain is enough, and wildcards reach every name below them, however deep.
// A domain that cannot be read holds too.
const domainKey = "domain"

// checkDomainPattern refuses what a configuration may not hold.
func checkDomainPattern(tier claw.Tier, p string) error {
	if p == config.TrustedKeyword || p == "*" && tier == claw.Ask {
		return nil
	}
	if _, err := domain.ParsePattern(p); err != nil {
		return fmt.Errorf("%q %w", p, err)
	}
	return nil
}

// target is one domain of a call: a name, or a wildcard. The zero target cannot be read.
type target struct {
	name domain.Name
	wild domain.Pattern
}

func targetOf(d string) target {
	if name, err := domain.Parse(d); err == nil {
		return target{name: name}
	}
	d = strings.ToLower(strings.TrimSuffix(d, "."))
	if p, err := domain.ParsePattern(d); err == nil {
		return target{wild: p}
	}
	return target{}
}

func (t target) odd() bool { return t == target{} }

// domainsHold judges the condition for the domains of a call.
func (c condition) domainsHold(tier claw.Tier, sites Sites, domains []string) bool {
	if tier == claw.Ask {
		return slices.ContainsFunc(domains, func(d string) bool { return c.mayReach(sites, targetOf(d)) })
	}
	surely := c.surely(sites, domains)
	return len(domains) > 0 && !slices.ContainsFunc(domains, func(d string) bool { return !surely(d) })
}

// surely reports of one of the domains of a call whether the condition covers it.
func (c condition) surely(sites Sites, domains []string) func(string) bool {
	var site []string // what the configuration gives to the page
	if len(domains) > 0 && slices.Contains(c.patterns, config.TrustedKeyword) {
		if first := targetOf(domains[0]); first.name != "" {
			if names, trusted := sites.Reach(first.name); trusted {
				site = names
			}
		}
	}
	return func(d string) bool {
		t := targetOf(d)
		return !t.odd() && (slices.Contains(site, t.String()) || c.covers(t))
	}
}

// String is the one form of a domain.
func (t target) String() string { return string(t.name) + string(t.wild) }

// covers is the careful reading: every name that t stands for is one of a pattern's.
func (c condition) covers(t target) bool {
	return slices.ContainsFunc(c.patterns, func(p string) bool {
		return p != config.TrustedKeyword && (domain.Pattern(p).Covers(t.name) || t.wild != "" && string(t.wild) == p)
	})
}

// mayReach is the wide reading: t may be, or reach, a name of a pattern or one below it.
func (c condition) mayReach(sites Sites, t target) bool {
	if t.odd() {
		return true
	}
	return slices.ContainsFunc(c.patterns, func(p string) bool {
		switch p {
		case "*":
			return true
		case config.TrustedKeyword:
			_, trusted := sites.Reach(t.name)
			return trusted || t.wild != "" // some name below a wildcard may be a trusted one
		}
		return below(t.String(), p) || t.wild != "" && below(p, t.String())
	})
}

// below reports whether name is the pattern, or stands below it when that is a wildcard.
func below(name, pattern string) bool {
	suffix, wild := strings.CutPrefix(pattern, "*")
	return name == pattern || wild && strings.HasSuffix(name, suffix) && name != suffix[1:]
}

// whyDomains says in words which domain the condition does not cover.
func (c condition) whyDomains(sites Sites, tier claw.Tier, domains []string) string {
	if len(domains) == 0 {
		return "the call reaches no domain"
	}
	uncovered := domains
	if tier != claw.Ask {
		for i, d := range domains {
			// With the names before it, for they say whose page it is.
			if !c.domainsHold(tier, sites, domains[:i+1]) {
				uncovered = []string{d}
				break
			}
		}
	}
	if slices.Equal(c.patterns, []string{config.TrustedKeyword}) {
		if uncovered[0] == domains[0] {
			return fmt.Sprintf("%q is not one of trustedDomains", uncovered[0])
		}
		return fmt.Sprintf("%q is not what trustedDomains gives to pages of %q", uncovered[0], domains[0])
	}
	return fmt.Sprintf("domain %q is not covered by %q", uncovered, c.patterns)
}
