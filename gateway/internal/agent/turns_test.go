package agent_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/gateway/internal/agent"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/llm"
)

// counted is a history that says how many turns were read from it, and gives at most some.
type counted struct {
	*memory
	mu    sync.Mutex
	read  int
	most  int
	calls int
}

func (c *counted) TurnsAfter(ctx context.Context, s claw.SessionID, after, limit int) ([]claw.Turn, int, error) {
	turns, first, err := c.memory.TurnsAfter(ctx, s, after, limit)
	if over := len(turns) - c.most; c.most > 0 && over > 0 {
		turns, first = turns[over:], first+over
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read, c.calls = c.read+len(turns), c.calls+1
	return turns, first, err
}

// Each turn is read once, and whatever others append meanwhile is in the next question.
func TestOnlyNewTurnsAreRead(t *testing.T) {
	m := &counted{memory: newMemory()}
	for i := range 50 {
		m.turns["s"] = append(m.turns["s"], exchange(i, 5)...)
	}
	model := &script{replies: []replyFunc{says("ok")}}
	a := remembering(t, model, m, nil, func(o *agent.Options) { o.Recall = nil })
	for range 5 {
		answer(t, a, "hello")
	}
	if m.read != 201+4*2 {
		t.Errorf("%d turns were read, want 201 and then two each time", m.read)
	}
	_ = m.AppendTurn(t.Context(), "s", claw.Turn{Role: claw.User, Text: "plan it"})
	_ = m.AppendTurn(t.Context(), "s", claw.Turn{Role: claw.Assistant, Text: "a task says"})
	answer(t, a, "hello")
	fresh := &script{replies: []replyFunc{says("ok")}}
	b := remembering(t, fresh, m.memory, nil, func(o *agent.Options) { o.Recall = nil })
	m.turns["s"] = m.turns["s"][:len(m.turns["s"])-2] // the last message and its answer, to ask the same thing again
	answer(t, b, "hello")
	if diff := cmp.Diff(fresh.asked[0].Turns, model.asked[5].Turns); diff != "" {
		t.Errorf("a question differs from that of an agent that reads all (-all +kept):\n%s", diff)
	}
}

// More than can be read at once leaves no hole in the middle.
func TestManyNewTurns(t *testing.T) {
	m := &counted{memory: newMemory(), most: 8}
	model := &script{replies: []replyFunc{says("ok")}}
	a := remembering(t, model, m, nil, func(o *agent.Options) { o.Recall = nil })
	answer(t, a, "first")
	for i := range 6 {
		m.turns["s"] = append(m.turns["s"], exchange(i, 5)...)
	}
	answer(t, a, "and now?")
	got := model.asked[1].Turns
	if err := wellFormed(got); err != nil {
		t.Error(err)
	}
	if text := fmt.Sprint(got); strings.Contains(text, "first") || !strings.Contains(text, "message 5 ") || !strings.Contains(text, "and now?") || !strings.Contains(got[0].Context, "too far back to be shown") && got[0].Text == "" {
		t.Errorf("the question is %+v", got)
	}
}

// The store says which pictures are there still, so a conversation with some is read as it is.
func TestPicturesAreReadAnew(t *testing.T) {
	m := &counted{memory: newMemory()}
	turns := exchange(1, 5)
	turns[2].Results[0].Images = []claw.Image{{MIME: "image/png", Data: []byte("png")}}
	m.turns["s"] = turns
	model := &script{replies: []replyFunc{says("ok")}}
	a := remembering(t, model, m, nil, func(o *agent.Options) { o.Recall = nil })
	answer(t, a, "hello")
	changed := turns[2]
	changed.Results = []claw.ToolResult{changed.Results[0]}
	changed.Results[0].Images = []claw.Image{{MIME: "image/png"}} // forgotten
	m.turns["s"][2] = changed
	answer(t, a, "hello")
	if first, second := model.asked[0].Turns[2].Results[0], model.asked[1].Turns[2].Results[0]; len(first.Images) != 1 || len(second.Images) != 0 || !strings.Contains(second.Content, "a screenshot was here") {
		t.Errorf("shown with %+v, then with %+v", first, second)
	}
}

// echoing repeats the newest message, from any goroutine.
type echoing struct{}

func (echoing) Name() string { return "test/echoing" }
func (echoing) Ask(_ context.Context, req llm.Request, _ func(string)) (llm.Reply, error) {
	if strings.HasPrefix(req.System[0], "You sum up") {
		return llm.Reply{Text: "short", Stop: llm.StopEnd}, nil
	}
	if err := wellFormed(req.Turns); err != nil {
		return llm.Reply{}, err
	}
	return llm.Reply{Text: req.Turns[len(req.Turns)-1].Text, Stop: llm.StopEnd, Usage: claw.Usage{Input: int64(bytesOf(req) / 3)}}, nil
}

// More conversations at once than are kept, and none reads another one's turns.
func TestConversationsSideBySide(t *testing.T) {
	a := remembering(t, echoing{}, newMemory(), trains(), func(o *agent.Options) { o.Context = 1500 })
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			for j := range 12 {
				msg := message(fmt.Sprintf("train %d of %d %s", j, i, strings.Repeat("w", 300)))
				msg.Session = claw.SessionID(fmt.Sprint("s", i))
				got, err := a.Answer(t.Context(), msg, "run_1", &watcher{})
				if err != nil || got.Text != msg.Text {
					t.Errorf("session %d: Answer = %.40q, %v, want %.40q", i, got.Text, err, msg.Text)
				}
			}
		})
	}
	wg.Wait()
}

// Turns that are too far back to be read are named in the question for a summary, which stands for them too.
func TestSummaryNamesWhatItCannotSee(t *testing.T) {
	m := &counted{memory: newMemory(), most: 20}
	for i := range 12 {
		m.turns["s"] = append(m.turns["s"], exchange(i, 500)...)
	}
	model := &script{replies: []replyFunc{says("ok")}}
	answer(t, remembering(t, model, m, nil, func(o *agent.Options) { o.Recall, o.Context = nil, 1500 }), "and now?")
	if len(model.summed) == 0 || !strings.HasPrefix(model.summed[0].Turns[0].Text, "[turns 1 to 29 are too long to be shown here]\n\n") {
		t.Errorf("the summary is asked for with %.200q", fmt.Sprint(model.summed))
	}
	for _, req := range model.asked {
		if err := wellFormed(req.Turns); err != nil {
			t.Error(err)
		}
	}
}
