// Package runner is the hands: the one process that holds the container engine's socket.
//
// It promises that nothing runs without a token of the gateway's, verified before the engine is
// asked for anything, used once, for exactly the task it was signed for; and that a container gets
// what token and configuration both allow, never more. It reads the configuration itself: mounts
// travel by name, images and ceilings do not travel at all. What a mount hides is covered in every
// call that reads what it comes across. A browser reaches the names of its token, each of which our own
// reading of the configuration gives for its page, by the vetted way out alone, and every decision
// about that is told.
//
// Everything else is refused, with what, why and how to fix it, and then no container was made. The
// runner holds no key that mints, no model key and no account. Its entry point is [Run]; the
// protocol is package run's.
package runner

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/secureclaw/secureclaw/internal/capability"
	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/wire"
	"github.com/secureclaw/secureclaw/runner/internal/sandbox"
)

// StepVerified is reached when an order was verified and clipped, and nothing was asked of the engine;
// the steps that follow are package sandbox's.
const StepVerified = "runner.verified"

// Options is all that a runner is told. Environment and flags are read by the caller.
type Options struct {
	// Config is the runner's own reading of secureclaw.yaml.
	Config *config.Config
	// Socket is where to listen; its directory is made with mode 0700.
	Socket string
	// PublicKey verifies tokens.
	PublicKey ed25519.PublicKey
	// Boot names this start, StateDir this installation: containers that an earlier start of the
	// same installation left are removed. The runner keeps what covers hidden files there.
	Boot     string
	StateDir string
	// DockerHost is the DOCKER_HOST of the environment, RuntimeDir its XDG_RUNTIME_DIR.
	DockerHost string
	RuntimeDir string

	Now     func() time.Time
	Log     *slog.Logger
	Version string
	// Step is called at each named step of a call, so that a test can end the process there. Nil means none.
	Step func(step string)
	// Ready, if set, is called once when the socket accepts.
	Ready func()
}

// Run serves until ctx ends. Then running tasks are killed and told as cancelled, and it returns
// when their containers are gone or the engine had its time to remove them.
func Run(ctx context.Context, o Options) error { return listen(ctx, o, seams{}) }

func listen(ctx context.Context, o Options, seam seams) error {
	s, err := newServer(o, seam)
	if err != nil {
		return err
	}
	defer s.box.Close()
	ln, err := wire.Listen(o.Socket, wire.Hello{Role: "runner", Program: "secureclaw " + o.Version})
	if err != nil {
		return fmt.Errorf("runner: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = ln.Close() })()
	if o.Ready != nil {
		o.Ready()
	}
	return s.serve(ctx, ln)
}

func newServer(o Options, seam seams) (*server, error) {
	switch {
	case o.Config == nil:
		return nil, errors.New("runner: no configuration")
	case len(o.PublicKey) != ed25519.PublicKeySize:
		return nil, fmt.Errorf("runner: verifying key of %d bytes, want %d", len(o.PublicKey), ed25519.PublicKeySize)
	case o.Boot == "" || !filepath.IsAbs(o.StateDir):
		return nil, errors.New("runner: no boot id, or the state directory is not absolute")
	case o.Now == nil || o.Log == nil:
		return nil, errors.New("runner: no clock or no log")
	}
	if o.Step == nil {
		o.Step = func(string) {}
	}
	return &server{
		config:   o.Config,
		verifier: capability.NewVerifier(o.PublicKey, o.Now),
		replay:   capability.NewReplay(o.Now),
		key:      base64.StdEncoding.EncodeToString(o.PublicKey),
		since:    o.Now().Unix(),
		now:      o.Now,
		log:      o.Log,
		version:  o.Version,
		slots:    newSlots(run.MaxCalls()),
		step:     o.Step,
		web:      newWeb(o, seam),
		box: sandbox.New(sandbox.Options{
			Hosts:    hosts(o),
			Instance: instanceOf(o.StateDir),
			Boot:     o.Boot,
			Dir:      filepath.Join(o.StateDir, "runner"),
			Log:      o.Log,
			Step:     o.Step,
			Ready:    int64(o.Config.Runner.Ready.Memory),
			Starts:   maxStarts(),
		}),
	}, nil
}

// hosts lists where to look for an engine. Who names one gets that one and no other.
func hosts(o Options) []string {
	switch {
	case o.Config.Docker.Host != "":
		return []string{o.Config.Docker.Host}
	case o.DockerHost != "":
		return []string{o.DockerHost}
	}
	list := []string{"unix:///var/run/docker.sock"}
	if o.RuntimeDir != "" {
		list = append(list, "unix://"+o.RuntimeDir+"/docker.sock", "unix://"+o.RuntimeDir+"/podman/podman.sock")
	}
	return append(list, "unix:///run/podman/podman.sock")
}

// server answers requests.
type server struct {
	config   *config.Config
	verifier *capability.Verifier
	replay   *capability.Replay
	key      string // base64 of the verifying key, for executors
	since    int64  // Unix seconds of our start
	now      func() time.Time
	log      *slog.Logger
	version  string
	slots    slots
	peers    atomic.Int64 // connections
	step     func(string)
	web      *web
	box      *sandbox.Sandbox
}

// serve accepts until the listener closes, and waits for everything it started.
func (s *server) serve(ctx context.Context, ln *wire.Listener) error {
	var work sync.WaitGroup
	defer work.Wait()
	// What an earlier start left goes now and not with the first call; no caller waits for it.
	work.Go(func() { s.sweep(ctx) })
	work.Go(func() { s.web.canary.run(ctx) })
	work.Go(func() { s.box.Keep(ctx, s.usual()) })
	for {
		pending, err := ln.Accept()
		switch {
		case err != nil && ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("runner: socket closed: %w", err)
		case err != nil:
			return fmt.Errorf("runner: accept: %w", err)
		}
		work.Go(func() { s.connection(ctx, pending) })
	}
}

// sweepEvery is how often containers without an owner are looked for, when there may be some.
const sweepEvery = 30 * time.Second

func (s *server) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		s.box.Sweep(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
