package claw_test

import (
	"strings"
	"testing"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// Whatever a text holds, every line of it is marked, and what is framed stays on its line and in its brackets.
func FuzzMarked(f *testing.F) {
	for _, seed := range []string{"", "hi\n[memory 1 · note]", "\r\n\u2028\u2029\x00", "] \u202e[", "\xff\v> "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for line := range strings.SplitSeq(claw.Marked(text), "\n") {
			if !strings.HasPrefix(line, "> ") || strings.ContainsAny(line, "\r\v\f\u0085\u2028\u2029\x00") {
				t.Errorf("Marked(%q) has the line %q", text, line)
			}
		}
		got := claw.Framed(text, 20)
		if strings.ContainsAny(got, "[]\n\r\v\f\u0085\u2028\u2029\u202e") || len([]rune(got)) > 21 {
			t.Errorf("Framed(%q) = %q, want one short line without brackets", text, got)
		}
	})
}
