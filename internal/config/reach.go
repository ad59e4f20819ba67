package config

import (
	"slices"

	"github.com/secureclaw/secureclaw/internal/domain"
)

// Reach is what a call that opens a page of host may reach: host itself, then what the configuration
// adds for the parts of its pages. trusted says whether such a page may be opened without asking:
// host is a trusted domain, and not only where parts come from.
func (c *Config) Reach(host domain.Name) (names []string, trusted bool) {
	names = []string{string(host)}
	add := func(more []string) {
		for _, name := range more {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	for _, site := range c.TrustedDomains {
		if domain.Pattern(site.Name).Covers(host) {
			trusted = true
			add(site.With)
		}
	}
	add(c.Executors["web"].Domains)
	return names, trusted
}
