package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/domsnapshot"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// What one reading may cost. Chromium cannot be interrupted, so that what is too large must not be asked
// for. On two cores that others use as well, a snapshot took 0.03 ms and 200 bytes for each element, an
// accessibility tree 0.07 ms and 450 bytes for each element or text; a text of many lines cost the
// tree the square of their number, and frames the snapshot the square of theirs (180 took 0.4 s, 1000
// more than 10 s). A snapshot that nobody waits for any more keeps the renderer from the next page, too.
const (
	askPatience  = 15 * time.Second // for a page to answer at all: it may still be drawn
	domPatience  = 10 * time.Second // for all snapshots
	treePatience = 5 * time.Second  // for all accessibility trees
	headPatience = 4 * time.Second  // for the start of a page that is too large for both

	maxElements = 60_000 // of a page that a snapshot is taken of
	maxNodes    = 40_000 // of a snapshot whose accessibility trees are asked for, texts included
	maxLines    = 15_000 // of text in it, as they were laid out
	maxFrames   = 400    // of a page that a snapshot is taken of, those that other processes draw not among them
	maxTrees    = 60     // accessibility trees, one for each frame
	maxTargets  = 12     // frames of other sites

	perElement = 30 * time.Microsecond // of a snapshot
	perNode    = 70 * time.Microsecond // of an accessibility tree
)

// capture is all that the browser said about a page: what is recorded for tests that have no browser.
type capture struct {
	Parts []part   `json:"parts"` // the tab, then frames that other processes draw, parents first
	Notes []string `json:"notes,omitempty"`
	Head  string   `json:"head,omitempty"` // text of a page that is too large for all else
}

// part is what one session knows.
type part struct {
	Target target.ID `json:"target,omitempty"` // empty for the tab
	// Frame is the frame that this part hangs in, by the node of its iframe in the part Parent.
	Parent   int               `json:"parent,omitempty"`
	Owner    cdp.BackendNodeID `json:"owner,omitempty"`
	Snapshot domAnswer         `json:"snapshot"`
	Trees    []tree            `json:"trees"`
}

// tree is the accessibility tree of one frame.
type tree struct {
	Frame string   `json:"frame"`
	Nodes []axNode `json:"nodes"`
}

// Chromium sends much that we do not read; these commands decode what we do.
var (
	captureSnapshot = cdp.Command[domsnapshot.CaptureSnapshotParams, domAnswer]{Method: domsnapshot.CommandCaptureSnapshot}
	fullAXTree      = cdp.Command[accessibility.GetFullAXTreeParams, axAnswer]{Method: accessibility.CommandGetFullAXTree}
)

// take asks the browser. What takes too long is left out, with a note; an error means that there is nothing.
func take(ctx context.Context) (*capture, error) {
	c := &capture{}
	world, size, frames, err := measure(ctx)
	if err != nil {
		return nil, explain(ctx, err, "the page does not answer")
	}
	end := time.Now().Add(domPatience)
	answer, err := domAnswer{}, error(nil)
	tooLarge := size > maxElements || frames > maxFrames || time.Duration(size)*perElement > remaining(ctx)
	if !tooLarge {
		answer, err = shoot(ctx, end)
	}
	if tooLarge || err != nil && ctx.Err() == nil {
		why := "too many to read them"
		if !tooLarge {
			why = "and the browser took too long over them"
		}
		what := fmt.Sprintf("%d elements", size)
		if frames > maxFrames {
			what = fmt.Sprintf("%d frames", frames)
		}
		c.note(fmt.Sprintf("the page has %s, %s: this is the start of its text, without structure and refs", what, why))
		c.Head, err = head(ctx, world)
	}
	if err != nil {
		return nil, explain(ctx, err, "the page is too large or too busy to be read")
	}
	if tooLarge || len(answer.Documents) == 0 {
		return c, nil
	}
	c.Parts = append(c.Parts, part{Snapshot: answer})
	b := budget{dom: end, tree: time.Now().Add(treePatience), trees: maxTrees}
	c.grow(ctx, 0, &b)
	c.frames(ctx, &b)
	if ctx.Err() != nil {
		c.note("the time ran out while the page was read")
	}
	return c, nil
}

// remaining is half of the time that is left: the other half is for the answer, and for what we misjudge.
func remaining(ctx context.Context) time.Duration {
	end, ok := ctx.Deadline()
	if !ok {
		return domPatience
	}
	return min(time.Until(end)/2, domPatience)
}

// budget is what may still be spent.
type budget struct {
	dom, tree time.Time
	trees     int
}

func explain(ctx context.Context, err error, what string) error {
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return errors.New(what)
	}
	return fmt.Errorf("%s: %w", what, err)
}

func (c *capture) note(text string) {
	if !slices.Contains(c.Notes, text) {
		c.Notes = append(c.Notes, text)
	}
}

// measure counts the elements from a world of its own, where the page's scripts cannot lie, and the
// frames in the tab's own process.
func measure(ctx context.Context) (_ runtime.ExecutionContextID, elements int64, within int, _ error) {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	frames, err := chromedp.Call(ctx, page.GetFrameTree, cdp.Empty{})
	if err != nil {
		return 0, 0, 0, err
	}
	world, err := chromedp.Call(ctx, page.CreateIsolatedWorld, page.CreateIsolatedWorldParams{FrameID: frames.FrameTree.Frame.ID, WorldName: "snapshot"})
	if err != nil {
		return 0, 0, 0, err
	}
	n, err := evaluate[int64](ctx, world.ExecutionContextID, `document.getElementsByTagName('*').length`)
	return world.ExecutionContextID, n, below(frames.FrameTree), err
}

// below counts the frames in a frame.
func below(t *page.FrameTree) int {
	n := len(t.ChildFrames)
	for _, child := range t.ChildFrames {
		n += below(child)
	}
	return n
}

