package snapshot

import (
	"slices"
	"strconv"
	"strings"

	"github.com/chromedp/cdproto/cdp"
)

// domAnswer is the answer of DOMSnapshot.captureSnapshot, as much as we read of it. Numbers that stand
// for a text are places in Strings; -1 is none.
type domAnswer struct {
	Documents []document `json:"documents"`
	Strings   []string   `json:"strings"`
}

type document struct {
	URL           int32   `json:"documentURL"`
	BaseURL       int32   `json:"baseURL"`
	FrameID       int32   `json:"frameId"`
	ContentWidth  float64 `json:"contentWidth,omitzero"`
	ContentHeight float64 `json:"contentHeight,omitzero"`
	Nodes         struct {
		Parent     []int32             `json:"parentIndex"`
		Type       []int8              `json:"nodeType"`
		Name       []int32             `json:"nodeName"`
		Value      []int32             `json:"nodeValue"`
		Backend    []cdp.BackendNodeID `json:"backendNodeId"`
		Attributes [][]int32           `json:"attributes"`
		TextValue  rare                `json:"textValue,omitzero"`
		InputValue rare                `json:"inputValue,omitzero"`
		Checked    rare                `json:"inputChecked,omitzero"`
		Selected   rare                `json:"optionSelected,omitzero"`
		Content    rare                `json:"contentDocumentIndex,omitzero"`
		Clickable  rare                `json:"isClickable,omitzero"`
	} `json:"nodes"`
	Layout struct {
		Node    []int32     `json:"nodeIndex"`
		Styles  [][]int32   `json:"styles"`
		Bounds  [][]float32 `json:"bounds"`
		Text    []int32     `json:"text"`
		Blended []int32     `json:"blendedBackgroundColors,omitempty"`
	} `json:"layout"`
	TextBoxes struct {
		Layout []int32 `json:"layoutIndex"`
	} `json:"textBoxes"`
}

// rare is a property that few nodes have. Index is sorted.
type rare struct {
	Index []int32 `json:"index"`
	Value []int32 `json:"value,omitempty"`
}

func (r rare) has(node int) bool {
	_, ok := slices.BinarySearch(r.Index, int32(node))
	return ok
}

func (r rare) value(node int) (int32, bool) {
	at, ok := slices.BinarySearch(r.Index, int32(node))
	if !ok || at >= len(r.Value) {
		return -1, false
	}
	return r.Value[at], true
}

func (a *domAnswer) text(i int32) string {
	if i < 0 || int(i) >= len(a.Strings) {
		return ""
	}
	return a.Strings[i]
}

// Types of nodes in a document.
const (
	nodeElement = 1
	nodeText    = 3
)

// Computed styles that are asked for, and their places in a list of styles.
const (
	styleDisplay = iota
	styleVisibility
	styleOpacity
	styleFontSize
	styleColor
	stylePosition
	styleOverflow
	styleClip
	styleClipPath
	styleWhiteSpace
	styleBackgroundImage
	styleCursor
	styleBackground
)

func styleNames() []string {
	return []string{"display", "visibility", "opacity", "font-size", "color", "position", "overflow-x", "clip", "clip-path", "white-space-collapse", "background-image", "cursor", "background-color"}
}

// view is one document with what was laid out of it.
type view struct {
	all    *domAnswer
	doc    *document
	layout []int32                   // of a node: its first place in the layout, -1 when it has none
	node   map[cdp.BackendNodeID]int // nodes by their id
	unseen []bool                    // texts and boxes that no person sees although they were laid out
}

func newView(all *domAnswer, doc *document, hidden bool) *view {
	p := &view{all: all, doc: doc}
	n := len(doc.Nodes.Parent)
	p.layout = make([]int32, n)
	for i := range p.layout {
		p.layout[i] = -1
	}
	for i, node := range doc.Layout.Node {
		if node >= 0 && int(node) < n && (p.layout[node] < 0 || p.layoutText(p.layout[node]) == "") {
			p.layout[node] = int32(i)
		}
	}
	p.node = make(map[cdp.BackendNodeID]int, n)
	for i, id := range doc.Nodes.Backend {
		p.node[id] = i
	}
	p.see(hidden)
	return p
}

func (p *view) layoutText(at int32) string {
	if at < 0 || int(at) >= len(p.doc.Layout.Text) {
		return ""
	}
	return p.all.text(p.doc.Layout.Text[at])
}

// find is the place of a node, -1 when it is not in the document.
func (p *view) find(id cdp.BackendNodeID) int {
	if i, ok := p.node[id]; ok && id != 0 {
		return i
	}
	return -1
}

func (p *view) name(i int) string { return p.all.text(p.doc.Nodes.Name[i]) }

// attribute is the value of an attribute, and whether there is one.
func (p *view) attribute(i int, name string) (string, bool) {
	if i < 0 || i >= len(p.doc.Nodes.Attributes) {
		return "", false
	}
	list := p.doc.Nodes.Attributes[i]
	for k := 0; k+1 < len(list); k += 2 {
		if p.all.text(list[k]) == name {
			return p.all.text(list[k+1]), true
		}
	}
	return "", false
}

// style is a computed style, empty where nothing was laid out.
func (p *view) style(i, which int) string {
	if i < 0 || p.layout[i] < 0 {
		return ""
	}
	at := p.layout[i]
	if int(at) >= len(p.doc.Layout.Styles) || which >= len(p.doc.Layout.Styles[at]) {
		return ""
	}
	return p.all.text(p.doc.Layout.Styles[at][which])
}

// bounds is where a node was laid out, in the coordinates of its document.
func (p *view) bounds(i int) (box, bool) {
	if i < 0 || p.layout[i] < 0 || int(p.layout[i]) >= len(p.doc.Layout.Bounds) {
		return box{}, false
	}
	b := p.doc.Layout.Bounds[p.layout[i]]
	if len(b) != 4 {
		return box{}, false
	}
	return box{b[0], b[1], b[0] + b[2], b[1] + b[3]}, true
}

// block reports whether a node begins a line of its own.
func (p *view) block(i int) bool {
	switch p.style(i, styleDisplay) {
	case "", "inline", "inline-block", "inline-flex", "inline-grid", "inline-table", "contents", "none", "ruby", "ruby-text":
		return false
	}
	return true
}

// apart reports whether a node stands apart from its neighbours on the same line.
func (p *view) apart(i int) bool { return strings.HasPrefix(p.style(i, styleDisplay), "inline-") }

// clickable reports whether something happens when a node is clicked, as far as can be known: it has a
// listener, or a hand appears over it and not over what is around it.
func (p *view) clickable(i int) bool {
	if i < 0 || p.doc.Nodes.Type[i] != nodeElement {
		return false
	}
	switch p.name(i) {
	case "HTML", "BODY", "LABEL":
		return false
	}
	up := int(p.doc.Nodes.Parent[i])
	return p.doc.Nodes.Clickable.has(i) ||
		p.style(i, styleCursor) == "pointer" && up >= 0 && up < i && p.style(up, styleCursor) != "pointer"
}

// keepsLines reports whether line breaks in the text of a node are shown as such.
func (p *view) keepsLines(i int) bool {
	return strings.HasPrefix(p.style(i, styleWhiteSpace), "preserve") || p.style(i, styleWhiteSpace) == "break-spaces"
}

func pixels(s string) (float64, bool) {
	f, err := strconv.ParseFloat(strings.TrimSuffix(s, "px"), 64)
	return f, err == nil
}
