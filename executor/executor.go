// Package executor is the inside of a container: it takes one task, checks once more that it is
// allowed, does it, writes one result and ends.
//
//	stdin   one line: run.Envelope{token, task, nonce}   at most MaxLine bytes
//	stdout  one line: run.Output{call, status, value, nonce}   at most MaxLine bytes
//
// A kind whose stdin and stdout carry more than that (see [Options].Carry) writes its line where that says.
//
// It promises that nothing runs without a token that the gateway signed for this kind of executor
// and for these very task bytes, that every task gets an answer by its deadline, and that what a
// command prints is data: stdout belongs to this process alone, and no process that it starts can
// open, inherit or trace it. It refuses a task for a root that the token does not name, a limit that
// is zero, a tool that it does not have, and every task in a container that has a network.
//
// A program calls [Seal] before anything else and then [Serve]. It is made to be process 1 of a
// container with no network, no capabilities and a read-only root, on Linux; it does not replace them.
package executor

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"sync"
	"time"

	"github.com/secureclaw/secureclaw/internal/capability"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

const (
	// MaxLine is the most bytes of the line in and of the line out, as in package wire.
	MaxLine = 1 << 20
	// MaxCap is the most bytes of one output text, whatever the task says.
	MaxCap = 128 << 10
	// KeyVariable is the environment variable with the verifying key: 32 bytes in standard base64.
	KeyVariable = "SECURECLAW_VERIFY_KEY"

	// grace is how long a tool may take to hand over what it has after its deadline. The runner
	// kills the container 2 s after the deadline, and the answer must be out by then.
	grace = 1200 * time.Millisecond
)

// Options are what [Serve] needs. Every field up to Tools is required; a zero field refuses every task.
type Options struct {
	Kind   string // audience of the tokens: shell, file, web
	Stdin  io.Reader
	Stdout io.Writer
	Key    string // verifying key as [KeyVariable] holds it
	Now    func() time.Time
	Tools  map[string]Tool

	// Carry takes over stdin, from behind the envelope's line, and stdout, before the envelope is even
	// judged, and says where the one line goes, whatever it will say. Close of that returns when the line
	// has been taken. Nil: Stdout is for the line alone.
	Carry func(stdin io.Reader, stdout io.Writer) (io.WriteCloser, error)
	// Prepare makes ready what every task of this kind needs, before one is known: it gets none, and runs
	// beside the wait for it. Tools may be called before it returned. Nil: nothing to prepare.
	Prepare func() error
	// Ready gets one line, [run.ReadyLine], when nothing is left to do but the task, and none when Prepare
	// failed: what that is about, the task's result says. Nil: nobody waits.
	Ready io.Writer
	// Heap is how much memory this process itself is to keep to, in bytes. Zero: 64 MiB.
	Heap int64
	// Orphans says that the tools start processes whose children they do not know, and wait for their
	// own: the ends of the others are taken here.
	Orphans bool

	refusal error // why this process runs nothing
}

// Tool does one call. It returns soon after ctx ends, with what it has until then.
type Tool func(ctx context.Context, call Call) Answer

// Call is what a tool gets to see of a task.
type Call struct {
	Input strict.Value // the tool's argument type in package run
	Roots Roots
	// Domains are the names and wildcards of the token: what the way out lets through.
	Domains []string
	Cap     int // most bytes of each output text
	// Piece is which bytes are asked for, nil for a tool that answers with text.
	Piece *run.Piece
}

// Serve reads one task, does it and writes one result. It returns the exit code of the program: 0
// when a result was written, even a refusal, and 1 when none could be.
func Serve(o Options) int {
	reserve(o.Heap)
	if o.Orphans {
		var adopting sync.WaitGroup
		defer adopting.Wait()
		stop := make(chan struct{})
		defer close(stop)
		adopting.Go(func() { adopt(stop) })
	}
	taken := make(chan struct{})
	var network error
	if os.Getpid() == 1 { // else this is no container, but a test
		network = lonely(networkFolder)
	}
	if network == nil {
		go o.prepare(taken)
	}
	in := bufio.NewReader(o.Stdin)
	envelope, err := strict.ReadLine(in, MaxLine)
	close(taken)
	// The buffer may hold what came behind the line, so it and not Stdin goes on.
	answer, carryErr := o.carry(in, err)
	if carryErr != nil {
		return 1
	}
	o.refusal = network
	line, err := o.serve(envelope, err)
	if err != nil {
		return 1
	}
	if _, err := answer.Write(line); err != nil {
		return 1
	}
	// Whoever carries more knows only now whether the line was taken.
	if err := answer.Close(); err != nil {
		return 1
	}
	return 0
}

// carry returns where the answer goes. Without an envelope there is nothing to carry.
func (o Options) carry(in io.Reader, noEnvelope error) (io.WriteCloser, error) {
	if o.Carry == nil || noEnvelope != nil {
		return plain{o.Stdout}, nil
	}
	return o.Carry(in, o.Stdout)
}

// plain is a stdout that holds the line and nothing else; the end of the process closes it.
type plain struct{ io.Writer }

func (plain) Close() error { return nil }

// serve returns the line that answers the envelope, with its newline.
func (o Options) serve(envelope []byte, noEnvelope error) ([]byte, error) {
	out, nonce := o.output(envelope, noEnvelope)
	out.Nonce = nonce
	line, err := strict.Encode(out)
	if err != nil || len(line)+1 > MaxLine {
		// A tool keeps its own texts small. What is too large in spite of that is not cut blindly.
		line, err = strict.Encode(run.Output{
			Call: out.Call, Nonce: nonce, Status: run.OutputFailed,
			Error: "the result does not fit into one frame of 1 MiB; ask for less",
		})
	}
	return append(line, '\n'), err
}

