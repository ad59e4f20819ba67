package heartbeat

import (
	"context"
	"fmt"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// This file is what users, and the desk that answers them, ask of the clock.

// pauseQuiet is how long after a beat that told of a limit another one of its heartbeat does not tell of one.
const pauseQuiet = 24 * time.Hour

// Heartbeats returns all that are configured, in that order, with their next time and their last beats.
func (c *Clock) Heartbeats(ctx context.Context) ([]claw.Heartbeat, error) {
	states, err := c.o.Store.HeartbeatStates(ctx)
	if err != nil {
		return nil, err
	}
	now := c.now()
	var out []claw.Heartbeat
	for _, b := range c.beats {
		h := b.Heartbeat
		state := b.state(states[h.Name])
		h.Enabled, h.Toggled = state.Enabled, state.Toggled
		if h.Enabled {
			from := now
			if state.Done.After(now) && !now.Before(state.Done.Add(-maxBack)) {
				from = state.Done // the clock was set back; these times are dealt with
			}
			if h.Next, err = b.cron.Next(from); err != nil {
				return nil, fmt.Errorf("heartbeat %s: %w", h.Name, err)
			}
		}
		if h.Last, err = c.o.Store.Beats(ctx, h.Name, shownBeats); err != nil {
			return nil, err
		}
		out = append(out, h)
	}
	return out, nil
}

// Beats returns the last beats of a heartbeat, the newest first.
func (c *Clock) Beats(ctx context.Context, name string, limit int) ([]claw.Beat, error) {
	if _, err := c.find(name); err != nil {
		return nil, err
	}
	return c.o.Store.Beats(ctx, name, limit)
}

// Toggle turns one on or off, for good: from now on this counts, and not the configuration. The time of
// one that is turned on begins now.
func (c *Clock) Toggle(ctx context.Context, name string, on bool) error {
	h, err := c.find(name)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	states, err := c.settle(ctx, now)
	if err != nil {
		return err
	}
	state := states[name]
	if on && !state.Live {
		state.Done = now
	}
	state.Toggled, state.Enabled = true, on
	if err := c.o.Store.SetHeartbeatState(ctx, name, h.state(state)); err != nil {
		return err
	}
	c.wake()
	return nil
}

// Trigger lets one beat now, whether it is on or off. It refuses while one of its beats runs.
func (c *Clock) Trigger(ctx context.Context, name string) (claw.Beat, error) {
	h, err := c.find(name)
	if err != nil {
		return claw.Beat{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	open, _, err := c.o.Store.OpenBeats(ctx)
	if err != nil {
		return claw.Beat{}, err
	}
	for _, b := range open {
		if b.Heartbeat == name {
			return claw.Beat{}, fmt.Errorf("%s runs already, since %s; its session is %s", name, b.Started.In(h.cron.Location()).Format("15:04"), b.Session)
		}
	}
	now := c.now().Truncate(time.Millisecond)
	b := claw.Beat{Heartbeat: name, Due: now, Started: now, Manual: true}
	b.Session = claw.SessionID("heartbeat-" + name + "-" + now.UTC().Format("20060102T150405.000Z"))
	fresh, err := c.o.Store.AddBeat(ctx, b)
	if err == nil && !fresh {
		err = fmt.Errorf("%s was asked for at this very moment", name)
	}
	if err != nil {
		return claw.Beat{}, err
	}
	c.o.Step(StepKept)
	if err := c.hand(ctx, h, b); err != nil {
		b.Ended, b.Outcome, b.Note = c.now(), "failed", reason(err.Error())
		_ = c.o.Store.EndBeat(ctx, b) // if this fails too, the beat is handed over at the next look at the clock
		return claw.Beat{}, err
	}
	return b, nil
}

// Ended takes how the message of a beat was answered, and returns what its owner should be told; empty
// when nobody needs to hear of it. It is called before the answer is stored, so that a crash between the
// two leaves a message that is answered again: the last word counts.
func (c *Clock) Ended(ctx context.Context, msg claw.Message, outcome, text string) (tell string, err error) {
	b := claw.Beat{Heartbeat: msg.Origin.User, Session: msg.Session, Ended: c.now(), Outcome: outcome}
	tell = told(text)
	switch outcome {
	case "done":
	case "paused":
		b.Note = reason(text)
		last, err := c.o.Store.Beats(ctx, b.Heartbeat, keptBeats)
		if err != nil {
			return "", err
		}
		for _, other := range last {
			if other.Outcome == "paused" && !other.Silent && other.Session != b.Session && b.Ended.Sub(other.Ended).Abs() < pauseQuiet {
				tell = ""
			}
		}
	default:
		b.Note = reason(text)
		if tell == "" {
			tell = "It ended without an answer (" + outcome + ")."
		}
	}
	b.Silent = tell == ""
	return tell, c.o.Store.EndBeat(ctx, b)
}

// keptBeats is more than the store keeps of one heartbeat.
const keptBeats = 1000
