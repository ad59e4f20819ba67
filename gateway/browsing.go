package gateway

import (
	"context"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/audit"
	"github.com/secureclaw/secureclaw/internal/run"
)

// The runner proves at its start and every hour that its way out refuses a name that nobody allowed.
// While it cannot, it opens no page, and everybody who uses this SecureClaw must hear of it: a wall that
// fell in silence would be the worst of walls.

// codeCanary is the runner's word for it.
const codeCanary = "canary"

// The kinds of audit entries about it; the last one is what users were told.
const (
	kindBrowsingOff = "browsing.off"
	kindBrowsingOn  = "browsing.on"
)

// watchEvery is how often the runner is asked. A runner that just started says no before its first test
// has ended, so a no counts when it is said again after askAgain, which is longer than a test takes.
const (
	watchEvery = time.Minute
	askAgain   = 15 * time.Second
)

// browsing asks the runner how its way out does, and tells of each change once.
type browsing struct {
	status func(context.Context) (*run.Status, error)
	// announce says a sentence to everybody.
	announce func(key, text string)
	note     func(kind string, fields map[string]any)
	now      func() time.Time
	off      bool // what users were told last
	maybe    bool // it was seen off once, and users do not know
}

// wasOff reads from the audit log what users were told last, so that a restart tells nobody twice.
func wasOff(ctx context.Context, o Options) bool {
	off := false
	for e, err := range audit.Tail(ctx, auditDir(o.State), 2000, false) {
		if err != nil {
			break // then it is told again
		}
		if e.Kind == kindBrowsingOff || e.Kind == kindBrowsingOn {
			off = e.Kind == kindBrowsingOff
		}
	}
	return off
}

// run watches until ctx ends.
func (b *browsing) run(ctx context.Context) {
	for {
		b.look(ctx)
		wait := watchEvery
		if b.maybe {
			wait = askAgain
		}
		next := time.NewTimer(wait)
		select {
		case <-next.C:
		case <-ctx.Done():
			next.Stop()
			return
		}
	}
}

// look asks once. A runner that does not answer says nothing about its walls.
func (b *browsing) look(ctx context.Context) {
	asking, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	status, err := b.status(asking)
	if err != nil {
		return
	}
	problem := problemOf(status, "web")
	off := problem != nil && problem.Code == codeCanary
	if off == b.off || problem != nil && !off { // another problem hides what the canary says
		b.maybe = false
		return
	}
	if off && !b.maybe {
		b.maybe = true
		return
	}
	b.maybe = false
	kind, fields, text := kindBrowsingOn, map[string]any{}, "Browsing works again: the way out was tested and refuses what it must."
	if off {
		kind, fields = kindBrowsingOff, map[string]any{"what": problem.What, "why": problem.Why}
		text = "Browsing is switched off, because the test of its way out failed; nothing else is touched. " + sentences(problem.What, problem.Why, problem.Fix)
	}
	// Told before it is recorded: if we die in between, the next start tells again.
	b.announce(kind+":"+b.now().UTC().Format(time.RFC3339), text)
	b.note(kind, fields)
	b.off = off
}

// problemOf is what keeps one kind of executor from running, nil when nothing does or it is not there.
func problemOf(s *run.Status, kind string) *run.Refusal {
	for _, e := range s.Executors {
		if e.Kind == kind {
			return e.Problem
		}
	}
	return nil
}

// sentences puts those that are not empty behind each other.
func sentences(parts ...string) string {
	out := ""
	for _, p := range parts {
		if p != "" && out != "" {
			out += " "
		}
		out += p
	}
	return out
}
