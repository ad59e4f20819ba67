package snapshot

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What a stranger writes may hold characters that nobody sees but a model reads, or that turn the
// order of what is seen. None passes as it is:
//
//   - control and format characters, bidi controls, zero-width characters, soft hyphens, fillers, tags,
//     variation selectors, private use, what is not assigned: written as ‹U+202E›, or ‹U+202E ×5› for
//     five in a row, as they are in all of SecureClaw's messages
//   - line breaks and tabs: a space, so that a text is one line; so are all other blanks
//   - combining marks past the fourth on a letter: written as ‹U+0301 ×37›
//   - bytes that are no UTF-8: U+FFFD
//
// Left alone are a joiner between emoji and in scripts that are written with it, a variation selector
// behind a symbol, and the tags in the flags of England, Scotland and Wales.

// maxStack is how many combining marks may stand on one letter.
const maxStack = 4

// cleaner writes clean text.
type cleaner struct {
	b      strings.Builder
	limit  int  // bytes; less than 0 for none
	before rune // what was written last as it is, 0 for a mark of ours
	marks  int  // combining marks in a row
	full   bool
}

// Clean makes control, invisible and direction characters of a stranger's text visible, and cuts it
// to at most limit bytes. The result has one line.
func Clean(text string, limit int) string {
	if limit <= 0 {
		return ""
	}
	c := cleaner{limit: limit}
	c.write(text)
	if !c.full {
		return c.b.String()
	}
	const cut = "…"
	if limit < len(cut) {
		return ""
	}
	c = cleaner{limit: limit - len(cut)}
	c.write(text)
	return strings.TrimRight(c.b.String(), "\u200c\u200d") + cut
}

// clean is Clean without a limit.
func clean(text string) string {
	if plain(text) {
		return text
	}
	c := cleaner{limit: -1}
	c.write(text)
	return c.b.String()
}

func plain(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

func (c *cleaner) write(text string) {
	for i := 0; i < len(text) && !c.full; {
		r, n := utf8.DecodeRuneInString(text[i:])
		if flag := flagLen(text[i:]); flag > 0 {
			c.put(text[i:i+flag], r)
			i += flag
			continue
		}
		after, _ := utf8.DecodeRuneInString(text[i+n:])
		i += n
		switch {
		case r >= ' ' && r <= '~':
			c.put(text[i-n:i], r)
		case r == utf8.RuneError:
			c.put("\ufffd", r)
		case r == '\n' || r == '\r' || r == '\t' || unicode.Is(unicode.Zs, r):
			c.put(" ", ' ')
		case c.shows(r, after):
			c.put(text[i-n:i], r)
		default:
			same := 1
			for strings.HasPrefix(text[i:], text[i-n:i]) {
				same, i = same+1, i+n
			}
			c.put(mark(r, same), 0)
		}
	}
}

// put writes one unit, or nothing more once one did not fit. What is no joiner ends a row of marks.
func (c *cleaner) put(unit string, r rune) {
	if c.limit >= 0 && c.b.Len()+len(unit) > c.limit {
		c.full = true
		return
	}
	c.b.WriteString(unit)
	c.before = r
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me):
		c.marks++
	case r != zwj && r != zwnj:
		c.marks = 0
	}
}

func mark(r rune, n int) string {
	if n == 1 {
		return fmt.Sprintf("‹U+%04X›", r)
	}
	return fmt.Sprintf("‹U+%04X ×%d›", r, n)
}

const (
	zwj  = '\u200d'
	zwnj = '\u200c'
)

// shows reports whether r may stand as it is, behind what was written last and before after.
func (c *cleaner) shows(r, after rune) bool {
	switch {
	case r == zwj:
		return isEmoji(c.before) && isEmoji(after) && after != 0xfe0f || joins(c.before) && joinsNext(after)
	case r == zwnj:
		return joins(c.before) && joinsNext(after)
	case r == 0xfe0e || r == 0xfe0f:
		return c.before != utf8.RuneError && unicode.In(c.before, unicode.So, unicode.Sm) || c.before >= '0' && c.before <= '9' || c.before != 0 && strings.ContainsRune("#*‼⁉〰〽", c.before)
	case unicode.In(r, unicode.Mn, unicode.Me) && c.marks >= maxStack:
		return false
	case unicode.Is(unicode.Prepended_Concatenation_Mark, r): // a sign that is seen under Arabic numbers
		return true
	}
	return !hides(r)
}

// hides reports whether r has no shape that everybody sees, or moves others.
func hides(r rune) bool {
	if r == '\ufffc' || r == '\u2800' || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp,
		unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) {
		return true
	}
	// New emoji are older than the tables of the compiler.
	return !unicode.IsGraphic(r) && (r < 0x1f000 || r > 0x1faff)
}

// joins reports whether r belongs to a script in which joiners make a difference that is seen.
func joins(r rune) bool {
	return unicode.In(r, unicode.L, unicode.M) && !unicode.Is(unicode.Variation_Selector, r) &&
		unicode.In(r, unicode.Arabic, unicode.Syriac, unicode.Nko, unicode.Mongolian, unicode.Devanagari, unicode.Bengali, unicode.Gurmukhi,
			unicode.Gujarati, unicode.Oriya, unicode.Tamil, unicode.Telugu, unicode.Kannada, unicode.Malayalam, unicode.Sinhala, unicode.Khmer,
			unicode.Myanmar, unicode.Tibetan)
}

// joinsNext is joins for what comes behind a joiner, which may not turn out to be hidden.
func joinsNext(r rune) bool { return joins(r) && unicode.Is(unicode.L, r) && !hides(r) }

// isEmoji reports whether r may stand beside a joiner in an emoji: a symbol, a skin colour, or the
// selector behind a symbol.
func isEmoji(r rune) bool {
	return r >= 0x2190 && r != utf8.RuneError && unicode.Is(unicode.So, r) && !hides(r) || r == 0xfe0f || r >= 0x1f3fb && r <= 0x1f3ff
}

// flagLen is how many bytes at the start of text are one of the three flags that are written with tags.
func flagLen(text string) int {
	const black = "\U0001f3f4"
	if !strings.HasPrefix(text, black) {
		return 0
	}
	for _, region := range []string{"gbeng", "gbsct", "gbwls"} {
		flag := []rune(black)
		for _, r := range region {
			flag = append(flag, 0xe0000+r)
		}
		if f := string(append(flag, 0xe007f)); strings.HasPrefix(text, f) {
			return len(f)
		}
	}
	return 0
}
