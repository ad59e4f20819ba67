package policy

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// A condition leans to the strict side of its list. In notify and autoApprove it must be sure:
//
//	missing, empty or an object   does not hold
//	an array                      holds if every element does
//	a path                        holds only if absolute, clean and without NUL
//
// In requireApproval it must be sure of the contrary:
//
//	missing or empty              holds, for the tool may fill in anything ("no glob" searches all);
//	                              but not in a rule for "*", whose tools need not have the argument
//	an object                     holds
//	an array                      holds if any element does
//	a path that is not clean      holds
//	letter case and the like      is ignored: on some disks .ENV and .env are one file (see fold)

// condition is one entry of a rule's when: one of the patterns must match.
type condition struct {
	arg      string
	patterns []string // as written
	globs    []string // the same without braces; none for domains
	path     bool     // the value is a path of the container
}

// pathArgs are arguments that hold a path whatever the pattern looks like.
func isPathArg(arg string) bool {
	for _, s := range []string{"path", "directory", "file"} {
		if arg == s || strings.HasSuffix(arg, "_"+s) {
			return true
		}
	}
	return false
}

func compileCondition(tier claw.Tier, arg string, patterns []string) (condition, error) {
	c := condition{arg: arg, path: isPathArg(arg)}
	if len(patterns) == 0 {
		return c, errors.New("no pattern, so it never holds; remove it or give one")
	}
	for _, p := range patterns {
		if strings.HasPrefix(p, "/") || strings.HasPrefix(p, "**") {
			c.path = true
		}
	}
	if arg == domainKey {
		c.path = false
	}
	for _, p := range patterns {
		if err := c.checkPattern(tier, p); err != nil {
			return c, err
		}
		c.patterns = append(c.patterns, p)
		if arg == domainKey {
			continue
		}
		all := alternatives(p)
		if all == nil {
			return c, fmt.Errorf("%q stands for more than %d globs; write fewer braces", p, maxAlternatives)
		}
		c.globs = append(c.globs, all...)
	}
	return c, nil
}

