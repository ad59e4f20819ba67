package web

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/css"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/executor/web/internal/snapshot"
)

// visitor is one call under way.
type visitor struct {
	job     job
	relay   *relay
	browser *chromium
	watch   *watch
	tab     session
	reader  context.Context // the tab as package snapshot wants it; ends with the call
	work    context.Context // ends early enough to hand over what there is

	done []string       // what the actions did
	page *snapshot.Page // what refs are looked up in
}

// visit opens the page, does the actions and hands over what is then to be seen.
func visit(ctx context.Context, o Options, j job) executor.Answer {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	v := &visitor{job: j}
	stop, err := v.open(inner, o)
	// Chromium is killed before anything else lets go, and the relay's connections end with it.
	defer func() {
		if v.browser != nil {
			v.browser.kill()
		}
		cancel()
		stop()
		if v.relay != nil {
			v.relay.wait()
		}
	}()
	if err != nil {
		if ctx.Err() != nil {
			return executor.TimedOut(v.result(), "the browser did not start within the time limit")
		}
		return executor.Failed("the browser could not be started: %v", v.cause(err))
	}
	work, enough := context.WithTimeout(inner, share(ctx))
	defer enough()
	v.work = work
	var alive sync.WaitGroup
	alive.Go(func() { v.pulse(inner) })
	defer alive.Wait()
	defer cancel()
	problem := v.navigate()
	if problem == "" {
		problem = v.act()
	}
	return v.conclude(ctx, problem)
}

// share is how much of a call's time is for the page; the rest is for reading it and ending.
func share(ctx context.Context) time.Duration {
	end, ok := ctx.Deadline()
	if !ok {
		return time.Hour
	}
	left := time.Until(end)
	return left - min(max(left/4, 300*time.Millisecond), 4*time.Second)
}

// open starts relay, browser and the tab. stop is to be called in any case.
func (v *visitor) open(ctx context.Context, o Options) (stop func(), err error) {
	stop = func() {}
	if v.relay, err = listen(ctx, o.Dial); err != nil {
		return stop, err
	}
	if v.browser, err = start(o.Chromium, v.relay.address()); err != nil {
		return stop, err
	}
	v.watch = newWatch(v.browser.pipe)
	whole := session{pipe: v.browser.pipe}
	events := true
	whole.tell(browser.SetDownloadBehavior.Method, browser.SetDownloadBehaviorParams{Behavior: browser.SetDownloadBehaviorBehaviorDeny, EventsEnabled: &events})
	// Granting nothing rejects everything else.
	whole.tell("Browser.grantPermissions", map[string]any{"permissions": []string{}})

	allocated, cancel := chromedp.NewAllocatorContext(ctx, started{v.browser.pipe})
	silent := func(string, ...any) {}
	reader, closeTab := chromedp.NewContext(allocated, chromedp.WithLogf(silent), chromedp.WithErrorf(silent))
	stop = func() { closeTab(); cancel() }
	if err := chromedp.Do(reader); err != nil {
		return stop, err
	}
	v.reader = reader
	tab := chromedp.FromContext(reader).Target
	v.tab = session{pipe: v.browser.pipe, id: tab.SessionID}
	v.watch.follow(tab.SessionID, cdp.FrameID(tab.TargetID))
	// What chromedp switches on for its own picture of the page costs the page and floods us.
	v.tab.tell(dom.Disable.Method, cdp.Empty{})
	v.tab.tell(css.Disable.Method, cdp.Empty{})
	v.tab.tell(runtime.Disable.Method, cdp.Empty{})
	v.tab.tell(performance.Enable.Method, performance.EnableParams{})
	v.tab.tell(emulation.SetFocusEmulationEnabled.Method, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	v.tab.tell(target.SetAutoAttach.Method, autoAttach())
	return stop, nil
}

// started is a running browser as a [chromedp.Allocator]. chromedp's own would start it with other
// flags, and as root without its sandbox.
type started struct{ pipe *pipe }

// Allocate returns the browser.
func (s started) Allocate(ctx context.Context, opts ...chromedp.BrowserOption) (*chromedp.Browser, error) {
	return chromedp.NewBrowserTransport(ctx, s.pipe, opts...)
}

// Wait returns at once: the browser is ended by its owner.
func (s started) Wait() {}

// cause says why the browser is not there, by its own words where it had any.
func (v *visitor) cause(err error) error {
	if v.browser == nil {
		return err
	}
	select {
	case <-v.browser.ended:
		if reason := v.browser.said.reason(); reason != "" {
			return fmt.Errorf("%s", clip(reason, 400))
		}
		return errGone
	case <-time.After(100 * time.Millisecond):
		return err
	}
}

// navigate opens the URL and waits for the page. It returns what went wrong, empty when nothing did.
func (v *visitor) navigate() string {
	answered := make(chan error, 1)
	go func() {
		result, err := cdp.Call(v.work, v.tab, page.Navigate, page.NavigateParams{URL: v.job.url.Text})
		if err == nil && result.ErrorText != "" {
			err = netError(result.ErrorText)
		}
		answered <- err // has room
	}()
	// A page may send itself on the moment it has settled.
	calm := v.settle(answered, true)
	for ; calm && v.watch.look().pending(); answered = nil {
		calm = v.settle(nil, true)
	}
	if calm && v.drawnLate() {
		v.settle(nil, true)
	}
	return v.trouble(v.watch.look(), true)
}

// netError is what Chromium calls a failure of the network: net::ERR_….
type netError string

func (e netError) Error() string { return string(e) }

// trouble is what keeps the page that the tab was last sent to from being shown, in one sentence.
func (v *visitor) trouble(s view, first bool) string {
	switch {
	case s.crashed != "":
		return s.crashed
	case v.gone():
		return "the browser ended by itself: " + v.cause(errGone).Error()
	case s.doc.failed == aborted && s.doc.status/100 == 2 && s.doc.status != 204 && s.doc.status != 205:
		for range 10 { // what it is called is said a moment later
			if v.watch.look().download {
				break
			}
			pause(v.work, tick)
		}
		return v.describeFile(s.doc)
	}
	if problem := v.refused(s.doc); problem != "" {
		return problem
	}
	switch {
	case s.doc.failed == aborted && s.doc.status != 0, s.doc.failed == "net::ERR_HTTP_RESPONSE_CODE_FAILURE":
		return fmt.Sprintf("%s has no page: the server answered %d and nothing else", clip(s.doc.url, maxURL), s.doc.status)
	case s.pending():
		return clip(s.doc.url, maxURL) + " did not answer in time"
	case s.doc.failed == aborted && !first:
		return "" // overtaken by another navigation, or stopped by the page
	case s.doc.failed != "":
		return clip(s.doc.url, maxURL) + " could not be opened: " + netWords(s.doc.failed)
	}
	return ""
}

func (v *visitor) gone() bool {
	select {
	case <-v.browser.pipe.gone:
		return true
	default:
		return false
	}
}
