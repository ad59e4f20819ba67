package task_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/agent"
	"github.com/secureclaw/secureclaw/gateway/internal/audit"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/gateway/internal/llm"
	"github.com/secureclaw/secureclaw/gateway/internal/policy"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
	"github.com/secureclaw/secureclaw/gateway/internal/task"
	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// request is a message of three steps.
const request = "1. read a.txt\n2. read b.txt\n3. write both to c.txt"

const threeSteps = "1. Read a.txt.\n2. Read b.txt.\n3. Write both to c.txt."

// office is a runner on a real store, gate and agent; its model is a function.
type office struct {
	t      *testing.T
	db     *sqlite.DB
	runner *task.Runner
	said   int // messages

	mu    sync.Mutex
	asked []llm.Request
	looks []string // that the tool took
	shown strings.Builder
	// think answers an iteration's question: n is the iteration, calls how often its conversation has called.
	think func(n, calls int, brief string) llm.Reply
	plan  string                      // the answer to the planning question
	chat  func(llm.Request) llm.Reply // answers in the conversation itself
	limit int64                       // tokens of a task
	broke error                       // of the model, when it is to break
	why   string                      // no question may be put any more, when it is not empty
	full  func() bool                 // whether the disk is full now
}

// disk is a store whose writes fail while the disk is full.
type disk struct {
	*sqlite.DB
	full func() bool
}

var errFull = errors.New("no space left on device")

func (d disk) AppendTurn(ctx context.Context, session claw.SessionID, turn claw.Turn) error {
	if d.full() {
		return errFull
	}
	return d.DB.AppendTurn(ctx, session, turn)
}

func (d disk) BeginIteration(ctx context.Context, t claw.Task, child claw.Session) error {
	if d.full() {
		return errFull
	}
	return d.DB.BeginIteration(ctx, t, child)
}

func (d disk) SaveTask(ctx context.Context, t claw.Task, child claw.SessionID, last *claw.Turn) error {
	if d.full() {
		return errFull
	}
	return d.DB.SaveTask(ctx, t, child, last)
}

// Spend is the budget.
func (o *office) Spend(context.Context, claw.SessionID, claw.Origin) (string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.why, nil
}

func (o *office) Name() string { return "test/worker" }

func says(text string) llm.Reply {
	return llm.Reply{Text: text, Stop: llm.StopEnd, Usage: claw.Usage{Input: 90, Output: 10}}
}

func calls(tool, input string) llm.Reply {
	return llm.Reply{Stop: llm.StopTools, Usage: claw.Usage{Input: 90, Output: 10}, Calls: []claw.ToolCall{{ModelID: "m", Tool: tool, Input: input}}}
}

func (o *office) Ask(ctx context.Context, req llm.Request, onText func(string)) (llm.Reply, error) {
	o.mu.Lock()
	o.asked = append(o.asked, req)
	o.mu.Unlock()
	if o.broke != nil {
		return llm.Reply{}, o.broke
	}
	last := req.Turns[len(req.Turns)-1]
	reply := says("an ordinary answer")
	_, brief, working := strings.Cut(req.Turns[0].Text, "\n\n"+claw.TaskAsked+" ")
	switch {
	case req.NoCalls && strings.Contains(last.Text, claw.PlanAsked):
		reply = says(o.plan)
	case working:
		n, used := 0, 0
		_, _ = fmt.Sscanf(brief, "%d of", &n)
		for _, t := range req.Turns {
			used += len(t.Calls)
		}
		reply = o.think(n, used, brief)
	case o.chat != nil:
		reply = o.chat(req)
	}
	if reply.Text != "" {
		onText(reply.Text)
	}
	return reply, ctx.Err()
}

// look is a tool that reads something, and says so in its label.
type look struct{ o *office }

