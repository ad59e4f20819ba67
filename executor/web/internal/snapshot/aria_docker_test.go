//go:build docker

package snapshot

import (
	"strings"
)

// ariaSnapshot writes a page the way that YAML snapshots of accessibility trees are written
// elsewhere (- role "name" [state], text, /url, /placeholder), to compare sizes. It has no refs.
func ariaSnapshot(c *capture) string {
	var b strings.Builder
	for _, p := range c.Parts {
		for _, t := range p.Trees {
			ariaNode(&b, t.Nodes, 0, 0)
		}
	}
	return b.String()
}

func ariaNode(b *strings.Builder, nodes []axNode, at, depth int) {
	n := &nodes[at]
	kids := func(d int) {
		for _, kid := range n.Kids {
			ariaNode(b, nodes, kid, d)
		}
	}
	line := func(text string) { b.WriteString(strings.Repeat("  ", depth) + "- " + text + "\n") }
	switch n.Role {
	case "", "none", "generic", "RootWebArea", "LabelText", "MenuListPopup", "LayoutTable", "LayoutTableRow", "LayoutTableCell", "Legend", "Pre":
		kids(depth)
		return
	case "ListMarker", "LineBreak":
		return
	case "StaticText":
		if strings.TrimSpace(n.Name) != "" {
			line("text: " + fold(n.Name))
		}
		return
	}
	text := n.Role
	if n.Name != "" {
		text += ` "` + fold(n.Name) + `"`
	}
	for _, state := range []string{"checked", "disabled", "expanded", "pressed", "selected"} {
		if n.is(state) {
			text += " [" + state + "]"
		}
	}
	if n.Role == "heading" {
		text += " [level=" + n.Props["level"] + "]"
	}
	only := ""
	for _, kid := range n.Kids {
		if nodes[kid].Role != "StaticText" && nodes[kid].Role != "ListMarker" {
			only = ""
			break
		}
		only += nodes[kid].Name
	}
	url := n.Props["url"]
	switch {
	case n.Role == "textbox" || n.Role == "searchbox" || n.Role == "spinbutton":
		if n.Value != "" {
			text += ": " + fold(n.Value)
		}
		line(text)
	case url != "" && n.Role == "link":
		line(text + ":")
		b.WriteString(strings.Repeat("  ", depth+1) + "- /url: " + url + "\n")
		if squash(only) != squash(n.Name) {
			kids(depth + 1)
		}
	case only != "" && squash(only) == squash(n.Name):
		line(text)
	case only != "":
		line(text + ": " + fold(only))
	case len(n.Kids) > 0:
		line(text + ":")
		kids(depth + 1)
	default:
		line(text)
	}
}
