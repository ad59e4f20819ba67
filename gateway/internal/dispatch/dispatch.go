// Package dispatch takes one decided call to the runner: it writes the task, mints the token that
// allows exactly that task, and brings back the one result.
//
// It offers the executor tools to the gate ([Dispatch.Tools]). It decides nothing: what may run was
// decided before [gate.Tool] Run is called, and what a container may touch is derived by the
// runner from the signed claims. Without a runner every call is refused.
package dispatch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/internal/capability"
	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// graceForRunner is how much longer than the task we wait: the runner kills 2 s after the
// deadline and needs the engine's time to do so.
const graceForRunner = 30 * time.Second

// Dispatch sends tasks to one runner.
type Dispatch struct {
	socket string
	hello  wire.Hello
	minter *capability.Minter
	cfg    *config.Config
	hand   Deliver
	keep   Keep
	egress func(gate.Call, run.Egress)

	spare   spare
	turns   turns
	running atomic.Int64
}

// Deliver takes a file for the user who set a call's run in motion, and returns when it is stored. An
// error says in words why this conversation cannot show it.
type Deliver func(ctx context.Context, call gate.Call, name, mime, caption string, data []byte) error

// Keep makes a file of a picture, where the tools for files find it, and says where that is. An error
// says in words why there is none.
type Keep func(ctx context.Context, call gate.Call, name, mime string, data []byte) (path string, err error)

// Options is what a Dispatch is made of. Without Socket and Minter nothing runs, but calls can be prepared.
type Options struct {
	Socket  string // where the runner listens
	Program string // what we call ourselves there
	Minter  *capability.Minter
	Config  *config.Config
	// Deliver takes the files of send_file and the screenshots of browse_web; nil: no conversation can
	// show files.
	Deliver Deliver
	// Keep takes the screenshots, too; nil: they become no files.
	Keep Keep
	// Egress is told what the runner decided about each connection of a call, in order and before the
	// call's result is handed on; nil: nobody wants to know.
	Egress func(call gate.Call, e run.Egress)
}

// New returns a Dispatch for one runner.
func New(o Options) *Dispatch {
	return &Dispatch{
		socket: o.Socket,
		hello:  wire.Hello{Role: "gateway", Program: o.Program},
		minter: o.Minter,
		cfg:    o.Config,
		hand:   o.Deliver,
		keep:   o.Keep,
		egress: o.Egress,
		spare:  spare{idle: spareFor, pace: sparePace},
		turns:  newTurns(),
	}
}

// Running is how many tasks are with the runner now.
func (d *Dispatch) Running() int { return int(d.running.Load()) }

// Status asks the runner for its health.
func (d *Dispatch) Status(ctx context.Context) (*run.Status, error) {
	conn, err := d.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := conn.Send(run.Request{Status: &struct{}{}}); err != nil {
		return nil, err
	}
	var event run.Event
	if err := conn.Receive(&event); err != nil {
		return nil, fmt.Errorf("runner status: %w", err)
	}
	if event.Status == nil {
		return nil, errors.New("runner status: an answer without a status")
	}
	return event.Status, nil
}

func (d *Dispatch) dial(ctx context.Context) (*wire.Conn, error) {
	conn, err := wire.Dial(ctx, d.socket, d.hello)
	if err != nil {
		return nil, fmt.Errorf("the runner does not answer at %s: %w", d.socket, err)
	}
	if conn.Peer.Role != "runner" {
		_ = conn.Close()
		return nil, fmt.Errorf("%s is served by a %q, want a runner", d.socket, conn.Peer.Role)
	}
	return conn, nil
}

