package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// walk checks node against k, notes the place of every value in s, and adds the defaults of absent
// keys, so that decoding the node afterwards cannot fail. It reports everything it finds. name is
// the entry of the named group that node is in.
func (s *source) walk(node *yaml.Node, k *key, path, name string) {
	if node.Line > 0 { // else built in: it stands in no line of this file
		s.places[path] = Place{s.name, node.Line, node.Column}
	}
	if why := s.check(node, k, path, name); why != "" {
		s.fail(Place{s.name, node.Line, node.Column}, path, "%s", why)
		*node = blank(k.kind)
	}
}

// blank is a value that says nothing, in place of one that was refused.
func blank(k kind) yaml.Node {
	switch k {
	case group, named:
		return yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	case list, patterns:
		return yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	case text:
		return yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str"}
	case truth:
		return yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "false"}
	case duration:
		return yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "0s"}
	default:
		return yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: "0"}
	}
}

// check says why node is no k, or reports what is wrong below it and returns "".
func (s *source) check(node *yaml.Node, k *key, path, name string) string {
	if why := odd(node); why != "" {
		return why
	}
	switch k.kind {
	case group, named:
		if k.short != "" && node.Kind == yaml.ScalarNode && !isNull(node) {
			expand(node, k.short)
		}
		return s.checkMapping(node, k, path, name)
	case list:
		if isNull(node) {
			*node = blank(list)
		}
		if node.Kind != yaml.SequenceNode {
			return wrongKind(node, k, path)
		}
		for i, item := range node.Content {
			s.walk(item, k.each, fmt.Sprintf("%s[%d]", path, i), name)
		}
		return ""
	case patterns:
		return s.checkPatterns(node, k, path)
	case argument:
		return s.checkArgument(node, k, path)
	}
	if node.Kind != yaml.ScalarNode || isNull(node) {
		return wrongKind(node, k, path)
	}
	if why := k.refuses(node); why != "" {
		return path + ": " + why
	}
	return ""
}

func (s *source) checkMapping(node *yaml.Node, k *key, path, name string) string {
	if isNull(node) { // "llm:" with every key commented out
		line, column := node.Line, node.Column
		*node = blank(group)
		node.Line, node.Column = line, column
	}
	if node.Kind != yaml.MappingNode {
		return wrongKind(node, k, path)
	}
	seen := map[string]int{}
	var kept []*yaml.Node
	for i := 0; i+1 < len(node.Content); i += 2 {
		label, value := node.Content[i], node.Content[i+1]
		at := Place{s.name, label.Line, label.Column}
		if label.Kind != yaml.ScalarNode || label.ShortTag() == "!!merge" || odd(label) != "" {
			s.fail(at, path, "a key must be a plain word")
			continue
		}
		below := join(path, label.Value)
		if first, twice := seen[label.Value]; twice {
			s.fail(at, below, "key %q stands twice, first in line %d", clip(label.Value), first)
			continue
		}
		c, known := k.child(label.Value)
		if known && k.kind == named && k.oneOf != nil {
			known = slices.Contains(k.oneOf, label.Value)
		}
		if !known {
			s.unknownKey(at, path, label.Value, k)
			continue
		}
		seen[label.Value] = label.Line
		if isNull(value) && (c.kind >= text && c.kind < patterns || c.defs != nil) {
			continue // "model:" with nothing behind it is as if absent; addDefaults sees to it
		}
		inside := name
		if k.kind == named {
			inside = label.Value
		}
		s.walk(value, &c, below, inside)
		if c.kind <= list && label.Line > 0 {
			s.places[below] = at // of a whole section, the key is the better place
		}
		kept = append(kept, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: label.Value}, value)
	}
	node.Content = kept
	if k.kind == group {
		s.addDefaults(node, k, path, name)
	}
	return ""
}

// expand turns a text into the group that it is short for.
func expand(node *yaml.Node, name string) {
	value := *node
	label := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name, Line: node.Line, Column: node.Column}
	*node = yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: node.Line, Column: node.Column, Content: []*yaml.Node{label, &value}}
}

// addDefaults puts the built-in values of absent keys into node.
func (s *source) addDefaults(node *yaml.Node, k *key, path, name string) {
	for _, c := range k.keys {
		if find(node, c.name) != nil {
			continue
		}
		var value *yaml.Node
		switch {
		case c.required:
			s.fail(s.place(path), join(path, c.name), "%s is missing: %s", join(path, c.name), lowerFirst(c.meaning))
			continue
		case c.kind == group:
			value = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
			s.walk(value, &c, join(path, c.name), name)
		case c.def != "":
			value = &yaml.Node{Kind: yaml.ScalarNode, Value: c.defaultFor(name)}
		case c.defs != nil:
			value = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
			for _, text := range c.defs {
				value.Content = append(value.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text})
			}
		default:
			continue
		}
		node.Content = append(node.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: c.name}, value)
	}
}

func (s *source) unknownKey(at Place, path, word string, k *key) {
	where := ""
	if path != "" {
		where = " in " + path
	}
	if looksSecret(word) {
		s.fail(at, path, "unknown key%s; it looks like a secret, and secrets belong into .env", where)
		return
	}
	message := fmt.Sprintf("unknown key %q%s%s", clip(word), where, didYouMean(word, k.names()))
	if secretName(word) {
		message = fmt.Sprintf("unknown key %q%s; secrets belong into .env, never into this file", clip(word), where)
	}
	s.fail(at, join(path, clip(word)), "%s", message)
}

