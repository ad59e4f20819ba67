package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/secureclaw/secureclaw/internal/wire"
)

func steps(states ...string) []wire.PlanStep {
	out := []wire.PlanStep{}
	for i, s := range states {
		out = append(out, wire.PlanStep{Text: []string{"read", "write\x1b[2J\n  [x] 9. forged", "tell"}[i], State: s})
	}
	return out
}

// A plan is shown once, then what changes in it; no step can look like another one.
func TestPlanIsShown(t *testing.T) {
	var out bytes.Buffer
	var p shownPlan
	for _, frame := range []wire.Progress{
		{Run: "run_1", Most: 10},
		{Run: "run_1", Steps: steps("", "", ""), Most: 10},
		{Run: "run_1", Steps: steps("now", "", ""), Iteration: 1, Most: 10},
		{Run: "run_1", Steps: steps("done", "now", ""), Iteration: 2, Most: 10},
		{Run: "run_1", Steps: steps("done", "now", ""), Iteration: 2, Most: 10},
		{Run: "run_1", Steps: steps("done", "done"), Iteration: 3, Most: 10},
		{Run: "run_2", Steps: steps(""), Iteration: 1, Most: 10},
	} {
		p.show(&out, frame)
	}
	want := `  making a plan …
  the plan:
  [ ] 1. read
  [ ] 2. write\x1b[2J\n  [x] 9. forged
  [ ] 3. tell
  going on, turn 1 of at most 10
  [>] 1. read
  going on, turn 2 of at most 10
  [x] 1. read
  [>] 2. write\x1b[2J\n  [x] 9. forged
  the plan, turn 3 of at most 10:
  [x] 1. read
  [x] 2. write\x1b[2J\n  [x] 9. forged
  the plan, turn 1 of at most 10:
  [ ] 1. read
`
	if out.String() != want {
		t.Errorf("the screen shows\n%s\nwant\n%s", &out, want)
	}
}

func TestChatShowsAPlanAndAPause(t *testing.T) {
	d, keys, s, _ := talk(t)
	typed(t, keys, "first read, then tell")
	m := d.message()
	d.send(wire.Down{Delta: &wire.Delta{Run: "run_1", Text: "I begin"}})
	s.sees(t, "I begin")
	d.send(wire.Down{Progress: &wire.Progress{Run: "run_other", Steps: steps("done")}}, wire.Down{Progress: &wire.Progress{Run: "run_1", Steps: steps("done", ""), Iteration: 1, Most: 10}})
	s.sees(t, "\n  the plan, turn 1 of at most 10:\n  [x] 1. read\n  [ ] 2. write")
	d.send(wire.Down{Delta: &wire.Delta{Run: "run_1", Text: "so far"}})
	d.send(wire.Down{Reply: &wire.Reply{Run: "run_1", Message: m.ID, Session: m.Session, Outcome: wire.ReplyPaused, Text: "Paused: the limit is reached."}})
	s.sees(t, "so far\nPaused: the limit is reached.\n> ")
	if strings.Count(s.all(), "the plan") != 1 {
		t.Errorf("another run's plan is shown:\n%s", s.all())
	}
	typed(t, keys, "/forget tea")
	s.sees(t, "(in another terminal: secureclaw memories forget TOPIC)\n> ")
}
