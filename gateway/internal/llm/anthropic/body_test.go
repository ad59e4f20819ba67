package anthropic

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/llm"
)

// Whatever was sent before, a request is the same bytes as one of a model that never sent anything.
func TestABodyIsAsIfWrittenAnew(t *testing.T) {
	turn := rapid.Custom(func(t *rapid.T) claw.Turn {
		turn := claw.Turn{Role: rapid.SampledFrom([]claw.Role{claw.User, claw.Assistant}).Draw(t, "role"), Text: rapid.SampledFrom([]string{"", "a", "b <&>", " "}).Draw(t, "text")}
		if rapid.IntRange(0, 3).Draw(t, "call") == 0 {
			turn.Calls = []claw.ToolCall{{ModelID: "c", Tool: "t", Input: rapid.SampledFrom([]string{"{}", `{"a": 1}`, "no"}).Draw(t, "input")}}
		}
		if rapid.IntRange(0, 3).Draw(t, "result") == 0 {
			turn.Results = []claw.ToolResult{{ModelID: "c", Status: rapid.SampledFrom([]claw.Status{claw.OK, claw.Failed}).Draw(t, "status"), Content: "r"}}
			if rapid.Bool().Draw(t, "picture") {
				turn.Results[0].Images = []claw.Image{{MIME: "image/png", Data: []byte(rapid.SampledFrom([]string{"x", "y"}).Draw(t, "data"))}}
			}
		}
		return turn
	})
	rapid.Check(t, func(t *rapid.T) {
		used := &Model{name: "m"}
		var turns []claw.Turn
		for range rapid.IntRange(1, 12).Draw(t, "questions") {
			turns = slices.Clone(turns[:max(0, len(turns)-rapid.IntRange(0, 9).Draw(t, "fewer"))])
			turns = append(turns, rapid.SliceOfN(turn, 0, 4).Draw(t, "more")...)
			if len(turns) > 0 && rapid.IntRange(0, 4).Draw(t, "forget") == 0 {
				turns[rapid.IntRange(0, len(turns)-1).Draw(t, "where")].Context = "gone"
			}
			req := llm.Request{System: []string{`say "messages":[]`}, Stable: 1, MaxTokens: 7, Turns: turns, Tools: []claw.Tool{{Name: "t", Schema: []byte(`{"messages":[]}`)}}}
			got, err := used.body(req)
			want, werr := (&Model{name: "m"}).body(req)
			if err != nil || werr != nil || string(got) != string(want) {
				t.Fatalf("body of %d turns = %s, %v\nwant %s, %v", len(turns), got, err, want, werr)
			}
		}
	})
}

// BenchmarkBody writes the questions of a conversation of 1,000 messages, each of which is one exchange longer.
func BenchmarkBody(b *testing.B) {
	m := &Model{name: "m"}
	var turns []claw.Turn
	say := func() {
		turns = append(turns, claw.Turn{Role: claw.User, Context: "[now: today]", Text: fmt.Sprintf("Message %d: which train do I take to get there in time?", len(turns))},
			claw.Turn{Role: claw.Assistant, Text: "The one at 9:12 from platform 4; it is on time, and you have nine minutes to change."})
	}
	for range 1000 {
		say()
	}
	for name, m := range map[string]func() *Model{"again": func() *Model { return m }, "anew": func() *Model { return &Model{name: "m"} }} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			turns := slices.Clone(turns)
			for b.Loop() {
				body, err := m().body(llm.Request{MaxTokens: 7, Turns: turns[:len(turns)-1]})
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(body)))
			}
		})
	}
}
