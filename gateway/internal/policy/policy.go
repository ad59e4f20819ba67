// Package policy says how much say the user has in a tool call: it turns the three lists of rules
// in secureclaw.yaml into a [Policy], and a [Call] into a [Verdict].
//
// It promises that a call which no rule allows is asked about, that the lists are searched
// strictest first (requireApproval, notify, autoApprove), and that the answer depends on the parsed
// call alone: not on the clock, the file system, the origin, or anything a model says about itself.
// What the conversation has seen counts in one way only, and it only tightens: see [Policy.Flow].
// When a condition cannot be judged (an argument that is missing, a path that is not clean) the
// answer is the stricter one: rules that loosen do not match, rules that ask do.
//
// It refuses, all at once and each by its place in the file, rules that cannot mean what they say:
// broken globs, "*" as a tool in a list that loosens, conditions that never hold, and examples that
// come out otherwise than written. The entry points are [New] and [Policy.Classify].
package policy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/internal/config"
)

// Default is the Rule of a verdict that no rule gave.
const Default = "default"

// anyTool is the tool of a rule for every tool; only requireApproval may use it.
const anyTool = "*"

// Call is what a policy looks at. Args is the decoded canonical input.
type Call struct {
	Tool    string
	Args    map[string]any
	Domains []string
}

// Verdict is the tier of a call and where it comes from. The zero Verdict asks.
type Verdict struct {
	Tier   claw.Tier `json:"tier"`
	Rule   string    `json:"rule"`   // "requireApproval[3] secureclaw.yaml:88", or Default
	Reason string    `json:"reason"` // in words for the user
}

// Policy is a checked table of rules. Its zero value, and a nil one, ask about every call. It is
// not changed after New and may be used by many goroutines.
type Policy struct {
	rules []rule // strictest list first, each in the order of the file
	sites Sites  // nil trusts nothing
}

// rule is one compiled rule. Its conditions are sorted by argument, so that it explains itself in one way.
type rule struct {
	tier   claw.Tier
	tool   string
	where  string
	reason string
	when   []condition
}

