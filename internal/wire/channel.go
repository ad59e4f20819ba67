package wire

import (
	"time"

	"github.com/secureclaw/secureclaw/internal/strict"
)

// This file is the contract between the gateway and a user channel (terminal, messenger).
//
//	channel                                gateway
//	  │ hello ──────────────────────────────▶ │
//	  │ ◀────────────────────────────── hello │
//	  │ Up{message} ────────────────────────▶ │ stored, then
//	  │ ◀─────────────────── Down{accepted}   │
//	  │ ◀──────── Down{delta|step|notice}*    │ while it runs, to the connection that asked
//	  │ ◀─────────────────────── Down{card}   │ to every connection: a question for the user
//	  │ Up{decide} ─────────────────────────▶ │
//	  │ ◀──────────── Down{answer|fault}      │ to the one that decided
//	  │ ◀──────────────────── Down{settled}   │ to every connection
//	  │ ◀────────────────────── Down{reply}   │ exactly one for each accepted message
//
// A client that goes away loses nothing: the run goes on, its reply is in the session.
//
// A messenger's bridge is a channel too; what only it says and hears is in messenger.go.

// MaxMessage is the most bytes of a user's message.
const MaxMessage = 256 << 10

// Up is a frame from a channel; exactly one field is set.
type Up struct {
	Message *Message `json:"message,omitzero"`
	Decide  *Decide  `json:"decide,omitzero"`
	Stop    *Stop    `json:"stop,omitzero"`
	Query   *Query   `json:"query,omitzero"`
	// From a terminal only.
	Manage *Manage `json:"manage,omitzero"`

	// From a messenger's bridge only, see messenger.go.
	File     *FilePart `json:"file,omitzero"`
	Fetch    *Fetch    `json:"fetch,omitzero"`
	Sent     *Sent     `json:"sent,omitzero"`
	Unsent   *Unsent   `json:"unsent,omitzero"`
	Bubble   *Bubble   `json:"bubble,omitzero"`
	Ask      *AskWhy   `json:"ask,omitzero"`
	Stranger *Stranger `json:"stranger,omitzero"`
	Health   *Health   `json:"health,omitzero"`
	Tap      *Tap      `json:"tap,omitzero"`
}

// Message is something the user said. ID is the channel's own and makes a repeated delivery harmless.
type Message struct {
	ID string `json:"id"`
	// Session is the conversation; a messenger leaves it empty, and the gateway knows which one its user is in.
	Session string `json:"session,omitzero"`
	Text    string `json:"text"`

	// User is the sender's stable numeric id on a messenger. A terminal leaves it empty: the kernel says who it is.
	User string `json:"user,omitzero"`
	// Name is what the sender calls himself; it is shown and never decides anything.
	Name string `json:"name,omitzero"`
	// Sent is when it was said, by the messenger's clock.
	Sent time.Time `json:"sent,omitzero"`
	// Seq grows with what one user says, in the messenger's order. A "/stop" may overtake what was said
	// before it, and stops it all the same.
	Seq int64 `json:"seq,omitzero"`
	// ReplyTo is the messenger's id of a message of ours that this one answers.
	ReplyTo string `json:"reply_to,omitzero"`
	// Foreign is text that somebody else wrote: forwarded or quoted. Nobody's instructions are in it.
	Foreign []Foreign `json:"foreign,omitempty"`
	// Files names the files that came before this message, as [FilePart] frames with this message's id.
	Files []string `json:"files,omitempty"`
	// Refused says, one sentence each, which attachments the messenger could not take and why.
	Refused []string `json:"refused,omitempty"`
}

// Decide answers a card. Approval is its id or its short code.
type Decide struct {
	Ref      string `json:"ref"`
	Approval string `json:"approval"`
	Allow    bool   `json:"allow"`
	Reason   string `json:"reason,omitzero"`

	// From a messenger: who tapped, what he calls himself, which message carried the button, and the
	// first 16 hex digits of the digest that was on it.
	User   string `json:"user,omitzero"`
	Name   string `json:"name,omitzero"`
	Shown  string `json:"shown,omitzero"`
	Digest string `json:"digest,omitzero"`
}

// Stop ends what runs in a session and withdraws its open questions.
type Stop struct {
	Ref     string `json:"ref"`
	Session string `json:"session"`
}

