package web

import (
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/inspector"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

const (
	maxOpen     = 4096 // requests that are followed at once
	maxHosts    = 1000 // hosts that are counted
	maxChildren = 200  // frames and workers that are looked into
	maxHops     = 20
	maxNotes    = 20
	// maxDialogs is how many dialogs a page may open before its scripts are stopped each time.
	maxDialogs = 20
)

// watched are the kinds of events that a watch looks at.
var watched = map[string]bool{
	"Browser.downloadWillBegin":     true,
	"Inspector.targetCrashed":       true,
	"Log.entryAdded":                true,
	"Network.loadingFailed":         true,
	"Network.loadingFinished":       true,
	"Network.requestWillBeSent":     true,
	"Network.responseReceived":      true,
	"Network.webSocketCreated":      true,
	"Page.domContentEventFired":     true,
	"Page.frameNavigated":           true,
	"Page.frameRequestedNavigation": true,
	"Page.javascriptDialogOpening":  true,
	"Page.loadEventFired":           true,
	"Page.navigatedWithinDocument":  true,
	"Page.windowOpen":               true,
	"Target.attachedToTarget":       true,
	"Target.targetCreated":          true,
	"Target.targetCrashed":          true,
	"Target.detachedFromTarget":     true,
}

// document is what is known of the page in the tab: the answer to its request, or why there is none.
type document struct {
	request network.RequestID
	session target.SessionID
	url     string
	status  int
	mime    string
	length  string // as the server said it
	refresh string // that it wants to be left, and when
	failed  string // net::ERR_…
	ended   bool   // the request is over
	acted   bool   // an action asked for it, or for what redirected to it
}

// watch follows what the browser says about one tab. It reacts at once to what would stop a page for
// ever (dialogs) or start a second one (windows).
type watch struct {
	pipe *pipe
	tab  target.SessionID
	main cdp.FrameID
	now  func() time.Time
	news chan struct{} // something came that a page may have been waited for

	mu       sync.Mutex
	doc      document
	acting   bool     // an action is under way: where it leads is no redirect
	hops     []string // URLs that the tab was sent away from, in order
	url      string   // of what the tab shows
	loads    int      // documents that were shown
	ready    bool     // the document is parsed
	loaded   bool     // and everything it named
	strayed  bool     // it wanted to go where there are no pages, after which it may never be told as loaded
	before   [2]bool  // these two of the page that a navigation under way leaves
	open     map[request]opened
	changed  time.Time // of open
	wanted   map[string]int
	mixed    map[string]int // requests without encryption, by host
	children map[target.SessionID]target.ID
	dialogs  int
	windows  int
	lastOpen string // URL of the last window that was refused
	download *browser.EventDownloadWillBegin
	crashed  string
	notes    []string
}

// request names one request: numbers are unique within a target.
type request struct {
	session target.SessionID
	id      network.RequestID
}

type opened struct {
	url    string
	stream bool // never ends by itself
}

// newWatch returns a watch that hears everything from now on. follow tells it which tab.
func newWatch(p *pipe) *watch {
	w := &watch{
		pipe: p, now: time.Now, news: make(chan struct{}, 1), open: make(map[request]opened), wanted: make(map[string]int),
		mixed: make(map[string]int), children: make(map[target.SessionID]target.ID),
	}
	p.hear(watched, w.event)
	return w
}

func (w *watch) follow(tab target.SessionID, main cdp.FrameID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tab, w.main = tab, main
}

// event takes one event. It runs on the goroutine that reads from the browser.
func (w *watch) event(method string, m *cdproto.Message) {
	value, err := cdproto.UnmarshalMessage(m, chromedp.DefaultUnmarshalOptions)
	if err != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.stage()
	defer func() {
		if w.stage() != before {
			select {
			case w.news <- struct{}{}:
			default: // nobody has looked since the last
			}
		}
	}()
	switch e := value.(type) {
	case *network.EventRequestWillBeSent, *network.EventResponseReceived, *network.EventLoadingFinished,
		*network.EventLoadingFailed, *network.EventWebSocketCreated:
		w.traffic(m.SessionID, e)
	case *target.EventAttachedToTarget:
		w.attached(m.SessionID, e)
	case *target.EventDetachedFromTarget:
		w.detached(e.SessionID)
	case *target.EventTargetCreated:
		w.created(e.TargetInfo)
	case *target.EventTargetCrashed:
		if e.TargetID == target.ID(w.main) {
			w.crashed = "the page made its process crash"
			if e.Status == "oom" || e.Status == "killed" {
				w.crashed = "the page took more memory than there is"
			}
		}
	case *inspector.EventTargetCrashed:
		if m.SessionID == w.tab && w.crashed == "" {
			w.crashed = "the page made its process crash"
		}
	case *browser.EventDownloadWillBegin:
		if e.FrameID == w.main {
			w.download = e
		}
		w.note("a download was refused: " + quote(e.SuggestedFilename, 100) + " from " + hostOf(e.URL))
	case *log.EventEntryAdded:
		w.logged(e.Entry)
	default:
		w.pageEvent(m.SessionID, value)
	}
}

// stage is how far the page has come: who waits for it looks again when this changes, which is at most as
// often as requests of the page begin and end. Its caller holds w.mu.
func (w *watch) stage() [4]bool {
	return [4]bool{w.ready, w.loaded, w.doc.status != 0 || w.doc.failed != "", w.loaded && len(w.open) == 0}
}

// pageEvent takes what happens to documents.
func (w *watch) pageEvent(session target.SessionID, value any) {
	switch e := value.(type) {
	case *page.EventJavascriptDialogOpening:
		w.dialog(session, e)
	case *page.EventWindowOpen:
		w.window(e.URL)
	case *page.EventFrameRequestedNavigation:
		w.requested(e)
	case *page.EventFrameNavigated:
		if e.Frame.ParentID == "" && session == w.tab {
			w.loads++
			// A page that comes back as it was left is whole, and will not be loaded again.
			whole := e.Type == page.NavigationTypeBackForwardCacheRestore
			w.ready, w.loaded, w.strayed = whole, whole, false
			w.url = e.Frame.URL + e.Frame.URLFragment
			if e.Frame.UnreachableURL != "" {
				w.url = e.Frame.UnreachableURL
			}
			w.changed = w.now()
			w.forget(session) // requests of the page before are over, said or not
		}
	case *page.EventNavigatedWithinDocument:
		if e.FrameID == w.main {
			w.url = e.URL
		}
	case *page.EventDomContentEventFired:
		if session == w.tab {
			w.ready = true
		}
	case *page.EventLoadEventFired:
		if session == w.tab {
			w.ready, w.loaded = true, true
		}
	}
}

// dialog dismisses it: the page stands still until somebody does.
func (w *watch) dialog(from target.SessionID, e *page.EventJavascriptDialogOpening) {
	s := session{w.pipe, from}
	// Leaving a page is never stopped by the page.
	s.tell(page.HandleJavaScriptDialog.Method, page.HandleJavaScriptDialogParams{Accept: e.Type == page.DialogTypeBeforeunload})
	w.dialogs++
	switch {
	case w.dialogs == 1:
		w.note("a dialog (" + clip(string(e.Type), 20) + ") was dismissed: " + quote(e.Message, 200))
	case w.dialogs > maxDialogs:
		// A loop of dialogs is a page that never gets anywhere, and neither would we.
		s.tell(runtime.TerminateExecution.Method, cdp.Empty{})
	}
}

// window notes a second page that was not opened.
func (w *watch) window(address string) {
	w.windows++
	w.lastOpen = address
	if w.windows <= 5 {
		w.note("a new window was refused; call browse_web with its URL to see it: " + clip(address, maxURL))
	}
}

// requested notes navigations that Chromium refuses by itself, without a request.
func (w *watch) requested(e *page.EventFrameRequestedNavigation) {
	if scheme, _, ok := strings.Cut(e.URL, ":"); ok && e.FrameID == w.main {
		switch strings.ToLower(scheme) {
		case "https", "http", "about", "blob", "javascript":
		default:
			w.strayed = true
			w.note("the page wanted to go to a " + clip(scheme, 30) + ": address, which was refused")
		}
	}
}

// logged notes the navigations that end in the browser's own refusal.
func (w *watch) logged(e *log.Entry) {
	if strings.HasPrefix(e.Text, "Not allowed to ") {
		w.note("the browser refused: " + quote(e.Text, 200))
	}
}

// created closes every second page. Chromium is told to open none, so this is for what slips through.
func (w *watch) created(info *target.Info) {
	if info == nil || info.Type != "page" || w.main == "" || info.TargetID == target.ID(w.main) || info.OpenerID == "" {
		return
	}
	session{pipe: w.pipe}.tell(target.CommandCloseTarget, target.CloseTargetParams{TargetID: info.TargetID})
	if info.URL != "" && info.URL != "about:blank" {
		w.window(info.URL)
	}
}

// attached looks into a frame of another process or a worker, and lets it go on.
func (w *watch) attached(from target.SessionID, e *target.EventAttachedToTarget) {
	if from == "" || e.TargetInfo == nil {
		return // attached by hand, for reading
	}
	child := session{w.pipe, e.SessionID}
	if len(w.children) < maxChildren {
		w.children[e.SessionID] = e.TargetInfo.TargetID
		child.tell(network.Enable.Method, network.EnableParams{})
		if e.TargetInfo.Type == "iframe" {
			child.tell(page.Enable.Method, page.EnableParams{})
		}
		child.tell(target.SetAutoAttach.Method, autoAttach())
	}
	child.tell(runtime.RunIfWaitingForDebugger.Method, cdp.Empty{})
}

// child is the session of a frame that another process draws.
func (w *watch) child(id target.ID) (target.SessionID, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for session, of := range w.children {
		if of == id {
			return session, true
		}
	}
	return "", false
}

func (w *watch) detached(session target.SessionID) {
	delete(w.children, session)
	w.forget(session)
}

// forget drops the open requests of one target.
func (w *watch) forget(session target.SessionID) {
	for r := range w.open {
		if r.session == session && (session != w.tab || r.id != w.doc.request) {
			delete(w.open, r)
			w.changed = w.now()
		}
	}
}

// note keeps one sentence about what else happened, once.
func (w *watch) note(text string) {
	if len(w.notes) >= maxNotes {
		return
	}
	for _, n := range w.notes {
		if n == text {
			return
		}
	}
	w.notes = append(w.notes, text)
}

func autoAttach() target.SetAutoAttachParams {
	flat := true
	return target.SetAutoAttachParams{AutoAttach: true, WaitForDebuggerOnStart: true, Flatten: &flat}
}

// hostOf is the host of a URL for people to read.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		scheme, _, _ := strings.Cut(address, ":")
		return "a " + clip(scheme, 20) + ": address"
	}
	return clip(strings.ToLower(u.Hostname()), 253)
}
