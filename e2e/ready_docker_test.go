//go:build docker

package e2e

import (
	"encoding/json"
	"os/exec"
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
		top, _ := exec.Command("docker", "top", id, "-eo", "pid,args").Output()
		if strings.Count(string(top), "\n") > 2 && !strings.Contains(string(top), "chromium") {
			return id
		}
	}
	return ""
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
