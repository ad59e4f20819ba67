package gate_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
)

// crowded is a tool whose calls wait 7 s of 10 for others, by a clock that only it moves.
type crowded struct {
	*noteTool
	clock *atomic.Int64
}

func (c crowded) Run(ctx context.Context, call gate.Call, action claw.Action) claw.ToolResult {
	r := c.noteTool.Run(ctx, call, action)
	c.clock.Add(int64(10 * time.Second))
	r.Waited, r.Container, r.Ready = claw.Elapsed(7*time.Second), claw.Elapsed(2*time.Second), true
	return r
}

// What a call waited for others is told, and is not taken for its own work.
func TestWaitingForOthersIsNoWork(t *testing.T) {
	var clock atomic.Int64
	w := newWorld(t, func(o *gate.Options) {
		o.Now = func() time.Time { return time.Unix(1_800_000_000, clock.Load()) }
		for i, tool := range o.Tools {
			o.Tools[i] = crowded{tool.(*noteTool), &clock}
		}
	})
	got := w.gate.Run(t.Context(), newCall("a"), autoNote, text("a"))
	if got.Duration != claw.Elapsed(3*time.Second) || got.Waited != claw.Elapsed(7*time.Second) || got.Container != claw.Elapsed(2*time.Second) || !got.Ready {
		t.Errorf("Run = %v long, waited %v, container %v, ready %t; want 3s, 7s, 2s, true", got.Duration, got.Waited, got.Container, got.Ready)
	}
}
