package heartbeat_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/heartbeat"
)

// stamp is how times are written in these tests.
const stamp = "2006-01-02 15:04"

// machine is a computer with a wall clock that can be set, a clock of heartbeats and a desk that
// answers at once, unless it holds. The bubble's time is the monotonic one: while the computer sleeps
// the wall goes on and the bubble stands still.
type machine struct {
	t     *testing.T
	store *shelf
	clock *heartbeat.Clock
	stop  func()
	beats []claw.Heartbeat

	mu       sync.Mutex
	ahead    time.Duration
	hold     bool           // messages are not answered
	refuse   error          // of the desk
	dieAt    string         // the step after which nothing that this life does counts
	heard    []string       // what beat: name and due
	messages []claw.Message // each once
	asked    int            // messages, repetitions included
}

func newMachine(t *testing.T, at string, beats ...claw.Heartbeat) *machine {
	m := &machine{t: t, store: &shelf{states: map[string]heartbeat.State{}}, beats: beats}
	start, err := time.Parse(stamp, at)
	if err != nil {
		t.Fatal(err)
	}
	m.ahead = time.Until(start)
	m.boot()
	t.Cleanup(func() { m.halt() })
	return m
}

func (m *machine) now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Now().Add(m.ahead).UTC()
}

// boot starts the gateway on what an earlier life left.
func (m *machine) boot() {
	m.t.Helper()
	var err error
	m.store.fail(false)
	m.clock, err = heartbeat.New(heartbeat.Options{Heartbeats: m.beats, Store: m.store, Beat: m.desk, Now: m.now, Step: m.reach})
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.clock.Run(ctx) }()
	m.stop = func() {
		cancel()
		if err := <-done; err != nil {
			m.t.Errorf("Run: %v", err)
		}
	}
	synctest.Wait()
}

func (m *machine) halt() {
	if m.stop != nil {
		m.stop()
		m.stop = nil
	}
}

// desk takes messages as the real one does: each id once.
func (m *machine) desk(ctx context.Context, msg claw.Message) error {
	m.mu.Lock()
	if err := m.refuse; err != nil {
		m.mu.Unlock()
		return err
	}
	m.asked++
	if i := slices.IndexFunc(m.messages, func(o claw.Message) bool { return o.ID == msg.ID }); i >= 0 {
		if diff := cmp.Diff(m.messages[i], msg); diff != "" {
			m.t.Errorf("message %s came again, -first +second:\n%s", msg.ID, diff)
		}
		m.mu.Unlock()
		return nil
	}
	m.messages = append(m.messages, msg)
	m.heard = append(m.heard, msg.Origin.User+" "+time.Now().Add(m.ahead).UTC().Format(stamp))
	hold := m.hold
	m.mu.Unlock()
	if !hold {
		go m.answer(msg, "done", "news")
	}
	return nil
}

func (m *machine) answer(msg claw.Message, outcome, text string) string {
	tell, err := m.clock.Ended(context.Background(), msg, outcome, text)
	if err != nil {
		m.t.Errorf("Ended(%s): %v", msg.ID, err)
	}
	return tell
}

// holds lets messages go unanswered from now on.
func (m *machine) holds() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hold = true
}

// refuses lets the desk refuse messages from now on; nil takes them again.
func (m *machine) refuses(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refuse = err
}

// reach is told of each step.
func (m *machine) reach(step string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if step == m.dieAt {
		m.dieAt, m.refuse = "", errors.New("dead")
		m.store.fail(true)
	}
}

// pass lets time pass.
func (m *machine) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// set moves the wall clock alone: sleep (forward, and by the clock's own hand), NTP, a user.
func (m *machine) set(d time.Duration) {
	m.mu.Lock()
	m.ahead += d
	m.mu.Unlock()
	m.pass(time.Minute) // the longest until the clock looks at it
}

func (m *machine) want(because string, want ...string) {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if diff := cmp.Diff(want, m.heard); diff != "" && len(want)+len(m.heard) > 0 {
		m.t.Errorf("%s: beats, -want +got:\n%s", because, diff)
	}
	m.heard = nil
}

// last shows the last beats of a heartbeat, the newest first.
func (m *machine) last(name string, n int) []string {
	m.t.Helper()
	beats, err := m.clock.Beats(context.Background(), name, n)
	if err != nil {
		m.t.Fatal(err)
	}
	var out []string
	for _, b := range beats {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s", b.Due.Format(stamp), b.Outcome, b.Note)))
	}
	return out
}

