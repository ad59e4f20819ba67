package policy_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/policy"
	"github.com/secureclaw/secureclaw/internal/config"
)

// sites trusts site.example with two companions, and every name below wild.example.
func sites() *config.Config {
	return &config.Config{
		Executors: map[string]config.Executor{"web": {Domains: []string{"fonts.example"}}},
		TrustedDomains: []config.Site{
			{Name: "site.example", With: []string{"cdn.example", "*.img.example"}},
			{Name: "*.wild.example"},
		},
	}
}

func browse(domains ...string) policy.Call {
	return policy.Call{Tool: "browse_web", Args: args{}, Domains: domains}
}

func TestTrustedDomains(t *testing.T) {
	rule := config.Rule{Tool: "browse_web", When: when{"domain": {config.TrustedKeyword}}}
	other := config.Rule{Tool: "browse_web", When: when{"domain": {config.TrustedKeyword, "named.example"}}}
	for name, tc := range map[string]struct {
		domains                 []string
		trusted, mixed, covered bool // holds when it loosens, with another name beside, when it asks
	}{
		"a site":                               {[]string{"site.example"}, true, true, true},
		"a site and all of its companions":     {[]string{"site.example", "cdn.example", "*.img.example", "fonts.example"}, true, true, true},
		"a name below a wildcard":              {[]string{"a.wild.example", "fonts.example"}, true, true, true},
		"in another spelling":                  {[]string{"Site.EXAMPLE.", "CDN.example"}, true, true, true},
		"two labels below a wildcard":          {[]string{"a.b.wild.example"}, false, false, false},
		"the wildcard's own name":              {[]string{"wild.example"}, false, false, false},
		"a name below a site":                  {[]string{"www.site.example"}, false, false, false},
		"a name that ends alike":               {[]string{"evilsite.example"}, false, false, false},
		"a stranger":                           {[]string{"evil.example"}, false, false, false},
		"a site, and a stranger beside":        {[]string{"site.example", "evil.example"}, false, false, true},
		"a stranger, and a site beside":        {[]string{"evil.example", "site.example"}, false, false, true},
		"a companion's own page":               {[]string{"cdn.example"}, false, false, false},
		"a companion of another site":          {[]string{"a.wild.example", "cdn.example"}, false, false, true},
		"a name below a wildcard companion":    {[]string{"site.example", "a.img.example"}, false, false, true},
		"a companion for all sites, its page":  {[]string{"fonts.example"}, false, false, false},
		"another site beside":                  {[]string{"site.example", "a.wild.example"}, false, false, true},
		"a wildcard that is a site's":          {[]string{"*.wild.example"}, false, false, true},
		"a wildcard wider than any":            {[]string{"*.example"}, false, false, true},
		"an address":                           {[]string{"10.0.0.1"}, false, false, true},
		"a site, and an address beside":        {[]string{"site.example", "10.0.0.1"}, false, false, true},
		"an empty name":                        {[]string{""}, false, false, true},
		"a site, and an empty name":            {[]string{"site.example", ""}, false, false, true},
		"a URL":                                {[]string{"https://site.example/"}, false, false, true},
		"the keyword itself":                   {[]string{"trustedDomains"}, false, false, true},
		"look-alike letters":                   {[]string{"sitе.example"}, false, false, true},
		"none":                                 {nil, false, false, false},
		"the rule's other name":                {[]string{"named.example"}, false, true, false},
		"a site, and the rule's other name":    {[]string{"site.example", "named.example"}, false, true, true},
		"the other name, and its own fonts":    {[]string{"named.example", "fonts.example"}, false, false, false},
		"the other name, and a site's own cdn": {[]string{"named.example", "cdn.example"}, false, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			call := browse(tc.domains...)
			for what, want := range map[string]struct {
				tiers config.ActionTiers
				holds bool
				tier  claw.Tier
			}{
				"notify":      {config.ActionTiers{Notify: []config.Rule{rule}}, tc.trusted, claw.Notify},
				"autoApprove": {config.ActionTiers{AutoApprove: []config.Rule{rule}}, tc.trusted, claw.Auto},
				"with a name": {config.ActionTiers{AutoApprove: []config.Rule{other}}, tc.mixed, claw.Auto},
				"requireApproval": {config.ActionTiers{RequireApproval: []config.Rule{rule},
					AutoApprove: []config.Rule{{Tool: "browse_web"}}}, !tc.covered, claw.Auto},
			} {
				p, err := policy.New(want.tiers, sites())
				if err != nil {
					t.Fatal(err)
				}
				if !want.holds {
					want.tier = claw.Ask
				}
				got := p.Explain(call)
				if got.Verdict.Tier != want.tier {
					t.Errorf("%s: Explain(%q) = %+v, want %v", what, tc.domains, got, want.tier)
				}
				for _, step := range got.Steps {
					if !step.Matched && step.Why == "" {
						t.Errorf("%s: Explain(%q) = %+v, want it to say why", what, tc.domains, got)
					}
				}
			}
		})
	}
}

