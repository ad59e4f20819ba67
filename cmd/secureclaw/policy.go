package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/secureclaw/secureclaw/gateway"
	"github.com/secureclaw/secureclaw/internal/config"
)

func newPolicyCmd(g *globals) *cobra.Command {
	cmd := &cobra.Command{Use: "policy", Short: "What would happen if…", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(&cobra.Command{
		Use:     "explain TOOL JSON",
		Short:   "Say which tier and rule a call would get, and what its container would see",
		Example: `  secureclaw policy explain write_file '{"path":".env","content":"x"}'`,
		Args:    usageArgs(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, cfg, _, err := loadAll(g)
			if err != nil {
				return err
			}
			j, err := gateway.Judge(cfg, args[0], []byte(args[1]))
			if err != nil {
				return &failure{code: exitConfig, what: "the rules are invalid", why: err.Error(), fix: "secureclaw config check"}
			}
			if g.JSON {
				err = printJSON(cmd.OutOrStdout(), j)
			} else {
				printJudgement(cmd, j)
			}
			if err == nil && j.Refused != "" {
				return &failure{code: exitRefused} // said above
			}
			return err
		},
	})
	return cmd
}

func printJudgement(cmd *cobra.Command, j gateway.Judgement) {
	out := cmd.OutOrStdout()
	if j.Refused != "" {
		fmt.Fprintf(out, "refused: %s\n", visibleLine(j.Refused))
		return
	}
	says := map[string]string{"autoApprove": "runs", "notify": "runs and tells you", "requireApproval": "asks you first"}[j.Tier]
	fmt.Fprintf(out, "%s: %s\n", j.Tier, says)
	fmt.Fprintf(out, "  rule     %s\n", visibleLine(j.Rule))
	if j.Reason != "" {
		fmt.Fprintf(out, "  reason   %s\n", visibleLine(j.Reason))
	}
	fmt.Fprintf(out, "  runs as  %s\n", visibleLine(string(j.Input)))
	for _, m := range j.Mounts {
		fmt.Fprintf(out, "  folder   %s %s\n", m.Name, m.Mode)
	}
	for _, d := range j.Domains {
		fmt.Fprintf(out, "  domain   %s\n", d)
	}
	if j.Tier == "requireApproval" {
		for _, s := range j.Steps {
			if s.Why != "" {
				fmt.Fprintf(out, "  not      %s: %s\n", visibleLine(s.Rule), visibleLine(s.Why))
			}
		}
		return
	}
	if len(j.Domains) > 0 {
		fmt.Fprintln(out, "  but      it asks for a message that came late, and where strangers' text was read before and neither you nor a page gave this address")
	}
}

// checkRules compiles the rules and runs their examples; what is wrong is told like any other error of the file.
func checkRules(file string, cfg *config.Config) error {
	err := gateway.CheckPolicy(cfg)
	if err == nil {
		return nil
	}
	var all config.Errors
	for line := range strings.SplitSeq(err.Error(), "\n") {
		all = append(all, config.Problem{File: file, Key: "actionTiers", Message: line})
	}
	return all
}
