package policy_test

import (
	"fmt"

	"github.com/secureclaw/secureclaw/gateway/internal/policy"
	"github.com/secureclaw/secureclaw/internal/config"
)

func Example() {
	p, err := policy.New(config.ActionTiers{
		RequireApproval: []config.Rule{{Tool: "read_file", When: map[string]config.Patterns{"path": {"**/.env*"}}, Where: "requireApproval[0] secureclaw.yaml:40"}},
		AutoApprove:     []config.Rule{{Tool: "read_file", When: map[string]config.Patterns{"path": {"/workspace/**"}}, Where: "autoApprove[0] secureclaw.yaml:52"}},
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, path := range []string{"/workspace/notes.md", "/workspace/.env", "/workspace/../etc/passwd"} {
		v := p.Classify(policy.Call{Tool: "read_file", Args: map[string]any{"path": path}})
		fmt.Println(path, v.Tier, v.Rule)
	}
	// Output:
	// /workspace/notes.md autoApprove autoApprove[0] secureclaw.yaml:52
	// /workspace/.env requireApproval requireApproval[0] secureclaw.yaml:40
	// /workspace/../etc/passwd requireApproval requireApproval[0] secureclaw.yaml:40
}
