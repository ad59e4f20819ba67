package chat

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// toolSave is the tool that remembers, in package memory.
const toolSave = "save_memory"

// maxRemembered is the most bytes of a memory in a notice; all of it is below /memories.
const maxRemembered = 600

// rememberedLine says what is remembered from now on, and what it was merged with; empty for another call.
func rememberedLine(action claw.Action, result claw.ToolResult) string {
	if action.Tool != toolSave || result.Status != claw.OK {
		return ""
	}
	var args struct {
		Content string `json:"content"`
	}
	_ = json.Unmarshal(action.Input, &args) // canonical already
	content := cut(claw.Printable(args.Content, maxRemembered), maxRemembered)
	if merged, ok := strings.CutPrefix(result.Content, "Remembered: merged"); ok {
		return fmt.Sprintf("Remembered: %s (merged %s)", content, cut(strings.Join(strings.Fields(merged), " "), maxRemembered))
	}
	how, _, _ := strings.Cut(result.Content, "\n")
	return strings.TrimRight(how, ".") + ": " + content
}
