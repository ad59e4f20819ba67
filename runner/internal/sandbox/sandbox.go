// Package sandbox runs one task in one fresh, sealed container of a Docker-compatible engine.
//
// It promises that a container is exactly what its [Task] says: one pure function builds the
// request, and what the engine made of it is compared with it before anything starts. It takes
// exactly one result from a container, for the call it asked, before the deadline; everything else
// is an outcome of its own. No container outlives its task, its caller or the program.
// What a read-only mount hides is covered before anything starts; when that no longer held at the
// end, the result is withheld.
//
// It refuses, and then nothing ran, whenever a fence cannot be put up: the image or the runtime is
// missing, a folder is missing, the engine ignores a flag, filters no system calls or does not
// answer. There is no other way to run a task. It knows no tokens: package runner verifies and
// clips. The entry point is [Sandbox.Run].
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moby/moby/client"

	"github.com/secureclaw/secureclaw/internal/run"
)

// Codes of the refusals made here, as in [run.Refusal].
const (
	CodeEngine    = "engine"    // does not answer, or said no
	CodeImage     = "image"     // missing, or not an executor
	CodeRuntime   = "runtime"   // not on this host
	CodeMount     = "mount"     // the folder is missing or no folder
	CodeLimit     = "limit"     // a limit is zero, which engines read as none
	CodeFence     = "fence"     // the engine made something else than was asked
	CodeHide      = "hide"      // what must be hidden cannot all be found or covered
	CodeCancelled = "cancelled" // before the task was handed over
)

// errDeadline is the cause of a context that ended because the task ran too long.
var errDeadline = errors.New("deadline passed")

// Options says where to work and in whose name.
type Options struct {
	// Hosts are addresses of engines (unix:///…), in the order to try.
	Hosts []string
	// Instance names this installation and Boot this start of the runner: containers of this
	// instance that no living call owns are removed, and those of any other instance never.
	Instance string
	Boot     string
	// Dir is a private folder of the runner's, absolute, made when it is needed: from there come the
	// covers of what a mount hides. Without it a call that has something to hide is refused.
	Dir string
	Log *slog.Logger
	// Ready is how many bytes the containers may hold that [Sandbox.Keep] starts before a call needs them; 0:
	// none is. Starts is how many containers are started at once; 0 is one.
	Ready  int64
	Starts int
	// Step is called at each named step of a call, so that a test can end the process there. Nil means none.
	Step func(step string)
}

// The steps of a call.
const (
	StepCreated = "runner.created" // the container is there and compared, not started
	StepStarted = "runner.started" // it runs; nobody was told, and it has no task
	StepOutput  = "runner.output"  // its one result is read and not passed on
)

// Sandbox runs tasks. It is safe for many goroutines; [Sandbox.Close] ends it.
type Sandbox struct {
	engine   engine
	instance string
	boot     string
	dir      string
	bounds   bounds
	log      *slog.Logger
	step     func(string)

	// dirty says that containers of ours may be left: at the start, and after the engine failed.
	dirty    atomic.Bool
	sweeping sync.Mutex
	swept    atomic.Int64
	cleanups sync.WaitGroup

	pool   *pool
	starts *starts
	woken  chan struct{}

	mu   sync.Mutex
	live map[string]struct{} // container names owned by a call, its cleanup, or the keeper
	busy map[string]struct{} // ids of tasks that run
}

// New returns a Sandbox. It does not reach for the engine yet.
func New(o Options) *Sandbox {
	s := &Sandbox{engine: engine{hosts: o.Hosts}, instance: o.Instance, boot: o.Boot, dir: o.Dir, bounds: usualBounds(), log: o.Log, step: o.Step, live: make(map[string]struct{}), busy: make(map[string]struct{}),
		pool: newPool(o.Ready), starts: newStarts(o.Starts), woken: make(chan struct{}, 1)}
	if s.step == nil {
		s.step = func(string) {}
	}
	s.dirty.Store(true)
	return s
}

// Close waits for the removal of every container, looks once more for any that is left, which is
// both bounded, and lets go of the engine. No call may be running or follow.
func (s *Sandbox) Close() {
	s.cleanups.Wait()
	if s.dirty.Load() {
		ctx, cancel := context.WithTimeout(context.Background(), changeTimeout)
		defer cancel()
		s.Sweep(ctx)
	}
	s.engine.close()
}

// Run runs t and returns its result, or a refusal, and then nothing ran. It calls started once the
// container lives and before it gets the task, so whoever was not told knows that there was no
// effect; an error from started ends the call. A ctx that ends kills the container. The result
// does not wait for the container's removal.
func (s *Sandbox) Run(ctx context.Context, t Task, started func(run.Started) error) (run.Result, *run.Refusal) {
	var timing run.Timing
	begin := time.Now()
	c, refusal := s.engine.connect(ctx)
	if refusal != nil {
		s.dirty.Store(true)
		return run.Result{}, refusal
	}
	if s.dirty.Load() {
		s.Sweep(ctx)
	}
	g := s.glance(ctx, t)
	defer g.end()
	p, refusal := s.place(ctx, c, &t)
	if refusal != nil {
		return run.Result{}, refusal
	}
	if !s.begin(t.ID) {
		return run.Result{}, &run.Refusal{Code: CodeFence, What: "The call runs already, so nothing ran again.", Why: "Its token has been used."}
	}
	defer s.end(t.ID)
	defer s.wake()
	b := s.pick(ctx, t, p, g)
	if b != nil {
		timing.Ready, timing.Take = true, time.Since(begin).Microseconds()
	} else if b, refusal = s.launch(ctx, c, t, p, begin, &timing); refusal != nil {
		return run.Result{}, refusal
	}
	// Registered first, so it runs last: after every reader and writer let go (see kill).
	defer s.remove(ctx, b)
	defer b.release()
	s.step(StepStarted)
	if !b.bind() {
		return run.Result{}, &run.Refusal{Code: CodeFence, What: "The container has a task already, so nothing ran.", Why: "Each serves one and is gone.", Fix: "Try again; this is a defect of SecureClaw's."}
	}

	begin = time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, t.Timeout, errDeadline)
	defer cancel()
	if err := started(run.Started{Container: b.id, Image: b.imageID}); err != nil {
		return run.Result{}, cancelled()
	}
	result := s.converse(ctx, b, t)
	timing.Task = time.Since(begin).Microseconds()
	if result.Outcome == run.Finished {
		s.step(StepOutput)
		if why := s.exposed(ctx, t, p.hidden); why != "" {
			result = run.Result{Outcome: run.Broken, Detail: why}
		}
	}
	result.Timing = timing
	return result, nil
}

