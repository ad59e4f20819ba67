//go:build docker

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// mortal are the steps at which a gateway dies while a task goes on, and at which times it reaches them.
var mortal = map[string][]int{
	"chat.accepted": {1}, "chat.answered": {1},
	"task.planned": {1}, "task.begun": {1, 3}, "task.ended": {1, 2, 3}, "task.noted": {1, 2}, "task.done": {1},
	"agent.asking": {1, 2, 4}, "agent.answered": {1, 2, 4}, "agent.calls": {1, 2}, "agent.results": {1, 3},
	"gate.intent": {1, 3}, "gate.ran": {1, 2}, "gate.result": {1, 3},
	"heartbeat.kept": {1}, "heartbeat.handed": {1},
}

// A gateway dies at each step of a task that a heartbeat set in motion: the task comes to its end in the
// next life, no line is written twice, and a line that is missing is told as unknown.
func TestTaskIsKilledAtEachStep(t *testing.T) {
	t.Parallel()
	slots := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for name, hits := range mortal {
		for _, hit := range hits {
			all.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				t.Run(fmt.Sprintf("%s:%d", name, hit), func(t *testing.T) { killTask(t, name, hit) })
			})
		}
	}
	all.Wait()
}

const work = `
heartbeats:
  - name: work
    schedule: "0 8 * * *"
    prompt: append one to log.txt then append two to log.txt then append three to log.txt
`

func killTask(t *testing.T, name string, hit int) {
	folder := t.TempDir()
	w := startWorld(t, setting{config: work, dies: true, env: []string{fmt.Sprintf("FAILPOINT=%s:%d", name, hit), "FAILPOINT_DIR=" + folder}})
	w.claw("heartbeats", "run", "work") // whose connection may break with the gateway's death
	w.eventually("something died at "+name, func() bool {
		_, err := os.Stat(filepath.Join(folder, "fired."+name))
		return err == nil
	})
	var session string
	w.eventually("the beat has ended", func() bool {
		var seen struct {
			Last []struct{ Session, Outcome string }
		}
		out := w.claw("heartbeats", "show", "work", "--json")
		if out.code != 0 || json.Unmarshal([]byte(out.stdout), &seen) != nil || len(seen.Last) == 0 {
			return false
		}
		session = seen.Last[0].Session
		return len(seen.Last) == 1 && seen.Last[0].Outcome == "done"
	})
	log, err := os.ReadFile(w.path("workspace/log.txt"))
	if err != nil {
		t.Fatal(err)
	}
	told := w.claw("sessions", "export", session).stdout
	unknown := strings.Count(told, `"status":"unknown"`)
	if missing := 3 - strings.Count(string(log), "\n"); missing > unknown {
		t.Errorf("%d lines are missing from %q and %d calls are told as unknown:\n%s", missing, log, unknown, told)
	}
	for _, line := range []string{"one\n", "two\n", "three\n"} {
		if n := strings.Count(string(log), line); n > 1 {
			t.Errorf("%q was written %d times", line, n)
		}
	}
	if n := strings.Count(told, `"state":"done","request"`); n != 1 {
		t.Errorf("%d tasks are done, want 1:\n%s", n, told)
	}
	if got := w.claw("audit", "verify"); got.code != 0 {
		t.Errorf("audit verify: %s%s", got.stdout, got.stderr)
	}
}
