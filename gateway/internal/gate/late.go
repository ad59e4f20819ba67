package gate

import (
	"fmt"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/policy"
)

// Reader is a [Tool] inside the gateway that says of itself whether it only reads. One that does not
// say so acts. What an executor's tool can do, its mounts and domains say, and nobody asks it.
type Reader interface {
	ReadsOnly() bool
}

// forLate is the verdict on a call of a run that a late message set in motion: what was right when it
// was written may be wrong by now, so every call that would act asks. Nothing gets looser.
func forLate(origin claw.Origin, tool Tool, action claw.Action, v policy.Verdict) policy.Verdict {
	if origin.Late == 0 || v.Tier == claw.Ask || v.Tier == claw.Auto && !acts(tool, action) {
		return v
	}
	why := fmt.Sprintf("asked because the message was %s old when it arrived", age(origin.Late))
	return policy.Verdict{Tier: claw.Ask, Rule: v.Rule + "; " + why, Reason: v.Reason}
}

// acts says whether a call may change something. One that reaches the world does: to read a page is
// to tell its server something, and a click can buy.
func acts(tool Tool, action claw.Action) bool {
	if len(action.Domains) > 0 {
		return true
	}
	for _, m := range action.Mounts {
		if m.Mode != "ro" {
			return true
		}
	}
	if action.Executor != "" {
		return false
	}
	reader, ok := tool.(Reader)
	return !ok || !reader.ReadsOnly()
}

// age writes a duration for people: "12 min", "3 h 12 min". A clock that runs behind can make it negative.
func age(e claw.Elapsed) string {
	minutes := int64(time.Duration(e).Abs() / time.Minute)
	if hours := minutes / 60; hours > 0 {
		return fmt.Sprintf("%d h %d min", hours, minutes%60)
	}
	return fmt.Sprintf("%d min", minutes)
}
