package gate_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// Whoever can write the state file must still not get another action run under an old question.
func TestAStoredActionThatChangedDoesNotRun(t *testing.T) {
	evil := claw.Action{Tool: askNote, Input: strict.Value(`{"text":"EVIL"}`)}
	digest, err := evil.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]string{
		"another input":  `action_json = replace(action_json, 'c1', 'EVIL')`,
		"another tool":   `action_json = replace(action_json, 'ask_note', 'auto_note')`,
		"one more mount": `action_json = '{"input":{"text":"c1"},"mounts":[{"mode":"rw","name":"home"}],"tool":"ask_note"}'`,
		"two readings":   `action_json = '{"input":{"text":"c1","text":"EVIL"},"tool":"ask_note"}'`,
		"another hash":   `digest = '` + strings.Repeat("0", 64) + `'`,
		// Only whoever still remembers the question can see this one.
		"input and hash": `action_json = replace(action_json, 'c1', 'EVIL'), digest = '` + digest + `'`,
	} {
		for _, waits := range []bool{true, false} {
			if name == "input and hash" && !waits {
				continue
			}
			t.Run(fmt.Sprintf("%s, somebody waits: %v", name, waits), func(t *testing.T) {
				w := newWorld(t, nil)
				ctx, stop := context.WithCancelCause(t.Context())
				out := w.start(ctx, "c1", askNote)
				a := w.question()
				if !waits {
					stop(gate.ErrShutdown)
					<-out
					w.restart()
					w.own(w.gate)
				}
				w.tamper(change)
				_, err := w.gate.Decide(t.Context(), a.ID, yes())
				var got claw.ToolResult
				switch {
				case err != nil && waits: // the row cannot be read: the question stays open until it is cancelled
					stop(nil)
					got = <-out
				case err != nil:
					got.Status = claw.Refused
				case waits:
					got = <-out
				default:
					got = w.awaitResumed("c1")
				}
				stop(nil)
				if got.Status != claw.Refused && got.Status != claw.Cancelled {
					t.Errorf("a changed action = %+v, want it refused (Decide = %v)", got, err)
				}
				w.wantEffects()
				for _, kind := range w.audit.kinds("c1") {
					if kind == "intent" {
						t.Error("an intent was recorded for a changed action")
					}
				}
			})
		}
	}
}

// tamper changes the only approval behind the gate's back.
func (w *world) tamper(change string) {
	w.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(w.dir, "state", "state.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		w.Fatal(err)
	}
	defer db.Close()
	result, err := db.Exec(`UPDATE approvals SET ` + change)
	if err != nil {
		w.Fatal(err)
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		w.Fatalf("tampered with %d rows, %v", n, err)
	}
}
