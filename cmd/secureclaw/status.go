package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/secureclaw/secureclaw/internal/wire"
)

func newStatusCmd(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Say what runs and what does not",
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withGateway(cmd.Context(), g, quickTimeout, func(ctx context.Context, conn *wire.Conn) error {
				status, err := fetchStatus(ctx, conn)
				if err != nil {
					return err
				}
				if g.JSON {
					err = printJSON(cmd.OutOrStdout(), status)
				} else {
					printStatus(cmd.OutOrStdout(), status)
				}
				if err == nil && (status.Runner != "ok" || status.Audit != "ok") {
					return &failure{code: exitFailed} // the document above says what and why
				}
				return err
			})
		},
	}
}

func fetchStatus(ctx context.Context, conn *wire.Conn) (*wire.GatewayStatus, error) {
	query := wire.Query{Ref: newRef(), What: wire.QueryStatus}
	answer, err := ask(ctx, conn, query.Ref, wire.Up{Query: &query}, nil)
	if err != nil {
		return nil, err
	}
	if answer.Status == nil {
		return nil, &failure{code: exitFailed, what: "the gateway answered without a status"}
	}
	return answer.Status, nil
}

func printStatus(w io.Writer, s *wire.GatewayStatus) {
	fmt.Fprintf(w, "gateway  ok · %s · pid %d · since %s\n", s.Version, s.PID, s.Started.Local().Format("2006-01-02 15:04:05"))
	fmt.Fprintf(w, "model    %s\n", s.Model)
	fmt.Fprintf(w, "runner   %s", s.Runner)
	if s.Engine != "" {
		fmt.Fprintf(w, " · %s", s.Engine)
	}
	fmt.Fprintln(w)
	if s.Fix != "" {
		fmt.Fprintf(w, "  fix    %s\n", s.Fix)
	}
	fmt.Fprintf(w, "ready    %s\n", readyWords(s))
	browsing := s.Browsing
	if browsing == "" {
		browsing = "off · secureclaw.yaml has no executors.web (web: {} there brings it)"
	}
	fmt.Fprintf(w, "browsing %s\n", visibleLine(browsing))
	for _, h := range s.Messengers {
		fmt.Fprintf(w, "%-8s %s\n", h.Messenger, messengerWords(h))
	}
	fmt.Fprintf(w, "audit    %s\n", s.Audit)
	fmt.Fprintf(w, "now      %s, %s waiting for you\n", plural(s.Running, "session")+" at work", plural(s.Pending, "call"))
	fmt.Fprintf(w, "today    %s\n", todayWords(s.Today, s.TodayMost))
	for _, warning := range s.Warnings {
		fmt.Fprintf(w, "warning  %s\n", warning)
	}
}

// messengerWords says how a messenger does. What it says of itself came over the network.
func messengerWords(h wire.Health) string {
	words := h.State
	if h.Account != "" {
		words += " · " + visibleLine(h.Account)
	}
	if h.Why != "" {
		words += " · " + visibleLine(h.Why)
	}
	if h.State != wire.HealthOK && !h.Since.IsZero() {
		words += " · since " + h.Since.Local().Format("2006-01-02 15:04:05")
	}
	return words
}

// readyWords says which containers wait for a call.
func readyWords(s *wire.GatewayStatus) string {
	if s.ReadyMost == 0 {
		return "none · runner.ready.memory is 0, so each call starts its own container"
	}
	if len(s.Ready) == 0 {
		return "none yet"
	}
	var kinds []string
	var held int64
	for _, r := range s.Ready {
		kinds = append(kinds, fmt.Sprintf("%d %s", r.Containers, r.Kind))
		held += r.Bytes
	}
	return fmt.Sprintf("%s · %d of %d MiB", strings.Join(kinds, ", "), held>>20, s.ReadyMost>>20)
}