// New compiles the table and checks every example of every rule against the whole of it. All
// defects are returned as one joined error; each names its rule by [config.Rule.Where]. sites says
// which domains are trusted; nil trusts none.
func New(tiers config.ActionTiers, sites Sites) (*Policy, error) {
	p := &Policy{sites: sites}
	var errs []error
	for _, list := range lists(tiers) {
		for i, source := range list.rules {
			r, err := compile(list.tier, where(list.tier, i, source), source)
			errs = append(errs, err...)
			p.rules = append(p.rules, r)
		}
	}
	// Examples of a table with broken rules would add noise to the real errors.
	if len(errs) == 0 {
		for _, list := range lists(tiers) {
			for i, source := range list.rules {
				errs = append(errs, p.checkExamples(where(list.tier, i, source), source)...)
			}
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return p, nil
}

type list struct {
	tier  claw.Tier
	rules []config.Rule
}

// lists returns the table in the order in which it is searched.
func lists(t config.ActionTiers) []list {
	return []list{{claw.Ask, t.RequireApproval}, {claw.Notify, t.Notify}, {claw.Auto, t.AutoApprove}}
}

func where(tier claw.Tier, i int, source config.Rule) string {
	if source.Where != "" {
		return source.Where
	}
	return fmt.Sprintf("%s[%d]", tier, i)
}

func compile(tier claw.Tier, where string, source config.Rule) (rule, []error) {
	r := rule{tier: tier, tool: source.Tool, where: where, reason: source.Reason}
	var errs []error
	fail := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", where, fmt.Sprintf(format, args...)))
	}
	switch {
	case source.Tool == "":
		fail("no tool; name one")
	case source.Tool == anyTool && tier != claw.Ask:
		fail(`tool "*" is allowed in requireApproval only; name the tools that may run`)
	case source.Tool != anyTool && strings.ContainsAny(source.Tool, "*?[{"):
		fail("tool %q is not a name; patterns are for arguments", source.Tool)
	}
	for _, arg := range slices.Sorted(maps.Keys(source.When)) {
		c, err := compileCondition(tier, arg, source.When[arg])
		if err != nil {
			fail("when %s: %v", arg, err)
		}
		r.when = append(r.when, c)
	}
	return r, errs
}

// Classify returns the tier of a call, by the first rule that matches in the strictest list that has one.
func (p *Policy) Classify(call Call) Verdict {
	if r := p.deciding(call); r != nil {
		return r.verdict()
	}
	return Verdict{Tier: claw.Ask, Rule: Default, Reason: "no rule lets this call run on its own"}
}

// deciding returns the rule that judges a call, nil when none does.
//
// A call that a rule in autoApprove lets run is told all the same when one in notify speaks of any of its
// domains: else a page that reaches one name more than that rule covers would run more silently.
func (p *Policy) deciding(call Call) *rule {
	if p == nil {
		return nil
	}
	var told *rule
	for i := range p.rules {
		r := &p.rules[i]
		switch {
		case !r.names(call.Tool):
		case r.failing(p.trust(), call) < 0:
			if r.tier == claw.Auto && told != nil {
				return told
			}
			return r
		case r.tier == claw.Notify && told == nil && r.touches(p.trust(), call):
			told = r
		}
	}
	return nil
}

// touches reports whether the rule would hold for some of the call's domains.
func (r *rule) touches(sites Sites, call Call) bool {
	return !slices.ContainsFunc(r.when, func(c condition) bool {
		if c.arg == domainKey {
			return !slices.ContainsFunc(call.Domains, c.surely(sites, call.Domains))
		}
		return !c.holds(r, sites, call)
	})
}

// trust is what the configuration says of names.
func (p *Policy) trust() Sites {
	if p == nil || p.sites == nil {
		return noSites{}
	}
	return p.sites
}

// names reports whether the rule is about the tool.
func (r *rule) names(tool string) bool {
	return tool != "" && (r.tool == tool || r.tool == anyTool && r.tier == claw.Ask)
}

// failing returns the index of the first condition that does not hold, or -1 when all do.
func (r *rule) failing(sites Sites, call Call) int {
	return slices.IndexFunc(r.when, func(c condition) bool { return !c.holds(r, sites, call) })
}

func (r *rule) verdict() Verdict {
	reason := r.reason
	if reason == "" {
		switch r.tier {
		case claw.Auto:
			reason = "a rule lets this call run"
		case claw.Notify:
			reason = "a rule lets this call run and tells you"
		default:
			reason = "a rule asks before this call"
		}
	}
	return Verdict{Tier: r.tier, Rule: r.where, Reason: reason}
}

// Step is what one rule said to a call.
type Step struct {
	Rule    string `json:"rule"`
	Matched bool   `json:"matched"`
	// Why names the first condition that did not hold, empty when all did.
	Why string `json:"why,omitzero"`
}

// Explanation is a verdict and how it came about: every rule about the tool, in the order of the
// search, up to the one that matched.
type Explanation struct {
	Verdict Verdict `json:"verdict"`
	Steps   []Step  `json:"steps"`
}

// Explain classifies a call and says why each earlier rule did not match.
func (p *Policy) Explain(call Call) Explanation {
	out := Explanation{Verdict: p.Classify(call), Steps: []Step{}}
	if p == nil {
		return out
	}
	decided := p.deciding(call)
	for i := range p.rules {
		r := &p.rules[i]
		if !r.names(call.Tool) {
			continue
		}
		if r == decided {
			out.Steps = append(out.Steps, Step{Rule: r.where, Matched: true})
			return out
		}
		out.Steps = append(out.Steps, Step{Rule: r.where, Why: r.when[r.failing(p.trust(), call)].why(r, p.trust(), call)})
	}
	return out
}
