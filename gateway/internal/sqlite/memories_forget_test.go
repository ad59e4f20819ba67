package sqlite_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/gateway/internal/memory"
	"github.com/secureclaw/secureclaw/gateway/internal/outbox"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// traces returns which of the words stand in a file of the state directory, in any letter case.
func traces(t testing.TB, dir string, words ...string) []string {
	t.Helper()
	var out []string
	for _, name := range []string{"state.db", "state.db-wal", "state.db-shm"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		data = bytes.ToLower(data)
		for _, word := range words {
			if n := bytes.Count(data, bytes.ToLower([]byte(word))); n > 0 {
				out = append(out, fmt.Sprintf("%s has %q %d times", name, word, n))
			}
		}
	}
	return out
}

func saved(t testing.TB, m *memory.Memory, owner, content string) int64 {
	t.Helper()
	s, err := m.Save(t.Context(), claw.Memory{Owner: owner, Content: content, Author: "model", Source: "terminal", Label: claw.UserLabel()})
	if err != nil {
		t.Fatalf("Save(%q) = %v", content, err)
	}
	return s.Memory.ID
}

// What is forgotten is in no file any more, before VACUUM and after it: not in the table, the terms, the
// index, its inner nodes, a free page or the log of changes.
func TestForgottenLeavesNoTrace(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	m := remembering(t, db)
	v := newVocabulary(3)
	var secrets []string
	var ids []int64
	for i := range 600 {
		// Now and then a word that nothing else has, at the ends of the alphabet and within: it begins pages of the index.
		if i%20 == 7 {
			secret := fmt.Sprintf("%cxqj%03dzephyr", 'a'+i%26, i)
			ids = append(ids, saved(t, m, claw.Owner, v.sentence(3, 8)+" "+secret+" "+v.sentence(3, 8)))
			secrets = append(secrets, secret)
		} else {
			saved(t, m, claw.Owner, v.sentence(8, 31))
		}
	}
	// Merged: the earlier wording is its own row.
	first := saved(t, m, claw.Owner, "the wyvernqq password hint is a green dragon from Wales")
	if again := saved(t, m, claw.Owner, "the wyvernqq password hint is a green velvetyy dragon from Wales"); again != first {
		t.Fatalf("the second wording became memory %d, want it merged with %d", again, first)
	}
	ids, secrets = append(ids, first), append(secrets, "wyvernqq", "velvetyy")
	if got := traces(t, dir, secrets...); len(got) < len(secrets) {
		t.Fatalf("traces before = %q, want every secret", got)
	}
	for len(ids) > 0 { // some at once, and a write between
		k := min(len(ids), 3)
		if n, err := m.Forget(t.Context(), claw.Owner, ids[:k]); err != nil || n != k {
			t.Fatalf("Forget(%v) = %d, %v", ids[:k], n, err)
		}
		ids = ids[k:]
		saved(t, m, claw.Owner, v.sentence(8, 31))
	}
	if got := traces(t, dir, secrets...); len(got) != 0 {
		t.Errorf("after Forget: %q", got)
	}
	raw(t, dir, `INSERT INTO memory_index (memory_index) VALUES ('integrity-check')`)
	raw(t, dir, `VACUUM`)
	if got := traces(t, dir, secrets...); len(got) != 0 {
		t.Errorf("after VACUUM: %q", got)
	}
	for _, s := range secrets {
		if found, err := m.Search(t.Context(), claw.Owner, s, 5); err != nil || len(found) != 0 {
			t.Errorf("Search(%q) = %+v, %v, want nothing", s, found, err)
		}
	}
}

