package snapshot

import (
	"strings"

	"github.com/secureclaw/secureclaw/internal/run"
)

// Text writes what a reader sees, in reading order. At most limit bytes. What was laid out so that
// nobody sees it stands on lines that say so.
func (p *Page) Text(limit int) run.Text {
	if len(p.capture.Parts) == 0 {
		lines := strings.Split(p.capture.Head, "\n")
		w := reader{limit: limit}
		for _, text := range lines {
			w.text(text, false, false)
			w.pending = breakLine
		}
		w.flush()
		return p.fit(w.out.String(), w.total, limit, 0)
	}
	w := reader{limit: limit}
	w.read(p.capture.Parts)
	return p.fit(w.out.String(), w.total, limit, 0)
}

// What stands between two texts.
const (
	breakNone = iota
	breakSpace
	breakCell
	breakLine
)

// reader writes texts as lines.
type reader struct {
	out     strings.Builder
	limit   int
	total   int64
	now     strings.Builder // the line that is being written
	unseen  bool
	pending int
}

func (w *reader) flush() {
	text := strings.TrimRight(w.now.String(), " ") // blanks at its start are those of code
	w.now.Reset()
	if strings.TrimSpace(text) == "" {
		return
	}
	if w.unseen {
		text = "(hidden from view) " + text
	}
	w.total += int64(len(text) + 1)
	if w.out.Len() <= w.limit {
		w.out.WriteString(text)
		w.out.WriteByte('\n')
	}
}

// text adds a text. Blanks in it are one unless lines tells that they count.
func (w *reader) text(text string, lines, unseen bool) {
	if strings.TrimSpace(text) == "" {
		if w.pending == breakNone && text != "" {
			w.pending = breakSpace
		}
		return
	}
	if unseen != w.unseen || w.pending == breakLine {
		w.flush()
		w.unseen = unseen
	} else if w.now.Len() > 0 {
		switch w.pending {
		case breakCell:
			w.now.WriteString(" | ")
		case breakSpace:
			w.now.WriteByte(' ')
		}
	}
	w.pending = breakNone
	if lines {
		for i, line := range strings.Split(text, "\n") {
			if i > 0 {
				w.flush()
			}
			w.now.WriteString(clean(strings.ReplaceAll(strings.TrimRight(line, " \t\r"), "\t", "  ")))
		}
		return
	}
	folded := clean(fold(text))
	if first := text[0]; w.now.Len() > 0 && (first == ' ' || first == '\n' || first == '\t') && !strings.HasSuffix(w.now.String()[max(w.now.Len()-1, 0):], " ") {
		w.now.WriteByte(' ')
	}
	w.now.WriteString(folded)
	if last := text[len(text)-1]; last == ' ' || last == '\n' || last == '\t' {
		w.pending = breakSpace
	}
}

// cursor is how far a document was read. Documents lie in documents, so that there is a stack of them.
type cursor struct {
	part  int
	view  *view
	next  int
	open  []int // elements around next, the outermost first
	cells map[int]bool
	texts map[int]string // of nodes whose text was laid out in pieces
}

func newCursor(parts []part, part, doc int, hidden bool) *cursor {
	s := &parts[part].Snapshot
	c := &cursor{part: part, view: newView(s, &s.Documents[doc], hidden), cells: make(map[int]bool), texts: make(map[int]string)}
	first := make(map[int32]bool)
	for i, node := range c.view.doc.Layout.Node {
		text := c.view.layoutText(int32(i))
		if text == "" {
			continue
		}
		if at := int(node); first[node] {
			if c.texts[at] == "" {
				c.texts[at] = c.view.layoutText(c.view.layout[at])
			}
			c.texts[at] += text
		}
		first[node] = true
	}
	return c
}

const maxNested = 200 // documents in documents

func (w *reader) read(parts []part) {
	if len(parts[0].Snapshot.Documents) == 0 {
		return
	}
	stack := []*cursor{newCursor(parts, 0, 0, false)}
	for len(stack) > 0 {
		c := stack[len(stack)-1]
		nodes := &c.view.doc.Nodes
		if c.next >= len(nodes.Parent) {
			for range c.open {
				w.leave(c)
			}
			w.pending = breakLine
			stack = stack[:len(stack)-1]
			continue
		}
		i := c.next
		c.next++
		for len(c.open) > 0 && c.open[len(c.open)-1] != int(nodes.Parent[i]) {
			w.leave(c)
		}
		w.enter(c, i)
		c.open = append(c.open, i)
		if name := c.view.name(i); name == "IFRAME" || name == "FRAME" {
			if part, doc, ok := contentOf(parts, c.part, c.view, i); ok && len(stack) < maxNested && c.view.style(i, styleVisibility) == "visible" {
				box, laid := c.view.bounds(i)
				stack = append(stack, newCursor(parts, part, doc, c.view.unseen[i] || laid && box.empty()))
			}
		}
	}
	w.flush()
}

