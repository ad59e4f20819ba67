package sqlite_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
	"github.com/secureclaw/secureclaw/internal/strict"
)

func approval(n int) gate.Approval {
	at := time.UnixMilli(1_700_000_000_000 + int64(n)).UTC()
	a := gate.Approval{
		ID: fmt.Sprintf("%032x", n), Code: fmt.Sprintf("A%03d", n), State: gate.Pending,
		Call: gate.Call{ID: claw.CallID(fmt.Sprint("call", n)), ModelID: "toolu", Session: claw.SessionID(fmt.Sprint("s", n%2)), Run: "r",
			Origin: claw.Origin{Channel: "telegram", User: "7"}, Label: claw.Label{Integrity: claw.Owned, Sources: []string{"web a"}}, Step: 3},
		Action: claw.Action{Tool: "write_file", Executor: "file", Input: strict.Value(`{"path":"/workspace/a"}`), Mounts: []claw.MountGrant{{Name: "workspace", Mode: "rw"}}, Domains: []string{"a.example"}, TimeoutMS: 1500},
		Rule:   "default", Reason: "no rule", Asked: at, Deadline: at.Add(time.Hour),
	}
	a.Digest, _ = a.Action.Digest()
	return a
}

func TestApprovalsComeBackAsTheyWere(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	s := db.Approvals()
	want := approval(1)
	if err := s.Insert(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		got, err := s.Load(t.Context(), want.ID)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("Load = %v (-want +got):\n%s", err, diff)
		}
		if digest, err := got.Action.Digest(); err != nil || digest != want.Digest {
			t.Errorf("the stored action has the digest %s, %v, want %s", digest, err, want.Digest)
		}
	}
	check()
	move := func(from, to gate.State, c gate.Change) {
		t.Helper()
		if won, err := s.Move(t.Context(), want.ID, from, to, c); err != nil || !won {
			t.Fatalf("Move(%s, %s) = %v, %v", from, to, won, err)
		}
		want.State = to
	}
	want.Decision, want.Decided = &gate.Decision{Allow: true, Reason: "go", By: "7", Channel: "telegram"}, want.Asked.Add(time.Second)
	move(gate.Pending, gate.Allowed, gate.Change{At: want.Decided, Decision: want.Decision})
	check()
	want.Started = want.Asked.Add(2 * time.Second)
	move(gate.Allowed, gate.Started, gate.Change{At: want.Started})
	check()
	want.Ended = want.Asked.Add(3 * time.Second)
	want.Result = &claw.ToolResult{Call: want.Call.ID, Tool: "write_file", Status: claw.OK, Content: "done", Duration: claw.Elapsed(1500 * time.Microsecond)}
	move(gate.Started, gate.Done, gate.Change{At: want.Ended, Result: want.Result})
	check()
}

