package web

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/input"
)

// key is one key and what is held with it.
type key struct {
	name   string // as the page sees it
	code   string // the place on the keyboard
	text   string // what it writes
	number int64  // the key code of Windows, which pages still read
	held   int64  // Alt 1, Control 2, Meta 4, Shift 8
}

// named are the keys that write nothing, or not what they are called.
var named = map[string]key{
	"enter":      {name: "Enter", code: "Enter", text: "\r", number: 13},
	"tab":        {name: "Tab", code: "Tab", number: 9},
	"escape":     {name: "Escape", code: "Escape", number: 27},
	"backspace":  {name: "Backspace", code: "Backspace", number: 8},
	"delete":     {name: "Delete", code: "Delete", number: 46},
	"space":      {name: " ", code: "Space", text: " ", number: 32},
	"arrowup":    {name: "ArrowUp", code: "ArrowUp", number: 38},
	"arrowdown":  {name: "ArrowDown", code: "ArrowDown", number: 40},
	"arrowleft":  {name: "ArrowLeft", code: "ArrowLeft", number: 37},
	"arrowright": {name: "ArrowRight", code: "ArrowRight", number: 39},
	"home":       {name: "Home", code: "Home", number: 36},
	"end":        {name: "End", code: "End", number: 35},
	"pageup":     {name: "PageUp", code: "PageUp", number: 33},
	"pagedown":   {name: "PageDown", code: "PageDown", number: 34},
	"insert":     {name: "Insert", code: "Insert", number: 45},
}

var modifiers = map[string]int64{"alt": 1, "control": 2, "ctrl": 2, "meta": 4, "shift": 8}

// parseKey reads "Enter", "a", "Control+a".
func parseKey(text string) (key, error) {
	if text == "" {
		return key{}, errors.New("needs the name of a key as its text")
	}
	var held int64
	rest := text
	for {
		name, after, ok := strings.Cut(rest, "+")
		bit, known := modifiers[strings.ToLower(name)]
		if !ok || !known || after == "" {
			break
		}
		held, rest = held|bit, after
	}
	k, ok := named[strings.ToLower(rest)]
	var n int
	switch {
	case ok:
	case numbered(rest, &n):
		k = key{name: fmt.Sprintf("F%d", n), code: fmt.Sprintf("F%d", n), number: int64(111 + n)}
	default:
		r, size := utf8.DecodeRuneInString(rest)
		if size != len(rest) || !unicode.IsPrint(r) {
			return key{}, fmt.Errorf("there is no key %.20q; there are Enter, Tab, Escape, Backspace, Delete, Space, ArrowUp, ArrowDown, "+
				"ArrowLeft, ArrowRight, Home, End, PageUp, PageDown, Insert, F1 to F12 and single characters", rest)
		}
		k = letter(r)
	}
	k.held |= held
	if k.held&^8 != 0 {
		k.text = "" // a shortcut writes nothing
	}
	return k, nil
}

func numbered(text string, n *int) bool {
	if _, err := fmt.Sscanf(strings.ToUpper(text), "F%d", n); err != nil {
		return false
	}
	return *n >= 1 && *n <= 12 && fmt.Sprintf("F%d", *n) == strings.ToUpper(text)
}

// letter is the key of one character on an American keyboard; one that is not there has no place.
func letter(r rune) key {
	k := key{name: string(r), text: string(r)}
	switch upper := unicode.ToUpper(r); {
	case upper >= 'A' && upper <= 'Z':
		k.code, k.number = "Key"+string(upper), int64(upper)
		if r == upper {
			k.held = 8
		}
	case r >= '0' && r <= '9':
		k.code, k.number = "Digit"+string(r), int64(r)
	case r == ' ':
		k.code, k.number = "Space", 32
	}
	return k
}

// press presses a key on an element, or on what has the focus.
func (v *visitor) press(ctx context.Context, e *element, text string) (string, error) {
	k, err := parseKey(text)
	if err != nil {
		return "", err
	}
	where := ""
	if e != nil {
		if reason, err := on[string](ctx, e, usable); err != nil {
			return "", err
		} else if reason != "" {
			return "", errors.New(clip(reason, 200))
		}
		if _, err := cdp.Call(ctx, e.tab, dom.Focus, dom.FocusParams{BackendNodeID: e.node}); err != nil {
			if ctx.Err() != nil {
				return "", ctx.Err()
			}
			return "", errors.New("it cannot have the focus")
		}
		where = " on " + e.name
	}
	if err := v.stroke(ctx, k); err != nil {
		return "", err
	}
	return "pressed " + clip(text, 30) + where, nil
}

// stroke presses and releases one key.
func (v *visitor) stroke(ctx context.Context, k key) error {
	down := input.DispatchKeyEventParams{
		Type: input.DispatchKeyEventTypeRawKeyDown, Key: k.name, Code: k.code, Modifiers: k.held,
		WindowsVirtualKeyCode: k.number, NativeVirtualKeyCode: k.number,
	}
	up := down
	up.Type = input.DispatchKeyEventTypeKeyUp
	if k.text != "" {
		down.Type, down.Text, down.UnmodifiedText = input.DispatchKeyEventTypeKeyDown, k.text, k.text
	}
	if k.held&2 != 0 && strings.EqualFold(k.name, "a") {
		down.Commands = []string{"selectAll"} // an editing command is the window system's to give
	}
	for _, step := range []input.DispatchKeyEventParams{down, up} {
		if _, err := cdp.Call(ctx, v.tab, input.DispatchKeyEvent, step); err != nil {
			return err
		}
	}
	return nil
}
