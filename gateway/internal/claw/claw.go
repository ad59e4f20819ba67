// Package claw holds the nouns of the gateway: messages, turns, tool calls, their results, and the
// labels and tiers they carry. It does no I/O and knows no other package of the gateway, so that
// every floor can speak of the same things.
//
// The zero value of everything that grants is the strictest one: the zero [Tier] asks, the zero
// [Label] is external and private.
package claw

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/secureclaw/secureclaw/internal/strict"
)

// SessionID names one conversation; its turns, label and approvals belong to it.
type SessionID string

// CallID names one tool call of one model answer. It is ours, unique over all sessions, never the model's.
type CallID string

// RunID names one message on its way to one answer.
type RunID string

// Channel says by which door a message came in: "terminal", "telegram", "heartbeat".
type Channel string

// Origin is who set a run in motion.
type Origin struct {
	Channel Channel `json:"channel"`
	// User is the stable, numeric identity of the sender on that channel (a uid, a Telegram id), never a display name.
	User string `json:"user,omitzero"`
	// Late is how old a message was when it reached us, when that was too old to act on it unasked; zero else.
	Late Elapsed `json:"late,omitzero"`
}

// Message is one thing a user (or a clock) said.
type Message struct {
	ID      string    `json:"id"`
	Session SessionID `json:"session"`
	Text    string    `json:"text"`
	Origin  Origin    `json:"origin"`
	Label   Label     `json:"label"`
	At      time.Time `json:"at"`
	// Name is what the sender calls himself. It is shown to people and decides nothing.
	Name string `json:"name,omitzero"`
	// Command marks a text that is for the gateway and that no model reads.
	Command bool `json:"command,omitzero"`
	// Denies is the approval, by its id, that this message denies; its text is the reason, and no model answers it.
	Denies string `json:"denies,omitzero"`
	// Stopped says that the user's "/stop" after it arrived before it: no model answers it.
	Stopped bool `json:"stopped,omitzero"`
	// Notes are what a model reads below the text, and no word of the user's: see [Turn.Notes].
	Notes string `json:"notes,omitzero"`
}

// Role is the author of a turn.
type Role string

// The two authors of a conversation. Tool results travel in a user turn, as the model APIs want it.
const (
	User      Role = "user"
	Assistant Role = "assistant"
)

// Turn is one step of a conversation as the model sees it.
type Turn struct {
	Role    Role         `json:"role"`
	Message string       `json:"message,omitzero"` // id of the user's message that this turn is
	Text    string       `json:"text,omitzero"`
	Calls   []ToolCall   `json:"calls,omitempty"`   // assistant turns only
	Results []ToolResult `json:"results,omitempty"` // user turns only, one for each call of the turn before
	// At is when a message of the user's was put to the model, and Recalled are the ids of the memories
	// that it was shown with. Their words are read when they are shown: one that was forgotten since is gone.
	At       time.Time `json:"at,omitzero"`
	Recalled []int64   `json:"recalled,omitempty"`
	// Notes stand below a message in what a model reads. A model wrote them, or the gateway; because they are
	// apart from Text, nothing in them can pass for what the user said.
	Notes string `json:"notes,omitzero"`
	// Outcome is how the run ended whose last word this is; empty when it was done.
	Outcome string `json:"outcome,omitzero"`
	// Context is what stands before Text when a model is shown the turn. It is made for each question from
	// what is known then, and never stored.
	Context string `json:"-"`
}

// Tool is what a model is told about a tool. Schema is a JSON Schema object for its input.
type Tool struct {
	Name        string       `json:"name"`
	Description string       `json:"description"`
	Schema      strict.Value `json:"schema"`
}

// ToolCall is what the model asked for, byte for byte; nothing in it is trusted. ModelID is the
// model's own id for the call and is used only to pair its result on the model's wire.
type ToolCall struct {
	ID      CallID `json:"id"`
	ModelID string `json:"modelId,omitzero"`
	Tool    string `json:"tool"`
	Input   string `json:"input"`
}

// Status is how a call ended. The zero Status is no success.
type Status string

// The ends of a call. All but OK are told to the model as errors it can read; none is a fault of ours.
const (
	OK        Status = "ok"        // ran, and the tool says it did what was asked
	Failed    Status = "failed"    // ran, and the tool says it did not (exit code, missing file)
	Refused   Status = "refused"   // did not run: invalid, or forbidden by code
	Denied    Status = "denied"    // did not run: the user said no
	Expired   Status = "expired"   // did not run: nobody answered in time
	Cancelled Status = "cancelled" // stopped by the user or by shutdown; it may have had effects
	TimedOut  Status = "timeout"   // killed at its deadline; it may have had effects
	Unknown   Status = "unknown"   // started, and we do not know how it ended; it is never repeated
)