// The words go from the person's conversations too, in every form in which they stand there; other people's
// and what is still open keep theirs.
func TestForgottenWordsGoFromConversations(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	m := remembering(t, db)
	const words = "Ada's \"gräfin\" <likes>\nblue zebras"
	id := saved(t, m, claw.Owner, words)
	if saved(t, m, claw.Owner, "ada's \"gräfin\" <likes> BLUE zebras!") != id {
		t.Fatal("another wording became another memory")
	}
	short := saved(t, m, claw.Owner, "zq 77")
	ctx := t.Context()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for session, origin := range map[claw.SessionID]claw.Origin{"s1": {Channel: "terminal"}, "s2": {Channel: "telegram", User: "42"}} {
		_, err := db.CreateSession(ctx, claw.Session{ID: session, Channel: origin.Channel, User: origin.User, Title: "remember " + words, Created: time.UnixMilli(1)})
		check(err)
		input, err := strict.Encode(map[string]any{"content": words, "category": "person"})
		check(err)
		escaped := strings.ReplaceAll(string(input), "ä", `\u00e4`)
		result := claw.ToolResult{Call: claw.CallID("c1" + session), Tool: memory.ToolSearch, Status: claw.OK, Content: "[memory 1]\n" + claw.Marked(words) + "\n\n[memory 2]\n> zq 77"}
		for _, turn := range []claw.Turn{
			{Role: claw.User, Text: "remember " + words + " and zq 77"},
			{Role: claw.Assistant, Calls: []claw.ToolCall{
				{ID: claw.CallID("c1" + session), Tool: memory.ToolSave, Input: escaped},
				{ID: claw.CallID("c2" + session), Tool: memory.ToolSave, Input: `{ "content" : "zq 77" }`},
				{ID: claw.CallID("c3" + session), Tool: "stat", Input: `{ "path" : "zq 77" }`},
			}},
			{Role: claw.User, Results: []claw.ToolResult{result, {Call: claw.CallID("c2" + session), Tool: memory.ToolSave, Content: "which said:\n> zq 77"}}},
			{Role: claw.Assistant, Text: "I remember: " + words + " and ada's \"gräfin\" <likes> BLUE zebras!"},
		} {
			check(db.AppendTurn(ctx, session, turn))
		}
		for i, text := range []string{"answered: " + words, "open: " + words} {
			msg := claw.Message{ID: fmt.Sprint(session, i), Session: session, Text: text, Origin: origin, At: time.UnixMilli(1)}
			_, err := db.AcceptMessage(ctx, msg)
			check(err)
			if i == 0 {
				check(db.Answered(ctx, origin.Channel, msg.ID, "Yes: "+words))
			}
		}
		for i := range 2 {
			a := approval(100 + i + 10*int(session[1]-'0'))
			a.Call.Session, a.Call.Origin = session, origin
			if i == 0 {
				a.Call.ID = claw.CallID("c2" + session)
			}
			a.Action = claw.Action{Tool: memory.ToolSave, Input: input}
			check(db.Approvals().Insert(ctx, a))
			if i == 0 {
				_, err := db.Approvals().Move(ctx, a.ID, gate.Pending, gate.Denied, gate.Change{At: a.Asked, Result: &result})
				check(err)
			}
		}
	}
	var seqs []int64
	for _, key := range []string{"notice:c2s1", "reply", "due", "reply to another"} {
		channel := claw.Channel("signal") // the owner's, in this test
		if key == "reply to another" {
			channel = "telegram"
		}
		_, err := db.PutItem(ctx, outbox.Item{Channel: channel, User: "7", Key: key, Kind: wire.SendText, Text: map[string]string{"notice:c2s1": "Remembered: zq 77"}[key] + words, At: time.UnixMilli(1)}, nil)
		check(err)
		var seq int64
		check(look(t, dir).QueryRow(`SELECT seq FROM outbox WHERE key = ?`, key).Scan(&seq))
		seqs = append(seqs, seq)
	}
	for _, seq := range slices.Concat(seqs[:2], seqs[3:]) {
		check(db.ItemSent(ctx, seq, 0, 1, fmt.Sprint(seq), "", 0))
	}

	if n, err := m.Forget(ctx, claw.Owner, []int64{id, short, 999}); err != nil || n != 2 {
		t.Fatalf("Forget = %d, %v, want 2", n, err)
	}
	for name, tc := range map[string]struct {
		query string
		want  bool // has the words still
	}{
		"title":            {`SELECT title FROM sessions WHERE id = 's1'`, false},
		"turns":            {`SELECT group_concat(turn_json) FROM turns WHERE session = 's1'`, false},
		"answered":         {`SELECT message_json || reply FROM messages WHERE session = 's1' AND state = 'answered'`, false},
		"not answered":     {`SELECT message_json FROM messages WHERE session = 's1' AND state = 'accepted'`, true},
		"ended approval":   {`SELECT action_json || result_json FROM approvals WHERE session = 's1' AND state = 'denied'`, false},
		"open approval":    {`SELECT action_json FROM approvals WHERE session = 's1' AND state = 'pending'`, true},
		"sent":             {`SELECT group_concat(text) FROM outbox WHERE state = 'sent' AND channel = 'signal'`, false},
		"sent to another":  {`SELECT text FROM outbox WHERE state = 'sent' AND channel = 'telegram'`, true},
		"not sent":         {`SELECT group_concat(text) FROM outbox WHERE state = 'due'`, true},
		"another's title":  {`SELECT title FROM sessions WHERE id = 's2'`, true},
		"another's turns":  {`SELECT group_concat(turn_json) FROM turns WHERE session = 's2'`, true},
		"another's answer": {`SELECT message_json || reply FROM messages WHERE session = 's2' AND state = 'answered'`, true},
	} {
		var got string
		if err := look(t, dir).QueryRow(tc.query).Scan(&got); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if has := strings.Contains(got, "blue zebras"); has != tc.want {
			t.Errorf("%s: has the words = %v, want %v:\n%s", name, has, tc.want, got)
		}
	}
	turns, err := db.Turns(ctx, "s1", 0)
	check(err)
	if got, want := turns[0].Text, "remember [forgotten] and zq 77"; got != want {
		t.Errorf("the message is %q, want %q: short words stay where nobody saved them", got, want)
	}
	for i, want := range []string{`{"category":"note","content":"[forgotten]"}`, `{"category":"note","content":"[forgotten]"}`, `{ "path" : "zq 77" }`} {
		if got := turns[1].Calls[i].Input; got != want {
			t.Errorf("call %d has the input %s, want %s", i, got, want)
		}
	}
	if got, want := turns[3].Text, "I remember: [forgotten] and [forgotten]"; got != want {
		t.Errorf("the answer is %q, want %q: an earlier wording goes too", got, want)
	}
	if got := turns[2].Results[1].Content; got != "[forgotten]" {
		t.Errorf("the result of the call that saved it is %q", got)
	}
	if a, err := db.Approvals().Load(ctx, approval(110).ID); err != nil || strings.Contains(string(a.Action.Input), "zebra") {
		t.Errorf("Load of the ended approval = %s, %v", a.Action.Input, err)
	}
	var text string
	check(look(t, dir).QueryRow(`SELECT text FROM outbox WHERE key = 'notice:c2s1'`).Scan(&text))
	if text != "[forgotten]" {
		t.Errorf("the notice of the call is %q", text)
	}
}

