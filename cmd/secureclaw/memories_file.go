package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// maxMemoryLine is the most bytes of one line of a file: the longest memory with all that stands beside it.
const maxMemoryLine = 256 << 10

// maxBatch is about how many bytes of rows go into one request; a frame holds more than twice as many.
const maxBatch = 400 << 10

// maxRows is how many memories one request brings in; each takes a few milliseconds.
const maxRows = 250

func newMemoriesExportCmd(g *globals, who *wire.Whose) *cobra.Command {
	return &cobra.Command{
		Use: "export [FILE]", Short: "Write memories as JSON lines, the oldest first",
		Long: `Writes one memory a line, with its label and all else that is known of it, to FILE or to the standard output.
A FILE that is there already is not touched. secureclaw memories import reads what this writes.`,
		Args: usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withGateway(cmd.Context(), g, longTimeout, func(ctx context.Context, conn *wire.Conn) error {
				found, _, err := allMemories(ctx, conn, wire.ManageMemoriesExport, wire.MemoriesList{Whose: *who, Limit: math.MaxInt})
				if err != nil {
					return err
				}
				slices.Reverse(found)
				err = writeLines(cmd.OutOrStdout(), args, func(line func(any) error) error {
					for _, m := range found {
						if err := line(m); err != nil {
							return err
						}
					}
					return nil
				})
				if err == nil {
					fmt.Fprintf(cmd.ErrOrStderr(), "Exported: %s.\n", several(len(found), "memory", "memories"))
				}
				return err
			})
		},
	}
}

// writeLines writes JSON lines to the file that args name, which must be new, or to out. A file that
// could not be written whole is taken away again.
func writeLines(out io.Writer, args []string, write func(line func(any) error) error) (err error) {
	toTerminal := false
	if len(args) == 1 && args[0] != "-" {
		f, err := os.OpenFile(args[0], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return &failure{exitFailed, "the file cannot be written", err.Error(), "name one that is not there yet, in a folder that is"}
		}
		defer func() {
			if err = errors.Join(err, f.Close()); err != nil {
				_ = os.Remove(args[0])
			}
		}()
		out = f
	} else if f, ok := out.(*os.File); ok {
		toTerminal = isTerminal(f)
	}
	w := bufio.NewWriter(out)
	err = write(func(v any) error {
		data, err := strict.Encode(v)
		if err != nil {
			return err
		}
		if toTerminal { // somebody reads it there, and nobody parses it
			data = []byte(visibleLine(string(data)))
		}
		_, err = w.Write(append(data, '\n'))
		return err
	})
	return errors.Join(err, w.Flush())
}

func newMemoriesImportCmd(g *globals, who *wire.Whose) *cobra.Command {
	var trust bool
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Bring in memories from JSON lines",
		Long: `Reads what secureclaw memories export writes, or lines like {"content":"likes tea"}. The whole file is checked
first: if any line is wrong, nothing is brought in. What says the same as a memory that is there becomes one
with it. Anybody may have written into a file, so what comes in is labelled external and private, whatever
the file says of it; --trust believes the file.`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, name := io.Reader(os.Stdin), "standard input"
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return &failure{exitMissing, "the file cannot be read", err.Error(), "name a file that secureclaw memories export wrote"}
				}
				defer f.Close()
				in, name = f, filepath.Base(args[0])
			}
			rows, problems, err := readMemories(in)
			if err != nil {
				return &failure{exitFailed, "the file cannot be read", err.Error(), ""}
			}
			request := wire.MemoriesImport{Whose: *who, File: sourceName(name), Trust: trust}
			return withGateway(cmd.Context(), g, longTimeout, func(ctx context.Context, conn *wire.Conn) error {
				return importMemories(ctx, cmd, g, conn, request, rows, problems)
			})
		},
	}
	cmd.Flags().BoolVar(&trust, "trust", false, "believe the file's labels, authors and sources: it is as it was exported")
	return cmd
}

// readMemories reads all lines, and says of each one that is wrong what is wrong.
func readMemories(in io.Reader) (rows []wire.MemoryLine, problems []wire.LineProblem, err error) {
	// Whoever writes a file by hand may leave out its last newline, or have an editor that begins it with a mark.
	r := bufio.NewReader(io.MultiReader(in, strings.NewReader("\n")))
	for n := 1; ; n++ {
		line, err := strict.ReadLine(r, maxMemoryLine)
		if n == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		if _, more := r.Peek(1); err == nil && len(line) == 0 && errors.Is(more, io.EOF) {
			return rows, problems, nil // it is our newline alone
		}
		switch {
		case errors.Is(err, io.EOF):
			return rows, problems, nil
		case errors.Is(err, strict.ErrLine): // where the next one begins is not known, or there is none
			return rows, append(problems, wire.LineProblem{Line: n, What: err.Error()}), nil
		case err != nil:
			return nil, nil, err
		}
		row := wire.MemoryLine{Line: n}
		if len(strings.TrimSpace(string(line))) == 0 {
			err = errors.New("the line is empty")
		} else if line[0] == '[' {
			err = errors.New("it begins a list: want one memory a line, without brackets or commas around them")
		} else {
			err = strict.Decode(line, &row.Memory)
		}
		if err != nil {
			problems = append(problems, wire.LineProblem{Line: n, What: err.Error()})
			continue
		}
		rows = append(rows, row)
	}
}

