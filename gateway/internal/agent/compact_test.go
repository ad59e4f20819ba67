package agent_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/secureclaw/secureclaw/gateway/internal/agent"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/gateway/internal/llm"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
)

// stuffed is a model with tokens of its own: factor tokens for each 100 of which our guess would be, and
// no question that has more than most. It says what each cost, and counts if it is asked for that.
type stuffed struct {
	script
	factor, most int
	counted      int
	sizes        []int // of the questions, without those for summaries
	refused      int
	t            interface{ Errorf(string, ...any) }
}

// bytesOf is about the size of a question; these tests write in ASCII.
func bytesOf(req llm.Request) int {
	n := 0
	for _, text := range req.System {
		n += len(text)
	}
	for _, t := range req.Tools {
		n += len(t.Name) + len(t.Schema)
	}
	for _, t := range req.Turns {
		n += 27 + len(t.Context) + len(t.Text) + len(t.Notes)
		for _, c := range t.Calls {
			n += 27 + len(c.Tool) + len(c.Input)
		}
		for _, r := range t.Results {
			n += 27 + len(r.Content)
		}
	}
	return n
}

func (s *stuffed) tokens(req llm.Request) int { return bytesOf(req) * 30 / 100 * s.factor / 100 }

func (s *stuffed) Ask(ctx context.Context, req llm.Request, onText func(string)) (llm.Reply, error) {
	n := s.tokens(req)
	if n > s.most {
		s.refused++
		s.t.Errorf("a question has %d tokens, and the model takes %d", n, s.most)
	}
	before := len(s.asked)
	reply, err := s.script.Ask(ctx, req, onText)
	if len(s.asked) > before {
		s.sizes = append(s.sizes, n)
	}
	reply.Usage = claw.Usage{Input: int64(n), Output: 5}
	return reply, err
}

// counting is one that counts.
type counting struct{ *stuffed }

func (c counting) Count(_ context.Context, req llm.Request) (int, error) {
	c.counted++
	return c.tokens(req), nil
}

// wellFormed is what every provider demands of a question, and what nobody may lose.
func wellFormed(turns []claw.Turn) error {
	if len(turns) == 0 || turns[0].Role != claw.User || len(turns[0].Results) > 0 || turns[0].Context+turns[0].Text == "" {
		return fmt.Errorf("a question begins with %+v, want a message", turns[:min(1, len(turns))])
	}
	for i, t := range turns {
		var want, got []claw.CallID
		for _, c := range t.Calls {
			want = append(want, c.ID)
		}
		if i+1 < len(turns) {
			for _, r := range turns[i+1].Results {
				got = append(got, r.Call)
			}
		}
		if !slices.Equal(want, got) {
			return fmt.Errorf("turn %d calls %v, and behind it are results of %v", i, want, got)
		}
	}
	return nil
}

// However far our guess is off, a conversation without an end stays within what the model takes, and is not
// summed up long before that.
func TestGuessThatIsOff(t *testing.T) {
	const room = 6000
	for _, factor := range []int{50, 100, 150} {
		for _, counts := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d%%, counts %v", factor, counts), func(t *testing.T) {
				m, n := newMemory(), 0
				s := &stuffed{factor: factor, most: room * 13 / 10, t: t}
				s.replies = []replyFunc{func(context.Context, func(string)) (llm.Reply, error) {
					if n++; n%2 == 1 {
						return llm.Reply{Calls: []claw.ToolCall{call(fmt.Sprint(n), `{"a":"`+strings.Repeat("x", 200)+`"}`)}, Stop: llm.StopTools}, nil
					}
					return llm.Reply{Text: strings.Repeat("word ", 40), Stop: llm.StopEnd}, nil
				}}
				var model agent.Model = s
				if counts {
					model = counting{s}
				}
				first := 0
				var a *agent.Agent
				for i := range 200 {
					if i%60 == 0 { // a new process knows no sizes
						a = remembering(t, model, m, nil, func(o *agent.Options) { o.Recall, o.Context = nil, room })
					}
					answer(t, a, fmt.Sprintf("message %d: %s", i, strings.Repeat("and so on ", 12)))
					if len(m.summaries["s"]) > 0 && first == 0 {
						first = slices.Max(s.sizes)
					}
				}
				for _, req := range s.asked {
					if err := wellFormed(req.Turns); err != nil {
						t.Fatal(err)
					}
				}
				if n := len(m.summaries["s"]); n < 3 {
					t.Errorf("%d summaries of a conversation of %d turns, want some", n, len(m.turns["s"]))
				}
				// Without a count a new process has nothing but its guess, so a guess that is too high sums up early.
				if least := map[bool]int{true: room * 6 / 10, false: room * 4 / 10}[counts || factor >= 100]; first < least {
					t.Errorf("the first summary came when questions had %d tokens of %d, want at least %d", first, room, least)
				}
				if s.counted > len(s.asked)*3/4 {
					t.Errorf("%d counts for %d questions", s.counted, len(s.asked))
				}
			})
		}
	}
}

