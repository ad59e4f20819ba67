package agent_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/secureclaw/secureclaw/gateway/internal/agent"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/gateway/internal/llm"
)

// world is a random life of some conversations. Each text in it has a sign like «17» of its own, with a
// label; so a sign in a question says that the model saw the text, and of what label it was. A model's words repeat
// all signs that it was shown, as a model's words may. That is the oracle: nothing here asks the agent what it read.
type world struct {
	t     *rapid.T
	m     *memory
	s     *shelf
	agent *agent.Agent

	signs map[string]claw.Label
	read  map[claw.SessionID]map[string]bool // the signs that a session's model was shown
	next  map[string]claw.ToolResult         // of the calls that it makes now
	seen  map[claw.SessionID]claw.Label      // the join of all that a session's model was shown
	may   map[claw.SessionID]claw.Label      // and of all that it was given, at the most
	at    claw.SessionID                     // whose model is asked
	calls int                                // that the model still makes
	ids   int64
	fails bool // a summary
}

var best = claw.Label{Integrity: claw.ByUser, Privacy: claw.Public}

var sign = regexp.MustCompile(`«\d+»`)

// mark makes a text with a sign.
func (w *world) mark(label claw.Label, size int) string {
	s := fmt.Sprintf("«%d»", len(w.signs))
	w.signs[s] = label
	return s + strings.Repeat(" pad", size)
}

func (w *world) draw(name string) claw.Label {
	l := claw.Label{
		Integrity: rapid.SampledFrom([]claw.Integrity{claw.ByUser, claw.ByUser, claw.Owned, claw.External}).Draw(w.t, name),
		Privacy:   rapid.SampledFrom([]claw.Privacy{claw.Public, claw.Public, claw.Private}).Draw(w.t, name+" privacy"),
	}
	for range rapid.SampledFrom([]int{0, 1, 1, 2, 20}).Draw(w.t, name+" sources") {
		l = l.Join(claw.Label{Integrity: l.Integrity, Privacy: l.Privacy, Sources: []string{fmt.Sprint("source ", rapid.IntRange(10, 60).Draw(w.t, "source"))}})
	}
	return l
}

func (w *world) size() int { return rapid.SampledFrom([]int{0, 10, 300}).Draw(w.t, "size") }

// worse reports whether a label is at least as bad as another one.
func worse(a, b claw.Label) bool { return fmt.Sprint(a.Join(b)) == fmt.Sprint(a) }

// listed are signs as a text, in their order.
func listed(signs map[string]bool) string {
	return strings.Join(slices.Sorted(maps.Keys(signs)), "")
}

func signsIn(req llm.Request) (out []string) {
	for _, t := range req.Turns {
		out = append(out, sign.FindAllString(t.Context+t.Text+t.Notes, -1)...)
		for _, c := range t.Calls {
			out = append(out, sign.FindAllString(c.Input, -1)...)
		}
		for _, r := range t.Results {
			out = append(out, sign.FindAllString(r.Content, -1)...)
		}
	}
	return out
}

func (w *world) Name() string { return "test/world" }

// Ask checks what the session says of itself at the moment at which its model reads.
func (w *world) Ask(_ context.Context, req llm.Request, _ func(string)) (llm.Reply, error) {
	said := map[string]bool{}
	for _, s := range signsIn(req) {
		said[s], w.read[w.at][s] = true, true
		w.seen[w.at] = w.seen[w.at].Join(w.signs[s])
	}
	for _, turn := range req.Turns {
		for _, m := range w.s.kept { // a memory brings all that is known of it, not only what its words say
			if strings.Contains(turn.Context, fmt.Sprintf("[memory %d · ", m.ID)) {
				w.seen[w.at] = w.seen[w.at].Join(m.Label)
			}
		}
	}
	w.check("asked")
	all := listed(said)
	if strings.HasPrefix(req.System[0], "You sum up") {
		if w.fails {
			return llm.Reply{}, &llm.Error{Kind: llm.Overloaded, What: "busy"}
		}
		return llm.Reply{Text: "In short: " + all, Stop: llm.StopEnd}, nil
	}
	if w.calls--; w.calls >= 0 && !req.NoCalls {
		var calls []claw.ToolCall
		for i := range rapid.IntRange(1, 3).Draw(w.t, "calls") {
			calls = append(calls, claw.ToolCall{ModelID: fmt.Sprint(i), Tool: "echo", Input: `{"a":"` + all + `"}`})
			w.next[fmt.Sprint(i)] = w.result()
		}
		return llm.Reply{Calls: calls, Stop: llm.StopTools}, nil
	}
	return llm.Reply{Text: "I say " + all, Stop: llm.StopEnd}, nil
}

func (w *world) check(when string) {
	label, _ := w.m.Label(context.Background(), w.at)
	if !worse(label, w.seen[w.at]) {
		w.t.Fatalf("%s: session %s says %+v, but its model saw %+v", when, w.at, label, w.seen[w.at])
	}
	if most := w.may[w.at].Join(w.seen[w.at]); !worse(most, label) {
		w.t.Fatalf("%s: session %s says %+v, and all that it was given is %+v", when, w.at, label, most)
	}
}

// result is somebody's text, or the gate's own words with any label, which nobody read.
func (w *world) result() claw.ToolResult {
	label := w.draw("result")
	switch status := rapid.SampledFrom([]claw.Status{claw.OK, claw.OK, claw.Failed, claw.TimedOut, claw.Refused, claw.Denied, claw.Expired}).Draw(w.t, "status"); status {
	case claw.Refused, claw.Denied, claw.Expired:
		return claw.ToolResult{Status: status, Content: "did not run", Label: label}
	default:
		w.may[w.at] = w.may[w.at].Join(label)
		return claw.ToolResult{Status: status, Content: w.mark(label, w.size()), Label: label}
	}
}