// What a Query may ask for.
const (
	QueryStatus    = "status"    // Answer.Status
	QueryApprovals = "approvals" // Answer.Cards: those that wait
	QueryApproval  = "approval"  // Answer.Cards: the one named by ID
)

// Query asks for state; it changes nothing.
type Query struct {
	Ref  string `json:"ref"`
	What string `json:"what"`
	ID   string `json:"id,omitzero"`
}

// Manage asks about what the gateway keeps (memories, sessions, heartbeats, usage), or changes it. What
// is a name like "memories.search"; Args and the [Answer.Value] are the JSON of the types that are
// declared beside that name.
type Manage struct {
	Ref  string       `json:"ref"`
	What string       `json:"what"`
	Args strict.Value `json:"args,omitzero"`
}

// Down is a frame to a channel; exactly one field is set.
type Down struct {
	Accepted *Accepted `json:"accepted,omitzero"`
	Delta    *Delta    `json:"delta,omitzero"`
	Progress *Progress `json:"progress,omitzero"`
	Step     *Step     `json:"step,omitzero"`
	Notice   *Notice   `json:"notice,omitzero"`
	Card     *Card     `json:"card,omitzero"`
	Settled  *Card     `json:"settled,omitzero"`
	Reply    *Reply    `json:"reply,omitzero"`
	Answer   *Answer   `json:"answer,omitzero"`
	Fault    *Fault    `json:"fault,omitzero"`

	// To a messenger's bridge only, see messenger.go.
	Welcome *Welcome `json:"welcome,omitzero"`
	Working *Working `json:"working,omitzero"`
	Send    *Send    `json:"send,omitzero"`
	Chunk   *Chunk   `json:"chunk,omitzero"`
}

// Accepted says that the message is stored and will be answered, even after a crash.
type Accepted struct {
	Message string `json:"message"`
	Session string `json:"session"`
	Run     string `json:"run"`
	// Again is set when the same message had been accepted before.
	Again bool `json:"again,omitzero"`
}

// Delta is a piece of the text that the model writes.
type Delta struct {
	Run  string `json:"run"`
	Text string `json:"text"`
}

// Progress says how far a run is that follows a plan. Each one takes the place of the one before.
type Progress struct {
	Run       string     `json:"run"`
	Steps     []PlanStep `json:"steps"`
	Iteration int        `json:"iteration"` // from 1; 0 while it is planned
	Most      int        `json:"most"`      // iterations
}

// PlanStep is one step of a plan. State is empty, "now" or "done", as the model says.
type PlanStep struct {
	Text  string `json:"text"`
	State string `json:"state,omitzero"`
}

// Step is a tool call that begins or ended (Status set).
type Step struct {
	Run        string       `json:"run"`
	Call       string       `json:"call"`
	Tool       string       `json:"tool"`
	Input      strict.Value `json:"input,omitzero"` // as the model wrote it, when it is JSON and short
	Status     string       `json:"status,omitzero"`
	Tier       string       `json:"tier,omitzero"`
	Rule       string       `json:"rule,omitzero"`
	DurationMS float64      `json:"duration_ms,omitzero"`
	// ContainerMS is the part of DurationMS that the container engine and the tool took.
	ContainerMS float64 `json:"container_ms,omitzero"`
	// WaitedMS is how long the call waited for others, which is no part of DurationMS.
	WaitedMS float64 `json:"waited_ms,omitzero"`
	// Ready says that the call's container was started before the call came.
	Ready   bool   `json:"ready,omitzero"`
	Content string `json:"content,omitzero"` // cut to a few KiB, for display
	// Line is what the call did, in words of ours on one line, for a tool whose arguments and result say it badly.
	Line string `json:"line,omitzero"`
}

// Notice tells what was done without asking, or what went wrong beside a run. Without a session it
// concerns every conversation.
type Notice struct {
	Session string `json:"session"`
	Text    string `json:"text"`
}

