package config

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// page is the text of a YAML file and where its lines begin. It turns the places of nodes into bytes.
type page struct {
	data   []byte
	starts []int
}

// patch is a piece of a page and the text that takes its place.
type patch struct {
	start, end int
	text       string
}

// newPage counts lines as YAML does.
func newPage(data []byte) *page {
	p := &page{data: data, starts: []int{0}}
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		i += size
		if r == '\r' && i < len(data) && data[i] == '\n' {
			i++
		} else if !strings.ContainsRune("\n\r\u0085\u2028\u2029", r) {
			continue
		}
		p.starts = append(p.starts, i)
	}
	return p
}

// offset is where a node begins, or -1. Columns count characters.
func (p *page) offset(node *yaml.Node) int {
	if node.Line < 1 || node.Line > len(p.starts) || node.Column < 1 {
		return -1
	}
	at := p.starts[node.Line-1]
	if node.Line == 1 {
		at += len(p.data) - len(bytes.TrimPrefix(p.data, []byte("\ufeff")))
	}
	for range node.Column - 1 {
		if at >= len(p.data) {
			return -1
		}
		_, size := utf8.DecodeRune(p.data[at:])
		at += size
	}
	if at >= len(p.data) {
		return -1
	}
	return at
}

// newline is how the file ends its lines.
func (p *page) newline() string {
	if bytes.Contains(p.data, []byte("\r\n")) {
		return "\r\n"
	}
	return "\n"
}

// change says what to do to the text so that the value at steps below node becomes value, or why it cannot be done.
func (p *page) change(node *yaml.Node, steps []string, value *yaml.Node) (c patch, why string) {
	if slices.ContainsFunc(missing(node, steps), func(step string) bool { _, ok := itemIndex(step); return ok }) {
		return patch{}, "there is no such item"
	}
	if node == nil { // nothing but comments
		return p.below(len(p.starts), block(steps, value, "", p.newline())), ""
	}
	root := node
	var label *yaml.Node // the key of node, nil for an item of a list
	for i, step := range steps {
		if isNull(node) {
			return p.fill(label, node, planted(nil, steps[i:], value))
		}
		if n, ok := itemIndex(step); ok {
			label, node = nil, node.Content[n]
			continue
		}
		if node.Kind != yaml.MappingNode {
			return patch{}, "what it belongs to is not a group of keys"
		}
		at := keyIndex(node, step)
		if at < 0 {
			return p.add(label, node, steps[i:], value, node == root)
		}
		label, node = node.Content[at], node.Content[at+1]
	}
	if isNull(node) {
		return p.fill(label, node, value)
	}
	start, end := p.extent(node)
	if end < 0 {
		return patch{}, "its value is not one plain text on one line"
	}
	return patch{start, end, inline(value, node.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0)}, ""
}

// missing are the steps from the first one that leads nowhere.
func missing(node *yaml.Node, steps []string) []string {
	for i := range steps {
		if nodeAt(node, steps[:i+1]) == nil {
			return steps[i:]
		}
	}
	return nil
}

// fill writes a value where "key:" has none, or null.
func (p *page) fill(label, node, value *yaml.Node) (c patch, why string) {
	const unclear = "it is empty in a way that leaves no place for a value"
	if node.Value != "" { // null or ~
		if start, end := p.extent(node); end >= 0 {
			return patch{start, end, inline(value, false)}, ""
		}
		return patch{}, unclear
	}
	if label == nil {
		return patch{}, unclear
	}
	_, end := p.extent(label)
	if end < 0 {
		return patch{}, unclear
	}
	gap := len(p.data[end:]) - len(bytes.TrimLeft(p.data[end:], " \t"))
	if at := end + gap; at < len(p.data) && p.data[at] == ':' {
		return patch{at + 1, at + 1, " " + inline(value, false)}, ""
	}
	return patch{}, unclear
}

// add writes a key that is not there yet: into braces behind the opening one, at the end of the file
// for a section, else on a line below the group's own key, where it parts no comment from its key.
func (p *page) add(label, mapping *yaml.Node, steps []string, value *yaml.Node, root bool) (c patch, why string) {
	if mapping.Style&yaml.FlowStyle != 0 {
		at := p.offset(mapping)
		if at < 0 || p.data[at] != '{' {
			return patch{}, "its group is not written plainly enough"
		}
		text := steps[0] + ": " + inline(planted(nil, steps[1:], value), false)
		if len(mapping.Content) > 0 {
			text += ", "
		}
		return patch{at + 1, at + 1, text}, ""
	}
	if len(mapping.Content) == 0 {
		return patch{}, "its group is empty"
	}
	first, firstValue := mapping.Content[0], mapping.Content[1]
	line := len(p.starts)
	switch {
	case root:
	case label != nil && label.Line < first.Line:
		line = label.Line
	default: // an item of a list: its first key stands behind the dash
		if _, end := p.extent(firstValue); end < 0 || firstValue.Line != first.Line {
			return patch{}, "the first key of its group spans lines"
		}
		line = first.Line
	}
	indent := strings.Repeat(" ", first.Column-1)
	return p.below(line, block(steps, value, indent, p.newline())), ""
}

// below is text on lines of its own behind a line, counted from 1.
func (p *page) below(line int, text string) patch {
	at := len(p.data)
	if line < len(p.starts) {
		at = p.starts[line]
	}
	if at == len(p.data) && at > 0 && !slices.Contains([]byte("\r\n"), p.data[at-1]) {
		newline := p.newline()
		text = newline + strings.TrimSuffix(text, newline)
	}
	return patch{at, at, text}
}

// extent is where the text of a value on one line begins and ends; end is -1 when it is not that plain.
func (p *page) extent(node *yaml.Node) (start, end int) {
	start = p.offset(node)
	if start < 0 || node.Anchor != "" || node.Style&yaml.TaggedStyle != 0 {
		return 0, -1
	}
	rest := p.data[start:]
	size := -1
	switch {
	case node.Kind == yaml.SequenceNode && len(node.Content) == 0 && rest[0] == '[':
		if inner := bytes.TrimLeft(rest[1:], " \t"); len(inner) > 0 && inner[0] == ']' {
			size = len(rest) - len(inner) + 1
		}
	case node.Kind != yaml.ScalarNode:
	case node.Style&yaml.DoubleQuotedStyle != 0:
		size = quotedSize(rest, '"', func(b []byte) bool { return b[0] == '\\' })
	case node.Style&yaml.SingleQuotedStyle != 0:
		size = quotedSize(rest, '\'', func(b []byte) bool { return b[0] == '\'' && len(b) > 1 && b[1] == '\'' })
	case node.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 && bytes.HasPrefix(rest, []byte(node.Value)):
		size = len(node.Value) // a plain text on one line reads as it is written
	}
	if size < 0 {
		return 0, -1
	}
	return start, start + size
}

// quotedSize is the length of the quoted text that rest begins with, -1 when its line ends before it
// does. skips says that a byte and the next belong together.
func quotedSize(rest []byte, quote byte, skips func([]byte) bool) int {
	for i := 1; i < len(rest); i++ {
		switch {
		case rest[i] == '\n' || rest[i] == '\r':
			return -1
		case skips(rest[i:]):
			i++
		case rest[i] == quote:
			return i + 1
		}
	}
	return -1
}
