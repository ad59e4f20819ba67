package fake

import (
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits of the API, in UTF-16 code units.
const (
	maxText     = 4096
	maxCaption  = 1024
	maxEntities = 100 // the server drops the rest without a word
)

// units is the length of a text as Telegram counts it.
func units(text string) int {
	n := 0
	for _, r := range text {
		n += utf16.RuneLen(r)
	}
	return n
}

// clean is what the server makes of a character: control characters become spaces, and some that change how
// the text around them is read vanish.
func clean(r rune) (rune, bool) {
	switch {
	case r == '\r', r >= 0x2028 && r <= 0x202e, r == 0x0333, r == 0x033f, r == 0x030a:
		return 0, false
	case r < ' ' && r != '\n':
		return ' ', true
	}
	return r, true
}

// normalize makes a text and its entities what the server keeps of them: cleaned, trimmed, entities shifted,
// nested as a phone can show them. Entities that do not lie on characters of the text are refused.
func normalize(text string, entities []Entity, mayBeEmpty bool) (string, []Entity, error) {
	if len(text) > 1<<15 {
		return "", nil, wrong("text is too long")
	}
	for _, e := range entities {
		if e.Offset < 0 || e.Offset > 1_000_000 {
			return "", nil, wrong("receive an entity with incorrect offset %d", e.Offset)
		}
		if e.Length < 0 || e.Length > 1_000_000 {
			return "", nil, wrong("receive an entity with incorrect length %d", e.Length)
		}
	}
	entities = slices.DeleteFunc(slices.Clone(entities), func(e Entity) bool { return e.Length == 0 })
	slices.SortStableFunc(entities, outermost)
	text, at, ends := cleaned(text)
	for i, e := range entities {
		end := e.Offset + e.Length
		switch {
		case e.Offset >= len(at):
			return "", nil, wrong("entity begins after the end of the text at UTF-16 offset %d", e.Offset)
		case at[e.Offset] < 0:
			return "", nil, wrong("entity begins in a middle of a UTF-16 symbol at byte offset %d", ends[e.Offset])
		case end >= len(at):
			return "", nil, wrong("entity beginning at UTF-16 offset %d ends after the end of the text at UTF-16 offset %d", e.Offset, end)
		case at[end] < 0:
			return "", nil, wrong("entity beginning at UTF-16 offset %d ends in a middle of a UTF-16 symbol at byte offset %d", e.Offset, ends[end])
		}
		entities[i].Offset, entities[i].Length = at[e.Offset], at[end]-at[e.Offset]
	}
	text = strings.TrimRight(text, " \n")
	size := units(text)
	first := size // leading space goes, but not out of an entity
	for i := range entities {
		entities[i].Length = min(entities[i].Length, size-entities[i].Offset)
		if entities[i].Length > 0 {
			first = min(first, entities[i].Offset)
		}
	}
	entities = slices.DeleteFunc(entities, func(e Entity) bool { return e.Length <= 0 })
	trimmed := 0
	for trimmed < first && (text[trimmed] == ' ' || text[trimmed] == '\n') {
		trimmed++
	}
	text = text[trimmed:]
	for i := range entities {
		entities[i].Offset -= trimmed
	}
	if !mayBeEmpty && strings.Trim(text, invisible) == "" {
		return "", nil, wrong("text must be non-empty")
	}
	entities = nest(entities)
	return text, entities[:min(len(entities), maxEntities)], nil
}

// invisible are characters of which a message cannot consist alone.
const invisible = " \n\u00a0\u1680\u180e\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u200b\u200c\u200d\u200e\u200f\u202e\u202f\u205f\u2800\u3000\ufeff\ufffc"

// cleaned is the text as kept, for each old offset the new one (or -1 within a surrogate pair), and for those
// within a pair the byte at which the pair ends.
func cleaned(text string) (string, []int, map[int]int) {
	var out strings.Builder
	var at []int
	ends := make(map[int]int)
	n := 0
	runes := []rune(text)
	bytes := 0
	for i, r := range runes {
		bytes += utf8.RuneLen(r)
		at = append(at, n)
		if utf16.RuneLen(r) == 2 {
			ends[len(at)] = bytes
			at = append(at, -1)
		}
		kept, ok := clean(r)
		if !ok {
			continue
		}
		// Of a run of marks of direction only the last one counts.
		if mark(r) && i+1 < len(runes) && mark(runes[i+1]) {
			kept = 0x200c
		}
		out.WriteRune(kept)
		n += utf16.RuneLen(kept)
	}
	return out.String(), append(at, n), ends
}

func mark(r rune) bool { return r == 0x200e || r == 0x200f }

// commandsIn marks the /commands of a text, as the server does.
func commandsIn(text string) []Entity {
	var out []Entity
	at := 0
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ' ' || r == '\n' || r == '\t' }) {
		start := at + strings.Index(text[at:], word)
		at = start + len(word)
		name, bot, _ := strings.Cut(strings.TrimPrefix(word, "/"), "@")
		n := 0
		for n < len(name) && (name[n] == '_' || name[n] >= '0' && name[n] <= '9' || name[n]|0x20 >= 'a' && name[n]|0x20 <= 'z') {
			n++
		}
		if word[0] != '/' || n == 0 || n > 64 || n < len(name) && name[n] == '/' {
			continue
		}
		length := 1 + n
		if n == len(name) && bot != "" {
			length = len(word)
		}
		out = append(out, Entity{Type: "bot_command", Offset: units(text[:start]), Length: length})
	}
	return out
}
