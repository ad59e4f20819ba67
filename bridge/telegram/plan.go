package telegram

import (
	"fmt"
	"strings"

	"github.com/secureclaw/secureclaw/bridge/telegram/internal/entity"
	"github.com/secureclaw/secureclaw/internal/wire"
)

const (
	stepsShown = 15 // of a plan, those around the one of now
	stepUnits  = 90
)

// planText is a plan with ticks and how far it is: at most some 1500 UTF-16 units, whatever a model planned.
func planText(p wire.Progress) string {
	now, done := -1, 0
	for i, s := range p.Steps {
		switch {
		case s.State == "done":
			done++
		case s.State == "now" && now < 0:
			now = i
		}
	}
	at := now
	if at < 0 {
		at = min(done, max(len(p.Steps)-1, 0))
	}
	from := max(0, min(at-stepsShown/2, len(p.Steps)-stepsShown))
	to := min(len(p.Steps), from+stepsShown)
	var lines []string
	if from > 0 {
		lines = append(lines, fmt.Sprintf("… %d before", from))
	}
	for _, s := range p.Steps[from:to] {
		mark := "◻"
		switch s.State {
		case "done":
			mark = "✅"
		case "now":
			mark = "▶"
		}
		lines = append(lines, mark+" "+stepText(s.Text))
	}
	if to < len(p.Steps) {
		lines = append(lines, fmt.Sprintf("… %d more", len(p.Steps)-to))
	}
	if p.Iteration <= 0 {
		return strings.Join(append(lines, "planning"), "\n")
	}
	var parts []string
	if len(p.Steps) > 0 {
		parts = append(parts, fmt.Sprintf("step %d of %d", at+1, len(p.Steps)))
	}
	parts = append(parts, fmt.Sprintf("turn %d of %d", p.Iteration, p.Most))
	return strings.Join(append(lines, strings.Join(parts, " · ")), "\n")
}

// stepText is a step on one line.
func stepText(text string) string {
	text = entity.Plain(strings.Join(strings.Fields(text), " ")).Text
	short := entity.Split(entity.Message{Text: text}, stepUnits)[0].Text
	if short != text {
		short += "…"
	}
	return short
}
