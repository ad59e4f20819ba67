package chat_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/gateway/internal/llm"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// errand is a message that becomes a task of three steps. The model of these tests sends a mail in each of the
// first two, and tells in the third what its notes say.
const errand = "1. send a mail to ada\n2. send a mail to bob\n3. write me how it went"

// works is that model.
func works(req llm.Request) (llm.Reply, bool) {
	i := slices.IndexFunc(req.Turns, func(t claw.Turn) bool { return strings.Contains(t.Text, errand) })
	if i < 0 {
		return llm.Reply{}, false
	}
	said, last := req.Turns[len(req.Turns)-1].Text, req.Turns[len(req.Turns)-1]
	says := func(text string) (llm.Reply, bool) {
		return llm.Reply{Text: text, Stop: llm.StopEnd, Usage: claw.Usage{Input: 10, Output: 1}}, true
	}
	if strings.Contains(said, claw.PlanAsked) {
		return says("1. Send a mail to ada.\n2. Send a mail to bob.\n3. Tell how it went.")
	}
	brief := req.Turns[i].Text
	for n, to := range map[int]string{1: "ada", 2: "bob"} {
		if !strings.Contains(brief, fmt.Sprintf("Work on step %d,", n)) {
			continue
		}
		if len(last.Results) > 0 {
			return says(fmt.Sprintf("the mail to %s: %s\n[DONE %d]\n%s", to, last.Results[0].Status, n, claw.TaskGoesOn))
		}
		call := claw.ToolCall{ModelID: "t1", Tool: "send_mail", Input: fmt.Sprintf(`{"to":%q}`, to)}
		return llm.Reply{Stop: llm.StopTools, Calls: []claw.ToolCall{call}, Usage: claw.Usage{Input: 10, Output: 1}}, true
	}
	var told []string
	for line := range strings.Lines(brief) {
		if _, note, ok := strings.Cut(line, ": the mail to "); ok {
			told = append(told, strings.TrimSpace(note))
		}
	}
	return says("All told. " + strings.Join(told, ", "))
}

// steps counts the named steps of a life, and can end it at one of them.
type steps struct {
	mu      sync.Mutex
	passed  map[string]int
	at      string
	hit     int
	died    chan struct{}
	release chan struct{}
}

func newSteps(at string, hit int) *steps {
	return &steps{passed: map[string]int{}, at: at, hit: hit, died: make(chan struct{}), release: make(chan struct{})}
}

func (s *steps) step(name string) {
	s.mu.Lock()
	s.passed[name]++
	dies := name == s.at && s.passed[name] == s.hit
	s.mu.Unlock()
	if dies {
		close(s.died)
		<-s.release // whoever comes here does nothing more in this life
	}
}

// mails are those that were sent.
func (m *sendMail) mails() []string { m.mu.Lock(); defer m.mu.Unlock(); return slices.Clone(m.sent) }

// follow says the errand and allows whatever is asked, until the answer comes or the gateway dies.
func follow(b *bridge, died <-chan struct{}) {
	b.t.Helper()
	b.say("m1", anna, errand)
	allowed := map[string]bool{}
	for {
		isCard := func(m *onShow) bool {
			return m.kind == wire.SendCard && m.card.State == "pending" && !allowed[m.card.ID]
		}
		m := b.first(died, isCard, func(m *onShow) bool { return m.kind == wire.SendText })
		if m == nil || m.kind == wire.SendText {
			return
		}
		allowed[m.card.ID] = true
		b.send(wire.Up{Decide: &wire.Decide{Ref: "tap", Approval: m.card.ID, Allow: true, User: anna, Digest: m.card.Digest[:16]}})
	}
}

// taskOf is Anna's last task, and the conversation that it is in.
func (h *house) taskOf() (claw.Task, claw.Session) {
	h.t.Helper()
	sessions, err := h.db.SessionsOf(context.Background(), "telegram", anna, 0)
	if err != nil || len(sessions) != 1 {
		h.t.Fatalf("Anna's conversations are %v (%v), want one", sessions, err)
	}
	task, found, err := h.db.LastTask(context.Background(), sessions[0].ID)
	if err != nil || !found {
		h.t.Fatalf("there is no task: %v", err)
	}
	return task, sessions[0]
}

