package gate_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/secureclaw/secureclaw/gateway/internal/audit"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// idle is a tool that does nothing.
type idle string

func (i idle) Spec() claw.Tool { return claw.Tool{Name: string(i), Schema: strict.Value(`{}`)} }

func (i idle) Prepare(input []byte) (claw.Action, error) {
	var in noteInput
	if err := strict.Decode(input, &in); err != nil {
		return claw.Action{}, err
	}
	canonical, err := strict.CanonicalOf(in)
	return claw.Action{Tool: string(i), Input: canonical}, err
}

func (idle) Run(context.Context, gate.Call, claw.Action) claw.ToolResult {
	return claw.ToolResult{Status: claw.OK}
}

// agree allows everything at once.
type agree struct{ gate *gate.Gate }

func (a *agree) Asked(q gate.Approval) {
	go a.gate.Decide(context.Background(), q.ID, yes())
}
func (*agree) Decided(gate.Approval)                                  {}
func (*agree) Resumed(gate.Approval, claw.ToolResult)                 {}
func (*agree) Notify(gate.Call, claw.Action, claw.ToolResult, string) {}

// BenchmarkRun measures what the gate adds to a call: with the real log and store, on this disk.
func BenchmarkRun(b *testing.B) {
	for _, bench := range []struct {
		name, tool string
		audit      bool
		writers    int
	}{
		{"auto/no log", autoNote, false, 1},
		{"auto", autoNote, true, 1},
		{"auto/64 at once", autoNote, true, 64},
		{"ask", askNote, true, 1},
		{"ask/64 at once", askNote, true, 64},
	} {
		b.Run(bench.name, func(b *testing.B) {
			dir := b.TempDir()
			db, err := sqlite.Open(b.Context(), filepath.Join(dir, "state"))
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			var recorder gate.Recorder = &ledger{}
			if bench.audit {
				log, err := audit.Open(filepath.Join(dir, "audit"), audit.Options{Key: auditKey()})
				if err != nil {
					b.Fatal(err)
				}
				defer log.Close()
				recorder = log
			}
			user := &agree{}
			g, err := gate.New(gate.Options{Tools: []gate.Tool{idle(autoNote), idle(askNote)}, Policy: rules(b), Store: db.Approvals(), Audit: recorder, Asker: user})
			if err != nil {
				b.Fatal(err)
			}
			user.gate = g
			var n atomic.Int64
			input := text("a line of some length, as a model would write it")
			b.SetParallelism(bench.writers)
			run := func() {
				call := newCall(fmt.Sprint("c", n.Add(1)))
				if got := g.Run(b.Context(), call, bench.tool, input); got.Status != claw.OK {
					b.Errorf("Run = %+v", got)
				}
			}
			b.ResetTimer()
			if bench.writers == 1 {
				for b.Loop() {
					run()
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					run()
				}
			})
		})
	}
}
