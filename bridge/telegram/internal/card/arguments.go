package card

import (
	"bytes"
	"cmp"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/secureclaw/secureclaw/bridge/telegram/internal/entity"
)

// argument is one member of the input, in canonical order.
type argument struct {
	name string // as it stands on the card
	text string // of a string, or the JSON of anything else
	size string // of the value, when the text is another one
}

var plainName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)

// arguments reads canonical JSON. What is no object is one argument. Those past the most that any
// card shows are empty.
func arguments(input []byte) []argument {
	dec := jsontext.NewDecoder(bytes.NewReader(input))
	if dec.PeekKind() != '{' {
		return []argument{{name: "(input)", text: string(input)}}
	}
	_, _ = dec.ReadToken()
	var out []argument
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil {
			break
		}
		key := name.String() // before the next read, which takes the token's bytes
		value, err := dec.ReadValue()
		if err != nil {
			break
		}
		if len(out) > maxShown {
			out = append(out, argument{}) // only counted
			continue
		}
		out = append(out, newArgument(key, value))
	}
	return out
}

// newArgument names the type where text alone leaves it open: "1" and 1 are two arguments. A name
// that no tool of ours has is quoted, so that none can pass for a line of the card.
func newArgument(key string, value jsontext.Value) argument {
	a := argument{name: key, text: string(value)}
	if !plainName.MatchString(key) {
		a.name = `"` + visible(key, false) + `"`
	}
	if value.Kind() == '"' {
		text, _ := jsontext.AppendUnquote(nil, value)
		a.text = string(text)
		if jsontext.Value(text).IsValid() {
			a.name += " (text)"
		}
	}
	return a
}

// shortValue is how many columns a value may have to stand beside its name; what is longer could
// break into a line that looks like another.
const shortValue = 48

// maxBlock is how many bytes of a value are looked at. More would fit a card only as blanks.
const maxBlock = 16 << 10

// argument shows a value: a short one beside its name, a long one below it in a block where each line
// begins with a mark. At most so many units of it; note says what is below. The result tells whether
// all of it is there.
func (p *page) argument(a argument, most int, note string) bool {
	p.add("", "\n"+a.name)
	if a.text == "" {
		p.add("", pad(a.name)+"(empty)")
		return true
	}
	if len(a.text) <= maxBlock && !strings.Contains(a.text, "\n") {
		if only := visible(a.text, false); entity.Units(only) <= min(shortValue, most) {
			p.add("", pad(a.name))
			p.add(entity.Code, only)
			return true
		}
	}
	all := block(a.text[:min(len(a.text), maxBlock)])
	shown := cut(all, most)
	whole := shown == all && len(a.text) <= maxBlock
	if whole {
		note = "complete below"
	} else if shown == all {
		shown += "…"
	}
	p.add("", fmt.Sprintf("%s(%s, %s)\n", pad(a.name), cmp.Or(a.size, fmt.Sprintf("%d bytes", len(a.text))), note))
	p.add(entity.Pre, shown)
	return whole
}

// begin shows the beginnings of arguments within so many units.
func (p *page) begin(args []argument, most int, note string) {
	end := p.units + max(most, 300)
	for i, a := range args {
		const heading = 120 // units of name and note
		if name := cut(a.name, 80); name != a.name {
			a.name = name + `"`
		}
		left := end - p.units - heading
		if i >= maxBegins || left < 40 {
			p.add("", fmt.Sprintf("\n… and %d more", len(args)-i))
			return
		}
		p.argument(a, max(40, left/min(len(args)-i, maxBegins-i)), note)
	}
}

// block puts the mark before each line.
func block(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight("│ "+visible(line, true), " ")
	}
	return strings.Join(lines, "\n")
}

// binary reports whether canonical input holds text that is not for reading: a NUL, or control
// characters and bytes that were no UTF-8 for more than one in ten.
func binary(input []byte) bool {
	dec := jsontext.NewDecoder(bytes.NewReader(input))
	for {
		token, err := dec.ReadToken()
		if err != nil {
			return false
		}
		if token.Kind() != '"' {
			continue
		}
		odd, all := 0, 0
		for _, r := range token.String() {
			all++
			if r == 0 {
				return true
			}
			if unicode.IsControl(r) && !strings.ContainsRune("\t\n\r", r) || r == unicode.ReplacementChar {
				odd++
			}
		}
		if odd > 4 && odd*10 > all {
			return true
		}
	}
}
