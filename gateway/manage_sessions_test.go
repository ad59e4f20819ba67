package gateway

import (
	"slices"
	"strings"
	"testing"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// Whatever a model wrote, each turn and each task fits into a frame: nobody hides a conversation by its size.
func TestHostilePagesFit(t *testing.T) {
	long := strings.Repeat("\x01", 1<<20)
	turns := map[string]claw.Turn{"text": {Role: claw.Assistant, Text: long, Notes: long}}
	calls, results := claw.Turn{Role: claw.Assistant, Text: long}, claw.Turn{Role: claw.User}
	for range 100 {
		calls.Calls = append(calls.Calls, claw.ToolCall{ID: "c", Tool: long[:1000], Input: long[:1<<14]})
		results.Results = append(results.Results, claw.ToolResult{Call: "c", Tool: long[:1000], Content: long[:1<<14], Label: claw.UserLabel()})
	}
	turns["calls"], turns["results"] = calls, results
	for name, turn := range turns {
		data, err := strict.Encode(turn)
		if err != nil {
			t.Fatal(err)
		}
		shown, err := shownTurn(sqlite.TurnRow{N: 3, Text: string(data)})
		if err != nil || shown.N != 3 || len(shown.Calls) != len(turn.Calls) || len(shown.Results) != len(turn.Results) {
			t.Errorf("%s: shown are turn %d with %d calls and %d results (%v)", name, shown.N, len(shown.Calls), len(shown.Results), err)
		}
		if n := weight(shown); n > wire.MaxFrame-4096 {
			t.Errorf("%s: %d bytes, a frame has %d", name, n, wire.MaxFrame)
		}
	}
	task := shownTask(claw.Task{Request: long, Answer: long, Notes: slices.Repeat([]string{long[:3000]}, 200), Plan: claw.Plan{Steps: slices.Repeat([]claw.PlanStep{{Text: long[:300]}}, 8)}})
	if data, err := strict.Encode(task); err != nil || len(data) > wire.MaxFrame-4096 {
		t.Errorf("a task: %d bytes (%v), a frame has %d", len(data), err, wire.MaxFrame)
	}
}
