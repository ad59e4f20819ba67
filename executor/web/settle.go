package web

import (
	"context"
	"fmt"
	"strconv"
	"strings"
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
	maxRefresh = 3 // s that a page may wait before it sends itself on
	// stuck is how long a page may not answer before its scripts are stopped. It is long because a
	// busy computer looks the same.
	stuck = 6 * time.Second
)

// settle waits until the page is loaded and stands still, and reports whether it came to that.
// answered is the navigation that it waits for, nil after an action; first is set for the first page,
// which has to come.
func (v *visitor) settle(answered <-chan error, first bool) (calm bool) {
	limit := maxSettle
	if end, ok := v.work.Deadline(); ok {
		limit = min(limit, time.Until(end)*3/4)
	}
	began := time.Now()
	var now, last motion
	var hold time.Time // until when the page may send itself on by its own head
	still, since, seen := began, began, -1
	for {
		s := v.watch.look()
		select {
		case err := <-answered:
			answered = nil
			if err != nil && s.doc.url == "" {
				return false // refused before any request
			}
		case <-v.browser.pipe.gone:
			return false
		case <-v.work.Done():
			return false
		default:
		}
		if s.crashed != "" || s.download && first || s.doc.failed != "" && answered == nil {
			return false
		}
		// Without an answer there is nothing to go on with, so all the time there is goes to waiting.
		if over := time.Since(began); over > limit && (!s.pending() || over > maxSettle) {
			if !first || !s.pending() { // a site that never answered is told as that
				v.watch.say(unsettled(s, limit))
			}
			return false
		}
		if s.ready && !s.pending() {
			if now = v.motion(); now != last {
				last, still = now, time.Now()
			}
		}
		if !s.loaded || s.pending() {
			since = time.Now()
		} else if seen != s.loads {
			seen, hold = s.loads, time.Now().Add(v.refresh(s.doc))
		}
		switch {
		case s.strayed && !s.loaded && !s.pending() && s.busy <= twoOpen && s.quiet >= parsedOnly:
			return true
		case s.pending() || !s.ready || first && s.doc.url == "" || time.Now().Before(hold):
		case s.loaded && s.busy == 0 && !now.alive && now.documents > 0:
			return true // no script ever ran, so nothing can change
		case s.loaded && s.busy == 0 && s.quiet >= quiet && time.Since(still) >= stillness:
			return true
		case s.loaded && s.busy <= twoOpen && s.quiet >= almost && time.Since(still) >= stillness:
			return true
		case s.loaded && s.busy <= twoOpen && s.quiet >= almost && time.Since(since) >= restless:
			return true // a clock or an animation
		case !s.loaded && s.busy <= twoOpen && s.quiet >= parsedOnly:
			v.watch.say("the page was not loaded to its end, and nothing more came")
			return true
		}
		v.await()
	}
}

// await returns when the page has come further, after a tick at the latest.
func (v *visitor) await() {
	timer := time.NewTimer(tick)
	defer timer.Stop()
	select {
	case <-v.watch.news:
	case <-timer.C:
	case <-v.work.Done():
	}
}

// drawing is how long a page that shows nothing gets to show something, when a script of it ran.
const drawing = 2 * time.Second

// blankScript reports whether there is nothing to be seen or used.
const blankScript = `!document.body || !document.body.innerText.trim() &&
	!document.querySelector('a[href], button, input, select, textarea, img, svg, canvas, video, object, embed, iframe')`

// drawnLate waits for a page that stands still and is empty, and reports whether it waited: many are
// drawn by a script that begins after the page has come.
func (v *visitor) drawnLate() (waited bool) {
	for end := time.Now().Add(drawing); time.Now().Before(end) && v.work.Err() == nil && v.motion().alive; waited = true {
		ctx, cancel := context.WithTimeout(v.work, 400*time.Millisecond)
		blank, err := evaluate[bool](ctx, v.tab, blankScript)
		cancel()
		if err != nil || !blank {
			return waited
		}
		pause(v.work, 100*time.Millisecond)
	}
	return waited
}

// refreshScript reads when a page will send itself on.
const refreshScript = `(document.querySelector('meta[http-equiv="refresh" i]') || {}).content || ""`

// refresh is how long to wait for a page that says in its head, or its answer's, that it moves on.
func (v *visitor) refresh(doc document) time.Duration {
	ctx, cancel := context.WithTimeout(v.work, 400*time.Millisecond)
	defer cancel()
	text := doc.refresh
	if text == "" {
		text, _ = evaluate[string](ctx, v.tab, refreshScript)
	}
	number := strings.TrimSpace(text)
	number = number[:len(number)-len(strings.TrimLeft(number, "0123456789"))]
	seconds, err := strconv.Atoi(number)
	switch {
	case err != nil:
		return 0
	case seconds > maxRefresh:
		v.watch.say(fmt.Sprintf("the page sends itself on after %d s", seconds))
		return 0
	}
	return time.Duration(seconds)*time.Second + 250*time.Millisecond
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
				v.interrupt()
			}
			timer.Stop()
		}
		pause(ctx, 500*time.Millisecond)
	}
}

// interrupt stops the script that runs now.
func (v *visitor) interrupt() {
	v.tab.tell(runtime.TerminateExecution.Method, cdp.Empty{})
	if s := v.watch.look(); s.loads > 0 && s.url != "about:blank" { // before that it is the server that is slow
		v.watch.say("the page did not answer, so the script that it ran was stopped")
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