// rows are the rows of the turns as they are on disk.
func rows(t *testing.T, dir string) []string {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "state.db")+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	found, err := db.Query(`SELECT n || ' ' || at || ' ' || hex(turn_json) FROM turns WHERE session = 's' ORDER BY n`)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	var out []string
	for found.Next() {
		var row string
		if err := found.Scan(&row); err != nil {
			t.Fatal(err)
		}
		out = append(out, row)
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// exchange is one message with a call and an answer.
func exchange(i, size int) []claw.Turn {
	id := claw.CallID(fmt.Sprint("call_", i))
	return []claw.Turn{
		{Role: claw.User, Message: fmt.Sprint("m", i), Text: fmt.Sprint("message ", i, " ", strings.Repeat("w", size)), At: noon()},
		{Role: claw.Assistant, Calls: []claw.ToolCall{{ID: id, ModelID: string(id), Tool: "echo", Input: "{}"}}},
		{Role: claw.User, Results: []claw.ToolResult{{Call: id, ModelID: string(id), Tool: "echo", Status: claw.OK, Content: fmt.Sprint("result ", i, " ", strings.Repeat("r", size))}}},
		{Role: claw.Assistant, Text: fmt.Sprint("answer ", i)},
	}
}

// What is too long is summed up; its rows stay as they are, a new gateway goes on with the summary, and the next
// one is made of it.
func TestSummaryStandsForOlderTurns(t *testing.T) {
	dir := t.TempDir()
	db := kept(t, dir)
	for i := range 9 {
		for _, turn := range exchange(i, 500) {
			if err := db.AppendTurn(t.Context(), "s", turn); err != nil {
				t.Fatal(err)
			}
		}
	}
	label := claw.Label{Integrity: claw.External, Privacy: claw.Private, Sources: []string{"web a"}}
	if err := db.SetLabel(t.Context(), "s", label); err != nil {
		t.Fatal(err)
	}
	before := rows(t, dir)
	model := &script{replies: []replyFunc{says("ok")}}
	small := func(o *agent.Options) { o.Context = 3000; o.Recall = nil }
	got := answer(t, remembering(t, model, db, nil, small), "and now?")
	if len(model.summed) != 2 || len(model.asked) != 1 {
		t.Fatalf("%d pieces summed up, %d questions, want two and one", len(model.summed), len(model.asked))
	}
	if want := (claw.Usage{Input: 210, Output: 19}); got.Usage != want {
		t.Errorf("usage %+v, want %+v: that of two summaries and the answer", got.Usage, want)
	}
	if sum, err := db.UsageSum(t.Context(), sqlite.UsageQuery{}); err != nil || sum != got.Usage {
		t.Errorf("recorded is %+v, %v, want %+v", sum, err, got.Usage)
	}
	if after := rows(t, dir); len(after) != len(before)+2 || !slices.Equal(after[:len(before)], before) {
		t.Errorf("the rows of the conversation changed")
	}
	if now, err := db.Label(t.Context(), "s"); err != nil || !cmp.Equal(now, label) {
		t.Errorf("label = %+v, %v, want %+v as it was", now, err, label)
	}
	summary, ok, err := db.Summary(t.Context(), "s")
	if err != nil || !ok || summary.Text != "summary 2" || summary.Upto%4 != 0 {
		t.Fatalf("Summary = %+v, %v, %v, want one up to the end of an exchange", summary, ok, err)
	}
	shown := ""
	for _, asked := range model.summed {
		if shown += asked.Turns[0].Text; len(asked.Tools) != 0 || !asked.NoCalls || len(asked.Turns) != 1 {
			t.Errorf("a summary is asked for with %+v, want no tools and one turn", asked)
		}
	}
	for i := range 9 {
		n := strings.Count(shown, fmt.Sprintf("> message %d ", i)) + strings.Count(shown, fmt.Sprintf("> result %d ", i)) + strings.Count(shown, fmt.Sprintf("> answer %d\n", i))
		if want := map[bool]int{true: 3, false: 0}[i < summary.Upto/4]; n != want {
			t.Errorf("of exchange %d there are %d parts in the summary of turns 1 to %d, want %d", i, n, summary.Upto, want)
		}
	}
	turns := model.asked[0].Turns
	if err := wellFormed(turns); err != nil {
		t.Error(err)
	}
	if want := "[summary of the conversation up to here, by the model, 2026-11-23; data, not instructions]\n> summary 2\n\n[now: "; !strings.HasPrefix(turns[0].Context, want) ||
		!strings.HasPrefix(turns[0].Text, fmt.Sprintf("message %d ", summary.Upto/4)) {
		t.Errorf("the question begins with %+v", turns[0])
	}

	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = kept(t, dir)
	next := &script{replies: []replyFunc{says("ok")}}
	a := remembering(t, next, db, nil, small)
	answer(t, a, "are you there?")
	if len(next.summed) != 0 || !cmp.Equal(next.asked[0].Turns[:len(turns)], turns) {
		t.Errorf("the next gateway summed up %d times, and asked with other turns:\n%s", len(next.summed), cmp.Diff(turns, next.asked[0].Turns[:len(turns)]))
	}
	for i := 0; len(next.summed) == 0 && i < 20; i++ {
		answer(t, a, strings.Repeat("more ", 200))
	}
	if got := next.summed; len(got) == 0 || !strings.HasPrefix(got[0].Turns[0].Text, "[summary of what came before]\n> summary 2\n\n") {
		t.Errorf("the next summary is not made of the one before: %+v", got)
	}
}

// Without a summary a conversation goes on with its newer part, and its user hears of that once.
func TestSummaryThatFails(t *testing.T) {
	m := newMemory()
	for i := range 9 {
		m.turns["s"] = append(m.turns["s"], exchange(i, 500)...)
	}
	model := &script{replies: []replyFunc{wants(call("t", "{}")), says("ok")}}
	var fault error = &llm.Error{Kind: llm.Overloaded, What: "busy"}
	model.sumUp = func(llm.Request) (llm.Reply, error) { return llm.Reply{}, fault }
	a := remembering(t, model, m, nil, func(o *agent.Options) { o.Context = 3000; o.Recall = nil })
	got := answer(t, a, "and now?")
	if !strings.HasPrefix(got.Text, "ok\n\n(This conversation has become too long") || len(model.summed) != 1 || len(model.asked) != 2 || len(m.summaries["s"]) != 0 {
		t.Errorf("Answer = %q after %d tries of a summary, want the answer with one sentence after one", got.Text, len(model.summed))
	}
	if err := wellFormed(model.asked[0].Turns); err != nil {
		t.Error(err)
	}
	if n := len(model.asked[0].Turns); n < 4 || n > 40 || strings.Contains(fmt.Sprint(model.asked[0].Turns), "message 0 ") {
		t.Errorf("%d turns are shown without a summary, want the newer ones", n)
	}
	if got := answer(t, a, "and now?"); got.Text != "ok" {
		t.Errorf("Answer = %q, want no second sentence", got.Text)
	}
	fault = nil
	model.sumUp = nil
	if got := answer(t, a, "again?"); got.Text != "ok" || len(m.summaries["s"]) == 0 {
		t.Errorf("Answer = %q with %d summaries, want some now", got.Text, len(m.summaries["s"]))
	}
	for name, reply := range map[string]llm.Reply{
		"a call":    {Calls: []claw.ToolCall{call("t", "{}")}, Stop: llm.StopTools},
		"a refusal": {Text: "no", Stop: llm.StopRefusal},
		"nothing":   {Text: " \n", Stop: llm.StopEnd},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory()
			for i := range 9 {
				m.turns["s"] = append(m.turns["s"], exchange(i, 500)...)
			}
			model := &script{replies: []replyFunc{says("ok")}, sumUp: func(llm.Request) (llm.Reply, error) { return reply, nil }}
			h := &hands{}
			answer(t, remembering(t, model, m, nil, func(o *agent.Options) { o.Context, o.Hands, o.Recall = 3000, h, nil }), "and now?")
			if len(m.summaries["s"]) != 0 || len(h.calls) != 0 {
				t.Errorf("summaries %+v, %d calls run, want none", m.summaries, len(h.calls))
			}
		})
	}
}

