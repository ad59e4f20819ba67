package entity

import (
	"slices"
	"strings"
)

// writer collects text and the spans in it. Spans count bytes until the text is done.
type writer struct {
	buf     []byte
	spans   []span
	open    []span // bold, italic, strikethrough and links that have begun
	indent  string // stands at the start of every line
	gap     int    // line feeds that are due before the next text
	atStart bool   // of a line: the indent is due
	quoted  bool   // inside a blockquote entity
}

type span struct {
	kind, url, language string
	start, end          int
}

// maxIndent is how many columns of a line nesting may take.
const maxIndent = 24

// indented runs f with more in front of every line.
func (w *writer) indented(more string, f func()) {
	before := w.indent
	if len(before)+len(more) <= maxIndent {
		w.indent += more
	}
	f()
	w.indent = before
}

// space asks for at least n line feeds before what comes next, if anything stands before it.
func (w *writer) space(n int) { w.gap = max(w.gap, n) }

// flush writes what is due before text.
func (w *writer) flush(indent bool) {
	if w.gap > 0 && len(w.buf) > 0 {
		w.buf = append(w.buf, "\n\n"[:min(w.gap, 2)]...)
		w.atStart = true
	}
	w.gap = 0
	if w.atStart && indent {
		w.buf = append(w.buf, w.indent...)
	}
	w.atStart = false
}

func (w *writer) text(s string) {
	if s != "" {
		w.flush(true)
		w.buf = append(w.buf, s...)
	}
}

// newline breaks a line within a block.
func (w *writer) newline() {
	w.flush(true)
	w.buf = append(w.buf, '\n')
	w.atStart = true
}

// lines writes text of several lines.
func (w *writer) lines(s string) {
	for i, line := range strings.Split(s, "\n") {
		if i > 0 {
			w.newline()
		}
		w.text(line)
	}
}

// styled runs f under bold, italic, strikethrough or a link. A style within itself is no second one.
func (w *writer) styled(s span, f func()) {
	if slices.ContainsFunc(w.open, func(o span) bool { return o.kind == s.kind }) {
		f()
		return
	}
	w.flush(true)
	s.start = len(w.buf)
	w.open = append(w.open, s)
	f()
	w.close(len(w.open) - 1)
	w.open = w.open[:len(w.open)-1]
}

func (w *writer) close(i int) {
	s := w.open[i]
	s.end = len(w.buf)
	w.spans = append(w.spans, s)
}

// code writes inline code. No other style may hold it, so those that are open end before it and
// begin again behind it. Within a link the link stays and the code does not show.
func (w *writer) code(s string) {
	if slices.ContainsFunc(w.open, func(o span) bool { return o.kind == TextLink }) {
		w.text(s)
		return
	}
	w.flush(true)
	for i := range w.open {
		w.close(i)
	}
	start := len(w.buf)
	w.buf = append(w.buf, s...)
	w.spans = append(w.spans, span{kind: Code, start: start, end: len(w.buf)})
	for i := range w.open {
		w.open[i].start = len(w.buf)
	}
}

// pre writes a block of code from the first column.
func (w *writer) pre(s, language string) {
	w.flush(false)
	start := len(w.buf)
	w.buf = append(w.buf, s...)
	w.spans = append(w.spans, span{kind: Pre, language: language, start: start, end: len(w.buf)})
}

// quote runs f in a block quote. One cannot stand in another, so the inner ones get a mark instead.
func (w *writer) quote(f func()) {
	if w.quoted {
		w.indented("> ", f)
		return
	}
	w.flush(false)
	w.atStart = true
	start := len(w.buf)
	w.quoted = true
	f()
	w.quoted = false
	w.spans = append(w.spans, span{kind: Blockquote, start: start, end: len(w.buf)})
}

// message is what was written, as Telegram takes it.
func (w *writer) message() Message {
	text, at := clean(string(w.buf))
	spans := make([]span, 0, len(w.spans))
	for _, s := range w.spans {
		s.start, s.end = trim(text, s.kind, int(at[s.start]), int(at[s.end]))
		if s.start < s.end {
			spans = append(spans, s)
		}
	}
	sortSpans(spans)
	text = strings.TrimRightFunc(text, blank)
	front := len(text) - len(strings.TrimLeftFunc(text, blank))
	if len(spans) > 0 {
		front = min(front, spans[0].start) // the first line of a block of code may be indented
	}
	if text = text[front:]; text == "" {
		return Message{Text: Empty}
	}
	return Message{Text: text, Entities: entities(text, spans, front)}
}

// trim takes blanks off the ends of a span: Telegram wants none there. The indent of the first line
// of a block stays.
func trim(text, kind string, start, end int) (int, int) {
	inner := text[start:end]
	end = start + len(strings.TrimRightFunc(inner, blank))
	inner = text[start:end]
	cut := len(inner) - len(strings.TrimLeftFunc(inner, blank))
	if kind == Pre || kind == Blockquote {
		cut = strings.LastIndexByte(inner[:cut], '\n') + 1
	}
	return start + cut, end
}

// sortSpans puts outer spans before inner ones.
func sortSpans(spans []span) {
	rank := func(kind string) int {
		return strings.Index("blockquote text_link bold italic strikethrough code pre", kind)
	}
	slices.SortStableFunc(spans, func(a, b span) int {
		switch {
		case a.start != b.start:
			return a.start - b.start
		case a.end != b.end:
			return b.end - a.end
		default:
			return rank(a.kind) - rank(b.kind)
		}
	})
}

// entities counts the spans, which begin front bytes before text does, in UTF-16.
func entities(text string, spans []span, front int) []Entity {
	if len(spans) == 0 {
		return nil
	}
	at := make([]int32, len(text)+1)
	n := int32(0)
	for i, r := range text {
		at[i] = n
		n += int32(units(r))
	}
	at[len(text)] = n
	out := make([]Entity, len(spans))
	for i, s := range spans {
		start, end := at[s.start-front], at[s.end-front]
		out[i] = Entity{Type: s.kind, Offset: int(start), Length: int(end - start), URL: s.url, Language: s.language}
	}
	return out
}
