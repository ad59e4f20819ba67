package snapshot

import (
	"strings"
	"unicode/utf8"
)

// A page that is too large for the browser's accessibility tree, or a frame too many, is read from its
// document: roles from tags and role attributes, names from labels, alternatives and content. That is
// rougher, and a note says so.

// tree makes of a document what the browser would make of it, roughly. The first node is the root.
func (p *view) tree() []axNode {
	nodes := &p.doc.Nodes
	out := make([]axNode, len(nodes.Parent))
	ids, labels := p.labels()
	gone := make([]bool, len(out)) // aria-hidden, and what is in a choice or a picture
	for i := range out {
		up := int(nodes.Parent[i])
		if up < 0 || up >= i {
			up = -1
		}
		if up >= 0 {
			gone[i] = gone[up]
			out[up].Kids = append(out[up].Kids, i)
		}
		out[i].Backend = nodes.Backend[i]
		switch {
		case gone[i]:
		case nodes.Type[i] == nodeText:
			if p.shows(i) {
				out[i].Role, out[i].Name = "StaticText", p.layoutText(p.layout[i])
			}
		case nodes.Type[i] == nodeElement:
			if hidden, _ := p.attribute(i, "aria-hidden"); hidden == "true" {
				gone[i] = true
				continue
			}
			p.describe(i, &out[i], ids, labels)
			switch p.name(i) {
			case "OPTION", "svg", "SCRIPT", "STYLE", "TITLE", "TEXTAREA", "CANVAS", "VIDEO", "AUDIO":
				gone[i] = true
			case "::marker":
				out[i].Role, out[i].Name = "ListMarker", p.layoutText(p.layout[i])
			}
			if strings.HasPrefix(p.name(i), "::") && out[i].Role == "" && p.shows(i) && p.layoutText(p.layout[i]) != "" {
				out[i].Role, out[i].Name = "StaticText", p.layoutText(p.layout[i])
			}
		}
	}
	return out
}

func (p *view) shows(i int) bool { return p.layout[i] >= 0 && p.style(i, styleVisibility) == "visible" }

// labels finds elements by id, and the label of each control.
func (p *view) labels() (ids map[string]int, labels map[int]int) {
	ids, labels = make(map[string]int), make(map[int]int)
	for i, kind := range p.doc.Nodes.Type {
		if kind == nodeElement {
			if id, ok := p.attribute(i, "id"); ok {
				if _, twice := ids[id]; !twice {
					ids[id] = i
				}
			}
		}
	}
	inside := make([]int32, len(p.doc.Nodes.Parent)) // the label around a node, plus one
	for i, up := range p.doc.Nodes.Parent {
		if up >= 0 && int(up) < i {
			inside[i] = inside[up]
		}
		if p.name(i) == "LABEL" {
			inside[i] = int32(i) + 1
			if id, ok := p.attribute(i, "for"); ok {
				if control, ok := ids[id]; ok {
					labels[control] = i
				}
			}
		} else if inside[i] > 0 && isField(p.name(i)) {
			labels[i] = int(inside[i]) - 1
		}
	}
	return ids, labels
}

func isField(tag string) bool { return tag == "INPUT" || tag == "SELECT" || tag == "TEXTAREA" }

