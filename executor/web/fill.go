package web

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/input"
)

// kind says how the element takes text: "text" by keyboard, "value" by setting it, or why not at all.
const kind = `function() {
	const e = this.nodeType === Node.ELEMENT_NODE ? this : this.parentElement;
	if (!e) return 'it takes no text';
	if (e.readOnly || e.getAttribute('aria-readonly') === 'true') return 'it can only be read';
	if (e instanceof HTMLTextAreaElement || e.isContentEditable) return 'text';
	if (!(e instanceof HTMLInputElement)) return 'it takes no text';
	if (['date', 'time', 'datetime-local', 'month', 'week', 'color', 'range'].includes(e.type)) return 'value';
	if (['button', 'checkbox', 'file', 'hidden', 'image', 'radio', 'reset', 'submit'].includes(e.type)) return 'it takes no text: it is a ' + e.type;
	return 'text';
}`

// selectAll marks what is there, so that typing replaces it.
const selectAll = `function() {
	const e = this.nodeType === Node.ELEMENT_NODE ? this : this.parentElement;
	e.focus();
	if (e.select) { e.select(); return e.value !== ''; }
	const range = document.createRange();
	range.selectNodeContents(e);
	const selection = getSelection();
	selection.removeAllRanges();
	selection.addRange(range);
	return !range.collapsed;
}`

// setValue is for fields without a caret, where the browser's own picker would do the same.
const setValue = `function(text) {
	Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(this, text);
	this.dispatchEvent(new Event('input', {bubbles: true}));
	this.dispatchEvent(new Event('change', {bubbles: true}));
	return this.value;
}`

// held tells how many characters a field holds: never which ones, it may be a password.
const held = `function() { return typeof this.value === 'string' ? this.value.length : -1; }`

// typeText replaces what is in the element.
func (v *visitor) typeText(ctx context.Context, e *element, text string) (string, error) {
	for _, check := range []string{usable, kind} {
		reason, err := on[string](ctx, e, check)
		if err != nil {
			return "", err
		}
		switch reason {
		case "", "text":
		case "value":
			return e.setValue(ctx, text)
		default:
			return "", errors.New(clip(reason, 200))
		}
	}
	if err := e.scrollIntoView(ctx); err != nil {
		return "", err
	}
	if _, err := cdp.Call(ctx, e.tab, dom.Focus, dom.FocusParams{BackendNodeID: e.node}); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", errors.New("it cannot have the focus")
	}
	marked, err := on[bool](ctx, e, selectAll)
	if err != nil {
		return "", err
	}
	if text == "" {
		if marked {
			if err := v.stroke(ctx, key{name: "Delete", code: "Delete", number: 46}); err != nil {
				return "", err
			}
		}
		return "emptied " + e.name, nil
	}
	if _, err := cdp.Call(ctx, v.tab, input.InsertText, input.InsertTextParams{Text: text}); err != nil {
		return "", err
	}
	did := fmt.Sprintf("typed %d characters into %s", utf8.RuneCountInString(text), e.name)
	if n, err := on[int](ctx, e, held); err == nil && n >= 0 && n != utf16Len(text) {
		did += fmt.Sprintf(", which now holds %d", n)
	}
	return did, nil
}

func (e *element) setValue(ctx context.Context, text string) (string, error) {
	now, err := on[string](ctx, e, setValue, text)
	if err != nil {
		return "", err
	}
	if now != text {
		return "", fmt.Errorf("it does not take %s; it holds %s", quote(text, 60), quote(now, 60))
	}
	return fmt.Sprintf("set %s to %s", e.name, quote(text, 60)), nil
}

// utf16Len is the length that a page sees.
func utf16Len(text string) int {
	n := 0
	for _, r := range text {
		n++
		if r > 0xffff {
			n++
		}
	}
	return n
}

// pick chooses an option by its text, label or value, and returns what there is when none fits.
const pick = `function(text) {
	const e = this.nodeType === Node.ELEMENT_NODE ? this : this.parentElement;
	if (!(e instanceof HTMLSelectElement)) return {error: 'it is no list of options; click it, and then the option'};
	const clean = s => s.trim().replace(/\s+/g, ' ');
	const all = [...e.options];
	const find = same => all.find(o => same(clean(o.label)) || same(clean(o.text)) || same(o.value));
	const o = find(s => s === clean(text)) || find(s => s.toLowerCase() === clean(text).toLowerCase());
	if (!o) return {error: '', options: all.slice(0, 20).map(o => clean(o.label).slice(0, 60)), more: Math.max(0, all.length - 20)};
	if (o.disabled || o.closest('optgroup:disabled')) return {error: 'that option is disabled'};
	e.focus();
	for (const other of all) if (e.multiple) other.selected = other === o;
	e.selectedIndex = o.index;
	e.dispatchEvent(new Event('input', {bubbles: true}));
	e.dispatchEvent(new Event('change', {bubbles: true}));
	return {chosen: clean(o.label)};
}`

// choose selects an option.
func (v *visitor) choose(ctx context.Context, e *element, text string) (string, error) {
	if reason, err := on[string](ctx, e, usable); err != nil {
		return "", err
	} else if reason != "" {
		return "", errors.New(clip(reason, 200))
	}
	got, err := on[struct {
		Error   string   `json:"error"`
		Options []string `json:"options"`
		More    int      `json:"more"`
		Chosen  string   `json:"chosen"`
	}](ctx, e, pick, text)
	switch {
	case err != nil:
		return "", err
	case got.Error != "":
		return "", errors.New(clip(got.Error, 200))
	case got.Options != nil:
		list := ""
		for _, option := range got.Options {
			list += " " + quote(option, 60)
		}
		if got.More > 0 {
			list += fmt.Sprintf(" and %d more", got.More)
		}
		return "", fmt.Errorf("it has no option %s; it has%s", quote(text, 60), clip(list, 400))
	}
	return fmt.Sprintf("selected %s in %s", quote(got.Chosen, 60), e.name), nil
}
