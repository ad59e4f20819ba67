package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
	_ "time/tzdata" // zones by name also where the system has no list of them: in a slim container

	"github.com/spf13/cobra"

	"github.com/secureclaw/secureclaw/internal/wire"
)

func newHeartbeatsCmd(g *globals) *cobra.Command {
	list := func(cmd *cobra.Command, _ []string) error {
		return withGateway(cmd.Context(), g, quickTimeout, func(ctx context.Context, conn *wire.Conn) error {
			found, err := manage[wire.HeartbeatList](ctx, conn, wire.ManageHeartbeatsList, struct{}{})
			if err != nil {
				return err
			}
			if g.JSON {
				return printJSON(cmd.OutOrStdout(), found)
			}
			if len(found.Heartbeats) == 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), "No heartbeat is configured; write one into heartbeats: in secureclaw.yaml.")
			}
			for _, h := range found.Heartbeats {
				printHeartbeat(cmd.OutOrStdout(), h, time.Local)
			}
			return nil
		})
	}
	cmd := &cobra.Command{
		Use: "heartbeats", Short: "List the prompts on a clock, turn them on or off, let one beat now",
		Args: usageArgs(cobra.NoArgs), RunE: list,
	}
	cmd.AddCommand(
		&cobra.Command{Use: "list", Short: "List all, with their next time and how they did last", Args: usageArgs(cobra.NoArgs), RunE: list},
		newHeartbeatsShowCmd(g), newHeartbeatsToggleCmd(g, true), newHeartbeatsToggleCmd(g, false), newHeartbeatsRunCmd(g),
	)
	return cmd
}

func newHeartbeatsShowCmd(g *globals) *cobra.Command {
	var show wire.HeartbeatShow
	cmd := &cobra.Command{
		Use: "show NAME", Short: "Show one: its prompt and its last beats", Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			show.Name = args[0]
			if show.Limit < 1 || show.Limit > 100 {
				return fmt.Errorf("%w: --limit %d: want 1 to 100", errUsage, show.Limit)
			}
			return withGateway(cmd.Context(), g, quickTimeout, func(ctx context.Context, conn *wire.Conn) error {
				shown, err := manage[wire.HeartbeatShown](ctx, conn, wire.ManageHeartbeatsShow, show)
				if err != nil {
					return err
				}
				if g.JSON {
					return printJSON(cmd.OutOrStdout(), shown.Heartbeat)
				}
				printHeartbeatWhole(cmd.OutOrStdout(), shown.Heartbeat, time.Local)
				return nil
			})
		},
	}
	cmd.Flags().IntVar(&show.Limit, "limit", 20, "how many of its last beats, at most 100")
	return cmd
}

func newHeartbeatsToggleCmd(g *globals, on bool) *cobra.Command {
	use, short := "disable NAME", "Turn one off, whatever secureclaw.yaml says, until you turn it on"
	if on {
		use, short = "enable NAME", "Turn one on, whatever secureclaw.yaml says; its time begins now"
	}
	return &cobra.Command{
		Use: use, Short: short, Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withGateway(cmd.Context(), g, quickTimeout, func(ctx context.Context, conn *wire.Conn) error {
				h, err := manage[wire.Heartbeat](ctx, conn, wire.ManageHeartbeatsToggle, wire.HeartbeatToggle{Name: args[0], On: on})
				if err != nil {
					return err
				}
				if g.JSON {
					return printJSON(cmd.OutOrStdout(), h)
				}
				printHeartbeat(cmd.OutOrStdout(), h, time.Local)
				return nil
			})
		},
	}
}

// How long one waits for a beat, and how often it is asked for. It may wait for a human meanwhile.
const (
	beatTimeout = 24 * time.Hour
	beatPause   = 300 * time.Millisecond
)

func newHeartbeatsRunCmd(g *globals) *cobra.Command {
	wait := false
	cmd := &cobra.Command{
		Use: "run NAME", Short: "Let one beat now, whether it is on or off",
		Long: `Lets a heartbeat beat now, whether it is on or off, unless one of its beats runs. With --wait the answer is
printed when it is there; whoever is not told of it otherwise still is not. Interrupting the wait stops nothing.`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withGateway(cmd.Context(), g, beatTimeout, func(ctx context.Context, conn *wire.Conn) error {
				b, err := manage[wire.Beat](ctx, conn, wire.ManageHeartbeatsRun, wire.HeartbeatRun{Name: args[0]})
				if err != nil {
					return err
				}
				for wait && b.Outcome == "" {
					select {
					case <-ctx.Done():
						return lost(ctx, ctx.Err())
					case <-time.After(beatPause):
					}
					if b, err = manage[wire.Beat](ctx, conn, wire.ManageHeartbeatsBeat, wire.HeartbeatBeat{Name: args[0], Session: b.Session}); err != nil {
						return err
					}
				}
				return printRun(cmd.OutOrStdout(), cmd.ErrOrStderr(), b, g.JSON)
			})
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "wait for the answer and print it")
	return cmd
}

