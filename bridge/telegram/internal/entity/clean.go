package entity

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Nothing that a reader does not see may stand in a message: it could turn the reading order, hide
// words, or carry some past him. What clean does with each kind:
//
//   - dropped, because ordinary text is full of them and nothing is lost without them: soft hyphen,
//     zero width space, word joiner, byte order mark, the marks LRM, RLM and ALM, and the joiners
//     ZWJ and ZWNJ where they join nothing
//   - kept: ZWJ between emoji, ZWJ and ZWNJ in scripts that are written with them, one variation
//     selector behind a symbol, the tags in the flags of England, Scotland and Wales
//   - shown as ‹U+202E›, or ‹U+202E ×5› when repeated: bidi embeddings, overrides and isolates,
//     control characters, tags, fillers, other variation selectors, all else that has no shape, and
//     combining marks past the eighth in a row
//   - a tab becomes a space; of U+030A, U+0333 and U+033F, which Telegram's servers drop, the first
//     is composed with its letter (å) where that is possible, and the rest is shown

// maxStack is how many combining marks may stack on one letter.
const maxStack = 8

// clean returns valid UTF-8 as it may be shown. The second result tells for every byte of text where
// it begins in the first; it has one element more, for the end.
func clean(text string) (string, []int32) {
	var b strings.Builder
	b.Grow(len(text))
	at := make([]int32, len(text)+1)
	marks, flag := 0, 0 // combining marks in a row; bytes up to which the tags of a flag go
	before := rune(0)
	for i := 0; i < len(text); {
		if c := text[i]; isPlain(rune(c)) && (i+1 == len(text) || text[i+1] < utf8.RuneSelf) { // nearly all there is
			at[i] = int32(b.Len())
			b.WriteByte(c)
			i++
			before, marks = rune(c), 0
			continue
		}
		r, n := utf8.DecodeRuneInString(text[i:])
		end := i + n
		after, afterLen := utf8.DecodeRuneInString(text[end:])
		if unicode.In(r, unicode.Mn, unicode.Me) {
			marks++
		} else {
			marks = 0
		}
		flag = max(flag, i+flagLen(text[i:]))
		start := b.Len()
		switch {
		case i < flag:
			b.WriteRune(r)
		case after == ring && ringed(r) != 0:
			b.WriteRune(ringed(r))
			end += afterLen
			r = after
		case dropped(before, r, after):
			r = before // what is gone must not part its neighbours
		case r == '\t':
			b.WriteByte(' ')
		case hides(before, r) || marks > maxStack:
			same := 1
			for strings.HasPrefix(text[end:], text[i:i+n]) {
				same, end = same+1, end+n
			}
			b.WriteString(Escape(r, same))
		default:
			b.WriteRune(r)
		}
		for ; i < end; i++ {
			at[i] = int32(start)
		}
		before = r
	}
	at[len(text)] = int32(b.Len())
	return b.String(), at
}

// isPlain reports whether r is a letter, digit, sign or space of ASCII.
func isPlain(r rune) bool { return r >= ' ' && r <= '~' }

// Escape is how a character that cannot be shown is written, standing there n times in a row.
func Escape(r rune, n int) string {
	if n == 1 {
		return fmt.Sprintf("‹U+%04X›", r)
	}
	return fmt.Sprintf("‹U+%04X ×%d›", r, n)
}

// Hides reports whether a character has no shape of its own, or moves others: a card shows none as it is.
func Hides(r rune) bool {
	return r != '\n' && !isPlain(r) && (unicode.Is(unicode.Cc, r) || r == '\ufffc' || r == '\u2800' || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cf,
		unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) || r == ring || r == '\u0333' || r == '\u033f')
}

// hides is Hides for a reply, where some have a place behind others. Private use is drawn as
// something by every font, and a Braille blank is part of many a drawing.
func hides(before, r rune) bool {
	switch {
	case unicode.Is(unicode.Co, r), r == '\u2800', r == zwj, r == zwnj: // joiners that join nothing were dropped
		return false
	case unicode.Is(unicode.Prepended_Concatenation_Mark, r): // a sign under Arabic numbers
		return false
	case unicode.Is(unicode.Mongolian, r) && unicode.Is(unicode.Variation_Selector, r):
		return !unicode.Is(unicode.Mongolian, before) || unicode.Is(unicode.Variation_Selector, before)
	case r == 0xfe0e || r == 0xfe0f:
		return !takesVariation(before)
	}
	return Hides(r)
}

const (
	zwj  = '\u200d'
	zwnj = '\u200c'
	ring = '\u030a'
)

func dropped(before, r, after rune) bool {
	switch r {
	case '\u00ad', '\u200b', '\u2060', '\ufeff', '\u200e', '\u200f', '\u061c':
		return true
	case zwj:
		return !(isEmoji(before) && isEmoji(after)) && !joins(before)
	case zwnj:
		return !joins(before) || !joins(after)
	}
	return false
}

// joins reports whether r belongs to a script in which joiners make a difference that is seen.
func joins(r rune) bool {
	return unicode.In(r, unicode.L, unicode.M) && !unicode.Is(unicode.Variation_Selector, r) &&
		unicode.In(r, unicode.Arabic, unicode.Syriac, unicode.Nko, unicode.Mongolian, unicode.Devanagari, unicode.Bengali, unicode.Gurmukhi,
			unicode.Gujarati, unicode.Oriya, unicode.Tamil, unicode.Telugu, unicode.Kannada, unicode.Malayalam, unicode.Sinhala, unicode.Khmer,
			unicode.Myanmar, unicode.Tibetan)
}

// isEmoji reports whether r may stand beside a joiner in an emoji: a symbol, a skin colour, or the selector behind a symbol.
func isEmoji(r rune) bool {
	return unicode.Is(unicode.So, r) || r == 0xfe0f || isSkin(r)
}

func isSkin(r rune) bool { return r >= 0x1f3fb && r <= 0x1f3ff }

// takesVariation reports whether a selector of text or emoji style may follow r.
func takesVariation(r rune) bool {
	return unicode.In(r, unicode.So, unicode.Sm) || r >= '0' && r <= '9' || strings.ContainsRune("#*‼⁉〰〽", r) && r != 0
}

// flagLen is how many bytes at the start of text are one of the three flags that are written with tags.
func flagLen(text string) int {
	const black = "\U0001f3f4"
	if !strings.HasPrefix(text, black) {
		return 0
	}
	for _, region := range []string{"gbeng", "gbsct", "gbwls"} {
		var tags strings.Builder
		tags.WriteString(black)
		for _, r := range region {
			tags.WriteRune(0xe0000 + r)
		}
		tags.WriteRune(0xe007f)
		if strings.HasPrefix(text, tags.String()) {
			return tags.Len()
		}
	}
	return 0
}

// ringed is the letter with a ring in one piece, or 0.
func ringed(r rune) rune {
	switch r {
	case 'A':
		return 'Å'
	case 'a':
		return 'å'
	case 'U':
		return 'Ů'
	case 'u':
		return 'ů'
	case 'w':
		return 'ẘ'
	case 'y':
		return 'ẙ'
	}
	return 0
}

// blank reports whether r leaves the paper white. Telegram refuses a message of nothing else.
func blank(r rune) bool { return unicode.IsSpace(r) || r == '\u2800' }