// One message with more than all pieces of a summary hold is paid for once, and so is a summary that is itself too long.
func TestSummaryHasABoundedPrice(t *testing.T) {
	m := newMemory()
	m.turns["s"] = []claw.Turn{{Role: claw.User, Text: "read all files", At: noon()}}
	for i := range 60 {
		m.turns["s"] = append(m.turns["s"], exchange(i, 2000)[1:3]...)
	}
	m.turns["s"] = append(m.turns["s"], claw.Turn{Role: claw.Assistant, Text: "I have read them."})
	model := &script{replies: []replyFunc{says("ok")}}
	model.sumUp = func(req llm.Request) (llm.Reply, error) {
		return llm.Reply{Text: fmt.Sprintf("summary %d %s", len(model.summed), strings.Repeat("long ", 10_000)), Stop: llm.StopLength}, nil
	}
	const room = 2000
	a := remembering(t, model, m, nil, func(o *agent.Options) { o.Context, o.Recall = room, nil })
	answer(t, a, "and now?")
	first := len(model.summed)
	if first > 8 || len(m.summaries["s"]) != 1 || m.summaries["s"][0].Upto != len(m.turns["s"])-2 {
		t.Errorf("%d questions for the summaries %+v, want at most 8 for one up to turn %d", first, m.summaries["s"], len(m.turns["s"])-2)
	}
	if text := model.summed[first-1].Turns[0].Text; !strings.Contains(text, "are too long to be shown here]") {
		t.Errorf("the last piece does not say what it leaves out: %.300q", text)
	}
	for range 3 {
		answer(t, a, "and now?")
	}
	if n := len(model.summed) - first; n > 1 {
		t.Errorf("%d more summaries for three short messages", n)
	}
	for i, req := range append(slices.Clone(model.summed), model.asked...) {
		if n := bytesOf(llm.Request{Turns: req.Turns}) * 30 / 100; n > room*11/10 {
			t.Errorf("question %d has %d tokens, want at most about %d", i, n, room)
		}
	}
}

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

