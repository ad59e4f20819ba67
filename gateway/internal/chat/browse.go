package chat

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// This file says in one line what a call of browse_web did. Only names and numbers are in it: what a
// page says of itself, its title too, is a stranger's.

const toolBrowse = "browse_web"

// browseLine is empty for another tool, and for a call that did not run.
func browseLine(input strict.Value, r claw.ToolResult) string {
	if r.Tool != toolBrowse {
		return ""
	}
	var in struct {
		URL     string `json:"url"`
		Actions []struct {
			Do string `json:"do"`
		} `json:"actions"`
	}
	if json.Unmarshal(input, &in) != nil { // for display alone, and of what ran already
		return ""
	}
	host := hostOf(in.URL)
	if host == "" {
		return ""
	}
	var parts []string
	switch r.Status {
	case claw.OK:
		parts = append(parts, "opened "+host)
	case claw.Failed, claw.TimedOut, claw.Cancelled, claw.Unknown:
		parts = append(parts, "tried to open "+host)
	default:
		return ""
	}
	done := map[string]int{}
	for _, a := range in.Actions {
		done[a.Do]++
	}
	for _, kind := range []struct{ do, one, many string }{
		{"click", "1 click", "%d clicks"}, {"type", "1 text typed", "%d texts typed"}, {"select", "1 choice", "%d choices"}, {"press", "1 key", "%d keys"},
	} {
		switch n := done[kind.do]; {
		case n == 1:
			parts = append(parts, kind.one)
		case n > 1:
			parts = append(parts, fmt.Sprintf(kind.many, n))
		}
	}
	return strings.Join(append(parts, pageWords(r)...), ", ")
}

// pageWords is what came of it, as far as it is known.
func pageWords(r claw.ToolResult) []string {
	content := r.Content
	if _, value, ok := strings.Cut(content, "\n{"); ok && !strings.HasPrefix(content, "{") {
		content = "{" + value
	}
	var page struct {
		URL     string `json:"url"`
		Status  int    `json:"status"`
		Blocked []struct {
			Host string `json:"host"`
		} `json:"blocked"`
	}
	_ = json.Unmarshal([]byte(content), &page) // what cannot be read says nothing
	var parts []string
	if page.Status > 0 && page.Status < 1000 {
		parts = append(parts, fmt.Sprintf("HTTP %d", page.Status))
	}
	n := 0
	for _, blocked := range page.Blocked {
		if blocked.Host != hostOf(page.URL) {
			n++
		}
	}
	if n > 0 {
		parts = append(parts, count(n, "other host")+" blocked")
	}
	if len(r.Images) > 0 {
		parts = append(parts, "screenshot taken")
	}
	return parts
}

// hostOf is the host of an address in the one form that calls have; empty for any other text.
func hostOf(address string) string {
	rest, ok := strings.CutPrefix(address, "https://")
	host, _, _ := strings.Cut(rest, "/")
	if !ok || host == "" || len(host) > 253 || strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789.-") != "" {
		return ""
	}
	return host
}
