package gate_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/audit"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/gateway/internal/policy"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// The tools of these tests. Each appends a line to a file; only their tiers differ.
const (
	askNote  = "ask_note"
	tellNote = "tell_note"
	autoNote = "auto_note"
)

func noteRules() (*policy.Policy, error) {
	return policy.New(config.ActionTiers{
		Notify:      []config.Rule{{Tool: tellNote}},
		AutoApprove: []config.Rule{{Tool: autoNote}},
	}, nil)
}

func rules(t testing.TB) *policy.Policy {
	t.Helper()
	p, err := noteRules()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// noteTool appends its text as one line to a file: an effect that can be counted after a crash.
type noteTool struct {
	name  string
	file  string
	hook  func(ctx context.Context) // called after the effect
	shape func(*claw.Action)        // changes what Prepare returns
}

type noteInput struct {
	Text string `json:"text"`
	Note string `json:"note,omitzero"`
}

func (n *noteTool) Spec() claw.Tool {
	return claw.Tool{Name: n.name, Description: "append a line", Schema: strict.Value(`{"type":"object"}`)}
}

func (n *noteTool) Prepare(input []byte) (claw.Action, error) {
	var in noteInput
	if err := strict.Decode(input, &in); err != nil {
		return claw.Action{}, err
	}
	if in.Text == "" || strings.Contains(in.Text, "\n") {
		return claw.Action{}, errors.New("text must be one line")
	}
	if in.Text == "panic" {
		panic("hostile input")
	}
	canonical, err := strict.CanonicalOf(in)
	if err != nil {
		return claw.Action{}, err
	}
	a := claw.Action{Tool: n.name, Input: canonical}
	if n.shape != nil {
		n.shape(&a)
	}
	return a, nil
}

func (n *noteTool) Run(ctx context.Context, call gate.Call, action claw.Action) claw.ToolResult {
	var in noteInput
	if err := strict.Decode(action.Input, &in); err != nil {
		return claw.ToolResult{Status: claw.Failed, Content: err.Error()}
	}
	f, err := os.OpenFile(n.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return claw.ToolResult{Status: claw.Failed, Content: err.Error()}
	}
	_, err = fmt.Fprintln(f, in.Text)
	if err := errors.Join(err, f.Close()); err != nil {
		return claw.ToolResult{Status: claw.Failed, Content: err.Error()}
	}
	if n.hook != nil {
		n.hook(ctx)
	}
	if ctx.Err() != nil {
		return claw.ToolResult{Status: claw.Cancelled, Content: "stopped"}
	}
	return claw.ToolResult{Status: claw.OK, Content: "noted " + in.Text, Label: claw.Label{Integrity: claw.Owned}}
}

// ledger is an audit log in memory that can be told to fail.
type ledger struct {
	mu      sync.Mutex
	records []audit.Record
	refuse  string // kind of record that is not taken, or "all"
}

var errFull = errors.New("no space left on device")

func (l *ledger) Append(_ context.Context, r audit.Record) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuse == r.Kind || l.refuse == "all" {
		return 0, errFull
	}
	l.records = append(l.records, r)
	return uint64(len(l.records)), nil
}

func (l *ledger) Note(r audit.Record) error {
	_, err := l.Append(context.Background(), r)
	return err
}

// kinds returns the kinds of a call's records in their order.
func (l *ledger) kinds(call claw.CallID) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, r := range l.records {
		if r.Call == string(call) {
			out = append(out, r.Kind)
		}
	}
	return out
}

// desk is the user's side: it keeps what it was shown.
type desk struct {
	mu       sync.Mutex
	decided  []gate.Approval
	resumed  map[claw.CallID][]claw.ToolResult
	notified []string
	asked    chan gate.Approval
	// resumedOne has one value for each result that went up.
	resumedOne chan struct{}
}

func newDesk() *desk {
	return &desk{asked: make(chan gate.Approval, 1000), resumedOne: make(chan struct{}, 1000), resumed: map[claw.CallID][]claw.ToolResult{}}
}

func (d *desk) Asked(a gate.Approval) { d.asked <- a }

func (d *desk) Decided(a gate.Approval) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.decided = append(d.decided, a)
}

