// Package heartbeat lets prompts beat on a clock.
//
// A beat is stored before it happens, under its heartbeat and the time when it was due, so none happens
// twice: not after a crash, and not when the clock of the computer is set back. What was stored and did
// not come to be a message is handed over again at the next start. Of the times that pass while nothing
// runs (the computer was off, or asleep) one is made up for at most, and none if the heartbeat says so.
// A beat that is due while the one before still runs is skipped, and that is kept with its reason.
//
// It gives a beat no rights: what beats is a message like one that the user types. It refuses
// schedules that package cron refuses, and it counts no time from before a heartbeat was known, turned on or given
// its schedule. The entry point is [Clock.Run].
package heartbeat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/internal/cron"
)

const (
	// grace is how late a beat may be and still count as on time: we look at the clock every minute.
	grace = 2 * time.Minute
	// look is the longest time between two looks at the clock. Timers stand still while a computer sleeps.
	look = time.Minute
	// maxBack is how far a clock may be set back and we wait until it is there again. Further back, it
	// was wrong before, and may have been by years.
	maxBack = 25 * time.Hour
	// maxMissed is as far as missed times are counted.
	maxMissed = 1000
	// shownBeats is how many of the last beats come with each heartbeat.
	shownBeats = 5
)

// The steps of a beat.
const (
	StepKept   = "heartbeat.kept"   // the beat is stored, its message is not
	StepHanded = "heartbeat.handed" // the message is stored
)

// ErrUnknown is a heartbeat that is not configured.
var ErrUnknown = errors.New("no such heartbeat")

// State is what is kept of a heartbeat.
type State struct {
	Toggled bool // whether Enabled is a user's word
	Enabled bool
	Live    bool // whether it was on when it was last looked at
	// Schedule and Timezone are those of Done: its times up to that one are dealt with.
	Schedule, Timezone string
	Done               time.Time
}

// Store keeps toggles and beats.
type Store interface {
	// HeartbeatStates returns what is kept of each heartbeat that was ever known.
	HeartbeatStates(ctx context.Context) (map[string]State, error)
	SetHeartbeatState(ctx context.Context, name string, s State) error
	// AddBeat keeps a beat and, unless it is manual, that its heartbeat is dealt with up to the time when
	// it was due: both or neither. Of a beat that is there already, it keeps the second alone.
	AddBeat(ctx context.Context, b claw.Beat) (fresh bool, err error)
	// BeatHanded keeps that the message of a beat is stored.
	BeatHanded(ctx context.Context, session claw.SessionID) error
	// EndBeat keeps Ended, Outcome, Silent and Note of the beat with that Session, and what it and the
	// conversations that worked for it cost. The last word counts.
	EndBeat(ctx context.Context, b claw.Beat) error
	// OpenBeats returns those that have no outcome, and whether their messages are stored.
	OpenBeats(ctx context.Context) (beats []claw.Beat, handed []bool, err error)
	// Beats returns the last beats of a heartbeat, the newest first.
	Beats(ctx context.Context, name string, limit int) ([]claw.Beat, error)
}

// Options is what a Clock is made of; Log and Step are optional.
type Options struct {
	// Heartbeats are those that are configured: Name, Schedule, Timezone, Prompt, Missed and Enabled count.
	Heartbeats []claw.Heartbeat
	Store      Store
	// Beat hands over the message of a beat. When it returns without an error the message is stored and
	// will be answered, even after a crash; the same message again changes nothing, and is
	// claw.ErrBeaten when it was answered.
	Beat func(ctx context.Context, msg claw.Message) error
	Now  func() time.Time
	Log  *slog.Logger
	Step func(step string)
}

// Clock beats.
type Clock struct {
	o     Options
	beats []beating
	poke  chan struct{} // there is something new

	mu      sync.Mutex // one beat is kept and handed over at a time
	settled bool       // what was kept is in line with what is configured
	started bool       // what an earlier life left is handed over
}