// launch starts a container for t at p.
func (s *Sandbox) launch(ctx context.Context, c *connection, t Task, p place, begin time.Time, timing *run.Timing) (*box, *run.Refusal) {
	if s.starts.take(ctx, true) != nil {
		return nil, cancelled()
	}
	defer s.starts.give()
	b, refusal := s.create(ctx, c, t, p, nil)
	if refusal != nil {
		return nil, refusal
	}
	timing.Create = time.Since(begin).Microseconds()
	s.step(StepCreated)
	begin = time.Now()
	if err := b.start(ctx); err != nil {
		b.release()
		s.remove(ctx, b)
		return nil, s.failed(ctx, c, "start the container", err)
	}
	timing.Start = time.Since(begin).Microseconds()
	return b, nil
}

// converse hands over the task and takes the answer.
//
// Exactly one line counts, and only the executor can have written it: it has the nonce of the envelope, which
// nothing in the container knows but the executor. So it is passed on at once; engines close a stream only
// some 25 ms after a process ended. What is there already behind the line spoils it; what comes later is
// never read, and the container is removed all the same.
//
// A web executor's stdin and stdout are a tunnel from behind the envelope on: its line comes in a stream
// of that, and nothing but frames may ever come beside it. The tunnel and all that it serves have
// ended when the result is returned.
func (s *Sandbox) converse(ctx context.Context, b *box, t Task) run.Result {
	if t.Kind == kindWeb {
		b.dig(ctx, t)
		defer b.fill(t)
	} else {
		b.talk(t.Envelope)
	}

	var first lineOrError
	select {
	case first = <-b.answer:
	case <-ctx.Done():
		return s.interrupted(ctx, b)
	}
	if first.err != nil {
		if ctx.Err() != nil { // both at once: the deadline says more
			return s.interrupted(ctx, b)
		}
		return s.noAnswer(ctx, b, first.err)
	}
	output, err := parseOutput(first.line, t.Call, t.Nonce)
	if err != nil {
		return s.broken(ctx, b, err)
	}
	b.ended = true // it exits by itself; who removes it gives it a moment
	return run.Result{Outcome: run.Finished, Output: output}
}

// interrupted ends a task whose deadline passed or whose caller left.
func (s *Sandbox) interrupted(ctx context.Context, b *box) run.Result {
	s.kill(ctx, b)
	if errors.Is(context.Cause(ctx), errDeadline) {
		return run.Result{Outcome: run.TimedOut, Detail: "The executor did not answer before its deadline and was killed."}
	}
	return run.Result{Outcome: run.Cancelled, Detail: "The call was cancelled and its container killed."}
}

// noAnswer finds out why the stream ended without a line.
func (s *Sandbox) noAnswer(ctx context.Context, b *box, cause error) run.Result {
	if !errors.Is(cause, io.EOF) {
		// The stream is still open, or was cut inside a line: nothing to learn from its end.
		return s.broken(ctx, b, cause)
	}
	state, err := b.state(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return s.interrupted(ctx, b)
	case err != nil:
		s.engine.drop(b.engine)
		s.dirty.Store(true)
		return run.Result{Outcome: run.Broken, Detail: fmt.Sprintf("The container engine stopped answering during the call, so its effects are unknown: %.200v.", err)}
	case state.OOMKilled:
		return run.Result{Outcome: run.OutOfMem, Detail: fmt.Sprintf("The executor went over its memory limit of %d MiB and was killed.", b.memory>>20)}
	default:
		return s.broken(ctx, b, fmt.Errorf("no result came: %w (the executor ended with status %d)", cause, state.ExitCode))
	}
}

// broken ends a task whose executor did not keep to the protocol.
func (s *Sandbox) broken(ctx context.Context, b *box, cause error) run.Result {
	s.kill(ctx, b)
	// The text is a stranger's: quoted, cut, and for this log only.
	s.log.Warn("broken executor", "container", b.name, "cause", cause.Error(), "stderr", strconv.QuoteToASCII(b.stderr()))
	return run.Result{Outcome: run.Broken, Detail: fmt.Sprintf("No trustworthy result came, so its effects are unknown: %.200v.", cause)}
}

// kill ends the container at once. It hangs up first: an engine does not answer a kill while
// output waits for a reader.
func (s *Sandbox) kill(ctx context.Context, b *box) {
	b.hangUp()
	// Only then: who serves a connection of the tunnel may take a moment to leave it.
	defer b.release()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), changeTimeout)
	defer cancel()
	if _, err := b.engine.ContainerKill(ctx, b.id, client.ContainerKillOptions{Signal: "KILL"}); err != nil {
		// It may have ended by itself; removal, which follows, kills too.
		s.log.Debug("kill", "container", b.name, "err", err.Error())
	}
}
