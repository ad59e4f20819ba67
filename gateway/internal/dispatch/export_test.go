package dispatch

import "time"

// SpareFor changes how long an idle connection is kept, and waits for it on a slow machine too.
func (d *Dispatch) SpareFor(idle time.Duration) { d.spare.idle, d.spare.pace = idle, time.Minute }

// MaxBrowsers is how many calls of browse_web are with the runner at once.
func MaxBrowsers() int { return maxBrowsers() }