func TestMoveIsOnlyForwardAndOnlyOnce(t *testing.T) {
	s := open(t, t.TempDir()).Approvals()
	a := approval(1)
	if err := s.Insert(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	states := []gate.State{"", gate.Pending, gate.Allowed, gate.Denied, gate.Expired, gate.Cancelled, gate.Started, gate.Done, gate.Unknown, "other"}
	for _, from := range states {
		for _, to := range states {
			won, err := s.Move(t.Context(), a.ID, from, to, gate.Change{At: time.UnixMilli(1)})
			switch {
			case !from.Leads(to) && err == nil:
				t.Errorf("Move(%q, %q) was taken", from, to)
			case from.Leads(to) && err != nil:
				t.Errorf("Move(%q, %q) = %v", from, to, err)
			case won && (from != gate.Pending || to != gate.Allowed) && (from != gate.Allowed || to != gate.Cancelled):
				// Going through the states in their order, these two are the ones that find their state.
				t.Errorf("Move(%q, %q) won", from, to)
			}
		}
	}
	if won, err := s.Move(t.Context(), "nobody", gate.Pending, gate.Allowed, gate.Change{}); won || err != nil {
		t.Errorf("Move of a missing approval = %v, %v, want false", won, err)
	}
}

func TestInsertRefuses(t *testing.T) {
	s := open(t, t.TempDir()).Approvals()
	if err := s.Insert(t.Context(), approval(1)); err != nil {
		t.Fatal(err)
	}
	code := approval(2)
	code.Code = approval(1).Code
	if err := s.Insert(t.Context(), code); !errors.Is(err, gate.ErrCodeTaken) {
		t.Errorf("Insert with the code of another = %v, want ErrCodeTaken", err)
	}
	call := approval(2)
	call.Call.ID = approval(1).Call.ID
	if err := s.Insert(t.Context(), call); err == nil || errors.Is(err, gate.ErrCodeTaken) {
		t.Errorf("Insert of a second approval for a call = %v, want an error that is not about the code", err)
	}
	allowed := approval(3)
	allowed.State = gate.Allowed
	if err := s.Insert(t.Context(), allowed); err == nil {
		t.Error("Insert took an approval that was allowed already")
	}
	// A code is free again when its question is settled.
	if _, err := s.Move(t.Context(), approval(1).ID, gate.Pending, gate.Denied, gate.Change{At: time.UnixMilli(1)}); err != nil {
		t.Fatal(err)
	}
	if err := s.Insert(t.Context(), code); err != nil {
		t.Errorf("Insert with the code of a settled one = %v", err)
	}
	if _, err := s.Load(t.Context(), "nobody"); !errors.Is(err, gate.ErrUnknown) {
		t.Errorf("Load of a missing approval = %v, want ErrUnknown", err)
	}
}

func TestListSelects(t *testing.T) {
	s := open(t, t.TempDir()).Approvals()
	for n := range 6 {
		if err := s.Insert(t.Context(), approval(n)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Move(t.Context(), approval(0).ID, gate.Pending, gate.Denied, gate.Change{At: time.UnixMilli(1)}); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		q    gate.Query
		want string
	}{
		"all":                  {gate.Query{}, "0 1 2 3 4 5"},
		"newest first":         {gate.Query{Newest: true, Limit: 2}, "5 4"},
		"by state":             {gate.Query{States: []gate.State{gate.Pending, gate.Allowed}}, "1 2 3 4 5"},
		"by session and state": {gate.Query{Session: "s0", States: []gate.State{gate.Pending}}, "2 4"},
		"by call":              {gate.Query{Call: "call3"}, "3"},
		"by code":              {gate.Query{Code: "A000"}, "0"},
		"none":                 {gate.Query{Code: "A' OR 1=1 --"}, ""},
	} {
		got, err := s.List(t.Context(), tc.q)
		var calls []string
		for _, a := range got {
			calls = append(calls, strings.TrimPrefix(string(a.Call.ID), "call"))
		}
		if err != nil || strings.Join(calls, " ") != tc.want {
			t.Errorf("%s: List = %q, %v, want %q", name, calls, err, tc.want)
		}
	}
}

func TestARowInAnotherFormIsAnError(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	if err := db.Approvals().Insert(t.Context(), approval(1)); err != nil {
		t.Fatal(err)
	}
	raw(t, dir, `UPDATE approvals SET action_json = replace(action_json, '"tool"', '"Tool"')`)
	if got, err := db.Approvals().Load(t.Context(), approval(1).ID); err == nil {
		t.Errorf("Load = %+v, want an error", got)
	}
}

func TestSessionsAndTurns(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	want := claw.Session{ID: "s1", Channel: "telegram", User: "7", Title: "a", Created: time.UnixMilli(1_700_000_000_000).UTC(), Label: claw.UserLabel()}
	for i, isNew := range []bool{true, false} {
		if got, err := db.CreateSession(t.Context(), want); err != nil || got != isNew {
			t.Errorf("CreateSession %d = %v, %v, want %v", i, got, err, isNew)
		}
	}
	turns := []claw.Turn{
		{Role: claw.User, Text: "hi"},
		{Role: claw.Assistant, Text: "let me see", Calls: []claw.ToolCall{{ID: "c1", ModelID: "t1", Tool: "stat", Input: `{"path":"/a"`}}},
		{Role: claw.User, Results: []claw.ToolResult{{Call: "c1", Tool: "stat", Status: claw.Refused, Content: "no", Tier: claw.Notify, Duration: claw.Elapsed(time.Millisecond)}}},
	}
	for _, turn := range turns {
		if err := db.AppendTurn(t.Context(), "s1", turn); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := db.Turns(t.Context(), "s1", 0); err != nil || !cmp.Equal(got, turns) {
		t.Errorf("Turns = %v (-want +got):\n%s", err, cmp.Diff(turns, got))
	}
	if got, err := db.Turns(t.Context(), "s1", 2); err != nil || !cmp.Equal(got, turns[1:]) {
		t.Errorf("last two Turns = %v (-want +got):\n%s", err, cmp.Diff(turns[1:], got))
	}
	label := claw.Label{Integrity: claw.External, Privacy: claw.Private, Sources: []string{"web a"}}
	if err := db.SetLabel(t.Context(), "s1", label); err != nil {
		t.Fatal(err)
	}
	if got, err := db.Label(t.Context(), "s1"); err != nil || !cmp.Equal(got, label) {
		t.Errorf("Label = %+v, %v, want %+v", got, err, label)
	}
	if err := db.SetTitle(t.Context(), "s1", "b"); err != nil {
		t.Fatal(err)
	}
	want.Label, want.Title, want.Turns = label, "b", 3
	if got, err := db.Sessions(t.Context()); err != nil || !cmp.Equal(got, []claw.Session{want}) {
		t.Errorf("Sessions = %v (-want +got):\n%s", err, cmp.Diff([]claw.Session{want}, got))
	}
}

func TestASessionThatDoesNotExist(t *testing.T) {
	db := open(t, t.TempDir())
	if err := db.AppendTurn(t.Context(), "no", claw.Turn{Role: claw.User}); !errors.Is(err, sqlite.ErrNoSession) {
		t.Errorf("AppendTurn = %v, want ErrNoSession", err)
	}
	if err := db.SetLabel(t.Context(), "no", claw.UserLabel()); !errors.Is(err, sqlite.ErrNoSession) {
		t.Errorf("SetLabel = %v, want ErrNoSession", err)
	}
	if got, err := db.Label(t.Context(), "no"); !errors.Is(err, sqlite.ErrNoSession) || got.Integrity != claw.External {
		t.Errorf("Label = %+v, %v, want ErrNoSession and the worst label", got, err)
	}
	if got, err := db.Turns(t.Context(), "no", 0); err != nil || len(got) != 0 {
		t.Errorf("Turns = %+v, %v, want none", got, err)
	}
}

func TestMessagesAreAcceptedOnce(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	other := message("1")
	other.Origin.Channel = "terminal"
	for name, tc := range map[string]struct {
		m    claw.Message
		want bool
	}{"new": {message("1"), true}} {
		if got, err := db.AcceptMessage(t.Context(), tc.m); err != nil || got != tc.want {
			t.Errorf("%s: AcceptMessage = %v, %v, want %v", name, got, err, tc.want)
		}
	}
	repeated := message("1")
	repeated.Text = "another text under an id that was taken"
	if got, err := db.AcceptMessage(t.Context(), repeated); err != nil || got {
		t.Errorf("AcceptMessage of a repetition = %v, %v, want false", got, err)
	}
	if got, err := db.AcceptMessage(t.Context(), other); err != nil || !got {
		t.Errorf("AcceptMessage of the same id on another channel = %v, %v, want true", got, err)
	}
	if got, err := db.Unanswered(t.Context()); err != nil || !cmp.Equal(got, []claw.Message{message("1"), other}) {
		t.Errorf("Unanswered = %+v, %v", got, err)
	}
	if _, ok, err := db.Reply(t.Context(), "telegram", "1"); ok || err != nil {
		t.Errorf("Reply before there is one = %v, %v", ok, err)
	}
	for _, reply := range []string{"first", "second"} {
		if err := db.Answered(t.Context(), "telegram", "1", reply); err != nil {
			t.Fatal(err)
		}
	}
	if got, ok, err := db.Reply(t.Context(), "telegram", "1"); got != "first" || !ok || err != nil {
		t.Errorf("Reply = %q, %v, %v, want the first", got, ok, err)
	}
	if got, err := db.Unanswered(t.Context()); err != nil || !cmp.Equal(got, []claw.Message{other}) {
		t.Errorf("Unanswered = %+v, %v, want the other channel's", got, err)
	}
	for _, m := range []claw.Message{{}, {ID: "1"}, {Origin: claw.Origin{Channel: "x"}}} {
		if _, err := db.AcceptMessage(t.Context(), m); err == nil {
			t.Errorf("AcceptMessage(%+v) was taken", m)
		}
	}
}

func TestUsageAddsUp(t *testing.T) {
	db := open(t, t.TempDir())
	at := func(n int64) time.Time { return time.UnixMilli(n) }
	for _, c := range []claw.ModelCall{
		{Session: "s1", Run: "r1", Model: "a", Usage: claw.Usage{Input: 1, Output: 2, CacheRead: 3, CacheWrite: 4}, At: at(1000)},
		{Session: "s1", Run: "r2", Model: "b", Usage: claw.Usage{Input: 10, Output: 20, CacheRead: 30, CacheWrite: 40}, At: at(2000)},
		{Session: "s2", Run: "r3", Model: "a", Usage: claw.Usage{Input: 100}, At: at(3000)},
	} {
		if err := db.AddUsage(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		q    sqlite.UsageQuery
		want claw.Usage
	}{
		"all":        {sqlite.UsageQuery{}, claw.Usage{Input: 111, Output: 22, CacheRead: 33, CacheWrite: 44}},
		"by session": {sqlite.UsageQuery{Session: "s1"}, claw.Usage{Input: 11, Output: 22, CacheRead: 33, CacheWrite: 44}},
		"by model":   {sqlite.UsageQuery{Model: "a"}, claw.Usage{Input: 101, Output: 2, CacheRead: 3, CacheWrite: 4}},
		"since":      {sqlite.UsageQuery{Since: at(2000)}, claw.Usage{Input: 110, Output: 20, CacheRead: 30, CacheWrite: 40}},
		"none":       {sqlite.UsageQuery{Session: "s3"}, claw.Usage{}},
	} {
		if got, err := db.UsageSum(t.Context(), tc.q); err != nil || got != tc.want {
			t.Errorf("%s: UsageSum = %+v, %v, want %+v", name, got, err, tc.want)
		}
	}
}

func BenchmarkInsertAndMove(b *testing.B) {
	s := open(b, b.TempDir()).Approvals()
	n := 0
	for b.Loop() {
		n++
		a := approval(n)
		a.Code = fmt.Sprintf("%04d", n%10000)
		if err := s.Insert(b.Context(), a); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Move(b.Context(), a.ID, gate.Pending, gate.Denied, gate.Change{At: a.Asked}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		db, err := sqlite.Open(b.Context(), dir)
		if err != nil {
			b.Fatal(err)
		}
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