func (w *reader) enter(c *cursor, i int) {
	v := c.view
	if v.doc.Nodes.Type[i] == nodeText || v.layout[i] >= 0 && v.layoutText(v.layout[i]) != "" {
		text := v.layoutText(v.layout[i])
		if joined, ok := c.texts[i]; ok {
			text = joined
		}
		if v.style(i, styleVisibility) == "visible" {
			w.text(text, v.keepsLines(i) && strings.Contains(text, "\n"), v.unseen[i])
		}
		return
	}
	switch {
	case v.name(i) == "BR":
		w.pending = breakLine
	case v.style(i, styleDisplay) == "table-cell":
		row := int(v.doc.Nodes.Parent[i])
		if c.cells[row] {
			w.pending = breakCell
		}
		c.cells[row] = true
	case v.block(i) && w.pending != breakCell:
		w.pending = breakLine
	case v.apart(i):
		w.pending = max(w.pending, breakSpace)
	}
	if value, ok := v.doc.Nodes.InputValue.value(i); ok && v.style(i, styleVisibility) == "visible" {
		switch kind, _ := v.attribute(i, "type"); strings.ToLower(kind) {
		case "password", "hidden", "checkbox", "radio", "file", "range", "color":
		default:
			w.text(v.all.text(value), false, v.unseen[i])
		}
	}
	if value, ok := v.doc.Nodes.TextValue.value(i); ok && v.style(i, styleVisibility) == "visible" {
		w.text(v.all.text(value), true, v.unseen[i])
	}
}

func (w *reader) leave(c *cursor) {
	i := c.open[len(c.open)-1]
	c.open = c.open[:len(c.open)-1]
	if c.view.doc.Nodes.Type[i] != nodeElement {
		return
	}
	switch {
	case c.view.style(i, styleDisplay) == "table-cell":
	case c.view.block(i):
		w.pending = breakLine
	case c.view.apart(i):
		w.pending = max(w.pending, breakSpace)
	}
}

// contentOf finds the document in a frame: one of the same session, or one that another process draws.
func contentOf(parts []part, in int, v *view, at int) (part, doc int, ok bool) {
	for i := range parts {
		if i > 0 && parts[i].Parent == in && parts[i].Owner == v.doc.Nodes.Backend[at] && len(parts[i].Snapshot.Documents) > 0 {
			return i, 0, true
		}
	}
	if d, ok := v.doc.Nodes.Content.value(at); ok && d > 0 && int(d) < len(parts[in].Snapshot.Documents) {
		return in, int(d), true
	}
	return 0, 0, false
}

const maxLink = 500 // bytes of a line of Links

// Links writes each link once: its text and its absolute URL. At most limit bytes.
func (p *Page) Links(limit int) run.Text {
	var order []string
	texts := make(map[string]string)
	walk(p.root, func(n *node) {
		if n.url == "" || n.word != "link" || strings.HasPrefix(n.url, "javascript:") || strings.HasPrefix(n.url, "data:") {
			return
		}
		text, ok := texts[n.url]
		if !ok {
			order = append(order, n.url)
		}
		if text == "" {
			texts[n.url] = fold(n.plain())
		}
	})
	w := reader{limit: limit}
	for _, to := range order {
		shown := visibleURL(to, maxLink*3/4)
		text := Clean(texts[to], maxLink-len(shown)-len(" → "))
		if text != "" {
			text += " "
		}
		w.now.WriteString(text + "→ " + shown)
		w.flush()
	}
	return p.fit(w.out.String(), w.total, limit, 0)
}

// plain is the text of a node without any sign of ours.
func (n *node) plain() string {
	if n.gap {
		return " "
	}
	if n.name != "" || len(n.kids) == 0 {
		return n.name
	}
	var b strings.Builder
	for _, kid := range n.kids {
		b.WriteString(kid.plain())
		if kid.word != "text" {
			b.WriteByte(' ')
		}
	}
	return b.String()
}