// output does the task, and says which nonce answers it.
func (o Options) output(envelope []byte, noEnvelope error) (out run.Output, nonce string) {
	if noEnvelope != nil {
		return run.Output{Status: run.OutputRefused, Error: fmt.Sprintf("no task on stdin: %v", noEnvelope)}, ""
	}
	accepted, err := Accept(envelope, o.Kind, o.Key, o.Now)
	if err != nil {
		return run.Output{Call: accepted.Call, Status: run.OutputRefused, Error: err.Error()}, accepted.Nonce
	}
	if o.refusal != nil {
		return run.Output{Call: accepted.Call, Status: run.OutputRefused, Error: o.refusal.Error()}, accepted.Nonce
	}
	tool := o.Tools[accepted.Tool]
	if tool == nil {
		return run.Output{Call: accepted.Call, Status: run.OutputRefused, Error: fmt.Sprintf("the %s executor has no tool %.40q", o.Kind, accepted.Tool)}, accepted.Nonce
	}
	return Perform(context.Background(), accepted.Task, func(ctx context.Context, call Call) Answer {
		call.Domains = accepted.Domains
		return tool(ctx, call)
	}), accepted.Nonce
}

// Accepted is a task whose token allows it.
type Accepted struct {
	run.Task
	// Domains are the token's.
	Domains []string
	// Nonce is the envelope's.
	Nonce string
}

// Accept returns the task in line, an encoded [run.Envelope], when its token allows it: signed by
// the holder of key (standard base64) for an executor of this kind and for these bytes, now. The
// task's limits are then the lower of its own and the token's. With an error, only Call of the task
// and Nonce may be set, so that the refusal can be addressed; nothing else of it may be used.
func Accept(line []byte, kind, key string, now func() time.Time) (Accepted, error) {
	public, err := base64.StdEncoding.Strict().DecodeString(key)
	if err != nil || len(public) != ed25519.PublicKeySize {
		return Accepted{}, fmt.Errorf("no verifying key: %s must hold %d bytes in base64", KeyVariable, ed25519.PublicKeySize)
	}
	var envelope run.Envelope
	if err := strict.Decode(line, &envelope); err != nil {
		return Accepted{}, fmt.Errorf("envelope: %w", err)
	}
	var task run.Task
	taskErr := strict.Decode(envelope.Task, &task)
	claims, err := capability.NewVerifier(public, now).Verify(envelope.Token, []string{kind}, envelope.Task)
	if err != nil {
		return Accepted{Task: run.Task{Call: task.Call}, Nonce: envelope.Nonce}, err
	}
	if taskErr != nil {
		return Accepted{Task: run.Task{Call: task.Call}, Nonce: envelope.Nonce}, fmt.Errorf("task: %w", taskErr)
	}
	if err := allow(task, claims); err != nil {
		return Accepted{Task: run.Task{Call: task.Call}, Nonce: envelope.Nonce}, err
	}
	task.TimeoutMS = min(task.TimeoutMS, claims.TimeoutMS)
	task.OutputCap = int(min(int64(task.OutputCap), claims.OutputCap, MaxCap))
	return Accepted{Task: task, Domains: claims.Domains, Nonce: envelope.Nonce}, nil
}

// allow refuses a task that says more than its token. The digest already binds the two; this is for
// a gateway that signs something other than what it means.
func allow(task run.Task, claims capability.Claims) error {
	switch {
	case task.Tool != claims.Tool:
		return fmt.Errorf("the token is for tool %.40q, the task is for %.40q", claims.Tool, task.Tool)
	case task.Call != claims.Call:
		return fmt.Errorf("the token is for call %.40q, the task is for %.40q", claims.Call, task.Call)
	case task.TimeoutMS <= 0:
		return errors.New("the task has no time limit")
	case task.OutputCap <= 0:
		return errors.New("the task has no output limit")
	}
	modes := make(map[string]string, len(claims.Mounts))
	for _, m := range claims.Mounts {
		modes[m.Name] = m.Mode
	}
	for _, root := range task.Roots {
		allowed, ok := modes[root.Name]
		switch {
		case !ok:
			return fmt.Errorf("the token does not name the mount %.40q", root.Name)
		case root.Mode != "ro" && root.Mode != "rw":
			return fmt.Errorf("mount %.40q has mode %.10q, want ro or rw", root.Name, root.Mode)
		case root.Mode == "rw" && allowed != "rw":
			return fmt.Errorf("the token allows reading the mount %.40q, the task wants to write", root.Name)
		case !path.IsAbs(root.Path) || path.Clean(root.Path) != root.Path:
			return fmt.Errorf("mount %.40q is at %.80q, want a clean absolute path", root.Name, root.Path)
		}
	}
	return nil
}

// Perform runs tool for an accepted task under the task's time limit. It always returns in time: a
// tool that panics has failed, and one that does not come back is left behind for the end of the
// process.
func Perform(ctx context.Context, task run.Task, tool Tool) run.Output {
	limit := time.Duration(task.TimeoutMS) * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	answered := make(chan Answer, 1)
	go func() {
		// The panic's text could hold a piece of a file; that the call failed is all that leaves.
		defer func() {
			if recover() != nil {
				answered <- Failed("the executor has a defect and could not finish this call")
			}
		}()
		answered <- tool(ctx, Call{Input: task.Input, Roots: task.Roots, Cap: task.OutputCap, Piece: task.Piece})
	}()
	late := time.NewTimer(limit + grace)
	defer late.Stop()
	select {
	case answer := <-answered:
		return answer.output(task.Call)
	case <-late.C:
		return TimedOut(nil, "the call did not end within its %v", limit).output(task.Call)
	}
}
