package snapshot

import "strings"

// The tree is lines, indented by one blank for each level:
//
//	h1: A heading
//	p: Text with [3k7f link /path: a link] and `code` in it.
//	- An item
//	[7x2c textbox required: Name = what it holds [placeholder: Jane Doe]]
//	headers: Product | Price
//	row: Tea | 3.20
//	row: Sum || 3.20
//	navigation named Main
//	 [9m1q link example.com/: Elsewhere] [4d8s button collapsed: More]
//	text: Text that is in none of these
//	| a line of code
//
// Page text cannot pass for any of it: it never begins a line, it holds no line break, and a bracket in
// it that looks like the start of one of ours is written as ‹U+005B›.

const (
	widest  = 160 // bytes after which a line of several things is broken
	bracket = 400 // bytes after which a thing with others in it takes lines of its own
	choices = 4000
)

// writer writes lines up to a limit, and goes on counting.
type writer struct {
	b     strings.Builder
	limit int
	total int64
	url   string // of the page, which links are written relative to
	skim  bool   // leave out what surrounds the main content
	left  int    // landmarks that were left out
	lists *node  // the list that was written last, while nothing came behind it
}

func (w *writer) line(depth int, text string) {
	w.lists = nil
	size := depth + len(text) + 1
	w.total += int64(size)
	if w.b.Len() <= w.limit { // one line too many, so that the cut is seen
		w.b.WriteString(strings.Repeat(" ", depth))
		w.b.WriteString(text)
		w.b.WriteByte('\n')
	}
}

// head is what stands before the first colon: role and states.
func (n *node) head() string {
	word := n.word
	if n.unseen && n.word != "text" {
		word += " " + hiddenFromView
	}
	for _, state := range n.states {
		word += " " + state
	}
	return word
}

// opening is head with the ref and where a link leads.
func (w *writer) opening(n *node) string {
	text := n.head()
	if n.ref != "" {
		text = n.shown() + " " + text
	}
	if to := shortURL(w.url, n.url); to != "" {
		text += " " + to
	}
	return text
}

// said is name, value and what else a thing says of itself.
func (n *node) said() string {
	name := n.name
	if n.value != "" && n.value != n.name {
		name = strings.ReplaceAll(name, " = ", " "+mark('=', 1)+" ")
	}
	text := within(name)
	if n.value != "" && fold(n.value) != n.name {
		text = strings.TrimSpace(text + " = " + within(n.value))
	}
	for _, extra := range [][2]string{{"placeholder", n.placeholder}, {"description", n.description}} {
		if extra[1] != "" {
			text = strings.TrimSpace(text + " [" + extra[0] + ": " + within(extra[1]) + "]")
		}
	}
	return text
}

// inBrackets is a thing as a part of a line, false when it takes lines of its own.
func (w *writer) inBrackets(n *node) (string, bool) {
	if n.kind == other || n.word == "row" || n.word == "-" || n.word == "blockquote" {
		return "", false
	}
	inner := n.said()
	if n.native || n.word == "code" && n.ref == "" && n.name == "" {
		text, ok := w.run(n.kids)
		if ok && n.word == "code" && text != "" && !strings.Contains(text, "`") {
			return "`" + text + "`", true
		}
	}
	if options, rest := n.options(); len(options) > 0 && len(rest) == 0 {
		if text := w.choices(n, options); len(text) <= choices {
			return "[" + w.opening(n) + ": " + strings.TrimSpace(inner+" ["+text+"]") + "]", true
		}
		return "", false
	}
	if len(n.kids) > 0 {
		text, ok := w.run(n.kids)
		if !ok || len(text) > bracket && n.nests() {
			return "", false
		}
		if !balanced(text) && !n.nests() {
			text = noBrackets(text)
		}
		if inner != "" && text != "" && !strings.HasPrefix(text, "[") {
			text = "[text: " + text + "]"
		}
		inner = strings.TrimSpace(inner + " " + text)
	}
	if inner != "" {
		inner = ": " + inner
	}
	return "[" + w.opening(n) + inner + "]", true
}

// nests reports whether a thing has others in it.
func (n *node) nests() bool {
	for _, kid := range n.kids {
		if kid.word != "text" {
			return true
		}
	}
	return false
}

// run is all of kids on one line.
func (w *writer) run(kids []*node) (string, bool) { return w.runIn(line{}, kids) }

func (w *writer) runIn(r line, kids []*node) (string, bool) {
	for _, kid := range kids {
		switch {
		case kid.gap:
			r.space()
		case kid.word == "text" && kid.lines && strings.Contains(strings.TrimSpace(kid.name), "\n"):
			return "", false
		case kid.word == "text":
			r.text(kid)
		default:
			text, ok := w.inBrackets(kid)
			if !ok {
				return "", false
			}
			if r.bars && text[0] == '`' {
				text = bar(text)
			}
			r.thing(text)
		}
	}
	return r.String(), true
}

// options are the choices of a field, and what else is in it.
func (n *node) options() (options, rest []*node) {
	if n.word != "combobox" && n.word != "listbox" {
		return nil, n.kids
	}
	for _, kid := range n.kids {
		switch {
		case kid.native:
			options = append(options, kid)
		case kid.gap:
		case kid.word == "group" || kid.word == "list": // of options
			inner := (&node{role: role{word: n.word}, kids: kid.kids})
			more, others := inner.options()
			options, rest = append(options, more...), append(rest, others...)
		default:
			rest = append(rest, kid)
		}
	}
	return options, rest
}

func (w *writer) choices(n *node, options []*node) string {
	list := make([]string, 0, len(options))
	for _, o := range options {
		text := bar(within(o.name))
		for _, state := range o.states {
			if state == "disabled" || state == "selected" && n.word == "listbox" {
				text = "[" + state + ": " + text + "]"
			}
		}
		list = append(list, text)
	}
	return "options: " + strings.Join(list, " | ")
}
