package sqlite_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// What is kept of a task comes back, with what was spent in its iterations and nowhere else.
func TestTaskComesBack(t *testing.T) {
	db, ctx := open(t, t.TempDir()), t.Context()
	at := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := db.CreateSession(ctx, claw.Session{ID: "s", Channel: "terminal", User: "0", Created: at, Label: claw.UserLabel()})
	must(err)
	_, err = db.AcceptMessage(ctx, claw.Message{ID: "m", Session: "s", Text: "x", Origin: claw.Origin{Channel: "terminal", User: "0"}, At: at})
	must(err)
	want := claw.Task{
		ID: "t", Session: "s", Channel: "terminal", Message: "m", Request: "x", Below: "y", Plan: claw.Plan{Steps: []claw.PlanStep{{Text: "a"}, {Text: "b"}}},
		Most: 10, Grants: 1, Planning: claw.Usage{Input: 5}, Usage: claw.Usage{Input: 5}, Begun: at,
	}
	kept, err := db.CreateTask(ctx, want)
	if err != nil || !kept {
		t.Fatalf("CreateTask = %v, %v", kept, err)
	}
	want.Iteration, want.Child = 1, "t-1"
	must(db.BeginIteration(ctx, want, claw.Session{ID: "t-1", Channel: "terminal", User: "0", Created: at, Label: claw.UserLabel()}))
	if err := db.BeginIteration(ctx, want, claw.Session{ID: "t-1", Channel: "terminal", User: "0", Created: at}); err == nil {
		t.Error("an iteration began twice")
	}
	for _, session := range []claw.SessionID{"t-1", "s"} {
		must(db.AddUsage(ctx, claw.ModelCall{Session: session, Model: "m", Usage: claw.Usage{Input: 7, CacheRead: 1}, At: at}))
	}
	want.Usage = claw.Usage{Input: 12, CacheRead: 1}
	want.Notes, want.Counts = []string{"n"}, map[claw.Status]int{claw.OK: 2}
	want.Plan.Steps[0].State = claw.StepDone
	must(db.SaveTask(ctx, want, "t-1", nil))
	for name, find := range map[string]func() (claw.Task, bool, error){
		"Task":       func() (claw.Task, bool, error) { return db.Task(ctx, "t") },
		"TaskFor":    func() (claw.Task, bool, error) { return db.TaskFor(ctx, "terminal", "m") },
		"TaskAtWork": func() (claw.Task, bool, error) { return db.TaskAtWork(ctx, "s") },
		"LastTask":   func() (claw.Task, bool, error) { return db.LastTask(ctx, "s") },
		"TaskOf":     func() (claw.Task, bool, error) { return db.TaskOf(ctx, "t-1") },
	} {
		got, found, err := find()
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || !found || err != nil {
			t.Errorf("%s = %v, %v (-want +got):\n%s", name, found, err, diff)
		}
	}
	want.State, want.Answer, want.Child = claw.TaskDone, "the answer", ""
	if err := db.SaveTask(ctx, want, "no such session", &claw.Turn{Role: claw.Assistant, Text: "the answer"}); err == nil {
		t.Error("the label of a session that is not there was joined")
	}
	if turns, err := db.Turns(ctx, "s", 0); err != nil || len(turns) != 0 {
		t.Errorf("turns = %+v (%v), want none: all or nothing", turns, err)
	}
	must(db.SaveTask(ctx, want, "t-1", &claw.Turn{Role: claw.Assistant, Text: "the answer"}))
	if _, found, err := db.TaskAtWork(ctx, "s"); found || err != nil {
		t.Errorf("TaskAtWork = %v, %v behind the end", found, err)
	}
	if turns, err := db.Turns(ctx, "s", 0); err != nil || len(turns) != 1 || turns[0].Text != "the answer" {
		t.Errorf("turns = %+v (%v), want the answer", turns, err)
	}
	if parent, err := db.Parent(ctx, "t-1"); parent != "s" || err != nil {
		t.Errorf("Parent = %q, %v", parent, err)
	}
}

// Whatever iterations read, and whatever their conversation reads beside them: no label is ever lost on the
// way from one to the next.
func TestLabelsOfIterationsOnlyGrow(t *testing.T) {
	db, ctx := open(t, t.TempDir()), t.Context()
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		root := claw.SessionID(rapid.StringMatching(`[a-z]{1,4}`).Draw(t, "root") + time.Duration(run).String())
		label := rapid.Custom(func(t *rapid.T) claw.Label {
			return claw.Label{
				Integrity: rapid.SampledFrom([]claw.Integrity{claw.External, claw.Owned, claw.ByUser}).Draw(t, "integrity"),
				Privacy:   rapid.SampledFrom([]claw.Privacy{claw.Private, claw.Public}).Draw(t, "privacy"),
				Sources:   rapid.SliceOfNDistinct(rapid.StringMatching(`[a-f]`), 0, 3, rapid.ID).Draw(t, "sources"),
			}
		})
		must := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		all := label.Draw(t, "of the conversation")
		_, err := db.CreateSession(ctx, claw.Session{ID: root, Channel: "terminal", User: "0", Created: time.Now(), Label: all})
		must(err)
		task := claw.Task{ID: string(root), Session: root, Channel: "terminal", Message: string(root)}
		_, err = db.CreateTask(ctx, task)
		must(err)
		for n := range rapid.IntRange(1, 4).Draw(t, "iterations") {
			child := claw.SessionID(string(root) + "-" + time.Duration(n).String())
			must(db.BeginIteration(ctx, task, claw.Session{ID: child, Channel: "terminal", User: "0", Created: time.Now(), Label: claw.Label{Integrity: claw.ByUser, Privacy: claw.Public}}))
			got, err := db.Label(ctx, child)
			must(err)
			if !cmp.Equal(all.Join(all), got, cmpopts.EquateEmpty()) {
				t.Fatalf("iteration %d begins with %+v, want %+v", n, got, all)
			}
			read, beside := label.Draw(t, "read in it"), label.Draw(t, "read beside it")
			must(db.SetLabel(ctx, child, got.Join(read)))
			must(db.SetLabel(ctx, root, all.Join(beside)))
			must(db.SaveTask(ctx, task, child, nil))
			all = all.Join(beside).Join(read)
			got, err = db.Label(ctx, root)
			must(err)
			if got.Integrity != all.Integrity || got.Privacy != all.Privacy || !cmp.Equal(slices.Sorted(slices.Values(all.Sources)), slices.Sorted(slices.Values(got.Sources)), cmpopts.EquateEmpty()) {
				t.Fatalf("after iteration %d the conversation has %+v, want %+v", n, got, all)
			}
		}
	})
}