// Who says nothing of sites trusts none.
func TestNoSitesTrustNothing(t *testing.T) {
	tiers := config.ActionTiers{AutoApprove: []config.Rule{{Tool: "browse_web", When: when{"domain": {config.TrustedKeyword}}}}}
	for name, s := range map[string]policy.Sites{"nil": nil, "zero": &config.Config{}} {
		p, err := policy.New(tiers, s)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Classify(browse("site.example")); got.Tier != claw.Ask {
			t.Errorf("%s: Classify = %+v, want it to ask", name, got)
		}
	}
}

func TestExplainNamesTheDomainInTheWay(t *testing.T) {
	p, err := policy.New(config.ActionTiers{Notify: []config.Rule{
		{Tool: "browse_web", When: when{"domain": {config.TrustedKeyword}}},
		{Tool: "browse_web", When: when{"domain": {"named.example"}}},
	}}, sites())
	if err != nil {
		t.Fatal(err)
	}
	for want, domains := range map[string][]string{
		`"evil.example" is not one of trustedDomains`:                                  {"evil.example", "fonts.example"},
		`"evil.example" is not what trustedDomains gives to pages of "site.example"`:   {"site.example", "cdn.example", "evil.example"},
		`domain ["fonts.example"] is not covered by ["named.example"]`:                 {"named.example", "fonts.example"},
		`the call reaches no domain`:                                                   nil,
		`"www.site.example" is not one of trustedDomains`:                              {"www.site.example"},
		`"site.example" is not what trustedDomains gives to pages of "a.wild.example"`: {"a.wild.example", "site.example"},
	} {
		got := p.Explain(browse(domains...))
		if !slices.ContainsFunc(got.Steps, func(s policy.Step) bool { return s.Why == want }) {
			t.Errorf("Explain(%q) = %+v, want a step that says: %s", domains, got, want)
		}
	}
}

// A call that reaches one name more is never judged more mildly.
func TestOneDomainMoreNeverLoosens(t *testing.T) {
	names := []string{
		"a.example", "b.a.example", "site.example", "cdn.example", "x.img.example", "*.img.example", "fonts.example", "a.wild.example", "a.b.wild.example",
		"*.wild.example", "evil.example", "", "10.0.0.1", "localhost", "*.example", "*", "trustedDomains", "SITE.example.", "exаmple.com", "a b", strings.Repeat("a.", 200) + "example",
	}
	rapid.Check(t, func(t *rapid.T) {
		p, err := policy.New(tables(t), sites())
		if err != nil {
			t.Fatal(err)
		}
		call := calls().Draw(t, "call")
		call.Domains = rapid.SliceOfN(rapid.SampledFrom(names), 1, 4).Draw(t, "domains")
		before := p.Classify(call)
		more := rapid.OneOf(rapid.SampledFrom(names), rapid.String()).Draw(t, "one more")
		// Behind the first: that one says whose page it is.
		at := rapid.IntRange(1, len(call.Domains)).Draw(t, "at")
		wider := call
		wider.Domains = slices.Insert(slices.Clone(call.Domains), at, more)
		if after := p.Classify(wider); after.Tier > before.Tier {
			t.Fatalf("Classify(%q) = %+v, and with %q %+v", call.Domains, before, more, after)
		}
	})
}

// What autoApprove lets run is told when a rule in notify speaks of one of its names.
func TestOneNameOfNotifyIsTold(t *testing.T) {
	p, err := policy.New(config.ActionTiers{
		Notify:      []config.Rule{{Tool: "browse_web", When: when{"domain": {"*.a.example"}}}},
		AutoApprove: []config.Rule{{Tool: "browse_web"}},
	}, sites())
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		domains []string
		want    claw.Tier
	}{
		"covered":             {[]string{"b.a.example"}, claw.Notify},
		"covered and another": {[]string{"b.a.example", "a.example"}, claw.Notify},
		"another and covered": {[]string{"evil.example", "b.a.example"}, claw.Notify},
		"another":             {[]string{"evil.example"}, claw.Auto},
	} {
		if got := p.Explain(browse(tc.domains...)); got.Verdict.Tier != tc.want || !got.Steps[len(got.Steps)-1].Matched {
			t.Errorf("%s: Explain(%q) = %+v, want tier %v", name, tc.domains, got, tc.want)
		}
	}
}

// What runs unasked by a rule about domains reaches only names that a person wrote into the configuration.
func TestWhatLoosensIsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, err := policy.New(config.ActionTiers{AutoApprove: []config.Rule{{Tool: "browse_web", When: when{"domain": {config.TrustedKeyword, "a.example"}}}}}, sites())
		if err != nil {
			t.Fatal(err)
		}
		label := rapid.OneOf(rapid.SampledFrom([]string{"a", "site", "cdn", "img", "wild", "example", "*", "", "fonts", "evil"}), rapid.String())
		name := rapid.Map(rapid.SliceOfN(label, 0, 4), func(parts []string) string { return strings.Join(parts, ".") })
		domains := rapid.SliceOfN(name, 0, 3).Draw(t, "domains")
		if p.Classify(browse(domains...)).Tier == claw.Ask {
			return
		}
		for _, d := range domains {
			d = strings.ToLower(strings.TrimSuffix(d, "."))
			first, rest, _ := strings.Cut(d, ".")
			if !slices.Contains([]string{"a.example", "site.example", "cdn.example", "*.img.example", "fonts.example"}, d) && !(rest == "wild.example" && first != "*") {
				t.Fatalf("%q runs unasked", domains)
			}
		}
	})
}
