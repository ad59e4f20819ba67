package chat

import (
	"testing"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// A notice of save_memory says what is remembered from now on, and what it was merged with.
func TestNoticeOfAMemory(t *testing.T) {
	action := claw.Action{Tool: "save_memory", Input: strict.Value(`{"category":"note","content":"likes\ntea \u202e"}`)}
	for name, tc := range map[string]struct {
		result claw.ToolResult
		want   string
	}{
		"new": {claw.ToolResult{Status: claw.OK, Content: "Remembered as memory 3 (note)."}, "Remembered as memory 3 (note): likes tea (rule notify[1])"},
		"merged": {claw.ToolResult{Status: claw.OK, Content: "Remembered: merged with memory 2 (note), which said:\n> likes green tea\nNow it has the new wording; the earlier one is kept with it."},
			"Remembered: likes tea (merged with memory 2 (note), which said: > likes green tea Now it has the new wording; the earlier one is kept with it.) (rule notify[1])"},
		"failed": {claw.ToolResult{Status: claw.Failed, Content: "not remembered"}, "save_memory : failed (0s, rule notify[1])"},
	} {
		if got := noticeText(action, tc.result, "notify[1]"); got != tc.want {
			t.Errorf("%s: noticeText = %q, want %q", name, got, tc.want)
		}
	}
}
