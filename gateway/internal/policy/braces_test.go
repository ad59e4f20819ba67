package policy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAlternatives(t *testing.T) {
	for glob, want := range map[string][]string{
		"":                  {""},
		"a*":                {"a*"},
		"a{b,c}*{,/**}":     {"ab*", "ab*/**", "ac*", "ac*/**"},
		"{a,{b,c}d,}":       {"a", "bd", "cd", ""},
		`\{a,b}`:            {`\{a,b}`},
		`[{,]x{a,[},]}`:     {`[{,]xa`, `[{,]x[},]`},
		"{a}":               {"a"},
		`{a\,b,c\}d}`:       {`a\,b`, `c\}d`},
		"**/{x*,*y}{,/**}z": {"**/x*z", "**/x*/**z", "**/*yz", "**/*y/**z"},
	} {
		if diff := cmp.Diff(want, alternatives(glob)); diff != "" {
			t.Errorf("alternatives(%q) (-want +got):\n%s", glob, diff)
		}
	}
	if got := alternatives(strings.Repeat("{a,b}", 13)); got != nil {
		t.Errorf("alternatives of 8192 = %d of them, want none", len(got))
	}
}
