package card

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/secureclaw/secureclaw/bridge/telegram/internal/entity"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// The states of an approval, as the gateway names them.
const (
	pending   = "pending"
	allowed   = "allowed"
	started   = "started"
	denied    = "denied"
	expired   = "expired"
	cancelled = "cancelled"
	done      = "done"
	unknown   = "unknown"
)

// state is the last line of the card proper: until when it can be answered, or what became of it.
func (p *page) state(c wire.Card, loc *time.Location) {
	if c.State == pending {
		p.add("", "\n")
		p.add(entity.Bold, "Expires")
		p.add("", pad("Expires")+expiry(c, loc)+", then denied")
		return
	}
	icon, parts := "✅", decision(c, loc)
	switch c.State {
	case allowed:
		parts = append(parts, "allowed, not yet started")
	case started:
		icon, parts = "⏳", append(parts, "running")
	case denied:
		icon, parts = "⛔", append(parts, "denied")
	case expired:
		icon, parts = "⌛", []string{"expired " + expiry(c, loc), "nobody answered, so it was denied"}
	case cancelled:
		icon, parts = "🚫", append(parts, "cancelled, it did not run")
	case done:
		outcome := oneLine(c.Outcome, 32)
		if c.Outcome != "ok" {
			icon = "❌"
		}
		if c.DurationMS > 0 {
			parts = append(parts, "ran "+duration(c.DurationMS))
		}
		parts = append(parts, outcome)
	case unknown:
		icon, parts = "⚠️", append(parts, "unknown outcome: it was started and SecureClaw was restarted; it is not repeated")
	default:
		icon, parts = "❔", append(parts, oneLine(c.State, 32))
	}
	p.add("", "\n")
	p.add(entity.Bold, icon+" "+strings.Join(parts, " · "))
	if c.Line != "" {
		p.row("Result", oneLine(c.Line, maxReason))
	}
	if c.Why != "" {
		p.row("Reason", oneLine(c.Why, maxReason))
	}
}

// decision is who answered, where and when.
func decision(c wire.Card, loc *time.Location) []string {
	var parts []string
	if c.By != "" {
		parts = append(parts, oneLine(c.By, 80))
	}
	if c.Via != "" {
		via := []rune(oneLine(c.Via, 32))
		parts = append(parts, string(unicode.ToUpper(via[0]))+string(via[1:]))
	}
	if !c.Decided.IsZero() {
		parts = append(parts, c.Decided.In(loc).Format("15:04:05"))
	}
	return parts
}

// expiry is the time of the deadline, with its day when that is not the day of the question.
func expiry(c wire.Card, loc *time.Location) string {
	asked, expires := c.Asked.In(loc), c.Expires.In(loc)
	if asked.YearDay() == expires.YearDay() && asked.Year() == expires.Year() {
		return expires.Format("15:04")
	}
	return expires.Format("2 Jan 15:04")
}

func duration(ms float64) string {
	switch d := time.Duration(ms * float64(time.Millisecond)); {
	case d < 0 || d > 1000*time.Hour:
		return "for an unknown time"
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", ms)
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	default:
		return d.Round(time.Second).String()
	}
}
