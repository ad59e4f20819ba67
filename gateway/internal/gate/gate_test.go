package gate_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/internal/strict"
)

func TestAutoRunsAfterItsIntent(t *testing.T) {
	w := newWorld(t, nil)
	got := w.gate.Run(t.Context(), newCall("c1"), autoNote, []byte(` { "text" : "\u00631" } `))
	got.Duration = 0
	want := claw.ToolResult{Call: "c1", ModelID: "toolu_c1", Tool: autoNote, Status: claw.OK, Content: "noted c1", Label: claw.Label{Integrity: claw.Owned}, Tier: claw.Auto, Rule: "autoApprove[0]"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Run (-want +got):\n%s", diff)
	}
	w.wantEffects("c1")
	w.wantKinds("c1", "intent", "result")
}

func TestNotifyRunsAndTells(t *testing.T) {
	w := newWorld(t, nil)
	if got := w.gate.Run(t.Context(), newCall("c1"), tellNote, text("c1")); got.Status != claw.OK || got.Tier != claw.Notify {
		t.Errorf("Run = %+v, want ok by notify", got)
	}
	want := []string{`c1 tell_note {"text":"c1"} ok notify[0]`}
	if !slices.Equal(w.desk.notified, want) {
		t.Errorf("notified %q, want %q", w.desk.notified, want)
	}
}

func TestRefusals(t *testing.T) {
	for name, tc := range map[string]struct {
		tool  string
		input string
		want  string
	}{
		"a tool that does not exist":     {"format_disk", `{}`, `no tool "format_disk"`},
		"a tool in another case":         {"Auto_note", `{"text":"a"}`, "no tool"},
		"no tool":                        {"", `{}`, "no tool"},
		"an unknown field":               {autoNote, `{"text":"a","x":1}`, "unknown"},
		"a duplicate field":              {autoNote, `{"text":"a","text":"b"}`, "duplicate"},
		"a field in another case":        {autoNote, `{"Text":"a"}`, "unknown"},
		"a wrong type":                   {autoNote, `{"text":1}`, "does not fit"},
		"a value that the tool refuses":  {autoNote, `{"text":""}`, "one line"},
		"half an input":                  {autoNote, `{"text":"a`, "EOF"},
		"no input":                       {autoNote, ``, "empty"},
		"an input of 5 MB":               {autoNote, `{"text":"` + strings.Repeat("a", 5<<20) + `"}`, "5242891 bytes, the most is 524288"},
		"an input that makes it panic":   {autoNote, `{"text":"panic"}`, "could not be read"},
		"an action of another tool":      {"lying_note", `{"text":"a"}`, `prepared an action of "auto_note"`},
		"an action that is not one form": {"broken_note", `{"text":"a"}`, "single form"},
		"an action without arguments":    {"list_note", `{"text":"a"}`, "not an object"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(o *gate.Options) {
				for tool, shape := range map[string]func(*claw.Action){
					"lying_note":  func(a *claw.Action) { a.Tool = autoNote },
					"broken_note": func(a *claw.Action) { a.Input = strict.Value(`{"a":1,"a":2}`) },
					"list_note":   func(a *claw.Action) { a.Input = strict.Value(`[1]`) },
				} {
					o.Tools = append(o.Tools, &noteTool{name: tool, file: "/nonexistent", shape: shape})
				}
			})
			got := w.gate.Run(t.Context(), newCall("c1"), tc.tool, []byte(tc.input))
			if got.Status != claw.Refused || !strings.Contains(got.Content, tc.want) || got.Call != "c1" || got.ModelID != "toolu_c1" {
				t.Errorf("Run(%s, %.60s) = %+v, want it refused with %q", tc.tool, tc.input, got, tc.want)
			}
			w.wantEffects()
			w.wantKinds("c1", "refused")
		})
	}
}

func TestACallWithoutIdIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	for _, call := range []gate.Call{{}, {ID: "c1"}, {Session: "s1"}} {
		if got := w.gate.Run(t.Context(), call, autoNote, text("a")); got.Status != claw.Refused {
			t.Errorf("Run(%+v) = %+v, want it refused", call, got)
		}
	}
	w.wantEffects()
}