// order writes the task of an action, or of one piece of it, and mints its token.
func (d *Dispatch) order(call gate.Call, action claw.Action, piece *run.Piece) (run.Order, error) {
	exec, ok := d.cfg.Executors[action.Executor]
	if !ok {
		return run.Order{}, fmt.Errorf("no executor %q is configured", action.Executor)
	}
	task := run.Task{
		Call:      string(call.ID),
		Tool:      action.Tool,
		Input:     action.Input,
		TimeoutMS: action.TimeoutMS,
		OutputCap: int(exec.OutputCap),
		Piece:     piece,
	}
	claims := capability.Claims{
		Audience:  action.Executor,
		Tool:      action.Tool,
		Domains:   action.Domains,
		TimeoutMS: action.TimeoutMS,
		OutputCap: int64(exec.OutputCap),
		Memory:    int64(exec.Memory),
		CPUMillis: int64(exec.CPUs * 1000),
		Pids:      exec.Pids,
		Session:   string(call.Session),
		Call:      string(call.ID),
	}
	for _, grant := range action.Mounts {
		mount, ok := findMount(d.cfg.Mounts, grant.Name)
		if !ok {
			return run.Order{}, fmt.Errorf("mount %q is no longer configured", grant.Name)
		}
		task.Roots = append(task.Roots, run.Root{Name: grant.Name, Path: mount.Container, Mode: grant.Mode})
		claims.Mounts = append(claims.Mounts, capability.Mount{Name: grant.Name, Mode: grant.Mode})
	}
	body, err := strict.CanonicalOf(task)
	if err != nil {
		return run.Order{}, fmt.Errorf("task: %w", err)
	}
	claims.TaskSHA256 = capability.TaskDigest(body)
	token, err := d.minter.Mint(claims)
	if err != nil {
		return run.Order{}, fmt.Errorf("token: %w", err)
	}
	return run.Order{Token: token, Task: body}, nil
}

// once runs one action, or one piece of it, in one container.
func (d *Dispatch) once(ctx context.Context, call gate.Call, action claw.Action, piece *run.Piece) claw.ToolResult {
	end := func(status claw.Status, format string, args ...any) claw.ToolResult {
		return result(call, action, status, format, args...)
	}
	// Minted now: a token that had waited would be old when the runner sees it.
	order, err := d.order(call, action, piece)
	if err != nil {
		return end(claw.Refused, "Not run: %v.", err)
	}
	d.running.Add(1)
	defer d.running.Add(-1)

	patience := time.Duration(action.TimeoutMS)*time.Millisecond + graceForRunner
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := d.submit(waiting, &order)
	if err != nil {
		return end(claw.Refused, "Not run: %v. Fix: check `secureclaw status`; `secureclaw up` starts the runner.", err)
	}
	defer conn.Close()
	// Closing is how we cancel: the runner then kills the container.
	stop := context.AfterFunc(waiting, func() { _ = conn.Close() })
	defer stop()
	started := false
	// A connection for the next call is made beside the container's work, and is there before we return.
	var filling sync.WaitGroup
	defer filling.Wait()
	for {
		var event run.Event
		if err := conn.Receive(&event); err != nil {
			switch {
			case ctx.Err() != nil:
				return end(claw.Cancelled, "Stopped while it ran; it may have had effects.")
			case waiting.Err() != nil:
				return end(claw.Unknown, "The runner gave no result %s after the deadline; whether the call had effects is unknown.", graceForRunner)
			case errors.Is(err, io.EOF) && !started:
				return end(claw.Unknown, "The runner went away before it said that the call started; whether it ran is unknown.")
			default:
				return end(claw.Unknown, "The connection to the runner broke while the call ran (%v); how it ended is unknown.", err)
			}
		}
		switch {
		case event.Started != nil:
			started = true
			filling.Go(func() { d.spare.fill(waiting, d.dial) })
		case event.Egress != nil:
			if d.egress != nil {
				d.egress(call, *event.Egress)
			}
		case event.Refusal != nil:
			return end(claw.Refused, "%s", sentence(event.Refusal))
		case event.Result != nil:
			return d.finish(ctx, call, action, event.Result)
		default:
			return end(claw.Unknown, "The runner answered with an empty event; how the call ended is unknown.")
		}
	}
}

func findMount(mounts []config.Mount, name string) (config.Mount, bool) {
	i := slices.IndexFunc(mounts, func(m config.Mount) bool { return m.Name == name })
	if i < 0 {
		return config.Mount{}, false
	}
	return mounts[i], true
}
