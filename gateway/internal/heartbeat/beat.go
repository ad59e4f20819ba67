package heartbeat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// catchUp deals with the times of a heartbeat that came since it was last dealt with, and says when to
// look again. open is its beat that still runs, nil when none does.
func (c *Clock) catchUp(ctx context.Context, h beating, state State, open *claw.Beat, now time.Time) (time.Time, error) {
	if now.Before(state.Done.Add(-maxBack)) {
		state.Done = now
		if err := c.o.Store.SetHeartbeatState(ctx, h.Name, state); err != nil {
			return time.Time{}, err
		}
	}
	due, before, n, err := h.passed(state.Done, now)
	if err != nil {
		return time.Time{}, err
	}
	if n > 0 {
		if err := c.deal(ctx, h, due, before, n, open, now); err != nil {
			return time.Time{}, err
		}
	}
	from := state.Done
	if now.After(from) {
		from = now
	}
	return h.cron.Next(from)
}

// passed are the last two times after done up to now, and how many there are in all, as far as they are counted.
func (h beating) passed(done, now time.Time) (last, before time.Time, n int, err error) {
	at := done
	for n < maxMissed {
		if at, err = h.cron.Next(at); err != nil || at.After(now) {
			return last, before, n, err
		}
		last, before, n = at, last, n+1
	}
	// So many that the last ones are looked for from the other end.
	for _, back := range []time.Duration{time.Hour, 24 * time.Hour, 32 * 24 * time.Hour, now.Sub(done)} {
		found := 0
		for at = now.Add(-back); ; found++ {
			if at, err = h.cron.Next(at); err != nil {
				return last, before, n, err
			}
			if at.After(now) {
				break
			}
			last, before = at, last
		}
		if found > 1 {
			break
		}
	}
	return last, before, n, nil
}

// deal lets the last of the times that passed beat, or keeps why it does not.
func (c *Clock) deal(ctx context.Context, h beating, due, before time.Time, n int, open *claw.Beat, now time.Time) error {
	late, skip := now.Sub(due) > grace, h.Missed != "once"
	switch {
	case late && skip:
		return c.skip(ctx, h, due, now, passedBy(n))
	case late && open != nil:
		return nil // it is made up for when the one that runs has ended
	case open != nil:
		return c.skip(ctx, h, due, now, fmt.Sprintf("the beat of %s still runs", open.Due.In(h.cron.Location()).Format("Mon 2 Jan 15:04")))
	case n > 1 && skip:
		if err := c.skip(ctx, h, before, now, passedBy(n-1)); err != nil {
			return err
		}
		n = 1
	}
	b := claw.Beat{Heartbeat: h.Name, Due: due, Started: now, Missed: n - 1}
	b.Session = claw.SessionID("heartbeat-" + h.Name + "-" + due.UTC().Format("20060102T1504Z"))
	fresh, err := c.o.Store.AddBeat(ctx, b)
	if err != nil || !fresh {
		return err
	}
	c.o.Step(StepKept)
	return c.hand(ctx, h, b)
}

func passedBy(n int) string {
	if n == 1 {
		return "this computer was off or asleep"
	}
	return fmt.Sprintf("this computer was off or asleep; %s times passed", number(n))
}

// number is how many were counted.
func number(n int) string {
	if n >= maxMissed-1 {
		return fmt.Sprintf("%d or more", n)
	}
	return fmt.Sprint(n)
}

func (c *Clock) skip(ctx context.Context, h beating, due, now time.Time, why string) error {
	_, err := c.o.Store.AddBeat(ctx, claw.Beat{Heartbeat: h.Name, Due: due, Ended: now, Outcome: claw.Skipped, Silent: true, Note: why})
	return err
}

// handOver hands over what was kept and is not known to be a message, after a start everything that is
// open, and returns what runs.
func (c *Clock) handOver(ctx context.Context) (map[string]*claw.Beat, error) {
	beats, handed, err := c.o.Store.OpenBeats(ctx)
	if err != nil {
		return nil, err
	}
	open := make(map[string]*claw.Beat)
	var errs []error
	for i, b := range beats {
		h, err := c.find(b.Heartbeat)
		switch {
		case handed[i] && (c.started || err != nil):
			// It is on its way; the desk goes on with it after a restart.
		case err != nil:
			b.Ended, b.Outcome, b.Silent, b.Note = c.now(), claw.Skipped, true, "it is not in secureclaw.yaml any more"
			errs = append(errs, c.o.Store.EndBeat(ctx, b))
			continue
		default:
			errs = append(errs, c.hand(ctx, h, b))
		}
		open[b.Heartbeat] = &b
	}
	err = errors.Join(errs...)
	c.started = c.started || err == nil
	return open, err
}

// hand hands the message of a beat to whoever answers it.
func (c *Clock) hand(ctx context.Context, h beating, b claw.Beat) error {
	err := c.o.Beat(ctx, message(h, b))
	if errors.Is(err, claw.ErrBeaten) {
		// Whoever answered it kept its end before the answer. It may be that he did so since we looked.
		if open, err := c.isOpen(ctx, b.Session); err != nil || !open {
			return err
		}
		b.Ended, b.Outcome, b.Silent, b.Note = c.now(), claw.Skipped, true, "it was answered before"
		return c.o.Store.EndBeat(ctx, b)
	}
	if err != nil {
		return fmt.Errorf("beat of %s: %w", b.Due.Format(time.RFC3339), err)
	}
	c.o.Step(StepHanded)
	return c.o.Store.BeatHanded(ctx, b.Session)
}

// isOpen reports whether a beat has no outcome yet.
func (c *Clock) isOpen(ctx context.Context, session claw.SessionID) (bool, error) {
	open, _, err := c.o.Store.OpenBeats(ctx)
	return slices.ContainsFunc(open, func(b claw.Beat) bool { return b.Session == session }), err
}
