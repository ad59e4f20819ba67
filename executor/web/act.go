package web

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"

	"github.com/secureclaw/secureclaw/executor/web/internal/snapshot"
	"github.com/secureclaw/secureclaw/internal/run"
)

const (
	// maxAct is how long one action may take before the page counts as stuck.
	maxAct = 10 * time.Second
	// untilText is how long a text is waited for when no seconds are given.
	untilText = 10 * time.Second
	// reaction is the time a page gets to begin with what an action makes it do.
	reaction = 50 * time.Millisecond
)

// act does the actions in order, up to the first that fails. It returns what went wrong.
func (v *visitor) act() string {
	for i, a := range v.job.actions {
		if v.page == nil {
			ctx, cancel := context.WithTimeout(v.reader, time.Until(deadlineOf(v.work)))
			read, err := snapshot.Read(ctx)
			cancel()
			if err != nil {
				return v.failAction(i, a, fmt.Errorf("the page could not be read: %w", err))
			}
			v.page = read
		}
		before := v.watch.look()
		limit := maxAct + time.Duration(a.Seconds)*time.Second
		if a.Do == run.DoWait && a.Seconds == 0 {
			limit += untilText // so that it says itself what did not come
		}
		ctx, cancel := context.WithTimeout(v.work, limit)
		v.watch.act(true)
		did, err := v.do(ctx, a)
		cancel()
		v.page = nil
		if err != nil {
			return v.failAction(i, a, err)
		}
		pause(v.work, reaction)
		for calm := v.settle(nil, false); calm && v.watch.look().pending(); {
			calm = v.settle(nil, false)
		}
		v.watch.act(false)
		after := v.watch.look()
		v.done = append(v.done, did+effect(before, after))
		if after.doc.request != before.doc.request || after.crashed != "" || v.gone() {
			if problem := v.trouble(after, false); problem != "" {
				return fmt.Sprintf("action %d (%s): %s", i+1, did, problem)
			}
		}
		if v.work.Err() != nil && i+1 < len(v.job.actions) {
			v.done = append(v.done, fmt.Sprintf("%d more actions were not done: no time was left", len(v.job.actions)-i-1))
			return ""
		}
	}
	return ""
}

// failAction notes that an action was not done. One that the deadline cut is no failure of its own.
func (v *visitor) failAction(i int, a run.BrowseAction, err error) string {
	name := a.Do
	if a.Ref != "" {
		name += " " + clip(a.Ref, 100)
	}
	switch {
	case v.work.Err() != nil:
		v.done = append(v.done, name+": no time was left")
		return ""
	case v.gone() || v.watch.look().crashed != "":
		v.done = append(v.done, name+": the page ended")
		return v.trouble(v.watch.look(), false)
	case errors.Is(err, context.DeadlineExceeded):
		err = errors.New("the page did not react")
	}
	v.done = append(v.done, name+": "+err.Error())
	if rest := len(v.job.actions) - i - 1; rest > 0 {
		v.done = append(v.done, fmt.Sprintf("%d more actions were not done", rest))
	}
	return fmt.Sprintf("action %d (%s): %v", i+1, name, err)
}

// effect says what an action changed besides the page's content.
func effect(before, after view) string {
	var b strings.Builder
	if after.doc.urlIfFailed() != "" {
		// What went wrong is said by itself.
	} else if after.url != before.url && after.url != "" {
		b.WriteString("; the page is now " + clip(after.url, 300))
	} else if after.loads != before.loads {
		b.WriteString("; the page was loaded again")
	}
	if after.windows > before.windows {
		b.WriteString("; it wanted to open a new window, which was refused: call browse_web with " + clip(after.lastOpen, 300))
	}
	if after.dialogs > before.dialogs {
		b.WriteString("; a dialog was dismissed")
	}
	if after.download && !before.download {
		b.WriteString("; it wanted to download a file, which was refused")
	}
	return b.String()
}

func deadlineOf(ctx context.Context) time.Time {
	if end, ok := ctx.Deadline(); ok {
		return end
	}
	return time.Now().Add(time.Minute)
}

// do does one action and says what it did.
func (v *visitor) do(ctx context.Context, a run.BrowseAction) (string, error) {
	switch a.Do {
	case run.DoScroll:
		if a.Ref == "" {
			return v.scrollPage(ctx, a.Text)
		}
	case run.DoWait:
		return v.wait(ctx, a)
	case run.DoBack:
		return v.back(ctx)
	case run.DoPress:
		if a.Ref == "" {
			return v.press(ctx, nil, a.Text)
		}
	}
	e, err := v.element(ctx, a.Ref)
	if err != nil {
		return "", err
	}
	switch a.Do {
	case run.DoClick:
		return v.click(ctx, e)
	case run.DoType:
		return v.typeText(ctx, e, a.Text)
	case run.DoSelect:
		return v.choose(ctx, e, a.Text)
	case run.DoScroll:
		if err := e.scrollIntoView(ctx); err != nil {
			return "", err
		}
		return "scrolled to " + e.name, nil
	default:
		return v.press(ctx, e, a.Text)
	}
}

