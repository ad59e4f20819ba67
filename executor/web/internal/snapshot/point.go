package snapshot

import (
	"context"
	"errors"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/chromedp"
)

// Point scrolls the element into view and returns the middle of what can be hit of it, in the
// coordinates of the tab's window, also for an element inside frames.
func (e Element) Point(ctx context.Context) (x, y float64, err error) {
	here, cancel := e.Attach(ctx)
	defer cancel()
	if _, err := chromedp.Call(here, dom.ScrollIntoViewIfNeeded, dom.ScrollIntoViewIfNeededParams{BackendNodeID: e.Node}); err != nil {
		return 0, 0, err
	}
	// Frames of other processes are scrolled there, in their own time.
	for range steady {
		lastX, lastY := x, y
		x, y, err = middle(here, e.Node)
		for i := 0; i < len(e.frames) && err == nil; i++ {
			var dx, dy float64
			if dx, dy, err = corner(ctx, e.frames[i]); err == nil {
				x, y = x+dx, y+dy
			}
		}
		if err != nil || len(e.frames) == 0 || x == lastX && y == lastY {
			break
		}
		select {
		case <-ctx.Done():
			return 0, 0, ctx.Err()
		case <-time.After(settling):
		}
	}
	return x, y, err
}

const (
	steady   = 20 // looks at most, until two in a row find an element at the same place
	settling = 50 * time.Millisecond
)

func middle(ctx context.Context, node cdp.BackendNodeID) (x, y float64, err error) {
	quads, err := chromedp.Call(ctx, dom.GetContentQuads, dom.GetContentQuadsParams{BackendNodeID: node})
	if err != nil {
		return 0, 0, err
	}
	best := 0.0
	for _, q := range quads.Quads {
		if len(q) != 8 {
			continue
		}
		// The area of a quadrangle from its diagonals.
		area := (q[4]-q[0])*(q[7]-q[3]) - (q[6]-q[2])*(q[5]-q[1])
		if area = max(area, -area) / 2; area > best {
			best, x, y = area, (q[0]+q[2]+q[4]+q[6])/4, (q[1]+q[3]+q[5]+q[7])/4
		}
	}
	if best == 0 {
		return 0, 0, errors.New("the element takes no room on the page")
	}
	return x, y, nil
}

// corner is where the content of a frame begins, in the coordinates of the session that has its element.
func corner(ctx context.Context, f frame) (x, y float64, err error) {
	here, cancel := Element{Target: f.in}.Attach(ctx)
	defer cancel()
	model, err := chromedp.Call(here, dom.GetBoxModel, dom.GetBoxModelParams{BackendNodeID: f.owner})
	if err != nil {
		return 0, 0, err
	}
	if model.Model == nil || len(model.Model.Content) < 2 {
		return 0, 0, errors.New("the frame takes no room on the page")
	}
	return model.Model.Content[0], model.Model.Content[1], nil
}
