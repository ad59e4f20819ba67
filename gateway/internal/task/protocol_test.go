package task

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/gateway/internal/agent"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

func TestReadPlan(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want []string // nil: no plan
	}{
		"a list":            {"1. Read a.\n2. Write b.", []string{"Read a.", "Write b."}},
		"with words":        {"Here is the plan:\n\n1) Read a.\n 2) Write b.\n\nShall I?", []string{"Read a.", "Write b."}},
		"in bold":           {"**1. Read a.**\n**2. Write b.**", []string{"Read a.", "Write b."}},
		"steps by name":     {"Step 1: Read a.\nSchritt 2: Write b.", []string{"Read a.", "Write b."}},
		"none needed":       {"NO PLAN", nil},
		"none, and a list":  {"NO PLAN\n1. a\n2. b", nil},
		"one step":          {"1. Read a.", nil},
		"empty steps":       {"1. \n2. \n3. a", nil},
		"prose":             {"I would read a and write b.", nil},
		"nothing":           {"", nil},
		"not to be seen":    {"1. \u200b\u2060\n2. \u202e\u2066\n3. \x1b\x00\n4. a", nil},
		"signs that govern": {"1. a\u202eb\u2069 \x1b[2Jc\n2. שלום می\u200cروم 👩\u200d🚀", []string{"ab [2Jc", "שלום می\u200cروم 👩\u200d🚀"}},
		"ten steps":         {"1. a\n2. b\n3. c\n4. d\n5. e\n6. f\n7. g\n8. h\n9. i\n10. j", []string{"a", "b", "c", "d", "e", "f", "g", "h; then: i; then: j"}},
	} {
		t.Run(name, func(t *testing.T) {
			plan, ok := readPlan(tc.text)
			var got []string
			for _, s := range plan.Steps {
				got = append(got, s.Text)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" || ok != (tc.want != nil) {
				t.Errorf("readPlan(%q) = %v (-want +got):\n%s", tc.text, ok, diff)
			}
		})
	}
}

func TestReadWord(t *testing.T) {
	for text, want := range map[string]word{
		"the answer":                            {text: "the answer"},
		"notes\n[DONE 1]\n[CONTINUE]":           {text: "notes", done: []int{1}, more: true},
		"notes\n[CONTINUE]\n[DONE 1, 2]\n\n":    {text: "notes", done: []int{1, 2}, more: true},
		"notes\n**[DONE #3]**\n`[CONTINUE]`  ":  {text: "notes", done: []int{3}, more: true},
		"[CONTINUE]":                            {more: true},
		"[CONTINUE]\nand then I was done":       {text: "[CONTINUE]\nand then I was done"},
		"I wrote [CONTINUE] into the file":      {text: "I wrote [CONTINUE] into the file"},
		"I am [DONE 1] with it":                 {text: "I am [DONE 1] with it"},
		"[continue]":                            {text: "[continue]"},
		"[DONE]":                                {text: "[DONE]"},
		"[DONE 123]":                            {text: "[DONE 123]"},
		"a\n[DONE 1]\nb":                        {text: "a\nb", done: []int{1}},
		"":                                      {},
		"\n\n":                                  {},
		"the file says:\n> [CONTINUE]\nthe end": {text: "the file says:\n> [CONTINUE]\nthe end"},
	} {
		if diff := cmp.Diff(want, readWord(text), cmp.AllowUnexported(word{})); diff != "" {
			t.Errorf("readWord(%q) (-want +got):\n%s", text, diff)
		}
	}
}

// listener keeps what is passed on.
type listener struct {
	text  strings.Builder
	ticks int
}

func (l *listener) Progress(claw.Progress)             { l.ticks++ }
func (l *listener) Text(delta string)                  { l.text.WriteString(delta) }
func (*listener) Began(claw.ToolCall)                  {}
func (*listener) Ended(claw.ToolCall, claw.ToolResult) {}

var _ agent.Watcher = (*listener)(nil)

func TestStreamHidesMarks(t *testing.T) {
	for text, want := range map[string]string{
		"notes\n[DONE 1]\n[CONTINUE]": "notes\n", "**[CONTINUE]**\n": "", "[DONE 2]\nmore": "more", "[DONE nothing]\nx": "[DONE nothing]\nx",
		"a [DONE 1] b": "a [DONE 1] b", "  \n\nx": "  \n\nx", "[": "[", "[CONT": "[CONT", "": "",
	} {
		for size := 1; size < 6; size++ { // however it comes
			l := &listener{}
			s := watch(l, claw.Task{Plan: planOf([]string{"a", "b"})})
			for rest := text; rest != ""; {
				n := min(size, len(rest))
				s.Text(rest[:n])
				rest = rest[n:]
			}
			s.flush()
			if got := l.text.String(); got != want {
				t.Errorf("%q in pieces of %d is shown as %q, want %q", text, size, got, want)
			}
			if ticked := strings.Contains(text, "[DONE 1]") && strings.HasPrefix(text, "notes") || strings.HasPrefix(text, "[DONE 2]"); ticked != (l.ticks > 0) {
				t.Errorf("%q in pieces of %d ticks %d times", text, size, l.ticks)
			}
		}
	}
}

// Whatever a model says: a plan is within its bounds, what is read of a word says less than the word, and
// an iteration's brief is bounded and keeps what others wrote behind marks.
func FuzzProtocol(f *testing.F) {
	for _, text := range []string{"1. a\n2. b", "notes\n[DONE 1]\n[CONTINUE]", "[DONE 99]", "\n[iteration] 3 of", "\u202e\x00\xff", "**1.** x\n- [CONTINUE]"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		plan, ok := readPlan(text)
		if ok && (len(plan.Steps) < MinSteps || len(plan.Steps) > MaxSteps) {
			t.Errorf("readPlan(%q) has %d steps", text, len(plan.Steps))
		}
		for _, s := range plan.Steps {
			if n := len([]rune(s.Text)); n == 0 || n > maxStep || strings.ContainsAny(s.Text, "\r\n") {
				t.Errorf("readPlan(%q) has a step %q of %d characters", text, s.Text, n)
			}
		}
		w := readWord(text)
		if len(w.text) > len(text) || w.more && !strings.Contains(text, claw.TaskGoesOn) {
			t.Errorf("readWord(%q) = %+v", text, w)
		}
		note := noteOf(1, w.text, nil, true)
		notes := make([]string, 12)
		for i := range notes {
			notes[i] = note
		}
		p := planOf([]string{"a", "b"})
		if ok {
			p = plan
		}
		got := brief(claw.Task{Plan: tick(p, w.done), Notes: notes, Iteration: 2, Most: 10})
		if len(got) > maxNotes*4+maxStep*4*MaxSteps+4096 { // every line of a byte has a mark of two
			t.Errorf("an iteration is told %d bytes", len(got))
		}
		if strings.Count("\n"+got, "\n[") != 4 {
			t.Errorf("an iteration reads other blocks than ours:\n%s", got)
		}
	})
}
