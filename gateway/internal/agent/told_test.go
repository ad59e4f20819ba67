package agent_test

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/gateway/internal/agent"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// steady is a shelf that says when it changed.
type steady struct {
	*shelf
	state string
}

func (s *steady) State(claw.Origin) string { return s.state }

// What an agent has kept of a conversation reads as if it were written anew, also when a memory was forgotten or
// changed, calls had results, and a run ended without one.
func TestWhatIsKeptReadsAsIfWrittenAnew(t *testing.T) {
	for name, foreseen := range map[string]func(i int) bool{
		"as it is asked":         func(int) bool { return false },
		"ahead":                  func(int) bool { return true },
		"ahead, now and then":    func(i int) bool { return i%2 == 0 },
		"ahead, at every second": func(i int) bool { return i%2 == 1 },
	} {
		t.Run(name, func(t *testing.T) { keptAsAnew(t, foreseen) })
	}
}

func keptAsAnew(t *testing.T, foreseen func(i int) bool) {
	m, s := newMemory(), &steady{trains(), "0"}
	kept := &script{}
	var meanwhile sync.WaitGroup
	defer meanwhile.Wait()
	used := remembering(t, kept, m, s)
	for i, step := range []func() string{
		func() string { return "hello" },
		func() string { return "book a train" },
		func() string { return "and a train back" },
		func() string {
			m.turns["s"] = append(m.turns["s"],
				claw.Turn{Role: claw.User, Text: "look", Notes: "a note"},
				claw.Turn{Role: claw.Assistant, Calls: []claw.ToolCall{{ID: "c1", ModelID: "t1", Tool: "stat", Input: "{}"}, {ID: "c2", Tool: "stat", Input: "{}"}}},
				claw.Turn{Role: claw.User, Results: []claw.ToolResult{{Call: "c1", Status: claw.OK, Content: "there"}}},
				claw.Turn{Role: claw.Assistant, Text: "It is there."})
			return "thanks"
		},
		func() string { delete(s.kept, 12); s.state = "1"; return "hm" },
		func() string {
			changed := s.kept[13]
			changed.Content = "Trains are on time."
			s.kept[13], s.state = changed, "2"
			return "a train, please"
		},
		func() string { return "bye" },
	} {
		if foreseen(i) {
			used.Foresee(t.Context(), "s", claw.Origin{Channel: "terminal"})() // before what the step changes
		}
		text := step()
		if foreseen(i) {
			meanwhile.Go(used.Foresee(t.Context(), "s", claw.Origin{Channel: "terminal"}))
		}
		kept.replies = append(kept.replies, says("ok"))
		answer(t, used, text)
		anew := &script{replies: []replyFunc{says("ok")}}
		stored := m.turns["s"]
		m.turns["s"] = stored[:len(stored)-1] // without the answer, as it was when the first was asked
		if _, err := remembering(t, anew, m, s.shelf).Continue(t.Context(), "s", claw.Origin{Channel: "terminal"}, "r", nil, &watcher{}); err != nil {
			t.Fatal(err)
		}
		m.turns["s"] = stored
		if diff := cmp.Diff(anew.asked[0].Turns, kept.asked[i].Turns); diff != "" {
			t.Errorf("question %d (%s), kept beside written anew (-want +got):\n%s", i, text, diff)
		}
	}
}

var _ agent.Steady = (*steady)(nil)
