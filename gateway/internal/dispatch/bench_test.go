package dispatch_test

import (
	"fmt"
	"runtime"
	"slices"
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

// What a large result costs in memory on its way from the runner's socket to the gate, in bytes for each of its bytes. The
// other end of the socket is in the same process, and what it takes to send is in the figure.
func BenchmarkLargeResult(b *testing.B) {
	key, err := capability.DeriveKey(strings.Repeat("k", 40))
	if err != nil {
		b.Fatal(err)
	}
	for _, size := range []int{128 << 10, 768 << 10} {
		b.Run(fmt.Sprint(size>>10, "KiB"), func(b *testing.B) {
			value, err := strict.Encode(run.ReadFileResult{Path: "/workspace/a", Content: strings.Repeat("a line of a file\n", size/17)})
			if err != nil {
				b.Fatal(err)
			}
			socket := peer(b, func(_ *run.Order, conn *wire.Conn) {
				_ = conn.Send(run.Event{Result: &run.Result{Outcome: run.Finished, Output: &run.Output{Call: "call_1", Status: run.OutputOK, Value: value}}})
			})
			d := dispatch.New(dispatch.Options{Socket: socket, Program: "bench", Minter: capability.NewMinter(key, time.Now), Config: settings()})
			i := slices.IndexFunc(d.Tools(), func(t gate.Tool) bool { return t.Spec().Name == run.ToolReadFile })
			tool := d.Tools()[i]
			action, err := tool.Prepare([]byte(`{"path":"a"}`))
			if err != nil {
				b.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for b.Loop() {
				if got := tool.Run(b.Context(), gate.Call{ID: "call_1", Session: "s"}, action); got.Status != claw.OK || len(got.Content) != len(value) {
					b.Fatalf("%s, %d bytes", got.Status, len(got.Content))
				}
			}
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(b.N)/float64(len(value)), "B/byte")
		})
	}
}
