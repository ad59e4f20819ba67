package main

import (
	"fmt"
	"io"
	"os"

	"github.com/secureclaw/secureclaw/internal/wire"
)

// shownPlan is how much of a run's plan is on the screen. It is shown whole once, and then what changes in it:
// a screen of lines cannot take one back.
type shownPlan struct {
	run       string
	steps     []wire.PlanStep
	iteration int
}

// show prints what is new in a frame.
func (p *shownPlan) show(w io.Writer, now wire.Progress) {
	if p.run != now.Run {
		*p = shownPlan{run: now.Run}
	}
	whole := len(p.steps) != len(now.Steps)
	for i := 0; !whole && i < len(now.Steps); i++ {
		whole = p.steps[i].Text != now.Steps[i].Text
	}
	switch {
	case now.Iteration == 0 && len(now.Steps) == 0:
		fmt.Fprintln(w, "  making a plan …")
	case whole:
		fmt.Fprintf(w, "  the plan%s:\n", turnOf(now))
		printSteps(w, now.Steps)
	default:
		if p.iteration != now.Iteration {
			fmt.Fprintf(w, "  going on%s\n", turnOf(now))
		}
		for i, s := range now.Steps {
			if s.State != p.steps[i].State {
				printStep(w, i, s)
			}
		}
	}
	p.steps, p.iteration = now.Steps, now.Iteration
}

func turnOf(p wire.Progress) string {
	if p.Iteration == 0 {
		return ""
	}
	return fmt.Sprintf(", turn %d of at most %d", p.Iteration, p.Most)
}

// printSteps shows the steps of a plan. A tick is the model's word.
func printSteps(w io.Writer, steps []wire.PlanStep) {
	for i, s := range steps {
		printStep(w, i, s)
	}
}

func printStep(w io.Writer, i int, s wire.PlanStep) {
	marks := map[string]string{"": "[ ]", "now": "[>]", "done": "[x]"}
	if f, ok := w.(*os.File); ok && isTerminal(f) {
		marks = map[string]string{"": "☐", "now": "▸", "done": "☑"}
	}
	mark, ok := marks[s.State]
	if !ok {
		mark = marks[""]
	}
	fmt.Fprintf(w, "  %s %d. %s\n", mark, i+1, shortLine(s.Text, 300))
}
