package policy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/policy"
	"github.com/secureclaw/secureclaw/internal/config"
)

type args = map[string]any
type when = map[string]config.Patterns

func table() config.ActionTiers {
	return config.ActionTiers{
		RequireApproval: []config.Rule{
			{Tool: "*", When: when{"path": {"**/.env*", "**/.ssh/**"}}},
			{Tool: "search_files", When: when{"glob": {"*.pem"}}},
			{Tool: "browse", When: when{"domain": {"bank.example", "*.bank.example", "one.shop.example"}}},
			{Tool: "run_shell_command", When: when{"command": {"*rm*"}}},
		},
		Notify: []config.Rule{
			{Tool: "write_file", When: when{"path": {"/workspace/**"}}},
			{Tool: "send_mail", When: when{"to": {"*@example.org"}}},
		},
		AutoApprove: []config.Rule{
			{Tool: "read_file", When: when{"path": {"/workspace/**", "/notes/*.md"}}},
			{Tool: "search_files", When: when{"path": {"/workspace/**"}}},
			{Tool: "run_shell_command", When: when{"access": {"read"}, "working_directory": {"/workspace", "/workspace/**"}}},
			{Tool: "browse", When: when{"domain": {"example.com", "*.example.com", "*.bank.example"}}},
			{Tool: "set", When: when{"level": {"3"}, "on": {"true"}}},
			{Tool: "repo", When: when{"name": {"anna/*"}}},
			{Tool: "now"},
		},
	}
}

func mustNew(t testing.TB, tiers config.ActionTiers) *policy.Policy {
	t.Helper()
	p, err := policy.New(tiers, nil)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return p
}

