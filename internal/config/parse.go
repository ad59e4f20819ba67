package config

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	defaults "github.com/secureclaw/secureclaw/config"
)

// BuiltIn names the configuration inside the program where a file's name would stand.
const BuiltIn = "built-in default"

// maxFile is far beyond any configuration and far below what would hurt.
const maxFile = 1 << 20

// Parse reads one configuration. name stands in messages; home is the absolute folder that relative
// host paths start from. It touches no file. A non-nil error is of type [Errors] and holds everything
// that is wrong.
//
// A section that data leaves out is the built-in one, with two cautions: inside actionTiers an
// absent list that grants is empty, and inside executors a kind that is not listed cannot run.
func Parse(name string, data []byte, home string) (*Config, []Warning, error) {
	return parse(newSource(name, data), data, home, "")
}

// parse reads data into s; user is the folder that ~ stands for, "" when unknown.
func parse(s *source, data []byte, home, user string) (*Config, []Warning, error) {
	s.userHome = user
	root := s.read(data)
	if len(s.errors) > 0 {
		return nil, nil, s.sorted()
	}
	if s.name != BuiltIn {
		if err := s.fillSections(root); err != nil {
			return nil, nil, err
		}
	}
	top := table()
	s.walk(root, &top, "", "")
	// walk blanks what it refused, so the rest can still be checked and all errors told at once.
	cfg := new(Config)
	if err := root.Decode(cfg); err != nil {
		if len(s.errors) == 0 {
			s.fail(Place{}, "", "%v", err)
		}
		return nil, s.warnings, s.sorted()
	}
	s.finish(cfg, home)
	if len(s.errors) > 0 {
		return nil, s.warnings, s.sorted()
	}
	cfg.origin = &origin{s.places}
	return cfg, s.warnings, nil
}

func (s *source) sorted() error {
	if len(s.errors) == 0 {
		return nil
	}
	sortProblems(s.errors, func(p Problem) Problem { return p })
	s.errors = slices.CompactFunc(s.errors, func(a, b Problem) bool { return a == b })
	return s.errors
}

// read turns data into the one mapping it must be.
func (s *source) read(data []byte) *yaml.Node {
	empty := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	if len(data) > maxFile {
		s.fail(Place{File: s.name}, "", "the file is larger than %v", Bytes(maxFile))
		return empty
	}
	loader, err := yaml.NewLoader(bytes.NewReader(data))
	if err != nil {
		s.fail(Place{File: s.name}, "", "%v", err)
		return empty
	}
	var document, second yaml.Node
	switch err := loader.Load(&document); {
	case errors.Is(err, io.EOF):
		return empty
	case err != nil:
		s.syntax(data, err)
		return empty
	}
	if err := loader.Load(&second); err == nil {
		s.fail(Place{s.name, second.Line, max(second.Column, 1)}, "", "a second document starts here; only one is read, so the rest would be lost")
		return empty
	} else if !errors.Is(err, io.EOF) {
		s.syntax(data, err)
		return empty
	}
	if len(document.Content) == 0 {
		return empty
	}
	return document.Content[0]
}

// syntax reports where the YAML itself is broken.
func (s *source) syntax(data []byte, err error) {
	e, ok := errors.AsType[*yaml.LoadError](err)
	if !ok {
		s.fail(Place{File: s.name}, "", "%v", err)
		return
	}
	at := Place{s.name, e.Mark.Line, e.Mark.Column}
	if at.Line == 0 { // the reader knows bytes only
		before := data[:min(max(e.Mark.Index, 0), len(data))]
		line := before[bytes.LastIndexByte(before, '\n')+1:]
		at = Place{s.name, bytes.Count(before, []byte("\n")) + 1, utf8.RuneCount(line) + 1}
	}
	message := e.Message
	if !utf8.Valid(data) {
		message = "this is not UTF-8; save the file as UTF-8"
	}
	if strings.HasPrefix(message, "unknown anchor") || e.ContextMsg == "while scanning an alias" {
		message, e.ContextMsg = `a value that begins with * must stand in quotes, like "*.example.com"`, ""
	}
	if e.ContextMsg != "" {
		message = e.ContextMsg + ": " + message
	}
	if at.Line >= 1 && at.Line <= len(s.lines) && strings.HasPrefix(strings.TrimLeft(s.lines[at.Line-1], " "), "\t") {
		message = "a tab indents this line; YAML wants spaces"
	}
	s.fail(at, "", "%s", message)
}

// fillSections takes absent sections from the built-in configuration.
func (s *source) fillSections(root *yaml.Node) error {
	if isNull(root) {
		*root = yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	}
	if root.Kind != yaml.MappingNode {
		return nil // walk says so
	}
	absent := func(mapping *yaml.Node, name string) bool {
		given := find(mapping, name)
		return given == nil || isNull(given)
	}
	var sections []string
	for _, name := range []string{"executors", "mounts", "actionTiers"} {
		if absent(root, name) {
			sections = append(sections, name)
		}
	}
	// Leaving a list out must never grant: the grants start empty, the questions stay.
	tiers := find(root, "actionTiers")
	questions := tiers != nil && tiers.Kind == yaml.MappingNode && absent(tiers, "requireApproval")
	if len(sections) == 0 && !questions {
		return nil
	}
	builtIn := newSource(BuiltIn, defaults.YAML)
	shipped := builtIn.read(defaults.YAML)
	top := table()
	builtIn.walk(shipped, &top, "", "")
	if len(builtIn.errors) > 0 {
		return builtIn.sorted()
	}
	if questions {
		s.graft(tiers, "requireApproval", find(shipped, "actionTiers"), builtIn, "actionTiers.requireApproval")
	}
	for _, name := range sections {
		s.graft(root, name, shipped, builtIn, name)
	}
	return nil
}

// graft hangs the built-in section into mapping, with the places it has in the built-in file.
func (s *source) graft(into *yaml.Node, name string, from *yaml.Node, builtIn *source, path string) {
	value := find(from, name)
	cutPlaces(value)
	if given := find(into, name); given != nil {
		*given = *value
	} else {
		into.Content = append(into.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name}, value)
	}
	for p, at := range builtIn.places {
		if p == path || strings.HasPrefix(p, path+".") || strings.HasPrefix(p, path+"[") {
			s.places[p] = at
		}
	}
}

// cutPlaces makes a grafted node stand nowhere, so that its lines are not taken for the file's own.
func cutPlaces(node *yaml.Node) {
	node.Line, node.Column = 0, 0
	for _, c := range node.Content {
		cutPlaces(c)
	}
}

func find(mapping *yaml.Node, name string) *yaml.Node {
	if mapping == nil || mapping.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			return mapping.Content[i+1]
		}
	}
	return nil
}