// ToolResult is what came back from a call, for the model and for the record.
type ToolResult struct {
	Call    CallID `json:"call"`
	ModelID string `json:"modelId,omitzero"`
	Tool    string `json:"tool"`
	Status  Status `json:"status"`
	// Content is the tool's output (JSON for executor tools) or one plain sentence that says what happened and what to do.
	Content string `json:"content"`
	Label   Label  `json:"label"`
	// Images are pictures that belong to Content, for a model that takes them.
	Images []Image `json:"images,omitempty"`
	// Tier and Rule say which rule let the call pass or made it ask; Duration is wall time without the wait for a human
	// or for other calls.
	Tier     Tier    `json:"tier"`
	Rule     string  `json:"rule,omitzero"`
	Duration Elapsed `json:"duration,omitzero"`
	// Container is the part of Duration that the engine and the tool took; the rest is ours.
	Container Elapsed `json:"container,omitzero"`
	// Waited is how long the call waited for others, which is no part of Duration.
	Waited Elapsed `json:"waited,omitzero"`
	// Ready says that the container was started before the call came.
	Ready bool `json:"ready,omitzero"`
}

// Image is a picture: MIME is image/png or image/jpeg, Name a file name for people.
type Image struct {
	MIME string `json:"mime"`
	Name string `json:"name,omitzero"`
	Data []byte `json:"data"`
}

// Elapsed is a time.Duration that is written as text ("1.5ms").
type Elapsed time.Duration

// String returns the duration as package time writes it.
func (e Elapsed) String() string { return time.Duration(e).String() }

// MarshalText writes the duration.
func (e Elapsed) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText reads the duration.
func (e *Elapsed) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	*e = Elapsed(d)
	return err
}

// IsError reports whether a model should read the result as an error.
func (r ToolResult) IsError() bool { return r.Status != OK }

// MountGrant is the right to one configured mount, by name. Mode is "ro" or "rw".
type MountGrant struct {
	Name string `json:"name"`
	Mode string `json:"mode"`
}

// Action is a tool call after it was parsed, cleaned and given its defaults: once, and in one
// form. What the user is shown is what is hashed is what is stored is what runs.
type Action struct {
	Tool string `json:"tool"`
	// Executor is the kind of container that runs it ("shell", "file", "web"), empty for a tool inside the gateway.
	Executor string `json:"executor,omitzero"`
	// Input is the canonical JSON (RFC 8785) of the cleaned arguments; paths in it are absolute and clean.
	Input  strict.Value `json:"input"`
	Mounts []MountGrant `json:"mounts,omitempty"`
	// Domains are names and wildcards that it may reach. The first is the one that the call itself asks
	// for; the others are what the configuration adds to it.
	Domains []string `json:"domains,omitempty"`
	// TimeoutMS is how long the tool may run, in milliseconds.
	TimeoutMS int64 `json:"timeoutMs,omitzero"`
}

// Digest is the SHA-256 over the canonical form of the action, in hex. Approvals are bound to it.
func (a Action) Digest() (string, error) {
	data, err := strict.CanonicalOf(a)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

// Usage counts the tokens of one or more model answers.
type Usage struct {
	Input      int64 `json:"input"`      // tokens read at full price
	Output     int64 `json:"output"`     // tokens written
	CacheRead  int64 `json:"cacheRead"`  // tokens read from the prompt cache
	CacheWrite int64 `json:"cacheWrite"` // tokens written to the prompt cache
}

// Add returns the sum.
func (u Usage) Add(v Usage) Usage {
	return Usage{u.Input + v.Input, u.Output + v.Output, u.CacheRead + v.CacheRead, u.CacheWrite + v.CacheWrite}
}

// ModelCall is what one answer of a model cost.
type ModelCall struct {
	Session SessionID
	Run     RunID
	Origin  Origin
	Model   string
	Usage   Usage
	At      time.Time
}

// Session is one conversation. Its label is the join over all that its model can see.
type Session struct {
	ID      SessionID `json:"id"`
	Channel Channel   `json:"channel"`
	User    string    `json:"user,omitzero"`
	Title   string    `json:"title,omitzero"`
	Created time.Time `json:"created"`
	Label   Label     `json:"label"`
	Turns   int       `json:"turns"` // how many there are; a store counts them
	// Parent is the conversation that this one works for, as an iteration of the task Task; else both are empty.
	Parent SessionID `json:"parent,omitzero"`
	Task   string    `json:"task,omitzero"`
}

// Summary stands for the first turns of a session in what its model reads. The turns themselves are kept.
type Summary struct {
	Session SessionID `json:"session"`
	Upto    int       `json:"upto"` // number of the last turn that it stands for, from 1
	Text    string    `json:"text"`
	Model   string    `json:"model"`
	At      time.Time `json:"at"`
}
