//go:build docker

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// step is a place where a process can die, and what a death there may cost.
type step struct {
	name string
	role string
	// twice is set when the death comes between Telegram's taking a message and our storing that it did: that
	// one message may be shown again.
	twice bool
	// ready is set when containers wait for the calls.
	ready bool
	// hits are the times it is reached at which it ends the process, one life of an installation each; none means the first.
	hits []int
}

// steps are all named steps. A step that the programs pass and that is not here fails the test, and so does one
// that is here and never passed.
func steps() []step {
	return []step{
		{name: "gate.asked", role: "gateway"},
		{name: "gate.decided", role: "gateway", hits: []int{1, 2}}, // allowed, denied
		{name: "gate.started", role: "gateway"},
		{name: "gate.intent", role: "gateway", hits: []int{1, 2, 3}}, // unasked, told, approved
		{name: "gate.ran", role: "gateway", hits: []int{1, 2, 3}},
		{name: "gate.done", role: "gateway"},
		{name: "gate.result", role: "gateway", hits: []int{1, 2, 3}},
		{name: "chat.accepted", role: "gateway", hits: []int{1, 4}},
		{name: "chat.answered", role: "gateway", hits: []int{1, 5}},
		{name: "agent.asking", role: "gateway", hits: []int{1, 2}},      // the first word, and with results
		{name: "agent.answered", role: "gateway", hits: []int{1, 2, 9}}, // the ninth is the long one, half of which is shown
		{name: "agent.calls", role: "gateway", hits: []int{1, 3}},
		{name: "agent.results", role: "gateway", hits: []int{1, 3}},
		{name: "outbox.put", role: "gateway", hits: []int{1, 2}},
		{name: "outbox.sending", role: "gateway", hits: []int{1, 3}},
		{name: "outbox.sent", role: "gateway", hits: []int{1, 3}},
		{name: "runner.verified", role: "runner", hits: []int{1, 3}},
		{name: "runner.created", role: "runner"},
		{name: "runner.started", role: "runner"},
		{name: "runner.output", role: "runner", hits: []int{1, 3}},
		{name: "runner.started", role: "runner", ready: true, hits: []int{2}}, // a container that waited was taken
		{name: "runner.output", role: "runner", ready: true, hits: []int{2}},
		{name: "bridge.update", role: "bridge", hits: []int{1, 4}},
		{name: "bridge.accepted", role: "bridge"},
		{name: "bridge.sending", role: "bridge", hits: []int{1, 3}},
		{name: "bridge.shown", role: "bridge", twice: true, hits: []int{1, 3}},
		{name: "bridge.decided", role: "bridge"},
		{name: "bridge.bubble", role: "bridge", twice: true},
	}
}

// atOnce is how many installations live side by side: most of their time they wait.
const atOnce = 4

// Whatever process dies at whatever step, nothing happens twice, nothing is lost, and what is not known is told.
func TestCrashAtEveryStep(t *testing.T) {
	t.Parallel()
	slots := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	var mu sync.Mutex
	passed := map[string]bool{}
	for _, s := range steps() {
		if len(s.hits) == 0 {
			s.hits = []int{1}
		}
		for _, hit := range s.hits {
			all.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				t.Run(fmt.Sprintf("%s:%d", s.name, hit)+map[bool]string{true: " ready"}[s.ready], func(t *testing.T) {
					names := crashAt(t, s, hit)
					mu.Lock()
					defer mu.Unlock()
					for _, name := range names {
						passed[name] = true
					}
				})
			})
		}
	}
	all.Wait()
	for name := range passed {
		if !slices.ContainsFunc(steps(), func(s step) bool { return s.name == name }) {
			t.Errorf("the programs pass a step %q that this test does not know", name)
		}
	}
	for _, s := range steps() {
		if !passed[s.name] {
			t.Errorf("no process ever passed the step %q", s.name)
		}
	}
}

// crashAt lets one installation die once, and returns the steps that were passed.
func crashAt(t *testing.T, s step, hit int) []string {
	folder := t.TempDir()
	log := filepath.Join(folder, "log")
	w := startTelegram(t, setting{dies: true, ready: s.ready, env: []string{fmt.Sprintf("FAILPOINT=%s:%d", s.name, hit), "FAILPOINT_DIR=" + folder, "FAILPOINT_LOG=" + log}})
	p := w.phone(owner)
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	var errands []*errand
	for i, kind := range []string{errandAuto, errandNotify, errandAsk, errandDeny, errandLong, errandText} {
		e := &errand{kind: kind, mark: fmt.Sprintf("X%d", i)}
		errands = append(errands, e)
		if err := p.do(ctx, e); err != nil {
			t.Fatalf("%v\n%s", err, w.said)
		}
	}
	if _, err := os.Stat(filepath.Join(folder, "fired."+s.name)); err != nil {
		t.Errorf("nothing died at %s:%d", s.name, hit)
	}
	r := w.reckon(errands)
	for _, wrong := range r.wrong {
		t.Error(wrong)
	}
	if most := map[bool]int{true: 1}[s.twice]; len(r.twice) > most {
		t.Errorf("shown more than once: %v, may be %d", r.twice, most)
	}
	if t.Failed() {
		t.Logf("the chat:\n%s", w.phone(owner).story())
	}
	data, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(data)) {
		name, _, _ := strings.Cut(line, " ")
		names = append(names, name)
	}
	return names
}

// story is both sides of the chat, for whoever reads why a test failed.
func (p *phone) story() string {
	var b strings.Builder
	for _, s := range p.w.tg.History(p.user) {
		who := "bot"
		if s.Mine {
			who = "user"
		}
		fmt.Fprintf(&b, "%s #%d %s edited %d %.200q buttons %d\n", s.At.Format("05.000"), s.MessageID, who, s.Edited, s.Text+s.Caption, len(s.Buttons))
	}
	return b.String()
}
