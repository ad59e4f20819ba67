package agent_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/gateway/internal/agent"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/gateway/internal/llm"
)

// script is a model that gives one reply after the other and keeps what it was asked. It sums up when it
// is asked for that: see compact_test.go.
type script struct {
	replies []func(ctx context.Context, onText func(string)) (llm.Reply, error)
	asked   []llm.Request
	summed  []llm.Request
	sumUp   func(llm.Request) (llm.Reply, error)
}

func (s *script) Name() string { return "test/script" }
func (s *script) Ask(ctx context.Context, req llm.Request, onText func(string)) (llm.Reply, error) {
	if strings.HasPrefix(req.System[0], "You sum up") {
		s.summed = append(s.summed, req)
		if s.sumUp != nil {
			return s.sumUp(req)
		}
		return llm.Reply{Text: fmt.Sprintf("summary %d", len(s.summed)), Stop: llm.StopEnd, Usage: claw.Usage{Input: 100, Output: 7}, Model: "m"}, nil
	}
	s.asked = append(s.asked, req)
	if len(s.replies) == 0 {
		return llm.Reply{}, errors.New("the script has ended")
	}
	next := s.replies[0]
	if len(s.replies) > 1 {
		s.replies = s.replies[1:]
	}
	return next(ctx, onText)
}

type replyFunc = func(ctx context.Context, onText func(string)) (llm.Reply, error)

func says(text string) replyFunc {
	return func(_ context.Context, onText func(string)) (llm.Reply, error) {
		onText(text)
		return llm.Reply{Text: text, Stop: llm.StopEnd, Usage: claw.Usage{Input: 10, Output: 5}, Model: "m"}, nil
	}
}

func wants(calls ...claw.ToolCall) replyFunc {
	return func(context.Context, func(string)) (llm.Reply, error) {
		return llm.Reply{Calls: append([]claw.ToolCall(nil), calls...), Stop: llm.StopTools, Usage: claw.Usage{Input: 10, Output: 5}}, nil
	}
}

func fails(err error) replyFunc {
	return func(context.Context, func(string)) (llm.Reply, error) { return llm.Reply{}, err }
}

// hands runs calls by a function and keeps what came.
type hands struct {
	mu    sync.Mutex
	calls []gate.Call
	run   func(ctx context.Context, call gate.Call, tool string, input []byte) claw.ToolResult
}

func (h *hands) Tools() []claw.Tool {
	return []claw.Tool{{Name: "echo", Schema: []byte(`{"type":"object"}`)}}
}
func (h *hands) Run(ctx context.Context, call gate.Call, tool string, input []byte) claw.ToolResult {
	h.mu.Lock()
	h.calls = append(h.calls, call)
	h.mu.Unlock()
	if h.run != nil {
		return h.run(ctx, call, tool, input)
	}
	return claw.ToolResult{Tool: tool, Status: claw.OK, Content: string(input), Label: claw.Label{Integrity: claw.Owned, Privacy: claw.Private, Sources: []string{"folder a"}}}
}

// memory is a history in memory.
type memory struct {
	mu    sync.Mutex
	turns map[claw.SessionID][]claw.Turn
	label map[claw.SessionID]claw.Label
	usage claw.Usage

	summaries map[claw.SessionID][]claw.Summary
	rewrites  int64
}

func newMemory() *memory {
	return &memory{turns: map[claw.SessionID][]claw.Turn{}, label: map[claw.SessionID]claw.Label{}}
}
func (m *memory) TurnsAfter(_ context.Context, s claw.SessionID, after, limit int) ([]claw.Turn, int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.turns[s]
	from := min(after, len(all))
	if limit > 0 {
		from = max(from, len(all)-limit)
	}
	return append([]claw.Turn(nil), all[from:]...), from + 1, nil
}
func (m *memory) Rewrites() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rewrites
}
func (m *memory) Summary(_ context.Context, s claw.SessionID) (claw.Summary, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.summaries[s]
	if len(all) == 0 {
		return claw.Summary{}, false, nil
	}
	return all[len(all)-1], true, nil
}
func (m *memory) AddSummary(_ context.Context, s claw.Summary) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.summaries == nil {
		m.summaries = map[claw.SessionID][]claw.Summary{}
	}
	m.summaries[s.Session] = append(m.summaries[s.Session], s)
	return nil
}
func (m *memory) AppendTurn(_ context.Context, s claw.SessionID, t claw.Turn) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turns[s] = append(m.turns[s], t)
	return nil
}
func (m *memory) Label(_ context.Context, s claw.SessionID) (claw.Label, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l, ok := m.label[s]; ok {
		return l, nil
	}
	return claw.Label{Integrity: claw.ByUser, Privacy: claw.Public}, nil
}
func (m *memory) SetLabel(_ context.Context, s claw.SessionID, l claw.Label) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.label[s] = l
	return nil
}
func (m *memory) AddUsage(_ context.Context, c claw.ModelCall) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.usage = m.usage.Add(c.Usage)
	return nil
}

