// Package run is the contract between the gateway and the runner, and the task inside it that
// the executor reads. Both sides of the wall import it, and it imports neither.
//
//	gateway                              runner                               executor (in a container)
//	  │ hello ───────────────────────────▶ │                                      │
//	  │ ◀─────────────────────────── hello │                                      │
//	  │ Request{run: token, task} ───────▶ │ verify, clip, create, attach, start  │
//	  │ ◀──────────────── Event{started}   │ Envelope{token, task} ─────────────▶ │ verify, run
//	  │ ◀──────────────── Event{result}    │ ◀────────────────── Output, one line │ exit
//
// One connection carries one request. Closing it cancels: the runner kills the container. Frames
// are those of package wire: one line of JSON, at most wire.MaxFrame bytes.
package run

import (
	"fmt"

	"github.com/secureclaw/secureclaw/internal/strict"
)

// Request is what the gateway asks; exactly one field is set.
type Request struct {
	// Run asks for one task in one fresh container.
	Run *Order `json:"run,omitzero"`
	// Status asks what the runner can do now; it starts nothing.
	Status *struct{} `json:"status,omitzero"`
}

// Order is one task and the token that allows it. Task is the canonical JSON of a [Task]; its
// SHA-256 stands in the token.
type Order struct {
	Token string       `json:"token"`
	Task  strict.Value `json:"task"`
}

// Event is what the runner answers; exactly one field is set. Result, Refusal and Status end the request.
type Event struct {
	Started *Started `json:"started,omitzero"`
	// Egress is one decision of the way out; any number of them come between Started and Result.
	Egress  *Egress  `json:"egress,omitzero"`
	Result  *Result  `json:"result,omitzero"`
	Refusal *Refusal `json:"refusal,omitzero"`
	Status  *Status  `json:"status,omitzero"`
}

// Started says that the container runs and has its task: from here on there may be effects.
type Started struct {
	Container string `json:"container"` // the engine's id
	Image     string `json:"image"`     // the image's id, sha256:…
}

// Refusal says that nothing ran. What, Why and Fix are one sentence each, for a user to read.
type Refusal struct {
	Code string `json:"code"` // stable word for tests and the audit log: token, mount, limit, engine, image, runtime, busy, …
	What string `json:"what"`
	Why  string `json:"why,omitzero"`
	Fix  string `json:"fix,omitzero"`
}

// Egress is what the runner decided about one connection that a browser wanted, or the totals at the
// end of its task. The zero Egress denies.
type Egress struct {
	// Name is the host that was asked for, empty when there was none to be read; Code why it was
	// refused, one stable word, empty when it was allowed; Text the same in words.
	Name    string `json:"name,omitzero"`
	Allowed bool   `json:"allowed"`
	Code    string `json:"code,omitzero"`
	Text    string `json:"text,omitzero"`
	Address string `json:"address,omitzero"` // what was dialled
	// Count is how often the same was decided, when repetitions were only counted.
	Count int64 `json:"count,omitzero"`
	// Total marks the last of a task: Up and Down are the bytes of all its connections, Count their number.
	Total bool  `json:"total,omitzero"`
	Up    int64 `json:"up,omitzero"`
	Down  int64 `json:"down,omitzero"`
}

// Outcome is how a started task ended, as the runner saw it.
type Outcome string

// The ends of a started task.
const (
	Finished  Outcome = "finished"  // the executor delivered one Output
	TimedOut  Outcome = "timeout"   // the deadline passed, the container was killed
	OutOfMem  Outcome = "oom"       // the memory limit killed the executor itself
	Broken    Outcome = "broken"    // no, a malformed or an oversized result; the container was killed
	Cancelled Outcome = "cancelled" // the gateway closed the connection
)

// Result ends a task that was started.
type Result struct {
	Outcome Outcome `json:"outcome"`
	// Output is set when Outcome is Finished.
	Output *Output `json:"output,omitzero"`
	// Detail says in one sentence why the outcome is not Finished.
	Detail string `json:"detail,omitzero"`
	Timing Timing `json:"timing"`
}

// Timing says where the time of a call went, in microseconds.
type Timing struct {
	// Ready says that the container was started before the call came; then Create and Start are zero.
	Ready  bool  `json:"ready,omitzero"`
	Verify int64 `json:"verifyUs"`         // token and clipping
	Queue  int64 `json:"queueUs,omitzero"` // waiting for other calls
	Take   int64 `json:"takeUs,omitzero"`  // finding a ready container and looking whether it is as it was made
	Create int64 `json:"createUs"`         // create and attach
	Start  int64 `json:"startUs"`          // the engine's start
	Task   int64 `json:"taskUs"`           // task written to output read
}