func (look) Spec() claw.Tool {
	return claw.Tool{Name: "look", Description: "looks", Schema: strict.Value(`{"type":"object"}`)}
}
func (look) Prepare(input []byte) (claw.Action, error) {
	var in struct {
		At string `json:"at"`
	}
	if err := strict.Decode(input, &in); err != nil {
		return claw.Action{}, err
	}
	canonical, err := strict.CanonicalOf(in)
	return claw.Action{Tool: "look", Input: canonical, TimeoutMS: 1000}, err
}
func (l look) Run(_ context.Context, call gate.Call, a claw.Action) claw.ToolResult {
	l.o.mu.Lock()
	defer l.o.mu.Unlock()
	l.o.looks = append(l.o.looks, fmt.Sprint(string(a.Input), " ", call.Label.Sources))
	return claw.ToolResult{Call: call.ID, Tool: "look", Status: claw.OK, Content: "seen",
		Label: claw.Label{Integrity: claw.External, Privacy: claw.Public, Sources: []string{"web " + string(a.Input)}}}
}

type quiet struct{}

func (quiet) Asked(gate.Approval)                                    {}
func (quiet) Decided(gate.Approval)                                  {}
func (quiet) Resumed(gate.Approval, claw.ToolResult)                 {}
func (quiet) Notify(gate.Call, claw.Action, claw.ToolResult, string) {}
func (quiet) Append(context.Context, audit.Record) (uint64, error)   { return 1, nil }
func (quiet) Note(audit.Record) error                                { return nil }
func (o *office) Progress(claw.Progress)                             {}
func (o *office) Began(claw.ToolCall)                                {}
func (o *office) Ended(claw.ToolCall, claw.ToolResult)               {}
func (o *office) Text(delta string)                                  { o.mu.Lock(); defer o.mu.Unlock(); o.shown.WriteString(delta) }

func newOffice(t *testing.T, change func(*office)) *office {
	t.Helper()
	o := &office{t: t, plan: threeSteps, think: func(int, int, string) llm.Reply { return says("the answer") }, full: func() bool { return false }}
	change(o)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "db"))
	must(err)
	t.Cleanup(func() { must(db.Close()) })
	o.db = db
	kept := disk{db, o.full}
	rules, err := policy.New(config.ActionTiers{AutoApprove: []config.Rule{{Tool: "look"}, {Tool: task.ToolPlan}}}, nil)
	must(err)
	door, err := gate.New(gate.Options{Tools: append(task.Tool(db, time.Now), look{o}), Policy: rules, Store: db.Approvals(), Audit: quiet{}, Asker: quiet{}})
	must(err)
	mind, err := agent.New(agent.Options{Model: o, Hands: door, History: kept, Budget: o, Leave: task.ToolPlan, MaxTokens: 100, Rounds: 4, Now: time.Now})
	must(err)
	o.runner, err = task.New(task.Options{Agent: mind, Store: kept, Fate: door.Fate, TokensPerTask: o.limit, Now: time.Now})
	must(err)
	_, err = db.CreateSession(t.Context(), claw.Session{ID: "s", Channel: "terminal", User: "0", Created: time.Now(), Label: claw.Label{Integrity: claw.ByUser, Privacy: claw.Public}})
	must(err)
	return o
}

// say is a message from its arrival to its stored answer.
func (o *office) say(text string) agent.Answer {
	o.t.Helper()
	o.said++
	msg := claw.Message{ID: fmt.Sprint("m", o.said), Session: "s", Text: text, Origin: claw.Origin{Channel: "terminal", User: "0"}, Label: claw.UserLabel(), At: time.Now()}
	if _, err := o.db.AcceptMessage(o.t.Context(), msg); err != nil {
		o.t.Fatal(err)
	}
	answer, err := o.runner.Answer(o.t.Context(), msg, "run", o)
	if err != nil {
		o.t.Fatalf("Answer(%q): %v", text, err)
	}
	if err := o.db.Answered(o.t.Context(), "terminal", msg.ID, answer.Text); err != nil {
		o.t.Fatal(err)
	}
	turns, err := o.db.Turns(o.t.Context(), "s", 1)
	if err != nil || len(turns) != 1 || turns[0].Text != answer.Text || turns[0].Role != claw.Assistant {
		o.t.Errorf("the last word of the conversation is %+v (%v), want the answer %q", turns, err, answer.Text)
	}
	return answer
}

func (o *office) task() claw.Task {
	o.t.Helper()
	t, found, err := o.db.LastTask(o.t.Context(), "s")
	if err != nil || !found {
		o.t.Fatalf("no task: %v", err)
	}
	return t
}
