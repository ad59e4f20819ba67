package entity

import (
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
)

// newParser reads CommonMark with tables, strikethrough, task lists and bare links.
func newParser() parser.Parser {
	return goldmark.New(goldmark.WithExtensions(extension.Table, extension.Strikethrough, extension.TaskList, extension.Linkify)).Parser()
}

// Bounds of what is parsed. The parser takes time, and for tables memory, that grows with the square
// of its input for some inputs; these keep the worst of them, see TestBombs, under a second. All are
// far beyond what anybody reads in a chat: more than three messages go out as a file.
const (
	maxMarkdown = 48 << 10 // bytes
	maxNesting  = 24       // quotes and list items that begin on one line
	maxCells    = 20_000   // columns of the widest table times lines of the text
	maxBrackets = 2_000    // opening brackets, each of which may be a link
	maxMarks    = 8_000    // characters that may open or close emphasis
)

// tooHard reports whether a text is beyond the bounds.
func tooHard(source string) bool {
	if len(source) > maxMarkdown || strings.Count(source, "[") > maxBrackets ||
		strings.Count(source, "*")+strings.Count(source, "_")+strings.Count(source, "~") > maxMarks {
		return true
	}
	columns, lines := 0, 0
	for line := range strings.Lines(source) {
		lines++
		if nesting(line) > maxNesting {
			return true
		}
		if strings.Trim(line, " \t\n>|:-*+.)0123456789") == "" { // may be what stands under a table's header
			columns = max(columns, strings.Count(line, "|")+1)
		}
	}
	return columns > 1 && columns*lines > maxCells
}

// nesting counts the quotes and list items that a line opens.
func nesting(line string) int {
	n := 0
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '>':
			n++
		case strings.IndexByte("-*+.)", c) >= 0:
			if i+1 == len(line) || strings.IndexByte(" \t\n", line[i+1]) >= 0 {
				n++
			}
		case c != ' ' && c != '\t' && (c < '0' || c > '9'):
			return n
		}
	}
	return n
}