func (w *world) run(ctx context.Context, call gate.Call, _ string, _ []byte) claw.ToolResult {
	if have, _ := w.m.Label(ctx, call.Session); fmt.Sprint(have) != fmt.Sprint(call.Label) {
		w.t.Errorf("a call of session %s carries %+v, want %+v", call.Session, call.Label, have)
	}
	return w.next[call.ModelID]
}

// remember keeps a memory, or merges something into one.
func (w *world) remember(label claw.Label, content string) {
	id := w.ids + 1
	if w.ids > 0 && rapid.IntRange(0, 2).Draw(w.t, "merge") == 0 {
		id = rapid.Int64Range(1, w.ids).Draw(w.t, "into")
	}
	m, ok := w.s.kept[id]
	if ok {
		label, content = m.Label.Join(label), m.Content+" "+content
	}
	w.ids = max(w.ids, id)
	w.s.kept[id] = claw.Memory{ID: id, Category: "fact", Content: content, Label: label, Created: noon()}
}

// hear has a session answer a message; whatever is recalled for it counts as given.
func (w *world) hear(session claw.SessionID, label claw.Label, text string) string {
	w.at = session
	var chosen []int64
	for range rapid.IntRange(0, 3).Draw(w.t, "recalled") {
		if w.ids > 0 {
			chosen = append(chosen, rapid.Int64Range(1, w.ids).Draw(w.t, "id"))
		}
	}
	w.s.find = func(string) []int64 { return chosen }
	w.s.err = nil
	if rapid.IntRange(0, 9).Draw(w.t, "recall fails") == 0 {
		w.s.err = errors.New("no disk")
	}
	given := label
	if found, err := w.s.Recall(context.Background(), claw.Origin{}, text); err == nil {
		for _, m := range found {
			given = given.Join(m.Label)
		}
	}
	w.may[session] = w.may[session].Join(given)
	w.calls, w.fails = rapid.IntRange(0, 3).Draw(w.t, "rounds"), rapid.IntRange(0, 3).Draw(w.t, "summary fails") == 0
	got, err := w.agent.Answer(context.Background(), claw.Message{ID: "m", Session: session, Text: text, Origin: claw.Origin{Channel: "terminal"}, Label: label}, "run_1", &watcher{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.check("answered")
	return got.Text
}

func (w *world) begin(session claw.SessionID, label claw.Label) {
	w.m.label[session], w.may[session], w.seen[session], w.read[session] = label, label, best, map[string]bool{}
}

func TestLabelIsThatOfWhatWasSeen(t *testing.T) {
	summed, overflown, children := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		w := &world{t: t, m: newMemory(), s: &shelf{kept: map[int64]claw.Memory{}}, signs: map[string]claw.Label{}, read: map[claw.SessionID]map[string]bool{}, next: map[string]claw.ToolResult{}, seen: map[claw.SessionID]claw.Label{}, may: map[claw.SessionID]claw.Label{}}
		var err error
		w.agent, err = agent.New(agent.Options{Model: w, Hands: &hands{run: w.run}, History: w.m, Recall: w.s, MaxTokens: 1000, Rounds: 6, Context: 1300, Now: func() time.Time { return noon() }})
		if err != nil {
			t.Fatal(err)
		}
		w.begin("a", best)
		w.begin("b", best)
		for i := range rapid.IntRange(1, 12).Draw(t, "events") {
			session := rapid.SampledFrom([]claw.SessionID{"a", "a", "a", "b"}).Draw(t, "session")
			switch rapid.IntRange(0, 6).Draw(t, "event") {
			case 0: // somebody keeps something
				label := w.draw("memory")
				w.remember(label, w.mark(label, w.size()))
			case 1: // a model keeps what it read
				label, _ := w.m.Label(context.Background(), session)
				w.remember(label, listed(w.read[session]))
			case 2: // something is forgotten
				if w.ids > 0 {
					delete(w.s.kept, rapid.Int64Range(1, w.ids).Draw(t, "forgotten"))
				}
			case 3: // an iteration: it begins with all that its parent read, which gets all that it read
				children++
				child := claw.SessionID(fmt.Sprint(session, "-", i))
				parent, _ := w.m.Label(context.Background(), session)
				w.begin(child, parent.Join(best))
				last := w.hear(child, claw.UserLabel(), "work: "+w.mark(parent, w.size()))
				label, _ := w.m.Label(context.Background(), child)
				w.m.label[session] = parent.Join(label)
				w.may[session] = w.may[session].Join(w.may[child]).Join(w.seen[child])
				w.m.turns[session] = append(w.m.turns[session], claw.Turn{Role: claw.User, Text: "plan"}, claw.Turn{Role: claw.Assistant, Text: last})
			case 4: // a question beside the conversation
				w.at, w.calls = session, 0
				if _, _, err := w.agent.Consult(context.Background(), session, claw.Origin{}, "run_1", "plan?"); err != nil {
					t.Fatal(err)
				}
				w.check("consulted")
			default:
				label := w.draw("message")
				w.hear(session, label, w.mark(label, w.size()))
			}
		}
		for _, l := range w.m.label {
			if len(l.Sources) > claw.MaxSources {
				overflown++
			}
		}
		for _, s := range w.m.summaries {
			summed += len(s)
		}
	})
	if summed == 0 || overflown == 0 || children == 0 {
		t.Errorf("%d summaries, %d labels with more sources than they name, %d iterations: want all of them to have been tried", summed, overflown, children)
	}
}
