package card

import (
	"strings"
	"unicode"

	"github.com/secureclaw/secureclaw/bridge/telegram/internal/entity"
)

// What stands on a card must be read as what runs. Marked as ‹U+XXXX›, or ‹U+XXXX ×5› for five in a
// row, are:
//
//   - the mark ‹ itself and the sign for a tab, so that the text can be read back to the byte
//   - all that has no shape or moves others, see [entity.Hides], also between emoji; line feeds in
//     text of one line; blanks that are no space; spaces at the ends of a line or more than 40 in a row
//   - combining marks that go with any letter (é in two pieces is not é)
//   - letters of other scripts in a word that has Latin ones, see foreign
//   - in a line with Latin letters, digits or signs of a shell: letters that are written from right
//     to left, since they would turn the order of what stands between them
//
// A tab is shown as ⇥.

const (
	tabSign   = "⇥"
	maxSpaces = 40
)

// visible marks a line. In a block, where a mark stands before every line, spaces at its start stay.
func visible(text string, inBlock bool) string {
	line := []rune(strings.ToValidUTF8(text, "\ufffd"))
	marks := make([]bool, len(line))
	for i, r := range line {
		before := rune(0)
		if i > 0 {
			before = line[i-1]
		}
		marks[i] = unseen(before, r)
	}
	spaces(line, marks, inBlock)
	words(line, marks)
	rightToLeft(line, marks)
	var b strings.Builder
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == '\t':
			b.WriteString(tabSign)
		case !marks[i]:
			b.WriteRune(line[i])
		default:
			n := 1
			for i+n < len(line) && line[i+n] == line[i] && marks[i+n] {
				n++
			}
			b.WriteString(entity.Escape(line[i], n))
			i += n - 1
		}
	}
	return b.String()
}

func unseen(before, r rune) bool {
	switch {
	case r == '\t', r >= ' ' && r <= '~':
		return false
	case r == '‹', r == '⇥', r == '\n', r == unicode.ReplacementChar:
		return true
	case r == '\ufe0f': // gives the symbol before it its colours
		return !unicode.Is(unicode.So, before)
	case unicode.Is(unicode.M, r):
		return unicode.Is(unicode.Inherited, r) || !unicode.In(before, unicode.L, unicode.M) || entity.Hides(r)
	case r != ' ' && unicode.Is(unicode.Zs, r):
		return true
	}
	return !unicode.IsGraphic(r) || entity.Hides(r)
}

// spaces marks those that nobody sees, and those that push the rest out of sight.
func spaces(line []rune, marks []bool, inBlock bool) {
	for i := 0; i < len(line); {
		n := 0
		for i+n < len(line) && line[i+n] == ' ' {
			n++
		}
		if n > maxSpaces || n > 0 && (i+n == len(line) || i == 0 && !inBlock) {
			for j := range n {
				marks[i+j] = true
			}
		}
		i += max(n, 1)
	}
}

// words marks look-alikes. A word goes from blank to blank; within it, slashes, quotes and equal
// signs part pieces, so that /home/anna/Документы is left alone and /home/аnna is not.
func words(line []rune, marks []bool) {
	for start := 0; start < len(line); {
		end := start
		for end < len(line) && !unicode.IsSpace(line[end]) {
			end++
		}
		if latin(line[start:end]) {
			for i := start; i < end; {
				next := i
				for next < end && !strings.ContainsRune(`/="'`, line[next]) {
					next++
				}
				piece(line[i:next], marks[i:next])
				i = next + 1
			}
		}
		start = end + 1
	}
	for i, r := range line {
		marks[i] = marks[i] || dressed(r)
	}
}

// piece marks the letters of other scripts in a piece that has Latin ones too, or that is made of
// look-alikes alone.
func piece(text []rune, marks []bool) {
	foreigners, twins := 0, 0
	for _, r := range text {
		if foreign(r) {
			foreigners++
			if strings.ContainsRune(looksLatin, r) {
				twins++
			}
		}
	}
	if foreigners == 0 || !latin(text) && twins < foreigners {
		return
	}
	for i, r := range text {
		marks[i] = marks[i] || foreign(r)
	}
}

func latin(text []rune) bool {
	for _, r := range text {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= 0xc0 && unicode.Is(unicode.Latin, r) && !dressed(r) && !foreign(r) {
			return true
		}
	}
	return false
}

// foreign reports whether r is a letter that can be taken for a Latin one: of a script with such
// letters, or a Latin letter of phonetics (ɑ, ɡ).
func foreign(r rune) bool {
	if r < 0x250 {
		return false
	}
	return unicode.In(r, unicode.Cyrillic, unicode.Greek, unicode.Armenian, unicode.Cherokee, unicode.Coptic, unicode.Lisu, unicode.Georgian, unicode.Deseret) &&
		unicode.IsLetter(r) || r >= 0x250 && r <= 0x2af || r >= 0x1d00 && r <= 0x1dbf
}

const looksLatin = "аАВеЕіІјЈКМНоОрРсСТуУхХѕЅһԁԛԝӏҮ" + "αΑΒΕΖΗιΙκΚΜνΝοΟρΡΤυΥχΧγ" + "օսոհՕՏ"

// dressed reports whether r is an ASCII character in another dress: full width, mathematical or
// enclosed letters and digits, and signs that look like / . @ \\ : ; , $ & | = < > and the backtick.
// The signs of full width that Chinese sets between its words stay.
func dressed(r rune) bool {
	if r <= '~' {
		return false
	}
	return r >= 0xff10 && r <= 0xff19 || r >= 0xff21 && r <= 0xff3a || r >= 0xff41 && r <= 0xff5a ||
		r >= 0x1d400 && r <= 0x1d7ff || r >= 0x2460 && r <= 0x24ff || r >= 0x2100 && r <= 0x214f && unicode.IsLetter(r) || r >= 0x1f130 && r <= 0x1f189 ||
		strings.ContainsRune("\u2044\u2215\u29f8\u27cb\u2024\u00b7\ufe52\uff0e\uff0f\uff20\ufe6b\uff3c\u2236\u02d0\ua789\u037e\u201a\uff04\uff06\uff5c\uff1d\uff1c\uff1e\uff40", r)
}

// rightToLeft marks letters that would turn the order of a line that is not prose.
func rightToLeft(line []rune, marks []bool) {
	code := false
	for _, r := range line {
		code = code || r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("/\\$|&<>=`@", r))
	}
	if !code {
		return
	}
	for i, r := range line {
		if r >= 0x590 && unicode.In(r, unicode.Hebrew, unicode.Arabic, unicode.Syriac, unicode.Thaana, unicode.Nko, unicode.Samaritan, unicode.Mandaic, unicode.Adlam, unicode.Hanifi_Rohingya) {
			marks[i] = true
		}
	}
}
