package domain

import (
	_ "embed"
	"slices"
	"strings"
)

// Pattern is a checked entry of a list of names: "example.com" is that name, "*.example.com" every
// name of exactly one label more. The zero Pattern covers nothing.
type Pattern string

// ParsePattern reads one entry of a configured list. A wildcard below a public suffix (*.com,
// *.co.uk, *.github.io) is refused: anybody can get a name there.
func ParsePattern(s string) (Pattern, error) {
	base, wild := strings.CutPrefix(s, "*.")
	switch {
	case s == "":
		return "", refuse(CodeConfig, "is empty")
	case strings.Contains(s, "://"):
		return "", refuse(CodeConfig, "is a URL; write the name alone, like example.com")
	case strings.ContainsAny(s, "/?#@"):
		return "", refuse(CodeConfig, "has more than a name; write the name alone, like example.com")
	case strings.Contains(base, "*"):
		return "", refuse(CodeConfig, "a * may stand alone at the front only, like *.example.com")
	case strings.HasSuffix(s, "."):
		return "", refuse(CodeConfig, "ends in a dot; leave it away")
	case strings.ToLower(s) != s:
		return "", refuse(CodeConfig, "must be written in lower case")
	}
	if name, err := Parse(base); err != nil {
		return "", refuse(CodeConfig, "is no name that can be reached: %v", err)
	} else if wild && PublicSuffix(name) {
		return "", refuse(CodeConfig, "covers names of strangers: anybody can get a name below %s", base)
	}
	return Pattern(s), nil
}

// Covers reports whether the pattern stands for the name. A wildcard covers exactly one label: who
// wants a.b.example.com writes *.b.example.com.
func (p Pattern) Covers(name Name) bool {
	below, wild := strings.CutPrefix(string(p), "*")
	if !wild {
		return p != "" && string(p) == string(name)
	}
	label, ok := strings.CutSuffix(string(name), below)
	return ok && below != "" && label != "" && !strings.Contains(label, ".")
}

// List is what may be reached. The zero List covers nothing.
type List []Pattern

// ParseList reads a list as it stands in a token: names and wildcards. The first bad one is the error.
func ParseList(entries []string) (List, error) {
	var list List
	for _, entry := range entries {
		p, err := ParsePattern(entry)
		if err != nil {
			return nil, refuse(CodeConfig, "%.80q %v", entry, err)
		}
		list = append(list, p)
	}
	return list, nil
}

// Covers reports whether one of the patterns does.
func (l List) Covers(name Name) bool {
	return slices.ContainsFunc(l, func(p Pattern) bool { return p.Covers(name) })
}

// suffixes are the rules of publicsuffix.org (Mozilla Public License 2.0), sorted, one a line, in
// ASCII. They are data of golang.org/x/net/publicsuffix, which itself reaches the network package;
// a test compares the two.
//
//go:embed suffixes.txt
var suffixes string

// PublicSuffix reports whether names directly below name belong to different people: com, co.uk,
// github.io, s3.amazonaws.com.
func PublicSuffix(name Name) bool {
	s := string(name)
	if hasRule("!" + s) {
		return false
	}
	_, parent, dotted := strings.Cut(s, ".")
	// A rule *.x makes each name below x a suffix of its own, so those below x differ in owner, too.
	return !dotted || hasRule(s) || hasRule("*."+s) || hasRule("*."+parent)
}

// hasRule searches the sorted lines.
func hasRule(rule string) bool {
	low, high := 0, len(suffixes)
	for low < high {
		mid := low + (high-low)/2
		start := strings.LastIndexByte(suffixes[low:mid], '\n') + 1 + low
		end := start + strings.IndexByte(suffixes[start:], '\n')
		switch c := strings.Compare(suffixes[start:end], rule); {
		case c == 0:
			return true
		case c < 0:
			low = end + 1
		default:
			high = start
		}
	}
	return false
}