func daily(name, missed string) claw.Heartbeat {
	return claw.Heartbeat{Name: name, Schedule: "0 8 * * *", Timezone: "UTC", Prompt: "What is new?", Missed: missed, Enabled: true}
}

func every(name, schedule string) claw.Heartbeat {
	return claw.Heartbeat{Name: name, Schedule: schedule, Timezone: "UTC", Prompt: "What is new?", Missed: "once", Enabled: true}
}

func TestBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		off := daily("off", "once")
		off.Enabled = false
		m := newMachine(t, "2026-03-10 08:30", daily("a", "once"), daily("b", "once"), off, every("quarter", "*/15 9 * * *"))
		m.want("nothing is due before it was known")
		m.pass(40 * time.Minute)
		m.want("the hour", "quarter 2026-03-10 09:00")
		m.pass(50 * time.Minute)
		m.want("the rest of it", "quarter 2026-03-10 09:15", "quarter 2026-03-10 09:30", "quarter 2026-03-10 09:45")
		m.pass(22*time.Hour + 5*time.Minute)
		m.want("two at one second", "a 2026-03-11 08:00", "b 2026-03-11 08:00")
	})
}

func TestMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		berlin := daily("morning", "once")
		berlin.Timezone = "Europe/Berlin"
		m := newMachine(t, "2026-11-23 06:59", berlin)
		m.pass(time.Minute)
		want := claw.Message{
			ID: "heartbeat-morning-20261123T0700Z", Session: "heartbeat-morning-20261123T0700Z", Text: "What is new?",
			Origin: claw.Origin{Channel: claw.HeartbeatChannel, User: "morning"}, Label: claw.UserLabel(), At: time.Date(2026, 11, 23, 7, 0, 0, 0, time.UTC),
			Notes: `[heartbeat "morning": this prompt comes by a clock, due on Monday 2026-11-23 08:00 (Europe/Berlin). Nobody sits in front of it: your answer is sent as a message. If there is nothing worth telling, answer exactly [SILENT]; nothing is sent.]`,
		}
		if diff := cmp.Diff([]claw.Message{want}, m.messages); diff != "" {
			t.Errorf("messages, -want +got:\n%s", diff)
		}
	})
}

// Eight hours asleep: once, for the last of the times that passed; or not at all. Never in a burst.
func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		skip := every("skip", "*/30 * * * *")
		skip.Missed = "skip"
		m := newMachine(t, "2026-03-10 01:10", every("once", "*/30 * * * *"), skip, every("far", "0 4 * * *"))
		m.set(8 * time.Hour) // it wakes at 09:10
		m.want("after 8 hours", "once 2026-03-10 09:11", "far 2026-03-10 09:11")
		m.pass(25 * time.Minute)
		m.want("the next time is on time", "once 2026-03-10 09:30", "skip 2026-03-10 09:30")
		if diff := cmp.Diff([]string{"2026-03-10 09:30 done", "2026-03-10 09:00 skipped this computer was off or asleep; 16 times passed"}, m.last("skip", 5)); diff != "" {
			t.Errorf("beats that are not made up for, -want +got:\n%s", diff)
		}
		for i, want := range []string{
			"It was due on Tuesday 2026-03-10 09:00 (UTC); now it is 11 min later, because this computer was off or asleep. 15 earlier times were missed too; they are not made up for.",
			"It was due on Tuesday 2026-03-10 04:00 (UTC); now it is 5 h 11 min later, because",
		} {
			if got := m.messages[i].Notes; !strings.Contains(got, want) {
				t.Errorf("message %d says %q, want %q in it", i, got, want)
			}
		}
	})
}

// A year off: the times are not counted one by one for ever, and the last one is the right one.
func TestLongSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, "2026-03-10 01:10", every("minute", "*/5 * * * *"), every("night", "10-40 2 * * *"))
		m.set(365*24*time.Hour + time.Minute)
		m.want("after a year", "minute 2027-03-10 01:12", "night 2027-03-10 01:12")
		if got := m.last("minute", 1)[0]; !strings.HasPrefix(got, "2027-03-10 01:10") {
			t.Errorf("last beat of minute = %s, want the one of 01:10", got)
		}
		if got := m.last("night", 1)[0]; !strings.HasPrefix(got, "2027-03-09 02:40") {
			t.Errorf("last beat of night = %s, want the one of 02:40 the day before", got)
		}
		if got := m.messages[0].Notes; !strings.Contains(got, "999 or more earlier times") {
			t.Errorf("notes = %q, want that 999 or more were missed", got)
		}
	})
}

