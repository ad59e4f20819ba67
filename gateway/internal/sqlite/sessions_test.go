package sqlite_test

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
)

// A conversation that works for another one is found by it, and by nobody's list.
func TestFamily(t *testing.T) {
	db := open(t, t.TempDir())
	works := func(id, parent, task string, created int64) claw.Session {
		s := session(id, "telegram", "7", created)
		s.Parent, s.Task = claw.SessionID(parent), task
		return s
	}
	first, second, grandchild := works("t1-1", "s1", "t1", 2), works("t1-2", "s1", "t1", 3), works("t2-1", "t1-2", "t2", 4)
	create(t, db, session("s1", "telegram", "7", 1), second, first, grandchild, session("s2", "telegram", "7", 5))

	if got, err := db.Session(t.Context(), "t1-1"); err != nil || !cmp.Equal(got, first) {
		t.Errorf("Session(t1-1) = %+v, %v, want %+v", got, err, first)
	}
	if _, err := db.Session(t.Context(), "nobody"); !errors.Is(err, sqlite.ErrNoSession) {
		t.Errorf("Session(nobody) = %v, want ErrNoSession", err)
	}
	if got, err := db.Children(t.Context(), "s1"); err != nil || !cmp.Equal(got, []claw.Session{first, second}) {
		t.Errorf("Children(s1) = %+v, %v, want the two of the task, the oldest first", got, err)
	}
	for id, want := range map[claw.SessionID]string{"s1": "[s1 t1-1 t1-2 t2-1]", "t1-2": "[t1-2 t2-1]", "s2": "[s2]", "nobody": "[]", "": "[]"} {
		if got, err := db.Family(t.Context(), id); err != nil || fmt.Sprint(got) != want {
			t.Errorf("Family(%s) = %v, %v, want %s", id, got, err, want)
		}
	}
	if got, err := db.Children(t.Context(), ""); err != nil || got != nil {
		t.Errorf("Children of no session = %+v, %v, want none", got, err)
	}
	of, err := db.SessionsOf(t.Context(), "telegram", "7", 0)
	if err != nil || len(of) != 2 || of[0].ID != "s2" || of[1].ID != "s1" {
		t.Errorf("SessionsOf = %+v, %v, want s2 and s1 alone", of, err)
	}
	if all, err := db.Sessions(t.Context()); err != nil || len(all) != 5 {
		t.Errorf("Sessions = %d, %v, want all 5", len(all), err)
	}
}

func TestTurnsAfter(t *testing.T) {
	db := open(t, t.TempDir())
	create(t, db, session("s1", "terminal", "7", 1), session("s2", "terminal", "7", 1))
	for i := range 6 {
		for _, s := range []claw.SessionID{"s1", "s2"} {
			if err := db.AppendTurn(t.Context(), s, claw.Turn{Role: claw.User, Text: fmt.Sprint(s, " turn ", i+1)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, tc := range map[string]struct{ after, limit, first, count int }{
		"all":               {0, 0, 1, 6},
		"the newest":        {0, 2, 5, 2},
		"behind a summary":  {4, 0, 5, 2},
		"newest of those":   {2, 3, 4, 3},
		"nothing behind it": {6, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			turns, first, err := db.TurnsAfter(t.Context(), "s1", tc.after, tc.limit)
			if err != nil || first != tc.first || len(turns) != tc.count {
				t.Fatalf("TurnsAfter(%d, %d) = %d turns from %d, %v, want %d from %d", tc.after, tc.limit, len(turns), first, err, tc.count, tc.first)
			}
			for i, turn := range turns {
				if want := fmt.Sprint("s1 turn ", first+i); turn.Text != want {
					t.Errorf("turn %d is %q, want %q", first+i, turn.Text, want)
				}
			}
		})
	}
}

func TestSummaries(t *testing.T) {
	db := open(t, t.TempDir())
	create(t, db, session("s1", "terminal", "7", 1))
	for range 4 {
		if err := db.AppendTurn(t.Context(), "s1", claw.Turn{Role: claw.User, Text: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	if s, ok, err := db.Summary(t.Context(), "s1"); ok || err != nil {
		t.Errorf("Summary before there is one = %+v, %v, %v", s, ok, err)
	}
	at := time.UnixMilli(1234).UTC()
	var want claw.Summary
	for _, upto := range []int{2, 4, 3, 4} {
		want = claw.Summary{Session: "s1", Upto: upto, Text: fmt.Sprint("of ", upto), Model: "m", At: at}
		if err := db.AddSummary(t.Context(), want); err != nil {
			t.Fatal(err)
		}
	}
	if got, ok, err := db.Summary(t.Context(), "s1"); !ok || err != nil || got != want {
		t.Errorf("Summary = %+v, %v, %v, want %+v", got, ok, err, want)
	}
	for _, s := range []claw.Summary{{Session: "s1", Upto: 5}, {Session: "s1"}, {Session: "nobody", Upto: 1}} {
		if err := db.AddSummary(t.Context(), s); err == nil {
			t.Errorf("AddSummary(%+v) of turns that do not exist succeeds", s)
		}
	}
}

// What a call cost is counted for whoever caused it, and for the task that its session worked for then.
func TestUsageNamesItsCause(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	child := session("t1-1", "telegram", "7", 1)
	child.Parent, child.Task = "s1", "t1"
	create(t, db, child, session("b1", "heartbeat", "", 1))
	for _, c := range []claw.ModelCall{
		{Session: "t1-1", Origin: claw.Origin{Channel: "telegram", User: "7"}, Usage: claw.Usage{Input: 1}},
		{Session: "b1", Origin: claw.Origin{Channel: claw.HeartbeatChannel, User: "morning"}, Usage: claw.Usage{Input: 2}},
		{Session: "gone", Usage: claw.Usage{Input: 3}},
	} {
		if err := db.AddUsage(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "state.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	rows, err := raw.Query(`SELECT channel || '|' || user || '|' || task FROM usage ORDER BY input`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got []string
	for rows.Next() {
		var row string
		if err := rows.Scan(&row); err != nil {
			t.Fatal(err)
		}
		got = append(got, row)
	}
	if diff := cmp.Diff([]string{"telegram|7|t1", "heartbeat|morning|", "||"}, got); diff != "" {
		t.Errorf("rows of usage (-want +got):\n%s", diff)
	}
}
