// Package snapshot turns what a browser shows into text for a model.
package snapshot

import (
	"context"

	"github.com/chromedp/cdproto/cdp"

	"github.com/secureclaw/secureclaw/internal/run"
)

// Page is one reading of the open page. Refs that it gave can be looked up until the page is read again.
type Page struct{}

// Read takes the accessibility trees of the page and its frames, in bounded time and memory. ctx is a
// chromedp context of the tab.
func Read(ctx context.Context) (*Page, error) { panic("not written yet") }

// Element returns the node of a ref, false when the page has none of that name now.
func (p *Page) Element(ref string) (cdp.BackendNodeID, bool) { panic("not written yet") }

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
