package chat

import (
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/internal/strict"
)

func TestBrowseInALine(t *testing.T) {
	const page = `{"url":"https://example.com/","title":"Free money","status":200,"content":{"text":"x"},"blocked":[{"host":"a.net","count":3},{"host":"b.net","count":1}]}`
	for name, tc := range map[string]struct {
		input  string
		result claw.ToolResult
		want   string
	}{
		"a page":        {`{"url":"https://example.com/a?b=c","extract":"tree"}`, claw.ToolResult{Status: claw.OK, Content: page}, "opened example.com, HTTP 200, 2 other hosts blocked"},
		"with actions":  {`{"url":"https://example.com","actions":[{"do":"click"},{"do":"type"},{"do":"press"},{"do":"click"},{"do":"wait"},{"do":"select"}]}`, claw.ToolResult{Status: claw.OK, Content: `{"status":404}`}, "opened example.com, 2 clicks, 1 text typed, 1 choice, 1 key, HTTP 404"},
		"a picture":     {`{"url":"https://example.com"}`, claw.ToolResult{Status: claw.OK, Content: `{}`, Images: []claw.Image{{}}}, "opened example.com, screenshot taken"},
		"failed":        {`{"url":"https://example.com"}`, claw.ToolResult{Status: claw.Failed, Content: "it broke\n" + page}, "tried to open example.com, HTTP 200, 2 other hosts blocked"},
		"itself":        {`{"url":"https://example.com"}`, claw.ToolResult{Status: claw.Failed, Content: `{"url":"https://example.com/","blocked":[{"host":"example.com"}]}`}, "tried to open example.com"},
		"in words":      {`{"url":"https://example.com"}`, claw.ToolResult{Status: claw.TimedOut, Content: "Killed at its deadline."}, "tried to open example.com"},
		"refused":       {`{"url":"https://example.com"}`, claw.ToolResult{Status: claw.Refused}, ""},
		"denied":        {`{"url":"https://example.com"}`, claw.ToolResult{Status: claw.Denied}, ""},
		"no host":       {`{"url":"https://evil.net\n@example.com"}`, claw.ToolResult{Status: claw.OK}, ""},
		"no URL":        {`"x"`, claw.ToolResult{Status: claw.OK}, ""},
		"another tool":  {`{"url":"https://example.com"}`, claw.ToolResult{Tool: "stat", Status: claw.OK}, ""},
		"a lying value": {`{"url":"https://example.com"}`, claw.ToolResult{Status: claw.OK, Content: `{"status":99999,"blocked":"x"}`}, "opened example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.result.Tool == "" {
				tc.result.Tool = "browse_web"
			}
			if got := browseLine(strict.Value(tc.input), tc.result); got != tc.want {
				t.Errorf("browseLine(%s) = %q, want %q", tc.input, got, tc.want)
			}
		})
	}
}

func TestNoticeOfABrowse(t *testing.T) {
	action := claw.Action{Tool: "browse_web", Input: strict.Value(`{"actions":[{"do":"click","ref":"e1"}],"extract":"tree","url":"https://example.com/"}`)}
	result := claw.ToolResult{Tool: "browse_web", Status: claw.OK, Content: `{"status":200}`, Duration: claw.Elapsed(1234 * time.Millisecond)}
	if got, want := noticeText(action, result, "notify[0] browse_web"), "opened example.com, 1 click, HTTP 200: ok (1.234s, rule notify[0] browse_web)"; got != want {
		t.Errorf("noticeText = %q, want %q", got, want)
	}
}

// The card of a call that ran says what it did, and that of one that did not says nothing.
func TestCardOfABrowse(t *testing.T) {
	a := gate.Approval{Action: claw.Action{Tool: "browse_web", Input: strict.Value(`{"url":"https://example.com/"}`)}, State: gate.Done}
	if got := Card(a).Line; got != "" {
		t.Errorf("Line of a call without a result = %q", got)
	}
	a.Result = &claw.ToolResult{Tool: "browse_web", Status: claw.Failed, Content: strings.Repeat("x", 1<<20)}
	if got, want := Card(a).Line, "tried to open example.com"; got != want {
		t.Errorf("Line = %q, want %q", got, want)
	}
}
