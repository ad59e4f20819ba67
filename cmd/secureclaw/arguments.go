package main

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/secureclaw/secureclaw/internal/strict"
)

// argument is one member of a tool's input, for a card.
type argument struct{ name, value string }

// arguments splits a canonical input into its members, sorted by name. Strings are shown as
// themselves, everything else as JSON; what is no object is shown whole.
func arguments(input strict.Value) []argument {
	var members map[string]strict.Value
	if err := strict.Decode(input, &members); err != nil {
		return []argument{{"input", string(input)}}
	}
	var out []argument
	for _, name := range slices.Sorted(maps.Keys(members)) {
		var text string
		if err := json.Unmarshal(members[name], &text); err != nil {
			text = strings.TrimSpace(string(members[name]))
		}
		out = append(out, argument{name, text})
	}
	return out
}
