package runner

import (
	"context"
	"sync"
	"time"

	"github.com/secureclaw/secureclaw/internal/domain"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/tunnel"
	"github.com/secureclaw/secureclaw/runner/internal/egress"
	"github.com/secureclaw/secureclaw/runner/internal/sandbox"
)

// web is what calls of the web executor need beyond a container.
type web struct {
	proxy  *egress.Proxy
	canary *canary
	tunnel tunnel.Limits
	// A browser is a dozen busy processes: more at once than processors only take turns, and each
	// gets slower than its page's patience. They do not take the slots of other calls.
	slots slots
}

// seams are what tests put in the place of the world. Programs cannot name them, and the zero seams
// change nothing.
type seams struct {
	way    func(*egress.Options)
	canary func(context.Context) error
}

func newWeb(o Options, s seams) *web {
	options := egress.Options{Limits: egress.DefaultLimits()}
	if s.way != nil {
		s.way(&options)
	}
	w := &web{
		proxy: egress.New(options),
		// What the proxy allows is what the tunnel carries: it refuses the rest before a goroutine is spent on it.
		// Its own patience is longer: the proxy shall be the one who notices, and who says so in the log.
		tunnel: tunnel.Limits{Streams: options.Limits.Streams, Window: tunnel.Window, Idle: options.Limits.Idle + 15*time.Second},
		slots:  newSlots(run.MaxBrowsers()),
	}
	prove := w.proxy.Canary
	if s.canary != nil {
		prove = s.canary
	}
	w.canary = newCanary(prove, o.Log)
	return w
}

// browse runs one web task with its way out, and passes on each decision about it between Started
// and the end that the caller sends.
func (s *server) browse(ctx context.Context, task sandbox.Task, names domain.List, tell func(run.Event) error) (run.Result, *run.Refusal) {
	if refusal := s.web.canary.refusal(ctx); refusal != nil {
		return run.Result{}, refusal
	}
	report := newReport(tell)
	way := s.web.proxy.Task(names, report.add)
	task.Out = way.Serve
	task.Tunnel = s.web.tunnel
	task.Refused = func(connections int64) {
		report.add(run.Egress{Code: codeLimit, Text: "too many connections were open at once", Count: connections})
	}
	result, refusal := s.box.Run(ctx, task, func(started run.Started) error {
		err := tell(run.Event{Started: &started})
		if err == nil {
			report.open()
		}
		return err
	})
	way.Close() // tells the totals
	report.close()
	return result, refusal
}

// report passes the decisions of one task on: in their order, all of them before [report.close]
// returns, and never in the way of the bytes, even when the gateway reads slowly. Its queue is as
// long as what egress tells of one task, which is bounded there.
type report struct {
	tell func(run.Event) error
	done sync.WaitGroup

	mu      sync.Mutex
	news    *sync.Cond
	waiting []run.Egress
	opened  bool
	closed  bool
}

func newReport(tell func(run.Event) error) *report {
	r := &report{tell: tell}
	r.news = sync.NewCond(&r.mu)
	return r
}

// add takes one decision and returns at once.
func (r *report) add(e run.Egress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	r.waiting = append(r.waiting, e)
	r.news.Signal()
}

// open lets decisions go out: from here on the task has started.
func (r *report) open() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.opened {
		r.opened = true
		r.done.Go(r.pass)
	}
}

// close returns when all that was added has gone out, or cannot. Of a task that never started nothing
// goes out: it decided nothing.
func (r *report) close() {
	r.mu.Lock()
	r.closed = true
	r.news.Signal()
	r.mu.Unlock()
	r.done.Wait()
}

func (r *report) pass() {
	for {
		r.mu.Lock()
		for len(r.waiting) == 0 && !r.closed {
			r.news.Wait()
		}
		batch := r.waiting
		r.waiting = nil
		r.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		for _, e := range batch {
			if r.tell(run.Event{Egress: &e}) != nil {
				return // the gateway is gone, and with it the call
			}
		}
	}
}
