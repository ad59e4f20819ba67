package run

import "runtime"

// MaxCalls is the most calls, beside those of browsers, that the runner has at work on this machine, and
// that the gateway gives it. Each may take all the memory of its limit, so there are few of them; a
// container that is being started is mostly the kernel's work, and more only take turns at that.
func MaxCalls() int { return min(32, max(8, 2*runtime.NumCPU())) }

// MaxOfSession is how many of most places one session may have, here and there: half, so that a session
// with dozens of calls leaves room for the next one's first.
func MaxOfSession(most int) int { return (most + 1) / 2 }
