package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/secureclaw/secureclaw/internal/capability"
	"github.com/secureclaw/secureclaw/internal/domain"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
	"github.com/secureclaw/secureclaw/runner/internal/sandbox"
)

// connection serves one request of one peer.
func (s *server) connection(ctx context.Context, pending *wire.Pending) {
	conn, err := pending.Handshake()
	if err != nil {
		s.log.Warn("connection refused", "err", err.Error())
		return
	}
	defer conn.Close()
	defer s.peers.Add(-1)
	if s.peers.Add(1) > maxPeers {
		s.send(conn, run.Event{Refusal: &run.Refusal{
			Code: codeBusy, What: "Too many connections are open, so nothing ran.", Why: fmt.Sprintf("There are %d already.", maxPeers), Fix: "Try again in a moment.",
		}})
		return
	}
	var request run.Request
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	silent := time.AfterFunc(maxSilence, func() { _ = conn.Close() })
	err = conn.Receive(&request)
	silent.Stop()
	stop()
	if err != nil {
		if !errors.Is(err, io.EOF) && ctx.Err() == nil {
			s.log.Warn("no request", "peer", conn.Peer.Role, "err", err.Error())
			s.send(conn, run.Event{Refusal: &run.Refusal{Code: codeRequest, What: "The request could not be read, so nothing ran.", Why: fmt.Sprintf("%.300v.", err)}})
		}
		return
	}

	// From here on the peer only listens. Its leaving, and anything it says, ends the request.
	ctx, cancel := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		defer cancel()
		var more run.Request
		if conn.Receive(&more) == nil {
			s.log.Warn("a second request on one connection ends the first", "peer", conn.Peer.Role)
		}
	}()
	s.send(conn, s.answer(ctx, conn, request))
	_ = conn.Close()
	<-watched
}

// answer does what request asks and returns the event that ends it.
func (s *server) answer(ctx context.Context, conn *wire.Conn, request run.Request) run.Event {
	switch {
	case request.Run != nil && request.Status == nil:
		result, refusal := s.run(ctx, *request.Run, func(event run.Event) error { return conn.Send(event) })
		if refusal != nil {
			s.log.Info("refused", "code", refusal.Code, "what", refusal.What, "why", refusal.Why)
			return run.Event{Refusal: refusal}
		}
		return run.Event{Result: &result}
	case request.Status != nil && request.Run == nil:
		status := s.status(ctx)
		return run.Event{Status: &status}
	default:
		return run.Event{Refusal: &run.Refusal{Code: codeRequest, What: "A request asks for exactly one thing, so nothing ran."}}
	}
}

// send writes the last event. The peer may be gone, which only the log needs to know.
func (s *server) send(conn *wire.Conn, event run.Event) {
	err := conn.Send(event)
	if errors.Is(err, wire.ErrFrame) && event.Result != nil {
		// The executor's line fitted a frame, and our words around it no longer do.
		event.Result.Outcome, event.Result.Output = run.Broken, nil
		event.Result.Detail = "The result is too large to be passed on; the task itself ended."
		err = conn.Send(event)
	}
	if err != nil {
		s.log.Debug("event not delivered", "err", err.Error())
	}
}

// run verifies, clips and runs one order. Token first: nobody without one learns anything about
// mounts, images or the engine. It tells that the task started and what its way out decided; the end
// is what it returns.
func (s *server) run(ctx context.Context, order run.Order, tell func(run.Event) error) (run.Result, *run.Refusal) {
	begin := time.Now()
	claims, refusal := s.verify(order)
	if refusal != nil {
		return run.Result{}, refusal
	}
	task, names, refusal := s.sandboxTask(claims, order)
	if refusal != nil {
		return run.Result{}, refusal
	}
	slots := s.slots
	if task.Kind == kindWeb {
		slots = s.web.slots
	}
	verified := time.Since(begin).Microseconds()
	s.step(StepVerified)

	give, waited, refusal := slots.take(ctx, claims, s.now())
	if refusal != nil {
		return run.Result{}, refusal
	}
	defer give()
	var result run.Result
	if task.Kind == kindWeb {
		result, refusal = s.browse(ctx, task, names, tell)
	} else {
		result, refusal = s.box.Run(ctx, task, func(started run.Started) error { return tell(run.Event{Started: &started}) })
	}
	result.Timing.Verify = verified
	result.Timing.Queue += waited
	return result, refusal
}

// verify checks the token, marks it as used, and reads nothing else before that.
func (s *server) verify(order run.Order) (capability.Claims, *run.Refusal) {
	claims, err := s.verifier.Verify(order.Token, kinds(), order.Task)
	if err == nil && claims.IssuedAt < s.since {
		// We forgot what an earlier start saw used, so nothing from its time counts.
		err = errors.New("the token is older than this runner")
	}
	if err == nil {
		err = s.replay.Use(claims.ID, time.Unix(claims.Expires, 0))
	}
	if err != nil {
		return capability.Claims{}, &run.Refusal{
			Code: codeToken,
			What: "The call has no valid token, so nothing ran.",
			Why:  fmt.Sprintf("%.300v.", err),
			Fix:  "Gateway and runner must come from one release and share one CAPABILITY_SECRET and one clock; then ask again.",
		}
	}
	return claims, nil
}

// sandboxTask clips the claims and wraps the task for the executor.
func (s *server) sandboxTask(claims capability.Claims, order run.Order) (sandbox.Task, domain.List, *run.Refusal) {
	task, names, refusal := clip(s.config, claims, order.Task)
	if refusal != nil {
		return sandbox.Task{}, nil, refusal
	}
	task.Nonce = sandbox.NewNonce()
	envelope, err := strict.Encode(run.Envelope{Token: order.Token, Task: order.Task, Nonce: task.Nonce})
	if err != nil {
		return sandbox.Task{}, nil, refuseTask("it cannot be written down again: %v", err)
	}
	task.Envelope = envelope
	task.VerifyKey = s.key
	return task, names, nil
}

// status says what can run now. It starts nothing.
func (s *server) status(ctx context.Context) run.Status {
	engine, problem := s.box.Engine(ctx)
	status := run.Status{Version: s.version, Engine: engine, Problem: problem, Running: s.box.Running(), Ready: s.box.Ready(), ReadyMost: int64(s.config.Runner.Ready.Memory)}
	for _, kind := range slices.Sorted(maps.Keys(s.config.Executors)) {
		executor := s.config.Executors[kind]
		e := run.ExecutorStatus{Kind: kind, Image: executor.Image}
		switch {
		case problem != nil:
			e.Problem = problem
		case !slices.Contains(kinds(), kind):
			e.Problem = refuseKind(kind)
		default:
			e.ImageID, e.Problem = s.box.Executor(ctx, executor.Image, executor.Runtime)
			if e.Problem == nil && kind == kindWeb {
				e.Problem = s.web.canary.refusal(ctx)
			}
		}
		status.Executors = append(status.Executors, e)
	}
	return status
}
