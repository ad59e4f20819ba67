package config

import (
	"fmt"
	"slices"
	"strings"

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

// Named reports whether host itself stands in trustedDomains. What a wildcard covers is trusted, but
// its first label was chosen by whoever wrote the URL.
func (c *Config) Named(host domain.Name) bool {
	return host != "" && slices.ContainsFunc(c.TrustedDomains, func(s Site) bool { return s.Name == string(host) })
}

// String is the site on one line.
func (s Site) String() string {
	if len(s.With) == 0 {
		return s.Name
	}
	return s.Name + ", with " + strings.Join(s.With, ", ")
}

// All names that a call may reach stand in its token, of which a verifier takes 8 KiB. Half of that
// is for them, so that no call of a configuration that was accepted is too large to be signed.
const (
	maxReach = 4 << 10 // bytes of the names of one call
	maxNames = 32      // names of one list
	maxSites = 1000
)

const siteSays = "a name like example.com or *.example.com"

// finishSites checks every name that a call may reach.
func (s *source) finishSites(cfg *Config) {
	const key = "trustedDomains"
	before := len(s.errors)
	if n := len(cfg.TrustedDomains); n > maxSites {
		s.fail(s.place(key), key, "%s: %d sites, the most is %d", key, n, maxSites)
		return
	}
	seen := map[string]int{}
	for i, site := range cfg.TrustedDomains {
		at := fmt.Sprintf("%s[%d]", key, i)
		s.unique(seen, site.Name, at, "domain", i)
		s.domain(site.Name, at, s.place(at+".name"))
		s.domains(site.With, at+".with")
	}
	for _, name := range []string{"shell", "file", "web"} {
		if e := cfg.Executors[name]; name == "web" || len(e.Domains) == 0 {
			s.domains(e.Domains, "executors."+name+".domains")
		} else {
			at := "executors." + name + ".domains"
			s.fail(s.place(at), at, "%s: the %s executor has no network; domains stand under executors.web", at, name)
		}
	}
	if len(s.errors) > before {
		return
	}
	s.checkReach(cfg, strings.Repeat("x", 253), "executors.web.domains")
	for i, site := range cfg.TrustedDomains {
		host := site.Name
		if below, wild := strings.CutPrefix(host, "*"); wild {
			host = strings.Repeat("x", 63) + below
		}
		s.checkReach(cfg, host, fmt.Sprintf("%s[%d].with", key, i))
	}
	s.warnUseless(cfg)
}

// checkReach refuses lists with which a call for host would be too large.
func (s *source) checkReach(cfg *Config, host, at string) {
	names, _ := cfg.Reach(domain.Name(host))
	bytes := 0
	for _, name := range names {
		bytes += len(name) + len(`"",`)
	}
	if bytes > maxReach {
		s.fail(s.place(at), at, "%s: a call may reach %d names of %d bytes together, and the most is %d bytes, for each call carries all of them in its token; name fewer, or cover several by a wildcard", at, len(names), bytes, maxReach)
	}
}

// warnUseless tells of trusted domains that change nothing.
func (s *source) warnUseless(cfg *Config) {
	const key = "trustedDomains"
	if len(cfg.TrustedDomains) == 0 {
		return
	}
	if _, ok := cfg.Executors["web"]; !ok {
		s.warn(s.place(key), key, "%s: nothing can open these sites, for executors has no web; add `web: {}` there", key)
		return
	}
	grants := func(r Rule) bool { return len(r.When["domain"]) > 0 }
	if !slices.ContainsFunc(cfg.ActionTiers.Notify, grants) && !slices.ContainsFunc(cfg.ActionTiers.AutoApprove, grants) {
		s.warn(s.place(key), key, "%s: pages of these sites ask like all others, for no rule of notify or autoApprove is about a domain; add `- {tool: browse_web, when: {domain: trustedDomains}}` to actionTiers.notify", key)
	}
}

// domains checks a list of names.
func (s *source) domains(list []string, at string) {
	if len(list) > maxNames {
		s.fail(s.place(at), at, "%s: %d names, the most is %d, for each call carries them in its token", at, len(list), maxNames)
		return
	}
	seen := map[string]int{}
	for i, name := range list {
		key := fmt.Sprintf("%s[%d]", at, i)
		s.unique(seen, name, key, "domain", i)
		s.domain(name, key, s.place(key))
	}
}

// domain checks one name. One that was refused before is empty here.
func (s *source) domain(name, key string, at Place) {
	if name == "" {
		return
	}
	if why := checkDomain(name); why != "" {
		s.fail(at, key, "%s: %s", key, why)
	}
}

// checkDomain says why d is neither example.com nor *.example.com, or "". What is refused says
// package domain; here are better words for what people write.
func checkDomain(d string) string {
	_, err := domain.ParsePattern(d)
	if err == nil {
		return ""
	}
	base, wild := strings.CutPrefix(d, "*.")
	_, port, ported := strings.Cut(base, ":")
	why, aboutName := strings.CutPrefix(err.Error(), "is no name that can be reached: ")
	switch {
	case base == "*":
		why = "would cover every name; write which ones"
	case strings.Contains(base, "*") && !strings.ContainsAny(d, "/?#@"):
		why = "has a * in the middle; it may stand alone at the front, like *.example.com"
	case wild && aboutName && !strings.Contains(base, "."):
		why = "covers names of strangers: anybody can get a name below " + clip(base)
	case ported && decimal(port):
		why = "has a port; only port 443 can be reached, so leave it away"
	case aboutName:
		if u, err := domain.ParseURL("https://" + base + "/"); err == nil && string(u.Host) != base {
			why += "; write " + strings.TrimSuffix(d, base) + string(u.Host)
		}
		return why // it quotes the name
	}
	return fmt.Sprintf("%q %s", clip(d), why)
}
