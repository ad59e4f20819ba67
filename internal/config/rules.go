package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// knownTools are the tools of the executors; services bring more, so an unknown name is only
// suspicious when it is nearly one of these.
var knownTools = []string{"run_shell_command", "read_file", "write_file", "list_directory", "search_files", "stat", "send_file", browse}

const browse = "browse_web"

// TrustedKeyword, as the pattern of a rule's domain condition, stands for trustedDomains. No name has
// its spelling, for a name has a dot.
const TrustedKeyword = "trustedDomains"

// pathArguments hold clean absolute paths when a rule sees them.
var pathArguments = []string{"path", "working_directory"}

func (s *source) finishTiers(tiers *ActionTiers) {
	for _, l := range []struct {
		name  string
		rules []Rule
	}{{"requireApproval", tiers.RequireApproval}, {"notify", tiers.Notify}, {"autoApprove", tiers.AutoApprove}} {
		for i := range l.rules {
			s.finishRule(&l.rules[i], l.name, i)
		}
	}
}

// finishRule gives a rule its place and refuses conditions that could never hold: a typing error
// in a rule that should ask would otherwise take the question away without a word.
func (s *source) finishRule(r *Rule, listName string, i int) {
	at := fmt.Sprintf("actionTiers.%s[%d]", listName, i)
	place := s.place(at)
	r.Line = place.Line
	r.Where = fmt.Sprintf("%s[%d] %s:%d", listName, i, filepath.Base(place.File), place.Line)
	grants := listName != "requireApproval"
	if r.Tool == "*" && grants {
		s.fail(s.place(at+".tool"), at+".tool", `%s.tool: "*" may stand in requireApproval only; name the tool that may run`, at)
	}
	if near := nearest(r.Tool, knownTools); near != "" && !slices.Contains(knownTools, r.Tool) {
		s.warn(s.place(at+".tool"), at+".tool", "%s.tool: no tool is called %q; did you mean %q?", at, clip(r.Tool), near)
	}
	if grants && len(r.When) == 0 && slices.Contains([]string{"run_shell_command", "write_file", browse}, r.Tool) {
		s.warn(s.place(at), at, "%s: every call of %s runs unasked; add conditions under when", at, r.Tool)
	}
	for _, argument := range slices.Sorted(maps.Keys(r.When)) {
		list := r.When[argument]
		for j, pattern := range list {
			key := fmt.Sprintf("%s.when.%s", at, argument)
			if _, inList := s.places[fmt.Sprintf("%s[%d]", key, j)]; inList {
				key = fmt.Sprintf("%s[%d]", key, j)
			}
			why := checkPattern(argument, pattern, grants)
			if why == "" && grants && r.Tool == browse && argument == "url" {
				// A pattern of an address is too easily one of a stranger's: https://example.com.evil.test/
				why = fmt.Sprintf("%s never runs unasked by its address; write domain in place of url", browse)
			}
			if why != "" {
				s.fail(s.place(key), key, "%s: %s", key, why)
			}
		}
	}
}

// checkPattern says why pattern can match no value of the argument, or "".
func checkPattern(argument, pattern string, grants bool) string {
	if argument == "domain" {
		if pattern == TrustedKeyword || pattern == "*" && !grants {
			return ""
		}
		why := checkDomain(pattern)
		if why != "" && !strings.Contains(pattern, ".") {
			why += meant(pattern, []string{TrustedKeyword})
		}
		return why
	}
	if strings.ContainsRune(pattern, 0) {
		return "a pattern must not hold a NUL character"
	}
	if pattern == "" {
		return `an empty pattern matches only an empty value; write "**" for any`
	}
	if !doublestar.ValidatePattern(pattern) {
		return fmt.Sprintf("%q is not a glob: a bracket or brace is not closed", clip(pattern))
	}
	if !slices.Contains(pathArguments, argument) {
		return ""
	}
	switch {
	case !strings.HasPrefix(pattern, "/") && !strings.HasPrefix(pattern, "**/") && pattern != "**" && !strings.HasPrefix(pattern, "{"):
		return fmt.Sprintf("%q never matches: paths are absolute; write **/%s or /mount/%s", clip(pattern), clip(pattern), clip(pattern))
	case strings.HasSuffix(pattern, "/") && pattern != "/":
		return fmt.Sprintf("%q never matches: a clean path has no slash at its end; write %s or %s**", clip(pattern), clip(strings.TrimRight(pattern, "/")), clip(pattern))
	case strings.Contains(pattern, "//"):
		return fmt.Sprintf("%q never matches: a clean path has no double slash", clip(pattern))
	case slices.ContainsFunc(strings.Split(pattern, "/"), func(part string) bool { return part == "." || part == ".." }):
		return fmt.Sprintf("%q never matches: a clean path has no . or .. in it", clip(pattern))
	}
	return ""
}
