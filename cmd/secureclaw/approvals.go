package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/secureclaw/secureclaw/internal/wire"
)

const quickTimeout = 20 * time.Second

func newApprovalsCmd(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "approvals [ID]", Short: "List what waits for your decision, or show one in full",
		Args: usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			query := wire.Query{Ref: newRef(), What: wire.QueryApprovals}
			if len(args) == 1 {
				query.What, query.ID = wire.QueryApproval, args[0]
			}
			return withGateway(cmd.Context(), g, quickTimeout, func(ctx context.Context, conn *wire.Conn) error {
				answer, err := ask(ctx, conn, query.Ref, wire.Up{Query: &query}, nil)
				if err != nil {
					return err
				}
				if g.JSON {
					if answer.Cards == nil {
						answer.Cards = []wire.Card{}
					}
					return printJSON(cmd.OutOrStdout(), answer.Cards)
				}
				if len(answer.Cards) == 0 {
					fmt.Fprintln(cmd.ErrOrStderr(), "Nothing waits for a decision.")
				}
				for _, c := range answer.Cards {
					printCard(cmd.OutOrStdout(), c)
				}
				return nil
			})
		},
	}
}

func newApproveCmd(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "approve ID", Short: "Let one waiting call run, once, exactly as `secureclaw approvals` shows it",
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return decideFrom(cmd, g, wire.Decide{Ref: newRef(), Approval: args[0], Allow: true})
		},
	}
}

func newDenyCmd(g *globals) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "deny ID", Short: "Refuse one waiting call, and say why if you like",
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return decideFrom(cmd, g, wire.Decide{Ref: newRef(), Approval: args[0], Reason: reason})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "told to the model as your words")
	return cmd
}

func decideFrom(cmd *cobra.Command, g *globals, d wire.Decide) error {
	return withGateway(cmd.Context(), g, quickTimeout, func(ctx context.Context, conn *wire.Conn) error {
		answer, err := ask(ctx, conn, d.Ref, wire.Up{Decide: &d}, nil)
		if err != nil {
			return err
		}
		if g.JSON {
			return printJSON(cmd.OutOrStdout(), answer.Cards[0])
		}
		c := answer.Cards[0]
		verdict := "allowed, it runs once"
		if !d.Allow {
			verdict = "denied"
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s %s: %s\n", c.Code, c.Tool, verdict)
		return nil
	})
}

// printCard shows a question whole. Every argument is there, with nothing that a terminal would
// hide: what is read here is what runs.
func printCard(w io.Writer, c wire.Card) {
	fmt.Fprintf(w, "Approve?  %s%s%s · step %d\n", visibleLine(c.Tool), strings.Repeat(" ", max(1, 40-len(c.Tool))), c.Code, c.Step)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "  %-10s %s\n", name, visibleLine(value))
		}
	}
	row("Site", c.Site())
	for _, a := range cardArguments(c) {
		printArgument(w, a)
	}
	row("Folders", strings.Join(c.Mounts, ", "))
	row("Domains", strings.Join(c.Domains, ", "))
	rule := c.Rule
	if c.Reason != "" {
		rule += ": " + c.Reason
	}
	row("Why", rule)
	origin := c.Origin
	if len(c.Sources) > 0 {
		origin += "; this session has read: " + strings.Join(c.Sources, ", ")
	}
	row("Origin", origin)
	row("SHA-256", c.Digest)
	if c.State == "pending" {
		row("Expires", c.Expires.Local().Format("15:04:05")+", then denied")
		return
	}
	state := c.State
	if c.By != "" {
		state += strings.TrimSuffix(" by "+c.By+" ("+c.Via+")", " ()")
	}
	if c.Why != "" {
		state += ": " + c.Why
	}
	if c.Outcome != "" {
		state += " · " + c.Outcome
	}
	row("State", state)
	row("Result", c.Line)
}

// printArgument shows a short value beside its name and a long one below it, where every line of
// the screen begins with a mark that no argument can make: │ for a line of the value, ┆ for the
// rest of one that is too long.
func printArgument(w io.Writer, a argument) {
	name, lines := visibleLine(a.name), strings.Split(a.value, "\n")
	if only := visibleLine(a.value); len(lines) == 1 && len(folded(name+"   "+only)) == 1 {
		fmt.Fprintf(w, "  %-10s %s\n", name, only)
		return
	}
	fmt.Fprintf(w, "  %-10s (%s, complete below)\n", name, cmp.Or(a.size, plural(len(a.value), "byte")))
	for _, line := range lines {
		for i, piece := range folded(visibleLine(line)) {
			mark := "│"
			if i > 0 {
				mark = "┆"
			}
			fmt.Fprintf(w, "  %s %s\n", mark, piece)
		}
	}
}