// beating is a heartbeat with its schedule.
type beating struct {
	claw.Heartbeat
	cron cron.Schedule
}

// New checks the heartbeats.
func New(o Options) (*Clock, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Step == nil {
		o.Step = func(string) {}
	}
	c := &Clock{o: o, poke: make(chan struct{}, 1)}
	for _, h := range o.Heartbeats {
		schedule, err := cron.Parse(h.Schedule, h.Timezone)
		if err != nil {
			return nil, fmt.Errorf("heartbeat %s: %w", h.Name, err)
		}
		if _, err := c.find(h.Name); err == nil || h.Name == "" {
			return nil, fmt.Errorf("heartbeat %q: it needs a name of its own", h.Name)
		}
		h.Words = schedule.String()
		c.beats = append(c.beats, beating{h, schedule})
	}
	return c, nil
}

func (c *Clock) find(name string) (beating, error) {
	for _, b := range c.beats {
		if b.Name == name {
			return b, nil
		}
	}
	return beating{}, fmt.Errorf("%w: %.64q is not in secureclaw.yaml", ErrUnknown, name)
}

// now is what the wall shows: without a monotonic reading, which stands still while the computer sleeps.
func (c *Clock) now() time.Time { return c.o.Now().Round(0) }

// Run beats until ctx ends. What the store refuses is tried again at the next look at the clock.
func (c *Clock) Run(ctx context.Context) error {
	for {
		next, err := c.tick(ctx)
		if ctx.Err() != nil {
			return nil
		}
		wait := look
		if err != nil {
			c.o.Log.Error("the clock of the heartbeats, trying again", "err", err)
		} else if !next.IsZero() {
			wait = min(look, max(next.Sub(c.now()), time.Millisecond))
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-c.poke:
			timer.Stop()
		case <-timer.C:
		}
	}
}

func (c *Clock) wake() {
	select {
	case c.poke <- struct{}{}:
	default:
	}
}

// tick does all that is due now, and says when the next one is.
func (c *Clock) tick(ctx context.Context) (next time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	states, err := c.settle(ctx, now)
	if err != nil {
		return time.Time{}, err
	}
	open, err := c.handOver(ctx)
	if err != nil {
		return time.Time{}, err
	}
	var errs []error
	for _, h := range c.beats {
		state := states[h.Name]
		if !state.Live {
			continue
		}
		at, err := c.catchUp(ctx, h, state, open[h.Name], now)
		if err != nil {
			errs = append(errs, fmt.Errorf("heartbeat %s: %w", h.Name, err))
		} else if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return next, errors.Join(errs...)
}

// settle brings what is kept in line with what is configured, once: the time of a heartbeat that is new, was
// turned on or has another schedule begins now.
func (c *Clock) settle(ctx context.Context, now time.Time) (map[string]State, error) {
	states, err := c.o.Store.HeartbeatStates(ctx)
	if err != nil || c.settled {
		return states, err
	}
	gone := make(map[string]bool)
	for name := range states {
		gone[name] = true
	}
	for _, h := range c.beats {
		delete(gone, h.Name)
		was, known := states[h.Name]
		is := h.state(was)
		if !known || is.Live != was.Live || is.Schedule != was.Schedule || is.Timezone != was.Timezone {
			is.Done = now
			if err := c.o.Store.SetHeartbeatState(ctx, h.Name, is); err != nil {
				return nil, err
			}
			states[h.Name] = is
		}
	}
	for name := range gone {
		if is := states[name]; is.Live {
			is.Live = false // should it come back, then from that moment on
			if err := c.o.Store.SetHeartbeatState(ctx, name, is); err != nil {
				return nil, err
			}
		}
	}
	c.settled = true
	return states, nil
}

// state is what should be kept of a heartbeat, Done aside.
func (h beating) state(s State) State {
	if !s.Toggled {
		s.Enabled = h.Enabled
	}
	s.Live, s.Schedule, s.Timezone = s.Enabled, h.Schedule, h.Timezone
	return s
}