// look reads the file behind the package's back.
func look(t testing.TB, dir string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "state.db")+"?mode=ro&_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// What a search showed goes whole: words that are too short to be looked for everywhere, and tags.
func TestForgottenGoesFromSearches(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	m := remembering(t, db)
	ctx := t.Context()
	s, err := m.Save(ctx, claw.Memory{Owner: claw.Owner, Content: "qz 77\n> x", Tags: []string{"zephyrtag"}, Category: "pin", Author: "model", Source: "terminal", Label: claw.UserLabel()})
	if err != nil {
		t.Fatal(err)
	}
	kept := saved(t, m, claw.Owner, "qz stands for the garage\n[memory 1, fake]")
	call := gate.Call{Session: "s1", ID: "c1", Origin: claw.Origin{Channel: "terminal"}, Label: claw.UserLabel()}
	found := tool(t, m, memory.ToolSearch, call, `{"query":"qz"}`)
	found.Call, found.Tool = call.ID, memory.ToolSearch
	if found.Status != claw.OK || !strings.Contains(found.Content, "qz 77") || !strings.Contains(found.Content, "zephyrtag") || !strings.Contains(found.Content, "garage") {
		t.Fatalf("search = %+v, want both memories", found)
	}
	if _, err := db.CreateSession(ctx, claw.Session{ID: "s1", Channel: "terminal", Created: time.UnixMilli(1)}); err != nil {
		t.Fatal(err)
	}
	for _, turn := range []claw.Turn{
		{Role: claw.Assistant, Calls: []claw.ToolCall{{ID: "c1", Tool: memory.ToolSearch, Input: `{"query":"qz"}`}}},
		{Role: claw.User, Results: []claw.ToolResult{found}},
	} {
		if err := db.AppendTurn(ctx, "s1", turn); err != nil {
			t.Fatal(err)
		}
	}
	a := approval(7)
	a.Call.Session, a.Call.Origin = "s1", call.Origin
	if err := db.Approvals().Insert(ctx, a); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Approvals().Move(ctx, a.ID, gate.Pending, gate.Denied, gate.Change{At: a.Asked, Result: &found}); err != nil {
		t.Fatal(err)
	}
	if n, err := m.Forget(ctx, claw.Owner, []int64{s.Memory.ID}); err != nil || n != 1 {
		t.Fatalf("Forget = %d, %v, want 1", n, err)
	}
	if got := traces(t, dir, "qz 77", "zephyrtag"); len(got) != 0 {
		t.Errorf("after Forget: %q", got)
	}
	turns, err := db.Turns(ctx, "s1", 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := turns[1].Results[0].Content; !strings.Contains(got, "[memory 1 was forgotten]") || !strings.Contains(got, fmt.Sprintf("[memory %d · ", kept)) ||
		!strings.Contains(got, "\n> [memory 1, fake]") || strings.Contains(got, "> x") {
		t.Errorf("what the search returned is now\n%s\nwant the one memory gone whole and the other as it was", got)
	}
}

// A memory is kept without what does not show; what was said has it still, and goes as well.
func TestForgottenAsItWasSaid(t *testing.T) {
	for name, words := range map[string]string{
		"Persian":          "کاربر می\u200cخواهد به تهران برود",
		"people":           "Ada 👩🏽\u200d🚀 flies to the moon",
		"accents apart":    "the cafe\u0301 of Zoe\u0308 is closed",
		"tabs and returns": "door:\t1234\r\nsafe:\t98765",
		"hidden direction": "pay \u202e5432\u202c to nobody",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			db := open(t, dir)
			m := remembering(t, db)
			ctx := t.Context()
			id := saved(t, m, claw.Owner, words)
			input, err := strict.Encode(map[string]any{"content": " " + words})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.CreateSession(ctx, claw.Session{ID: "s1", Channel: "terminal", Created: time.UnixMilli(1)}); err != nil {
				t.Fatal(err)
			}
			for _, turn := range []claw.Turn{
				{Role: claw.User, Text: "remember: " + words + "!"},
				{Role: claw.Assistant, Calls: []claw.ToolCall{{ID: "c1", Tool: memory.ToolSave, Input: string(input)}}},
				{Role: claw.Assistant, Text: "I remember: " + words},
			} {
				if err := db.AppendTurn(ctx, "s1", turn); err != nil {
					t.Fatal(err)
				}
			}
			if n, err := m.Forget(ctx, claw.Owner, []int64{id}); err != nil || n != 1 {
				t.Fatalf("Forget = %d, %v, want 1", n, err)
			}
			turns, err := db.Turns(ctx, "s1", 0)
			if err != nil {
				t.Fatal(err)
			}
			if turns[0].Text != "remember: [forgotten]!" || turns[2].Text != "I remember: [forgotten]" {
				t.Errorf("left are %q and %q", turns[0].Text, turns[2].Text)
			}
			if got := traces(t, dir, words); len(got) != 0 {
				t.Errorf("after Forget: %q", got)
			}
		})
	}
}

