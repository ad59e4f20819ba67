package memory

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// This file says when two texts say the same. It errs towards no: two memories where one would do cost a
// line, and one where there should be two is a lie. So "likes tea" is not "does not like tea", PIN 1234
// not PIN 1235, and Ann owes Bob not Bob owes Ann.

// words are those of a text that matter for its meaning, in their order: the words are folded, but not
// what may be a code, and fillers are left out.
func words(text string) []string {
	var out []string
	add := func(word string) {
		if !isFiller(word) {
			out = append(out, word)
		}
	}
	begins := true // a sentence
	for _, field := range strings.Fields(text) {
		began := begins
		begins = strings.ContainsAny(field[len(field)-1:], ".!?:")
		field = strings.TrimFunc(field, func(r rune) bool {
			return strings.ContainsRune(".,;:!?\"'`“”‘’«»()[]{}…。、！？「」", r)
		})
		field = strings.ReplaceAll(field, "’", "'")
		field = strings.TrimSuffix(field, "'s")
		switch {
		case field == "":
		case field == "A" && !began:
			out = append(out, field) // plan A, and no article
		case isCode(field):
			add(field)
		default:
			folded := fold(field)
			start := 0
			for i, r := range folded {
				if isUnspaced(r) {
					add(folded[start:i])
					add(string(r))
					start = i + utf8.RuneLen(r)
				}
			}
			add(stem(folded[start:]))
		}
	}
	return out
}

// isCode says that letter case and signs may matter: digits, signs between letters, capitals behind the first.
func isCode(word string) bool {
	first, upper, lower := true, 0, 0
	for _, r := range word {
		switch {
		case unicode.IsDigit(r), r < utf8.RuneSelf && !unicode.IsLetter(r) && r != '-' && r != '\'':
			return true
		case unicode.IsUpper(r) && !first:
			upper++
		case unicode.IsLower(r):
			lower++
		}
		first = false
	}
	return upper > 0 && lower > 0
}

func isFiller(word string) bool {
	return word == "" || word == "-" || slices.Contains(fillers, word)
}

// fillers change nothing, wherever they stand.
var fillers = strings.Fields(`user the a an my i is are am be that it ha has have really very quite please remember also of`)

// guards change everything: two texts of which one has such a word more are two. Those of other languages
// are as fold leaves them.
var guards = stems(`not no never none nobody nothing neither nor without cannot can't don't dont doesn't doesnt didn't didnt isn't isnt aren't arent won't wont
	wasn't wasnt shouldn't shouldnt hardly barely rarely seldom almost only except but unless if until till before after since former formerly ex
	once was were used no-longer longer stopped quit hate hated dislike avoid against anti instead rather other another half step
	aint couldnt wouldnt havent hasnt hadnt werent mustnt neednt shant nowhere nil null zero neither none lacks lacking missing less least fewer few fail fails failed
	false falsely wrong wrongly fake alleged allegedly supposedly apparently maybe perhaps possibly probably potentially nearly partly partially mostly mainly sometimes
	occasionally formally nominally previously late early earlier later next last previous old new deceased cancelled canceled denied refused rejected undecided unpaid unlike
	one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy
	eighty ninety hundred thousand million billion dozen double twice triple first second third fourth fifth quarter third per over under about around minus plus
	nicht kein keine keinen keinem keiner nie niemals ohne ausser pas jamais ne non sans sauf nunca jamas sin salvo nao sem mai senza
	kaum weder noch nichts niemand nirgends keinerlei keines statt fast beinahe selten ehemals fruher bisher guere aucun aucune rien personne ningun ninguno ninguna tampoco nada
	apenas nessuno nessuna nulla niente neanche nemmeno neppure nem nenhum nenhuma ninguem nadie nikdy nikt nic nigdy zadny zaden ingen inga inget ingenting ej heller knappast
	naeppe knapt neither niemand niets nauwelijks zelden nuk nav hindi hapana belum jangan tanpa chua chang khong yok hic asla nimic niciodata nici cap mica
	niet geen nooit zonder inte aldrig utan ikke aldri uten nie bez nem soha ei nu fara degil tidak bukan khong не нет никогда без кроме δεν χωρις
	לא בלי لا ليس ما لم لن غير بدون نه`)

// stems are the words as they are when they are looked up.
func stems(list string) []string {
	out := strings.Fields(list)
	for i, word := range out {
		out[i] = stem(word)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// alike reports whether two texts say the same: with the same words in the same order, or one with a few
// harmless words more.
func alike(a, b string) bool {
	short, long := words(a), words(b)
	if len(short) > len(long) {
		short, long = long, short
	}
	if len(short) == 0 {
		return a == b
	}
	if slices.Equal(short, long) {
		return true
	}
	if len(short) < 4 || len(short)*5 < len(long)*4 {
		return false
	}
	i := 0
	for _, word := range long {
		if i < len(short) && short[i] == word {
			i++
			continue
		}
		if !harmless(word) {
			return false
		}
	}
	return i == len(short)
}

// harmless says that a word more is only that. What is in no script of which we know how it denies is not, nor
// is a letter or a numeral, which tells one blood group, one king, one plan from another.
func harmless(word string) bool {
	if len(word) < 3 || strings.Trim(word, "ivx") == "" {
		return false
	}
	if _, guard := slices.BinarySearch(guards, word); guard {
		return false
	}
	return !strings.ContainsFunc(word, func(r rune) bool { return (r < 'a' || r > 'z') && r != '-' }) && !strings.HasPrefix(word, "non-") && !strings.HasPrefix(word, "ex-")
}

// gist is the same for texts with the same words in the same order.
func gist(text string) int64 {
	list := words(text)
	if len(list) == 0 {
		list = []string{text} // nothing but fillers: itself
	}
	sum := sha256.Sum256([]byte(strings.Join(list, "\x00")))
	return int64(binary.BigEndian.Uint64(sum[:8]))
}
