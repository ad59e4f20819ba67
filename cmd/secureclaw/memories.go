package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/secureclaw/secureclaw/internal/wire"
)

func newMemoriesCmd(g *globals) *cobra.Command {
	var who wire.Whose
	var list wire.MemoriesList
	run := func(cmd *cobra.Command, _ []string) error {
		list.Whose = who
		return listMemories(cmd, g, list)
	}
	cmd := &cobra.Command{
		Use: "memories", Short: "See, search, forget, export and import what the agent remembers",
		Long: `What the agent keeps beyond a conversation. Each memory has a label: what its words were made of. Whoever
reads it takes that label along. Without a verb it lists them.`,
		Args: usageArgs(cobra.NoArgs), RunE: run,
	}
	listing := func(c *cobra.Command) {
		c.Flags().StringVar(&list.Category, "category", "", "only this category")
		c.Flags().IntVar(&list.Limit, "limit", 50, "how many at most")
	}
	listCmd := &cobra.Command{Use: "list", Short: "List memories, the newest first", Args: usageArgs(cobra.NoArgs), RunE: run}
	listing(cmd)
	listing(listCmd)
	cmd.PersistentFlags().StringVar(&who.Of, "of", "", "whose: owner, or somebody on a messenger like telegram:42 (default owner)")
	cmd.PersistentFlags().BoolVar(&who.All, "all", false, "everybody's")
	cmd.PersistentPreRunE = func(*cobra.Command, []string) error {
		switch {
		case who.All && who.Of != "":
			return fmt.Errorf("%w: --all and --of: want one of them", errUsage)
		case who.Of != "" && !owning.MatchString(who.Of):
			return fmt.Errorf("%w: --of %q: want owner, or a user of a messenger like telegram:42", errUsage, who.Of)
		}
		return nil
	}
	cmd.AddCommand(listCmd, newMemoriesSearchCmd(g, &who), newMemoriesShowCmd(g, &who), newMemoriesCategoriesCmd(g, &who),
		newMemoriesForgetCmd(g, &who), newMemoriesExportCmd(g, &who), newMemoriesImportCmd(g, &who))
	return cmd
}

// owning is how somebody is called who has memories.
var owning = regexp.MustCompile(wire.OwnerPattern)

// searchable refuses words and a limit that no search can use.
func searchable(words []string, limit int) error {
	text := strings.Join(words, " ")
	switch {
	case !utf8.ValidString(text):
		return fmt.Errorf("%w: the words are not UTF-8", errUsage)
	case strings.TrimSpace(text) == "" || len(text) > 4096:
		return fmt.Errorf("%w: want words, 1 to 4096 bytes", errUsage)
	case limit < 1 || limit > 100:
		return fmt.Errorf("%w: --limit %d: want 1 to 100", errUsage, limit)
	}
	return nil
}

func listMemories(cmd *cobra.Command, g *globals, list wire.MemoriesList) error {
	if list.Limit < 1 {
		return fmt.Errorf("%w: --limit %d: want 1 or more", errUsage, list.Limit)
	}
	return withGateway(cmd.Context(), g, quickTimeout, func(ctx context.Context, conn *wire.Conn) error {
		found, more, err := allMemories(ctx, conn, wire.ManageMemoriesList, list)
		if err != nil {
			return err
		}
		if g.JSON {
			return printJSON(cmd.OutOrStdout(), found)
		}
		printMemories(cmd.OutOrStdout(), found, list.All)
		switch {
		case len(found) == 0:
			fmt.Fprintln(cmd.ErrOrStderr(), "Nothing is remembered.")
		case more:
			fmt.Fprintln(cmd.ErrOrStderr(), "There are older ones; see --limit.")
		}
		return nil
	})
}

// allMemories asks for pages until there are enough, or no more.
func allMemories(ctx context.Context, conn *wire.Conn, what string, list wire.MemoriesList) (found []wire.Memory, more bool, err error) {
	found = []wire.Memory{}
	for most := list.Limit; ; {
		list.Limit = min(most-len(found), wire.MaxMemories)
		page, err := manage[wire.MemoriesPage](ctx, conn, what, list)
		if err != nil {
			return nil, false, err
		}
		found = append(found, page.Memories...)
		if page.Below == 0 || len(found) >= most {
			return found, page.Below != 0, nil
		}
		list.Below = page.Below
	}
}

