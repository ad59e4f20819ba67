package gate_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/gateway/internal/policy"
)

// readingNote says of itself whether it only reads.
type readingNote struct {
	*noteTool
	only bool
}

func (r readingNote) ReadsOnly() bool { return r.only }

func inExecutor(mounts ...claw.MountGrant) func(*claw.Action) {
	return func(a *claw.Action) { a.Executor, a.Mounts = "file", mounts }
}

func lateCall(id string, late time.Duration) gate.Call {
	call := newCall(id)
	call.Origin = claw.Origin{Channel: "telegram", User: "7", Late: claw.Elapsed(late)}
	return call
}

func TestLateMessagesAskBeforeTheyAct(t *testing.T) {
	reads, writes := claw.MountGrant{Name: "notes", Mode: "ro"}, claw.MountGrant{Name: "workspace", Mode: "rw"}
	for name, tc := range map[string]struct {
		tool string
		wrap func(*noteTool) gate.Tool
		late time.Duration
		asks string // the rule on the card; empty: it runs
	}{
		"a message in time":         {autoNote, nil, 0, ""},
		"in time, and tells":        {tellNote, nil, 0, ""},
		"tells":                     {tellNote, nil, 12 * time.Minute, "notify[0]; asked because the message was 12 min old when it arrived"},
		"tells, and only reads":     {tellNote, shaped(inExecutor(reads)), 5 * time.Minute, "notify[0]; asked because the message was 5 min old when it arrived"},
		"runs, and writes a folder": {autoNote, shaped(inExecutor(reads, writes)), 192 * time.Minute, "autoApprove[0]; asked because the message was 3 h 12 min old when it arrived"},
		"runs, and only reads":      {autoNote, shaped(inExecutor(reads)), 3 * time.Hour, ""},
		"runs without a folder":     {autoNote, shaped(inExecutor()), 3 * time.Hour, ""},
		"opens a page":              {autoNote, shaped(func(a *claw.Action) { a.Executor, a.Domains = "web", []string{"example.com"} }), time.Hour, "autoApprove[0]; asked because the message was 1 h 0 min old when it arrived"},
		"opens a page, in time":     {autoNote, shaped(func(a *claw.Action) { a.Executor, a.Domains = "web", []string{"example.com"} }), 0, ""},
		"reaches the world from inside": {autoNote, func(n *noteTool) gate.Tool {
			n.shape = func(a *claw.Action) { a.Domains = []string{"example.com"} }
			return readingNote{n, true}
		}, time.Hour, "autoApprove[0]; asked because the message was 1 h 0 min old when it arrived"},
		"a mode that nobody knows":        {autoNote, shaped(inExecutor(claw.MountGrant{Name: "notes", Mode: ""})), time.Hour, "autoApprove[0]; asked because the message was 1 h 0 min old when it arrived"},
		"inside the gateway":              {autoNote, nil, time.Hour, "autoApprove[0]; asked because the message was 1 h 0 min old when it arrived"},
		"inside, and says that it reads":  {autoNote, func(n *noteTool) gate.Tool { return readingNote{n, true} }, time.Hour, ""},
		"inside, and says that it writes": {autoNote, func(n *noteTool) gate.Tool { return readingNote{n, false} }, time.Hour, "autoApprove[0]; asked because the message was 1 h 0 min old when it arrived"},
		"says that it reads, and writes":  {autoNote, func(n *noteTool) gate.Tool { n.shape = inExecutor(writes); return readingNote{n, true} }, time.Hour, "autoApprove[0]; asked because the message was 1 h 0 min old when it arrived"},
		"asks anyway":                     {askNote, nil, time.Hour, "default"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(o *gate.Options) {
				for i, tool := range o.Tools {
					if n := tool.(*noteTool); n.name == tc.tool && tc.wrap != nil {
						o.Tools[i] = tc.wrap(n)
					}
				}
			})
			out := make(chan claw.ToolResult, 1)
			go func() { out <- w.gate.Run(t.Context(), lateCall("c1", tc.late), tc.tool, text("c1")) }()
			if tc.asks == "" {
				if got := <-out; got.Status != claw.OK || len(w.desk.asked) != 0 {
					t.Errorf("Run = %+v, and asked %d times; want it run unasked", got, len(w.desk.asked))
				}
				return
			}
			a := w.question()
			w.wantEffects()
			if a.Rule != tc.asks || strings.Contains(a.Reason, "old when") {
				t.Errorf("asked by %q because %q, want rule %q", a.Rule, a.Reason, tc.asks)
			}
			if _, err := w.gate.Decide(t.Context(), a.ID, yes()); err != nil {
				t.Fatal(err)
			}
			if got := <-out; got.Status != claw.OK || got.Rule != tc.asks || got.Tier != claw.Ask {
				t.Errorf("Run = %+v, want it run by %q", got, tc.asks)
			}
			w.wantEffects("c1")
			if len(w.desk.notified) != 0 {
				t.Errorf("told %q, although the user had been asked", w.desk.notified)
			}
		})
	}
}