// A clock that is set forth and back: no beat comes twice, and none is lost in the hour after.
func TestClockIsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, "2026-03-10 07:50", every("half", "*/30 * * * *"), daily("day", "once"))
		m.set(time.Hour) // 08:50
		m.want("an hour ahead", "half 2026-03-10 08:51", "day 2026-03-10 08:51")
		m.set(-time.Hour) // 07:51
		m.pass(30 * time.Minute)
		m.want("an hour back; 08:00 was dealt with", []string{}...)
		m.pass(40 * time.Minute)
		m.want("until the wall is there again", "half 2026-03-10 09:00")
		m.set(2 * time.Second)
		m.set(-2 * time.Second)
		m.want("steps of NTP", []string{}...)
		m.set(20 * 365 * 24 * time.Hour)
		m.want("a wrong year", "half 2046-03-05 09:05", "day 2046-03-05 09:05")
		m.set(-20 * 365 * 24 * time.Hour)
		m.pass(time.Hour)
		m.want("and right again: not quiet for 20 years", "half 2026-03-10 09:30", "half 2026-03-10 10:00")
		m.pass(22 * time.Hour)
		if !slices.Contains(m.heard, "day 2026-03-11 08:00") {
			t.Errorf("beats of the next day = %v, want that of the day too", m.heard)
		}
	})
}

// Days on which the clocks change, by the clock that beats.
func TestChangeOfClocks(t *testing.T) {
	for name, tc := range map[string]struct {
		zone, schedule, from string
		want                 []string // UTC
	}{
		"Berlin in spring":     {"Europe/Berlin", "30 2 * * *", "2026-03-28 00:00", []string{"x 2026-03-28 01:30", "x 2026-03-29 01:00", "x 2026-03-30 00:30"}},
		"Berlin in autumn":     {"Europe/Berlin", "30 2 * * *", "2026-10-24 00:00", []string{"x 2026-10-24 00:30", "x 2026-10-25 00:30", "x 2026-10-26 01:30"}},
		"New York in spring":   {"America/New_York", "0 2 * * *", "2026-03-07 00:00", []string{"x 2026-03-07 07:00", "x 2026-03-08 07:00", "x 2026-03-09 06:00"}},
		"Lord Howe in spring":  {"Australia/Lord_Howe", "10 2 * * *", "2026-10-02 16:00", []string{"x 2026-10-03 15:30", "x 2026-10-04 15:10", "x 2026-10-05 15:10"}},
		"Santiago at midnight": {"America/Santiago", "0 0 * * *", "2026-09-05 12:00", []string{"x 2026-09-06 04:00", "x 2026-09-07 03:00", "x 2026-09-08 03:00"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := every("x", tc.schedule)
				h.Timezone = tc.zone
				m := newMachine(t, tc.from, h)
				m.pass(72 * time.Hour)
				m.want(name, tc.want...)
			})
		})
	}
}

func TestNoOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, "2026-03-10 07:50", every("long", "*/10 * * * *"), every("other", "*/10 * * * *"))
		m.holds()
		m.pass(11 * time.Minute)
		m.want("both", "long 2026-03-10 08:00", "other 2026-03-10 08:00")
		m.answer(m.messages[1], "done", "news")
		m.pass(10 * time.Minute)
		m.want("the other only", "other 2026-03-10 08:10")
		if diff := cmp.Diff([]string{"2026-03-10 08:10 skipped the beat of Tue 10 Mar 08:00 still runs", "2026-03-10 08:00"}, m.last("long", 5)); diff != "" {
			t.Errorf("beats of long, -want +got:\n%s", diff)
		}
		if _, err := m.clock.Trigger(context.Background(), "long"); err == nil || !strings.Contains(err.Error(), "runs already, since 08:00") {
			t.Errorf("Trigger while it runs: %v", err)
		}
		m.answer(m.messages[0], "done", "news")
		m.pass(10 * time.Minute)
		m.want("it has ended", "long 2026-03-10 08:20")
	})
}

// A life that ends while a beat runs: the next one goes on with it, and makes up for what was missed when it has ended.
func TestMissedWhileItRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, "2026-03-10 07:50", daily("day", "once"))
		m.holds()
		m.pass(11 * time.Minute)
		m.want("the first", "day 2026-03-10 08:00")
		m.halt()
		m.set(25 * time.Hour)
		m.boot()
		m.pass(time.Hour)
		m.want("the first still runs")
		if m.asked != 2 {
			t.Errorf("the message was handed over %d times, want once more after the start", m.asked)
		}
		m.answer(m.messages[0], "done", "late news")
		m.pass(2 * time.Minute)
		m.want("now the one that was missed", "day 2026-03-11 10:03")
	})
}

