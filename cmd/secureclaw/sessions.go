package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

func newSessionsCmd(g *globals) *cobra.Command {
	list := wire.SessionsList{}
	run := func(cmd *cobra.Command, _ []string) error { return listSessions(cmd, g, list) }
	cmd := &cobra.Command{
		Use: "sessions", Short: "See, export and stop conversations",
		Long: `A conversation keeps all that was said in it, and a label: what its model has read. Without a verb it lists
conversations.`,
		Args: usageArgs(cobra.NoArgs), RunE: run,
	}
	listing := func(c *cobra.Command) {
		c.Flags().BoolVar(&list.All, "all", false, "also those that work for another one, as iterations of its tasks")
		c.Flags().IntVar(&list.Limit, "limit", 50, "how many at most")
	}
	listCmd := &cobra.Command{Use: "list", Short: "List conversations, the youngest first", Args: usageArgs(cobra.NoArgs), RunE: run}
	listing(cmd)
	listing(listCmd)
	cmd.AddCommand(listCmd, newSessionsShowCmd(g), newSessionsExportCmd(g), newSessionsStopCmd(g))
	return cmd
}

func listSessions(cmd *cobra.Command, g *globals, list wire.SessionsList) error {
	if list.Limit < 1 {
		return fmt.Errorf("%w: --limit %d: want 1 or more", errUsage, list.Limit)
	}
	return withGateway(cmd.Context(), g, quickTimeout, func(ctx context.Context, conn *wire.Conn) error {
		found, more, err := allSessions(ctx, conn, list)
		if err != nil {
			return err
		}
		if g.JSON {
			return printJSON(cmd.OutOrStdout(), found)
		}
		for _, s := range found {
			printSession(cmd.OutOrStdout(), s)
		}
		switch {
		case len(found) == 0:
			fmt.Fprintln(cmd.ErrOrStderr(), "Nothing was said yet.")
		case more:
			fmt.Fprintln(cmd.ErrOrStderr(), "There are older ones; see --limit.")
		}
		return nil
	})
}

// allSessions asks for pages until there are enough, or no more.
func allSessions(ctx context.Context, conn *wire.Conn, list wire.SessionsList) (found []wire.Session, more bool, err error) {
	found = []wire.Session{}
	for most := list.Limit; ; {
		list.Limit = min(most-len(found), 1000)
		page, err := manage[wire.SessionsPage](ctx, conn, wire.ManageSessionsList, list)
		if err != nil {
			return nil, false, err
		}
		found = append(found, page.Sessions...)
		if page.Next == 0 || len(found) >= most {
			return found, page.Next != 0, nil
		}
		list.Skip = page.Next
	}
}

// printSession shows a conversation on two lines: what it is, and what its model has read.
func printSession(w io.Writer, s wire.Session) {
	words := []string{s.Created.Local().Format("2006-01-02 15:04"), visibleLine(s.Channel), several(s.Turns, "turn", "turns")}
	if s.Running {
		words = append(words, "running")
	}
	if s.Parent != "" {
		words = append(words, "for "+visibleLine(s.Parent))
	}
	if s.Title != "" {
		words = append(words, shortLine(s.Title, 60))
	}
	fmt.Fprintf(w, "%s  %s\n", visibleLine(s.ID), strings.Join(words, " · "))
	fmt.Fprintf(w, "    %s\n", hasRead(s.Label))
}

// hasRead says a label and where it comes from.
func hasRead(l wire.Label) string {
	text := labelWords(l)
	if len(l.Sources) > 0 {
		text += "; this session has read: " + visibleLine(strings.Join(l.Sources, ", "))
	}
	return text
}

func newSessionsShowCmd(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show a conversation: what was said, called and read, its tasks and summaries",
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withGateway(cmd.Context(), g, longTimeout, func(ctx context.Context, conn *wire.Conn) error {
				first, err := manage[wire.SessionPage](ctx, conn, wire.ManageSessionsShow, wire.SessionsShow{ID: args[0]})
				if err != nil {
					return err
				}
				tasks, err := sessionTasks(ctx, conn, args[0])
				if err != nil {
					return err
				}
				summaries, err := sessionSummaries(ctx, conn, args[0])
				if err != nil {
					return err
				}
				turns := func(each func(wire.SessionTurn)) error { return eachTurn(ctx, conn, first, each) }
				if g.JSON {
					doc := struct {
						Session   wire.Session       `json:"session"`
						Tasks     []wire.Task        `json:"tasks"`
						Summaries []wire.Summary     `json:"summaries"`
						Turns     []wire.SessionTurn `json:"turns"`
					}{first.Session, tasks, summaries, []wire.SessionTurn{}}
					if err := turns(func(t wire.SessionTurn) { doc.Turns = append(doc.Turns, t) }); err != nil {
						return err
					}
					return printJSON(cmd.OutOrStdout(), doc)
				}
				out := cmd.OutOrStdout()
				printSession(out, first.Session)
				for _, t := range tasks {
					printTask(out, t)
				}
				return turns(func(t wire.SessionTurn) {
					printTurn(out, t)
					for _, s := range summaries {
						if s.Upto == t.N {
							fmt.Fprintf(out, "\n— up to here the model may be shown a summary of %s instead (%s) —\n", several(t.N, "turn", "turns"), visibleLine(s.Model))
							printText(out, s.Text)
						}
					}
				})
			})
		},
	}
}

