package agent_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/secureclaw/secureclaw/gateway/internal/agent"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/llm"
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