// describe fills in role, name, value and states of an element.
func (p *view) describe(i int, n *axNode, ids map[string]int, labels map[int]int) {
	tag := p.name(i)
	n.Role = p.roleOf(i, tag)
	if !p.shows(i) && tag != "OPTION" {
		n.Role = ""
		return
	}
	n.Props = map[string]string{}
	r := roleOf(n.Role)
	n.Name = p.nameOf(i, tag, r, ids, labels)
	if r.kind == control {
		n.Props["focusable"] = "true"
	}
	if index, ok := p.attribute(i, "tabindex"); ok && !strings.HasPrefix(index, "-") {
		n.Props["focusable"] = "true"
	}
	if n.Role == "heading" {
		n.Props["level"] = "2"
		if len(tag) == 2 && tag[0] == 'H' {
			n.Props["level"] = tag[1:]
		}
		if level, ok := p.attribute(i, "aria-level"); ok {
			n.Props["level"] = level
		}
	}
	if href, ok := p.attribute(i, "href"); ok && n.Role == "link" {
		n.Props["url"] = resolve(p.all.text(p.doc.BaseURL), href)
	}
	for _, state := range []string{"disabled", "required", "readonly"} {
		if _, ok := p.attribute(i, state); ok && (isField(tag) || tag == "BUTTON" || tag == "OPTION") {
			n.Props[state] = "true"
		}
	}
	for _, state := range []string{"disabled", "required", "readonly", "expanded", "pressed", "checked", "selected", "invalid", "modal"} {
		if value, ok := p.attribute(i, "aria-"+state); ok && (value != "false" || state == "expanded") {
			n.Props[state] = value
		}
	}
	if p.doc.Nodes.Checked.has(i) {
		n.Props["checked"] = "true"
	}
	if p.doc.Nodes.Selected.has(i) {
		n.Props["selected"] = "true"
	}
	n.Value = p.valueOf(i, n.Role)
}

func (p *view) valueOf(i int, role string) string {
	switch role {
	case "textbox", "searchbox", "spinbutton", "slider", "Date":
		text, ok := p.doc.Nodes.TextValue.value(i)
		if !ok {
			text, _ = p.doc.Nodes.InputValue.value(i)
		}
		value := p.all.text(text)
		if kind, _ := p.attribute(i, "type"); strings.EqualFold(kind, "password") {
			return strings.Repeat("•", utf8.RuneCountInString(value))
		}
		return value
	case "combobox":
		for k := i + 1; k < len(p.doc.Nodes.Parent) && int(p.doc.Nodes.Parent[k]) >= i; k++ {
			if p.name(k) == "OPTION" && p.doc.Nodes.Selected.has(k) {
				return fold(p.textIn(k))
			}
		}
	}
	return ""
}

// textIn is the start of the text in an element, laid out or not.
func (p *view) textIn(i int) string {
	var b strings.Builder
	for k := i + 1; k < len(p.doc.Nodes.Parent) && int(p.doc.Nodes.Parent[k]) >= i && b.Len() < maxName; k++ {
		switch p.doc.Nodes.Type[k] {
		case nodeText:
			b.WriteString(p.all.text(p.doc.Nodes.Value[k]))
		case nodeElement:
			if alt, ok := p.attribute(k, "alt"); ok {
				b.WriteString(" " + alt)
			}
			if p.block(k) {
				b.WriteByte(' ')
			}
		}
	}
	return b.String()
}

func (p *view) nameOf(i int, tag string, r role, ids map[string]int, labels map[int]int) string {
	if list, ok := p.attribute(i, "aria-labelledby"); ok {
		var names []string
		for _, id := range strings.Fields(list) {
			if at, ok := ids[id]; ok && len(names) < 10 {
				names = append(names, fold(p.textIn(at)))
			}
		}
		if name := strings.Join(names, " "); name != "" {
			return name
		}
	}
	if name, _ := p.attribute(i, "aria-label"); fold(name) != "" {
		return name
	}
	if label, ok := labels[i]; ok {
		if name := fold(p.textIn(label)); name != "" {
			return name
		}
	}
	kind, _ := p.attribute(i, "type")
	switch strings.ToLower(kind) {
	case "submit", "button", "reset":
		if value, ok := p.doc.Nodes.InputValue.value(i); tag == "INPUT" && ok {
			return p.all.text(value)
		}
	}
	if tag == "IMG" || tag == "AREA" || tag == "INPUT" {
		if alt, ok := p.attribute(i, "alt"); ok {
			return alt
		}
	}
	if r.kind == control && r.named {
		if name := fold(p.textIn(i)); name != "" {
			return name
		}
	}
	if tag == "IFRAME" || r.kind == control || r.word == "img" {
		if name, _ := p.attribute(i, "title"); name != "" {
			return name
		}
		name, _ := p.attribute(i, "placeholder")
		return name
	}
	return ""
}
