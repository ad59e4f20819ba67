package sqlite_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
)

func screenshot(call claw.CallID, fill byte) claw.ToolResult {
	return claw.ToolResult{Call: call, Tool: "browse_web", Status: claw.OK, Content: "{}", Images: []claw.Image{
		{MIME: "image/png", Name: "screenshot.png", Data: bytes.Repeat([]byte{fill}, 500<<10)},
		{MIME: "image/jpeg", Data: []byte{fill}},
	}}
}

func pictureSession(t *testing.T) claw.Session {
	t.Helper()
	return claw.Session{ID: "s1", Channel: "terminal", Created: time.UnixMilli(1).UTC()}
}

func TestPicturesComeBackWithTheirResults(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	if _, err := db.CreateSession(t.Context(), pictureSession(t)); err != nil {
		t.Fatal(err)
	}
	want := claw.Turn{Role: claw.User, Results: []claw.ToolResult{{Call: "c0", Tool: "stat"}, screenshot("c1", 1), screenshot("c2", 2)}}
	if err := db.AppendTurn(t.Context(), "s1", want); err != nil {
		t.Fatal(err)
	}
	if want.Results[1].Images[0].Data == nil {
		t.Error("AppendTurn took the pictures out of its caller's turn")
	}
	got, err := db.Turns(t.Context(), "s1", 0)
	if diff := cmp.Diff([]claw.Turn{want}, got); err != nil || diff != "" {
		t.Errorf("Turns (-want +got), %v:\n%.2000s", err, diff)
	}
	if err := db.AppendTurn(t.Context(), "nobody", want); err == nil {
		t.Error("a turn of no session was stored")
	}
}

// A hundred screenshots neither fill the disk nor push the words out of what is read of a conversation.
func TestOldPicturesAreForgotten(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	if _, err := db.CreateSession(t.Context(), pictureSession(t)); err != nil {
		t.Fatal(err)
	}
	const all = 40
	for i := range all {
		if err := db.AppendTurn(t.Context(), "s1", claw.Turn{Role: claw.User, Results: []claw.ToolResult{screenshot(claw.CallID(fmt.Sprint("c", i)), byte(i))}}); err != nil {
			t.Fatal(err)
		}
	}
	turns, err := db.Turns(t.Context(), "s1", 0)
	if err != nil || len(turns) != all {
		t.Fatalf("Turns = %d turns, %v, want %d", len(turns), err, all)
	}
	for i, turn := range turns {
		images := turn.Results[0].Images
		if len(images) != 2 || images[0].MIME != "image/png" || images[0].Name != "screenshot.png" {
			t.Errorf("result %d has the pictures %.100v, want their names whatever their age", i, images)
		}
		if kept := len(images[0].Data) > 0 && images[0].Data[0] == byte(i) && len(images[1].Data) == 1; kept != (i >= all-8) {
			t.Errorf("result %d has its pictures: %v, want them for the last 8 of %d", i, kept, all)
		}
	}
	if n := count(t, dir, `SELECT count(*) FROM pictures`); n != 16 {
		t.Errorf("%d pictures are kept, want 16", n)
	}
}

// What an approved call brought is kept once, for the conversation that goes on after a restart.
func TestPicturesOfAnApprovedCall(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	if _, err := db.CreateSession(t.Context(), pictureSession(t)); err != nil {
		t.Fatal(err)
	}
	store := db.Approvals()
	a := gate.Approval{
		ID: "a1", Code: "AAAA", State: gate.Pending, Call: gate.Call{ID: "c1", Session: "s1"},
		Action: claw.Action{Tool: "browse_web", Input: []byte(`{}`)}, Asked: time.UnixMilli(1).UTC(), Deadline: time.UnixMilli(2).UTC(),
	}
	if err := store.Insert(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	result := screenshot("c1", 7)
	for _, step := range []struct {
		from, to gate.State
		change   gate.Change
	}{
		{gate.Pending, gate.Allowed, gate.Change{Decision: &gate.Decision{Allow: true, By: "7"}}},
		{gate.Allowed, gate.Started, gate.Change{}},
		{gate.Started, gate.Done, gate.Change{Result: &result}},
	} {
		if ok, err := store.Move(t.Context(), "a1", step.from, step.to, step.change); !ok || err != nil {
			t.Fatalf("Move to %s = %v, %v", step.to, ok, err)
		}
	}
	if ok, err := store.Move(t.Context(), "a1", gate.Started, gate.Done, gate.Change{Result: &result}); ok || err != nil {
		t.Errorf("a second Move to done = %v, %v, want false", ok, err)
	}
	loaded, err := store.Load(t.Context(), "a1")
	if err != nil || !cmp.Equal(loaded.Result.Images, result.Images) {
		t.Errorf("Load has other pictures, %v", err)
	}
	found, err := store.List(t.Context(), gate.Query{Call: "c1"})
	if err != nil || len(found) != 1 || !cmp.Equal(found[0].Result.Images, result.Images) {
		t.Errorf("List of its call has other pictures, %v", err)
	}
	if err := db.AppendTurn(t.Context(), "s1", claw.Turn{Role: claw.User, Results: []claw.ToolResult{result}}); err != nil {
		t.Fatal(err)
	}
	if n := count(t, dir, `SELECT count(*) FROM pictures`); n != 2 {
		t.Errorf("%d pictures are kept after the turn, want the same 2", n)
	}
	if n := count(t, dir, `SELECT length(result_json) FROM approvals`); n > 2000 {
		t.Errorf("the approval's row has %d bytes of result, want its pictures elsewhere", n)
	}
}
