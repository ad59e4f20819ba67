// Package web drives Chromium for one call of browse_web.
//
// It promises an answer by the call's deadline with what there is until then: the page as text that
// [snapshot] makes of it, and sentences about all that a page did besides. Dialogs are dismissed,
// downloads, new windows and permissions refused; a page that never settles, floods, loops or crashes
// is a result and not a hang. Chromium runs with its own sandbox, a fresh profile and an environment
// of its own, is spoken to over two pipes, and does nothing any more when the call returns: it is dead with
// all its processes, or, in a container, stopped until process 1 ends and they with it.
//
// It refuses a URL that package domain does not read, and actions that cannot be meant. What may be
// reached is not decided here: Chromium's proxy is a relay that carries bytes to [Options].Dial, and
// the program at its other end decides. No flag of Chromium is part of that wall.
//
// Chromium may be started before the call is known, by [Browser.Prepare]. It then knows nothing of it,
// reaches nothing, and serves that one call.
//
// The entry point is [New].
package web

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/internal/domain"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// browse is the tool.
func (b *Browser) browse(ctx context.Context, call executor.Call) executor.Answer {
	if b.options.Dial == nil || b.options.Chromium == "" {
		return executor.Refused("%v", errNoWay)
	}
	j, err := newJob(call)
	if err != nil {
		return executor.AnswerTo(err)
	}
	return b.visit(ctx, j)
}

// job is a checked call.
type job struct {
	url     domain.URL
	actions []run.BrowseAction
	extract string
	chars   int // of the content, 0: no limit but bytes
	bytes   int
	allowed domain.List
}

// newJob reads the input of a call; its error says what is wrong with it.
func newJob(call executor.Call) (job, error) {
	var in run.Browse
	if err := strict.Decode(call.Input, &in); err != nil {
		return job{}, executor.Refuse("the arguments cannot be read: %v", err)
	}
	j := job{actions: in.Actions, extract: in.Extract, chars: in.MaxChars, bytes: call.Cap}
	var err error
	if j.url, err = domain.ParseURL(in.URL); err != nil {
		return job{}, executor.Refuse("%v (%s)", err, domain.CodeOf(err))
	}
	if j.allowed, err = domain.ParseList(call.Domains); err != nil {
		return job{}, executor.Refuse("the token's list of names cannot be read: %v", err)
	}
	if !slices.Contains([]string{run.ExtractTree, run.ExtractText, run.ExtractLinks, run.ExtractScreenshot}, in.Extract) {
		return job{}, executor.Refuse("extract is %.40q, want tree, text, links or screenshot", in.Extract)
	}
	if in.MaxChars < 0 {
		return job{}, executor.Refuse("max_chars is %d, want 0 or more", in.MaxChars)
	}
	if len(in.Actions) > run.MaxActions {
		return job{}, executor.Refuse("there are %d actions, the most is %d", len(in.Actions), run.MaxActions)
	}
	for i, a := range in.Actions {
		if err := checkAction(a); err != nil {
			return job{}, executor.Refuse("action %d: %v", i+1, err)
		}
	}
	return j, nil
}

// maxWait is the most seconds of one action.
const maxWait = 30

// checkAction refuses an action that cannot be done on any page.
func checkAction(a run.BrowseAction) error {
	needs := func(ok bool, what string) error {
		if ok {
			return nil
		}
		return fmt.Errorf("%s needs %s", a.Do, what)
	}
	switch a.Do {
	case run.DoClick:
		return needs(a.Ref != "", "a ref")
	case run.DoType:
		return needs(a.Ref != "", "a ref")
	case run.DoSelect:
		return needs(a.Ref != "" && a.Text != "", "a ref and the text of an option")
	case run.DoScroll:
		_, known := scrolls[a.Text]
		return needs(a.Ref != "" && a.Text == "" || a.Ref == "" && known, "a ref, or the text down, up, top or bottom")
	case run.DoWait:
		return needs(a.Seconds >= 0 && a.Seconds <= maxWait && (a.Seconds > 0 || a.Text != ""), "seconds from 1 to 30, or a text to appear")
	case run.DoBack:
		return nil
	case run.DoPress:
		if _, err := parseKey(a.Text); err != nil {
			return fmt.Errorf("press: %v", err)
		}
		return nil
	default:
		return fmt.Errorf("there is no %.20q; there are %s", a.Do, strings.Join([]string{run.DoClick, run.DoType, run.DoSelect,
			run.DoScroll, run.DoWait, run.DoBack, run.DoPress}, ", "))
	}
}
