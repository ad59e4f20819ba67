//go:build docker

package e2e

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/fake"
)

// atLeast waits until so many containers wait and nothing else is there, and returns their ids.
func (w *world) atLeast(n int) (ids []string) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("%d containers wait", n), func() bool {
		ids = w.containers()
		return len(ids) >= n && w.besides() == 0
	})
	return ids
}

// running are those of the containers that run.
func running(ids []string) []string {
	var out []string
	for _, id := range ids {
		if text, err := exec.Command("docker", "inspect", "--format", "{{.State.Running}}", id).Output(); err == nil && strings.TrimSpace(string(text)) == "true" {
			out = append(out, id)
		}
	}
	return out
}

// parrot is a model that makes a call for each message, and then says what came of it.
func parrot(t *testing.T) *fake.Server {
	model := fake.NewAnthropic(t)
	model.Play(func(r fake.Request) fake.Step {
		last := r.Turns[len(r.Turns)-1]
		if len(last.Results) > 0 {
			return says("done")
		}
		n := 1
		if strings.Contains(last.Text, "many") {
			n = 5
		}
		var list []fake.Call
		for i := range n {
			list = append(list, shell(fmt.Sprintf("echo parrot-%d; sleep 0.5", i), 20))
		}
		return calls(list...)
	})
	return model
}

// A runner that is killed with containers that wait: their executors end, the next runner removes them and has others
// ready, and no call that comes meanwhile is lost in silence.
func TestReadyRunnerKilled(t *testing.T) {
	t.Parallel()
	w := startWorld(t, setting{model: parrot(t), ready: true})
	w.isReady("shell", "file", "web")
	w.chat("many") // more at once than waited: more wait after that
	before := w.atLeast(6)

	stop, told := make(chan struct{}), make(chan []document)
	go func() {
		var docs []document
		for {
			select {
			case <-stop:
				told <- docs
				return
			default:
				docs = append(docs, w.chat("one"))
			}
		}
	}()
	time.Sleep(200 * time.Millisecond) // so that a call is somewhere on its way; where, is not ours to choose
	old := w.pid("runner")
	if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	w.eventually("their executors have ended", func() bool { return len(running(before)) == 0 })
	ended := time.Since(killed)
	w.eventually("another runner has others ready", func() bool {
		count, _, _, ok := w.waiting()
		return ok && count["shell"] > 0 && w.pid("runner") != old
	})
	ready := time.Since(killed)
	time.Sleep(time.Second) // of calls in the new life
	close(stop)
	docs := <-told
	outcomes := map[string]int{}
	for _, doc := range docs {
		if len(doc.Calls) != 1 || doc.Reply != "done" {
			t.Errorf("a message came to %+v, want one call and an answer", doc)
			continue
		}
		c := doc.Calls[0]
		outcomes[c.Status]++
		switch {
		case c.Status == "ok" && strings.Contains(c.Content, "parrot-0"):
		case c.Status == "refused", c.Status == "unknown" && strings.Contains(c.Content, "unknown"):
		default:
			t.Errorf("a call is %s: %.300s", c.Status, c.Content)
		}
	}
	if outcomes["ok"] == 0 {
		t.Errorf("of %d calls none was ok: %v", len(docs), outcomes)
	}
	w.noContainer()
	if left := slices.DeleteFunc(w.containers(), func(id string) bool { return !slices.Contains(before, id) }); len(left) > 0 {
		t.Errorf("containers of the killed runner are left: %v", left)
	}
	t.Logf("executors ended after %v, others were ready after %v, calls meanwhile: %v", ended.Round(time.Millisecond), ready.Round(time.Millisecond), outcomes)

	// And the end: no container is left soon after the signal.
	w.atLeast(4)
	began := time.Now()
	w.stop() // which fails when one is left
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the end took %v, want at most 5 s", took)
	}
}

