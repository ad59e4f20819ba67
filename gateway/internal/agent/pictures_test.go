package agent_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/llm"
)

// looked is a conversation of messages, each with one picture of so many bytes in its result.
func looked(sizes ...int) []claw.Turn {
	var turns []claw.Turn
	for i, size := range sizes {
		id := claw.CallID(fmt.Sprint("c", i))
		turns = append(turns,
			claw.Turn{Role: claw.User, Text: "look"},
			claw.Turn{Role: claw.Assistant, Calls: []claw.ToolCall{{ID: id, ModelID: string(id), Tool: "browse_web", Input: "{}"}}},
			claw.Turn{Role: claw.User, Results: []claw.ToolResult{{Call: id, ModelID: string(id), Status: claw.OK, Content: "page", Images: []claw.Image{{MIME: "image/png", Data: bytes.Repeat([]byte{1}, size)}}}}})
	}
	return turns
}

func TestPicturesOfTheNewestResults(t *testing.T) {
	for name, tc := range map[string]struct {
		sizes []int
		want  string // of each result: the bytes of its picture, or a dash
	}{
		"one":                  {[]int{10}, "10"},
		"the newest two":       {[]int{10, 20, 30, 40}, "- - 30 40"},
		"too large together":   {[]int{10, 1500 << 10, 1500 << 10}, "10 - 1536000"},
		"forgotten by a store": {[]int{10, 20, 0}, "10 20 -"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory()
			m.turns["s"] = looked(tc.sizes...)
			model := &script{replies: []replyFunc{says("ok")}}
			a := newAgent(t, model, &hands{}, m, 3)
			if _, err := a.Continue(t.Context(), "s", claw.Origin{Channel: "terminal"}, "run_1", nil, &watcher{}); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, turn := range model.asked[0].Turns {
				for _, r := range turn.Results {
					switch {
					case len(r.Images) == 1 && r.Content == "page":
						got = append(got, fmt.Sprint(len(r.Images[0].Data)))
					case len(r.Images) == 0 && r.Content == "page\n[a screenshot was here]":
						got = append(got, "-")
					default:
						got = append(got, fmt.Sprintf("%+v", r))
					}
				}
			}
			if s := strings.Join(got, " "); s != tc.want {
				t.Errorf("the model sees %s, want %s", s, tc.want)
			}
			for i, turn := range m.turns["s"] {
				if len(turn.Results) > 0 && (len(turn.Results[0].Images) != 1 || turn.Results[0].Content != "page") {
					t.Errorf("turn %d of the history was changed: %.100v", i, turn.Results[0])
				}
			}
		})
	}
}

// A picture that a provider does not take would make every later question fail, too.
func TestPicturesThatAreRefused(t *testing.T) {
	m := newMemory()
	m.turns["s"] = looked(10)
	refuse := fails(&llm.Error{Kind: llm.BadRequest, What: "could not process image"})
	model := &script{replies: []replyFunc{refuse, says("ok")}}
	got, err := newAgent(t, model, &hands{}, m, 3).Continue(t.Context(), "s", claw.Origin{Channel: "terminal"}, "run_1", nil, &watcher{})
	if err != nil || got.Text != "ok" || len(model.asked) != 2 {
		t.Fatalf("Continue = %+v, %v after %d questions, want an answer to the second", got, err, len(model.asked))
	}
	if r := model.asked[1].Turns[2].Results[0]; len(r.Images) != 0 || !strings.Contains(r.Content, "did not take it") {
		t.Errorf("the second question has %+v, want words in place of the picture", r)
	}

	m.turns["s"] = []claw.Turn{said("hello")}
	model = &script{replies: []replyFunc{refuse}}
	got, err = newAgent(t, model, &hands{}, m, 3).Continue(t.Context(), "s", claw.Origin{Channel: "terminal"}, "run_1", nil, &watcher{})
	if err != nil || len(model.asked) != 1 {
		t.Errorf("without pictures: %+v, %v after %d questions, want one", got, err, len(model.asked))
	}
}
