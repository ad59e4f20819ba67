//go:build docker

package e2e

import (
	"testing"
	"time"
)

// Whenever the end comes in the life of a call, nothing is left: [world.stop] looks.
func TestEndAtAnyMoment(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{0, 10, 20, 40, 60, 80, 120, 160, 250} {
		w := startWorld(t, setting{})
		talk := w.begin("chat", "run: sleep 30")
		w.eventually("a call begins", func() bool { return w.entries("intent") == 1 })
		time.Sleep(after * time.Millisecond) // not to wait for anything: the moments are the cases
		w.stop()
		talk()
	}
}
