package web

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"

	"github.com/secureclaw/secureclaw/executor/web/internal/snapshot"
)

// element is one node of the page that an action names.
type element struct {
	found  snapshot.Element
	name   string  // role and name, for sentences
	tab    session // of the process that draws it
	node   cdp.BackendNodeID
	object runtime.RemoteObjectID
}

// element looks a ref up in the last reading of the page.
func (v *visitor) element(ctx context.Context, ref string) (*element, error) {
	found, ok := v.page.Element(ref)
	if !ok {
		return nil, fmt.Errorf("the page has no element %s now; take a ref from its tree", quote(ref, 100))
	}
	e := &element{found: found, tab: v.tab, node: found.Node, name: strings.TrimSpace(found.Role + " " + quote(found.Name, 80))}
	if found.Name == "" {
		e.name = found.Role + " " + clip(ref, 80)
	}
	if found.Target != "" {
		if e.tab.id, ok = v.watch.child(found.Target); !ok {
			return nil, errors.New("it lies in a frame of another site that is gone now")
		}
	}
	resolved, err := cdp.Call(ctx, e.tab, dom.ResolveNode, dom.ResolveNodeParams{BackendNodeID: found.Node})
	if err != nil || resolved.Object == nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("the element %s is gone", clip(ref, 100))
	}
	e.object = resolved.Object.ObjectID
	return e, nil
}

// on calls a function of ours with the element as this. What the page says back is a stranger's.
func on[T any](ctx context.Context, e *element, function string, args ...any) (T, error) {
	var zero T
	list := make([]*runtime.CallArgument, 0, len(args))
	for _, arg := range args {
		if object, ok := arg.(runtime.RemoteObjectID); ok {
			list = append(list, &runtime.CallArgument{ObjectID: object})
			continue
		}
		raw, err := jsonv2.Marshal(arg)
		if err != nil {
			return zero, err
		}
		list = append(list, &runtime.CallArgument{Value: raw})
	}
	byValue := true
	result, err := cdp.Call(ctx, e.tab, runtime.CallFunctionOn, runtime.CallFunctionOnParams{
		FunctionDeclaration: function, ObjectID: e.object, Arguments: list, ReturnByValue: &byValue,
	})
	if err != nil {
		return zero, err
	}
	return valueOf[T](result.Result, result.ExceptionDetails)
}

func valueOf[T any](object *runtime.RemoteObject, thrown *runtime.ExceptionDetails) (T, error) {
	var value T
	if thrown != nil || object == nil {
		return value, errors.New("the page's own script got in the way")
	}
	if len(object.Value) == 0 {
		return value, nil
	}
	if err := jsonv2.Unmarshal(object.Value, &value); err != nil {
		return value, errors.New("the page's own script got in the way")
	}
	return value, nil
}

func (e *element) scrollIntoView(ctx context.Context) error {
	if _, err := cdp.Call(ctx, e.tab, dom.ScrollIntoViewIfNeeded, dom.ScrollIntoViewIfNeededParams{BackendNodeID: e.node}); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return errors.New("it is not shown, so it cannot be scrolled to")
	}
	return nil
}

// usable refuses what a user could not use: it returns a reason.
const usable = `function() {
	const e = this.nodeType === Node.ELEMENT_NODE ? this : this.parentElement;
	if (!e || !e.isConnected) return 'it is gone';
	if (e.matches(':disabled') || e.closest('[aria-disabled="true"]')) return 'it is disabled';
	if (e.closest('[inert]')) return 'it is inert: something else has to be dealt with first';
	if (e.checkVisibility && !e.checkVisibility({visibilityProperty: true})) return 'it is hidden';
	return '';
}`

// covered says what lies over the element at the point where hit was found, ” when that is the
// element, something in it, or a label of it.
const covered = `function(hit) {
	const up = n => n.parentNode || n.host;
	for (let n = hit; n; n = up(n)) if (n === this) return '';
	for (let n = this; n; n = up(n)) if (n === hit) return '';
	for (const label of this.labels || []) if (label === hit || label.contains(hit)) return '';
	const e = hit.nodeType === Node.ELEMENT_NODE ? hit : hit.parentElement;
	if (!e) return 'something';
	const name = (e.getAttribute('aria-label') || e.innerText || '').trim().replace(/\s+/g, ' ').slice(0, 60);
	return e.tagName.toLowerCase() + (e.id ? '#' + e.id : '') + (name ? ' "' + name + '"' : '');
}`

// labelled returns the label that stands for a control which is itself too small to be hit: pages
// draw their own boxes that way.
const labelled = `function() {
	for (const label of this.labels || []) { const r = label.getBoundingClientRect(); if (r.width > 2 && r.height > 2) return label; }
	return null;
}`

