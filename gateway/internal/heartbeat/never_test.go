package heartbeat_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/heartbeat"
)

// shelf is a store in memory that outlives lives.
type shelf struct {
	mu     sync.Mutex
	states map[string]heartbeat.State
	beats  []claw.Beat
	handed []bool
	fails  bool
}

func (s *shelf) fail(fails bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = fails
}

var errShelf = errors.New("the disk is full")

func (s *shelf) HeartbeatStates(context.Context) (map[string]heartbeat.State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]heartbeat.State{}
	for name, state := range s.states {
		out[name] = state
	}
	return out, nil
}
func (s *shelf) SetHeartbeatState(_ context.Context, name string, state heartbeat.State) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails {
		return errShelf
	}
	s.states[name] = state
	return nil
}
func (s *shelf) AddBeat(_ context.Context, b claw.Beat) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails {
		return false, errShelf
	}
	if !b.Manual {
		state := s.states[b.Heartbeat]
		state.Done = b.Due
		s.states[b.Heartbeat] = state
	}
	for _, o := range s.beats {
		if o.Heartbeat == b.Heartbeat && o.Due.Equal(b.Due) && o.Manual == b.Manual {
			return false, nil
		}
	}
	s.beats, s.handed = append(s.beats, b), append(s.handed, false)
	return true, nil
}
func (s *shelf) BeatHanded(_ context.Context, session claw.SessionID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails {
		return errShelf
	}
	for i := range s.beats {
		if s.beats[i].Session == session {
			s.handed[i] = true
		}
	}
	return nil
}
func (s *shelf) EndBeat(_ context.Context, b claw.Beat) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails {
		return errShelf
	}
	for i, o := range s.beats {
		if o.Session == b.Session {
			s.beats[i].Ended, s.beats[i].Outcome, s.beats[i].Silent, s.beats[i].Note = b.Ended, b.Outcome, b.Silent, b.Note
			s.handed[i] = true
		}
	}
	return nil
}
func (s *shelf) OpenBeats(context.Context) (beats []claw.Beat, handed []bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, b := range s.beats {
		if b.Outcome == "" {
			beats, handed = append(beats, b), append(handed, s.handed[i])
		}
	}
	return beats, handed, nil
}
func (s *shelf) Beats(_ context.Context, name string, limit int) (out []claw.Beat, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.beats) - 1; i >= 0 && len(out) < limit; i-- {
		if s.beats[i].Heartbeat == name {
			out = append(out, s.beats[i])
		}
	}
	return out, nil
}

// crash ends a life at a step.
type crash struct{}

// Whatever happens to the computer (it sleeps, its clock is set, it crashes at any step, its disk is full, a user turns
// things on and off), a time beats at most once, at no look at the clock a heartbeat beats twice, none beats
// while it runs or is off, and none that was due before it was known or turned on.
func TestNeverTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ctx := t.Context()
		now := time.Date(2026, 3, 28, 20, 0, 0, 0, time.UTC)
		peak := now
		store := &shelf{states: map[string]heartbeat.State{}}
		beats := []claw.Heartbeat{every("a", "*/7 * * * *"), daily("b", "skip"), every("c", "30 2 * * *")}
		beats[2].Timezone = "Europe/Berlin"
		var open, stored []claw.Message // unanswered; all
		since := map[string]time.Time{"a": now, "b": now, "c": now}
		on := map[string]bool{"a": true, "b": true, "c": true}
		perLook := map[string]int{}
		dieAt := ""
		var c *heartbeat.Clock
		boot := func() {
			var err error
			c, err = heartbeat.New(heartbeat.Options{
				Heartbeats: beats, Store: store, Now: func() time.Time { return now },
				Step: func(s string) {
					if s == dieAt {
						dieAt = ""
						panic(crash{})
					}
				},
				Beat: func(_ context.Context, msg claw.Message) error {
					if store.fails {
						return errShelf
					}
					for _, o := range stored {
						if o.ID == msg.ID {
							if fmt.Sprint(o) != fmt.Sprint(msg) {
								t.Fatalf("message %s came again as another one:\n%v\n%v", msg.ID, o, msg)
							}
							for _, u := range open {
								if u.ID == msg.ID {
									return nil
								}
							}
							return claw.ErrBeaten
						}
					}
					name := msg.Origin.User
					for _, u := range open {
						if u.Origin.User == name {
							t.Fatalf("%s beats while %s is open", msg.ID, u.ID)
						}
					}
					if perLook[name]++; perLook[name] > 1 {
						t.Fatalf("%s beats twice at one look", name)
					}
					stored, open = append(stored, msg), append(open, msg)
					return nil
				},
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		look := func() {
			clear(perLook)
			defer func() {
				if r := recover(); r != nil {
					if _, ok := r.(crash); !ok {
						panic(r)
					}
					boot()
				}
			}()
			n := len(store.beats)
			_ = heartbeat.Tick(ctx, c)
			for _, b := range store.beats[n:] {
				if !on[b.Heartbeat] {
					t.Fatalf("%s beats while it is off", b.Heartbeat)
				}
				if !b.Due.After(since[b.Heartbeat]) || b.Due.After(now) {
					t.Fatalf("%s beats for %s; it is on since %s and now is %s", b.Heartbeat, b.Due, since[b.Heartbeat], now)
				}
			}
		}
		boot()
		look()
		for range rapid.IntRange(1, 40).Draw(t, "events") {
			switch rapid.IntRange(0, 9).Draw(t, "event") {
			case 0, 1, 2:
				now = now.Add(time.Duration(rapid.IntRange(1, 60).Draw(t, "seconds")) * time.Second)
			case 3:
				now = now.Add(time.Duration(rapid.IntRange(1, 12*60).Draw(t, "minutes")) * time.Minute)
			case 4:
				// Further back than a day it was wrong before, and what is dealt with is not known any more.
				now = now.Add(-time.Duration(rapid.IntRange(1, 24*60).Draw(t, "back")) * time.Minute)
				if now.Before(peak.Add(-24 * time.Hour)) {
					now = peak.Add(-24 * time.Hour)
				}
			case 5:
				boot()
			case 6:
				dieAt = rapid.SampledFrom([]string{heartbeat.StepKept, heartbeat.StepHanded}).Draw(t, "die")
			case 7:
				store.fail(!store.fails)
			case 8:
				if len(open) > 0 && !store.fails {
					i := rapid.IntRange(0, len(open)-1).Draw(t, "answered")
					if _, err := c.Ended(ctx, open[i], "done", "x"); err != nil {
						t.Fatal(err)
					}
					open = append(open[:i], open[i+1:]...)
				}
			case 9:
				name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")
				turn := rapid.Bool().Draw(t, "on")
				if c.Toggle(ctx, name, turn) == nil {
					if turn && !on[name] {
						since[name] = now
					}
					on[name] = turn
				}
			}
			if now.After(peak) {
				peak = now
			}
			look()
		}
		seen := map[string]bool{}
		for _, msg := range stored {
			if seen[msg.ID] {
				t.Fatalf("%s beat twice", msg.ID)
			}
			seen[msg.ID] = true
		}
	})
}
