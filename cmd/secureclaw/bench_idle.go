package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/secureclaw/secureclaw/runner"
)

// benchProcess is one role of SecureClaw when nothing is to be done.
type benchProcess struct {
	Role       string  `json:"role"`
	ResidentMB float64 `json:"resident_mb"`
	// CPUMS is the processor time that it used in IdleSeconds.
	CPUMS       float64 `json:"cpu_ms"`
	IdleSeconds float64 `json:"idle_seconds"`
}

// benchWaiting is what a waiting container of a kind holds of the memory, in MB; 0 is what cannot be seen.
type benchWaiting struct {
	Kind       string  `json:"kind"`
	Containers int     `json:"containers"`
	CgroupMB   float64 `json:"cgroup_mb"` // as it counts against the container's limit
	PSSMB      float64 `json:"pss_mb"`    // of its processes
	ShimMB     float64 `json:"shim_mb"`   // of the engine's process beside it
}

// benchStart is how long SecureClaw takes to be there.
type benchStart struct {
	Starts int    `json:"starts"`
	ToUp   spread `json:"to_up_ms"` // until gateway and runner answer
	// ToReady is until the first container of a kind waits, counted from the same moment; kinds that had
	// none in time are absent.
	ToReady map[string]spread `json:"to_first_container_ms"`
}

// benchIdle watches the processes for a while.
func benchIdle(ctx context.Context, h *benchHome, idle time.Duration) ([]benchProcess, error) {
	var out []benchProcess
	pids := make(map[string]int)
	for _, role := range []string{"gateway", "runner", "bridge"} {
		pids[role] = childNamed(role, h.dirs.Home)
	}
	before := make(map[string]float64)
	for role, pid := range pids {
		before[role] = processorMS(pid)
	}
	if idle > 0 {
		if err := pause(ctx, idle); err != nil {
			return nil, err
		}
	}
	for _, role := range []string{"gateway", "runner", "bridge"} {
		pid := pids[role]
		if pid == 0 {
			continue
		}
		out = append(out, benchProcess{Role: role, ResidentMB: resident(pid), CPUMS: processorMS(pid) - before[role], IdleSeconds: idle.Seconds()})
	}
	return out, nil
}

// clockTicks is how many of proc(5)'s ticks are a second on every Linux that Go runs on (USER_HZ).
const clockTicks = 100

// processorMS is the processor time of a process so far, in milliseconds.
func processorMS(pid int) float64 {
	data, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	// The name stands in brackets and may hold anything; fields are counted behind it.
	_, rest, ok := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) * 1000 / clockTicks
}

// weigh asks what the waiting containers hold.
func (h *benchHome) weigh(ctx context.Context) ([]benchWaiting, error) {
	if err := h.settle(ctx); err != nil {
		return nil, err
	}
	weights, err := runner.Weigh(ctx, h.options())
	if err != nil {
		return nil, err
	}
	var out []benchWaiting
	const mb = 1 << 20
	for _, kind := range []string{"shell", "file", "web"} {
		var cgroup, pss, shim []float64
		for _, w := range weights {
			if w.Kind == kind {
				cgroup, pss, shim = append(cgroup, float64(w.Cgroup)/mb), append(pss, float64(w.PSS)/mb), append(shim, float64(w.Shim)/mb)
			}
		}
		if len(cgroup) > 0 {
			out = append(out, benchWaiting{Kind: kind, Containers: len(cgroup), CgroupMB: median(cgroup), PSSMB: median(pss), ShimMB: median(shim)})
		}
	}
	return out, nil
}

// benchStarts starts SecureClaw n times, each with a folder of its own.
func benchStarts(ctx context.Context, folder string, n int) (benchStart, error) {
	var up []float64
	first := make(map[string][]float64)
	for i := range n {
		began := time.Now()
		h, err := openBenchHome(ctx, folder+strconv.Itoa(i), "", nil)
		if err != nil {
			return benchStart{}, err
		}
		up = append(up, ms(h.took))
		err = h.awaitFirst(ctx, began, first)
		if failed := h.close(); err == nil {
			err = failed
		}
		if err != nil {
			return benchStart{}, err
		}
	}
	s := benchStart{Starts: n, ToUp: quantiles(up), ToReady: make(map[string]spread)}
	for kind, times := range first {
		s.ToReady[kind] = quantiles(times)
	}
	return s, nil
}

// awaitFirst notes when the first container of each kind waits. A kind that is not kept before a call
// asked for it is not waited for long.
func (h *benchHome) awaitFirst(ctx context.Context, began time.Time, first map[string][]float64) error {
	if h.status.ReadyMost == 0 {
		return nil
	}
	seen := make(map[string]bool)
	for time.Since(began) < benchPatient && len(seen) < len(h.cfg.Executors) {
		status, err := fetchStatus(ctx, h.conn)
		if err != nil {
			return err
		}
		for _, r := range status.Ready {
			if r.Containers > 0 && !seen[r.Kind] {
				seen[r.Kind] = true
				first[r.Kind] = append(first[r.Kind], ms(time.Since(began)))
			}
		}
		if err := pause(ctx, benchPoll); err != nil {
			return err
		}
	}
	return nil
}