func TestWithoutAskerNothingThatNeedsAUserRuns(t *testing.T) {
	w := newWorld(t, func(o *gate.Options) { o.Asker = nil })
	for _, tool := range []string{askNote, tellNote} {
		got := w.gate.Run(t.Context(), newCall(tool), tool, text("a"))
		if got.Status != claw.Refused || !strings.Contains(got.Content, "no channel") {
			t.Errorf("Run(%s) = %+v, want it refused", tool, got)
		}
	}
	w.wantEffects()
	if got := w.gate.Run(t.Context(), newCall("c1"), autoNote, text("a")); got.Status != claw.OK {
		t.Errorf("Run(%s) = %+v, want ok", autoNote, got)
	}
}

func TestNilPolicyAsks(t *testing.T) {
	w := newWorld(t, func(o *gate.Options) { o.Policy = nil })
	out := w.start(t.Context(), "c1", autoNote)
	a := w.question()
	if a.Rule != "default" {
		t.Errorf("rule = %q, want default", a.Rule)
	}
	if _, err := w.gate.Decide(t.Context(), a.ID, no()); err != nil {
		t.Fatal(err)
	}
	if got := <-out; got.Status != claw.Denied {
		t.Errorf("Run = %+v, want denied", got)
	}
	w.wantEffects()
}

func TestAllowedRunsOnce(t *testing.T) {
	w := newWorld(t, nil)
	out := w.start(t.Context(), "c1", askNote)
	a := w.question()
	if a.State != gate.Pending || string(a.Action.Input) != `{"text":"c1"}` || a.Call.Label.Integrity != claw.ByUser || a.Call.Step != 1 || len(a.ID) != 32 || len(a.Code) != 4 {
		t.Errorf("question = %+v", a)
	}
	if got, err := w.gate.Pending(t.Context()); err != nil || len(got) != 1 || !cmp.Equal(got[0], a) {
		t.Errorf("Pending = %+v, %v, want the question as it was shown: %s", got, err, cmp.Diff([]gate.Approval{a}, got))
	}
	w.wantEffects()
	decided, err := w.gate.Decide(t.Context(), strings.ToLower(" "+a.Code), yes())
	if err != nil || decided.State != gate.Allowed {
		t.Fatalf("Decide = %+v, %v", decided, err)
	}
	if got := <-out; got.Status != claw.OK || got.Tier != claw.Ask || got.Rule != "default" {
		t.Errorf("Run = %+v, want ok", got)
	}
	w.wantEffects("c1")
	w.wantKinds("c1", "approval.asked", "approval.decided", "intent", "result")
	if got := w.desk.states("c1"); !slices.Equal(got, []gate.State{gate.Allowed, gate.Done}) {
		t.Errorf("card went through %q", got)
	}
	if got, err := w.gate.Decide(t.Context(), a.ID, no()); !errors.Is(err, gate.ErrDecided) || got.State != gate.Done || !strings.Contains(err.Error(), "allowed by 1000 on terminal") {
		t.Errorf("second Decide = %+v, %v, want ErrDecided with the standing decision", got, err)
	}
	history, err := w.gate.History(t.Context(), 5)
	if err != nil || len(history) != 1 || history[0].State != gate.Done || history[0].Result == nil || history[0].Result.Content != "noted c1" {
		t.Errorf("History = %+v, %v", history, err)
	}
}

func TestTheModelReadsWhyTheUserSaidNo(t *testing.T) {
	w := newWorld(t, nil)
	out := w.start(t.Context(), "c1", askNote)
	if _, err := w.gate.Decide(t.Context(), w.question().Code, no()); err != nil {
		t.Fatal(err)
	}
	if got := <-out; got.Status != claw.Denied || !strings.Contains(got.Content, "Their words: not today") {
		t.Errorf("Run = %+v, want denied with the user's words", got)
	}
	w.wantEffects()
	w.wantKinds("c1", "approval.asked", "approval.decided")
}

