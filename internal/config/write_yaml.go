package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// ErrByHand says that a file is written in a way that cannot be edited without touching more than was meant.
var ErrByHand = errors.New("this must be changed by hand")

// SetText gives one key of a secureclaw.yaml a value, in the text itself: no other byte of data
// changes, comments and order stay. path is like llm.model or mounts[0].host; the last keys of it
// need not be there yet. Value is text.
//
// The result is read again and compared with what was meant. When it is not that, or when the old value
// spans lines, the error wraps [ErrByHand] and names the key.
func SetText(data []byte, path, value string) ([]byte, error) {
	return setValue(data, path, textNode(value))
}

func textNode(value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
}

// setValue is SetText for any value.
func setValue(data []byte, path string, value *yaml.Node) ([]byte, error) {
	byHand := func(why string) error { return fmt.Errorf("%s: %w: %s", path, ErrByHand, why) }
	before, err := documentOf(data)
	if err != nil {
		return nil, byHand("the file is no YAML that can be read")
	}
	steps := splitPath(path)
	if was := nodeAt(before, steps); was != nil && sameNode(was, value) {
		return data, nil
	}
	change, why := newPage(data).change(before, steps, value)
	if why != "" {
		return nil, byHand(why)
	}
	out := slices.Concat(data[:change.start], []byte(change.text), data[change.end:])
	// The text was cut by reading it once more by hand. Only this makes a mistake in that harmless.
	after, err := documentOf(out)
	if err != nil || !sameNode(planted(before, steps, value), after) {
		return nil, byHand("its place in the file is not written plainly enough")
	}
	return out, nil
}

// documentOf is the one value that a file holds, nil when it holds none.
func documentOf(data []byte) (*yaml.Node, error) {
	s := newSource("", data)
	root := s.read(data)
	if err := s.sorted(); err != nil {
		return nil, err
	}
	if root.Line == 0 || isNull(root) {
		return nil, nil
	}
	return root, nil
}

// nodeAt is the value at steps below node, nil when there is none.
func nodeAt(node *yaml.Node, steps []string) *yaml.Node {
	for _, step := range steps {
		if node == nil {
			return nil
		}
		if i, ok := itemIndex(step); ok {
			if node.Kind != yaml.SequenceNode || i >= len(node.Content) {
				return nil
			}
			node = node.Content[i]
			continue
		}
		node = find(node, step)
	}
	return node
}

// planted is what node must become when the value at steps below it is value. node is not changed.
func planted(node *yaml.Node, steps []string, value *yaml.Node) *yaml.Node {
	if len(steps) == 0 {
		return value
	}
	out := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	if node != nil && !isNull(node) {
		*out = *node
		out.Content = slices.Clone(node.Content)
	}
	if i, ok := itemIndex(steps[0]); ok && out.Kind == yaml.SequenceNode && i < len(out.Content) {
		out.Content[i] = planted(out.Content[i], steps[1:], value)
		return out
	}
	if i := keyIndex(out, steps[0]); i >= 0 {
		out.Content[i+1] = planted(out.Content[i+1], steps[1:], value)
		return out
	}
	out.Content = append(out.Content, textNode(steps[0]), planted(nil, steps[1:], value))
	return out
}

// sameNode compares what two nodes say. The order of keys says nothing.
func sameNode(a, b *yaml.Node) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.Kind != b.Kind || a.ShortTag() != b.ShortTag() || a.Value != b.Value || a.Anchor != b.Anchor || len(a.Content) != len(b.Content) {
		return false
	}
	if a.Kind != yaml.MappingNode {
		return slices.EqualFunc(a.Content, b.Content, sameNode)
	}
	used := make([]bool, len(b.Content))
	for i := 0; i+1 < len(a.Content); i += 2 {
		found := false
		for j := 0; j+1 < len(b.Content) && !found; j += 2 {
			if !used[j] && a.Content[i].Value == b.Content[j].Value && sameNode(a.Content[i], b.Content[j]) && sameNode(a.Content[i+1], b.Content[j+1]) {
				used[j], found = true, true
			}
		}
		if !found {
			return false
		}
	}
	return true
}

func keyIndex(mapping *yaml.Node, name string) int {
	for i := 0; mapping.Kind == yaml.MappingNode && i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			return i
		}
	}
	return -1
}

// itemIndex reads a step like [3].
func itemIndex(step string) (int, bool) {
	inside, ok := strings.CutPrefix(step, "[")
	if !ok {
		return 0, false
	}
	i, err := strconv.Atoi(strings.TrimSuffix(inside, "]"))
	return i, err == nil && i >= 0
}

// inline writes a value on one line.
func inline(value *yaml.Node, quote bool) string {
	var items []string
	switch value.Kind {
	case yaml.SequenceNode:
		for _, item := range value.Content {
			items = append(items, inline(item, quote))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case yaml.MappingNode:
		for i := 0; i+1 < len(value.Content); i += 2 {
			items = append(items, value.Content[i].Value+": "+inline(value.Content[i+1], quote))
		}
		return "{" + strings.Join(items, ", ") + "}"
	}
	if !quote && readsAsItself(value.Value) {
		return value.Value
	}
	return strconv.Quote(value.Value) // its escapes are all known to YAML
}

// readsAsItself reports whether text needs no quotes anywhere in YAML.
func readsAsItself(text string) bool {
	if strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./_~@+:-") != "" ||
		strings.HasPrefix(text, "-") || strings.HasPrefix(text, "@") || strings.HasPrefix(text, ":") || strings.HasSuffix(text, ":") {
		return false
	}
	root, err := documentOf([]byte(text))
	return err == nil && root != nil && root.Kind == yaml.ScalarNode && root.ShortTag() == "!!str" && root.Value == text
}

// block writes the keys that lead to a value, one line for each, and the value.
func block(steps []string, value *yaml.Node, indent, newline string) string {
	if len(steps) > 1 {
		return indent + steps[0] + ":" + newline + block(steps[1:], value, indent+"  ", newline)
	}
	if value.Kind != yaml.SequenceNode || len(value.Content) == 0 {
		return indent + steps[0] + ": " + inline(value, false) + newline
	}
	out := indent + steps[0] + ":" + newline
	for _, item := range value.Content {
		for i := 0; i+1 < len(item.Content); i += 2 {
			lead := "    "
			if i == 0 {
				lead = "  - "
			}
			out += indent + lead + item.Content[i].Value + ": " + inline(item.Content[i+1], false) + newline
		}
	}
	return out
}
