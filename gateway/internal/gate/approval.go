package gate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// State is where an approval stands. The zero State is none and allows nothing.
type State string

// The states. Only Allowed leads to an effect.
const (
	Pending   State = "pending"
	Allowed   State = "allowed"
	Denied    State = "denied"
	Expired   State = "expired"
	Cancelled State = "cancelled"
	Started   State = "started"
	Done      State = "done"
	Unknown   State = "unknown"
)

// Leads reports whether an approval may go from this state to the next.
func (s State) Leads(next State) bool {
	switch s {
	case Pending:
		return slices.Contains([]State{Allowed, Denied, Expired, Cancelled}, next)
	case Allowed:
		return next == Started || next == Cancelled
	case Started:
		return next == Done || next == Unknown
	default:
		return false
	}
}

// Final reports whether nothing can follow.
func (s State) Final() bool { return s != Pending && s != Allowed && s != Started }

// Decision is one answer to a question. Who may answer was checked by the channel; By is the
// stable id of the user there. The zero Decision denies.
type Decision struct {
	Allow  bool   `json:"allow"`
	Reason string `json:"reason,omitzero"` // the user's words, which the model reads
	By     string `json:"by"`
	// Name is what the user calls himself there, for people to read; it decides nothing.
	Name    string `json:"name,omitzero"`
	Channel string `json:"channel"`
}

// Approval is one question to the user, and all that a card needs. Action is exactly what runs.
type Approval struct {
	ID    string `json:"id"`   // 128 random bits, in hex
	Code  string `json:"code"` // short name for people, unique among the pending
	State State  `json:"state"`
	Call  Call   `json:"call"`
	// Action is bound by Digest: tool, canonical input, mounts, domains and time limit.
	Action claw.Action `json:"action"`
	Digest string      `json:"digest"`
	Rule   string      `json:"rule"`
	Reason string      `json:"reason"` // why it is asked
	Asked  time.Time   `json:"asked"`
	// Deadline is absolute; from then on, by the clock on the wall, the answer is no.
	Deadline time.Time        `json:"deadline"`
	Decision *Decision        `json:"decision,omitzero"`
	Decided  time.Time        `json:"decided,omitzero"`
	Started  time.Time        `json:"started,omitzero"`
	Ended    time.Time        `json:"ended,omitzero"`
	Result   *claw.ToolResult `json:"result,omitzero"`
}

// Errors of a decision. ErrDecided and ErrExpired come with the approval as it stands.
var (
	ErrUnknown = errors.New("no such approval")
	ErrDecided = errors.New("already decided")
	ErrExpired = errors.New("the approval expired and was denied")
	ErrNobody  = errors.New("an answer needs the user and the channel it came from")
	// ErrCodeTaken is the store's answer to a code that another pending approval has.
	ErrCodeTaken = errors.New("the code belongs to another pending approval")
)

// Change is what a move writes beside the state.
type Change struct {
	At       time.Time
	Decision *Decision
	Result   *claw.ToolResult
}

// Query selects approvals. Zero fields select all.
type Query struct {
	States  []State
	Session claw.SessionID
	Call    claw.CallID
	Code    string
	Limit   int
	Newest  bool // newest first, else oldest first
}

// Store keeps approvals. What it returned from survives the power going off.
type Store interface {
	// Insert adds a pending approval, or fails with ErrCodeTaken. A call is asked about once: a second
	// approval for one is an error.
	Insert(ctx context.Context, a Approval) error
	// Load returns an approval by its id, or ErrUnknown.
	Load(ctx context.Context, id string) (Approval, error)
	// Move sets the state and what changes with it, if and only if the state is from, in one step:
	// of any number of callers exactly one gets true. It refuses a move that [State.Leads] does not know.
	Move(ctx context.Context, id string, from, to State, c Change) (bool, error)
	// List returns what a query selects.
	List(ctx context.Context, q Query) ([]Approval, error)
}

// codeAlphabet leaves out what is mistaken for another character in print or by voice.
const codeAlphabet = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"

const codeLength = 4

// newID returns 128 random bits in hex.
func newID(random io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("random id: %w", err)
	}
	return fmt.Sprintf("%x", b), nil
}

// newCode returns a short name. Bytes past the last multiple of the alphabet are thrown away, so that no letter is likelier.
func newCode(random io.Reader) (string, error) {
	var code strings.Builder
	for code.Len() < codeLength {
		var b [1]byte
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return "", fmt.Errorf("random code: %w", err)
		}
		if n := int(b[0]); n < 256/len(codeAlphabet)*len(codeAlphabet) {
			code.WriteByte(codeAlphabet[n%len(codeAlphabet)])
		}
	}
	return code.String(), nil
}
