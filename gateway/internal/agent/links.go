package agent

import (
	"net/url"
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
	if asked.Extract == run.ExtractText {
		return
	}
	for line := range strings.Lines(page.Content.Text) {
		target, ok := targetOf(strings.TrimRight(line, "\n"), asked.Extract)
		if !ok {
			continue
		}
		if to, err := base.Parse(target); err == nil {
			q.add(to.String())
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

// targetOf is where the link of one line leads.
func targetOf(line, extract string) (string, bool) {
	at := strings.LastIndex(line, " → ")
	if at < 0 {
		return "", false
	}
	target := line[at+len(" → "):]
	return target, target != "" && !strings.ContainsAny(target, " \"")
}
