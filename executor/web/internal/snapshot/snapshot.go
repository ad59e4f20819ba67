// Package snapshot turns what a browser shows into text for a model.
package snapshot

import (
	"context"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"github.com/secureclaw/secureclaw/internal/run"
)

// Page is one reading of the open page. Refs that it gave can be looked up until the page is read again.
type Page struct{}

// Read takes the accessibility trees of the page and its frames, in bounded time and memory. ctx is a
// chromedp context of the tab.
func Read(ctx context.Context) (*Page, error) { panic("not written yet") }

// Element returns what a ref names, false when the page has none of that name now.
func (p *Page) Element(ref string) (Element, bool) { panic("not written yet") }

// Element is one node that can be acted on. A frame that another process draws, as those of other
// sites are, has a session of its own, in which the node's id holds: see [Element.Attach].
type Element struct {
	Node cdp.BackendNodeID
	// Role and Name are those of the tree, the name cleaned and short enough for a sentence.
	Role, Name string
	// Target is empty for a node that the tab's own session knows, else the frame's target.
	Target target.ID
}

// Attach returns a chromedp context in which Node holds: that of the tab itself, or one attached to
// the frame. Cancel it after use; that closes nothing but the session.
func (e Element) Attach(ctx context.Context) (context.Context, context.CancelFunc) {
	if e.Target == "" {
		return ctx, func() {}
	}
	return chromedp.NewContext(ctx, chromedp.WithTargetID(e.Target), chromedp.WithDetachOnCancel())
}

// Point scrolls the element into view and returns the middle of what can be hit of it, in the
// coordinates of the tab's window, also for an element inside frames.
func (e Element) Point(ctx context.Context) (x, y float64, err error) { panic("not written yet") }

// Tree writes the page in lines: role, name, value, state, ref, and where links lead. At most limit bytes.
func (p *Page) Tree(limit int) run.Text { panic("not written yet") }

// Text writes what a reader sees, in reading order. At most limit bytes.
func (p *Page) Text(limit int) run.Text { panic("not written yet") }

// Links writes each link once: its text and its absolute URL. At most limit bytes.
func (p *Page) Links(limit int) run.Text { panic("not written yet") }

// Screenshot takes a picture of the window that fits into run.MaxPicture.
func Screenshot(ctx context.Context) (*run.Picture, error) { panic("not written yet") }

// Clean makes control, invisible and direction characters of a stranger's text visible, and cuts it
// to at most limit bytes.
func Clean(text string, limit int) string { panic("not written yet") }