// printRun says what came of a beat that was asked for; an outcome that is no answer is a failure.
func printRun(stdout, stderr io.Writer, b wire.Beat, asJSON bool) error {
	switch {
	case asJSON:
		if err := printJSON(stdout, b); err != nil {
			return err
		}
	case b.Outcome == "":
		fmt.Fprintf(stdout, "%s runs; its session is %s\n", visibleLine(b.Heartbeat), visibleLine(b.Session))
	case b.Silent && b.Outcome == wire.ReplyDone:
		fmt.Fprintf(stderr, "%s had nothing to tell (%s tokens)\n", visibleLine(b.Heartbeat), thousands(spent(b.Usage)))
	default:
		fmt.Fprintln(stdout, visible(b.Answer))
	}
	switch b.Outcome {
	case "", wire.ReplyDone:
		return nil
	}
	return &failure{exitFailed, fmt.Sprintf("the beat ended as %s", b.Outcome), visibleLine(b.Note), ""}
}

// printHeartbeat shows one in three lines.
func printHeartbeat(w io.Writer, h wire.Heartbeat, here *time.Location) {
	state := "off"
	if h.Enabled {
		state = "on"
	}
	if h.Toggled {
		state += ", as you said"
	} else {
		state += ", as configured"
	}
	fmt.Fprintf(w, "%s  %s\n", visibleLine(h.Name), state)
	fmt.Fprintf(w, "  %s (%s)\n", visibleLine(h.Words), visibleLine(h.Timezone))
	if !h.Next.IsZero() {
		fmt.Fprintf(w, "  next  %s\n", twoClocks(h.Next, h.Timezone, here))
	}
	if len(h.Last) > 0 {
		fmt.Fprintf(w, "  last  %s\n", beatLine(h.Last[0], h.Timezone, here))
	}
}

func printHeartbeatWhole(w io.Writer, h wire.Heartbeat, here *time.Location) {
	last := h.Last
	h.Last = nil
	printHeartbeat(w, h, here)
	missed := "a time that was missed is made up for once"
	if h.Missed == "skip" {
		missed = "a time that was missed is skipped"
	}
	fmt.Fprintf(w, "  cron  %s; %s\n\n", visibleLine(h.Schedule), missed)
	for line := range strings.SplitSeq(strings.TrimRight(h.Prompt, "\n"), "\n") {
		fmt.Fprintf(w, "  │ %s\n", visibleLine(line))
	}
	if len(last) > 0 {
		fmt.Fprintln(w)
	}
	for _, b := range last {
		fmt.Fprintf(w, "  %s\n", beatLine(b, h.Timezone, here))
		if b.Session != "" {
			fmt.Fprintf(w, "      %s\n", visibleLine(b.Session))
		}
	}
}

// beatLine is one beat: when, how it ended, what it cost.
func beatLine(b wire.Beat, zone string, here *time.Location) string {
	parts := []string{twoClocks(b.Due, zone, here)}
	switch {
	case b.Outcome == "":
		parts = append(parts, "runs")
	case b.Silent && b.Outcome == wire.ReplyDone:
		parts = append(parts, "done, nothing to tell")
	default:
		parts = append(parts, visibleLine(b.Outcome))
	}
	if b.Manual {
		parts = append(parts, "by hand")
	}
	if b.Missed > 0 {
		parts = append(parts, plural(b.Missed, "earlier time")+" missed")
	}
	if !b.Started.IsZero() && !b.Ended.IsZero() {
		parts = append(parts, b.Ended.Sub(b.Started).Round(time.Second/10).String())
	}
	if n := spent(b.Usage); n > 0 {
		parts = append(parts, thousands(n)+" tokens")
	}
	if b.Note != "" {
		parts = append(parts, visibleLine(b.Note))
	}
	return strings.Join(parts, " · ")
}

// spent is what a limit counts.
func spent(u wire.Usage) int64 { return u.Input + u.Output + u.CacheRead + u.CacheWrite }

// twoClocks is a time in the zone of a heartbeat and, where the wall here shows another, as it is here.
func twoClocks(t time.Time, zone string, here *time.Location) string {
	const layout = "Mon 2006-01-02 15:04"
	loc, err := time.LoadLocation(zone)
	if err != nil || zone == "" {
		loc = here
	}
	there := t.In(loc).Format(layout)
	if mine := t.In(here).Format(layout); mine != there {
		return fmt.Sprintf("%s %s (%s here)", there, visibleLine(zone), mine)
	}
	return there
}
