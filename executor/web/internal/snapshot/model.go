package snapshot

import (
	"github.com/chromedp/cdproto/cdp"
)

// node is one thing that is written, or a text.
type node struct {
	role
	name, value, description string
	placeholder              string
	url                      string
	states                   []string
	kids                     []*node
	pieces                   []string // of a text, while it is joined

	backend cdp.BackendNodeID
	part    int
	key     string // what its ref is made of, empty for what has none
	ref     string // in its longest form
	length  int    // how much of it is written

	label     bool // a label of a control, else dissolved
	native    bool // an option that the browser itself offers
	clickable bool
	lines     bool // a text whose line breaks count
	unseen    bool
	gap       bool // an empty text: 'name' says how far apart its neighbours are, "\n" or " "
}

// What one page may become.
const (
	maxBuilt = 200_000 // nodes
	maxDepth = 40      // levels; what lies deeper is put into the last
	maxText  = 8 << 20 // bytes of text
	maxName  = 2000    // bytes of a name or a value
)

// source is one document while it is built.
type source struct {
	part  int
	view  *view
	nodes []axNode
	url   string
	frame string // path of frames that refs are made of
	seen  []bool
}

// step is work to be done: page depth is the browser's to limit, so that nothing here calls itself.
type step struct {
	from  *source
	at    int
	into  *node
	depth int
	gap   string // instead of a node: how far apart its neighbours are
}

// builder makes one tree of all documents.
type builder struct {
	parts []part
	root  *node
	nodes int
	text  int
	urls  map[string]int // frames of the same path so far
	full  bool
	said
}

// said is what the page says somewhere, without its blanks.
type said struct {
	names map[string]bool // of controls
	texts map[string]bool
}

func (b *builder) build() *node {
	b.root = &node{role: role{"", wrapper, false}}
	b.urls, b.said = make(map[string]int), said{make(map[string]bool), make(map[string]bool)}
	if len(b.parts) == 0 || len(b.parts[0].Snapshot.Documents) == 0 {
		return b.root
	}
	first := b.open(0, 0, "", false)
	stack := []step{{from: first, at: 0, into: b.root}}
	for len(stack) > 0 {
		s := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if s.gap != "" {
			s.into.kids = append(s.into.kids, newGap(s.gap))
			continue
		}
		if s.from == nil || s.at >= len(s.from.nodes) || s.from.seen[s.at] {
			continue
		}
		if b.nodes >= maxBuilt || b.text >= maxText {
			b.full = true
			break
		}
		s.from.seen[s.at] = true
		stack = b.visit(s, stack)
	}
	return b.root
}

// open prepares a document. hidden tells that its frame cannot be seen.
func (b *builder) open(part, doc int, frame string, hidden bool) *source {
	p := &b.parts[part]
	d := &p.Snapshot.Documents[doc]
	s := &source{part: part, view: newView(&p.Snapshot, d, hidden), url: p.Snapshot.text(d.URL), frame: frame}
	id := p.Snapshot.text(d.FrameID)
	for _, t := range p.Trees {
		if t.Frame == id && len(t.Nodes) > 0 {
			s.nodes = t.Nodes
		}
	}
	if s.nodes == nil {
		s.nodes = s.view.tree()
	}
	s.seen = make([]bool, len(s.nodes))
	for i := range s.nodes {
		if r := roleOf(s.nodes[i].Role); r.kind == control && s.nodes[i].Name != "" {
			b.names[squash(s.nodes[i].Name)] = true
		}
	}
	return s
}

// visit makes the node of a step and adds steps for what is in it, the last first.
func (b *builder) visit(s step, stack []step) []step {
	raw := &s.from.nodes[s.at]
	at := s.from.view.find(raw.Backend)
	kids := func(into *node, depth int) {
		for i := len(raw.Kids) - 1; i >= 0; i-- {
			stack = append(stack, step{from: s.from, at: raw.Kids[i], into: into, depth: depth})
		}
	}
	gap := func(how string) {
		if how != "" {
			stack = append(stack, step{into: s.into, gap: how})
		}
	}
	r := roleOf(raw.Role)
	switch raw.Role {
	case "StaticText":
		b.addText(s, raw, at)
		return stack
	case "LineBreak":
		how := "\n"
		if s.from.view.keepsLines(at) {
			b.add(s.into, &node{role: r, name: "\n", lines: true})
			return stack
		}
		gap(how)
		return stack
	case "ListMarker":
		if tells(raw.Name) {
			b.add(s.into, &node{role: r, name: raw.Name})
		}
		return stack
	}
	clickable := s.from.view.clickable(at)
	how := ""
	if at >= 0 {
		switch {
		case s.from.view.block(at):
			how = "\n"
		case s.from.view.apart(at):
			how = " "
		}
	}
	if r.kind == wrapper && raw.Role != "LabelText" && (raw.Role == "RootWebArea" || !clickable && !reached(raw, s.from.view, at)) {
		gap(how)
		kids(s.into, s.depth)
		gap(how)
		return stack
	}
	n := b.make(s, raw, r, at, clickable)
	if !n.inlines() {
		how = ""
	}
	into, depth := n, s.depth+1
	if depth > maxDepth {
		into, depth = s.into, s.depth
	}
	gap(how)
	if n.word == "iframe" {
		if doc := b.content(s.from, at, n); doc != nil {
			stack = append(stack, step{from: doc, at: 0, into: into, depth: depth})
		}
	} else if !n.holds(raw) {
		kids(into, depth)
	}
	if how != "" {
		s.into.kids = append(s.into.kids, newGap(how))
	}
	b.add(s.into, n)
	return stack
}

// holds reports whether what is in a field is told by its value.
func (n *node) holds(raw *axNode) bool {
	switch n.word {
	case "date", "colour":
		return true
	case "textbox", "searchbox", "spinbutton", "slider", "progressbar", "meter", "scrollbar":
		return raw.Value != "" || raw.Props["editable"] == "plaintext"
	}
	return false
}

func (n *node) inlines() bool {
	return n.kind == inline || n.kind == control || n.kind == sentinel || n.kind == wrapper
}

func (b *builder) add(into, n *node) {
	b.nodes++
	into.kids = append(into.kids, n)
}

func (b *builder) addText(s step, raw *axNode, at int) {
	if raw.Name == "" {
		return
	}
	n := &node{role: roleOf(raw.Role), name: raw.Name, backend: raw.Backend, part: s.from.part}
	if at >= 0 {
		n.unseen = s.from.view.unseen[at]
		n.lines = s.from.view.keepsLines(at)
	}
	b.text += len(raw.Name)
	if len(raw.Name) < maxName {
		b.texts[squash(raw.Name)] = true
	}
	b.add(s.into, n)
}

// content opens the document of a frame: one of the same session, or one that another process draws.
func (b *builder) content(from *source, at int, n *node) *source {
	if at < 0 {
		return nil
	}
	part, doc, ok := contentOf(b.parts, from.part, from.view, at)
	if !ok {
		if src, ok := from.view.attribute(at, "src"); ok {
			n.url = resolve(from.url, src)
		}
		n.states = append(n.states, "not-read")
		return nil
	}
	box, laid := from.view.bounds(at)
	hidden := from.view.unseen[at] || laid && box.empty()
	snap := &b.parts[part].Snapshot
	n.url = snap.text(snap.Documents[doc].URL)
	path := from.frame + "/" + place(n.url)
	b.urls[path]++
	if k := b.urls[path]; k > 1 {
		path += "#" + itoa(k)
	}
	return b.open(part, doc, path, hidden)
}