// eachTurn goes through all turns, page by page.
func eachTurn(ctx context.Context, conn *wire.Conn, page wire.SessionPage, each func(wire.SessionTurn)) error {
	for {
		for _, t := range page.Turns {
			each(t)
		}
		if page.Next == 0 {
			return nil
		}
		var err error
		if page, err = manage[wire.SessionPage](ctx, conn, wire.ManageSessionsShow, wire.SessionsShow{ID: page.Session.ID, After: page.Next}); err != nil {
			return err
		}
	}
}

func sessionTasks(ctx context.Context, conn *wire.Conn, id string) ([]wire.Task, error) {
	out := []wire.Task{}
	for part := (wire.SessionPart{ID: id}); ; {
		page, err := manage[wire.TasksPage](ctx, conn, wire.ManageSessionsTasks, part)
		if err != nil {
			return nil, err
		}
		if out = append(out, page.Tasks...); page.Next == 0 {
			return out, nil
		}
		part.Skip = page.Next
	}
}

func sessionSummaries(ctx context.Context, conn *wire.Conn, id string) ([]wire.Summary, error) {
	out := []wire.Summary{}
	for part := (wire.SessionPart{ID: id}); ; {
		page, err := manage[wire.SummariesPage](ctx, conn, wire.ManageSessionsSummaries, part)
		if err != nil {
			return nil, err
		}
		if out = append(out, page.Summaries...); page.Next == 0 {
			return out, nil
		}
		part.Skip = page.Next
	}
}

// printTask shows a plan with ticks and how far it is.
func printTask(w io.Writer, t wire.Task) {
	fmt.Fprintf(w, "\ntask %s · %s · iteration %d of %d · %s tokens · since %s\n", visibleLine(t.ID), visibleLine(t.State), t.Iteration, t.Most, thousands(t.Tokens), t.Begun.Local().Format("2006-01-02 15:04"))
	printText(w, t.Request)
	printSteps(w, t.Steps)
}

// printTurn shows one turn. What was said stands behind a mark that no words can make.
func printTurn(w io.Writer, t wire.SessionTurn) {
	for _, r := range t.Results {
		images := ""
		if r.Images > 0 {
			images = " · " + several(r.Images, "picture", "pictures")
		}
		fmt.Fprintf(w, "\n%d  result of %s · %s · %s%s\n", t.N, shortLine(r.Tool, 64), visibleLine(r.Status), labelOf(r.Label), images)
		printText(w, r.Content)
	}
	if t.Text == "" && len(t.Calls) == 0 && len(t.Results) > 0 {
		return
	}
	recalled := ""
	for _, id := range t.Recalled {
		recalled += fmt.Sprintf(" #%d", id)
	}
	if recalled != "" {
		recalled = " · with the memories" + recalled
	}
	fmt.Fprintf(w, "\n%d  %s · %s%s\n", t.N, visibleLine(t.Role), t.At.Local().Format("2006-01-02 15:04:05"), recalled)
	printText(w, t.Text)
	if t.Notes != "" {
		fmt.Fprintln(w, "  with these notes, which are not the user's words:")
		printText(w, t.Notes)
	}
	for _, c := range t.Calls {
		fmt.Fprintf(w, "  calls %s\n", shortLine(c.Tool, 64))
		for _, a := range arguments(strict.Value(c.Input)) {
			printArgument(w, a)
		}
	}
}

func labelOf(l wire.Label) string {
	text := labelWords(l)
	if len(l.Sources) > 0 {
		text += " (" + visibleLine(strings.Join(l.Sources, ", ")) + ")"
	}
	return text
}

// printText shows every line of a text behind a mark.
func printText(w io.Writer, text string) {
	if text == "" {
		return
	}
	for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		for i, piece := range folded(visibleLine(line)) {
			mark := "│"
			if i > 0 {
				mark = "┆"
			}
			fmt.Fprintf(w, "  %s %s\n", mark, piece)
		}
	}
}

func newSessionsStopCmd(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "stop ID", Short: "Stop what runs in a conversation, what waits in it, and its open questions",
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withGateway(cmd.Context(), g, quickTimeout, func(ctx context.Context, conn *wire.Conn) error {
				done, err := manage[wire.SessionsStopped](ctx, conn, wire.ManageSessionsStop, wire.SessionsStop{ID: args[0]})
				if err != nil {
					return err
				}
				if g.JSON {
					return printJSON(cmd.OutOrStdout(), done)
				}
				fmt.Fprintln(cmd.OutOrStdout(), visibleLine(done.Said))
				return nil
			})
		},
	}
}
