// Package gate decides whether a tool call may run, and sees to it that it runs at most once.
//
// Every call passes through [Gate.Run], and nothing else in the gateway holds a [Tool], so there is
// no second way to a container or to the user's mailbox. Arguments are parsed once; the action that
// comes out is what the policy judges, what the user is shown, what is hashed, what is stored, and
// what runs. Its intent is in the audit log, on disk, before it starts.
//
// It refuses what it cannot judge, store, record or ask about: an unknown tool, input it cannot read
// in one way only, a question without an [Asker], an approval whose stored action changed, an
// answer after the deadline (even if we were not running when it passed), a second answer. A call
// that was started and never finished is reported as unknown and not repeated. In a run that a late
// message set in motion it asks about every call that would act, whatever the policy says; so it does
// about what could tell the world something that the conversation has read ([policy.Policy.Flow]).
//
//	        ┌────────────▶ denied │ expired │ cancelled
//	pending ┴▶ allowed ┬─▶ cancelled        (stopped between the answer and the start)
//	                   └─▶ started ─▶ done
//	                              └─▶ unknown   (we died in between)
package gate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/audit"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/policy"
)

// MaxInput is the most bytes of one call's input. More is refused before it is parsed.
const MaxInput = 512 << 10

// DefaultExpiry is how long a question stays open when [Options.Expiry] is nil.
const DefaultExpiry = 30 * time.Minute

// Tool is something a model may ask for. Only a gate may hold one.
type Tool interface {
	// Spec is what the model is told. Its name is the tool's identity and never changes.
	Spec() claw.Tool
	// Prepare parses input strictly and returns the action in its one form: cleaned, with defaults,
	// with every mount and domain it needs. It has no effect. An error is a refusal in words for the model.
	Prepare(input []byte) (claw.Action, error)
	// Run performs the action. It returns soon after ctx ends, and never fails: what went wrong is a status.
	Run(ctx context.Context, call Call, action claw.Action) claw.ToolResult
}

// Call is who asks, in which conversation, and what that conversation has seen.
type Call struct {
	ID      claw.CallID    `json:"id"` // unique over all sessions and restarts
	ModelID string         `json:"modelId,omitzero"`
	Session claw.SessionID `json:"session"`
	Run     claw.RunID     `json:"run"`
	Origin  claw.Origin    `json:"origin"`
	// Label is that of everything the model had read when it made the call.
	Label claw.Label `json:"label"`
	Step  int        `json:"step,omitzero"` // round of the model loop, from 1
	// Quoted reports whether a text stands word for word in what the user wrote in this conversation, or
	// as a link in a page that it read. Nil: nothing does. It is asked when the call is judged, and not stored.
	Quoted func(text string) bool `json:"-"`
}

// Asker is the gate's way up to the user. Its methods wait for no user and no network, and for a disk not long.
type Asker interface {
	// Asked shows a card for a new question.
	Asked(Approval)
	// Decided settles the card: somebody decided, nobody did, or the call is done.
	Decided(Approval)
	// Resumed hands over the result of a call that nobody waits for any more, because we were
	// restarted since it was asked: the conversation can go on.
	Resumed(Approval, claw.ToolResult)
	// Notify tells the user of a call that ran without being asked about, and by which rule. When it
	// returns, the user will hear of it: the conversation goes on with the result after that.
	Notify(call Call, action claw.Action, result claw.ToolResult, rule string)
}

// Recorder is the audit log.
type Recorder interface {
	// Append returns when the record is on disk.
	Append(context.Context, audit.Record) (uint64, error)
	// Note takes a record that precedes no effect; it may reach the disk a moment later.
	Note(audit.Record) error
}

