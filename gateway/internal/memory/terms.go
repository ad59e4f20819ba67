package memory

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// This file turns text into terms, the same way for what is kept and for what is asked. A term is made
// of letters, digits and symbols only: whatever a query language means by quotes, stars and brackets is
// gone before there is a query.
//
// Scripts that put no space between words give each of their letters, and each pair of neighbours: with
// both, every piece of a text can be found, and a pair is as telling as a word is elsewhere.

const (
	// maxTermRunes bounds a term. What is longer is found by its head.
	maxTermRunes = 48
	// categoryMark begins the term of a category. No text has it: it is of private use, and dropped there.
	categoryMark = "\ue000"
)

// token is a term where it stands.
type token struct {
	term string
	// piece says that the term is part of an unspaced run: a letter of it, or a pair.
	piece bool
	// run is the whole unspaced run, with its first letter only.
	run string
}

// tokens are the terms of a text in their order, at most limit.
func tokens(text string, limit int) []token {
	var out []token
	var word, run []rune
	flush := func() {
		if len(word) > 0 {
			if term := stem(string(word)); term != "" {
				out = append(out, token{term: term})
			}
			word = word[:0]
		}
		for i, r := range run {
			t := token{term: string(r), piece: true}
			if i == 0 {
				t.run = string(run)
			}
			out = append(out, t)
			if i+1 < len(run) {
				out = append(out, token{term: string(run[i : i+2]), piece: true})
			}
		}
		run = run[:0]
	}
	quoted := false // an apostrophe stood before the word
	for _, r := range fold(text) {
		if len(out) >= limit {
			break
		}
		switch {
		case isUnspaced(r):
			if len(word) > 0 {
				flush()
			}
			run = append(run, r)
		case unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r):
			if len(run) > 0 || len(word) == 1 && isFlag(word[0]) {
				flush()
			}
			if len(word) < maxTermRunes {
				word = append(word, r)
			}
		case isFlag(r):
			// Two of these letters are one flag.
			if len(word) == 1 && isFlag(word[0]) {
				word = append(word, r)
				flush()
				break
			}
			flush()
			word = append(word, r)
		case isSymbol(r):
			flush()
			out = append(out, token{term: string(r)})
		default:
			if quoted && string(word) == "s" {
				word = word[:0] // the owner's 's
			}
			flush()
		}
		if r == '\'' || r == '’' {
			quoted = true
		} else if !unicode.IsLetter(r) {
			quoted = false
		}
	}
	if quoted && string(word) == "s" {
		word = word[:0]
	}
	flush()
	return out[:min(len(out), limit)]
}

// fold brings letters that people take for the same to one form: width, ligatures, letter case, accents,
// the vowel signs and forms of Arabic and Hebrew, digits of all scripts.
func fold(text string) string {
	text = norm.NFD.String(strings.ToLower(norm.NFKC.String(strings.ToValidUTF8(text, " "))))
	var b strings.Builder
	b.Grow(len(text))
	for _, r := range text {
		switch {
		case r < utf8.RuneSelf:
			b.WriteRune(r)
		case isAccent(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Variation_Selector, r) || unicode.Is(unicode.Co, r) || isSkinTone(r):
		case unicode.Is(unicode.Nd, r):
			b.WriteByte(digit(r))
		default:
			if plain, ok := plainLetters[r]; ok {
				b.WriteString(plain)
			} else {
				b.WriteRune(r)
			}
		}
	}
	return norm.NFC.String(b.String())
}

// plainLetters are letters that have no accent to lose.
var plainLetters = map[rune]string{
	'ß': "ss", 'æ': "ae", 'œ': "oe", 'ø': "o", 'đ': "d", 'ð': "d", 'ł': "l", 'ħ': "h", 'ı': "i", 'þ': "th", 'ς': "σ",
	'ٱ': "ا", 'ى': "ي", 'ی': "ي", 'ې': "ي", 'ة': "ه", 'ۀ': "ه", 'ہ': "ه", 'ھ': "ه", 'ک': "ك", 'ـ': "",
}

// isAccent is what letters of Latin, Greek, Cyrillic, Arabic and Hebrew are read without. Vowel signs of
// Indian scripts are marks too, and part of the word.
func isAccent(r rune) bool {
	return r >= 0x0300 && r <= 0x036f || r >= 0x064b && r <= 0x065f || r == 0x0670 ||
		r >= 0x0610 && r <= 0x061a || r >= 0x06d6 && r <= 0x06ed && unicode.Is(unicode.Mn, r) ||
		r >= 0x0591 && r <= 0x05c7 && unicode.Is(unicode.Mn, r)
}

