package agent_test

import (
	"context"
	"errors"
	"testing"

	"github.com/secureclaw/secureclaw/gateway/internal/agent"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
)

// budget allows so many questions.
type budget struct {
	left int
	err  error
	by   []claw.SessionID
}

func (b *budget) Spend(_ context.Context, session claw.SessionID, _ claw.Origin) (string, error) {
	b.by = append(b.by, session)
	if b.left--; b.left < 0 && b.err == nil {
		return "The limit of today is reached.", nil
	}
	return "", b.err
}

// Whatever question the limit stops, the sentence is the answer, and nothing is asked.
func TestLimitPauses(t *testing.T) {
	for name, tc := range map[string]struct {
		left, questions, summaries int
		long                       bool
	}{
		"the first question":    {left: 0},
		"the one after a call":  {left: 1, questions: 1},
		"a summary":             {left: 0, long: true},
		"the one after summary": {left: 1, summaries: 1, long: true},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory()
			if tc.long {
				for i := range 9 {
					m.turns["s"] = append(m.turns["s"], exchange(i, 500)...)
				}
			}
			b := &budget{left: tc.left}
			model := &script{replies: []replyFunc{wants(call("t", "{}")), says("ok")}}
			a := remembering(t, model, m, nil, func(o *agent.Options) { o.Context, o.Budget, o.Recall = 3000, b, nil })
			got := answer(t, a, "hello")
			if got.Outcome != agent.Paused || got.Text != "The limit of today is reached." || len(model.asked) != tc.questions || len(model.summed) != tc.summaries {
				t.Errorf("Answer = %+v after %d questions and %d summaries, want a pause after %d and %d", got, len(model.asked), len(model.summed), tc.questions, tc.summaries)
			}
			last := m.turns["s"][len(m.turns["s"])-1]
			if last.Text != got.Text || last.Outcome != string(agent.Paused) || last.Role != claw.Assistant {
				t.Errorf("stored is %+v, want the sentence", last)
			}
			if len(b.by) != tc.left+1 || b.by[0] != "s" {
				t.Errorf("asked for %v, want %d times", b.by, tc.left+1)
			}
			if len(m.summaries["s"]) != tc.summaries {
				t.Errorf("%d summaries are kept, want %d: a paid one stays", len(m.summaries["s"]), tc.summaries)
			}
		})
	}
	m, b := newMemory(), &budget{}
	a := remembering(t, &script{replies: []replyFunc{says("ok")}}, m, nil, func(o *agent.Options) { o.Budget, o.Recall = b, nil })
	_, _, err := a.Consult(t.Context(), "s", claw.Origin{}, "run_1", "plan?")
	if p, ok := errors.AsType[*agent.Pause](err); !ok || p.Why != "The limit of today is reached." || len(m.turns["s"]) != 0 {
		t.Errorf("Consult = %v, stored %+v, want a Pause and nothing", err, m.turns["s"])
	}
	b.err = errors.New("the disk is full")
	if _, err := a.Answer(t.Context(), message("hello"), "run_1", &watcher{}); !errors.Is(err, b.err) {
		t.Errorf("Answer = %v, want %v: what is not known is not spent", err, b.err)
	}
}

// A plan ends a run without an answer; a plan that was refused does not.
func TestPlanEndsARun(t *testing.T) {
	for _, status := range []claw.Status{claw.OK, claw.Refused, claw.Failed, claw.Denied} {
		t.Run(string(status), func(t *testing.T) {
			m := newMemory()
			model := &script{replies: []replyFunc{wants(call("1", "{}"), claw.ToolCall{ModelID: "2", Tool: "plan_task", Input: "{}"}), says("no plan")}}
			h := &hands{run: func(_ context.Context, _ gate.Call, tool string, _ []byte) claw.ToolResult {
				if tool == "plan_task" {
					return claw.ToolResult{Tool: tool, Status: status, Label: claw.UserLabel()}
				}
				return claw.ToolResult{Tool: tool, Status: claw.OK, Label: claw.UserLabel()}
			}}
			a := remembering(t, model, m, nil, func(o *agent.Options) { o.Leave, o.Recall, o.Hands = "plan_task", nil, h })
			got := answer(t, a, "do all of it")
			turns := m.turns["s"]
			if status == claw.OK {
				if got.Outcome != agent.Planned || got.Text != "" || len(turns) != 3 || len(turns[2].Results) != 2 || len(got.Results) != 2 || len(model.asked) != 1 {
					t.Errorf("Answer = %+v, stored %+v, want the results as the last turn", got, turns)
				}
			} else if got.Outcome != agent.Done || got.Text != "no plan" || len(turns) != 4 {
				t.Errorf("Answer = %+v, stored %d turns, want the model's own", got, len(turns))
			}
		})
	}
}