// Status is the runner's own health.
type Status struct {
	Version string `json:"version"`
	Engine  string `json:"engine"` // "Docker 28.2.2, API 1.51", empty when unreachable
	// Problem is what keeps the runner from running anything, empty when it can run.
	Problem *Refusal `json:"problem,omitzero"`
	// Executors lists each executor kind and what keeps it from running.
	Executors []ExecutorStatus `json:"executors,omitempty"`
	// Running counts containers that have a task now.
	Running int `json:"running"`
	// Ready lists the containers that wait for one, by kind; ReadyMost is the memory that they may hold
	// in bytes, 0 when none are kept.
	Ready     []Ready `json:"ready,omitempty"`
	ReadyMost int64   `json:"readyMost,omitzero"`
}

// Ready counts containers of one kind that wait for a task.
type Ready struct {
	Kind       string `json:"kind"`
	Containers int    `json:"containers"`
	Bytes      int64  `json:"bytes"` // what they hold of the memory, as it counts against the limit
}

// ExecutorStatus says whether one kind of executor can run.
type ExecutorStatus struct {
	Kind    string   `json:"kind"`
	Image   string   `json:"image"`   // configured name
	ImageID string   `json:"imageId"` // the id it stands for now, empty when missing
	Problem *Refusal `json:"problem,omitzero"`
}

// Envelope is the one line on the executor's stdin.
type Envelope struct {
	Token string       `json:"token"`
	Task  strict.Value `json:"task"` // canonical JSON of a Task
	// Nonce binds the token to this container: the runner makes it when it hands over, and takes no answer
	// without it. What the executor starts never sees it, so nothing but the executor can answer.
	Nonce string `json:"nonce"`
}

// ReadyLine is what an executor writes to stderr, with a newline, when it waits for its envelope.
const ReadyLine = "ready"

// Task is what one executor does in its one life. Its canonical JSON is hashed into the token.
type Task struct {
	Call  string       `json:"call"`
	Tool  string       `json:"tool"`
	Input strict.Value `json:"input"` // canonical JSON of the tool's argument type in tools.go
	// Roots are the folders the task may touch, as they appear inside the container.
	Roots []Root `json:"roots,omitempty"`
	// TimeoutMS is the executor's own deadline in milliseconds; the runner's comes 2 s later.
	TimeoutMS int64 `json:"timeoutMs"`
	// OutputCap is the most bytes of each output text (stdout, stderr, file content) in the result.
	OutputCap int `json:"outputCap"`
	// Piece is set for a tool that hands over bytes, and for no other: which of them.
	Piece *Piece `json:"piece,omitzero"`
}

// MaxPiece is the most bytes of a file in one result: in base64 they leave room in a frame.
const MaxPiece = 512 << 10

// Piece is a part of a file. The bytes are on their way to the user and no text for a model, so
// OutputCap says nothing about them.
type Piece struct {
	Offset int64 `json:"offset"`
	Limit  int   `json:"limit"` // 1 to MaxPiece
}

// Valid says why a piece cannot be asked for.
func (p Piece) Valid() error {
	if p.Offset < 0 || p.Limit < 1 || p.Limit > MaxPiece {
		return fmt.Errorf("a piece of %d bytes from byte %d, want 1 to %d from 0 or later", p.Limit, p.Offset, MaxPiece)
	}
	return nil
}

// Root is one mounted folder inside the container. Mode is "ro" or "rw".
type Root struct {
	Name string `json:"name"`
	Path string `json:"path"`
	Mode string `json:"mode"`
}

// OutputStatus is the tool's own verdict. The zero value is no success.
type OutputStatus string

// The verdicts of a tool.
const (
	OutputOK       OutputStatus = "ok"
	OutputFailed   OutputStatus = "failed"  // ran; Value or Error says what went wrong
	OutputRefused  OutputStatus = "refused" // did nothing: token, path or argument
	OutputTimedOut OutputStatus = "timeout" // the executor's own deadline; Value holds what there was
)

// Output is the one line on the executor's stdout. Value is the canonical result type of the tool
// in tools.go; Error is one sentence for model and user.
type Output struct {
	Call   string       `json:"call"`
	Status OutputStatus `json:"status"`
	Value  strict.Value `json:"value,omitzero"`
	Error  string       `json:"error,omitzero"`
	// Nonce is that of the envelope. It ends at the runner.
	Nonce string `json:"nonce,omitzero"`
}
