package web

import (
	"net/url"
	"slices"
	"strings"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/target"
)

// traffic takes what happens to requests. Its caller holds w.mu.
func (w *watch) traffic(session target.SessionID, value any) {
	switch e := value.(type) {
	case *network.EventRequestWillBeSent:
		w.asked(session, e)
	case *network.EventResponseReceived:
		w.answered(session, e)
	case *network.EventLoadingFinished:
		if session == w.tab && e.RequestID == w.doc.request {
			w.doc.ended = true
		}
		w.over(request{session, e.RequestID})
	case *network.EventLoadingFailed:
		w.failed(session, e)
	case *network.EventWebSocketCreated:
		// Its refusal is only seen by the relay; here the host is known to be the page's own wish.
		w.wants(e.URL)
	}
}

// asked takes a request, or the next hop of one that was redirected.
func (w *watch) asked(session target.SessionID, e *network.EventRequestWillBeSent) {
	if e.Request == nil || !strings.HasPrefix(e.Request.URL, "http") {
		return // data: and blob: are no requests to anybody
	}
	key := request{session, e.RequestID}
	if len(w.open) < maxOpen {
		stream := e.Type == network.ResourceTypeEventSource || e.Type == network.ResourceTypePing || e.Type == network.ResourceTypeMedia
		w.open[key] = opened{url: clip(e.Request.URL, maxURL), stream: stream}
		if !stream {
			w.changed = w.now()
		}
	}
	if session != w.tab || e.FrameID != w.main || e.Type != network.ResourceTypeDocument {
		return
	}
	acted := w.acting
	if e.RedirectResponse != nil {
		acted = w.doc.acted
		w.hop(e.RedirectResponse.URL)
	} else if w.doc.url != "" && !acted {
		w.hop(w.doc.url) // sent on by a script or a meta element
	}
	w.before = [2]bool{w.ready, w.loaded}
	w.ready, w.loaded = false, false
	w.doc = document{request: e.RequestID, session: session, url: e.Request.URL + e.Request.URLFragment, acted: acted}
}

// act says that an action begins, or that what it began came to rest.
func (w *watch) act(acting bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acting = acting
}

func (w *watch) hop(address string) {
	if len(w.hops) < maxHops {
		w.hops = append(w.hops, clip(address, maxURL))
	}
}

func (w *watch) answered(session target.SessionID, e *network.EventResponseReceived) {
	key := request{session, e.RequestID}
	if entry, ok := w.open[key]; ok && e.Response.MimeType == "text/event-stream" {
		entry.stream = true
		w.open[key] = entry
	}
	if session != w.tab || e.RequestID != w.doc.request {
		return
	}
	if strings.HasPrefix(strings.ToLower(w.doc.url), "http:") {
		// Nothing without encryption leaves: this is what the proxy said, and no page.
		w.doc.failed = "net::ERR_DISALLOWED_URL_SCHEME"
		return
	}
	w.doc.status = int(e.Response.Status)
	w.doc.mime = e.Response.MimeType
	w.doc.refresh = headerOf(e.Response.Headers, "Refresh")
	w.doc.length = headerOf(e.Response.Headers, "Content-Length")
}

func headerOf(headers network.Headers, name string) string {
	for key, value := range headers {
		if strings.EqualFold(key, name) {
			if text, ok := any(value).(string); ok {
				return text
			}
		}
	}
	return ""
}

func (w *watch) failed(session target.SessionID, e *network.EventLoadingFailed) {
	key := request{session, e.RequestID}
	entry, known := w.open[key]
	if session == w.tab && e.RequestID == w.doc.request {
		w.doc.ended = true
		w.doc.failed = e.ErrorText
		if e.ErrorText == aborted { // the page before stays
			w.ready, w.loaded = w.before[0], w.before[1]
		}
	} else if known {
		switch {
		case e.BlockedReason == network.BlockedReasonMixedContent:
			w.count(w.mixed, entry.url)
		case refusedByProxy(e.ErrorText):
			w.wants(entry.url)
		case strings.HasPrefix(e.ErrorText, "net::ERR_CERT_"):
			w.note(hostOf(entry.url) + " was not asked: " + netWords(e.ErrorText))
		}
	}
	w.over(key)
}

// aborted is how a navigation ends that was overtaken, or whose answer is no page.
const aborted = "net::ERR_ABORTED"

// refusedByProxy reports whether a request ended because the proxy opened no tunnel.
func refusedByProxy(netError string) bool {
	return slices.Contains([]string{"net::ERR_TUNNEL_CONNECTION_FAILED", "net::ERR_PROXY_CONNECTION_FAILED", "net::ERR_EMPTY_RESPONSE"}, netError)
}

func (w *watch) over(key request) {
	if entry, ok := w.open[key]; ok {
		delete(w.open, key)
		if !entry.stream {
			w.changed = w.now()
		}
	}
}

func (w *watch) wants(address string) { w.count(w.wanted, address) }

func (w *watch) count(where map[string]int, address string) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if _, ok := where[host]; ok || len(where) < maxHosts {
		where[host]++
	}
}

// view is what decides whether to wait on.
type view struct {
	doc      document
	url      string
	loads    int
	ready    bool
	loaded   bool
	strayed  bool
	busy     int // requests under way, without those that never end
	crashed  string
	dialogs  int
	windows  int
	lastOpen string
	download bool
	quiet    int64 // milliseconds since busy changed
}

// pending reports whether the tab was sent somewhere and has no answer from there.
func (v view) pending() bool { return v.doc.url != "" && v.doc.status == 0 && v.doc.failed == "" }

func (w *watch) look() view {
	w.mu.Lock()
	defer w.mu.Unlock()
	v := view{
		doc: w.doc, url: w.url, loads: w.loads, ready: w.ready, loaded: w.loaded, strayed: w.strayed, crashed: w.crashed,
		dialogs: w.dialogs, windows: w.windows, lastOpen: w.lastOpen, download: w.download != nil,
		quiet: w.now().Sub(w.changed).Milliseconds(),
	}
	for _, o := range w.open {
		if !o.stream {
			v.busy++
		}
	}
	return v
}
