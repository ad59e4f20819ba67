package policy_test

import (
	"testing"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/policy"
	"github.com/secureclaw/secureclaw/internal/config"
)

// Disks and people take these names for those that a rule guards. Only the list that asks does so too.
func TestLookAlikesAsk(t *testing.T) {
	p := mustNew(t, config.ActionTiers{
		RequireApproval: []config.Rule{{Tool: "*", When: when{"path": {"**/{.env*,.bashrc,.profile,.ssh}{,/**}", "**/*.key"}}}},
		Notify:          []config.Rule{{Tool: "write_file", When: when{"path": {"/w/**"}}}},
	})
	write := func(path string) claw.Tier {
		return p.Classify(policy.Call{Tool: "write_file", Args: args{"path": path}}).Tier
	}
	for _, path := range []string{
		"/w/.env", "/w/.ENV", "/w/.ｅｎｖ", "/w/．env", "/w/.e\u200bnv", "/w/.e\u00adnv", "/w/.e\u034fnv", "/w/.e\ufe0fnv", "/w/.ba\u017fhrc", "/w/.bashrc.", "/w/.bashrc ", "/w/.bashrc. .",
		"/w/.bashrc\u00a0", "/w/.pro\ufb01le", "/w/.\u017fsh/config", "/w/.\u00dfh", "/w/.SSH./config", "/w/server.\u212aey", "/w/server.key...",
	} {
		if got := write(path); got != claw.Ask {
			t.Errorf("write_file %+q comes out as %v, want it to ask", path, got)
		}
	}
	for _, path := range []string{"/w/environment", "/w/bashrc", "/w/Straße.md", "/w/ﬁnal.txt", "/w/naïve.txt", "/w/keys.md"} {
		if got := write(path); got != claw.Notify {
			t.Errorf("write_file %+q comes out as %v, want notify", path, got)
		}
	}
	loose := mustNew(t, config.ActionTiers{AutoApprove: []config.Rule{{Tool: "read_file", When: when{"path": {"/w/notes.md"}}}}})
	for _, path := range []string{"/w/Notes.md", "/w/ｎotes.md", "/w/notes.md.", "/w/no\u200btes.md"} {
		if got := loose.Classify(policy.Call{Tool: "read_file", Args: args{"path": path}}).Tier; got != claw.Ask {
			t.Errorf("read_file %+q comes out as %v: a list that loosens must not fold", path, got)
		}
	}
}

// A star may be nothing, also before a brace that may be nothing.
func TestGuardedWordMayEndTheName(t *testing.T) {
	p := mustNew(t, config.ActionTiers{
		RequireApproval: []config.Rule{{Tool: "*", When: when{"path": {"**/*{token,secret}*{,/**}", "**/.env*{,/**}"}}}},
		AutoApprove:     []config.Rule{{Tool: "read_file", When: when{"path": {"/w/**"}}}},
	})
	for _, path := range []string{"/w/token", "/w/api_token", "/w/token.txt", "/w/secret/x", "/w/secrets/x", "/w/.env", "/w/.env.local", "/w/.env/x", "/w/d/client_secret"} {
		if got := p.Classify(policy.Call{Tool: "read_file", Args: args{"path": path}}).Tier; got != claw.Ask {
			t.Errorf("read_file %q comes out as %v, want it to ask", path, got)
		}
	}
}
