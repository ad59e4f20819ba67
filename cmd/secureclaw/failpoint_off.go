//go:build !failpoint

package main

import "time"

// longestBackoff is the most that a role which dies again and again waits for its next start.
const longestBackoff = 30 * time.Second

// stepHook is nil: no program that is built without the tag failpoint can be made to end at a step.
func stepHook() func(string) { return nil }

// failpointEnv names nothing that up would hand on.
func failpointEnv() []string { return nil }