func (d *desk) Resumed(a gate.Approval, r claw.ToolResult) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.resumed[a.Call.ID] = append(d.resumed[a.Call.ID], r)
	d.resumedOne <- struct{}{}
}

func (d *desk) Notify(call gate.Call, a claw.Action, r claw.ToolResult, rule string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.notified = append(d.notified, fmt.Sprintf("%s %s %s %s %s", call.ID, a.Tool, a.Input, r.Status, rule))
}

// states returns the states that the user's card of a call went through.
func (d *desk) states(call claw.CallID) []gate.State {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []gate.State
	for _, a := range d.decided {
		if a.Call.ID == call {
			out = append(out, a.State)
		}
	}
	return out
}

func (d *desk) results(call claw.CallID) []claw.ToolResult {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.resumed[call])
}

// world is a gate with real storage, and everything around it that a test looks at.
type world struct {
	testing.TB
	dir   string
	file  string // what the tools wrote
	db    *sqlite.DB
	audit *ledger
	desk  *desk
	tools []*noteTool
	opts  gate.Options
	gate  *gate.Gate
}

// newWorld opens a gate in a new directory; change may alter its options.
func newWorld(t testing.TB, change func(*gate.Options)) *world {
	t.Helper()
	w := &world{TB: t, dir: t.TempDir(), audit: &ledger{}, desk: newDesk()}
	w.file = filepath.Join(w.dir, "effects")
	for _, name := range []string{askNote, tellNote, autoNote} {
		w.tools = append(w.tools, &noteTool{name: name, file: w.file})
	}
	var err error
	if w.db, err = sqlite.Open(t.Context(), filepath.Join(w.dir, "state")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.db.Close(); err != nil {
			t.Error(err)
		}
	})
	w.opts = gate.Options{Policy: rules(t), Store: w.db.Approvals(), Audit: w.audit, Asker: w.desk}
	for _, n := range w.tools {
		w.opts.Tools = append(w.opts.Tools, n)
	}
	if change != nil {
		change(&w.opts)
	}
	w.restart()
	return w
}

// restart makes a new gate on what is stored, as after the end of the process.
func (w *world) restart() {
	w.Helper()
	var err error
	if w.gate, err = gate.New(w.opts); err != nil {
		w.Fatal(err)
	}
}

// effects returns the lines that the tools wrote.
func (w *world) effects() []string {
	w.Helper()
	data, err := os.ReadFile(w.file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		w.Fatal(err)
	}
	return strings.Fields(string(data))
}

func (w *world) wantEffects(want ...string) {
	w.Helper()
	if got := w.effects(); !slices.Equal(got, want) {
		w.Errorf("effects = %q, want %q", got, want)
	}
}

func (w *world) wantKinds(call claw.CallID, want ...string) {
	w.Helper()
	if got := w.audit.kinds(call); !slices.Equal(got, want) {
		w.Errorf("audit records of %s = %q, want %q", call, got, want)
	}
}

func newCall(id string) gate.Call {
	return gate.Call{ID: claw.CallID(id), ModelID: "toolu_" + id, Session: "s1", Run: "r1", Origin: claw.Origin{Channel: "terminal", User: "1000"}, Label: claw.UserLabel(), Step: 1}
}

func text(s string) []byte { return fmt.Appendf(nil, `{"text":%q}`, s) }

// start runs a call beside the test.
func (w *world) start(ctx context.Context, id, tool string) <-chan claw.ToolResult {
	out := make(chan claw.ToolResult, 1)
	go func() { out <- w.gate.Run(ctx, newCall(id), tool, text(id)) }()
	return out
}

// question waits for the next card.
func (w *world) question() gate.Approval {
	w.Helper()
	select {
	case a := <-w.desk.asked:
		return a
	case <-time.After(time.Minute):
		w.Fatal("no question was asked")
		return gate.Approval{}
	}
}

func yes() gate.Decision { return gate.Decision{Allow: true, By: "1000", Channel: "terminal"} }
func no() gate.Decision  { return gate.Decision{Reason: "not today", By: "1000", Channel: "terminal"} }

// own runs the owner loop until the test ends.
func (w *world) own(g *gate.Gate) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.RunExpiry(ctx) }()
	w.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.Errorf("RunExpiry = %v", err)
		}
	})
}
