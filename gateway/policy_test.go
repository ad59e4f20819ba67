package gateway_test

import (
	"fmt"
	"strings"
	"testing"

	defaults "github.com/secureclaw/secureclaw/config"
	"github.com/secureclaw/secureclaw/gateway"
	"github.com/secureclaw/secureclaw/internal/config"
)

func shipped(t *testing.T) *config.Config {
	t.Helper()
	cfg, _, err := config.Parse("secureclaw.yaml", defaults.YAML, "/home/anna")
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestShippedRulesHoldTheirExamples(t *testing.T) {
	if err := gateway.CheckPolicy(shipped(t)); err != nil {
		t.Error(err)
	}
}

// What the shipped configuration does with whole calls, by the code that decides about them.
func TestShippedTiers(t *testing.T) {
	const run, tell, ask, refuse = "autoApprove", "notify", "requireApproval", ""
	for _, tc := range []struct{ tool, args, want string }{
		{"read_file", `{"path":"notes.md"}`, run},
		{"list_directory", `{"path":"."}`, run},
		{"search_files", `{"pattern":"TODO"}`, run},
		{"stat", `{"path":"notes.md"}`, run},
		{"run_shell_command", `{"command":"ls"}`, run},
		{"run_shell_command", `{"command":"ls","access":"write"}`, ask},
		{"write_file", `{"path":"notes.md","content":"x"}`, tell},
		{"write_file", `{"path":"src/x/../../.env","content":"x"}`, ask},
		{"read_file", `{"path":".ENV"}`, ask},
		{"read_file", `{"path":"sub/.ssh/id_ed25519"}`, ask},
		{"read_file", `{"path":"token"}`, ask},
		{"read_file", `{"path":".ｅnv"}`, ask},
		{"search_files", `{"pattern":"x","path":".ssh"}`, ask},
		{"write_file", `{"path":".git/hooks/pre-commit","content":"x"}`, ask},
		{"write_file", `{"path":"repo/HEAD","content":"x"}`, ask},
		{"write_file", `{"path":".bashrc","content":"x"}`, ask},
		{"write_file", `{"path":".vscode/tasks.json","content":"x"}`, ask},
		{"write_file", `{"path":"../etc/passwd","content":"x"}`, refuse},
		{"browse_web", `{"url":"https://example.com/"}`, ask},
		{"browse_web", `{"url":"http://example.com/"}`, refuse},
		{"browse_web", `{"url":"https://127.0.0.1/"}`, refuse},
		{"browse_web", `{"url":"https://localhost/"}`, refuse},
		{"format_disk", `{}`, refuse},
		{"save_memory", `{"content":"likes tea"}`, tell},
		{"save_memory", `{"content":""}`, refuse},
		{"search_memory", `{"query":"tea"}`, run},
		{"read_file", `{"path":"a","path":"b"}`, refuse},
	} {
		got, err := gateway.Judge(shipped(t), tc.tool, []byte(tc.args))
		if err != nil {
			t.Fatal(err)
		}
		if got.Tier != tc.want || (tc.want == refuse) != (got.Refused != "") {
			t.Errorf("Judge(%s %s) = %q %q by %s, want %q", tc.tool, tc.args, got.Tier, got.Refused, got.Rule, tc.want)
		}
	}
}

// What a user gets who trusts a site, with all that is explained about it.
func TestTrustedSitesAreExplained(t *testing.T) {
	cfg := shipped(t)
	cfg.TrustedDomains = []config.Site{{Name: "example.com", With: []string{"cdn.example.net"}}}
	for url, want := range map[string]struct{ tier, domains, why string }{
		"https://example.com/a?b=c":      {"notify", "example.com cdn.example.net", ""},
		"https://EXAMPLE.com":            {"notify", "example.com cdn.example.net", ""},
		"https://www.example.com/":       {"requireApproval", "www.example.com", `"www.example.com" is not one of trustedDomains`},
		"https://cdn.example.net/":       {"requireApproval", "cdn.example.net", `"cdn.example.net" is not one of trustedDomains`},
		"https://example.com.evil.test/": {"requireApproval", "example.com.evil.test", "is not one of trustedDomains"},
	} {
		got, err := gateway.Judge(cfg, "browse_web", fmt.Appendf(nil, `{"url":%q}`, url))
		if err != nil {
			t.Fatal(err)
		}
		said := fmt.Sprint(got.Steps)
		if got.Tier != want.tier || strings.Join(got.Domains, " ") != want.domains || !strings.Contains(said, want.why) || len(got.Mounts) != 0 {
			t.Errorf("Judge(%s) = %+v, want %s of %q because %s", url, got, want.tier, want.domains, want.why)
		}
	}
	delete(cfg.Executors, "web")
	const want = "browsing is off, for executors has no web; add `web: {}` there"
	if got, err := gateway.Judge(cfg, "browse_web", []byte(`{"url":"https://example.com/"}`)); err != nil || got.Refused != want {
		t.Errorf("Judge without executors.web = %+v, %v, want %q", got, err, want)
	}
}