// Each life knows what the one before did. A time that was not one of its own is not made up for.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, "2026-03-10 07:50", daily("day", "once"), daily("skip", "skip"))
		again := func(off time.Duration, change func()) {
			m.halt()
			m.set(off)
			if change != nil {
				change()
			}
			m.boot()
			m.pass(time.Second)
		}
		again(0, nil)
		m.want("nothing yet")
		again(15*time.Minute, nil)
		m.want("08:00 was missed", "day 2026-03-10 08:07")
		again(0, nil)
		m.want("and was made up for")
		again(24*time.Hour, func() { m.beats[0].Schedule = "5 8 * * *" })
		m.want("another schedule begins now")
		again(24*time.Hour, func() { m.beats[0].Enabled = false })
		again(24*time.Hour, func() { m.beats[0].Enabled = true })
		m.want("turned on in the file begins now")
		was := slices.Clone(m.beats)
		again(24*time.Hour, func() { m.beats = nil })
		again(24*time.Hour, func() { m.beats = was })
		m.want("taken out and put back begins now")
		again(24*time.Hour, nil)
		m.want("and after that it goes on", "day "+m.now().Format(stamp))
		if got := m.last("skip", 1)[0]; !strings.Contains(got, "skipped this computer was off or asleep") {
			t.Errorf("last beat of skip = %s", got)
		}
	})
}

func TestToggle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		m := newMachine(t, "2026-03-10 07:50", every("x", "*/10 * * * *"))
		toggle := func(on bool) {
			t.Helper()
			if err := m.clock.Toggle(ctx, "x", on); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		state := func(enabled, toggled bool, next string) {
			t.Helper()
			all, err := m.clock.Heartbeats(ctx)
			if err != nil || len(all) != 1 {
				t.Fatalf("Heartbeats = %v, %v", all, err)
			}
			got := ""
			if !all[0].Next.IsZero() {
				got = all[0].Next.Format(stamp)
			}
			if h := all[0]; h.Enabled != enabled || h.Toggled != toggled || got != next || h.Words != "every 10 minutes" {
				t.Errorf("x is on %v, toggled %v, next %q, %q; want %v, %v, %q", h.Enabled, h.Toggled, got, h.Words, enabled, toggled, next)
			}
		}
		state(true, false, "2026-03-10 08:00")
		toggle(false)
		state(false, true, "")
		m.pass(time.Hour)
		m.halt()
		m.boot()
		state(false, true, "")
		m.pass(time.Hour)
		m.want("off")
		toggle(true) // what the configuration says, and still the user's word
		m.want("its time begins now")
		m.beats[0].Enabled = false
		m.halt()
		m.boot()
		state(true, true, "2026-03-10 10:00")
		m.pass(10 * time.Minute)
		m.want("on", "x 2026-03-10 10:00")
		if err := m.clock.Toggle(ctx, "y", true); !errors.Is(err, heartbeat.ErrUnknown) {
			t.Errorf("Toggle(y) = %v, want ErrUnknown", err)
		}
	})
}

func TestTrigger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := daily("day", "once")
		h.Enabled = false
		m := newMachine(t, "2026-03-10 10:00", h)
		b, err := m.clock.Trigger(context.Background(), "day")
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		m.want("now, though it is off", "day 2026-03-10 10:00")
		if b.Session != "heartbeat-day-20260310T100000.000Z" || !b.Manual || m.messages[0].Session != b.Session {
			t.Errorf("Trigger = %+v, message %+v", b, m.messages[0])
		}
		if got, want := m.messages[0].Notes, `heartbeat "day": the user asked for it at this moment`; !strings.Contains(got, want) {
			t.Errorf("notes = %q, want %q in it", got, want)
		}
		m.refuses(errors.New("the disk is full"))
		if _, err := m.clock.Trigger(context.Background(), "day"); err == nil {
			t.Error("Trigger on a full disk: no error")
		}
		m.pass(time.Second)
		m.refuses(errors.New("the disk is full"))
		if _, err := m.clock.Trigger(context.Background(), "day"); err == nil || !strings.Contains(err.Error(), "disk is full") {
			t.Errorf("Trigger on a full disk = %v", err)
		}
		m.refuses(nil)
		m.pass(time.Hour)
		m.want("what failed does not come later")
	})
}

