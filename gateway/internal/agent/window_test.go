package agent_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// A message whose tools printed more than any model reads still gets an answer.
func TestOutputOfOneMessageIsShortened(t *testing.T) {
	m := newMemory()
	turns := []claw.Turn{{Role: claw.User, Text: "print a lot"}, {Role: claw.Assistant}, {Role: claw.User}}
	for i := range 64 {
		id := claw.CallID(fmt.Sprint("c", i))
		content := "head" + strings.Repeat("é", 100_000) + "tail"
		if i == 0 {
			content = "short"
		}
		turns[1].Calls = append(turns[1].Calls, claw.ToolCall{ID: id, ModelID: string(id), Tool: "echo", Input: "{}"})
		turns[2].Results = append(turns[2].Results, claw.ToolResult{Call: id, ModelID: string(id), Content: content})
	}
	m.turns["s"] = turns
	model := &script{replies: []replyFunc{says("ok")}}
	a := newAgent(t, model, &hands{}, m, 10)
	if _, err := a.Continue(t.Context(), "s", claw.Origin{Channel: "terminal"}, "run_1", nil, &watcher{}); err != nil {
		t.Fatal(err)
	}
	size := 0
	for i, r := range model.asked[0].Turns[2].Results {
		size += len(r.Content)
		if i == 0 && r.Content != "short" {
			t.Errorf("the short output became %q", r.Content)
		}
		if i > 0 && (!strings.HasPrefix(r.Content, "headé") || !strings.HasSuffix(r.Content, "étail") || !strings.Contains(r.Content, "bytes of this output are left out")) {
			t.Errorf("output %d is %.20q … %q", i, r.Content, r.Content[len(r.Content)-20:])
		}
	}
	if size > 600<<10 {
		t.Errorf("%d bytes of output are sent in one question", size)
	}
	if got := len(m.turns["s"][2].Results[1].Content); got != 200_008 {
		t.Errorf("the stored output has %d bytes now, want it whole", got)
	}
}
