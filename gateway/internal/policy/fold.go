package policy

import (
	"strings"
	"unicode"
)

// fold writes a text as the most forgiving disk would read it. ext4 with casefold, APFS, HFS+ and
// NTFS take names for one file that differ in letter case (also ſ and s, K and k, ﬁ and fi), in
// letters without width, or in dots and blanks at the end; people take full-width letters for plain ones.
func fold(text string) string {
	var b strings.Builder
	for i, part := range strings.Split(text, "/") {
		if i > 0 {
			b.WriteByte('/')
		}
		var name strings.Builder
		for _, r := range part {
			switch {
			case unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector):
			case r >= '！' && r <= '～':
				name.WriteRune(unicode.ToLower(r - '！' + '!'))
			case unicode.Is(unicode.Zs, r):
				name.WriteByte(' ')
			default:
				name.WriteString(foldLetter(r))
			}
		}
		b.WriteString(strings.TrimRight(name.String(), ". "))
	}
	return b.String()
}

// foldLetter is the case folding of a letter as far as it ends in ASCII, in which all names stand
// that a rule is likely to guard (CaseFolding.txt of Unicode).
func foldLetter(r rune) string {
	switch r {
	case 'ß', 'ẞ':
		return "ss"
	case 'ﬀ':
		return "ff"
	case 'ﬁ':
		return "fi"
	case 'ﬂ':
		return "fl"
	case 'ﬃ':
		return "ffi"
	case 'ﬄ':
		return "ffl"
	case 'ﬅ', 'ﬆ':
		return "st"
	}
	// The letters that fold into each other form a ring; one of them may be in ASCII.
	for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
		if other < unicode.MaxASCII && unicode.IsLower(other) {
			return string(other)
		}
	}
	return string(unicode.ToLower(r))
}