func TestClassify(t *testing.T) {
	p := mustNew(t, table())
	read := func(path any) policy.Call { return policy.Call{Tool: "read_file", Args: args{"path": path}} }
	shell := func(a args) policy.Call { return policy.Call{Tool: "run_shell_command", Args: a} }
	browse := func(d ...string) policy.Call { return policy.Call{Tool: "browse", Args: args{}, Domains: d} }
	for name, tc := range map[string]struct {
		call policy.Call
		want claw.Tier
		rule string
	}{
		"inside a mount":                       {read("/workspace/a/b"), claw.Auto, "autoApprove[0]"},
		"the mount itself":                     {read("/workspace"), claw.Auto, "autoApprove[0]"},
		"second pattern":                       {read("/notes/a.md"), claw.Auto, "autoApprove[0]"},
		"star stops at a slash":                {read("/notes/x/a.md"), claw.Ask, "default"},
		"case counts where rules loosen":       {read("/WORKSPACE/a"), claw.Ask, "default"},
		"case is ignored where rules ask":      {read("/workspace/.ENV"), claw.Ask, "requireApproval[0]"},
		"strictest list first":                 {read("/workspace/.env.local"), claw.Ask, "requireApproval[0]"},
		"a folder of secrets":                  {read("/workspace/.ssh"), claw.Ask, "requireApproval[0]"},
		"inside a folder of secrets":           {read("/workspace/.ssh/id"), claw.Ask, "requireApproval[0]"},
		"dots that climb out":                  {read("/workspace/../etc/passwd"), claw.Ask, "requireApproval[0]"},
		"double slash":                         {read("/workspace//a"), claw.Ask, "requireApproval[0]"},
		"slash at the end":                     {read("/workspace/a/"), claw.Ask, "requireApproval[0]"},
		"NUL":                                  {read("/workspace/a\x00b"), claw.Ask, "requireApproval[0]"},
		"relative":                             {read("workspace/a"), claw.Ask, "requireApproval[0]"},
		"an object for a path":                 {read(args{"x": "/workspace/a"}), claw.Ask, "requireApproval[0]"},
		"a number for a path":                  {read(1.0), claw.Ask, "default"},
		"a list of good paths":                 {read([]any{"/workspace/a", "/workspace/b"}), claw.Auto, "autoApprove[0]"},
		"a list with one bad path":             {read([]any{"/workspace/a", "/etc/b"}), claw.Ask, "default"},
		"a list with one secret":               {read([]any{"/workspace/a", "/workspace/.env"}), claw.Ask, "requireApproval[0]"},
		"an empty list":                        {read([]any{}), claw.Ask, "default"},
		"no arguments":                         {policy.Call{Tool: "read_file"}, claw.Ask, "default"},
		"null":                                 {read(nil), claw.Ask, "default"},
		"a tool nobody wrote a rule for":       {policy.Call{Tool: "format_disk"}, claw.Ask, "default"},
		"the tool *":                           {policy.Call{Tool: "*", Args: args{"path": "/a"}}, claw.Ask, "default"},
		"no tool":                              {policy.Call{}, claw.Ask, "default"},
		"tool in another case":                 {policy.Call{Tool: "Now"}, claw.Ask, "default"},
		"no conditions":                        {policy.Call{Tool: "now"}, claw.Auto, "autoApprove[6]"},
		"notify":                               {policy.Call{Tool: "write_file", Args: args{"path": "/workspace/a"}}, claw.Notify, "notify[0]"},
		"text":                                 {policy.Call{Tool: "send_mail", Args: args{"to": "ada@example.org"}}, claw.Notify, "notify[1]"},
		"text with a NUL":                      {policy.Call{Tool: "send_mail", Args: args{"to": "a\x00@example.org"}}, claw.Ask, "default"},
		"all conditions hold":                  {shell(args{"command": "ls", "access": "read", "working_directory": "/workspace"}), claw.Auto, "autoApprove[2]"},
		"one condition fails":                  {shell(args{"command": "ls", "access": "write", "working_directory": "/workspace"}), claw.Ask, "default"},
		"a condition's argument is missing":    {shell(args{"command": "ls", "access": "read"}), claw.Ask, "default"},
		"slashes do not hide text":             {shell(args{"command": "/bin/rm -rf /", "access": "read", "working_directory": "/workspace"}), claw.Ask, "requireApproval[3]"},
		"asking rule, argument missing":        {policy.Call{Tool: "search_files", Args: args{"path": "/workspace"}}, claw.Ask, "requireApproval[1]"},
		"asking rule, argument empty":          {policy.Call{Tool: "search_files", Args: args{"path": "/workspace", "glob": ""}}, claw.Ask, "requireApproval[1]"},
		"asking rule, argument does not match": {policy.Call{Tool: "search_files", Args: args{"path": "/workspace", "glob": "*.go"}}, claw.Auto, "autoApprove[1]"},
		"asking rule for *, argument missing":  {policy.Call{Tool: "now"}, claw.Auto, "autoApprove[6]"},
		"domain":                               {browse("example.com"), claw.Auto, "autoApprove[3]"},
		"domain below":                         {browse("a.example.com"), claw.Auto, "autoApprove[3]"},
		"domain two labels below":              {browse("a.b.example.com"), claw.Ask, "default"},
		"asked domain, two labels below":       {browse("a.b.bank.example"), claw.Ask, "requireApproval[2]"},
		"domain in another case, with a dot":   {browse("Example.COM."), claw.Auto, "autoApprove[3]"},
		"domain that only ends alike":          {browse("evilexample.com"), claw.Ask, "default"},
		"no domain":                            {browse(), claw.Ask, "default"},
		"one domain uncovered":                 {browse("example.com", "evil.example"), claw.Ask, "default"},
		"one domain asks":                      {browse("example.com", "www.bank.example"), claw.Ask, "requireApproval[2]"},
		"a wildcard of the call, covered":      {browse("*.example.com"), claw.Auto, "autoApprove[3]"},
		"a wildcard of the call, one too deep": {browse("*.a.example.com"), claw.Ask, "default"},
		"a wildcard of the call, too wide":     {browse("*.com"), claw.Ask, "requireApproval[2]"},
		"a wildcard that is none":              {browse("*.example"), claw.Ask, "requireApproval[2]"},
		"a wildcard that reaches an asked one": {browse("*.shop.example"), claw.Ask, "requireApproval[2]"},
		"a wildcard beside an asked one":       {browse("*.one.shop.example"), claw.Ask, "default"},
		"not a domain":                         {browse("example.com/x"), claw.Ask, "requireApproval[2]"},
		"number and boolean":                   {policy.Call{Tool: "set", Args: args{"level": 3.0, "on": true}}, claw.Auto, "autoApprove[4]"},
		"another number":                       {policy.Call{Tool: "set", Args: args{"level": 3.5, "on": true}}, claw.Ask, "default"},
		"a text with a slash":                  {policy.Call{Tool: "repo", Args: args{"name": "anna/x"}}, claw.Auto, "autoApprove[5]"},
		"a text that climbs":                   {policy.Call{Tool: "repo", Args: args{"name": "anna/x/../../bob/y"}}, claw.Ask, "default"},
		"a text that climbs by one":            {policy.Call{Tool: "repo", Args: args{"name": "anna/.."}}, claw.Ask, "default"},
	} {
		t.Run(name, func(t *testing.T) {
			got := p.Classify(tc.call)
			if got.Tier != tc.want || got.Rule != tc.rule || got.Reason == "" {
				t.Errorf("Classify(%+v) = %+v, want %v by %s", tc.call, got, tc.want, tc.rule)
			}
		})
	}
}