func newMemoriesSearchCmd(g *globals, who *wire.Whose) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "search WORD…", Short: "Search memories, the best match first", Args: usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := searchable(args, limit); err != nil {
				return err
			}
			return withGateway(cmd.Context(), g, quickTimeout, func(ctx context.Context, conn *wire.Conn) error {
				page, err := manage[wire.MemoriesPage](ctx, conn, wire.ManageMemoriesSearch, wire.MemoriesSearch{Whose: *who, Query: strings.Join(args, " "), Limit: limit})
				if err != nil {
					return err
				}
				if g.JSON {
					return printJSON(cmd.OutOrStdout(), page.Memories)
				}
				if len(page.Memories) == 0 {
					fmt.Fprintln(cmd.ErrOrStderr(), "Nothing of that is remembered.")
				}
				printMemories(cmd.OutOrStdout(), page.Memories, false)
				return nil
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 20, "how many at most, up to 100")
	return cmd
}

func newMemoriesShowCmd(g *globals, who *wire.Whose) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show one memory whole", Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, ok := memoryID(args[0])
			if !ok {
				return fmt.Errorf("%w: %q is no id of a memory: want a number, as the list shows it", errUsage, args[0])
			}
			w := *who
			w.All = w.Of == "" // an id is enough
			return withGateway(cmd.Context(), g, quickTimeout, func(ctx context.Context, conn *wire.Conn) error {
				page, err := manage[wire.MemoriesPage](ctx, conn, wire.ManageMemoriesShow, wire.MemoriesShow{Whose: w, IDs: []int64{id}})
				if err != nil {
					return err
				}
				if g.JSON {
					return printJSON(cmd.OutOrStdout(), page.Memories[0])
				}
				printMemory(cmd.OutOrStdout(), page.Memories[0])
				return nil
			})
		},
	}
}

func newMemoriesCategoriesCmd(g *globals, who *wire.Whose) *cobra.Command {
	return &cobra.Command{
		Use: "categories", Short: "Count memories by category", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withGateway(cmd.Context(), g, quickTimeout, func(ctx context.Context, conn *wire.Conn) error {
				found, err := manage[wire.MemoriesCategories](ctx, conn, wire.ManageMemoriesCategories, *who)
				if err != nil {
					return err
				}
				if g.JSON {
					return printJSON(cmd.OutOrStdout(), found.Categories)
				}
				for _, c := range found.Categories {
					fmt.Fprintf(cmd.OutOrStdout(), "%8s  %s\n", thousands(int64(c.Count)), visibleLine(c.Name))
				}
				if found.More > 0 {
					fmt.Fprintf(cmd.ErrOrStderr(), "There are %s more, each with fewer.\n", several(found.More, "category", "categories"))
				}
				return nil
			})
		},
	}
}

