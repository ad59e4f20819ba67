package main

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/spf13/cobra"

	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

func newSessionsExportCmd(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "export ID [FILE]", Short: "Write a conversation as JSON lines, whole and as it is stored",
		Long: `Writes the conversation, its tasks, its summaries and every turn, one a line, and after them those of the
conversations that work for it. Nothing is shortened; of pictures there are the names. A FILE that is there
already is not touched.`,
		Args: usageArgs(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withGateway(cmd.Context(), g, longTimeout, func(ctx context.Context, conn *wire.Conn) error {
				// Asked before the file is made: a wrong id leaves nothing behind.
				page, err := manage[wire.SessionPage](ctx, conn, wire.ManageSessionsShow, wire.SessionsShow{ID: args[0]})
				if err != nil {
					return err
				}
				turns, sessions := 0, 0
				err = writeLines(cmd.OutOrStdout(), args[1:], func(line func(any) error) error {
					return exportFamily(ctx, conn, page.Session, map[string]bool{}, func(l wire.SessionLine) error {
						if l.Turn != nil {
							turns++
						} else if l.Head != nil {
							sessions++
						}
						return line(l)
					})
				})
				if err == nil {
					fmt.Fprintf(cmd.ErrOrStderr(), "Exported: %s of %s.\n", several(turns, "turn", "turns"), several(sessions, "conversation", "conversations"))
				}
				return err
			})
		},
	}
}

// exportFamily writes a conversation, and then those that work for it.
func exportFamily(ctx context.Context, conn *wire.Conn, s wire.Session, seen map[string]bool, line func(wire.SessionLine) error) error {
	if seen[s.ID] {
		return nil
	}
	seen[s.ID] = true
	if err := line(wire.SessionLine{Head: &s}); err != nil {
		return err
	}
	tasks, err := sessionTasks(ctx, conn, s.ID)
	if err != nil {
		return err
	}
	for _, t := range slices.Backward(tasks) {
		if err := line(wire.SessionLine{Session: s.ID, Task: &t}); err != nil {
			return err
		}
	}
	summaries, err := sessionSummaries(ctx, conn, s.ID)
	if err != nil {
		return err
	}
	for _, sum := range summaries {
		if err := line(wire.SessionLine{Session: s.ID, Summary: &sum}); err != nil {
			return err
		}
	}
	if err := exportTurns(ctx, conn, s.ID, line); err != nil {
		return err
	}
	children, _, err := allSessions(ctx, conn, wire.SessionsList{Parent: s.ID, Limit: math.MaxInt})
	if err != nil {
		return err
	}
	for _, child := range children {
		if err := exportFamily(ctx, conn, child, seen, line); err != nil {
			return err
		}
	}
	return nil
}

// exportTurns writes all turns. One that is larger than a frame comes in pieces.
func exportTurns(ctx context.Context, conn *wire.Conn, id string, line func(wire.SessionLine) error) error {
	request, piece := wire.SessionsExport{ID: id}, ""
	for {
		page, err := manage[wire.SessionRows](ctx, conn, wire.ManageSessionsExport, request)
		if err != nil {
			return err
		}
		for i, row := range page.Rows {
			row.Text, piece = piece+row.Text, ""
			if page.Cut && i == len(page.Rows)-1 {
				piece = row.Text
				request.After, request.Offset = row.N-1, len(piece)
				break
			}
			turn := strict.Value(row.Text)
			if !turn.IsValid() {
				return fmt.Errorf("session %s, turn %d is no JSON", id, row.N)
			}
			if err := line(wire.SessionLine{Session: id, Turn: &wire.StoredTurn{N: row.N, At: row.At, Turn: turn}}); err != nil {
				return err
			}
			request.After, request.Offset = row.N, 0
		}
		if !page.More || len(page.Rows) == 0 {
			return nil
		}
	}
}
