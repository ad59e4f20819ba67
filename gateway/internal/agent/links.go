package agent

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/internal/domain"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// linksOf adds where a page that was read leads, and where it ended up if that is the host that was
// asked for: to open that again says nothing new to anybody.
//
// A page shows whatever was typed into it, so an address in its text is nothing: only what stands where
// a link's target stands counts. Text read with extract "text" has no such place.
func (q *quotes) linksOf(calls []claw.ToolCall, r claw.ToolResult) {
	at := slices.IndexFunc(calls, func(c claw.ToolCall) bool { return c.ID == r.Call })
	if r.Tool != run.ToolBrowse || at < 0 || r.Status != claw.OK && r.Status != claw.Failed && r.Status != claw.TimedOut {
		return
	}
	var asked run.Browse
	var page run.BrowseResult
	if strict.Decode([]byte(calls[at].Input), &asked) != nil || strict.Decode([]byte(valueOf(r.Content)), &page) != nil {
		return
	}
	base, err := url.Parse(page.URL)
	if err != nil {
		return
	}
	from, errFrom := domain.ParseURL(asked.URL)
	if to, err := domain.ParseURL(page.URL); err == nil && errFrom == nil && from.Host == to.Host {
		q.add(page.URL)
	}
	if asked.Extract == run.ExtractText || asked.Extract != run.ExtractLinks && strings.Contains(page.Content.Text, noStructure) {
		return
	}
	for line := range strings.Lines(page.Content.Text) {
		for _, target := range targetsOf(strings.TrimRight(line, "\n"), asked.Extract) {
			if to, err := base.Parse(target); err == nil {
				q.add(to.String())
			}
		}
	}
}

// valueOf is the JSON of a result, without the sentence that stands before it when something went wrong.
func valueOf(content string) string {
	if strings.HasPrefix(content, "{") {
		return content
	}
	if _, value, ok := strings.Cut(content, "\n{"); ok {
		return "{" + value
	}
	return ""
}

// link is how a tree shows a link: "[3k7f link visited /path: its text]". Its text holds no bracket that
// begins like this one, nor does any other text of the page; its address holds neither blanks nor brackets.
var link = regexp.MustCompile(`\[(?:[0-9][0-9a-z]{3,25} )?link(?: [a-z][a-z0-9-]*)*? ([^ \]]*[/#][^ \]]*?)(?:: |\])`)

// noStructure is in the note of a page that was too large for a tree: all that is there is text.
const noStructure = "without structure and refs"

// targetsOf is where the links of one line lead: relative to the page, or absolute.
func targetsOf(line, extract string) []string {
	if extract == run.ExtractLinks { // "its text → https://…", and no address has such an arrow in it
		at := strings.LastIndex(line, "→ ")
		if at < 0 {
			return nil
		}
		if target := line[at+len("→ "):]; !strings.Contains(target, " ") && !strings.HasSuffix(target, "…") {
			return []string{target}
		}
		return nil
	}
	var out []string
	for _, m := range link.FindAllStringSubmatch(line, -1) {
		target := m[1]
		switch {
		case strings.HasSuffix(target, "…"): // cut, so it leads somewhere else
			continue
		case target[0] != '/' && target[0] != '#' && !strings.Contains(target, "://"):
			target = "https://" + target // another host
		}
		out = append(out, target)
	}
	return out
}