func isSkinTone(r rune) bool { return r >= 0x1f3fb && r <= 0x1f3ff }

func isFlag(r rune) bool { return r >= 0x1f1e6 && r <= 0x1f1ff }

// isSymbol is what can be looked for beside letters: emoji, currencies, arrows. Those of ASCII are syntax
// everywhere, and none.
func isSymbol(r rune) bool {
	return r >= utf8.RuneSelf && unicode.In(r, unicode.So, unicode.Sc, unicode.Sm) && r != unicode.ReplacementChar
}

// isUnspaced says that words of the letter's script are not told apart by spaces, or, in Korean, not by
// spaces alone.
func isUnspaced(r rune) bool {
	return r > 0x0e00 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Bopomofo,
		unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar) || r == 'ー'
}

// digit is the value of a decimal digit of any script: each has its ten in a row.
func digit(r rune) byte {
	for _, in := range unicode.Nd.R16 {
		if r >= rune(in.Lo) && r <= rune(in.Hi) {
			return '0' + byte((r-rune(in.Lo))%10)
		}
	}
	for _, in := range unicode.Nd.R32 {
		if r >= rune(in.Lo) && r <= rune(in.Hi) {
			return '0' + byte((r-rune(in.Lo))%10)
		}
	}
	return '0'
}

// stem takes the plural off an English word and the article off an Arabic one. It is light: a stem that
// guesses finds what was not meant.
func stem(word string) string {
	if rest, ok := strings.CutPrefix(word, "ال"); ok && utf8.RuneCountInString(rest) >= 3 {
		return rest
	}
	if len(word) < 4 || word[len(word)-1] != 's' || strings.ContainsFunc(word, func(r rune) bool { return r < 'a' || r > 'z' }) {
		return word
	}
	for _, end := range []string{"ss", "us", "is"} {
		if strings.HasSuffix(word, end) {
			return word
		}
	}
	for _, end := range []string{"sses", "xes", "ches", "shes"} {
		if strings.HasSuffix(word, end) {
			return word[:len(word)-2]
		}
	}
	if strings.HasSuffix(word, "ies") && len(word) > 4 {
		return word[:len(word)-3] + "y"
	}
	return word[:len(word)-1]
}

// isStop says that a word tells nothing about a topic. They are indexed all the same: a query of nothing
// else still finds.
func isStop(term string) bool {
	_, found := slices.BinarySearch(stopWords, term)
	return found
}

// stopWords is sorted. English, and the few of German, French, Spanish and Italian that are no words in English.
var stopWords = sortedWords(`a about after again all also am an and any are as at be been before being but by can could did do doe don
	done for from get give go got had has have having he her here hi hello him his how i if in into is it its just know let like ll
	me mine more most my need no not now of off ok okay on one only or other our out over own please re s say shall she should so some
	such t take tell than thank thanks that the their them then there these they thi this those to too up us use ve very wa want was we well
	were what when where which while who whom whose why will wish with would yes you your
	aber auch auf aus bei bin bist bitte das dass dem den der des die dir ein eine einem einen einer er es fur hat ich ihr im
	ist ja kann mein meine mich mir mit nach nicht noch nur oder sich sie sind und uns von vom was wer wie wir wo zu zum zur
	au aux avec ce ces dans de du elle en est et il je la le les leur mais moi ne nous par pas plus pour qu que qui sa sans se ses son
	sont sur te tu un une vous como con cual del donde el ella eso esta este esto hay las lo los mi muy nos para pero por quien si sin su sus
	tiene una y yo che chi ci come cosa di e gli ha ho i il ma mia mio nel non o per piu quale sei sono ti tra`)

func sortedWords(list string) []string {
	words := strings.Fields(list)
	slices.Sort(words)
	return slices.Compact(words)
}

// Terms is what the index holds of a memory: the terms of its words and tags, then its category.
func Terms(content string, tags []string, category string) string {
	var b strings.Builder
	for _, text := range append([]string{content}, tags...) {
		for _, t := range tokens(text, maxContent) {
			b.WriteString(t.term)
			b.WriteByte(' ')
		}
	}
	b.WriteString(categoryTerm(category))
	return b.String()
}

func categoryTerm(category string) string {
	var b strings.Builder
	b.WriteString(categoryMark)
	for _, r := range category {
		if r >= utf8.RuneSelf || unicode.IsLetter(r) || unicode.IsDigit(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(categoryMark)
		}
	}
	return b.String()
}
