package snapshot

import "strings"

const (
	maxClickable = 200 // bytes of text in something that is only known to react to a click
	nearHeading  = 4   // levels in which a heading that names its region is looked for
)

// simplify drops what says nothing and says twice-said things once. It calls itself at most maxDepth deep.
func (n *node) simplify(page said) {
	kids := make([]*node, 0, len(n.kids))
	for _, kid := range n.kids {
		kid.simplify(page)
		switch {
		case kid.label && kid.spoken(page):
			for _, k := range kid.kids {
				if k.word != "text" {
					kids = append(kids, k)
				}
			}
		case kid.label || kid.dissolves():
			between := !kid.inlines()
			if between {
				kids = append(kids, newGap("\n"))
			}
			kids = append(kids, kid.kids...)
			if between {
				kids = append(kids, newGap("\n"))
			}
		case !kid.empty():
			kids = append(kids, kid)
		}
	}
	n.kids = merge(kids)
	n.say(page)
}

func newGap(how string) *node {
	return &node{role: role{"text", sentinel, false}, gap: true, name: how}
}

// spoken reports whether the text of a label is the name of a control, where it is written.
func (n *node) spoken(page said) bool {
	text := ""
	for _, kid := range n.kids {
		if kid.word == "text" && !kid.gap {
			text += kid.name
		}
	}
	return page.names[squash(text)]
}

// dissolves reports whether only what is in a node counts.
func (n *node) dissolves() bool {
	if bare := n.word == "clickable" || n.word == "focusable"; bare || n.clickable && n.kind != control {
		// Something that contains what can be acted on listens for its parts, or scrolls.
		if n.acts() || len(n.content()) > maxClickable || bare && n.content() == "" && n.name == "" {
			if n.key = ""; bare {
				return true
			}
		}
	}
	switch n.word {
	case "group", "document", "application", "part", "directory", "radiogroup":
		return n.name == "" && n.key == "" && len(n.states) == 0 && n.description == ""
	case "p":
		return n.key == "" && len(n.kids) == 1 && !n.kids[0].inlines()
	}
	return false
}

// acts reports whether something in n can be acted on.
func (n *node) acts() bool {
	for _, kid := range n.kids {
		if kid.key != "" || kid.kind == control || kid.acts() {
			return true
		}
	}
	return false
}

func (n *node) empty() bool {
	if n.key != "" || n.gap || len(n.kids) > 0 {
		return false
	}
	switch n.word {
	case "text":
		return n.name == ""
	case "iframe", "canvas", "video", "audio", "object", "separator", "progressbar", "meter":
		return false
	}
	return n.name == "" && n.value == "" && n.description == "" && n.kind != control
}

// merge joins texts that stand side by side.
func merge(kids []*node) []*node {
	out := kids[:0]
	for _, kid := range kids {
		if len(out) > 0 {
			last := out[len(out)-1]
			if kid.gap && last.gap {
				if kid.name == "\n" {
					out[len(out)-1] = kid
				}
				continue
			}
			if kid.word == "text" && last.word == "text" && !kid.gap && !last.gap && kid.unseen == last.unseen && kid.lines == last.lines {
				if last.pieces == nil {
					last.pieces = []string{last.name}
				}
				last.pieces = append(last.pieces, kid.name)
				continue
			}
		}
		out = append(out, kid)
	}
	for _, kid := range out {
		if kid.pieces != nil {
			kid.name, kid.pieces = strings.Join(kid.pieces, ""), nil
		}
	}
	return out
}

// content is the text of a node without its blanks.
func (n *node) content() string {
	var b strings.Builder
	n.gather(&b)
	return b.String()
}

func (n *node) gather(b *strings.Builder) {
	switch {
	case n.gap || b.Len() > 4*maxName:
	case len(n.kids) > 0 && n.name == "":
		for _, kid := range n.kids {
			kid.gather(b)
		}
	case n.word == "textbox" || n.word == "combobox" || n.word == "searchbox":
		b.WriteString(squash(n.value))
	default:
		b.WriteString(squash(n.name))
	}
}

// say decides which of a node's name and content are written, where they say the same.
func (n *node) say(page said) {
	if d := squash(n.description); d != "" && (page.texts[d] || strings.Contains(squash(n.name), d) || strings.Contains(n.content(), d)) {
		n.description = ""
	}
	if n.word == "text" || n.word == "" || len(n.kids) == 0 {
		return
	}
	if n.native {
		n.kids = nil
		return
	}
	if n.name == "" {
		if only, ok := n.onlyText(); ok && n.kind == control && only != "" && !n.mixed() {
			n.name, n.unseen, n.kids = fold(only), n.kids[0].unseen, nil
		}
		return
	}
	name, content := squash(n.name), (&node{kids: n.kids}).content()
	_, texts := n.onlyText()
	switch {
	case n.named && name == content:
		if n.kind == control && texts && !n.mixed() {
			n.unseen, n.kids = n.hidden(), nil
		} else {
			n.name = ""
		}
	case n.named && texts && strings.Contains(name, content):
		n.kids = nil
	case n.kind == flowing && n.named && n.acts():
		n.name = "" // it was made of what is in it, values and all
	case n.kind == control && n.value != "" && squash(n.value) == content:
		n.kids = nil
	case !n.named:
		if n.heads(name, nearHeading) {
			n.name = ""
			return
		}
		for i, kid := range n.kids {
			if (kid.word == "text" || kid.kind == flowing) && kid.key == "" && kid.content() == name {
				n.kids = append(n.kids[:i:i], n.kids[i+1:]...)
				return
			}
		}
	}
}

// onlyText is the text of a node that has nothing else in it.
func (n *node) onlyText() (string, bool) {
	text := ""
	for _, kid := range n.kids {
		if kid.word != "text" || kid.lines && strings.Contains(kid.name, "\n") {
			return "", false
		}
		text += kid.name
	}
	return text, true
}

// mixed reports whether a person sees some of the texts in n and not others.
func (n *node) mixed() bool {
	seen, unseen := false, false
	for _, kid := range n.kids {
		if kid.word == "text" && !kid.gap {
			seen, unseen = seen || !kid.unseen, unseen || kid.unseen
		}
	}
	return seen && unseen
}

func (n *node) hidden() bool {
	for _, kid := range n.kids {
		if kid.word == "text" && !kid.gap && kid.unseen {
			return true
		}
	}
	return false
}

// heads reports whether a heading in n says its name.
func (n *node) heads(name string, depth int) bool {
	for _, kid := range n.kids {
		if len(kid.word) == 2 && kid.word[0] == 'h' && kid.content() == name || depth > 1 && kid.heads(name, depth-1) {
			return true
		}
	}
	return false
}