// With no rule that asks beside them, the rules that loosen must themselves be sure of a path.
func TestLooseningRulesWantACleanPath(t *testing.T) {
	for _, pattern := range []string{"/workspace/**", "**/*.md", "**", "*", "*.md"} {
		p := mustNew(t, config.ActionTiers{AutoApprove: []config.Rule{{Tool: "read_file", When: when{"x": {pattern}}}, {Tool: "read_file", When: when{"path": {"**"}}}}})
		for _, arg := range []string{"path", "x"} {
			for _, path := range []string{"/workspace/../etc/a.md", "/workspace//a.md", "/workspace/a.md/", "/workspace/./a.md", "/workspace/a\x00.md", "../a.md", "..", ".", "b/../../a.md"} {
				call := policy.Call{Tool: "read_file", Args: args{arg: path}}
				if got := p.Classify(call); got.Tier != claw.Ask {
					t.Errorf("%s: Classify(%+v) = %+v, want it to ask", pattern, call, got)
				}
			}
		}
		call := policy.Call{Tool: "read_file", Args: args{"path": "workspace/a.md"}}
		if got := p.Classify(call); got.Tier != claw.Ask {
			t.Errorf("%s: Classify(%+v) = %+v, want a relative path to ask", pattern, call, got)
		}
	}
}

func TestZeroPolicyAsks(t *testing.T) {
	for name, p := range map[string]*policy.Policy{"nil": nil, "zero": {}, "empty": mustNew(t, config.ActionTiers{})} {
		got := p.Classify(policy.Call{Tool: "now"})
		if got.Tier != claw.Ask || got.Rule != policy.Default {
			t.Errorf("%s policy: Classify = %+v, want it to ask by default", name, got)
		}
		if e := p.Explain(policy.Call{Tool: "now"}); e.Verdict != got {
			t.Errorf("%s policy: Explain = %+v, want %+v", name, e.Verdict, got)
		}
	}
	var v policy.Verdict
	if v.Tier != claw.Ask {
		t.Errorf("zero Verdict = %+v, want it to ask", v)
	}
}