// Options are what a gate is made of. Tools may be empty; Policy nil asks about everything; Asker nil
// refuses every call that would be asked about or told of. Store and Audit are required.
type Options struct {
	Tools  []Tool
	Policy *policy.Policy
	Store  Store
	Audit  Recorder
	Asker  Asker
	// Expiry is how long a question stays open, by who set the run in motion. A duration of zero or
	// less leaves no time to answer, and the call is refused. Nil means DefaultExpiry.
	Expiry func(claw.Origin) time.Duration
	Now    func() time.Time // nil means time.Now
	Rand   io.Reader        // nil means crypto/rand
	Log    *slog.Logger     // nil discards
	// Step is called at each named step of a call's life, so that a test can end the process there. Nil means none.
	Step func(step string)
}

// The steps, in the order in which an approved call passes them. Calls that need no approval pass
// intent, ran and result.
const (
	StepAsked   = "gate.asked"   // question stored and recorded, not yet shown
	StepDecided = "gate.decided" // answer stored, nobody woken
	StepStarted = "gate.started" // start stored, intent not yet recorded
	StepIntent  = "gate.intent"  // intent on disk, tool not yet run
	StepRan     = "gate.ran"     // tool returned, result not yet stored
	StepDone    = "gate.done"    // result stored, not yet recorded
	StepResult  = "gate.result"  // result handed to the log
)

// Gate is the only way to a tool. It is safe for concurrent use.
type Gate struct {
	tools  map[string]Tool
	specs  []claw.Tool
	policy *policy.Policy
	store  Store
	audit  Recorder
	asker  Asker
	expiry func(claw.Origin) time.Duration
	now    func() time.Time
	rand   io.Reader
	log    *slog.Logger
	step   func(string)
	wake   chan struct{} // tells RunExpiry that there is a new deadline or orphan

	mu      sync.Mutex
	waiters map[string]chan struct{}           // by approval id: calls of this process that wait or run
	orphans []string                           // ids of allowed approvals that nobody waits for
	running map[string]context.CancelCauseFunc // by approval id: orphans that run now
}

var toolName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

// New checks the options and returns a gate. Approvals of an earlier life are untouched until [Gate.Recover].
func New(o Options) (*Gate, error) {
	if o.Store == nil {
		return nil, errors.New("gate: no store: an approval that is not stored cannot be trusted")
	}
	if o.Audit == nil {
		return nil, errors.New("gate: no audit log: what is not recorded may not run")
	}
	g := &Gate{
		tools: map[string]Tool{}, policy: o.Policy, store: o.Store, audit: o.Audit, asker: o.Asker,
		expiry: o.Expiry, now: o.Now, rand: o.Rand, log: o.Log, step: o.Step,
		wake: make(chan struct{}, 1), waiters: map[string]chan struct{}{}, running: map[string]context.CancelCauseFunc{},
	}
	if g.expiry == nil {
		g.expiry = func(claw.Origin) time.Duration { return DefaultExpiry }
	}
	if g.now == nil {
		g.now = time.Now
	}
	if g.rand == nil {
		g.rand = rand.Reader
	}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	if g.step == nil {
		g.step = func(string) {}
	}
	for _, t := range o.Tools {
		if t == nil {
			return nil, errors.New("gate: a tool is nil")
		}
		spec := t.Spec()
		if !toolName.MatchString(spec.Name) {
			return nil, fmt.Errorf("gate: %q is no name for a tool, want 1 to 64 letters, digits, _ or -", spec.Name)
		}
		if g.tools[spec.Name] != nil {
			return nil, fmt.Errorf("gate: two tools are named %q", spec.Name)
		}
		g.tools[spec.Name] = t
		g.specs = append(g.specs, spec)
	}
	slices.SortFunc(g.specs, func(a, b claw.Tool) int { return strings.Compare(a.Name, b.Name) })
	return g, nil
}

// Tools returns what a model is told about the tools, sorted by name.
func (g *Gate) Tools() []claw.Tool { return slices.Clone(g.specs) }

func (g *Gate) names() []string { return slices.Sorted(maps.Keys(g.tools)) }

// moment is the time as it is stored: what a restart reads back compares equal.
func (g *Gate) moment() time.Time { return g.now().UTC().Truncate(time.Millisecond) }

// poke wakes RunExpiry; one waiting poke is enough.
func (g *Gate) poke() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}