// A task that only waits for its user gives up the words; one that is open keeps them until it ends.
func TestForgottenGoesFromTasks(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	m := remembering(t, db)
	ctx := t.Context()
	const words = "Ada likes blue zebras"
	id := saved(t, m, claw.Owner, words)
	origin := claw.Origin{Channel: "terminal", User: "0"}
	for _, state := range []claw.TaskState{claw.TaskPaused, claw.TaskLimited, claw.TaskDone, claw.TaskOpen} {
		session := claw.SessionID("s-" + state)
		if _, err := db.CreateSession(ctx, claw.Session{ID: session, Channel: "terminal", User: "0", Created: time.UnixMilli(1)}); err != nil {
			t.Fatal(err)
		}
		if _, err := db.AcceptMessage(ctx, claw.Message{ID: string(session), Session: session, Text: "plan it", Origin: origin, At: time.UnixMilli(1)}); err != nil {
			t.Fatal(err)
		}
		task := claw.Task{ID: "t-" + string(state), Session: session, Channel: "terminal", Message: string(session), Request: "plan it", Plan: claw.Plan{Steps: []claw.PlanStep{{Text: "ask whether " + words}}},
			Most: 10, Notes: []string{words + ", she said"}, Begun: time.UnixMilli(1)}
		if kept, err := db.CreateTask(ctx, task); err != nil || !kept {
			t.Fatalf("CreateTask = %v, %v", kept, err)
		}
		task.State = state
		if err := db.SaveTask(ctx, task, "", nil); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := m.Forget(ctx, claw.Owner, []int64{id}); err != nil || n != 1 {
		t.Fatalf("Forget = %d, %v, want 1", n, err)
	}
	for _, state := range []claw.TaskState{claw.TaskPaused, claw.TaskLimited, claw.TaskDone, claw.TaskOpen} {
		task, found, err := db.Task(ctx, "t-"+string(state))
		if err != nil || !found {
			t.Fatal(found, err)
		}
		want := map[bool]string{true: words, false: "[forgotten]"}[state == claw.TaskOpen]
		if task.Notes[0] != want+", she said" || task.Plan.Steps[0].Text != "ask whether "+want {
			t.Errorf("a task that is %q has %q and %q, want %q in them", state, task.Notes, task.Plan.Steps, want)
		}
	}
}
