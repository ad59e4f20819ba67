package entity

import (
	"strings"
	"testing"
)

// What people and models write is parsed; what only a bomb holds is shown as it is.
func TestTooHard(t *testing.T) {
	for name, tc := range map[string]struct {
		in   string
		want bool
	}{
		"nothing":            {"", false},
		"a long answer":      {strings.Repeat("# Title\n\n*Some* `code`, a [link](http://a.bc) and **more** text.\n\n- a\n  - b\n\n", 400), false},
		"a table":            {strings.Repeat("|a", 12) + "\n" + strings.Repeat("|-", 12) + "\n" + strings.Repeat("|some words", 12) + "\n", false},
		"rules":              {strings.Repeat("-", 300) + "\n" + strings.Repeat("*", 300) + "\n" + strings.Repeat("=", 300), false},
		"ten quotes":         {strings.Repeat("> ", 10) + "a", false},
		"most bytes":         {strings.Repeat("a", maxMarkdown), false},
		"too many bytes":     {strings.Repeat("a", maxMarkdown+1), true},
		"nested quotes":      {"a\n" + strings.Repeat(">", 25) + "a", true},
		"nested lists":       {strings.Repeat("- ", 20) + strings.Repeat("1. ", 5), true},
		"wide and long":      {strings.Repeat("a|", 100) + "\n" + strings.Repeat("-|", 100) + "\n" + strings.Repeat("b\n", 300), true},
		"brackets":           {strings.Repeat("[", maxBrackets+1), true},
		"stars":              {strings.Repeat("*a_ ~", maxMarks/2), true},
		"code with brackets": {strings.Repeat("a[i] = b[i]\n", 900), false},
	} {
		if got := tooHard(tc.in); got != tc.want {
			t.Errorf("%s: tooHard = %t, want %t", name, got, tc.want)
		}
		if m := Render(tc.in); tc.want && m.Text != Plain(tc.in).Text {
			t.Errorf("%s: it is not shown as it is", name)
		}
	}
}