// Card is a question for the user, complete: Input is exactly what will run.
type Card struct {
	ID      string       `json:"id"`
	Code    string       `json:"code"`
	Session string       `json:"session"`
	Step    int          `json:"step"`
	Tool    string       `json:"tool"`
	Input   strict.Value `json:"input"`
	Digest  string       `json:"digest"` // SHA-256 of the whole action, hex
	Mounts  []string     `json:"mounts,omitempty"`
	Domains []string     `json:"domains,omitempty"`
	Rule    string       `json:"rule"`
	Reason  string       `json:"reason,omitzero"`
	Origin  string       `json:"origin"`
	Sources []string     `json:"sources,omitempty"` // what this session has read
	Asked   time.Time    `json:"asked"`
	Expires time.Time    `json:"expires"`
	State   string       `json:"state"`
	By      string       `json:"by,omitzero"`  // who decided, for people: a name and the stable id, or the id alone
	Via     string       `json:"via,omitzero"` // the channel of the decision
	Decided time.Time    `json:"decided,omitzero"`
	Why     string       `json:"why,omitzero"`     // the user's reason for a denial
	Outcome string       `json:"outcome,omitzero"` // status of the result, once it ran
	// Line is what it did, once it ran: see [Step.Line].
	Line string `json:"line,omitzero"`
	// DurationMS is how long the call ran, in milliseconds.
	DurationMS float64 `json:"duration_ms,omitzero"`
}

// How a run ended, in Reply.Outcome.
const (
	ReplyDone    = "done"
	ReplyStopped = "stopped" // by the user
	ReplyLimit   = "limit"   // the rounds for one message were used up
	ReplyFailed  = "failed"  // the model could not answer
	ReplyPaused  = "paused"  // a limit of tokens is reached; "go on" goes on once there is room again
)

// Reply is the one visible outcome of a message.
type Reply struct {
	Run     string  `json:"run"`
	Message string  `json:"message"`
	Session string  `json:"session"`
	Outcome string  `json:"outcome"`
	Text    string  `json:"text"`
	Model   string  `json:"model"`
	Calls   []Step  `json:"calls"`
	Usage   Usage   `json:"usage"`
	Seconds float64 `json:"seconds"`
}

// Usage counts tokens.
type Usage struct {
	Input      int64 `json:"input"`
	Output     int64 `json:"output"`
	CacheRead  int64 `json:"cache_read"`
	CacheWrite int64 `json:"cache_write"`
}

// Answer is what a Query, Decide, Stop, Manage or Tap came to.
type Answer struct {
	Ref    string         `json:"ref"`
	Status *GatewayStatus `json:"status,omitzero"`
	Cards  []Card         `json:"cards,omitempty"`
	Value  strict.Value   `json:"value,omitzero"` // of a Manage
	Said   string         `json:"said,omitzero"`  // of a Tap: a few words for the one who tapped
}

// Fault says that a frame was not carried out. Code is stable; the rest is for a user to read.
type Fault struct {
	Ref  string `json:"ref,omitzero"`
	Code string `json:"code"`
	What string `json:"what"`
	Why  string `json:"why,omitzero"`
	Fix  string `json:"fix,omitzero"`
}

// GatewayStatus is the gateway's own health and what it knows of the runner.
type GatewayStatus struct {
	Version  string    `json:"version"`
	PID      int       `json:"pid"`
	Started  time.Time `json:"started"`
	Model    string    `json:"model"`
	Pending  int       `json:"pending"`
	Running  int       `json:"running"`
	Audit    string    `json:"audit"`     // "ok", or why side effects stopped
	Runner   string    `json:"runner"`    // "ok", or why nothing can run
	RunnerUp bool      `json:"runner_up"` // the runner's process answers, whatever it says
	Fix      string    `json:"fix,omitzero"`
	Engine   string    `json:"engine,omitzero"`
	// Ready lists the containers that wait for a call, by kind, and ReadyMost the bytes that they may hold.
	Ready     []Ready `json:"ready,omitempty"`
	ReadyMost int64   `json:"ready_most,omitzero"`
	// Browsing is "ok", or why no page can be opened; empty when nothing is configured that could open one.
	Browsing string   `json:"browsing,omitzero"`
	Channels []string `json:"channels,omitempty"`
	// Messengers is the health of each configured messenger.
	Messengers []Health `json:"messengers,omitempty"`
	// Today is how many tokens were spent since midnight, TodayMost how many may be; 0 is no limit.
	Today     int64    `json:"today"`
	TodayMost int64    `json:"today_most,omitzero"`
	Warnings  []string `json:"warnings,omitempty"`
}

// Ready counts the containers of one kind that wait for a call, and the bytes that they hold.
type Ready struct {
	Kind       string `json:"kind"`
	Containers int    `json:"containers"`
	Bytes      int64  `json:"bytes"`
}