// checkPattern refuses a pattern that is broken or can never match.
func (c condition) checkPattern(tier claw.Tier, p string) error {
	if c.arg == domainKey {
		return checkDomainPattern(tier, p)
	}
	switch {
	case p == "":
		return errors.New("the empty pattern matches nothing")
	case strings.ContainsRune(p, 0):
		return fmt.Errorf("%q holds a NUL", p)
	case !doublestar.ValidatePattern(p):
		return fmt.Errorf("%q is not a valid glob", p)
	case c.path && !cleanPattern(p):
		return fmt.Errorf(`%q never matches, for paths have no "//", "." or ".." and no "/" at the end`, p)
	case c.path && !strings.ContainsAny(p[:1], `/*?[{\`):
		return fmt.Errorf(`%q never matches, for paths are absolute; begin it with "/" or "**/"`, p)
	}
	return nil
}

func cleanPattern(p string) bool {
	for i, part := range strings.Split(p, "/") {
		if part == "." || part == ".." || part == "" && i > 0 && p != "/" {
			return false
		}
	}
	return true
}

// holds judges the condition for a call, in the manner of the rule's list.
func (c condition) holds(r *rule, sites Sites, call Call) bool {
	if c.arg == domainKey {
		return c.domainsHold(r.tier, sites, call.Domains)
	}
	v, ok := present(call.Args, c.arg)
	if !ok {
		return r.tier == claw.Ask && r.tool != anyTool
	}
	return c.valueHolds(r.tier, v)
}

// present returns an argument that says something. Canonical input leaves empty values out, so an
// empty one is the same as none.
func present(args map[string]any, name string) (any, bool) {
	switch v := args[name].(type) {
	case nil:
		return nil, false
	case string:
		return v, v != ""
	case []any:
		return v, len(v) > 0
	default:
		return v, true
	}
}

func (c condition) valueHolds(tier claw.Tier, v any) bool {
	if elements, ok := v.([]any); ok {
		for _, e := range elements {
			if held := c.valueHolds(tier, e); held == (tier == claw.Ask) {
				return held
			}
		}
		return tier != claw.Ask && len(elements) > 0 // a nested array may be empty
	}
	text, ok := v.(string)
	if !ok {
		return c.scalarHolds(tier, v)
	}
	for _, p := range c.globs {
		if tier == claw.Ask && c.mayMatch(p, text) || tier != claw.Ask && c.surelyMatches(p, text) {
			return true
		}
	}
	return false
}

// surelyMatches is the strict reading for lists that loosen.
func (c condition) surelyMatches(pattern, text string) bool {
	if strings.ContainsRune(text, 0) || c.path && !cleanPath(text) {
		return false
	}
	// A text with a slash or dots may be taken for a path by its tool: "a/../../b" must not pass for "a/**".
	if (strings.Contains(text, "/") || text == "." || text == "..") && path.Clean(text) != text || text == "." || strings.HasPrefix(text, "..") {
		return false
	}
	return doublestar.MatchUnvalidated(pattern, text)
}

// mayMatch is the wide reading for the list that asks.
func (c condition) mayMatch(pattern, text string) bool {
	if strings.ContainsRune(text, 0) || c.path && !cleanPath(text) {
		return true
	}
	// First as written: folding turns a class like [^A-Z] into another one.
	if doublestar.MatchUnvalidated(pattern, text) {
		return true
	}
	pattern = strings.ToLower(pattern)
	return matchesLoosely(pattern, strings.ToLower(text)) || matchesLoosely(pattern, fold(text))
}

// matchesLoosely takes the text as written, as a path that is not clean, and as a plain text.
func matchesLoosely(pattern, text string) bool {
	if doublestar.MatchUnvalidated(pattern, text) {
		return true
	}
	if strings.Contains(pattern, "/") {
		return strings.Contains(text, "/") && doublestar.MatchUnvalidated(pattern, path.Clean(text))
	}
	// "*" stops at a slash, so a pattern without one would miss "rm -rf /" for "*rm*".
	return doublestar.MatchUnvalidated(pattern, strings.ReplaceAll(text, "/", "_"))
}

func cleanPath(p string) bool {
	return strings.HasPrefix(p, "/") && path.Clean(p) == p && !strings.ContainsRune(p, 0)
}

// scalarHolds compares numbers and booleans by value.
func (c condition) scalarHolds(tier claw.Tier, v any) bool {
	if b, ok := v.(bool); ok {
		for _, p := range c.globs {
			if p == strconv.FormatBool(b) {
				return true
			}
		}
		return false
	}
	number, ok := asNumber(v)
	if !ok {
		return tier == claw.Ask
	}
	for _, p := range c.globs {
		if want, err := strconv.ParseFloat(p, 64); err == nil && want == number {
			return true
		}
	}
	return false
}

// asNumber takes what JSON and YAML decoders make of a number.
func asNumber(v any) (float64, bool) {
	switch n := v.(type) {
	case float64:
		return n, true
	case int:
		return float64(n), true
	case int64:
		return float64(n), true
	case uint64:
		return float64(n), true
	}
	return 0, false
}

// why says in words why the condition does not hold.
func (c condition) why(r *rule, sites Sites, call Call) string {
	if c.arg == domainKey {
		return c.whyDomains(sites, r.tier, call.Domains)
	}
	v, ok := present(call.Args, c.arg)
	if !ok {
		return fmt.Sprintf("the call has no %s", c.arg)
	}
	if text, ok := v.(string); ok {
		if c.path && !cleanPath(text) {
			return fmt.Sprintf("%s %q is not an absolute, clean path", c.arg, text)
		}
		return fmt.Sprintf("%s %q matches none of %q", c.arg, text, c.patterns)
	}
	return fmt.Sprintf("%s %v matches none of %q", c.arg, v, c.patterns)
}