func TestDecideRefusesAnAnswerFromNobody(t *testing.T) {
	w := newWorld(t, nil)
	ctx, stop := context.WithCancel(t.Context())
	out := w.start(ctx, "c1", askNote)
	a := w.question()
	for _, d := range []gate.Decision{
		{Allow: true}, {Allow: true, By: "1"}, {Allow: true, Channel: "terminal"},
		{Allow: true, By: "Anna", Name: "Anna", Channel: "telegram"}, {Allow: true, By: "-7", Channel: "telegram"}, {Allow: true, By: "0", Channel: "telegram"},
		{Allow: true, By: "007", Channel: "telegram"}, {Allow: true, By: "+7", Channel: "telegram"}, {Allow: true, Name: "7", Channel: "telegram"},
	} {
		if _, err := w.gate.Decide(t.Context(), a.ID, d); !errors.Is(err, gate.ErrNobody) {
			t.Errorf("Decide(%+v) = %v, want ErrNobody", d, err)
		}
	}
	long := no()
	long.Reason = strings.Repeat("a", 5000)
	if _, err := w.gate.Decide(t.Context(), a.ID, long); err == nil {
		t.Error("Decide took a reason of 5000 bytes")
	}
	for _, id := range []string{"", "0000", strings.Repeat("0", 32), "%"} {
		if _, err := w.gate.Decide(t.Context(), id, yes()); !errors.Is(err, gate.ErrUnknown) {
			t.Errorf("Decide(%q) = %v, want ErrUnknown", id, err)
		}
	}
	stop()
	if got := <-out; got.Status != claw.Cancelled {
		t.Errorf("Run = %+v, want cancelled", got)
	}
	if got, err := w.gate.Decide(t.Context(), a.ID, yes()); !errors.Is(err, gate.ErrDecided) || got.State != gate.Cancelled {
		t.Errorf("Decide after the stop = %v, %v, want ErrDecided and cancelled", got.State, err)
	}
	w.wantEffects()
	w.wantKinds("c1", "approval.asked", "approval.expired")
}

func TestWhatIsNotRecordedDoesNotRun(t *testing.T) {
	for _, kind := range []string{"intent", "approval.asked", "all"} {
		for _, tool := range []string{askNote, tellNote, autoNote} {
			if kind == "approval.asked" && tool != askNote {
				continue
			}
			t.Run(kind+" of "+tool, func(t *testing.T) {
				w := newWorld(t, nil)
				w.audit.refuse = kind
				out := w.start(t.Context(), "c1", tool)
				if tool == askNote && kind == "intent" {
					if _, err := w.gate.Decide(t.Context(), w.question().ID, yes()); err != nil {
						t.Fatal(err)
					}
				}
				if got := <-out; got.Status != claw.Refused || !strings.Contains(got.Content, "no space left") {
					t.Errorf("Run = %+v, want it refused because of the log", got)
				}
				w.wantEffects()
				if len(w.desk.notified) > 0 {
					t.Errorf("notified %q of what did not run", w.desk.notified)
				}
				// Nothing may be left that runs later.
				got, err := w.gate.Recover(t.Context(), nil)
				if err != nil || len(got) != 0 {
					t.Errorf("Recover = %+v, %v, want nothing left", got, err)
				}
			})
		}
	}
}

func TestAResultThatIsNotRecordedIsStillTold(t *testing.T) {
	w := newWorld(t, nil)
	w.audit.refuse = "result"
	if got := w.gate.Run(t.Context(), newCall("c1"), autoNote, text("c1")); got.Status != claw.OK {
		t.Errorf("Run = %+v, want ok", got)
	}
	w.wantKinds("c1", "intent")
}

func TestACallIsAskedAboutOnce(t *testing.T) {
	w := newWorld(t, nil)
	out := w.start(t.Context(), "c1", askNote)
	a := w.question()
	if got := w.gate.Run(t.Context(), newCall("c1"), askNote, text("other")); got.Status != claw.Refused {
		t.Errorf("second Run of one call = %+v, want it refused", got)
	}
	if _, err := w.gate.Decide(t.Context(), a.ID, yes()); err != nil {
		t.Fatal(err)
	}
	<-out
	w.wantEffects("c1")
}

