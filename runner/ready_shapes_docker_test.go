//go:build docker

package runner

import (
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/runner/internal/sandbox"
)

// fewShapes is how many are tried when nobody asks for more: READY_SHAPES=200.
const fewShapes = 48

// Calls of ever other shapes get what they ask for, and what waits for the next ones never holds more than its budget: neither
// as the runner counts it nor as the kernel does.
func TestReadyShapes(t *testing.T) {
	shapes := fewShapes
	if n, err := strconv.Atoi(os.Getenv("READY_SHAPES")); err == nil {
		shapes = n
	}
	const budget, atOnce = 48 << 20, 1 // what waits is started beside one that calls, and behind many
	cfg := dockerConfig(t)
	limit := workClaims().Memory
	shell := cfg.Executors["shell"]
	shell.Image, shell.Pids = "secureclaw/executor-shell:latest", 1000
	cfg.Executors = map[string]config.Executor{"shell": shell}
	cfg.Runner.Ready.Memory = budget
	b := newBed(t, cfg)
	look := sandbox.New(sandbox.Options{Hosts: []string{cfg.Docker.Host}, Log: slog.New(slog.DiscardHandler)})
	defer look.Close()

	stop, seen := make(chan struct{}), make(chan [3]int64)
	go func() {
		var most [3]int64 // bytes as counted, bytes of the kernel's, containers
		for {
			select {
			case <-stop:
				seen <- most
				return
			case <-time.After(50 * time.Millisecond):
			}
			for _, r := range b.status(t).Ready {
				most[0], most[2] = max(most[0], r.Bytes), max(most[2], int64(r.Containers))
			}
			weights, err := look.Weigh(t.Context(), instanceOf(b.state))
			if err != nil {
				t.Errorf("Weigh: %v", err)
			}
			var sum int64
			for _, w := range weights {
				if w.Cgroup <= limit { // else it is just being made, and still counted with those who made it
					sum += w.Cgroup
				}
			}
			most[1] = max(most[1], sum)
		}
	}()
	var mu sync.Mutex
	calls, ready := 0, 0
	places := make(chan int64)
	var callers sync.WaitGroup
	for range atOnce {
		callers.Go(func() {
			for pids := range places {
				claims := workClaims()
				claims.Mounts[0].Mode = "ro"
				claims.Pids, claims.TimeoutMS = pids, 30_000
				order := b.order(t, claims, `{"access":"read","command":"echo $((40+2))","timeout_seconds":20,"working_directory":"/workspace"}`)
				events := b.ask(t, run.Request{Run: &order})
				last := events[len(events)-1].Result
				if last == nil || last.Outcome != run.Finished || last.Output == nil || !strings.Contains(string(last.Output.Value), "42") {
					t.Errorf("a call of %d processes: %+v", pids, events)
					continue
				}
				mu.Lock()
				calls++
				if last.Timing.Ready {
					ready++
				}
				mu.Unlock()
			}
		})
	}
	began := time.Now()
	for i := range shapes {
		places <- int64(64 + i)
		if i%3 == 0 { // now and then one comes again
			places <- int64(64 + i)
		}
	}
	close(places)
	callers.Wait()
	// The runner is quiet now, and all that is there waits.
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if weights, err := look.Weigh(t.Context(), instanceOf(b.state)); err == nil {
			waiting := 0
			for _, r := range b.status(t).Ready {
				waiting += r.Containers
			}
			if waiting == len(weights) && waiting > 1 {
				break
			}
		}
	}
	close(stop)
	most := <-seen
	t.Logf("%d shapes, %d calls in %v, %d found one ready; at most %d waited, %d MiB as counted, %d MiB of the kernel's with those at work; the budget is %d MiB",
		shapes, calls, time.Since(began).Round(time.Millisecond), ready, most[2], most[0]>>20, most[1]>>20, budget>>20)
	if most[0] > budget {
		t.Errorf("%d bytes waited, the budget is %d", most[0], budget)
	}
	// Those at work, and those that are just going, hold some 8 MiB each.
	if most[1] > budget+4*(8<<20) || most[1] == 0 || most[2] < 2 {
		t.Errorf("all containers held %d bytes together, and at most %d waited, want at most %d, and some", most[1], most[2], budget+4*(8<<20))
	}
	weights, err := look.Weigh(t.Context(), instanceOf(b.state))
	var quiet int64
	for _, w := range weights {
		quiet += w.Cgroup
	}
	if err != nil || quiet > budget || len(weights) < 2 {
		t.Errorf("in the end %d containers hold %d bytes, %v; the budget is %d", len(weights), quiet, err, budget)
	}
}
