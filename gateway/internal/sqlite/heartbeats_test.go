package sqlite_test

import (
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/heartbeat"
)

func TestHeartbeatStates(t *testing.T) {
	db := open(t, t.TempDir())
	at := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	for _, want := range []heartbeat.State{
		{Live: true, Enabled: true, Schedule: "0 8 * * *", Timezone: "UTC", Done: at},
		{Toggled: true, Schedule: "0 9 * * *", Timezone: "Local", Done: at.Add(time.Hour)},
	} {
		if err := db.SetHeartbeatState(t.Context(), "day", want); err != nil {
			t.Fatal(err)
		}
		got, err := db.HeartbeatStates(t.Context())
		if diff := gocmp.Diff(map[string]heartbeat.State{"day": want}, got); err != nil || diff != "" {
			t.Errorf("HeartbeatStates: %v, -want +got:\n%s", err, diff)
		}
	}
}

// A beat is there once, and with it how far its heartbeat is dealt with; its cost is that of all that worked for it.
func TestBeats(t *testing.T) {
	db := open(t, t.TempDir())
	ctx := t.Context()
	at := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	if err := db.SetHeartbeatState(ctx, "day", heartbeat.State{Live: true, Done: at.Add(-time.Hour)}); err != nil {
		t.Fatal(err)
	}
	add := func(b claw.Beat, fresh bool) {
		t.Helper()
		if got, err := db.AddBeat(ctx, b); err != nil || got != fresh {
			t.Errorf("AddBeat(%v) = %v, %v; want %v", b, got, err, fresh)
		}
	}
	done := func(want time.Time) {
		t.Helper()
		if all, err := db.HeartbeatStates(ctx); err != nil || !all["day"].Done.Equal(want) {
			t.Errorf("dealt with up to %v, %v; want %v", all["day"].Done, err, want)
		}
	}
	b := claw.Beat{Heartbeat: "day", Due: at, Started: at.Add(time.Minute), Session: "heartbeat-day-1", Missed: 3}
	add(b, true)
	done(at)
	second := b
	second.Session = "another"
	add(second, false)
	manual := claw.Beat{Heartbeat: "day", Due: at.Add(time.Second), Started: at, Manual: true, Session: "heartbeat-day-2"}
	add(manual, true)
	done(at)
	for _, s := range []claw.Session{
		{ID: b.Session, Channel: claw.HeartbeatChannel, User: "day", Created: at},
		{ID: "step", Channel: claw.HeartbeatChannel, User: "day", Created: at, Parent: b.Session, Task: "t"},
		{ID: "step of step", Channel: claw.HeartbeatChannel, User: "day", Created: at, Parent: "step", Task: "u"},
		{ID: "other", Channel: claw.HeartbeatChannel, User: "day", Created: at},
	} {
		if _, err := db.CreateSession(ctx, s); err != nil {
			t.Fatal(err)
		}
		spend(t, db, s.ID, claw.Origin{Channel: claw.HeartbeatChannel, User: "day"}, "a", at, claw.Usage{Input: 1, Output: 10, CacheRead: 100, CacheWrite: 1000})
	}
	if open, handed, err := db.OpenBeats(ctx); err != nil || len(open) != 2 || handed[0] || handed[1] {
		t.Errorf("OpenBeats = %v, %v, %v; want two that are not handed over", open, handed, err)
	}
	if err := db.BeatHanded(ctx, b.Session); err != nil {
		t.Fatal(err)
	}
	if open, handed, err := db.OpenBeats(ctx); err != nil || len(open) != 2 || !handed[0] || handed[1] {
		t.Errorf("OpenBeats = %v, %v, %v; want the first handed over", open, handed, err)
	}
	b.Ended, b.Outcome, b.Note = at.Add(time.Hour), "failed", "why"
	if err := db.EndBeat(ctx, b); err != nil {
		t.Fatal(err)
	}
	b.Usage = claw.Usage{Input: 3, Output: 30, CacheRead: 300, CacheWrite: 3000}
	got, err := db.Beats(ctx, "day", 10)
	if diff := gocmp.Diff([]claw.Beat{manual, b}, got); err != nil || diff != "" {
		t.Errorf("Beats: %v, -want +got:\n%s", err, diff)
	}
}

// Old beats go, those that were skipped apart from those that ran; one that runs stays.
func TestBeatsAreKeptForAWhile(t *testing.T) {
	db := open(t, t.TempDir())
	ctx := t.Context()
	at := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	runs := claw.Beat{Heartbeat: "x", Due: at.Add(-time.Hour), Session: "runs"}
	if _, err := db.AddBeat(ctx, runs); err != nil {
		t.Fatal(err)
	}
	for i := range 150 {
		b := claw.Beat{Heartbeat: "x", Due: at.Add(time.Duration(i) * time.Minute), Outcome: "done", Session: claw.SessionID(string(rune('0' + i)))}
		if i%2 == 1 {
			b.Outcome, b.Session = claw.Skipped, ""
		}
		if _, err := db.AddBeat(ctx, b); err != nil {
			t.Fatal(err)
		}
	}
	got, err := db.Beats(ctx, "x", 1000)
	count := map[string]int{}
	for _, b := range got {
		count[b.Outcome]++
	}
	if diff := gocmp.Diff(map[string]int{"": 1, "done": 75, "skipped": 20}, count); err != nil || diff != "" {
		t.Errorf("kept: %v, -want +got:\n%s", err, diff)
	}
	for i := range 100 {
		if _, err := db.AddBeat(ctx, claw.Beat{Heartbeat: "x", Due: at.Add(time.Duration(1000+i) * time.Minute), Outcome: "done", Session: claw.SessionID("s" + string(rune('0'+i)))}); err != nil {
			t.Fatal(err)
		}
	}
	if got, err = db.Beats(ctx, "x", 1000); err != nil || len(got) != 1+80+20 {
		t.Errorf("kept %d, %v; want 101", len(got), err)
	}
}

// Beats of a clock that was ahead do not stand in the way of those that come after it was set back.
func TestBeatsOfAClockThatWasAhead(t *testing.T) {
	db := open(t, t.TempDir())
	ctx := t.Context()
	at := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	add := func(begin time.Time, name string, n int) {
		t.Helper()
		for i := range n {
			for _, b := range []claw.Beat{
				{Outcome: "done", Due: begin.Add(time.Duration(i) * time.Minute), Session: claw.SessionID(name + string(rune('0'+i)))},
				{Outcome: claw.Skipped, Due: begin.Add(time.Duration(i)*time.Minute + time.Second)},
			} {
				b.Heartbeat = "x"
				if _, err := db.AddBeat(ctx, b); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	add(at.AddDate(10, 0, 0), "ahead", 100)
	add(at, "back", 3)
	got, err := db.Beats(ctx, "x", 5)
	want := at.Add(2 * time.Minute)
	if err != nil || len(got) != 5 || !got[0].Due.Equal(want.Add(time.Second)) || got[1].Session != "back2" || got[3].Session != "back1" {
		t.Errorf("the last beats are %+v (%v), want those that were kept last", got, err)
	}
}
