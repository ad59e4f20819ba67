package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/css"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// errIdle is for a connection that is asked for before there is a call: nobody said where it may lead.
var errIdle = errors.New("no call has begun")

// window is a running browser with one blank tab that a call has only to send somewhere.
type window struct {
	relay   *relay
	browser *chromium
	watch   *watch
	tab     session
	reader  context.Context // the tab as package snapshot wants it

	called atomic.Bool // the call has come: only then the relay carries connections
	end    func()      // ends relay and tab
}

// open starts relay, browser and the tab, and returns when the tab waits for its page, or soon after ctx
// ended. With an error the window has what there was until then, for [window.cause]; close it in any case.
func open(ctx context.Context, o Options) (*window, error) {
	if ctx.Err() != nil {
		return &window{end: func() {}}, ctx.Err()
	}
	w := &window{}
	lives, end := context.WithCancel(context.WithoutCancel(ctx)) // longer than its opening
	closeTab := func() {}
	w.end = func() { end(); closeTab() }
	opened := context.AfterFunc(ctx, end)
	defer opened()

	var err error
	if w.relay, err = listen(lives, func(ctx context.Context) (net.Conn, error) {
		if !w.called.Load() {
			return nil, errIdle
		}
		return o.Dial(ctx)
	}); err != nil {
		return w, err
	}
	if w.browser, err = start(o.Chromium, w.relay.address()); err != nil {
		return w, err
	}
	w.watch = newWatch(w.browser.pipe)
	whole := session{pipe: w.browser.pipe}
	events := true
	whole.tell(browser.SetDownloadBehavior.Method, browser.SetDownloadBehaviorParams{Behavior: browser.SetDownloadBehaviorBehaviorDeny, EventsEnabled: &events})
	// Granting nothing rejects everything else.
	whole.tell("Browser.grantPermissions", map[string]any{"permissions": []string{}})

	allocated, release := chromedp.NewAllocatorContext(lives, started{w.browser.pipe})
	silent := func(string, ...any) {}
	reader, closeReader := chromedp.NewContext(allocated, chromedp.WithLogf(silent), chromedp.WithErrorf(silent))
	closeTab = func() { closeReader(); release() }
	if err := chromedp.Do(reader); err != nil {
		return w, err
	}
	w.reader = reader
	tab := chromedp.FromContext(reader).Target
	w.tab = session{pipe: w.browser.pipe, id: tab.SessionID}
	w.watch.follow(tab.SessionID, cdp.FrameID(tab.TargetID))
	// What chromedp switches on for its own picture of the page costs the page and floods us.
	w.tab.tell(dom.Disable.Method, cdp.Empty{})
	w.tab.tell(css.Disable.Method, cdp.Empty{})
	w.tab.tell(runtime.Disable.Method, cdp.Empty{})
	w.tab.tell(performance.Enable.Method, performance.EnableParams{})
	w.tab.tell(emulation.SetFocusEmulationEnabled.Method, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	// Commands are done in order: with this answer all of the above is.
	if err := w.tab.Call(lives, target.SetAutoAttach.Method, autoAttach(), nil); err != nil {
		return w, err
	}
	if !opened() {
		return w, ctx.Err() // it ended just now, and the window with it
	}
	return w, nil
}

// close kills the browser and returns when nothing of the window runs. Chromium goes before anything
// else lets go, and the relay's connections end with it.
func (w *window) close() {
	if w.browser != nil {
		w.browser.kill()
	}
	w.end()
	if w.relay != nil {
		w.relay.wait()
	}
}

// leave is close for the last thing that a process does. As process 1 it is rid of the browser at once.
func (w *window) leave() {
	if w.browser != nil && os.Getpid() == 1 {
		w.browser.freeze()
	}
	w.close()
}

// usable reports whether browser and tab are still there, as far as is known without asking.
func (w *window) usable() bool {
	return !w.gone() && !w.browser.hasEnded() && w.watch.look().crashed == ""
}

func (w *window) gone() bool {
	select {
	case <-w.browser.pipe.gone:
		return true
	default:
		return false
	}
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
func (w *window) cause(err error) error {
	if w.browser == nil {
		return err
	}
	select {
	case <-w.browser.ended:
		if reason := w.browser.said.reason(); reason != "" {
			return fmt.Errorf("%s", clip(reason, 400))
		}
		return errGone
	case <-time.After(100 * time.Millisecond):
		return err
	}
}
