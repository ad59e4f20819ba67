package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/secureclaw/secureclaw/internal/wire"
	"github.com/secureclaw/secureclaw/runner"
)

// benchSite stands for nobody (RFC 2606).
const benchSite = "www.secureclaw.example"

// benchWork is a kind of call and the message by which the rehearsal model makes one.
type benchWork struct {
	kind, text string
	count      int
	// fails says that the call comes back without what it was for: a page that cannot be reached.
	fails bool
}

func benchWorks(p benchPlan) []benchWork {
	works := []benchWork{{kind: "shell", text: "run: true", count: p.count}, {kind: "file", text: "read " + runner.PlainFile, count: p.count}}
	if p.pages > 0 {
		works = append(works, benchWork{kind: "web", text: "browse https://" + benchSite, count: p.pages, fails: true})
	}
	return works
}

// benchKind is one kind of call beside its baselines. Times are milliseconds; ratios are medians over what
// was measured in turn, 0 when there was nothing to divide.
type benchKind struct {
	Kind  string `json:"kind"`
	Count int    `json:"count"`

	// FoundReady is how many of the calls that could find a waiting container did; only those count as Ready.
	FoundReady int `json:"found_ready"`

	ReadyToPlain float64 `json:"ready_to_plain"`
	ReadyToExec  float64 `json:"ready_to_exec"`
	ColdToPlain  float64 `json:"cold_to_plain"`
	ReadyAbove   float64 `json:"ready_above_blocked_ms"` // over a process that is blocked in a container already

	Ready     spread `json:"ready_ms"` // model's call parsed → result in hand
	Cold      spread `json:"cold_ms"`
	Plain     spread `json:"plain_ms"`      // plain container of the same image, made and removed
	Exec      spread `json:"exec_ms"`       // docker exec into a shared one
	Blocked   spread `json:"blocked_ms"`    // one line to a process blocked in a container, and back
	Pipe      spread `json:"pipe_ms"`       // the same to a process on the host, by a pipe
	Fork      spread `json:"fork_ms"`       // a process on the host, started and ended
	ReadyOurs spread `json:"ready_ours_ms"` // the part that is neither engine nor tool
	ColdOurs  spread `json:"cold_ours_ms"`
}

// series are the times of one kind, each at the place of its turn. A turn whose call found no waiting
// container has none in ready and its own two in spare.
type series struct {
	ready, plainOfReady, execOfReady []float64
	cold, plain, exec, line          []float64
	fork, pipe                       []float64
	readyOurs, coldOurs              []float64
}

// benchCalls takes turns between all ways to do one piece of work. The first of each is not counted.
func benchCalls(ctx context.Context, ready, cold *benchHome, w benchWork) (kind benchKind, err error) {
	folder := filepath.Join(ready.dirs.Home, "workspace")
	// The browser's own policy forbids to print a page; a plain one has another.
	if err := os.WriteFile(filepath.Join(folder, "policy.json"), []byte("{}"), 0o644); err != nil {
		return kind, err
	}
	plain, err := runner.NewPlain(ready.options(), w.kind, folder)
	if err != nil {
		return kind, err
	}
	defer func() { err = errors.Join(err, plain.Close(ctx)) }()
	waits, err := plain.Block(ctx)
	if err != nil {
		return kind, err
	}
	floor, err := newFloor(ctx)
	if err != nil {
		return kind, err
	}
	defer floor.close()
	var s series
	for i := range w.count + 2 {
		var one turn
		if err := one.take(ctx, ready, cold, w, plain, waits, floor, i%2 == 1); err != nil {
			return kind, err
		}
		if i >= 2 {
			s.add(one, waits)
		}
	}
	return s.sum(w), nil
}

// turn is one of each.
type turn struct {
	ready, cold       wire.Step
	plain, exec, line time.Duration
	fork, pipe        time.Duration
}

