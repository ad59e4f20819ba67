package link

import (
	"strings"

	"github.com/secureclaw/secureclaw/internal/strict"
)

// maxHistoryInput is the longest tool input that is sent back to the model as part of the conversation.
const maxHistoryInput = 1 << 20

// Input is a call's input as history may repeat it: the bytes themselves, or {} for what is not one JSON
// object or is huge. A provider refuses a request with such an input, and because history only grows,
// one bad call would make every later request of the conversation fail. The result of the call, which
// stands next to it, says what was wrong.
func Input(input string) string {
	if len(input) > maxHistoryInput || !strings.HasPrefix(strings.TrimLeft(input, " \t\r\n"), "{") {
		return "{}"
	}
	if _, err := strict.Canonical([]byte(input)); err != nil {
		return "{}"
	}
	return input
}

// ToolName is a called tool's name as history may repeat it: letters, digits, - and _, 1 to 64 of them. The
// model can call what it likes, and a provider would refuse its own words.
func ToolName(name string) string {
	if name == "" {
		return "unnamed"
	}
	name = ID(name)
	return name[:min(len(name), 64)]
}

// ID is a call's id in the same alphabet, for a conversation that another provider began with ids of its own taste.
func ID(id string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return '_'
	}, id)
}

// Blank reports whether a text is empty for a provider, which refuses blocks of white space.
func Blank(text string) bool { return strings.TrimSpace(text) == "" }
