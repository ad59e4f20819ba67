package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// printJSON writes one document, indented, as every verb does with --json.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// visible makes text safe for a terminal: what a model or a tool wrote must not move the cursor,
// reverse the reading order or hide characters. Line feeds and tabs stay.
func visible(text string) string {
	return show(text, func(r, before rune) bool { return plain(r) || colours(r, before) })
}

// visibleLine is visible for text that must stay on its line, and in which a blank that is no
// space would pass for one, as in a path.
func visibleLine(text string) string {
	return show(text, func(r, before rune) bool {
		return r != '\n' && r != '\t' && (r == ' ' || !unicode.Is(unicode.Zs, r)) && (plain(r) || colours(r, before))
	})
}

// show writes what does not pass as an escape. passes gets a rune and the one before it.
func show(text string, passes func(r, before rune) bool) string {
	var b strings.Builder
	before := rune(0)
	for i, r := range text {
		switch {
		case passes(r, before):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == unicode.ReplacementChar:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u{%x}`, r)
		}
		before = r
	}
	return b.String()
}

// plain reports whether a rune shows as itself. Format characters (Cf: bidi controls, zero width,
// tags), private use and all that fonts draw as nothing do not; a zero-width joiner between emoji
// is given up for that.
func plain(r rune) bool {
	return r == '\n' || r == '\t' || (r != unicode.ReplacementChar && unicode.IsGraphic(r) && r != '\u2800' &&
		!unicode.In(r, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector))
}

// colours reports whether a rune is the one that gives the symbol before it its colours, and hides nothing.
func colours(r, before rune) bool { return r == '\ufe0f' && unicode.Is(unicode.So, before) }

// cardWidth is how many columns of text a line of a card holds; with what stands before it, it
// fits a terminal of 80. A longer line would be broken by the terminal, and blanks could make the
// rest look like a line of the card's own.
const cardWidth = 72

// folded cuts text that is already visible into pieces of at most cardWidth columns.
func folded(text string) []string {
	var lines []string
	start, width := 0, 0
	for i, r := range text {
		columns := 1
		if r >= 0x1100 { // may be a wide letter; counting too many only makes the line shorter
			columns = 2
		}
		if width += columns; width > cardWidth {
			lines, start, width = append(lines, text[start:i]), i, columns
		}
	}
	return append(lines, text[start:])
}