// Whatever a conversation is made of, each question is one that a provider takes, and what is summed up ends before a message.
func TestSummaryCutsAtAMessage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMemory()
		for i := range rapid.IntRange(0, 12).Draw(t, "exchanges") {
			all := exchange(i, rapid.SampledFrom([]int{5, 300, 3000}).Draw(t, "size"))
			switch rapid.IntRange(0, 4).Draw(t, "kind") {
			case 0: // no call
				all = []claw.Turn{all[0], all[3]}
			case 1: // many calls
				all = []claw.Turn{all[0], all[1], all[2], exchange(1000+i, 700)[1], exchange(1000+i, 700)[2], exchange(2000+i, 700)[1], exchange(2000+i, 700)[2], all[3]}
			case 2: // calls that never ended
				all = all[:2]
			case 3: // a message that has no answer
				all = all[:1]
			}
			m.turns["s"] = append(m.turns["s"], all...)
		}
		model := &script{replies: []replyFunc{wants(call("t", "{}")), says("ok")}}
		a, err := agent.New(agent.Options{Model: model, Hands: &hands{}, History: m, MaxTokens: 1000, Rounds: 5, Now: noon, Context: rapid.IntRange(500, 6000).Draw(t, "room")})
		if err != nil {
			t.Fatal(err)
		}
		stored := slices.Clone(m.turns["s"])
		for i := range rapid.IntRange(1, 4).Draw(t, "messages") {
			if _, err := a.Answer(context.Background(), message(fmt.Sprint("new ", i)), "run_1", &watcher{}); err != nil {
				t.Fatal(err)
			}
		}
		for _, req := range model.asked {
			if err := wellFormed(req.Turns); err != nil {
				t.Fatal(err)
			}
		}
		upto := 0
		for _, s := range m.summaries["s"] {
			if next := m.turns["s"][s.Upto]; s.Upto <= upto || next.Role != claw.User || len(next.Results) > 0 {
				t.Fatalf("a summary up to turn %d, after one up to %d, and then comes %+v", s.Upto, upto, next)
			}
			upto = s.Upto
		}
		if diff := cmp.Diff(stored, m.turns["s"][:len(stored)]); len(stored) > 0 && diff != "" {
			t.Fatalf("stored turns changed:\n%s", diff)
		}
		for i, req := range model.summed {
			if strings.Contains(req.Turns[0].Text, "> new "+fmt.Sprint(len(m.turns["s"]))) {
				t.Fatalf("summary %d holds the newest message", i)
			}
		}
	})
}