// headScript gathers the start of the text without asking for layout, which is what such a page is slow at.
const headScript = `(() => {
	const skip = new Set(['SCRIPT', 'STYLE', 'NOSCRIPT', 'TEMPLATE', 'HEAD']);
	const inline = new Set(['A', 'B', 'I', 'EM', 'STRONG', 'SPAN', 'CODE', 'SMALL', 'SUB', 'SUP', 'U', 'LABEL', 'ABBR', 'TIME', 'Q', 'MARK']);
	const walker = document.createTreeWalker(document.body || document, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT,
		n => skip.has(n.nodeName) || n.hidden ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT);
	const end = performance.now() + 1000;
	let out = '';
	for (let n = walker.nextNode(), i = 0; n && i < 200000 && out.length < 262144; n = walker.nextNode(), i++) {
		if (i % 1000 === 0 && performance.now() > end) break;
		if (n.nodeType === Node.TEXT_NODE) out += n.data.slice(0, 65536).replace(/\s+/g, ' ');
		else if (!inline.has(n.nodeName)) out += '\n';
	}
	return out;
})()`

func head(ctx context.Context, world runtime.ExecutionContextID) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, headPatience)
	defer cancel()
	return evaluate[string](ctx, world, headScript)
}

func evaluate[T any](ctx context.Context, world runtime.ExecutionContextID, script string) (T, error) {
	var value T
	byValue := true
	got, err := chromedp.Call(ctx, runtime.Evaluate, runtime.EvaluateParams{Expression: script, ContextID: world, ReturnByValue: &byValue})
	switch {
	case err != nil:
		return value, err
	case got.ExceptionDetails != nil || got.Result == nil:
		return value, errors.New("a script of ours failed in it")
	}
	return value, jsonv2.Unmarshal(got.Result.Value, &value, chromedp.DefaultUnmarshalOptions)
}

// shoot takes the document with its layout.
func shoot(ctx context.Context, end time.Time) (domAnswer, error) {
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	blended := true
	return chromedp.Call(ctx, captureSnapshot, domsnapshot.CaptureSnapshotParams{ComputedStyles: styleNames(), IncludeBlendedBackgroundColors: &blended})
}

// grow adds the accessibility trees of the frames of part i, as long as they are worth the time.
func (c *capture) grow(ctx context.Context, i int, b *budget) {
	const rough = ": read without the browser's accessibility tree, so that some roles and names may be rough"
	p := &c.Parts[i]
	nodes, lines := 0, 0
	for _, d := range p.Snapshot.Documents {
		nodes += len(d.Nodes.Parent)
		lines += len(d.TextBoxes.Layout)
	}
	if nodes > maxNodes || lines > maxLines || time.Duration(nodes)*perNode > remaining(ctx) {
		c.note("the page is large" + rough)
		return
	}
	ctx, cancel := context.WithDeadline(ctx, b.tree)
	defer cancel()
	for _, d := range p.Snapshot.Documents {
		if b.trees--; b.trees < 0 {
			c.note("the page has many frames; the later ones were" + rough[1:])
			return
		}
		frame := p.Snapshot.text(d.FrameID)
		answer, err := chromedp.Call(ctx, fullAXTree, accessibility.GetFullAXTreeParams{FrameID: cdp.FrameID(frame)})
		switch {
		case ctx.Err() != nil:
			c.note("the page took too long; some of it was" + rough[1:])
			return
		case err == nil: // else the frame went away, and its snapshot is still shown
			p.Trees = append(p.Trees, tree{frame, answer.lean()})
		}
	}
}

// frames adds the frames that other processes draw. Which session has the element of a frame is found
// by asking those above it.
func (c *capture) frames(ctx context.Context, b *budget) {
	all, err := chromedp.Targets(ctx)
	if err != nil {
		return
	}
	waiting := slices.DeleteFunc(all, func(t *target.Info) bool { return t.Type != "iframe" })
	sessions := []context.Context{ctx}
	bounded, cancel := context.WithDeadline(ctx, b.tree)
	defer cancel()
	for found := true; found && len(waiting) > 0; {
		found = false
		for _, info := range slices.Clone(waiting) {
			parent, owner := c.ownerOf(sessions, info.TargetID)
			if parent < 0 {
				continue
			}
			waiting = slices.DeleteFunc(waiting, func(t *target.Info) bool { return t == info })
			if len(c.Parts) > maxTargets || time.Now().After(b.dom) {
				c.note("some frames of other sites were not read")
				return
			}
			here, cancel := chromedp.NewContext(bounded, chromedp.WithTargetID(info.TargetID), chromedp.WithDetachOnCancel())
			defer cancel()
			// A session lives as long as the context of its first call.
			err := chromedp.Do(here)
			answer := domAnswer{}
			if err == nil {
				answer, err = shoot(here, b.dom)
			}
			if err != nil {
				c.note("some frames of other sites were not read")
				continue
			}
			c.Parts = append(c.Parts, part{Target: info.TargetID, Parent: parent, Owner: owner, Snapshot: answer})
			sessions = append(sessions, here)
			c.grow(here, len(c.Parts)-1, b)
			found = true
		}
	}
}

func (c *capture) ownerOf(sessions []context.Context, id target.ID) (int, cdp.BackendNodeID) {
	for i, session := range sessions {
		ctx, cancel := context.WithTimeout(session, askPatience)
		owner, err := chromedp.Call(ctx, dom.GetFrameOwner, dom.GetFrameOwnerParams{FrameID: cdp.FrameID(id)})
		cancel()
		if err == nil && owner.BackendNodeID != 0 {
			return i, owner.BackendNodeID
		}
	}
	return -1, 0
}