// A beat that is stored and no message comes to be one at last: when the store takes it, and after a crash
// at each step.
func TestHandedOverAtLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, "2026-03-10 07:59", daily("day", "once"))
		m.holds()
		m.refuses(errors.New("the disk is full"))
		m.pass(5 * time.Minute)
		m.want("not taken")
		m.refuses(nil)
		m.pass(2 * time.Minute)
		m.want("taken", "day 2026-03-10 08:05")
		m.pass(time.Hour)
		if m.asked != 1 {
			t.Errorf("handed over %d times, want 1: its message is stored", m.asked)
		}
	})
	for _, step := range []string{heartbeat.StepKept, heartbeat.StepHanded} {
		t.Run(step, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine(t, "2026-03-10 07:59", daily("day", "once"))
				m.holds()
				m.mu.Lock()
				m.dieAt = step
				m.mu.Unlock()
				m.pass(2 * time.Minute)
				m.halt()
				m.refuses(nil)
				m.boot()
				m.pass(time.Second)
				m.mu.Lock()
				if m.dieAt != "" || len(m.messages) != 1 || m.messages[0].ID != "heartbeat-day-20260310T0800Z" {
					t.Errorf("after a crash at %s (%q): messages %v, want the one", step, m.dieAt, m.messages)
				}
				m.mu.Unlock()
				m.answer(m.messages[0], "done", "news")
				m.heard = nil
				m.pass(23 * time.Hour)
				m.want("never again")
			})
		})
	}
}

// What a life left behind of a heartbeat that is configured no more.
func TestLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, "2026-03-10 07:59", daily("day", "once"))
		m.refuses(errors.New("the disk is full"))
		m.pass(2 * time.Minute)
		m.halt()
		was := m.beats
		m.beats = nil
		m.refuses(nil)
		m.boot()
		m.halt()
		m.beats = was
		m.boot()
		m.pass(time.Hour)
		m.want("it is not made up for")
		if diff := cmp.Diff([]string{"2026-03-10 08:00 skipped it is not in secureclaw.yaml any more"}, m.last("day", 5)); diff != "" {
			t.Errorf("beats, -want +got:\n%s", diff)
		}
	})
}

// A beat whose message was answered in a time that the clock has forgotten does not stand open for ever.
func TestAnsweredBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, "2026-03-10 07:59", daily("day", "once"))
		m.refuses(claw.ErrBeaten)
		m.pass(2 * time.Minute)
		if diff := cmp.Diff([]string{"2026-03-10 08:00 skipped it was answered before"}, m.last("day", 5)); diff != "" {
			t.Errorf("beats, -want +got:\n%s", diff)
		}
	})
}

// A beat that is answered while it is handed over again, after a restart, keeps how it ended.
func TestAnsweredMeanwhile(t *testing.T) {
	due := time.Date(2026, 3, 10, 8, 0, 0, 0, time.UTC)
	h := daily("day", "once")
	beat := claw.Beat{Heartbeat: "day", Due: due, Started: due, Session: "heartbeat-day-1"}
	store := &shelf{
		states: map[string]heartbeat.State{"day": {Enabled: true, Live: true, Schedule: h.Schedule, Timezone: h.Timezone, Done: due}},
		beats:  []claw.Beat{beat}, handed: []bool{true},
	}
	var c *heartbeat.Clock
	c, err := heartbeat.New(heartbeat.Options{
		Heartbeats: []claw.Heartbeat{h}, Store: store, Now: func() time.Time { return due.Add(time.Minute) },
		Beat: func(ctx context.Context, msg claw.Message) error {
			if _, err := c.Ended(ctx, msg, "done", "news"); err != nil {
				t.Error(err)
			}
			return claw.ErrBeaten
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := heartbeat.Tick(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if got := store.beats[0]; got.Outcome != "done" || got.Silent || got.Note != "" {
		t.Errorf("the beat = %+v, want it done", got)
	}
}

func TestEnded(t *testing.T) {
	for name, tc := range map[string]struct {
		outcome, text, tell, note string
	}{
		"an answer":              {"done", "  Two mails.\n", "Two mails.", ""},
		"silent":                 {"done", "[SILENT]", "", ""},
		"silent among blanks":    {"done", "\n [SILENT] \n", "", ""},
		"nothing at all":         {"done", " \n", "", ""},
		"silent and a full stop": {"done", "**[SILENT]**.", "", ""},
		"silent and words":       {"done", "[SILENT]\nBut the door is open.", "But the door is open.", ""},
		"silent and a face":      {"done", "[SILENT] 🎉", "🎉", ""},
		"another word":           {"done", "[silent]", "[silent]", ""},
		"failed":                 {"failed", "The model did not answer.\nTrace", "The model did not answer.\nTrace", "The model did not answer."},
		"failed without words":   {"failed", "", "It ended without an answer (failed).", ""},
		"limit":                  {"limit", "I stopped after 10 rounds.", "I stopped after 10 rounds.", "I stopped after 10 rounds."},
		"stopped":                {"stopped", "Stopped.", "Stopped.", "Stopped."},
		"paused":                 {"paused", "The day's tokens are spent.", "The day's tokens are spent.", "The day's tokens are spent."},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine(t, "2026-03-10 07:59", daily("day", "once"))
				m.holds()
				m.pass(2 * time.Minute)
				if got := m.answer(m.messages[0], tc.outcome, tc.text); got != tc.tell {
					t.Errorf("Ended(%s, %q) = %q, want %q", tc.outcome, tc.text, got, tc.tell)
				}
				b, err := m.clock.Beats(context.Background(), "day", 1)
				if err != nil || b[0].Outcome != tc.outcome || b[0].Silent != (tc.tell == "") || b[0].Note != tc.note || b[0].Ended.IsZero() {
					t.Errorf("the beat = %+v, %v", b, err)
				}
			})
		})
	}
}

