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

var (
	mixed   = claw.Label{Integrity: claw.External, Privacy: claw.Private}
	secret  = strings.Repeat("c2VjcmV0", 150) // what a page would like to have
	told    = policy.Verdict{Tier: claw.Notify, Rule: "notify[0]", Reason: "a site that you trust"}
	steps   = func(a ...any) args { return args{"url": "https://site.example/", "extract": "tree", "actions": a} }
	step    = func(do, text string) args { return args{"do": do, "ref": "e1", "text": text} }
	address = func(url string) args { return args{"url": url, "extract": "tree"} }
)

func TestFlow(t *testing.T) {
	p := mustNewWith(t, config.ActionTiers{}, sites())
	said := []string{"https://site.example/a?q=1", "https://other.example/", "hello world", "a"}
	quoted := func(text string) bool { return slices.Contains(said, text) }
	for name, tc := range map[string]struct {
		args    args
		domains []string
		asks    string // part of the reason; empty: as before
	}{
		"an address that carries something": {address("https://site.example/?d=" + secret), []string{"site.example"}, "the page's address"},
		"a path that does":                  {address("https://site.example/" + secret), []string{"site.example"}, "the page's address"},
		"a fragment":                        {address("https://site.example/#x"), []string{"site.example"}, "the page's address"},
		"an empty question":                 {address("https://site.example/?"), []string{"site.example"}, "the page's address"},
		"as quoted":                         {address("https://site.example/a?q=1"), []string{"site.example"}, ""},
		"more than what is quoted":          {address("https://site.example/a?q=12"), []string{"site.example"}, "the page's address"},
		"a start page, quoted":              {address("https://other.example/"), []string{"other.example"}, ""},
		"the start page of a site":          {address("https://site.example/"), []string{"site.example"}, ""},
		"the start page of a stranger":      {address("https://evil.example/"), []string{"evil.example"}, "the page's address"},
		"a name below a wildcard":           {address("https://" + secret[:60] + ".wild.example/"), []string{secret[:60] + ".wild.example"}, "the page's address"},
		"a companion's start page":          {address("https://cdn.example/"), []string{"cdn.example"}, "the page's address"},
		"another host than the call's":      {address("https://evil.example/"), []string{"site.example"}, "the page's address"},
		"no text for an address":            {args{"url": 1.0}, []string{"site.example"}, "the page's address"},
		"no address":                        {args{"extract": "tree", "max_chars": 300.0}, []string{"site.example"}, ""},
		"an argument that is not known":     {args{"url": "https://site.example/", "headers": secret}, []string{"site.example"}, "the call"},
		"steps without words": {steps(step("click", ""), step("scroll", "down"), step("wait", secret), args{"do": "wait", "seconds": 3.0}, step("back", ""), step("press", "Enter"), step("press", "shift+Tab")),
			[]string{"site.example"}, ""},
		"a text that is typed":       {steps(step("click", ""), step("type", secret)), []string{"site.example"}, "the text that is entered"},
		"the user's words":           {steps(step("type", "hello world")), []string{"site.example"}, ""},
		"more than the user's words": {steps(step("type", "hello world!")), []string{"site.example"}, "the text that is entered"},
		"a field that is emptied":    {steps(step("type", "")), []string{"site.example"}, ""},
		"an option":                  {steps(step("select", "Germany")), []string{"site.example"}, "the text that is entered"},
		"an option that was named":   {steps(step("select", "hello world")), []string{"site.example"}, ""},
		"a letter":                   {steps(step("press", "a")), []string{"site.example"}, "the key"},
		"keys together":              {steps(step("press", "Control+V")), []string{"site.example"}, "the key"},
		"a step that is not known":   {steps(step("upload", "")), []string{"site.example"}, "what it does"},
		"a step that is none":        {steps("type"), []string{"site.example"}, "what it does"},
		"no list of steps":           {args{"url": "https://site.example/", "actions": secret}, []string{"site.example"}, "what it does"},
		"a call that reaches nobody": {args{"path": "/workspace/a", "content": secret}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			call := policy.Call{Tool: "browse_web", Args: tc.args, Domains: tc.domains}
			got := p.Flow(call, mixed, quoted, told)
			want := told
			if tc.asks != "" {
				want = policy.Verdict{Tier: claw.Ask, Rule: "notify[0]; asked because " + tc.asks, Reason: told.Reason}
				if !strings.HasSuffix(got.Rule, " may carry what this conversation has read") {
					t.Errorf("Flow says %q, want what is feared", got.Rule)
				}
			}
			if got.Tier != want.Tier || !strings.HasPrefix(got.Rule, want.Rule) || got.Reason != want.Reason {
				t.Errorf("Flow(%.200v) = %+v, want %+v", tc.args, got, want)
			}
			for _, seen := range []claw.Label{claw.UserLabel(), {Integrity: claw.Owned}, {Integrity: claw.External, Privacy: claw.Public}} {
				if got := p.Flow(call, seen, quoted, told); got != told {
					t.Errorf("Flow(%.200v) after %v = %+v, want it as it was", tc.args, seen, got)
				}
			}
			if got := p.Flow(call, mixed, nil, told); tc.asks != "" && got.Tier != claw.Ask {
				t.Errorf("Flow(%.200v) with nothing quoted = %+v, want it to ask", tc.args, got)
			}
			var nobody *policy.Policy
			if got := nobody.Flow(call, claw.Label{}, nil, told); len(tc.domains) > 0 && tc.args["url"] != nil && got.Tier != claw.Ask {
				t.Errorf("no policy, no label: Flow(%.200v) = %+v, want it to ask", tc.args, got)
			}
		})
	}
}

// Whatever a call is and a conversation has seen, flow makes nothing milder, and without a domain nothing else.
func TestFlowOnlyTightens(t *testing.T) {
	p := mustNewWith(t, config.ActionTiers{}, sites())
	value := rapid.OneOf(rapid.Just[any]("https://site.example/"), rapid.Just[any](secret), rapid.Just[any]([]any{step("type", secret)}), rapid.Just[any](nil))
	rapid.Check(t, func(t *rapid.T) {
		call := policy.Call{
			Tool:    "browse_web",
			Args:    rapid.MapOfN(rapid.SampledFrom([]string{"url", "actions", "extract", "x"}), value, 0, 3).Draw(t, "args"),
			Domains: rapid.SliceOfN(rapid.SampledFrom([]string{"site.example", "evil.example", ""}), 0, 2).Draw(t, "domains"),
		}
		seen := claw.Label{Integrity: claw.Integrity(rapid.IntRange(-1, 3).Draw(t, "integrity")), Privacy: claw.Privacy(rapid.IntRange(-1, 2).Draw(t, "privacy"))}
		yes := rapid.Bool().Draw(t, "quoted")
		v := policy.Verdict{Tier: claw.Tier(rapid.IntRange(0, 2).Draw(t, "tier")), Rule: "r", Reason: "because"}
		got := p.Flow(call, seen, func(string) bool { return yes }, v)
		if got.Tier > v.Tier || got.Tier != v.Tier && got.Tier != claw.Ask || !strings.HasPrefix(got.Rule, v.Rule) {
			t.Fatalf("Flow(%v, %v) made %+v of %+v", call, seen, got, v)
		}
		if len(call.Domains) == 0 && got != v {
			t.Fatalf("Flow(%v) = %+v: it reaches nobody", call, got)
		}
	})
}

func mustNewWith(t testing.TB, tiers config.ActionTiers, s policy.Sites) *policy.Policy {
	t.Helper()
	p, err := policy.New(tiers, s)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return p
}
