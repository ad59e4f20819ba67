package main

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// argument is one member of a tool's input, for a card.
type argument struct {
	name, value string
	size        string // of the value, when other words stand for it
}

// arguments splits a canonical input into its members, sorted by name. Strings are shown as
// themselves, everything else as JSON; what is no object is shown whole.
func arguments(input strict.Value) []argument {
	var members map[string]strict.Value
	if err := strict.Decode(input, &members); err != nil {
		return []argument{{name: "input", value: string(input)}}
	}
	var out []argument
	for _, name := range slices.Sorted(maps.Keys(members)) {
		var text string
		if err := json.Unmarshal(members[name], &text); err != nil {
			text = strings.TrimSpace(string(members[name]))
		}
		out = append(out, argument{name: name, value: text})
	}
	return out
}

// cardArguments are those of a card. Of a call that opens a page the address comes first, and what it
// does there is put in words that hold every letter of it, one line for each step.
func cardArguments(c wire.Card) []argument {
	args := arguments(c.Input)
	at := slices.IndexFunc(args, func(a argument) bool { return a.name == "url" })
	if c.Site() == "" || at < 0 {
		return args
	}
	address := args[at]
	args = slices.Insert(slices.Delete(args, at, at+1), 0, address)
	steps := c.Steps()
	if at := slices.IndexFunc(args, func(a argument) bool { return a.name == "actions" }); at >= 0 && len(steps) > 0 {
		args[at].value, args[at].size = strings.Join(steps, "\n"), plural(len(steps), "step")
	}
	return args
}
