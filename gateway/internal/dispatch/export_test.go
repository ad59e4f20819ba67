package dispatch

import "time"

// SpareFor changes how long an idle connection is kept, and waits for it on a slow machine too.
func (d *Dispatch) SpareFor(idle time.Duration) { d.spare.idle, d.spare.pace = idle, time.Minute }

// SpareMost is how many idle connections are kept.
const SpareMost = spareMost