func TestNewReportsEveryDefect(t *testing.T) {
	_, err := policy.New(config.ActionTiers{
		RequireApproval: []config.Rule{
			{Tool: "a", When: when{"path": {"/x["}}, Where: "requireApproval[0] f:1"},
			{Tool: "", Where: "requireApproval[1] f:2"},
			{Tool: "b", When: when{"domain": {"http://x"}}, Where: "requireApproval[2] f:3"},
		},
		Notify: []config.Rule{
			{Tool: "*", Where: "notify[0] f:4"},
			{Tool: "git_*", Where: "notify[1] f:5"},
			{Tool: "c", When: when{"domain": {"*"}}, Where: "notify[2] f:6"},
		},
		AutoApprove: []config.Rule{
			{Tool: "d", When: when{"path": {}}, Where: "autoApprove[0] f:7"},
			{Tool: "e", When: when{"path": {"/a/../b"}}, Where: "autoApprove[1] f:8"},
			{Tool: "f", When: when{"path": {"a/**"}}, Where: "autoApprove[2] f:9"},
			{Tool: "g", When: when{"x": {""}}, Where: "autoApprove[3] f:10"},
			{Tool: "h", When: when{"x": {"a\x00"}}, Where: "autoApprove[4] f:11"},
		},
	}, nil)
	if err == nil {
		t.Fatal("New accepted a broken table")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 11 {
		t.Errorf("New reported %d defects, want 11:\n%v", len(lines), err)
	}
	for i, line := range lines {
		if want := " f:" + string("123456789"[min(i, 8)]); i < 9 && !strings.Contains(line, want) {
			t.Errorf("defect %d = %q, want its place%s", i, line, want)
		}
	}
}

func TestExamplesAreJudgedByTheWholeTable(t *testing.T) {
	tiers := table()
	tiers.AutoApprove[0].Examples = []config.Example{
		{Args: args{"path": "/workspace/a"}, Tier: "autoApprove"},
		{Args: args{"path": "/workspace/.env"}, Tier: "requireApproval"}, // by another rule
		{Args: args{"path": "workspace/a"}, Tier: "requireApproval"},     // as written, not made absolute
	}
	tiers.AutoApprove[3].Examples = []config.Example{
		{Args: args{"domain": "www.example.com"}, Tier: "autoApprove"},
		{Args: args{"domain": []any{"www.example.com", "bank.example"}}, Tier: "requireApproval"},
	}
	tiers.AutoApprove[4].Examples = []config.Example{{Args: args{"level": 3, "on": true}, Tier: "autoApprove"}}
	mustNew(t, tiers)

	tiers.AutoApprove[0].Examples = append(tiers.AutoApprove[0].Examples,
		config.Example{Args: args{"path": "/workspace/.env"}, Tier: "autoApprove"},
		config.Example{Args: args{"path": "/workspace/a"}, Tier: "always"},
		config.Example{Args: args{"domain": 1}, Tier: "autoApprove"},
	)
	_, err := policy.New(tiers, nil)
	if err == nil {
		t.Fatal("New accepted examples that do not come out as written")
	}
	for _, want := range []string{"autoApprove[0]: examples[3]", "requireApproval[0]", `unknown tier "always"`, "domain 1 is not a name"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v, want it to say %q", err, want)
		}
	}
}

