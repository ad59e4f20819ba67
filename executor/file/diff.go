package file

import (
	"bytes"
	"fmt"
	"io"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/internal/run"
)

// A diff is for people. Beyond these sizes nobody reads one, and computing it would need the memory
// that the container does not have.
const (
	maxDiffBytes = 1 << 20
	maxDiffLines = 20_000
)

// diff compares the file with what it is about to hold: content, or content behind the old one.
// Where there is no diff, the text says why in one line in brackets.
func (e *existing) diff(path, content string, behind bool, limit int) run.Text {
	var before []byte
	left, right := "/dev/null", name(path)
	if e != nil {
		left = right
		if e.st.Size > maxDiffBytes {
			return note("the file had %d bytes, too many for a diff", e.st.Size)
		}
		var err error
		if before, err = io.ReadAll(io.NewSectionReader(e.file, 0, maxDiffBytes)); err != nil {
			return note("the old content could not be read for a diff")
		}
	}
	after := []byte(content)
	if behind {
		after = append(before[:len(before):len(before)], content...)
	}
	switch {
	case bytes.Equal(before, after):
		return note("no change")
	case isBinary(before[:min(len(before), sample)]) || bytes.IndexByte(after, 0) >= 0:
		return note("binary content: %d bytes before, %d after", len(before), len(after))
	case lines(before) > maxDiffLines || lines(after) > maxDiffLines:
		return note("%d lines before and %d after, too many for a diff", lines(before), lines(after))
	}
	text := diff.Diff(left, before, right, after)
	// The first line repeats the two names in the form of a command.
	_, text, _ = bytes.Cut(text, newline)
	return executor.CutText(text, limit)
}

func lines(text []byte) int { return bytes.Count(text, newline) }

func note(format string, args ...any) run.Text {
	text := "[" + fmt.Sprintf(format, args...) + "]\n"
	return run.Text{Text: text, Bytes: int64(len(text))}
}