func (t *turn) take(ctx context.Context, ready, cold *benchHome, w benchWork, plain *runner.Plain, waits bool, floor *floor, odd bool) error {
	var err error
	measure := func(into *time.Duration, f func(context.Context) (time.Duration, error)) {
		if err == nil {
			*into, err = f(ctx)
		}
	}
	// A background start or removal of one must not be paid for by the next.
	if err = ready.settle(ctx); err != nil {
		return err
	}
	if t.ready, err = ready.call(ctx, w); err != nil {
		return err
	}
	if err = ready.settle(ctx); err != nil {
		return err
	}
	// Who goes first changes from turn to turn: a start may be dearer behind another's removal.
	starts := []func(){
		func() { measure(&t.plain, plain.Call) },
		func() {
			measure(new(time.Duration), func(ctx context.Context) (_ time.Duration, err error) {
				if t.cold, err = cold.call(ctx, w); err == nil {
					err = cold.settle(ctx)
				}
				return 0, err
			})
		},
	}
	if odd {
		slices.Reverse(starts)
	}
	for _, start := range starts {
		start()
	}
	if waits {
		measure(&t.exec, plain.Exec)
		measure(&t.line, plain.Line)
	}
	measure(&t.fork, floor.fork)
	measure(&t.pipe, floor.line)
	return err
}

// call is one call in a session of its own.
func (h *benchHome) call(ctx context.Context, w benchWork) (wire.Step, error) {
	reply, err := say(ctx, h.conn, "bench-"+newRef(), w.text)
	if err != nil {
		return wire.Step{}, err
	}
	return w.check(reply)
}

func (w benchWork) check(reply *wire.Reply) (wire.Step, error) {
	if len(reply.Calls) == 1 && (reply.Calls[0].Status == "ok" || w.fails && reply.Calls[0].ContainerMS > 0) {
		return reply.Calls[0], nil
	}
	return wire.Step{}, &failure{code: exitFailed, what: "a measured call did not succeed", why: visible(reply.Text)}
}

func (s *series) add(t turn, waits bool) {
	if t.ready.Ready {
		s.ready = append(s.ready, t.ready.DurationMS)
		s.readyOurs = append(s.readyOurs, t.ready.DurationMS-t.ready.ContainerMS)
		s.plainOfReady = append(s.plainOfReady, ms(t.plain))
		if waits {
			s.execOfReady = append(s.execOfReady, ms(t.exec))
		}
	}
	s.cold = append(s.cold, t.cold.DurationMS)
	s.coldOurs = append(s.coldOurs, t.cold.DurationMS-t.cold.ContainerMS)
	s.plain = append(s.plain, ms(t.plain))
	if waits {
		s.exec, s.line = append(s.exec, ms(t.exec)), append(s.line, ms(t.line))
	}
	s.fork, s.pipe = append(s.fork, ms(t.fork)), append(s.pipe, ms(t.pipe))
}

func (s *series) sum(w benchWork) benchKind {
	k := benchKind{
		Kind: w.kind, Count: w.count, FoundReady: len(s.ready),
		ReadyToPlain: ratio(s.ready, s.plainOfReady), ReadyToExec: ratio(s.ready, s.execOfReady), ColdToPlain: ratio(s.cold, s.plain),
	}
	if len(s.ready) > 0 && len(s.line) > 0 {
		k.ReadyAbove = median(s.ready) - median(s.line)
	}
	k.Ready, k.Cold, k.Plain, k.Exec, k.Blocked = quantiles(s.ready), quantiles(s.cold), quantiles(s.plain), quantiles(s.exec), quantiles(s.line)
	k.Pipe, k.Fork, k.ReadyOurs, k.ColdOurs = quantiles(s.pipe), quantiles(s.fork), quantiles(s.readyOurs), quantiles(s.coldOurs)
	return k
}

// benchMessages measures a message whose answer needs no tool: socket, store, history, log, reply.
func benchMessages(ctx context.Context, h *benchHome, n int) (spread, error) {
	var all []float64
	for range n {
		began := time.Now()
		if _, err := say(ctx, h.conn, "bench-"+newRef(), "help"); err != nil {
			return spread{}, err
		}
		all = append(all, ms(time.Since(began)))
	}
	return quantiles(all), nil
}

// say sends one message and waits for its reply.
func say(ctx context.Context, conn *wire.Conn, session, text string) (*wire.Reply, error) {
	id := newRef()
	if err := conn.Send(wire.Up{Message: &wire.Message{ID: id, Session: session, Text: text}}); err != nil {
		return nil, lost(ctx, err)
	}
	var reply *wire.Reply
	err := receive(ctx, conn, func(down wire.Down) (bool, error) {
		switch {
		case down.Fault != nil:
			return true, faultError(down.Fault)
		case down.Reply != nil && down.Reply.Message == id:
			reply = down.Reply
			return true, nil
		}
		return false, nil
	})
	return reply, err
}