// click presses and releases the left button over the element, as a hand would. There is no second
// way: element.click() would also press what the page has covered or taken away.
func (v *visitor) click(ctx context.Context, e *element) (string, error) {
	if reason, err := on[string](ctx, e, usable); err != nil {
		return "", err
	} else if reason != "" {
		return "", errors.New(clip(reason, 200))
	}
	if err := e.scrollIntoView(ctx); err != nil {
		return "", err
	}
	x, y, err := v.point(ctx, e)
	if err != nil {
		return "", err
	}
	for _, step := range []input.DispatchMouseEventParams{
		{Type: input.DispatchMouseEventTypeMouseMoved, X: x, Y: y},
		{Type: input.DispatchMouseEventTypeMousePressed, X: x, Y: y, Button: input.MouseButtonLeft, Buttons: 1, ClickCount: 1},
		{Type: input.DispatchMouseEventTypeMouseReleased, X: x, Y: y, Button: input.MouseButtonLeft, ClickCount: 1},
	} {
		if _, err := cdp.Call(ctx, v.tab, input.DispatchMouseEvent, step); err != nil {
			return "", err
		}
	}
	return "clicked " + e.name, nil
}

// point finds a place where a click meets the element: the middle of its largest part, once it has
// stopped moving. What another process draws has coordinates of its own; there nobody can say what
// covers it, and a click meets what a hand would meet.
func (v *visitor) point(ctx context.Context, e *element) (x, y float64, err error) {
	if e.found.Target != "" {
		reader, cancel := context.WithDeadline(v.reader, deadlineOf(ctx))
		defer cancel()
		return e.found.Point(reader)
	}
	target, err := e.place(ctx)
	if err != nil {
		return 0, 0, err
	}
	var last dom.Quad
	for range 20 { // an animation that brings it in
		quad, err := largest(ctx, e.tab, target)
		if err != nil {
			return 0, 0, err
		}
		if last != nil && same(quad, last) {
			break
		}
		last = quad
		pause(ctx, 20*time.Millisecond)
	}
	var over string
	for _, at := range spots(last) {
		if over, err = e.over(ctx, at[0], at[1]); err != nil {
			return 0, 0, err
		}
		if over == "" {
			return at[0], at[1], nil
		}
	}
	return 0, 0, fmt.Errorf("it is covered by %s", clip(over, 200))
}

// place is what is aimed at: the element, or the label that stands for it.
func (e *element) place(ctx context.Context) (dom.GetContentQuadsParams, error) {
	self := dom.GetContentQuadsParams{BackendNodeID: e.node}
	if quad, err := largest(ctx, e.tab, self); err == nil && area(quad) > 4 {
		return self, nil
	}
	result, err := cdp.Call(ctx, e.tab, runtime.CallFunctionOn, runtime.CallFunctionOnParams{FunctionDeclaration: labelled, ObjectID: e.object})
	if err == nil && result.ExceptionDetails == nil && result.Result != nil && result.Result.ObjectID != "" {
		return dom.GetContentQuadsParams{ObjectID: result.Result.ObjectID}, nil
	}
	if ctx.Err() != nil {
		return self, ctx.Err()
	}
	return self, errors.New("it takes no room on the page")
}

// over asks what is on top at a point of the window.
func (e *element) over(ctx context.Context, x, y float64) (string, error) {
	layout, err := cdp.Call(ctx, e.tab, page.GetLayoutMetrics, cdp.Empty{})
	if err != nil || layout.CSSVisualViewport == nil {
		return "something", ctx.Err()
	}
	// The browser wants to be asked in places of the document.
	hit, err := cdp.Call(ctx, e.tab, dom.GetNodeForLocation, dom.GetNodeForLocationParams{
		X: int64(x + layout.CSSVisualViewport.PageX), Y: int64(y + layout.CSSVisualViewport.PageY),
	})
	if err != nil {
		return "the edge of the window", ctx.Err()
	}
	if hit.BackendNodeID == e.node {
		return "", nil
	}
	node, err := cdp.Call(ctx, e.tab, dom.ResolveNode, dom.ResolveNodeParams{BackendNodeID: hit.BackendNodeID})
	if err != nil || node.Object == nil {
		return "something", ctx.Err()
	}
	what, err := on[string](ctx, e, covered, node.Object.ObjectID)
	if err != nil {
		return "something of another frame", ctx.Err()
	}
	return what, nil
}

func largest(ctx context.Context, s session, of dom.GetContentQuadsParams) (dom.Quad, error) {
	result, err := cdp.Call(ctx, s, dom.GetContentQuads, of)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, errors.New("it takes no room on the page")
	}
	var best dom.Quad
	for _, quad := range result.Quads {
		if len(quad) == 8 && (best == nil || area(quad) > area(best)) {
			best = quad
		}
	}
	if best == nil {
		return nil, errors.New("it takes no room on the page")
	}
	return best, nil
}

func area(q dom.Quad) float64 {
	return abs((q[2]-q[0])*(q[5]-q[1]) - (q[4]-q[0])*(q[3]-q[1]))
}

func abs(f float64) float64 { return max(f, -f) }

func same(a, b dom.Quad) bool {
	for i := range a {
		if abs(a[i]-b[i]) > 0.5 {
			return false
		}
	}
	return true
}

// spots are the middle of a quad and four places between it and the corners.
func spots(q dom.Quad) [][2]float64 {
	mx, my := (q[0]+q[2]+q[4]+q[6])/4, (q[1]+q[3]+q[5]+q[7])/4
	list := [][2]float64{{mx, my}}
	for i := 0; i < 8; i += 2 {
		list = append(list, [2]float64{(mx + q[i]) / 2, (my + q[i+1]) / 2})
	}
	return list
}
