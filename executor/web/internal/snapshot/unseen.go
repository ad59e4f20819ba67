package snapshot

import (
	"strconv"
	"strings"
)

// A page can hold text for a model that no person sees: transparent, tiny, of the colour of its ground,
// cut off, or beside the page. It is shown with a mark, since much of it is honest (for screen readers,
// in menus that unfold), and since what a mark says is better known than not. What is hidden by other
// means, such as something drawn over it, is not found.

const (
	unseenOpacity  = 0.05
	unseenFontSize = 3 // pixels and less
	unseenSize     = 1 // pixels and less, wide or high
)

// box is a rectangle from x0, y0 to x1, y1.
type box struct{ x0, y0, x1, y1 float32 }

func (b box) cut(by box) box {
	return box{max(b.x0, by.x0), max(b.y0, by.y0), min(b.x1, by.x1), min(b.y1, by.y1)}
}

func (b box) empty() bool { return b.x1-b.x0 <= unseenSize || b.y1-b.y0 <= unseenSize }

const far = 1e9

// see fills unseen. Parents come before their children, so that one pass does it.
func (p *view) see(hidden bool) {
	n := len(p.doc.Nodes.Parent)
	p.unseen = make([]bool, n)
	opacity := make([]float32, n)
	// Where the children of a node can be seen: those in the flow, and those that are placed absolutely
	// and so are not cut by parents that are not their frame of reference.
	flow, placed := make([]box, n), make([]box, n)
	everywhere := box{-far, -far, far, far}
	var pictures []box
	var same []int
	for i := range n {
		o, f, a := float32(1), everywhere, everywhere
		if up := p.doc.Nodes.Parent[i]; up >= 0 && int(up) < i {
			o, f, a = opacity[up], flow[up], placed[up]
		}
		own := f
		text := p.doc.Nodes.Type[i] == nodeText
		bounds, laid := p.bounds(i)
		if laid && !text {
			if v, err := strconv.ParseFloat(p.style(i, styleOpacity), 32); err == nil {
				o *= float32(v)
			}
			position := p.style(i, stylePosition)
			switch position {
			case "absolute":
				own = a
			case "fixed":
				own = everywhere
			}
			f = own
			if p.clips(i) {
				f = own.cut(bounds)
			}
			if p.clipped(i) {
				f = box{}
			}
			if position != "static" && position != "" {
				a = f
			}
			if name := p.name(i); name == "IMG" || name == "VIDEO" || name == "CANVAS" || name == "svg" || name == "PICTURE" || p.hasPicture(i) {
				pictures = append(pictures, bounds)
			}
		}
		opacity[i], flow[i], placed[i] = o, f, a
		switch {
		case hidden || !laid:
			p.unseen[i] = hidden
		case o < unseenOpacity, bounds.empty() && (text || p.name(i) != "INPUT"), bounds.cut(own).empty(), bounds.x1 <= 0, bounds.y1 <= 0,
			p.doc.ContentWidth > 0 && float64(bounds.x0) >= p.doc.ContentWidth && bounds.x0 > 1280:
			p.unseen[i] = true
		case text && p.invisibleInk(i):
			p.unseen[i] = true
		case text && p.camouflaged(i):
			same = append(same, i)
		}
	}
	for _, i := range same { // unless it stands on a picture
		bounds, _ := p.bounds(i)
		p.unseen[i] = true
		for _, picture := range pictures {
			if !bounds.cut(picture).empty() {
				p.unseen[i] = false
				break
			}
		}
	}
}

func (p *view) clips(i int) bool {
	switch p.style(i, styleOverflow) {
	case "hidden", "clip":
		name := p.name(i) // what the root and the body hide is hidden by the window
		return name != "HTML" && name != "BODY"
	}
	return false
}

