package web

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/target"

	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/executor/web/internal/snapshot"
	"github.com/secureclaw/secureclaw/internal/run"
)

const (
	maxTitle   = 300
	maxLine    = 600 // bytes of a note or of what an action did
	maxBlocked = 30
	besides    = 4000 // bytes of the tree next to a picture
	ending     = 150 * time.Millisecond
)

// conclude reads the page and makes the answer. problem is what went wrong before.
func (v *visitor) conclude(ctx context.Context, problem string) executor.Answer {
	late := v.work.Err() != nil
	result := v.result()
	s := v.watch.look()
	readable := s.crashed == "" && !v.gone() && s.loads > 0 && (problem == "" || s.doc.failed == "" && v.refused(s.doc) == "")
	if readable {
		if err := v.read(ctx, result); err != nil {
			v.watch.say("the page could not be read: " + clip(err.Error(), 200))
			if problem == "" && !late {
				problem = "the page could not be read: " + clip(err.Error(), 200)
			}
		}
		v.summarize(result)
	}
	switch {
	case late && s.pending():
		return executor.TimedOut(result, "%s", problem)
	case problem == "" && late:
		return executor.TimedOut(result, "the page was not done within the time limit; this is what there was")
	case problem == "":
		return executor.Done(result)
	}
	answer := executor.Failed("%s", problem)
	answer.Value = result
	return answer
}

// read fills in title and content.
func (v *visitor) read(ctx context.Context, result *run.BrowseResult) error {
	end, ok := ctx.Deadline()
	if !ok {
		end = time.Now().Add(time.Minute)
	}
	reader, cancel := context.WithDeadline(v.reader, end.Add(-ending))
	defer cancel()
	if info, err := cdp.Call(reader, session{pipe: v.tab.pipe}, target.GetTargetInfo, target.GetTargetInfoParams{
		TargetID: target.ID(v.watch.main),
	}); err == nil && info.TargetInfo != nil {
		result.Title = snapshot.Clean(info.TargetInfo.Title, maxTitle)
	}
	if v.page == nil {
		read, err := snapshot.Read(reader)
		if err != nil && reader.Err() == nil {
			v.interrupt()
			read, err = snapshot.Read(reader)
		}
		if err != nil {
			return err
		}
		v.page = read
	}
	content := v.page.Tree
	limit := v.job.bytes
	switch v.job.extract {
	case run.ExtractText:
		content = v.page.Text
	case run.ExtractLinks:
		content = v.page.Links
	case run.ExtractScreenshot:
		limit = min(limit, besides)
		picture, err := snapshot.Screenshot(reader)
		if err != nil {
			result.Content = fit(content, limit, v.job.chars)
			return fmt.Errorf("no picture could be taken: %w", err)
		}
		result.Image = picture
	}
	result.Content = fit(content, limit, v.job.chars)
	if result.Content.Text == "" {
		v.watch.say(nothing(v.job.extract))
	}
	return nil
}

// nothing says that a page showed nothing, and what may help.
func nothing(extract string) string {
	switch extract {
	case run.ExtractLinks:
		return "the page has no link"
	case run.ExtractScreenshot:
		return "the page has no text and nothing to act on besides the picture"
	}
	return "the page shows no text and nothing to act on; if a script draws it later, open it again with a wait action"
}

// fit asks for as much as limit bytes and chars characters hold; no chars means any number.
func fit(content func(int) run.Text, limit, chars int) run.Text {
	if chars <= 0 {
		return content(limit)
	}
	bytes := min(limit, utf8.UTFMax*chars)
	text := content(bytes)
	for n := utf8.RuneCountInString(text.Text); n > chars && bytes > 0; n = utf8.RuneCountInString(text.Text) {
		bytes = min(bytes-1, bytes*chars/n)
		text = content(bytes)
	}
	return text
}

// result is what there is without the page's content.
func (v *visitor) result() *run.BrowseResult {
	result := &run.BrowseResult{URL: v.job.url.Text}
	if v.watch != nil {
		v.summarize(result)
	}
	return result
}

// summarize fills in all that was watched.
func (v *visitor) summarize(result *run.BrowseResult) {
	w := v.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	result.URL = snapshot.Clean(cmp.Or(w.doc.urlIfFailed(), w.shown(), v.job.url.Text), maxURL)
	result.Status = w.doc.status
	result.Redirects, result.Notes, result.Actions = nil, nil, nil
	for _, hop := range w.hops {
		result.Redirects = append(result.Redirects, snapshot.Clean(hop, maxURL))
	}
	for _, line := range v.done {
		result.Actions = append(result.Actions, snapshot.Clean(line, maxLine))
	}
	notes := slices.Clone(w.notes)
	if w.dialogs > 1 {
		notes = append(notes, fmt.Sprintf("%d dialogs were dismissed in all", w.dialogs))
	}
	if w.windows > 1 {
		notes = append(notes, fmt.Sprintf("%d new windows were refused in all", w.windows))
	}
	for _, note := range notes {
		result.Notes = append(result.Notes, snapshot.Clean(note, maxLine+maxURL))
	}
	var more int
	if result.Blocked, more = v.blocked(); more > 0 {
		result.Notes = append(result.Notes, fmt.Sprintf("%d more hosts were refused", more))
	}
}

// shown is the URL of what the tab shows, empty before the first page.
func (w *watch) shown() string {
	if w.loads == 0 || w.url == "about:blank" {
		return ""
	}
	return w.url
}

// urlIfFailed is where the tab was sent when nothing came of it.
func (d document) urlIfFailed() string {
	if d.failed != "" && d.failed != aborted {
		return d.url
	}
	return ""
}

// own are hosts that Chromium asks for by itself where no policy forbids it. The runner refuses and
// counts them; they are not what the page wanted.
var own = map[string]bool{"accounts.google.com": true, "clients2.google.com": true, "update.googleapis.com": true}

// blocked lists the hosts that the page wanted in vain. Its caller holds watch.mu.
func (v *visitor) blocked() (_ []run.Blocked, more int) {
	all := make(map[string]run.Blocked)
	v.relay.mu.Lock()
	for host, r := range v.relay.refused {
		if own[host] && v.watch.wanted[host] == 0 {
			continue
		}
		all[host] = run.Blocked{Host: host, Count: r.count, Code: r.code, Why: whyOf(r.code)}
	}
	v.relay.mu.Unlock()
	for host, n := range v.watch.wanted {
		if entry, ok := all[host]; ok {
			entry.Count = max(entry.Count, n)
			all[host] = entry
		}
	}
	for host, n := range v.watch.mixed {
		if entry, ok := all[host]; ok {
			entry.Count += n
			all[host] = entry
		} else {
			all[host] = run.Blocked{Host: host, Count: n, Code: "scheme", Why: whyOf("scheme")}
		}
	}
	list := make([]run.Blocked, 0, len(all))
	for _, entry := range all {
		entry.Host = snapshot.Clean(entry.Host, 253)
		list = append(list, entry)
	}
	slices.SortFunc(list, func(a, b run.Blocked) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Host, b.Host))
	})
	more = max(0, len(list)-maxBlocked)
	return list[:len(list)-more], more
}
