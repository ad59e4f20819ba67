//go:build docker

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// cold is a setting without containers that wait for a call.
const cold = "runner:\n  ready:\n    memory: 0\n"

// bothWays tells a story with containers that are started for each call, and with those that waited for it: what
// holds of the ones must hold of the others.
func bothWays(t *testing.T, story func(t *testing.T, ready bool)) {
	for name, ready := range map[string]bool{"cold": false, "ready": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			story(t, ready)
		})
	}
}

// waiting counts the containers that wait for a call, by kind; ok is false while nobody can say.
func (w *world) waiting() (count map[string]int, bytes, most int64, ok bool) {
	w.t.Helper()
	var status struct {
		Ready []struct {
			Kind       string
			Containers int
			Bytes      int64
		}
		ReadyMost int64 `json:"ready_most"`
	}
	out := w.claw("status", "--json")
	if out.code != 0 || json.Unmarshal([]byte(out.stdout), &status) != nil {
		return nil, 0, 0, false
	}
	count = map[string]int{}
	for _, r := range status.Ready {
		count[r.Kind] = r.Containers
		bytes += r.Bytes
	}
	return count, bytes, status.ReadyMost, true
}

// besides counts the containers that do not wait for a call, running or not; -1 while nobody can say.
func (w *world) besides() int {
	w.t.Helper()
	count, _, _, ok := w.waiting()
	if !ok {
		return -1
	}
	n := len(w.containers())
	for _, waiting := range count {
		n -= waiting
	}
	return n
}

// isReady waits until a container waits for the next call of a kind, where one is to wait.
func (w *world) isReady(kinds ...string) {
	w.t.Helper()
	if !w.keeps {
		return
	}
	w.eventually("containers wait for calls of "+strings.Join(kinds, ", "), func() bool {
		count, _, _, ok := w.waiting()
		for _, kind := range kinds {
			ok = ok && count[kind] > 0
		}
		return ok
	})
}

// cameReady fails when a call did not get its container as the story wants it.
func (w *world) cameReady(c call) {
	w.t.Helper()
	if c.Ready != w.keeps {
		w.t.Errorf("%s: ready = %v, want %v", c.Tool, c.Ready, w.keeps)
	}
}

// busy is a container in which a command runs, empty when there is none: one that waits has a single process.
func (w *world) busy() string {
	out, _ := exec.Command("docker", "ps", "-q", "--filter", "label=org.secureclaw.instance="+w.instance()).Output()
	ids := strings.Fields(string(out))
	if !w.keeps {
		return strings.Join(ids, "\n")
	}
	for _, id := range ids {
		pids := processesOf(id)
		if len(pids) < 2 {
			continue
		}
		args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pids[1]))
		if !strings.Contains(string(args), "chromium") && len(args) > 0 {
			return id
		}
	}
	return ""
}

// processesOf lists a container's processes, the first one first. Nobody asks the engine for that: who asks it what runs in a
// container that waits has touched it.
func processesOf(id string) []int {
	out, _ := exec.Command("docker", "inspect", "--format", "{{.State.Pid}}", id).Output()
	pid, _ := strconv.Atoi(strings.TrimSpace(string(out)))
	if pid == 0 {
		return nil
	}
	pids := []int{pid}
	for i := 0; i < len(pids); i++ {
		lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pids[i]))
		for _, list := range lists {
			data, _ := os.ReadFile(list)
			for _, field := range strings.Fields(string(data)) {
				if child, err := strconv.Atoi(field); err == nil {
					pids = append(pids, child)
				}
			}
		}
	}
	return pids
}

// gone reports whether the engine does not know a container any more within a time.
func (w *world) gone(id string, within time.Duration) bool {
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if exec.Command("docker", "inspect", id).Run() != nil {
			return true
		}
	}
	return false
}
