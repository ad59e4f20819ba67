package fake

import (
	"strings"
	"unicode/utf16"
)

// units is the length of a text as Telegram counts it.
func units(text string) int { return len(utf16.Encode([]rune(text))) }

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
		if word[0] != '/' || n == 0 || n > 64 {
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
