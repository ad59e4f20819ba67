package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Problem is one thing that is wrong in a file, at a place where an editor can jump to.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`   // from 1; 0 when the whole file is meant
	Column  int    `json:"column"` // from 1, in characters
	Key     string `json:"key,omitzero"`
	Message string `json:"message"`
	// Source is the line as it stands in the file, without what looks like a secret.
	Source string `json:"source,omitzero"`
}

// String is "file:line:column: message", and below it the line with a mark.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": " + p.Message)
	if p.Source == "" {
		return b.String()
	}
	margin := fmt.Sprintf("%5d | ", p.Line)
	b.WriteString("\n" + margin + p.Source)
	if p.Column >= 1 && p.Column <= utf8.RuneCountInString(p.Source)+1 {
		b.WriteString("\n" + strings.Repeat(" ", len(margin)-2) + "| " + strings.Repeat(" ", p.Column-1) + "^")
	}
	return b.String()
}

// Errors is everything that is wrong with a configuration, in the order of the file. Its JSON is a
// list of [Problem].
type Errors []Problem

// Error lists them all, one below the other.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Warning is something that works and is probably not meant.
type Warning struct{ Problem }

func sortProblems[P any](list []P, problem func(P) Problem) {
	slices.SortStableFunc(list, func(a, b P) int {
		p, q := problem(a), problem(b)
		return cmp.Or(cmp.Compare(p.File, q.File), cmp.Compare(p.Line, q.Line), cmp.Compare(p.Column, q.Column))
	})
}

// Place is where a value stands. The zero Place stands nowhere: the value is built in.
type Place struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
}

// String is "file:line".
func (p Place) String() string {
	if p.Line == 0 {
		return cmp.Or(p.File, BuiltIn)
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// origin remembers where each value of a Config stands, by path: executors.shell.memory,
// mounts[0].host. A value without a place is built in.
type origin struct{ places map[string]Place }

// source is one file that is being read, and what was found in it.
type source struct {
	name     string
	lines    []string
	userHome string // for ~, "" when unknown
	places   map[string]Place
	errors   Errors
	warnings []Warning
}

func newSource(name string, data []byte) *source {
	return &source{name: name, lines: strings.Split(string(data), "\n"), places: map[string]Place{}}
}

func (s *source) problem(at Place, key, format string, args ...any) Problem {
	p := Problem{File: cmp.Or(at.File, s.name), Line: at.Line, Column: at.Column, Key: key, Message: fmt.Sprintf(format, args...)}
	if p.File == s.name && at.Line >= 1 && at.Line <= len(s.lines) {
		p.Source = showLine(s.lines[at.Line-1])
	}
	return p
}

func (s *source) fail(at Place, key, format string, args ...any) {
	s.errors = append(s.errors, s.problem(at, key, format, args...))
}

func (s *source) warn(at Place, key, format string, args ...any) {
	s.warnings = append(s.warnings, Warning{s.problem(at, key, format, args...)})
}

// place is where the value of path stands, or the nearest thing around it.
func (s *source) place(path string) Place {
	for path != "" {
		if at, ok := s.places[path]; ok {
			return at
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return Place{File: s.name}
}

// showLine is a source line for a message. People paste keys into the wrong file; a message that
// repeats the line would carry them into logs.
func showLine(line string) string {
	line = strings.TrimRight(line, "\r\n")
	line = strings.Map(func(r rune) rune {
		if r == '\t' {
			return ' '
		}
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return '?'
		}
		return r
	}, line)
	if key, _, ok := strings.Cut(line, ":"); ok && (looksSecret(line) || secretName(key)) {
		return key + ": [hidden]"
	}
	if looksSecret(line) {
		return ""
	}
	const most = 160
	if runes := []rune(line); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return line
}

func secretName(key string) bool {
	key = strings.ToLower(strings.Trim(key, " -\"'"))
	// How many tokens there may be is no token; nor is a misspelling of such a name, which the error is about.
	for _, known := range []string{"maxtokens", "tokensperday", "tokenspertask"} {
		if distance(key, known) <= len(known)/6 {
			return false
		}
	}
	for _, word := range []string{"token", "secret", "password", "passwd", "apikey", "api_key", "credential"} {
		if strings.Contains(key, word) {
			return true
		}
	}
	return strings.HasSuffix(key, "_key") || strings.HasSuffix(key, "-key")
}

// looksSecret finds the shapes of the keys that this product deals with, a password in a URL, and
// any long random word.
func looksSecret(text string) bool {
	if _, rest, ok := strings.Cut(text, "://"); ok && strings.Contains(rest, "@") {
		return true
	}
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\"'=,[]{}", r) }) {
		for _, prefix := range []string{"sk-", "ghp_", "gho_", "github_pat_", "xox", "AIza", "GOCSPX-"} {
			if strings.HasPrefix(word, prefix) && len(word) >= len(prefix)+12 {
				return true
			}
		}
		if len(word) >= 32 && strings.ContainsAny(word, "0123456789") && strings.IndexFunc(word, notTokenRune) < 0 {
			return true
		}
	}
	return false
}

func notTokenRune(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-+:", r))
}

// nearest is the candidate that word was probably meant to be, or "".
func nearest(word string, candidates []string) string {
	best, bestDistance := "", max(len(word)/3, 1)+1
	for _, c := range candidates {
		if d := distance(strings.ToLower(word), strings.ToLower(c)); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

func didYouMean(word string, candidates []string) string {
	if c := nearest(word, candidates); c != "" {
		return fmt.Sprintf("; did you mean %q?", c)
	}
	if len(candidates) == 0 {
		return ""
	}
	sorted := slices.Compact(slices.Sorted(slices.Values(candidates)))
	return "; known here: " + strings.Join(sorted, ", ")
}

// distance counts insertions, deletions, replacements and swaps of neighbours.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	prev2, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], prev2[j-2]+1)
			}
		}
		prev2, prev, row = prev, row, prev2
	}
	return prev[len(b)]
}
