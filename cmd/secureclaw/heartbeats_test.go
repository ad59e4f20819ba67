package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/wire"
)

const beating = `
heartbeats:
  - {name: quiet, schedule: "0 8 * * MON-FRI", timezone: Asia/Tokyo, prompt: say nothing}
  - {name: chatty, schedule: "*/15 * * * *", prompt: "who are you?\nand why?", enabled: true, missed: skip}
`

func TestHeartbeatsOnTheCommandLine(t *testing.T) {
	home := t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, "config"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "config", "secureclaw.yaml"), []byte(beating), 0o600); err != nil {
		t.Fatal(err)
	}
	gatewayAt(t, home)
	out, _ := does(t, home, 0, "heartbeats")
	has(t, "the list", out, "quiet  off, as configured\n  every weekday at 08:00 (Asia/Tokyo)\n", "chatty  on, as configured\n  every 15 minutes (Local)\n  next  ")
	out, _ = does(t, home, 0, "heartbeats", "enable", "quiet")
	has(t, "enable", out, "quiet  on, as you said", "08:00 Asia/Tokyo (")
	out, _ = does(t, home, 0, "heartbeats", "disable", "quiet")
	has(t, "disable", out, "quiet  off, as you said")
	if strings.Contains(out, "next") {
		t.Errorf("one that is off has a next time:\n%s", out)
	}

	out, errs := does(t, home, 0, "heartbeats", "run", "quiet", "--wait")
	has(t, "a silent run", errs, "quiet had nothing to tell")
	if out != "" {
		t.Errorf("a silent run prints %q", out)
	}
	out, _ = does(t, home, 0, "heartbeats", "run", "chatty", "--wait")
	has(t, "a run", out, "I am the rehearsal model")
	out, _ = does(t, home, 0, "--json", "heartbeats", "run", "chatty", "--wait")
	var beat wire.Beat
	if err := json.Unmarshal([]byte(out), &beat); err != nil || beat.Outcome != wire.ReplyDone || !beat.Manual || !strings.Contains(beat.Answer, "rehearsal model") {
		t.Errorf("run --json = %v, %s", err, out)
	}
	out, _ = does(t, home, 0, "heartbeats", "show", "chatty")
	has(t, "show", out, "cron  */15 * * * *; a time that was missed is skipped", "│ who are you?", "│ and why?", " · done · by hand · ", beat.Session)
	out, _ = does(t, home, 0, "--json", "heartbeats", "show", "chatty", "--limit", "1")
	var shown wire.Heartbeat
	if err := json.Unmarshal([]byte(out), &shown); err != nil || len(shown.Last) != 1 || shown.Last[0].Session != beat.Session || shown.Next.IsZero() {
		t.Errorf("show --json = %v, %s", err, out)
	}
	out, _ = does(t, home, 0, "--json", "heartbeats", "list")
	var all wire.HeartbeatList
	if err := json.Unmarshal([]byte(out), &all); err != nil || len(all.Heartbeats) != 2 || all.Heartbeats[0].Last[0].Silent != true {
		t.Errorf("list --json = %v, %s", err, out)
	}
	for _, args := range [][]string{{"show", "none"}, {"enable", "none"}, {"run", "none"}} {
		_, errs := does(t, home, exitFailed, append([]string{"heartbeats"}, args...)...)
		has(t, strings.Join(args, " "), errs, `error: no such heartbeat: "none" is not in secureclaw.yaml`)
	}
	does(t, home, exitUsage, "heartbeats", "run")
}

func TestBeatLine(t *testing.T) {
	at := time.Date(2026, 11, 23, 7, 0, 0, 0, time.UTC)
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for want, b := range map[string]wire.Beat{
		"Mon 2026-11-23 16:00 Asia/Tokyo (Mon 2026-11-23 08:00 here) · runs":                                                      {Due: at},
		"Mon 2026-11-23 16:00 Asia/Tokyo (Mon 2026-11-23 08:00 here) · done, nothing to tell · 2.5s · 1,234 tokens":               {Due: at, Started: at, Ended: at.Add(2500 * time.Millisecond), Outcome: "done", Silent: true, Usage: wire.Usage{Input: 1000, Output: 200, CacheRead: 30, CacheWrite: 4}},
		"Mon 2026-11-23 16:00 Asia/Tokyo (Mon 2026-11-23 08:00 here) · skipped · this computer was off or asleep; 3 times passed": {Due: at, Ended: at, Outcome: "skipped", Silent: true, Note: "this computer was off or asleep; 3 times passed"},
		"Mon 2026-11-23 16:00 Asia/Tokyo (Mon 2026-11-23 08:00 here) · failed · by hand · 1 earlier time missed · why":            {Due: at, Outcome: "failed", Manual: true, Missed: 1, Note: "why"},
	} {
		if got := beatLine(b, "Asia/Tokyo", berlin); got != want {
			t.Errorf("beatLine(%+v)\n got %q\nwant %q", b, got, want)
		}
	}
	if got, want := twoClocks(at, "Europe/Berlin", berlin), "Mon 2026-11-23 08:00"; got != want {
		t.Errorf("twoClocks in one zone = %q, want %q", got, want)
	}
}
