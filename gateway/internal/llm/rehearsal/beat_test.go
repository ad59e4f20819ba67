package rehearsal_test

import (
	"strings"
	"testing"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/llm"
	"github.com/secureclaw/secureclaw/gateway/internal/llm/rehearsal"
)

// What the gateway writes below a heartbeat's prompt is part of no command.
func TestHeartbeat(t *testing.T) {
	const notes = "\n\n[heartbeat \"day\": this prompt comes by a clock. If there is nothing worth telling, answer exactly [SILENT]; nothing is sent.]"
	shell := []claw.Tool{{Name: "run_shell_command", Schema: []byte(`{"type":"object","properties":{"command":{"type":"string"}}}`)}}
	ask := func(text string) llm.Reply {
		t.Helper()
		reply, err := rehearsal.New().Ask(t.Context(), llm.Request{Tools: shell, Turns: []claw.Turn{{Role: claw.User, Text: text}}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return reply
	}
	if got := ask("say nothing" + notes); got.Text != "[SILENT]" {
		t.Errorf("say nothing = %q, want [SILENT]", got.Text)
	}
	if got := ask("say nothing"); strings.Contains(got.Text, "[SILENT]") {
		t.Errorf("a user's message is answered by %q", got.Text)
	}
	if got := ask("run: uname -a" + notes); len(got.Calls) != 1 || strings.Contains(got.Calls[0].Input, "heartbeat") {
		t.Errorf("run: uname -a = %+v", got)
	}
}