// clipped reports whether clip or clip-path leaves nothing of a node.
func (p *view) clipped(i int) bool {
	if clip := p.style(i, styleClip); strings.HasPrefix(clip, "rect(") && p.style(i, stylePosition) != "static" {
		sides := strings.FieldsFunc(strings.TrimSuffix(clip[5:], ")"), func(r rune) bool { return r == ',' || r == ' ' })
		if len(sides) == 4 {
			top, ok1 := pixels(sides[0])
			right, ok2 := pixels(sides[1])
			bottom, ok3 := pixels(sides[2])
			left, ok4 := pixels(sides[3])
			if ok1 && ok2 && ok3 && ok4 && (right-left <= unseenSize || bottom-top <= unseenSize) {
				return true
			}
		}
	}
	path := p.style(i, styleClipPath)
	if inset, ok := strings.CutPrefix(path, "inset("); ok {
		share, _, _ := strings.Cut(strings.TrimSuffix(inset, ")"), " ")
		if v, err := strconv.ParseFloat(strings.TrimSuffix(share, "%"), 64); err == nil && strings.HasSuffix(share, "%") && v >= 50 {
			return true
		}
	}
	return strings.HasPrefix(path, "circle(0px") || strings.HasPrefix(path, "circle(0%")
}

func (p *view) hasPicture(i int) bool {
	image := p.style(i, styleBackgroundImage)
	return image != "" && image != "none"
}

// invisibleInk reports whether a text is too small or has no colour.
func (p *view) invisibleInk(i int) bool {
	if size, ok := pixels(p.style(i, styleFontSize)); ok && size <= unseenFontSize {
		return true
	}
	_, alpha, ok := colour(p.style(i, styleColor))
	return ok && alpha < unseenOpacity
}

// camouflaged reports whether a text has nearly the colour of what lies below it.
func (p *view) camouflaged(i int) bool {
	a, alpha, ok := colour(p.style(i, styleColor))
	b, known := p.ground(i)
	if !ok || !known || alpha < 1 {
		return false
	}
	distance := 0
	for k := range a {
		distance += max(a[k]-b[k], b[k]-a[k])
	}
	return distance <= 12
}

// ground is the colour below a text: that of all boxes under it as Chromium blends them, else that of
// the next one around it, else the white of the window.
func (p *view) ground(i int) (rgb [3]int, known bool) {
	if at := int(p.layout[i]); at < len(p.doc.Layout.Blended) && p.doc.Layout.Blended[at] >= 0 {
		rgb, _, known = colour(p.all.text(p.doc.Layout.Blended[at]))
		return rgb, known
	}
	for up, levels := int(p.doc.Nodes.Parent[i]), 0; up >= 0 && levels < 100; up, levels = int(p.doc.Nodes.Parent[up]), levels+1 {
		if rgb, alpha, ok := colour(p.style(up, styleBackground)); ok && alpha > 0 {
			return rgb, alpha == 1
		}
	}
	return [3]int{255, 255, 255}, true
}

// colour reads rgb(1, 2, 3), rgba(1, 2, 3, 0.5), and #010203ff as Chromium writes them.
func colour(s string) (rgb [3]int, alpha float64, ok bool) {
	if len(s) == 9 && s[0] == '#' {
		v, err := strconv.ParseUint(s[1:], 16, 32)
		return [3]int{int(v >> 24), int(v >> 16 & 255), int(v >> 8 & 255)}, float64(v&255) / 255, err == nil
	}
	list, found := strings.CutPrefix(s, "rgb(")
	if !found {
		if list, found = strings.CutPrefix(s, "rgba("); !found {
			return rgb, 0, false
		}
	}
	alpha = 1
	for k, field := range strings.Split(strings.TrimSuffix(list, ")"), ",") {
		v, err := strconv.ParseFloat(strings.TrimSpace(field), 64)
		switch {
		case err != nil || k > 3:
			return rgb, 0, false
		case k == 3:
			alpha = v
		default:
			rgb[k] = int(v)
		}
	}
	return rgb, alpha, true
}
