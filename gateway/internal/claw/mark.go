package claw

import (
	"strings"
	"unicode"
)

// This file frames what somebody else wrote for a model. A block is one header line of ours in square
// brackets, and below it the text with a mark before each of its lines: no text can end its block, or
// begin one. What stands in a header is [Framed].

// Made once: to make one takes longer than to use it.
var (
	lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\v", "\n", "\f", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n")
	brackets = strings.NewReplacer("[", "(", "]", ")")
)

// Marked puts "> " before each line of a text, whatever ends a line for whoever reads it.
func Marked(text string) string {
	text = lineEnds.Replace(text)
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd"))
	return "> " + strings.ReplaceAll(text, "\n", "\n> ")
}

// Framed is a text from outside that may stand inside brackets of ours: one line of at most some
// characters that all show, without brackets.
func Framed(text string, most int) string {
	return brackets.Replace(Printable(text, most))
}

// Printable is a text from outside as one line of at most some characters that all show.
func Printable(text string, most int) string {
	var b strings.Builder
	n := 0
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		if n > 0 && n < most {
			b.WriteByte(' ')
			n++
		}
		for _, r := range word {
			if !Shows(r) {
				continue
			}
			if n == most {
				return strings.TrimSpace(b.String()) + "…"
			}
			b.WriteRune(r)
			n++
		}
	}
	return strings.TrimSpace(b.String())
}

// Shows reports whether a rune is drawn as itself: no control, no change of direction, no width of zero.
func Shows(r rune) bool {
	return r != unicode.ReplacementChar && r != '\u2800' && unicode.IsGraphic(r) &&
		!unicode.In(r, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}