// A limit is told once a day, whatever happens between answer and store.
func TestPausedIsToldOnceADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, "2026-03-10 07:59", every("hour", "0 * * * *"))
		m.holds()
		var told []string
		for range 50 {
			m.pass(time.Hour)
			msg := m.messages[len(m.messages)-1]
			tell := m.answer(msg, "paused", "spent")
			if again := m.answer(msg, "paused", "spent"); again != tell {
				t.Errorf("told again after a crash: %q, then %q", tell, again)
			}
			if tell != "" {
				told = append(told, msg.At.Format(stamp))
			}
		}
		if diff := cmp.Diff([]string{"2026-03-10 08:00", "2026-03-11 08:00", "2026-03-12 08:00"}, told); diff != "" {
			t.Errorf("told, -want +got:\n%s", diff)
		}
	})
}

// A limit that was told of by a clock that was ahead does not silence those after it.
func TestPausedIsToldByAClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, "2036-03-10 07:59", every("hour", "0 * * * *"))
		m.holds()
		for _, at := range []time.Duration{0, -10 * 365 * 24 * time.Hour} {
			m.set(at)
			m.pass(time.Hour)
			if tell := m.answer(m.messages[len(m.messages)-1], "paused", "spent"); tell == "" {
				t.Errorf("the clock set by %s: nobody is told", at)
			}
		}
	})
}

func TestNewRefuses(t *testing.T) {
	for name, beats := range map[string][]claw.Heartbeat{
		"a schedule of six fields": {every("x", "0 0 8 * * *")},
		"one that never comes":     {every("x", "0 8 31 2 *")},
		"two of one name":          {every("x", "0 8 * * *"), every("x", "0 9 * * *")},
		"no name":                  {every("", "0 8 * * *")},
		"no such zone":             {{Name: "x", Schedule: "0 8 * * *", Timezone: "Europe/Berln"}},
	} {
		if c, err := heartbeat.New(heartbeat.Options{Heartbeats: beats}); err == nil {
			t.Errorf("New with %s = %v, want an error", name, c)
		}
	}
}

// Turned off and on again while the clock is set back: the time that comes again was kept, and stays as it was.
func TestTurnedOnInThePast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, "2026-03-10 07:59", daily("day", "once"))
		m.pass(2 * time.Minute)
		m.want("08:00", "day 2026-03-10 08:00")
		m.set(-time.Hour)
		for _, on := range []bool{false, true} {
			if err := m.clock.Toggle(context.Background(), "day", on); err != nil {
				t.Fatal(err)
			}
		}
		m.pass(2 * time.Hour)
		m.want("08:00 again")
		if diff := cmp.Diff([]string{"2026-03-10 08:00 done"}, m.last("day", 5)); diff != "" || m.asked != 1 {
			t.Errorf("handed over %d times, want once; beats, -want +got:\n%s", m.asked, diff)
		}
	})
}
