package rehearsal

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/secureclaw/secureclaw/internal/run"
)

// This file is about web pages: "browse example.com and type hello into e3 and press Enter", and what
// comes back.

// browse makes the arguments of browse_web without actions.
func browse(extract string) func(m []string) map[string]any {
	return func(m []string) map[string]any {
		args := map[string]any{"url": address(m[1])}
		if extract != "" {
			args["extract"] = extract
		}
		return args
	}
}

// address writes out the scheme that people leave away; others stay, to be refused by whoever decides.
func address(text string) string {
	text = name(text)
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	return text
}

// step is one form of action. into is empty for what needs no element.
type step struct {
	form *regexp.Regexp
	make func(m []string) run.BrowseAction
}

var steps = []step{
	{form(`click (?:on )?(\S+)`), func(m []string) run.BrowseAction { return run.BrowseAction{Do: run.DoClick, Ref: ref(m[1])} }},
	{form(`type (.+) into (\S+)`), func(m []string) run.BrowseAction {
		return run.BrowseAction{Do: run.DoType, Ref: ref(m[2]), Text: name(m[1])}
	}},
	{form(`select (.+) in (\S+)`), func(m []string) run.BrowseAction {
		return run.BrowseAction{Do: run.DoSelect, Ref: ref(m[2]), Text: name(m[1])}
	}},
	{form(`press (\S+)(?: (?:on|in) (\S+))?`), func(m []string) run.BrowseAction {
		return run.BrowseAction{Do: run.DoPress, Ref: ref(m[2]), Text: name(m[1])}
	}},
	{form(`scroll (?:to (?:the )?)?(down|up|top|bottom)`), func(m []string) run.BrowseAction {
		return run.BrowseAction{Do: run.DoScroll, Text: strings.ToLower(m[1])}
	}},
	{form(`scroll to (\S+)`), func(m []string) run.BrowseAction { return run.BrowseAction{Do: run.DoScroll, Ref: ref(m[1])} }},
	{form(`wait (?:for )?(\d{1,3}) (?:s|seconds?)`), func(m []string) run.BrowseAction {
		n, _ := strconv.Atoi(m[1]) // at most three digits
		return run.BrowseAction{Do: run.DoWait, Seconds: n}
	}},
	{form(`wait for (.+)`), func(m []string) run.BrowseAction { return run.BrowseAction{Do: run.DoWait, Text: name(m[1])} }},
	{form(`(?:go )?back`), func([]string) run.BrowseAction { return run.BrowseAction{Do: run.DoBack} }},
}

// between is what stands between two steps; the text that is typed may have an "and" of its own.
var between = regexp.MustCompile(`(?i),? +(?:and|then) +(click|type|select|press|scroll|wait|go back|back)\b`)

// act makes the arguments of browse_web with actions, or nothing when one of them is none.
func act(m []string) map[string]any {
	var actions []run.BrowseAction
	rest := m[2]
	for rest != "" {
		piece := rest
		rest = ""
		if at := between.FindStringSubmatchIndex(piece); at != nil {
			piece, rest = piece[:at[0]], piece[at[2]:]
		}
		action, ok := stepOf(piece)
		if !ok || len(actions) == run.MaxActions {
			return nil
		}
		actions = append(actions, action)
	}
	return map[string]any{"url": address(m[1]), "actions": actions}
}

func stepOf(text string) (run.BrowseAction, bool) {
	for _, s := range steps {
		if m := s.form.FindStringSubmatch(text); m != nil {
			return s.make(m), true
		}
	}
	return run.BrowseAction{}, false
}

// ref takes off the brackets in which a tree shows refs.
func ref(text string) string { return strings.Trim(text, "[]") }

// maxLines is how many lines of a page an answer shows.
const maxLines = 40

// page says what a page showed.
func page(v run.BrowseResult) string {
	var b strings.Builder
	title := v.Title
	if title == "" && v.Status != 0 {
		title = "(no title)"
	}
	if title != "" {
		b.WriteString(title + "\n")
	}
	b.WriteString(v.URL)
	if v.Status != 0 {
		fmt.Fprintf(&b, " (HTTP %d)", v.Status)
	}
	for _, from := range v.Redirects {
		fmt.Fprintf(&b, "\nredirected from %s", from)
	}
	for i, done := range v.Actions {
		fmt.Fprintf(&b, "\n%d. %s", i+1, done)
	}
	lines := strings.Split(strings.TrimRight(v.Content.Text, "\n"), "\n")
	if lines[0] != "" || len(lines) > 1 {
		b.WriteString("\n\n" + strings.Join(lines[:min(len(lines), maxLines)], "\n"))
		if more := len(lines) - maxLines; more > 0 {
			fmt.Fprintf(&b, "\n(%d more lines of the page)", more)
		}
	}
	if len(v.Blocked) > 0 {
		b.WriteString("\n\nNot reached:")
		for _, x := range v.Blocked {
			fmt.Fprintf(&b, "\n  %s (%d)", x.Host, x.Count)
			if x.Why != "" {
				b.WriteString(": " + x.Why)
			}
		}
	}
	for _, note := range v.Notes {
		b.WriteString("\nNote: " + note)
	}
	return b.String()
}
