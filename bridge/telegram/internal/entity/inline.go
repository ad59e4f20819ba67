package entity

import (
	"html"
	"strings"

	"github.com/yuin/goldmark/ast"
	extension "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/util"
)

func (r *renderer) inlines(parent ast.Node) {
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		r.inline(n)
	}
}

func (r *renderer) inline(n ast.Node) {
	switch n := n.(type) {
	case *ast.Text:
		value := string(n.Value(r.source))
		if !n.IsRaw() {
			value = unescape(value)
		}
		r.lines(value)
		// A model that breaks a line means it, soft or not.
		if n.SoftLineBreak() || n.HardLineBreak() {
			r.newline()
		}
	case *ast.String:
		r.lines(string(n.Value))
	case *ast.CodeSpan:
		r.code(strings.ReplaceAll(string(rawText(n, r.source)), "\n", " "))
	case *ast.Emphasis:
		kind := Italic
		if n.Level > 1 {
			kind = Bold
		}
		r.styled(span{kind: kind}, func() { r.inlines(n) })
	case *extension.Strikethrough:
		r.styled(span{kind: Strike}, func() { r.inlines(n) })
	case *extension.TaskCheckBox:
		if n.IsChecked {
			r.text("☑ ")
		} else {
			r.text("☐ ")
		}
	case *ast.Link:
		r.link(unescape(string(n.Destination)), func() { r.inlines(n) })
	case *ast.AutoLink:
		r.link(string(n.URL(r.source)), func() { r.text(string(n.Label(r.source))) })
	case *ast.Image:
		r.image(n)
	case *ast.RawHTML:
		var b strings.Builder
		for i := range n.Segments.Len() {
			segment := n.Segments.At(i)
			b.Write(segment.Value(r.source))
		}
		r.lines(b.String())
	default:
		r.inlines(n)
	}
}

// image names a picture. Its address is code, so that neither we nor Telegram's preview fetches it:
// the address alone could carry a secret to whoever serves it.
func (r *renderer) image(n *ast.Image) {
	r.text("🖼 ")
	length := len(r.buf)
	r.inlines(n)
	if len(r.buf) > length {
		r.text(" ")
	}
	r.text("(")
	r.code(unescape(string(n.Destination)))
	r.text(")")
}

func rawText(n ast.Node, source []byte) []byte {
	var out []byte
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		switch c := c.(type) {
		case *ast.Text:
			out = append(out, c.Value(source)...)
		case *ast.String:
			out = append(out, c.Value...)
		}
	}
	return out
}

// unescape resolves backslashes before punctuation and HTML's character references, once each.
func unescape(s string) string {
	if !strings.ContainsAny(s, `\&`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s) && util.IsPunct(s[i+1]):
			i++
			b.WriteByte(s[i])
		case s[i] == '&':
			reference := referenceAt(s[i:])
			b.WriteString(html.UnescapeString(reference))
			i += len(reference) - 1
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// referenceAt is the character reference that s begins with, or the & alone.
func referenceAt(s string) string {
	for i := 1; i < len(s) && i < 40; i++ {
		switch c := s[i]; {
		case c == ';' && i > 1:
			return s[:i+1]
		case c != '#' && !util.IsAlphaNumeric(c):
			return "&"
		}
	}
	return "&"
}