// importMemories lets the gateway check all rows, and then brings them in.
func importMemories(ctx context.Context, cmd *cobra.Command, g *globals, conn *wire.Conn, request wire.MemoriesImport, rows []wire.MemoryLine, problems []wire.LineProblem) error {
	if len(rows)+len(problems) == 0 {
		return &failure{exitFailed, "there is nothing in the file", "", "want one memory a line"}
	}
	var total wire.MemoriesImported
	progress := func() {
		if done := total.New + total.Merged; len(rows) > wire.MaxMemories && isTerminal(os.Stderr) { // a large file takes minutes
			fmt.Fprintf(cmd.ErrOrStderr(), "\r%s of %s", thousands(int64(done)), several(len(rows), "line", "lines"))
			if done == len(rows) {
				fmt.Fprintln(cmd.ErrOrStderr())
			}
		}
	}
	for _, request.Dry = range []bool{true, false} {
		for batch := range batches(rows) {
			request.Rows = batch
			done, err := manage[wire.MemoriesImported](ctx, conn, wire.ManageMemoriesImport, request)
			if err != nil {
				if f, ok := errors.AsType[*failure](err); ok && total.New+total.Merged > 0 {
					f.why = strings.TrimSpace(f.why + fmt.Sprintf(" %s of the file were brought in before that.", several(total.New+total.Merged, "line", "lines")))
					f.fix = "import the file again: what is there is merged"
				}
				return err
			}
			total.New, total.Merged = total.New+done.New, total.Merged+done.Merged
			problems = append(problems, done.Problems...)
			progress()
		}
		if len(problems) > 0 {
			return refuseImport(cmd, g, request.File, problems)
		}
	}
	if g.JSON {
		return printJSON(cmd.OutOrStdout(), total)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "Imported: %s new, %s merged.\n", thousands(int64(total.New)), thousands(int64(total.Merged)))
	before := 0
	for _, row := range rows {
		before += len(row.Memory.Before)
	}
	if before > 0 {
		fmt.Fprintf(cmd.OutOrStdout(), "%s stay in the file: of each memory its last wording came in.\n", several(before, "earlier wording", "earlier wordings"))
	}
	if !request.Trust {
		fmt.Fprintln(cmd.OutOrStdout(), "They are labelled external, private: who reads them has read a file that anybody may have written.")
	}
	return nil
}

// refuseImport says what is wrong, line by line.
func refuseImport(cmd *cobra.Command, g *globals, file string, problems []wire.LineProblem) error {
	slices.SortFunc(problems, func(a, b wire.LineProblem) int { return a.Line - b.Line })
	if g.JSON {
		if err := printJSON(cmd.OutOrStdout(), wire.MemoriesImported{Problems: problems}); err != nil {
			return err
		}
	}
	const most = 50
	for i, p := range problems {
		if i == most {
			fmt.Fprintf(cmd.ErrOrStderr(), "… and %s more\n", several(len(problems)-most, "line", "lines"))
			break
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%s:%d: %s\n", visibleLine(file), p.Line, shortLine(p.What, 300))
	}
	return &failure{exitFailed, "nothing was imported", several(len(problems), "line is", "lines are") + " wrong", "mend them and import the file again"}
}

// batches cuts rows into pieces that fit into a frame.
func batches(rows []wire.MemoryLine) func(yield func([]wire.MemoryLine) bool) {
	return func(yield func([]wire.MemoryLine) bool) {
		size, from := 0, 0
		for i, row := range rows {
			data, _ := strict.Encode(row) // it was decoded, so it can be encoded
			if i > from && (size+len(data) > maxBatch || i-from == maxRows) {
				if !yield(rows[from:i]) {
					return
				}
				size, from = 0, i
			}
			size += len(data)
		}
		if from < len(rows) {
			yield(rows[from:])
		}
	}
}

// sourceName is the name of a file as it stands in a source: one line that shows.
func sourceName(name string) string {
	name = visibleLine(name)
	for len(name) > 150 {
		_, size := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-size]
	}
	return name
}
