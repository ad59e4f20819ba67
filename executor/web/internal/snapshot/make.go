package snapshot

import (
	"strconv"
	"strings"
)

// make turns what the browser says about a node into one that is written.
func (b *builder) make(s step, raw *axNode, r role, at int, clickable bool) *node {
	v := s.from.view
	n := &node{role: r, name: cap1(raw.Name), description: cap1(raw.Description), backend: raw.Backend, part: s.from.part, clickable: clickable}
	switch {
	case raw.Role == "LabelText":
		n.label = true
		n.name = ""
		return n
	case r.kind == wrapper && raw.Props["editable"] != "" && raw.is("focusable"):
		n.role = role{"textbox", control, false}
	case r.kind == wrapper && clickable:
		n.role = role{"clickable", control, true}
	case r.kind == wrapper:
		n.role = role{"focusable", control, true}
	case r.word == "h":
		n.word = "h" + strconv.Itoa(min(max(raw.number("level"), 1), 6))
	}
	if n.kind == control || n.kind == inline || n.word == "iframe" {
		n.value = cap1(raw.Value)
	}
	if text := raw.Props["valuetext"]; text != "" && n.value != text {
		n.value = cap1(text)
	}
	if given, ok := v.doc.Nodes.InputValue.value(at); ok && (n.word == "spinbutton" || n.word == "slider") {
		n.value = cap1(v.all.text(given)) // the browser's is a binary fraction
	}
	if n.word == "link" {
		n.url = raw.Props["url"]
	}
	if n.word == "option" {
		up := at
		for up >= 0 && v.name(up) != "SELECT" && v.name(up) != "BODY" {
			up = int(v.doc.Nodes.Parent[up])
		}
		n.native = up >= 0 && v.name(up) == "SELECT"
	}
	if hint, ok := v.attribute(at, "placeholder"); ok && fold(hint) != fold(raw.Name) && (n.word == "textbox" || n.word == "searchbox" || n.word == "combobox" || n.word == "spinbutton") {
		n.placeholder = cap1(hint)
	}
	n.states = states(raw, n.word)
	if _, ok := v.attribute(at, "required"); ok && !raw.is("required") && n.kind == control { // Chromium does not tell it of a checkbox
		n.states = append(n.states, "required")
	}
	if at >= 0 && n.word == "img" {
		n.unseen = v.unseen[at]
	}
	if !n.native && (n.kind == control || clickable || reached(raw, v, at) && n.word != "iframe") {
		n.key = s.from.frame + "\x00" + n.word + "\x00" + fold(raw.Name) + "\x00" + place(n.url)
		if raw.Name == "" {
			for _, attribute := range []string{"name", "placeholder"} {
				value, _ := v.attribute(at, attribute)
				n.key += "\x00" + value
			}
		}
	}
	return n
}

// reached reports whether the keyboard can get to a node, and not only a script.
func reached(raw *axNode, v *view, at int) bool {
	index, ok := v.attribute(at, "tabindex")
	return raw.is("focusable") && (!ok || !strings.HasPrefix(strings.TrimSpace(index), "-"))
}

// states are the words behind a role.
func states(raw *axNode, word string) []string {
	var list []string
	if min, max := raw.Props["valuemin"], raw.Props["valuemax"]; max != "" && max != "0" && (word == "slider" || word == "spinbutton" || word == "meter" || word == "progressbar") {
		list = append(list, number(min)+".."+number(max))
	}
	if level := raw.number("level"); level > 0 && (word == "treeitem" || word == "row") {
		list = append(list, "level"+strconv.Itoa(level))
	}
	for _, name := range []string{"checked", "pressed"} {
		switch raw.Props[name] {
		case "true":
			list = append(list, name)
		case "mixed":
			list = append(list, name+"-mixed")
		}
	}
	switch raw.Props["expanded"] {
	case "true":
		list = append(list, "expanded")
	case "false":
		if word != "combobox" { // of which nearly all are
			list = append(list, "collapsed")
		}
	}
	for _, name := range []string{"selected", "disabled", "required", "readonly", "focused", "modal"} {
		if raw.is(name) {
			list = append(list, name)
		}
	}
	if invalid := raw.Props["invalid"]; invalid != "" && invalid != "false" {
		list = append(list, "invalid")
	}
	if raw.is("multiselectable") {
		list = append(list, "multiple")
	}
	return list
}

func number(s string) string {
	if _, err := strconv.ParseFloat(s, 64); err != nil {
		return "0"
	}
	return s
}

func itoa(i int) string { return strconv.Itoa(i) }

// cap1 folds a name and cuts what is too long for one.
func cap1(s string) string { return fold(shorten(s, maxName)) }

// shorten cuts text between two characters.
func shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}

// fold makes one line of a text: blanks in a row become one, those at its ends go.
func fold(s string) string { return strings.Join(strings.Fields(s), " ") }

// squash drops all blanks, to compare texts that only differ in them.
func squash(s string) string { return strings.Join(strings.Fields(s), "") }

// tells reports whether the marker of a list item says more than that it is one.
func tells(marker string) bool {
	return strings.ContainsAny(marker, "0123456789") || strings.ContainsFunc(strings.TrimSpace(marker), func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	})
}
