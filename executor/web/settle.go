package web

import (
	"context"
	"fmt"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/cdproto/runtime"
)

// When a page counts as settled. The figures are what pages need, not what is comfortable: a page
// whose answer has come and that stands still for stillness is taken as it is, and a model that
// knows better can wait.
const (
	tick       = 15 * time.Millisecond
	quiet      = 100 // ms without a request under way
	almost     = 500 // ms in which at most twoOpen requests are under way and none came or went
	twoOpen    = 2
	stillness  = 150 * time.Millisecond // without a change of the document
	parsedOnly = 2000                   // ms: something keeps the load event away, and nothing moves
	restless   = 1500 * time.Millisecond
	maxSettle  = 15 * time.Second
	// stuck is how long a page may not answer before its scripts are stopped. It is long because a
	// busy computer looks the same.
	stuck = 6 * time.Second
)

// settle waits until the page is loaded and stands still. answered is the navigation that it waits
// for, nil after an action; first is set for the first page, which has to come.
func (v *visitor) settle(answered <-chan error, first bool) {
	limit := maxSettle
	if end, ok := v.work.Deadline(); ok {
		limit = min(limit, time.Until(end)*3/4)
	}
	began := time.Now()
	var now, last motion
	still, calm := began, began
	for {
		s := v.watch.look()
		select {
		case err := <-answered:
			answered = nil
			if err != nil && s.doc.url == "" {
				return // refused before any request
			}
		case <-v.browser.pipe.gone:
			return
		case <-v.work.Done():
			return
		default:
		}
		if s.crashed != "" || s.download && first || s.doc.failed != "" && answered == nil {
			return
		}
		if time.Since(began) > limit {
			v.watch.say(unsettled(s, limit))
			return
		}
		if s.ready && !s.pending() {
			now = v.motion()
			if now != last {
				last, still = now, time.Now()
			}
		}
		if !s.loaded || s.pending() {
			calm = time.Now()
		}
		switch {
		case s.pending() || !s.ready || first && s.doc.url == "":
		case s.loaded && s.busy == 0 && !now.alive && now.documents > 0:
			return // no script ever ran, so nothing can change
		case s.loaded && s.busy == 0 && s.quiet >= quiet && time.Since(still) >= stillness:
			return
		case s.loaded && s.busy <= twoOpen && s.quiet >= almost && time.Since(still) >= stillness:
			return
		case s.loaded && s.busy <= twoOpen && s.quiet >= almost && time.Since(calm) >= restless:
			return // a clock or an animation
		case !s.loaded && s.busy <= twoOpen && s.quiet >= parsedOnly:
			v.watch.say(fmt.Sprintf("the page was not loaded to its end: %d requests had no answer", s.busy))
			return
		}
		pause(v.work, tick)
	}
}

func unsettled(s view, limit time.Duration) string {
	what := "it kept changing"
	switch {
	case !s.ready:
		what = "it was not there to its end"
	case s.busy > 0:
		what = fmt.Sprintf("%d requests were under way", s.busy)
	}
	return fmt.Sprintf("the page never settled: after %v %s", limit.Round(100*time.Millisecond), what)
}

// motion is a fingerprint of the document: while it stays, nothing was added, removed or moved.
type motion struct {
	nodes, layouts, documents float64
	alive                     bool // a script ran, or the page will send itself on
}

// motion asks the page, also while one of its scripts runs. The zero motion is no answer.
func (v *visitor) motion() motion {
	ctx, cancel := context.WithTimeout(v.work, 400*time.Millisecond)
	defer cancel()
	result, err := cdp.Call(ctx, v.tab, performance.GetMetrics, cdp.Empty{})
	if err != nil {
		return motion{}
	}
	var m motion
	for _, metric := range result.Metrics {
		switch metric.Name {
		case "Nodes":
			m.nodes = metric.Value
		case "LayoutCount":
			m.layouts = metric.Value
		case "Documents":
			m.documents = metric.Value
		case "ScriptDuration":
			m.alive = m.alive || metric.Value > 0
		}
	}
	return m
}

// pulse stops scripts that run without end, until ctx ends: while one runs, the page can neither be
// read nor acted on.
func (v *visitor) pulse(ctx context.Context) {
	for ctx.Err() == nil {
		beat := make(chan struct{})
		go func() {
			defer close(beat)
			// Asking for the layout needs the thread that scripts run on, and starts none itself.
			_, _ = cdp.Call(ctx, v.tab, page.GetLayoutMetrics, cdp.Empty{})
		}()
		for waiting := true; waiting; {
			timer := time.NewTimer(stuck)
			select {
			case <-beat:
				waiting = false
			case <-timer.C:
				v.tab.tell(runtime.TerminateExecution.Method, cdp.Empty{})
				v.watch.say("a script of the page ran without end and was stopped")
			}
			timer.Stop()
		}
		pause(ctx, 500*time.Millisecond)
	}
}

// say notes a sentence.
func (w *watch) say(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note(text)
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
