// Package snapshot turns what a browser shows into text for a model.
//
// [Read] takes the open page as assistive technology sees it, with its frames, and what was laid out of
// it. [Page.Tree] writes it with roles, names, values, states and refs; [Page.Text] and [Page.Links]
// what a reader sees and where it leads. Whatever a page does (200,000 elements, a frame in a frame, a
// text of megabytes), reading ends in bounded time and memory, and what was left out is said.
//
// All text in it is a stranger's. It cannot pass for the tree's own signs, so that no page can fake a
// ref, a role or a line; what nobody would see of it is made visible, or marked as hidden from view.
package snapshot

import (
	"context"
	"fmt"
	"strings"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/internal/run"
)

// Page is one reading of the open page. Refs that it gave can be looked up until the page is read again.
type Page struct {
	capture *capture
	root    *node
	named   map[string]*node
	url     string
	cut     bool // less was read than the page has
}

// Read takes the accessibility trees of the page and its frames, in bounded time and memory. ctx is a
// chromedp context of the tab.
func Read(ctx context.Context) (*Page, error) {
	c, err := take(ctx)
	if err != nil {
		return nil, err
	}
	return newPage(c), nil
}

func newPage(c *capture) *Page {
	p := &Page{capture: c, cut: len(c.Parts) == 0}
	if len(c.Parts) > 0 && len(c.Parts[0].Snapshot.Documents) > 0 {
		s := &c.Parts[0].Snapshot
		p.url = s.text(s.Documents[0].URL)
	}
	b := builder{parts: c.Parts}
	p.root = b.build()
	if b.full {
		p.cut = true
		c.note("the page is larger than what is read of one: its end is left out")
	}
	p.root.simplify(b.said)
	p.named = refs(p.root)
	return p
}

// Element returns what a ref names, false when the page has none of that name now. The ref may stand in
// its brackets.
func (p *Page) Element(ref string) (Element, bool) {
	n := find(p.named, ref)
	if n == nil || n.backend == 0 {
		return Element{}, false
	}
	name := n.name
	if name == "" {
		name, _ = (&writer{}).run(n.kids)
	}
	e := Element{Node: n.backend, Role: n.word, Name: Clean(fold(name), 200), Target: p.capture.Parts[n.part].Target}
	for i := n.part; i > 0; i = p.capture.Parts[i].Parent {
		e.frames = append(e.frames, frame{p.capture.Parts[i].Owner, p.capture.Parts[p.capture.Parts[i].Parent].Target})
	}
	return e, true
}

const noteRoom = 200 // bytes for the note about a cut

// Tree writes the page in lines: role, name, value, state, ref, and where links lead. At most limit bytes.
// Where that is too little, what surrounds the main content goes first.
func (p *Page) Tree(limit int) run.Text {
	if len(p.capture.Parts) == 0 {
		return p.Text(limit)
	}
	w := p.write(limit, false)
	total := w.total
	if total > int64(limit) && has(p.root, "main") {
		w = p.write(limit, true)
	}
	return p.fit(w.b.String(), total, limit, w.left)
}

func (p *Page) write(limit int, skim bool) *writer {
	w := &writer{limit: limit, url: p.url, skim: skim}
	w.kids(p.root.kids, 0, "")
	return w
}

// fit cuts a text to its limit and adds the notes of the reading.
func (p *Page) fit(text string, total int64, limit, left int) run.Text {
	var notes strings.Builder
	for _, note := range p.capture.Notes {
		fmt.Fprintf(&notes, "(note: %s)\n", note)
	}
	room := max(limit-notes.Len(), 0)
	shown, used, _ := executor.Head([]byte(text), room)
	if used == len(text) && left == 0 {
		return run.Text{Text: shown + notes.String(), Bytes: total + int64(notes.Len()), Truncated: p.cut}
	}
	shown, used, _ = executor.Head([]byte(text), max(room-noteRoom, 0))
	if end := strings.LastIndexByte(shown, '\n'); end > len(shown)*3/4 && used < len(text) {
		shown = shown[:end+1]
	}
	if left > 0 {
		fmt.Fprintf(&notes, "(note: what surrounds the main content, %d parts, was left out for lack of room)\n", left)
	}
	fmt.Fprintf(&notes, "(note: cut; %d of %d bytes are shown)\n", len(shown), total)
	out := shown
	if out != "" && !strings.HasSuffix(out, "\n") {
		out += "…\n"
	}
	out += notes.String()
	if len(out) > limit {
		out, _, _ = executor.Head([]byte(out), limit)
	}
	return run.Text{Text: out, Bytes: total, Truncated: true}
}

// Element is one node that can be acted on. A frame that another process draws, as those of other
// sites are, has a session of its own, in which the node's id holds: see [Element.Attach].
type Element struct {
	Node cdp.BackendNodeID
	// Role and Name are those of the tree, the name cleaned and short enough for a sentence.
	Role, Name string
	// Target is empty for a node that the tab's own session knows, else the frame's target.
	Target target.ID

	frames []frame // around the node, those of other processes, the innermost first
}

// frame is the element of a frame that another process draws.
type frame struct {
	owner cdp.BackendNodeID
	in    target.ID // the session that knows it
}

// Attach returns a chromedp context in which Node holds: that of the tab itself, or one attached to
// the frame. Cancel it after use; that closes nothing but the session.
func (e Element) Attach(ctx context.Context) (context.Context, context.CancelFunc) {
	if e.Target == "" {
		return ctx, func() {}
	}
	return chromedp.NewContext(ctx, chromedp.WithTargetID(e.Target), chromedp.WithDetachOnCancel())
}