func (s *source) checkPatterns(node *yaml.Node, k *key, path string) string {
	if node.Kind == yaml.ScalarNode && !isNull(node) {
		return ""
	}
	if node.Kind != yaml.SequenceNode {
		return wrongKind(node, k, path)
	}
	if len(node.Content) == 0 {
		return path + ": an empty list matches nothing; name a pattern, or leave the condition out"
	}
	for i, item := range node.Content {
		below := fmt.Sprintf("%s[%d]", path, i)
		s.places[below] = Place{s.name, item.Line, item.Column}
		if why := odd(item); why != "" {
			return why
		}
		if item.Kind != yaml.ScalarNode || isNull(item) {
			return wrongKind(item, k, below)
		}
	}
	return ""
}

// checkArgument takes what a tool's JSON arguments may hold.
func (s *source) checkArgument(node *yaml.Node, k *key, path string) string {
	switch tag := node.ShortTag(); {
	case node.Kind == yaml.MappingNode:
		return s.checkMapping(node, &key{kind: named, each: k}, path, "")
	case node.Kind == yaml.SequenceNode:
		for i, item := range node.Content {
			s.walk(item, k, fmt.Sprintf("%s[%d]", path, i), "")
		}
		return ""
	case tag == "!!str", tag == "!!null":
		return ""
	case tag == "!!bool" && (node.Value == "true" || node.Value == "false"):
		return ""
	case tag == "!!int" && decimal(node.Value), tag == "!!float" && decimalFraction(node.Value):
		return ""
	}
	return fmt.Sprintf("%s: %s is not a value of JSON; write text in quotes", path, clip(node.Value))
}

func wrongKind(node *yaml.Node, k *key, path string) string {
	if path == "" {
		path = "the file"
	}
	want := k.kind.says()
	if k.short != "" {
		want = "text or " + want
	}
	return fmt.Sprintf("%s must be %s, not %s", path, want, nodeSays(node))
}

// refuses says why the scalar is no value of k, or "".
func (k *key) refuses(node *yaml.Node) string {
	value, tag := node.Value, node.ShortTag()
	inRange := func(v float64, unit func(float64) string) string {
		if k.max != 0 && (v < k.min || v > k.max) {
			return fmt.Sprintf("%s is out of range, want %s to %s", clip(value), unit(k.min), unit(k.max))
		}
		return ""
	}
	plain := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	switch k.kind {
	case text:
		if tag != "!!str" {
			return fmt.Sprintf("%s must be text; write it in quotes: %q", clip(value), clip(value))
		}
		if strings.ContainsRune(value, 0) {
			return "text must not hold a NUL character"
		}
		if k.oneOf != nil && !slices.Contains(k.oneOf, value) {
			return fmt.Sprintf("%q is not one of %s%s", clip(value), strings.Join(trimEmpty(k.oneOf), ", "), meant(value, k.oneOf))
		}
		if k.pattern != "" && !regexp.MustCompile(k.pattern).MatchString(value) {
			return fmt.Sprintf("%q is not %s", clip(value), k.says)
		}
		if k.required && strings.TrimSpace(value) == "" {
			return "it is empty"
		}
	case whole:
		n, err := strconv.ParseInt(value, 10, 64)
		if tag != "!!int" || err != nil || !decimal(value) {
			return fmt.Sprintf("%q is not a whole number", clip(value))
		}
		return inRange(float64(n), plain)
	case number:
		f, err := strconv.ParseFloat(value, 64)
		if (tag != "!!int" && tag != "!!float") || err != nil || !decimalFraction(value) {
			return fmt.Sprintf("%q is not a number", clip(value))
		}
		return inRange(f, plain)
	case truth:
		if tag != "!!bool" || value != "true" && value != "false" {
			return fmt.Sprintf("%q is not true or false", clip(value))
		}
	case duration:
		d, err := ParseDuration(value)
		if err != nil {
			return err.Error()
		}
		return inRange(float64(d), func(v float64) string { return Duration(time.Duration(v)).String() })
	case size:
		b, err := ParseBytes(value)
		if err != nil {
			return err.Error()
		}
		return inRange(float64(b), func(v float64) string { return Bytes(v).String() })
	}
	return ""
}

// odd refuses what makes a value stand somewhere else than where it is read.
func odd(node *yaml.Node) string {
	switch {
	case node.Kind == yaml.AliasNode || node.Anchor != "":
		return "anchors and aliases are not used here: write the value where it is read"
	case node.Style&yaml.TaggedStyle != 0:
		return fmt.Sprintf("tag %s is not used here: write the plain value", clip(node.Tag))
	}
	return ""
}

func isNull(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null" }

func decimal(value string) bool {
	digits := strings.TrimPrefix(value, "-")
	return digits == "0" || digits != "" && digits[0] != '0' && strings.Trim(digits, "0123456789") == ""
}

func decimalFraction(value string) bool {
	front, back, dot := strings.Cut(value, ".")
	return decimal(front) && (!dot || back != "" && strings.Trim(back, "0123456789") == "")
}

func nodeSays(node *yaml.Node) string {
	switch {
	case node.Kind == yaml.MappingNode:
		return "a group of keys"
	case node.Kind == yaml.SequenceNode:
		return "a list"
	case isNull(node):
		return "empty"
	}
	return strconv.Quote(clip(node.Value))
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func clip(value string) string {
	if looksSecret(value) {
		return "[hidden]"
	}
	if runes := []rune(value); len(runes) > 60 {
		return string(runes[:60]) + "…"
	}
	return value
}

func meant(value string, candidates []string) string {
	if c := nearest(value, candidates); c != "" {
		return fmt.Sprintf("; did you mean %q?", c)
	}
	return ""
}

func trimEmpty(list []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == "" })
}

func lowerFirst(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToLower(s[:1]) + strings.TrimSuffix(s[1:], ".")
}