type watcher struct {
	mu   sync.Mutex
	text strings.Builder
}

func (*watcher) Progress(claw.Progress) {}

func (w *watcher) Text(s string)                        { w.mu.Lock(); defer w.mu.Unlock(); w.text.WriteString(s) }
func (w *watcher) Began(claw.ToolCall)                  {}
func (w *watcher) Ended(claw.ToolCall, claw.ToolResult) {}
func call(id, input string) claw.ToolCall {
	return claw.ToolCall{ModelID: id, Tool: "echo", Input: input}
}
func message(text string) claw.Message {
	return claw.Message{ID: "m1", Session: "s", Text: text, Origin: claw.Origin{Channel: "terminal", User: "1000"}, Label: claw.UserLabel()}
}

func newAgent(t testing.TB, model agent.Model, h agent.Hands, m agent.History, rounds int) *agent.Agent {
	t.Helper()
	a, err := agent.New(agent.Options{Model: model, Hands: h, History: m, MaxTokens: 1000, Rounds: rounds,
		Now: func() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func answer(t *testing.T, a *agent.Agent, text string) agent.Answer {
	t.Helper()
	got, err := a.Answer(t.Context(), message(text), "run_1", &watcher{})
	if err != nil {
		t.Fatalf("Answer(%q): %v", text, err)
	}
	return got
}

func TestAnswerRunsCallsAndKeepsTheConversation(t *testing.T) {
	model := &script{replies: []replyFunc{wants(call("t1", `{"a":1}`), call("t2", `{"b":2}`)), says("done")}}
	h, m := &hands{}, newMemory()
	got := answer(t, newAgent(t, model, h, m, 10), "do it")
	if got.Outcome != agent.Done || got.Text != "done" || len(got.Results) != 2 || got.Rounds != 2 {
		t.Errorf("Answer = %+v", got)
	}
	if want := (claw.Usage{Input: 20, Output: 10}); got.Usage != want || m.usage != want {
		t.Errorf("usage %+v, recorded %+v, want %+v", got.Usage, m.usage, want)
	}
	turns := m.turns["s"]
	if len(turns) != 4 || turns[0].Message != "m1" || len(turns[1].Calls) != 2 || len(turns[2].Results) != 2 || turns[3].Text != "done" {
		t.Fatalf("history = %+v", turns)
	}
	for i, r := range turns[2].Results {
		if c := turns[1].Calls[i]; r.Call != c.ID || r.ModelID != c.ModelID || c.ID == "" {
			t.Errorf("result %d = %+v, want the one of call %+v", i, r, c)
		}
	}
	if l := m.label["s"]; l.Integrity != claw.Owned || l.Privacy != claw.Private || !cmp.Equal(l.Sources, []string{"folder a"}) {
		t.Errorf("session label = %+v, want what it has read", l)
	}
}

func TestCallsOfOneAnswerRunSideBySide(t *testing.T) {
	var meet sync.WaitGroup
	meet.Add(3)
	h := &hands{run: func(ctx context.Context, c gate.Call, tool string, _ []byte) claw.ToolResult {
		meet.Done()
		meet.Wait() // returns only when all three are here at once
		return claw.ToolResult{Tool: tool, Status: claw.OK}
	}}
	model := &script{replies: []replyFunc{wants(call("1", "{}"), call("2", "{}"), call("3", "{}")), says("met")}}
	if got := answer(t, newAgent(t, model, h, newMemory(), 10), "x"); got.Text != "met" {
		t.Errorf("Answer = %+v", got)
	}
}

func TestEndlessCallsStopHonestly(t *testing.T) {
	h := &hands{}
	model := &script{replies: []replyFunc{wants(call("t", "{}"))}}
	m := newMemory()
	got := answer(t, newAgent(t, model, h, m, 10), "loop")
	if got.Outcome != agent.Limit || got.Rounds != 10 || len(h.calls) != 10 {
		t.Errorf("Answer = %v after %d rounds and %d calls, want the limit after 10", got.Outcome, got.Rounds, len(h.calls))
	}
	for _, want := range []string{"10 rounds", "10 ok"} {
		if !strings.Contains(got.Text, want) {
			t.Errorf("text %q does not say %q", got.Text, want)
		}
	}
	if last := m.turns["s"][len(m.turns["s"])-1]; last.Role != claw.Assistant || last.Text != got.Text {
		t.Errorf("last turn = %+v, want the honest stop", last)
	}
}

func TestTooManyCallsInOneAnswerAreRefused(t *testing.T) {
	var many []claw.ToolCall
	for i := range agent.MaxCalls + 5 {
		many = append(many, call(fmt.Sprint(i), "{}"))
	}
	h := &hands{}
	got := answer(t, newAgent(t, &script{replies: []replyFunc{wants(many...), says("ok")}}, h, newMemory(), 10), "x")
	if len(h.calls) != agent.MaxCalls || len(got.Results) != agent.MaxCalls+5 {
		t.Errorf("%d ran with %d results, want %d and %d", len(h.calls), len(got.Results), agent.MaxCalls, agent.MaxCalls+5)
	}
	if last := got.Results[len(got.Results)-1]; last.Status != claw.Refused {
		t.Errorf("last result = %+v, want refused", last)
	}
}

func TestModelFailureIsOneSentence(t *testing.T) {
	m := newMemory()
	model := &script{replies: []replyFunc{fails(&llm.Error{Kind: llm.Overloaded, What: "Claude is overloaded (529)", Fix: "try again in a minute"}), says("fine")}}
	a := newAgent(t, model, &hands{}, m, 10)
	got := answer(t, a, "hi")
	if got.Outcome != agent.Failed || !strings.Contains(got.Text, "529") || !strings.Contains(got.Text, "minute") {
		t.Errorf("Answer = %+v", got)
	}
	if got := answer(t, a, "again"); got.Text != "fine" {
		t.Errorf("after a failure: %+v", got)
	}
	for i, turn := range model.asked[1].Turns {
		if want := []claw.Role{claw.User, claw.Assistant}[i%2]; turn.Role != want {
			t.Errorf("turn %d is %s's, want %s's: roles must alternate", i, turn.Role, want)
		}
	}
}

func TestStopEndsARun(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	h := &hands{run: func(ctx context.Context, _ gate.Call, tool string, _ []byte) claw.ToolResult {
		stop()
		<-ctx.Done()
		return claw.ToolResult{Tool: tool, Status: claw.Cancelled, Content: "stopped"}
	}}
	m := newMemory()
	a := newAgent(t, &script{replies: []replyFunc{wants(call("t", "{}"))}}, h, m, 10)
	got, err := a.Answer(ctx, message("x"), "run_1", &watcher{})
	if err != nil || got.Outcome != agent.Stopped {
		t.Fatalf("Answer = %+v, %v", got, err)
	}
	if turns := m.turns["s"]; len(turns) != 4 || turns[2].Results[0].Status != claw.Cancelled {
		t.Errorf("history = %+v, want the cancelled call in it", turns)
	}
}

// A gateway that stops leaves the conversation as it was: the calls without results are the next one's to settle.
func TestShutdownStoresNoResult(t *testing.T) {
	ctx, stop := context.WithCancelCause(t.Context())
	h := &hands{run: func(ctx context.Context, _ gate.Call, tool string, _ []byte) claw.ToolResult {
		stop(gate.ErrShutdown)
		return claw.ToolResult{Tool: tool, Status: claw.Cancelled}
	}}
	m := newMemory()
	_, err := newAgent(t, &script{replies: []replyFunc{wants(call("t", "{}"))}}, h, m, 10).Answer(ctx, message("x"), "run_1", &watcher{})
	if !errors.Is(err, gate.ErrShutdown) {
		t.Errorf("Answer = %v, want gate.ErrShutdown", err)
	}
	if turns := m.turns["s"]; len(turns) != 2 || len(turns[1].Calls) != 1 {
		t.Errorf("history = %+v, want it to end with the open call", turns)
	}
}

// One that stops right after the results were stored leaves the answer to the next one too.
func TestShutdownAfterResultsIsNoStop(t *testing.T) {
	ctx, stop := context.WithCancelCause(t.Context())
	h := &hands{run: func(_ context.Context, _ gate.Call, tool string, _ []byte) claw.ToolResult {
		return claw.ToolResult{Tool: tool, Status: claw.OK}
	}}
	m := &stopping{memory: newMemory(), stop: func() { stop(gate.ErrShutdown) }}
	_, err := newAgent(t, &script{replies: []replyFunc{wants(call("t", "{}"))}}, h, m, 10).Answer(ctx, message("x"), "run_1", &watcher{})
	if turns := m.turns["s"]; !errors.Is(err, gate.ErrShutdown) || len(turns) != 3 || len(turns[2].Results) != 1 {
		t.Errorf("Answer = %v, history %+v, want gate.ErrShutdown and the results as the last turn", err, turns)
	}
}

// stopping ends the gateway when results are stored.
type stopping struct {
	*memory
	stop func()
}

func (s *stopping) AppendTurn(ctx context.Context, id claw.SessionID, t claw.Turn) error {
	if len(t.Results) > 0 {
		defer s.stop()
	}
	return s.memory.AppendTurn(ctx, id, t)
}

// A conversation that was cut between a call and its result is still one that a model accepts.
func TestOpenCallsAreToldAsUnknown(t *testing.T) {
	m := newMemory()
	m.turns["s"] = []claw.Turn{
		{Role: claw.User, Text: "send it", Message: "m0"},
		{Role: claw.Assistant, Calls: []claw.ToolCall{{ID: "c1", ModelID: "t1", Tool: "echo", Input: "{}"}}},
	}
	model := &script{replies: []replyFunc{says("ok")}}
	answer(t, newAgent(t, model, &hands{}, m, 10), "what happened?")
	turns := model.asked[0].Turns
	if len(turns) != 4 || turns[2].Results[0].Status != claw.Unknown || turns[2].Results[0].ModelID != "t1" {
		t.Errorf("the model was shown %+v", turns)
	}
}

func TestContinueGoesOnAfterResults(t *testing.T) {
	m := newMemory()
	m.turns["s"] = []claw.Turn{
		{Role: claw.User, Text: "send it", Message: "m0"},
		{Role: claw.Assistant, Calls: []claw.ToolCall{{ID: "c1", ModelID: "t1", Tool: "echo", Input: "{}"}}},
	}
	model := &script{replies: []replyFunc{says("sent")}}
	a := newAgent(t, model, &hands{}, m, 10)
	got, err := a.Continue(t.Context(), "s", claw.Origin{Channel: "terminal"}, "run_2",
		[]claw.ToolResult{{Call: "c1", ModelID: "t1", Tool: "echo", Status: claw.OK, Content: "yes"}}, &watcher{})
	if err != nil || got.Text != "sent" || model.asked[0].Turns[2].Results[0].Content != "yes" {
		t.Errorf("Continue = %+v, %v, asked with %+v", got, err, model.asked)
	}
}

func TestLongHistoryKeepsCallsWithResults(t *testing.T) {
	m := newMemory()
	for i := range 300 {
		id := claw.CallID(fmt.Sprint("c", i))
		m.turns["s"] = append(m.turns["s"],
			claw.Turn{Role: claw.User, Text: fmt.Sprint("message ", i)},
			claw.Turn{Role: claw.Assistant, Calls: []claw.ToolCall{{ID: id, ModelID: string(id), Tool: "echo", Input: "{}"}}},
			claw.Turn{Role: claw.User, Results: []claw.ToolResult{{Call: id, ModelID: string(id), Content: strings.Repeat("x", 10_000)}}},
			claw.Turn{Role: claw.Assistant, Text: "ok"})
	}
	model := &script{replies: []replyFunc{says("ok")}}
	answer(t, newAgent(t, model, &hands{}, m, 10), "and now?")
	turns := model.asked[0].Turns
	if len(turns) > 300 || len(turns) < 10 {
		t.Errorf("%d turns were sent", len(turns))
	}
	if turns[0].Role != claw.User || turns[0].Text == "" {
		t.Errorf("the window begins with %+v, want a message of the user", turns[0])
	}
	for i, turn := range turns {
		for j, c := range turn.Calls {
			if turns[i+1].Results[j].Call != c.ID {
				t.Errorf("call %s is not followed by its result", c.ID)
			}
		}
	}
}

// A test that ends the process at a step must know where that is.
func TestStepsInTheirOrder(t *testing.T) {
	var passed []string
	m := newMemory()
	a, err := agent.New(agent.Options{
		Model: &script{replies: []replyFunc{wants(call("t", "{}")), says("done")}}, Hands: &hands{}, History: m, MaxTokens: 10, Rounds: 3, Now: time.Now,
		Step: func(step string) { passed = append(passed, fmt.Sprint(step, " ", len(m.turns["s"]))) },
	})
	if err != nil {
		t.Fatal(err)
	}
	answer(t, a, "x")
	want := []string{"agent.asking 1", "agent.answered 1", "agent.calls 2", "agent.results 3", "agent.asking 3", "agent.answered 3"}
	if diff := cmp.Diff(want, passed); diff != "" {
		t.Errorf("steps with the number of stored turns (-want +got):\n%s", diff)
	}
}
