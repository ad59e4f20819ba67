package dispatch_test

import (
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/dispatch"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/internal/capability"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// What a call costs beside its container: task, token, socket, and the answer. The container takes
// no time here, so the next connection cannot be made while it works; what a call waits for on its
// way to the runner is told beside the whole.
func BenchmarkCall(b *testing.B) {
	key, err := capability.DeriveKey(strings.Repeat("k", 40))
	if err != nil {
		b.Fatal(err)
	}
	arrived := make(chan time.Time, 1)
	socket := peer(b, func(_ *run.Order, conn *wire.Conn) {
		arrived <- time.Now()
		_ = conn.Send(run.Event{Started: &run.Started{Container: "c"}})
		_ = conn.Send(run.Event{Result: &run.Result{Outcome: run.Finished, Output: &run.Output{Call: "call_1", Status: run.OutputOK, Value: strict.Value(`{}`)}}})
	})
	d := dispatch.New(dispatch.Options{Socket: socket, Program: "bench", Minter: capability.NewMinter(key, time.Now), Config: settings()})
	for _, tool := range d.Tools() {
		if tool.Spec().Name != run.ToolReadFile {
			continue
		}
		action, err := tool.Prepare([]byte(`{"path":"a"}`))
		if err != nil {
			b.Fatal(err)
		}
		var way time.Duration
		b.ReportAllocs()
		for b.Loop() {
			began := time.Now()
			if got := tool.Run(b.Context(), gate.Call{ID: "call_1", Session: "s"}, action); got.Status != claw.OK {
				b.Fatalf("%+v", got)
			}
			way += (<-arrived).Sub(began)
		}
		b.ReportMetric(float64(way.Nanoseconds())/float64(b.N), "ns-to-runner/op")
	}
}
