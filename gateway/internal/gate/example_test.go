package gate_test

import (
	"context"
	"fmt"
	"os"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
)

// terminal answers every question with no.
type terminal struct{ gate *gate.Gate }

func (t *terminal) Asked(a gate.Approval) {
	fmt.Println("asked:", a.Action.Tool, a.Action.Input, "because", a.Reason)
	go t.gate.Decide(context.Background(), a.ID, gate.Decision{Reason: "use the other list", By: "1000", Channel: "terminal"})
}
func (*terminal) Decided(a gate.Approval)                                { fmt.Println("decided:", a.State) }
func (*terminal) Resumed(gate.Approval, claw.ToolResult)                 {}
func (*terminal) Notify(gate.Call, claw.Action, claw.ToolResult, string) {}

func Example() {
	dir, err := os.MkdirTemp("", "gate")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	db, err := sqlite.Open(context.Background(), dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	user := &terminal{}
	g, err := gate.New(gate.Options{Tools: []gate.Tool{idle("clear_list")}, Store: db.Approvals(), Audit: &ledger{}, Asker: user})
	if err != nil {
		fmt.Println(err)
		return
	}
	user.gate = g
	result := g.Run(context.Background(), gate.Call{ID: "call-1", Session: "s1"}, "clear_list", []byte(`{"text":"groceries"}`))
	fmt.Println(result.Status+":", result.Content)
	// Output:
	// asked: clear_list {"text":"groceries"} because no rule lets this call run on its own
	// decided: denied
	// denied: The user said no. Their words: use the other list
}
