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
	clean := true
	for _, r := range text {
		if !plain(r) {
			clean = false
			break
		}
	}
	if clean {
		return text
	}
	var b strings.Builder
	for i, r := range text {
		switch {
		case plain(r):
			b.WriteRune(r)
		case r == unicode.ReplacementChar:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u{%x}`, r)
		}
	}
	return b.String()
}

// visibleLine is visible for text that must stay on its line.
func visibleLine(text string) string {
	return strings.NewReplacer("\n", `\n`, "\t", `\t`).Replace(visible(text))
}

// plain reports whether a rune shows as itself. Format characters (Cf: bidi controls, zero width,
// tags) and private use do not; a zero-width joiner between emoji is given up for that.
func plain(r rune) bool {
	return r == '\n' || r == '\t' || (r != unicode.ReplacementChar && unicode.IsGraphic(r) && !unicode.In(r, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp) && r != '\u115f' && r != '\u1160' && r != '\u3164' && r != '\uffa0' && r != '\u2800')
}
