package audit

import (
	"errors"
	"fmt"
	"strings"
)

// The kinds of entries the gateway writes.
const (
	KindMessage         = "message"          // somebody said something
	KindModel           = "model"            // a model answered
	KindIntent          = "intent"           // a call is about to run; on disk before it does
	KindResult          = "result"           // how a call with an intent ended
	KindRefused         = "refused"          // a call that did not run, and why
	KindApprovalAsked   = "approval.asked"   // a question is open
	KindApprovalDecided = "approval.decided" // somebody answered it
	KindApprovalExpired = "approval.expired" // nobody answered it, or its run was stopped
	KindRunnerStarted   = "runner.started"   // a runner reported itself
	KindEgress          = "egress"           // a connection was allowed or refused
)

// The kinds that the log itself writes; callers may not.
const (
	KindSegment    = "audit.segment"    // first entry of a segment
	KindCheckpoint = "audit.checkpoint" // a signed tree head of this size exists
	KindRecovered  = "audit.recovered"  // what a crash left behind, and what was done about it
	ownPrefix      = "audit."
)

// Record is one thing that happened, before it has a place in the chain. Fields is any value that
// encodes to a JSON object; it is encoded once, redacted and escaped by the log.
type Record struct {
	Kind    string // one of the Kind constants, or another lower-case word; "audit." is taken
	Session string
	Run     string
	Call    string // pairs an intent with its result
	Fields  any
}

// names checks the parts of a record that readers filter by, and redacts them.
func (r *Record) names(secrets *redactor) error {
	if r.Kind == "" || strings.HasPrefix(r.Kind, ownPrefix) {
		return fmt.Errorf("kind %q is not for callers", r.Kind)
	}
	if r.Call == "" && (r.Kind == KindIntent || r.Kind == KindResult) {
		return errors.New("an intent or a result without a call cannot be paired")
	}
	for _, s := range []*string{&r.Kind, &r.Session, &r.Run, &r.Call} {
		if len(*s) > maxName {
			return fmt.Errorf("%.40q is longer than %d bytes: %w", *s, maxName, ErrTooLarge)
		}
		*s = secrets.redact(strings.ToValidUTF8(*s, "\ufffd"))
	}
	return nil
}
