package web

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"

	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/executor/web/internal/snapshot"
)

// visitor is one call under way.
type visitor struct {
	*window
	job    job
	reader context.Context // the window's, ends with the call
	work   context.Context // ends early enough to hand over what there is

	done []string       // what the actions did
	page *snapshot.Page // what refs are looked up in
}

// visit opens the page, does the actions and hands over what is then to be seen.
func (b *Browser) visit(ctx context.Context, j job) executor.Answer {
	w, err := b.take(ctx)
	if errors.Is(err, errTaken) {
		return executor.Refused("%v", err)
	}
	defer w.leave()
	v := &visitor{window: w, job: j}
	if err != nil {
		if ctx.Err() != nil {
			return executor.TimedOut(v.result(), "the browser did not start within the time limit")
		}
		return executor.Failed("the browser could not be started: %v", v.cause(err))
	}
	reader, cancel := context.WithCancel(w.reader)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	v.reader = reader
	work, enough := context.WithTimeout(ctx, share(ctx))
	defer enough()
	v.work = work
	var alive sync.WaitGroup
	alive.Go(func() { v.pulse(reader) })
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
