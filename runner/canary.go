package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/secureclaw/secureclaw/internal/run"
)

const (
	proveEvery   = time.Hour
	proveTimeout = 10 * time.Second
	// provePatience is how long the first call after a start waits for the first proof.
	provePatience = 5 * time.Second
)

// errUnproved is the verdict before the first one.
var errUnproved = errors.New("the proof after the start has not ended yet")

// canary knows whether the way out was proved, last time, to be closed to what is not allowed.
// Before the first proof it is not.
type canary struct {
	prove func(context.Context) error
	log   *slog.Logger
	first chan struct{} // closed with the first verdict

	mu  sync.Mutex
	err error
}

func newCanary(prove func(context.Context) error, log *slog.Logger) *canary {
	return &canary{prove: prove, log: log, first: make(chan struct{}), err: errUnproved}
}

// run proves now and every hour, until ctx ends.
func (c *canary) run(ctx context.Context) {
	tick := time.NewTicker(proveEvery)
	defer tick.Stop()
	for {
		c.once(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (c *canary) once(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, proveTimeout)
	defer cancel()
	err := c.prove(limited)
	if ctx.Err() != nil {
		return // we are stopping: no verdict
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.err
	c.err = err
	switch {
	case err != nil:
		c.log.Error("browsing is disabled: the way out is not proved to be closed", "err", err.Error())
	case before != nil && !errors.Is(before, errUnproved):
		c.log.Info("browsing is enabled again: the way out is proved to be closed")
	}
	if errors.Is(before, errUnproved) {
		close(c.first)
	}
}

// refusal says why nobody may browse, nil when the last proof held. It waits a moment for the first.
func (c *canary) refusal(ctx context.Context) *run.Refusal {
	patience := time.NewTimer(provePatience)
	defer patience.Stop()
	select {
	case <-c.first:
	case <-patience.C:
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		return nil
	}
	return &run.Refusal{
		Code: codeCanary,
		What: "Browsing is disabled, so nothing ran.",
		Why:  fmt.Sprintf("The runner proves at start and every hour that its way out refuses what is not allowed, and it did not: %.300v.", c.err),
		Fix:  "Restart with secureclaw up; if it stays, do not browse with this release and report it.",
	}
}
