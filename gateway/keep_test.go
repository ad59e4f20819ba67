package gateway_test

import (
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/fake"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// managed asks about what is kept, and fails the test when that is refused.
func managed[Value any](h *home, conn *wire.Conn, what string, args any) Value {
	h.t.Helper()
	value, fault := tried[Value](h, conn, what, args)
	if fault != "" {
		h.t.Fatalf("%s %+v: %s", what, args, fault)
	}
	return value
}

// tried asks, and returns the value or why there is none.
func tried[Value any](h *home, conn *wire.Conn, what string, args any) (value Value, fault string) {
	h.t.Helper()
	data, ok := args.(strict.Value)
	if !ok {
		var err error
		if data, err = strict.Encode(args); err != nil {
			h.t.Fatal(err)
		}
	}
	if err := conn.Send(wire.Up{Manage: &wire.Manage{Ref: "r", What: what, Args: data}}); err != nil {
		h.t.Fatal(err)
	}
	h.await(conn, what, func(d wire.Down) bool {
		switch {
		case d.Answer != nil && d.Answer.Ref == "r":
			if err := strict.Decode(d.Answer.Value, &value); err != nil {
				h.t.Fatalf("%s: %v in %.200s", what, err, d.Answer.Value)
			}
			return true
		case d.Fault != nil:
			fault = d.Fault.What
			return true
		}
		return false
	})
	return value, fault
}

// A task that has spent its tokens pauses and says so; "go on" allows as much again. What it cost, its plan
// and the conversations that worked for it can be looked into from a terminal.
func TestATaskThatIsSpentPauses(t *testing.T) {
	model := fake.NewAnthropic(t)
	model.Script(
		fake.Answer{Calls: []fake.Call{{ID: "c1", Tool: "plan_task", Input: `{"steps":["read the notes","write a summary"]}`}}, Usage: fake.Usage{Input: 100, Output: 1}},
		fake.Answer{Text: "The notes are read.\n[DONE 1]\n[CONTINUE]", Usage: fake.Usage{Input: 900, Output: 100}},
		fake.Answer{Text: "The summary is written.\n[DONE 2]", Usage: fake.Usage{Input: 50, Output: 1}},
	)
	h := newHome(t)
	h.startWith(model, &hand{at: time.Now()}, config.Limits{TokensPerTask: 1000})
	terminal := h.dial("terminal")
	r := h.say(terminal, "talk", "m1", "Summarise my notes")
	if r.Outcome != wire.ReplyPaused || !strings.Contains(r.Text, "go on") || len(model.Requests()) != 2 {
		t.Errorf("the reply is %s %q after %d questions, want a pause after two", r.Outcome, r.Text, len(model.Requests()))
	}
	tasks := managed[wire.TasksPage](h, terminal, wire.ManageSessionsTasks, wire.SessionPart{ID: "talk"}).Tasks
	if len(tasks) != 1 || tasks[0].State != "paused" || tasks[0].Tokens < 1000 || len(tasks[0].Steps) != 2 || tasks[0].Steps[0].State != "done" {
		t.Fatalf("the tasks are %+v, want one that is paused at its first step", tasks)
	}
	if r = h.say(terminal, "talk", "m2", "go on"); r.Outcome != wire.ReplyDone || len(model.Requests()) != 3 {
		t.Errorf("after \"go on\" the reply is %s %q after %d questions", r.Outcome, r.Text, len(model.Requests()))
	}

	table := managed[wire.UsageTable](h, terminal, wire.ManageUsageSum, wire.UsageSum{By: wire.UsageByTask})
	if len(table.Rows) != 1 || table.Rows[0].Name != tasks[0].ID || table.Rows[0].About != "Summarise my notes" || table.Rows[0].Tokens != 1051 {
		t.Errorf("usage by task: %+v", table.Rows)
	}
	table = managed[wire.UsageTable](h, terminal, wire.ManageUsageSum, wire.UsageSum{By: wire.UsageBySession})
	if len(table.Rows) != 1 || table.Rows[0].Name != "talk" || table.Rows[0].Calls != 3 || table.Rows[0].Tokens != 1152 || table.Today != 1152 {
		t.Errorf("usage by session, with those that work for it: %+v", table)
	}

	if found := managed[wire.SessionsPage](h, terminal, wire.ManageSessionsList, wire.SessionsList{}); len(found.Sessions) != 1 || found.Sessions[0].ID != "talk" {
		t.Errorf("the list has %+v, want the conversation without its iterations", found)
	}
	children := managed[wire.SessionsPage](h, terminal, wire.ManageSessionsList, wire.SessionsList{Parent: "talk"}).Sessions
	if len(children) != 2 || children[0].Parent != "talk" || children[0].Task != tasks[0].ID {
		t.Errorf("its iterations are %+v", children)
	}
	first := managed[wire.SessionsPage](h, terminal, wire.ManageSessionsList, wire.SessionsList{All: true, Limit: 1})
	rest := managed[wire.SessionsPage](h, terminal, wire.ManageSessionsList, wire.SessionsList{All: true, Skip: first.Next})
	if len(first.Sessions) != 1 || len(rest.Sessions) != 2 || rest.Next != 0 {
		t.Errorf("all in two pages: %+v, %+v", first, rest)
	}
}

// What a terminal asks is read strictly, and a refusal says what is wrong.
func TestManageRefuses(t *testing.T) {
	h := newHome(t)
	h.start()
	terminal := h.dial("terminal")
	for name, tc := range map[string]struct {
		what, args, want string
	}{
		"an unknown name":         {"memories.burn", `{}`, "unknown request"},
		"an unknown key":          {wire.ManageMemoriesList, `{"off":"owner"}`, "cannot be read"},
		"another letter case":     {wire.ManageMemoriesForget, `{"IDs":[1]}`, "cannot be read"},
		"both":                    {wire.ManageMemoriesList, `{"of":"owner","all":true}`, "not both"},
		"nobody":                  {wire.ManageMemoriesList, `{"of":"telegram:0"}`, "nobody with memories"},
		"a limit below zero":      {wire.ManageMemoriesList, `{"limit":-1}`, "limit -1"},
		"a limit above all":       {wire.ManageMemoriesList, `{"limit":1001}`, "limit 1001"},
		"no words":                {wire.ManageMemoriesSearch, `{"query":" "}`, "needs words"},
		"a search of everybody's": {wire.ManageMemoriesSearch, `{"query":"x","all":true}`, "one person"},
		"no ids":                  {wire.ManageMemoriesForget, `{"ids":[]}`, "0 memories are named"},
		"an id that is not there": {wire.ManageMemoriesForget, `{"ids":[7]}`, "no memory #7"},
		"no rows":                 {wire.ManageMemoriesImport, `{"file":"f","rows":[]}`, "0 rows"},
		"no file":                 {wire.ManageMemoriesImport, `{"file":"","rows":[{"line":1,"memory":{"content":"x"}}]}`, "name of its file"},
		"a file of two lines":     {wire.ManageMemoriesImport, `{"file":"a\nb","rows":[{"line":1,"memory":{"content":"x"}}]}`, "name of its file"},
		"no session":              {wire.ManageSessionsShow, `{"id":"x"}`, `no session "x"`},
		"no session to stop":      {wire.ManageSessionsStop, `{"id":""}`, "no session"},
		"a skip below zero":       {wire.ManageSessionsList, `{"skip":-1}`, "skip -1"},
		"usage by colour":         {wire.ManageUsageSum, `{"by":"colour"}`, "want day"},
		"usage of no days":        {wire.ManageUsageSum, `{"days":-1}`, "want 1 to"},
	} {
		if _, fault := tried[strict.Value](h, terminal, tc.what, strict.Value(tc.args)); !strings.Contains(fault, tc.want) {
			t.Errorf("%s: %s %s is refused with %q, want %q in it", name, tc.what, tc.args, fault, tc.want)
		}
	}
}