// A gateway that dies in a task, at whatever step, goes on with it: no mail twice, no iteration twice, one answer.
func TestTaskSurvivesDeathAtEachStep(t *testing.T) {
	count := newSteps("", 0)
	h := furnish(t, func(h *house) { h.step, h.model.think = count.step, works })
	follow(h.bridge(), nil)
	h.stop()
	count.mu.Lock()
	defer count.mu.Unlock()
	for name, want := range map[string]int{
		"task.planned": 1, "task.begun": 3, "task.ended": 3, "task.noted": 2, "task.done": 1, "agent.asking": 5, "agent.calls": 2, "agent.results": 2, "gate.ran": 2,
	} {
		if got := count.passed[name]; got != want {
			t.Errorf("a life passes %s %d times, want %d", name, got, want)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(count.passed)) {
		if name == "outbox.sending" || name == "outbox.sent" {
			continue // a message may be shown twice there; package outbox tests it
		}
		for hit := range count.passed[name] {
			t.Run(fmt.Sprint(name, ":", hit+1), func(t *testing.T) {
				t.Parallel()
				taskDiesAt(t, name, hit+1)
			})
			if hit == 0 {
				t.Run(fmt.Sprint(name, ", then stopped"), func(t *testing.T) {
					t.Parallel()
					taskStoppedBehind(t, name)
				})
			}
		}
	}
}

func taskDiesAt(t *testing.T, name string, hit int) {
	s := newSteps(name, hit)
	h := furnish(t, func(h *house) { h.step, h.model.think = s.step, works })
	t.Cleanup(func() { close(s.release) }) // before the house is left
	follow(h.bridge(), s.died)
	select {
	case <-s.died:
	case <-time.After(20 * time.Second):
		t.Fatalf("nobody came to %s", name)
	}
	next := furnish(t, func(n *house) { n.dir, n.model.think = h.snapshot(), works })
	b, c := next.bridge(), next.connect()
	b.say("m1", anna, errand)
	// Its card can have been shown in the other life, so it is answered by whoever finds it open.
	for late := time.Now().Add(20 * time.Second); b.count(anna, wire.SendText) == 0; time.Sleep(2 * time.Millisecond) {
		pending, err := next.db.Approvals().List(t.Context(), gate.Query{States: []gate.State{gate.Pending}})
		if err != nil || time.Now().After(late) {
			t.Fatalf("no answer; open are %+v (%v)", pending, err)
		}
		for _, a := range pending {
			c.send(wire.Up{Decide: &wire.Decide{Ref: "d", Approval: a.ID, Allow: true}})
		}
	}
	c.say("t1", "s", "is all quiet?") // a while later
	until(c, aReply)
	if n := b.count(anna, wire.SendText); n != 1 {
		t.Errorf("%d answers, want one", n)
	}
	reply := b.find("the answer", anna, func(m *onShow) bool { return m.kind == wire.SendText })
	sent := append(h.tool.mails(), next.tool.mails()...)
	for _, to := range []string{"ada", "bob"} {
		n := 0
		for _, input := range sent {
			if strings.Contains(input, to) {
				n++
			}
		}
		switch {
		case n > 1:
			t.Errorf("%d mails to %s", n, to)
		case strings.Contains(reply.text, to+": ok") && n == 1, strings.Contains(reply.text, to+": unknown"):
		default:
			t.Errorf("with %d mails to %s the answer is %q", n, to, reply.text)
		}
	}
	task, session := next.taskOf()
	if task.State != claw.TaskDone || task.Iteration != 3 || task.Answer != reply.text || task.Child != "" || len(task.Notes) != 2 {
		t.Errorf("the task is %+v, want it done after three iterations with the answer that was shown", task)
	}
	turns, err := next.db.Turns(t.Context(), session.ID, 0)
	if err != nil || len(turns) != 2 || turns[0].Text != errand || turns[1].Text != reply.text {
		t.Errorf("the conversation is %+v (%v), want the message and its answer", turns, err)
	}
	// What nobody labelled counts as what a stranger wrote: all that a call brought is joined.
	if session.Label.Integrity != claw.External {
		t.Errorf("the conversation's label is %+v, want what its iterations have read", session.Label)
	}
}

// taskStoppedBehind lets the user stop the task in the life after the death.
func taskStoppedBehind(t *testing.T, name string) {
	s := newSteps(name, 1)
	h := furnish(t, func(h *house) { h.step, h.model.think = s.step, works })
	t.Cleanup(func() { close(s.release) }) // before the house is left
	follow(h.bridge(), s.died)
	select {
	case <-s.died:
	case <-time.After(20 * time.Second):
		t.Fatalf("nobody came to %s", name)
	}
	next := furnish(t, func(n *house) { n.dir, n.model.think = h.snapshot(), works })
	b := next.bridge()
	b.say("m1", anna, errand)
	b.say("m2", anna, "/stop")
	b.await("two answers", func() bool {
		n := 0
		for _, m := range b.screen[anna] {
			if m.kind == wire.SendText {
				n++
			}
		}
		return n == 2
	})
	pending, err := next.db.Approvals().List(t.Context(), gate.Query{States: []gate.State{gate.Pending, gate.Allowed, gate.Started}})
	if err != nil || len(pending) != 0 {
		t.Errorf("behind the stop there is %+v (%v)", pending, err)
	}
	if n := len(h.tool.mails()) + len(next.tool.mails()); n > 2 || len(next.tool.mails()) > 1 {
		t.Errorf("%d mails, want no second one to anybody", n)
	}
	if open, err := next.db.Unanswered(t.Context()); err != nil || len(open) != 0 {
		t.Errorf("without an answer are %+v (%v)", open, err)
	}
	sessions, err := next.db.SessionsOf(t.Context(), "telegram", anna, 0)
	if err != nil || len(sessions) != 1 {
		t.Fatalf("Anna's conversations are %v (%v)", sessions, err)
	}
	if task, found, err := next.db.LastTask(t.Context(), sessions[0].ID); err != nil || found && (task.State == claw.TaskOpen || task.Child != "") {
		t.Errorf("the task is %+v (%v), want it at its end", task, err)
	}
}

// A stop that comes while an iteration waits for a human reaches its question, also one from before a restart.
func TestStopReachesAnIteration(t *testing.T) {
	for name, restart := range map[string]bool{"in one life": false, "after a restart": true} {
		t.Run(name, func(t *testing.T) {
			h := furnish(t, func(h *house) { h.model.think = works })
			b := h.bridge()
			b.say("m1", anna, errand)
			card := b.card(anna, "pending")
			if restart {
				b.gone(h)
				h.stop()
				h.start()
				b = h.bridge()
			}
			b.say("m2", anna, "/stop")
			b.shows("Stopped")
			reply := b.shows("in iteration 1")
			for _, want := range []string{"Not done:\n1. Send a mail to ada.", "Tokens: "} {
				if !strings.Contains(reply.text, want) {
					t.Errorf("the answer is %q, want %q in it", reply.text, want)
				}
			}
			if f := b.press(anna, card, true); f == nil || f.Code != "decided" {
				t.Errorf("the question can still be answered: %+v", f)
			}
			b.say("m3", anna, "go on")
			b.shows("All told.") // it is a message like any other: a task that was stopped stays so
			if task, _ := h.taskOf(); task.State != claw.TaskStopped || h.tool.count() != 0 {
				t.Errorf("the task is %q with %d mails, want it stopped without any", task.State, h.tool.count())
			}
		})
	}
}

// A terminal sees the questions of its conversation's task, and can stop it by any of its sessions; nobody
// can speak into an iteration.
func TestTaskInATerminal(t *testing.T) {
	h := furnish(t, func(h *house) { h.model.think = works })
	c := h.connect()
	c.say("m1", "s", errand)
	if card := until(c, aCard); card.Session != "s" {
		t.Errorf("the card is of %q, want the conversation of the task", card.Session)
	}
	task, _, err := h.db.LastTask(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	c.say("m2", string(task.Child), "hello in there")
	if f := until(c, aFault); f.Code != "session" {
		t.Errorf("fault = %+v, want that an iteration takes no message", f)
	}
	c.send(wire.Up{Stop: &wire.Stop{Ref: "x", Session: string(task.Child)}})
	if r := until(c, aReply); r.Message != "m1" || r.Outcome != wire.ReplyStopped || !strings.Contains(r.Text, "iteration 1") {
		t.Errorf("reply = %+v, want the task stopped", r)
	}
	pending, err := h.db.Approvals().List(t.Context(), gate.Query{States: []gate.State{gate.Pending}})
	if err != nil || len(pending) != 0 {
		t.Errorf("open questions after the stop: %+v (%v)", pending, err)
	}
}

// A task shows its plan while it works, and the step that it is at.
func TestTaskShowsItsProgress(t *testing.T) {
	h := furnish(t, func(h *house) { h.model.think = works })
	c := h.connect()
	c.say("m1", "s", errand)
	var seen []string
	for done := false; !done; {
		d := until(c, func(d wire.Down) *wire.Down { return &d })
		switch {
		case d.Progress != nil:
			line := fmt.Sprintf("%d/%d", d.Progress.Iteration, d.Progress.Most)
			for _, s := range d.Progress.Steps {
				line += " " + map[string]string{"": "open"}[s.State] + s.State
			}
			if len(seen) == 0 || seen[len(seen)-1] != line {
				seen = append(seen, line)
			}
		case d.Card != nil:
			c.send(wire.Up{Decide: &wire.Decide{Ref: "d", Approval: d.Card.ID, Allow: true}})
		case d.Delta != nil && (strings.Contains(d.Delta.Text, "DONE") || strings.Contains(d.Delta.Text, claw.TaskGoesOn)):
			t.Errorf("the user is shown %q", d.Delta.Text)
		case d.Reply != nil:
			done = true
			if d.Reply.Usage.Input != 60 {
				t.Errorf("the reply says %+v were spent, want the plan and all iterations: 60 in", d.Reply.Usage)
			}
		}
	}
	want := []string{"1/10 now open open", "1/10 done now open", "2/10 done now open", "2/10 done done now", "3/10 done done now", "3/10 done done open"}
	if !slices.Equal(seen, want) {
		t.Errorf("progress:\n%s\nwant\n%s", strings.Join(seen, "\n"), strings.Join(want, "\n"))
	}
}
