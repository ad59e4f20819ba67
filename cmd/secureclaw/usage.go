package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/secureclaw/secureclaw/internal/wire"
)

func newUsageCmd(g *globals) *cobra.Command {
	var sum wire.UsageSum
	keys := []string{wire.UsageByDay, wire.UsageBySession, wire.UsageByHeartbeat, wire.UsageByTask, wire.UsageByModel}
	cmd := &cobra.Command{
		Use: "usage", Short: "Show how many tokens were spent, and on what",
		Long: `How many tokens the model read and wrote, by day, session, heartbeat, task or model. Days are those of
this computer's clock. What a limit counts is the sum of all four columns: tokens read at full price,
written, read from the provider's cache and written to it.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case !slices.Contains(keys, sum.By):
				return fmt.Errorf("%w: --by %q: want %s", errUsage, sum.By, strings.Join(keys, ", "))
			case sum.Days < 1 || sum.Days > 3660:
				return fmt.Errorf("%w: --days %d: want 1 to 3660", errUsage, sum.Days)
			case sum.Limit < 1:
				return fmt.Errorf("%w: --limit %d: want 1 or more", errUsage, sum.Limit)
			}
			return withGateway(cmd.Context(), g, quickTimeout, func(ctx context.Context, conn *wire.Conn) error {
				table, err := manage[wire.UsageTable](ctx, conn, wire.ManageUsageSum, sum)
				if err != nil {
					return err
				}
				if g.JSON {
					return printJSON(cmd.OutOrStdout(), table)
				}
				printUsage(cmd.OutOrStdout(), table)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&sum.By, "by", wire.UsageByDay, strings.Join(keys, ", "))
	cmd.Flags().IntVar(&sum.Days, "days", 30, "how many days, today included")
	cmd.Flags().IntVar(&sum.Limit, "limit", 100, "how many rows")
	return cmd
}

// printUsage shows a table whose last line is the sum, and how far today is from its limit.
func printUsage(w io.Writer, t wire.UsageTable) {
	since := t.Since.Local().Format(time.DateOnly)
	if len(t.Rows) == 0 {
		fmt.Fprintf(w, "Nothing was spent since %s.\n", since)
	} else {
		rows := [][]string{{strings.ToUpper(t.By), "CALLS", "INPUT", "OUTPUT", "CACHE READ", "CACHE WRITE", "TOKENS", ""}}
		row := func(name, about string, r wire.UsageRow) {
			rows = append(rows, []string{name, thousands(r.Calls), thousands(r.Usage.Input), thousands(r.Usage.Output), thousands(r.Usage.CacheRead), thousands(r.Usage.CacheWrite), thousands(r.Tokens), about})
		}
		for _, r := range t.Rows {
			row(shortLine(r.Name, 40), shortLine(r.About, 40), r)
		}
		row("since "+since, "", t.Total)
		printColumns(w, rows)
		if t.More > 0 {
			fmt.Fprintf(w, "%s more, counted in the last line; see --limit\n", plural(t.More, "row"))
		}
	}
	fmt.Fprintf(w, "today: %s\n", todayWords(t.Today, t.TodayMost))
}

// todayWords say what was spent today, and of how much.
func todayWords(spent, most int64) string {
	if most == 0 {
		return thousands(spent) + " tokens, without a limit"
	}
	words := fmt.Sprintf("%s of %s tokens (%d %%)", thousands(spent), thousands(most), spent*100/most)
	if spent >= most {
		words += " · paused until midnight (limits.tokensPerDay)"
	}
	return words
}

// printColumns aligns the first column and the last one to the left, those between to the right.
func printColumns(w io.Writer, rows [][]string) {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			switch {
			case i == 0:
				line.WriteString(cell + pad)
			case i == len(row)-1:
				line.WriteString("  " + cell)
			default:
				line.WriteString("  " + pad + cell)
			}
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}

// shortLine is text of somebody else's on a line of ours.
func shortLine(text string, limit int) string {
	line := visibleLine(text)
	if runes := []rune(line); len(runes) > limit {
		line = string(runes[:limit-1]) + "…"
	}
	return line
}

// thousands writes a number with its thousands apart.
func thousands(n int64) string {
	text := fmt.Sprint(n)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}
