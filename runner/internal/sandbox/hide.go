package sandbox

import (
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// maxAlternatives bounds what the braces of one pattern are written out to.
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

// compile sorts valid patterns by their form. ok is false when one stands for too many.
func compile(patterns []string) (g *globs, ok bool) {
	g = &globs{exact: make(map[string]bool)}
	for _, p := range patterns {
		written := alternatives(p)
		if written == nil {
			return nil, false
		}
		for _, p := range written {
			g.add(p)
		}
		if strings.ContainsAny(p, `[\`) {
			// doublestar may part such braces elsewhere; then what either matches is hidden.
			g.paths = append(g.paths, p)
		}
	}
	return g, true
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

// alternatives writes out the braces of a valid pattern; nil says that there would be too many. In a
// class, and behind a backslash, a brace is a letter.
//
// They are not left to doublestar, which does not find "a" by "a*{,b}", a name that ends at a star
// before a brace: "**/*token*{,/**}" would show api_token.
func alternatives(pattern string) []string {
	var done []string
	for todo := []string{pattern}; len(todo) > 0; {
		if len(done)+len(todo) > maxAlternatives {
			return nil
		}
		p := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		open, end, choices := firstBrace(p)
		if end < 0 {
			done = append(done, p)
			continue
		}
		for _, c := range choices {
			todo = append(todo, p[:open]+c+p[end+1:])
		}
	}
	return done
}

// firstBrace finds the first brace of p, where it ends, and what it lets choose from; end is -1 when
// there is none.
func firstBrace(p string) (open, end int, choices []string) {
	depth, from, class := 0, 0, false
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case c == '\\':
			i++
		case class:
			class = c != ']'
		case c == '[':
			class = true
		case c == '{':
			if depth++; depth == 1 {
				open, from = i, i+1
			}
		case c == ',' && depth == 1:
			choices, from = append(choices, p[from:i]), i+1
		case c == '}' && depth > 0:
			if depth--; depth == 0 {
				return open, i, append(choices, p[from:i])
			}
		}
	}
	return 0, -1, nil
}