// Whoever stops or kills containers that wait takes them from us, and no call fails for it.
func TestReadyStoppedFromOutside(t *testing.T) {
	t.Parallel()
	w := startWorld(t, setting{model: fake.NewAnthropic(t), ready: true, config: "executors:\n  shell: {}\n  file: {}\n"})
	for _, how := range [][]string{{"kill"}, {"stop", "-t", "0"}, {"rm", "-f"}, {"pause"}} {
		w.isReady("shell", "file")
		ids := w.containers()
		if out, err := exec.Command("docker", append(slices.Clone(how), ids...)...).CombinedOutput(); err != nil {
			t.Logf("docker %v: %v %s", how, err, out) // one that was just made or removed is no matter
		}
		if c, out := w.runs("echo alive", 10); c.Status != "ok" || out.Stdout.Text != "alive\n" {
			t.Errorf("after docker %v: %s %s", how, c.Status, c.Content)
		}
		w.noContainer()
	}
}

// What changes while containers wait is what the next call sees: another image by the same name, another folder at the same
// place.
func TestReadyWorldChanges(t *testing.T) {
	t.Parallel()
	name := "secureclaw-test/moving:" + strings.ToLower(rand.Text())
	build := func(version string) string {
		t.Helper()
		cmd := exec.Command("docker", "build", "--quiet", "--tag", name, "-")
		cmd.Stdin = strings.NewReader("FROM secureclaw/executor-shell:latest\nLABEL version=" + version + "\n")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("docker build: %v\n%s", err, out)
		}
		id, _ := exec.Command("docker", "image", "inspect", "--format", "{{.Id}}", name).Output()
		return strings.TrimSpace(string(id))
	}
	ids := []string{build("1-" + name)}
	t.Cleanup(func() { _ = exec.Command("docker", append([]string{"rmi", "-f"}, ids...)...).Run() })
	w := startWorld(t, setting{model: fake.NewAnthropic(t), ready: true, config: "executors:\n  file: {mounts: [workspace]}\n  shell:\n    mounts: [workspace]\n    image: " + name + "\n"})

	used := func() string {
		t.Helper()
		w.model.Script(calls(shell("sleep 2", 10)), says("done"))
		talk := w.newTalk("do it")
		id := w.oneContainer()
		image, _ := exec.Command("docker", "inspect", "--format", "{{.Image}}", id).Output()
		if doc := talk(); len(doc.Calls) != 1 || doc.Calls[0].Status != "ok" {
			t.Errorf("calls = %+v", doc.Calls)
		}
		return strings.TrimSpace(string(image))
	}
	w.isReady("shell", "file")
	if got := used(); got != ids[0] {
		t.Errorf("the first call ran in %s, want %s", got, ids[0])
	}
	w.isReady("shell")
	ids = append(ids, build("2-"+name))
	if got := used(); got != ids[1] {
		t.Errorf("after the build the call ran in %s, want %s", got, ids[1])
	}

	// The folder goes, and another one is there.
	for _, text := range []string{"first", "second"} {
		w.isReady("shell", "file")
		if err := os.RemoveAll(w.path("workspace")); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(w.path("workspace"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(w.path("workspace"), "f"), []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if c := w.does(fake.Call{Tool: "read_file", Input: `{"path":"f"}`}); c.Status != "ok" || !strings.Contains(c.Content, text) {
			t.Errorf("read_file after the folder was made again = %s %s, want %q", c.Status, c.Content, text)
		}
		if c, out := w.runs("cat f", 10); out.Stdout.Text != text+"\n" {
			t.Errorf("cat after the folder was made again = %s %s, want %q", c.Status, c.Content, text)
		}
	}
	w.noContainer()
}

// Who wants none gets none, and is told.
func TestReadyNone(t *testing.T) {
	t.Parallel()
	w := startWorld(t, setting{model: fake.NewAnthropic(t)})
	for range 3 {
		c, _ := w.runs("echo x", 10)
		w.cameReady(c)
	}
	w.eventually("no container is there", func() bool { return len(w.containers()) == 0 })
	time.Sleep(500 * time.Millisecond) // twice as long as one takes to come
	if left := w.containers(); len(left) > 0 {
		t.Errorf("containers %v wait, and the configuration wants none", left)
	}
	if out := w.claw("status"); !strings.Contains(out.stdout, "ready    none · runner.ready.memory is 0") {
		t.Errorf("status says\n%s", out.stdout)
	}
	var status map[string]json.RawMessage
	if err := json.Unmarshal([]byte(w.claw("status", "--json").stdout), &status); err != nil || len(status["ready"]) > 2 || status["ready_most"] != nil {
		t.Errorf("status --json has ready = %s, ready_most = %s, %v", status["ready"], status["ready_most"], err)
	}
}
