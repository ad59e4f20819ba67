package entity

import "unicode"

// joined reports whether the rune at i belongs to one character, as a reader counts them, with the
// rune before it. It is the part of Unicode's rules (UAX 29) that text in a chat needs: marks, emoji
// of several runes, flags, Hangul of several letters.
func joined(text []rune, i int) bool {
	if i <= 0 || i >= len(text) {
		return false
	}
	before, r := text[i-1], text[i]
	switch {
	case continues(r):
		return true
	case before == zwj:
		return isEmoji(r) || joins(r)
	case isRegional(r) && isRegional(before):
		n := 0
		for j := i - 1; j >= 0 && isRegional(text[j]); j-- {
			n++
		}
		return n%2 == 1
	case r >= 0x1160 && r <= 0x11ff: // vowels and finals
		return before >= 0x1100 && before <= 0x11ff || before >= 0xac00 && before <= 0xd7a3
	case r >= 0x1100 && r <= 0x115f:
		return before >= 0x1100 && before <= 0x115f
	}
	return false
}

// continues reports whether r never begins a character.
func continues(r rune) bool {
	return r >= 0x300 && unicode.In(r, unicode.M) || r == zwj || r == zwnj || isSkin(r) || r >= 0xe0020 && r <= 0xe007f
}

func isRegional(r rune) bool { return r >= 0x1f1e6 && r <= 0x1f1ff }