// scrolls are what the text of a scroll may be, as a function of the page.
var scrolls = map[string]string{"down": "by(1)", "up": "by(-1)", "top": "to(0)", "bottom": "to(1)"}

// scrollScript moves the page, or the largest part of it that scrolls where the page itself does not.
const scrollScript = `(() => {
	const root = document.scrollingElement || document.documentElement;
	const scrolls = e => e.scrollHeight > e.clientHeight + 1 && (e === root || /auto|scroll|overlay/.test(getComputedStyle(e).overflowY));
	let e = root;
	if (!scrolls(root)) {
		e = null;
		for (let at = document.elementFromPoint(innerWidth / 2, innerHeight / 2); at; at = at.parentElement)
			if (scrolls(at)) { e = at; break; }
	}
	if (!e) return -1;
	const by = n => e.scrollBy({top: n * 0.9 * Math.min(e.clientHeight, innerHeight), behavior: 'instant'});
	const to = n => e.scrollTo({top: n * e.scrollHeight, behavior: 'instant'});
	%s;
	const room = e.scrollHeight - Math.min(e.clientHeight, e === root ? innerHeight : e.clientHeight);
	return room <= 0 ? 100 : Math.round(100 * e.scrollTop / room);
})()`

func (v *visitor) scrollPage(ctx context.Context, where string) (string, error) {
	percent, err := evaluate[int](ctx, v.tab, fmt.Sprintf(scrollScript, scrolls[where]))
	switch {
	case err != nil:
		return "", err
	case percent < 0:
		return "did not scroll: the page has no more than what is shown", nil
	}
	return fmt.Sprintf("scrolled %s; the page stands at %d %% of its length", where, min(percent, 100)), nil
}

// evaluate runs a script of ours in the page.
func evaluate[T any](ctx context.Context, s session, script string) (T, error) {
	var zero T
	byValue := true
	result, err := cdp.Call(ctx, s, runtime.Evaluate, runtime.EvaluateParams{Expression: script, ReturnByValue: &byValue})
	if err != nil {
		return zero, err
	}
	return valueOf[T](result.Result, result.ExceptionDetails)
}

// wait waits for a time, or until a text can be read on the page.
func (v *visitor) wait(ctx context.Context, a run.BrowseAction) (string, error) {
	limit := time.Duration(a.Seconds) * time.Second
	if a.Text == "" {
		pause(ctx, limit)
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return fmt.Sprintf("waited %d s", a.Seconds), nil
	}
	if limit == 0 {
		limit = untilText
	}
	began := time.Now()
	for {
		reader, cancel := context.WithDeadline(v.reader, deadlineOf(ctx))
		read, err := snapshot.Read(reader)
		cancel()
		if err == nil && strings.Contains(fold(read.Text(1<<20).Text), fold(a.Text)) {
			return fmt.Sprintf("waited %.1f s until the text appeared", time.Since(began).Seconds()), nil
		}
		if ctx.Err() != nil || v.gone() {
			return "", cmpErr(ctx.Err(), errGone)
		}
		if time.Since(began) >= limit {
			return "", fmt.Errorf("the text %s did not appear within %v", quote(a.Text, 100), limit)
		}
		pause(ctx, 200*time.Millisecond)
	}
}

func cmpErr(first, second error) error {
	if first != nil {
		return first
	}
	return second
}

// fold makes texts that look alike equal: white space and capital letters.
func fold(text string) string { return strings.ToLower(strings.Join(strings.Fields(text), " ")) }

func (v *visitor) back(ctx context.Context) (string, error) {
	history, err := cdp.Call(ctx, v.tab, page.GetNavigationHistory, cdp.Empty{})
	if err != nil {
		return "", err
	}
	before := history.CurrentIndex - 1
	if before < 0 || int(before) >= len(history.Entries) || history.Entries[before].URL == "about:blank" {
		return "", errors.New("there is no page before this one")
	}
	_, err = cdp.Call(ctx, v.tab, page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: history.Entries[before].ID})
	if err != nil {
		return "", err
	}
	// It is on its way before there is a request, and there may be none at all.
	for loads := v.watch.look().loads; ctx.Err() == nil && v.watch.look().loads == loads && v.watch.look().url != history.Entries[before].URL; {
		pause(ctx, tick)
		if s := v.watch.look(); s.doc.failed != "" {
			break
		}
	}
	return "went back", nil
}