func newMemoriesForgetCmd(g *globals, who *wire.Whose) *cobra.Command {
	var yes bool
	var limit int
	cmd := &cobra.Command{
		Use: "forget TOPIC… | #ID…", Short: "Delete memories for good, after showing which",
		Long: `Finds memories by words, or takes the ids that the list shows: numbers alone are ids, with or without #
(which your shell wants quoted). Shows exactly what it would delete, and asks. Without a terminal it deletes nothing unless --yes is given.
What is deleted is gone from the search index too, and from what models are shown of old conversations.`,
		Args: usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context() // a person may take his time to answer
			conn, err := dialGateway(ctx, g)
			if err != nil {
				return err
			}
			defer conn.Close()
			found, err := toForget(ctx, conn, *who, args, limit)
			if err != nil {
				return err
			}
			if len(found) == 0 {
				return &failure{exitFailed, "nothing of that is remembered, so nothing was deleted", "", "secureclaw memories search finds by words, secureclaw memories lists all"}
			}
			if !g.JSON {
				for _, m := range found {
					printMemory(cmd.OutOrStdout(), m)
				}
			}
			if !yes {
				if ok, err := reallyForget(ctx, cmd.ErrOrStderr(), g.JSON, len(found)); !ok || err != nil {
					return err
				}
			}
			return forgetMemories(ctx, cmd, g, conn, found)
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().IntVar(&limit, "limit", 20, "how many matches of a topic at most, up to 100")
	return cmd
}

// toForget are the memories that the words of the command line mean: all of them ids, or a topic.
func toForget(ctx context.Context, conn *wire.Conn, who wire.Whose, args []string, limit int) ([]wire.Memory, error) {
	if err := searchable(args, limit); err != nil {
		return nil, err
	}
	var ids []int64
	for _, arg := range args {
		if id, ok := memoryID(arg); ok {
			ids = append(ids, id)
		}
	}
	switch {
	case len(ids) == 0:
		page, err := manage[wire.MemoriesPage](ctx, conn, wire.ManageMemoriesSearch, wire.MemoriesSearch{Whose: who, Query: strings.Join(args, " "), Limit: limit, Every: true})
		return page.Memories, err
	case len(ids) < len(args) && strings.HasPrefix(strings.Join(args, " "), "#"):
		return nil, fmt.Errorf("%w: ids or a topic, not both", errUsage)
	case len(ids) < len(args): // a topic with a number in it
		page, err := manage[wire.MemoriesPage](ctx, conn, wire.ManageMemoriesSearch, wire.MemoriesSearch{Whose: who, Query: strings.Join(args, " "), Limit: limit, Every: true})
		return page.Memories, err
	}
	page, err := manage[wire.MemoriesPage](ctx, conn, wire.ManageMemoriesShow, wire.MemoriesShow{Whose: who, IDs: ids})
	return page.Memories, err
}

// reallyForget asks whoever sits at the terminal; where nobody sits, nothing is deleted.
func reallyForget(ctx context.Context, out io.Writer, unseen bool, n int) (bool, error) {
	if unseen || !isTerminal(os.Stdin, os.Stdout, os.Stderr) {
		return false, &failure{exitUsage, "nothing was deleted: nobody is here who sees the list and can be asked", "not all of input, output and errors are a terminal, or --json is given", "look at the list (secureclaw memories search), then repeat with --yes"}
	}
	t := &terminal{in: os.Stdin, out: out}
	t.forget() // what was typed before the list was there is no answer to it
	ok, err := t.yes(ctx, fmt.Sprintf("Delete %s for good?", several(n, "memory", "memories")), false)
	if err == nil && !ok {
		return false, &failure{code: exitRefused, what: "nothing was deleted: you said no"}
	}
	return ok, err
}

func forgetMemories(ctx context.Context, cmd *cobra.Command, g *globals, conn *wire.Conn, found []wire.Memory) error {
	request := wire.MemoriesForget{Whose: wire.Whose{All: true}} // by the ids that were shown
	for _, m := range found {
		request.IDs = append(request.IDs, m.ID)
		if at := said(m); at.After(request.Seen) {
			request.Seen = at
		}
	}
	done, err := manage[wire.MemoriesForgotten](ctx, conn, wire.ManageMemoriesForget, request)
	if err != nil {
		return err
	}
	if g.JSON {
		return printJSON(cmd.OutOrStdout(), struct {
			Forgotten []wire.Memory `json:"forgotten"`
			Count     int           `json:"count"`
		}{found, done.Count})
	}
	fmt.Fprintf(cmd.OutOrStdout(), "Forgotten: %s.\n", several(done.Count, "memory", "memories"))
	return nil
}

// memoryID reads #12 or 12.
func memoryID(arg string) (int64, bool) {
	id, err := strconv.ParseInt(strings.TrimPrefix(arg, "#"), 10, 64)
	return id, err == nil && id > 0
}

// printMemories shows one memory a line.
func printMemories(w io.Writer, found []wire.Memory, owners bool) {
	for _, m := range found {
		owner := ""
		if owners {
			owner = shortLine(m.Owner, 24) + "  "
		}
		fmt.Fprintf(w, "#%-6d %s  %s%-12s %s  [%s]\n", m.ID, said(m).Local().Format(time.DateOnly), owner, shortLine(m.Category, 32), shortLine(m.Content, 90), labelWords(m.Label))
	}
}

// printMemory shows all of it. Every line of its words bears a mark that no word can make.
func printMemory(w io.Writer, m wire.Memory) {
	fmt.Fprintf(w, "#%d  %s  %s\n", m.ID, visibleLine(m.Category), said(m).Local().Format("2006-01-02 15:04"))
	printText(w, m.Content)
	for _, v := range m.Before {
		fmt.Fprintf(w, "  before %s:\n", v.At.Local().Format("2006-01-02 15:04"))
		printText(w, v.Content)
	}
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "  %-8s %s\n", name, visibleLine(value))
		}
	}
	row("tags", strings.Join(m.Tags, ", "))
	row("label", labelWords(m.Label))
	row("read", strings.Join(m.Label.Sources, ", "))
	row("of", m.Owner)
	row("by", m.Author)
	source := m.Source
	if m.Session != "" {
		source += ", session " + m.Session
	}
	row("source", source)
	if m.Uses > 0 {
		row("used", fmt.Sprintf("%s, last on %s", several(m.Uses, "time", "times"), m.Used.Local().Format("2006-01-02 15:04")))
	}
}

// said is when a memory was last said.
func said(m wire.Memory) time.Time {
	if m.Updated.After(m.Created) {
		return m.Updated
	}
	return m.Created
}

// labelWords says a label on one line; its sources are told apart.
func labelWords(l wire.Label) string { return visibleLine(l.Integrity + ", " + l.Privacy) }

func several(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(int64(n)) + " " + many
}
