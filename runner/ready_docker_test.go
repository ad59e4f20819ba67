//go:build docker

package runner

import (
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/run"
)

// keepSome is room for the containers that wait for the usual calls of any test here.
const keepSome config.Bytes = 512 << 20

// bothWays runs a test with containers that are started for each call, and with containers that waited for it:
// what holds of the ones must hold of the others. Both at once, as most of their time they wait.
func bothWays(t *testing.T, test func(t *testing.T, keep config.Bytes)) {
	for name, keep := range map[string]config.Bytes{"cold": 0, "ready": keepSome} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, keep)
		})
	}
}

func (b *bed) keeps() bool { return b.cfg.Runner.Ready.Memory > 0 }

// status asks the runner.
func (b *bed) status(tb testing.TB) run.Status {
	tb.Helper()
	events := b.ask(tb, run.Request{Status: &struct{}{}})
	if len(events) != 1 || events[0].Status == nil {
		tb.Fatalf("status = %+v", events)
	}
	return *events[0].Status
}

// prepared waits until the containers of a kind's usual calls wait, where the runner keeps any.
func (b *bed) prepared(tb testing.TB, kind string) {
	tb.Helper()
	if !b.keeps() {
		return
	}
	// A reader and a search have one each; see usual.
	b.await(tb, kind, map[string]int{"shell": 1, "file": 2, "web": 1}[kind])
}

// await waits until n containers of a kind wait.
func (b *bed) await(tb testing.TB, kind string, n int) {
	tb.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		status := b.status(tb)
		for _, r := range status.Ready {
			if r.Kind == kind && r.Containers >= n {
				return
			}
		}
		if time.Now().After(end) {
			tb.Fatalf("%d containers do not wait for calls of kind %s: %+v", n, kind, status.Ready)
		}
	}
}

// came fails when a call did not get its container in the way that the test is about.
func (b *bed) came(tb testing.TB, r *run.Result) {
	tb.Helper()
	if r != nil && r.Timing.Ready != b.keeps() {
		tb.Errorf("the call's container was ready = %v, want %v", r.Timing.Ready, b.keeps())
	}
}