func TestExplainNamesTheFirstConditionThatFails(t *testing.T) {
	p := mustNew(t, table())
	got := p.Explain(policy.Call{Tool: "read_file", Args: args{"path": "/etc/passwd"}})
	want := policy.Explanation{
		Verdict: policy.Verdict{Tier: claw.Ask, Rule: "default", Reason: "no rule lets this call run on its own"},
		Steps: []policy.Step{
			{Rule: "requireApproval[0]", Why: `path "/etc/passwd" matches none of ["**/.env*" "**/.ssh/**"]`},
			{Rule: "autoApprove[0]", Why: `path "/etc/passwd" matches none of ["/workspace/**" "/notes/*.md"]`},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Explain (-want +got):\n%s", diff)
	}
	got = p.Explain(policy.Call{Tool: "read_file", Args: args{"path": "/workspace/a"}})
	if n := len(got.Steps); n != 2 || !got.Steps[1].Matched {
		t.Errorf("Explain = %+v, want the second step to match", got)
	}
}

// patterns draws a list of path patterns or of text patterns; New refuses a mixture, which could never match.
func patterns() *rapid.Generator[config.Patterns] {
	draw := func(from ...string) *rapid.Generator[config.Patterns] {
		return rapid.Map(rapid.SliceOfN(rapid.SampledFrom(from), 1, 2), func(s []string) config.Patterns { return s })
	}
	return rapid.OneOf(draw("/a/**", "/a/*", "**/.env*", "**", "/b"), draw("*.md", "x*", "read", "{x,y}", "[^A-C]*", "x/*"))
}

func rules() *rapid.Generator[config.Rule] {
	return rapid.Custom(func(t *rapid.T) config.Rule {
		r := config.Rule{Tool: rapid.SampledFrom([]string{"t", "u"}).Draw(t, "tool"), When: when{}}
		for range rapid.IntRange(0, 2).Draw(t, "conditions") {
			r.When[rapid.SampledFrom([]string{"x", "y"}).Draw(t, "arg")] = patterns().Draw(t, "patterns")
		}
		if rapid.Bool().Draw(t, "with domain") {
			r.When["domain"] = []string{rapid.SampledFrom([]string{"a.example", "*.a.example", "trustedDomains"}).Draw(t, "domain")}
		}
		return r
	})
}

func calls() *rapid.Generator[policy.Call] {
	value := rapid.OneOf(
		rapid.Map(rapid.SampledFrom([]string{"/a/b", "/a/../b", "/a/.ENV", "read", "", "x/..", "a.md", "/a\x00"}), func(s string) any { return s }),
		rapid.Map(rapid.StringN(0, 8, 16), func(s string) any { return s }),
		rapid.Map(rapid.Float64(), func(f float64) any { return f }),
		rapid.Just[any](nil), rapid.Just[any](true), rapid.Just[any]([]any{"/a/b", "/c"}), rapid.Just[any](map[string]any{"k": "v"}),
	)
	return rapid.Custom(func(t *rapid.T) policy.Call {
		return policy.Call{
			Tool:    rapid.SampledFrom([]string{"t", "u", "*", "v"}).Draw(t, "tool"),
			Args:    rapid.MapOfN(rapid.SampledFrom([]string{"x", "y"}), value, 0, 2).Draw(t, "args"),
			Domains: rapid.SliceOfN(rapid.SampledFrom([]string{"a.example", "b.a.example", "c.b.a.example", "site.example", "x.site.example", "cdn.example", "other", "", "*.a.example", "*.site.example", "A.EXAMPLE.", "10.0.0.1"}), 0, 3).Draw(t, "domains"),
		}
	})
}

// tables draws a table of rules that New accepts.
func tables(t *rapid.T) config.ActionTiers {
	list := rapid.SliceOfN(rules(), 0, 3)
	return config.ActionTiers{RequireApproval: list.Draw(t, "ask"), Notify: list.Draw(t, "notify"), AutoApprove: list.Draw(t, "auto")}
}

func TestAnAskingRuleNeverLoosens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tiers, call := tables(t), calls().Draw(t, "call")
		before, err := policy.New(tiers, nil)
		if err != nil {
			t.Fatal(err)
		}
		extra := rules().Draw(t, "extra")
		if rapid.Bool().Draw(t, "for all tools") {
			extra.Tool = "*"
		}
		at := rapid.IntRange(0, len(tiers.RequireApproval)).Draw(t, "at")
		tiers.RequireApproval = append(append(append([]config.Rule{}, tiers.RequireApproval[:at]...), extra), tiers.RequireApproval[at:]...)
		after, err := policy.New(tiers, nil)
		if err != nil {
			t.Fatal(err)
		}
		if b, a := before.Classify(call), after.Classify(call); a.Tier > b.Tier {
			t.Fatalf("Classify(%+v) was %+v, with %+v it is %+v", call, b, extra, a)
		}
	})
}

// The same condition that lets a call pass would, in requireApproval, hold it back: whatever the
// careful reading accepts, the wide reading accepts too.
func TestAskingMatchesWhateverLooseningMatches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, call := rules().Draw(t, "rule"), calls().Draw(t, "call")
		auto, err := policy.New(config.ActionTiers{AutoApprove: []config.Rule{r}}, sites())
		if err != nil {
			t.Fatal(err)
		}
		both, err := policy.New(config.ActionTiers{AutoApprove: []config.Rule{r}, RequireApproval: []config.Rule{r}}, sites())
		if err != nil {
			t.Fatal(err)
		}
		if a, b := auto.Classify(call), both.Classify(call); b.Tier != claw.Ask {
			t.Fatalf("Classify(%+v) by %+v: alone %+v, with the same rule asking %+v", call, r, a, b)
		}
	})
}

func TestUnknownToolAsks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, err := policy.New(tables(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		call := calls().Draw(t, "call")
		call.Tool = rapid.StringMatching(`[a-z*]{0,3}v`).Draw(t, "unknown")
		if got := p.Classify(call); got.Tier != claw.Ask {
			t.Fatalf("Classify(%+v) = %+v, want it to ask", call, got)
		}
	})
}