func shaped(shape func(*claw.Action)) func(*noteTool) gate.Tool {
	return func(n *noteTool) gate.Tool { n.shape = shape; return n }
}

// What is refused in time is refused late, and without anybody to ask nothing late acts.
func TestLateIsNoWayAroundARefusal(t *testing.T) {
	w := newWorld(t, func(o *gate.Options) { o.Asker = nil })
	for name, input := range map[string]string{"format_disk": `{}`, autoNote: `{"text":""}`, tellNote: `{"text":"a"}`, askNote: `{"text":"a"}`} {
		if got := w.gate.Run(t.Context(), lateCall(name, time.Hour), name, []byte(input)); got.Status != claw.Refused {
			t.Errorf("Run(%s, %s) = %+v, want it refused", name, input, got)
		}
	}
	if got := w.gate.Run(t.Context(), lateCall("c1", time.Hour), autoNote, text("c1")); got.Status != claw.Refused || !strings.Contains(got.Content, "no channel") {
		t.Errorf("Run = %+v, want it refused: it would have to ask", got)
	}
	w.wantEffects()
}

// An answer that comes after a restart runs the call once, and its card still says why it was asked.
func TestALateCallIsResumed(t *testing.T) {
	w := newWorld(t, nil)
	ctx, stop := context.WithCancelCause(t.Context())
	out := make(chan claw.ToolResult, 1)
	go func() { out <- w.gate.Run(ctx, lateCall("c1", 2*time.Hour), autoNote, text("c1")) }()
	a := w.question()
	stop(gate.ErrShutdown)
	if got := <-out; got.Status != claw.Cancelled {
		t.Fatalf("Run = %+v, want it to wait for the restart", got)
	}
	w.restart()
	if _, err := w.gate.Recover(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	w.own(w.gate)
	w.wantEffects()
	const rule = "autoApprove[0]; asked because the message was 2 h 0 min old when it arrived"
	stored, err := w.gate.Approval(t.Context(), a.ID)
	if err != nil || stored.Rule != rule || stored.Call.Origin != lateCall("c1", 2*time.Hour).Origin {
		t.Errorf("stored question = %+v, %v; want rule %q and its origin", stored, err, rule)
	}
	if _, err := w.gate.Decide(t.Context(), a.ID, yes()); err != nil {
		t.Fatal(err)
	}
	if got := w.awaitResumed("c1"); got.Status != claw.OK || got.Rule != rule {
		t.Errorf("resumed = %+v, want ok by %q", got, rule)
	}
	w.wantEffects("c1")
}

// Whatever a call is, that its message is late never lets it pass more easily.
func TestLateNeverLowersATier(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := policy.Verdict{Tier: rapid.SampledFrom([]claw.Tier{claw.Ask, claw.Notify, claw.Auto}).Draw(t, "tier"), Rule: rapid.String().Draw(t, "rule")}
		action := claw.Action{Executor: rapid.SampledFrom([]string{"", "file", "shell", "web"}).Draw(t, "executor")}
		action.Domains = rapid.SliceOfN(rapid.SampledFrom([]string{"example.com", ""}), 0, 2).Draw(t, "domains")
		for range rapid.IntRange(0, 3).Draw(t, "mounts") {
			action.Mounts = append(action.Mounts, claw.MountGrant{Name: "m", Mode: rapid.SampledFrom([]string{"ro", "rw", "", "RO"}).Draw(t, "mode")})
		}
		var tool gate.Tool = &noteTool{}
		if rapid.Bool().Draw(t, "says") {
			tool = readingNote{&noteTool{}, rapid.Bool().Draw(t, "reads")}
		}
		late := claw.Elapsed(rapid.Int64().Draw(t, "late"))
		got := gate.ForLate(claw.Origin{Late: late}, tool, action, v)
		if got.Tier > v.Tier || !strings.HasPrefix(got.Rule, v.Rule) {
			t.Fatalf("late %v: %+v became %+v", late, v, got)
		}
		if late == 0 && got != v {
			t.Fatalf("in time, and still %+v became %+v", v, got)
		}
		if late != 0 && got.Tier == claw.Notify {
			t.Fatalf("late %v: %+v still only tells", late, v)
		}
		if late != 0 && len(action.Domains) > 0 && got.Tier != claw.Ask {
			t.Fatalf("late %v: %+v that reaches %q is %v", late, v, action.Domains, got.Tier)
		}
		for _, m := range action.Mounts {
			if late != 0 && m.Mode == "rw" && got.Tier != claw.Ask {
				t.Fatalf("late %v: %+v with a writable folder is %v", late, v, got.Tier)
			}
		}
	})
}
