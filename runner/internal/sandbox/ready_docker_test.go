//go:build docker

package sandbox

import (
	"slices"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/run"
)

// waits returns when a container waits that t would get.
func (b *bed) waits(tb testing.TB, t Task) *box {
	tb.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		c := mustConnect(tb, b)
		asked := t
		p, refusal := b.place(tb.Context(), c, &asked)
		if refusal != nil {
			tb.Fatal(*refusal)
		}
		want, err := shapeOf(asked, p)
		if err != nil {
			tb.Fatal(err)
		}
		for _, waiting := range b.pool.each() {
			if waiting.shape == want {
				return waiting
			}
		}
	}
	tb.Fatal("no container waits for the task")
	return nil
}

// A call takes the container that waits for it, and another one waits soon.
func TestReady(t *testing.T) {
	b := newReadyBed(t, 64<<20)
	b.expect(b.task(t, "", ""))
	b.wake()
	var took, take []time.Duration
	seen := make(map[string]bool)
	for range 30 {
		task := b.task(t, "echo", "x")
		b.waits(t, task)
		began := time.Now()
		var id string
		got, refusal := b.Run(t.Context(), task, func(s run.Started) error { id = s.Container; return nil })
		if refusal != nil {
			t.Fatal(*refusal)
		}
		took = append(took, time.Since(began))
		take = append(take, time.Duration(got.Timing.Take)*time.Microsecond)
		if got.Outcome != run.Finished || string(got.Output.Value) != `"x"` || !got.Timing.Ready {
			t.Fatalf("Run = %+v, want a result from a ready container", got)
		}
		if seen[id] {
			t.Fatalf("the container %s had a task before", id)
		}
		seen[id] = true
	}
	slices.Sort(took)
	slices.Sort(take)
	t.Logf("p50 %v, p95 %v, of it finding %v", took[15], took[28], take[15])
}
