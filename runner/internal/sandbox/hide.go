package sandbox

import (
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// maxAlternatives bounds what the braces of one pattern are written out to; a pattern with more is
// matched as it stands, which is slower and says the same.
const maxAlternatives = 1024

// globs is a list of doublestar patterns, relative to a folder and without regard to letter case.
//
// A folder has up to 200,000 names, and matching the shipped patterns one by one takes some 40 µs
// for each. Nearly all patterns speak of one name at any depth ("**/*.pem"), so those are sorted by
// their form once, and a name costs less than 1 µs.
type globs struct {
	exact    map[string]bool
	prefixes []string
	suffixes []string
	parts    []string
	names    []string // other globs of one name
	paths    []string // globs of the whole path
}

func compile(patterns []string) *globs {
	g := &globs{exact: make(map[string]bool)}
	for _, p := range patterns {
		for _, p := range alternatives(p) {
			g.add(p)
		}
	}
	return g
}

func (g *globs) add(pattern string) {
	name, ok := strings.CutPrefix(pattern, "**/")
	// "x/**" is x too, and what is below a hidden folder is hidden with it.
	name = strings.TrimSuffix(name, "/**")
	if !ok || name == "" || strings.ContainsAny(name, `/{[\`) || strings.Contains(name, "**") {
		g.paths = append(g.paths, pattern)
		return
	}
	folded := strings.ToLower(name)
	front, back := strings.HasPrefix(folded, "*"), strings.HasSuffix(folded, "*")
	switch word := strings.Trim(folded, "*"); {
	case word == "" || strings.ContainsAny(word, "*?"):
		g.names = append(g.names, name)
	case front && back:
		g.parts = append(g.parts, word)
	case front:
		g.suffixes = append(g.suffixes, word)
	case back:
		g.prefixes = append(g.prefixes, word)
	default:
		g.exact[word] = true
	}
}

// match reports whether the path rel, whose last part is name, is hidden by its own name. What is
// below something hidden is the caller's to know.
func (g *globs) match(rel, name string) bool {
	folded := strings.ToLower(name)
	if g.exact[folded] {
		return true
	}
	for _, s := range g.prefixes {
		if strings.HasPrefix(folded, s) {
			return true
		}
	}
	for _, s := range g.suffixes {
		if strings.HasSuffix(folded, s) {
			return true
		}
	}
	for _, s := range g.parts {
		if strings.Contains(folded, s) {
			return true
		}
	}
	for _, p := range g.names {
		if either(p, name, folded) {
			return true
		}
	}
	if len(g.paths) == 0 {
		return false
	}
	folded = strings.ToLower(rel)
	for _, p := range g.paths {
		if either(p, rel, folded) {
			return true
		}
	}
	return false
}

// either matches as written and folded, as the policy does: folding turns a class like [^A-Z] into
// another one.
func either(pattern, text, folded string) bool {
	return doublestar.MatchUnvalidated(pattern, text) || doublestar.MatchUnvalidated(strings.ToLower(pattern), folded)
}

// alternatives writes out the braces of a valid pattern. A pattern with a class or an escape is
// left alone, for there a brace can be a letter.
func alternatives(pattern string) []string {
	if strings.ContainsAny(pattern, `[\`) {
		return []string{pattern}
	}
	done, todo := []string{}, []string{pattern}
	for len(todo) > 0 {
		if len(done)+len(todo) > maxAlternatives {
			return []string{pattern}
		}
		p := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		open := strings.IndexByte(p, '{')
		if open < 0 {
			done = append(done, p)
			continue
		}
		depth, from := 0, open+1
		var choices []string
		end := -1
		for i := open; i < len(p) && end < 0; i++ {
			switch {
			case p[i] == '{':
				depth++
			case p[i] == ',' && depth == 1:
				choices, from = append(choices, p[from:i]), i+1
			case p[i] == '}':
				if depth--; depth == 0 {
					choices, end = append(choices, p[from:i]), i
				}
			}
		}
		if end < 0 {
			return []string{pattern}
		}
		for _, c := range choices {
			todo = append(todo, p[:open]+c+p[end+1:])
		}
	}
	return done
}
