// Package heartbeat says when a prompt on a clock is due, and sees to it that each beat happens at most once.
package heartbeat

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// Store keeps toggles and beats.
type Store interface{}

// Options is what a Clock is made of; Log and Step are optional.
type Options struct {
	// Heartbeats are those that are configured: Name, Schedule, Timezone, Prompt, Missed and Enabled count.
	Heartbeats []claw.Heartbeat
	Store      Store
	// Beat hands over the message of a beat. When it returns without an error the message is stored and
	// will be answered, even after a crash; the same message again changes nothing.
	Beat func(ctx context.Context, msg claw.Message) error
	Now  func() time.Time
	Log  *slog.Logger
	Step func(step string)
}

// Clock beats.
type Clock struct{ o Options }

// New checks the heartbeats.
func New(o Options) (*Clock, error) { return &Clock{o}, nil }

// Run beats until ctx ends.
func (c *Clock) Run(ctx context.Context) error { <-ctx.Done(); return nil }

var errNotYet = errors.New("heartbeat: not yet")

// Heartbeats returns all that are configured, with their next time and their last beats.
func (c *Clock) Heartbeats(ctx context.Context) ([]claw.Heartbeat, error) { return c.o.Heartbeats, nil }

// Toggle turns one on or off, for good.
func (c *Clock) Toggle(ctx context.Context, name string, on bool) error { return errNotYet }

// Trigger lets one beat now, whether it is on or off.
func (c *Clock) Trigger(ctx context.Context, name string) (claw.Beat, error) {
	return claw.Beat{}, errNotYet
}

// Ended takes how the message of a beat was answered.
func (c *Clock) Ended(ctx context.Context, msg claw.Message, outcome, text string, usage claw.Usage) (silent bool, err error) {
	return false, errNotYet
}