func TestAToolThatPanicsMayHaveHadEffects(t *testing.T) {
	w := newWorld(t, nil)
	for _, n := range w.tools {
		n.hook = func(context.Context) { panic("bug") }
	}
	if got := w.gate.Run(t.Context(), newCall("c1"), autoNote, text("c1")); got.Status != claw.Unknown {
		t.Errorf("Run = %+v, want unknown", got)
	}
	out := w.start(t.Context(), "c2", askNote)
	a := w.question()
	if _, err := w.gate.Decide(t.Context(), a.ID, yes()); err != nil {
		t.Fatal(err)
	}
	if got := <-out; got.Status != claw.Unknown {
		t.Errorf("Run = %+v, want unknown", got)
	}
	if got, err := w.gate.Approval(t.Context(), a.ID); err != nil || got.State != gate.Unknown {
		t.Errorf("Approval = %v, %v, want unknown", got.State, err)
	}
}

func TestCancelEndsASessionsQuestionsAlone(t *testing.T) {
	w := newWorld(t, nil)
	out := w.start(t.Context(), "c1", askNote)
	w.question()
	other := newCall("c2")
	other.Session = "s2"
	kept := make(chan claw.ToolResult, 1)
	go func() { kept <- w.gate.Run(t.Context(), other, askNote, text("c2")) }()
	b := w.question()
	if err := w.gate.Cancel(t.Context(), "s1"); err != nil {
		t.Fatal(err)
	}
	if got := <-out; got.Status != claw.Cancelled {
		t.Errorf("Run = %+v, want cancelled", got)
	}
	if _, err := w.gate.Decide(t.Context(), b.Code, yes()); err != nil {
		t.Errorf("Decide in the other session = %v", err)
	}
	if got := <-kept; got.Status != claw.OK {
		t.Errorf("Run in the other session = %+v, want ok", got)
	}
	w.wantEffects("c2")
}

func TestAStopBetweenTheAnswerAndTheStart(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	w := newWorld(t, func(o *gate.Options) {
		o.Step = func(step string) {
			if step == gate.StepDecided {
				stop()
			}
		}
	})
	out := w.start(ctx, "c1", askNote)
	a := w.question()
	if _, err := w.gate.Decide(t.Context(), a.ID, yes()); err != nil {
		t.Fatal(err)
	}
	if got := <-out; got.Status != claw.Cancelled {
		t.Errorf("Run = %+v, want cancelled", got)
	}
	if got, err := w.gate.Approval(t.Context(), a.ID); err != nil || got.State != gate.Cancelled {
		t.Errorf("Approval = %v, %v, want cancelled, so that no later life runs it", got.State, err)
	}
	w.wantEffects()
	w.wantKinds("c1", "approval.asked", "approval.decided", "approval.expired")
}

func TestNewRefuses(t *testing.T) {
	w := newWorld(t, nil)
	note := &noteTool{name: askNote}
	for name, o := range map[string]gate.Options{
		"no store":                 {Audit: w.audit},
		"no audit log":             {Store: w.db.Approvals()},
		"two tools of one name":    {Store: w.db.Approvals(), Audit: w.audit, Tools: []gate.Tool{note, note}},
		"a nil tool":               {Store: w.db.Approvals(), Audit: w.audit, Tools: []gate.Tool{nil}},
		"a tool without a name":    {Store: w.db.Approvals(), Audit: w.audit, Tools: []gate.Tool{&noteTool{}}},
		"a name models cannot say": {Store: w.db.Approvals(), Audit: w.audit, Tools: []gate.Tool{&noteTool{name: "a b"}}},
	} {
		if g, err := gate.New(o); err == nil || g != nil {
			t.Errorf("New with %s = %v, %v, want an error", name, g, err)
		}
	}
	var names []string
	for _, spec := range w.gate.Tools() {
		names = append(names, spec.Name)
	}
	if !slices.IsSorted(names) || len(names) != 3 {
		t.Errorf("Tools = %q, want three, sorted", names)
	}
}

func TestZeroStateAndDecisionAllowNothing(t *testing.T) {
	var s gate.State
	for _, to := range []gate.State{gate.Allowed, gate.Started, gate.Done} {
		if s.Leads(to) {
			t.Errorf("zero State leads to %s", to)
		}
	}
	w := newWorld(t, func(o *gate.Options) { o.Expiry = func(claw.Origin) time.Duration { return 0 } })
	if got := w.gate.Run(t.Context(), newCall("c1"), askNote, text("c1")); got.Status != claw.Expired {
		t.Errorf("Run with no time to answer = %+v, want expired", got)
	}
	w.wantEffects()
	if (gate.Decision{}).Allow {
		t.Error("zero Decision allows")
	}
}
