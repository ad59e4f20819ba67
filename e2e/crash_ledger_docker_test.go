//go:build docker

package e2e

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/secureclaw/secureclaw/internal/fake"
)

// reckoning is what a world came to after its errands, whatever died meanwhile.
type reckoning struct {
	wrong    []string // broken promises
	effects  int      // errands that had their effect
	unknowns int      // calls whose end is not known
	twice    []string // what is shown more often than once
}

func (r *reckoning) bad(format string, args ...any) {
	r.wrong = append(r.wrong, fmt.Sprintf(format, args...))
}

// reckon holds a world at rest to its promises: no effect twice and none without an intent, no message
// without its answer, no question left open, each unknown end told, a log that verifies, no container.
func (w *world) reckon(errands []*errand) *reckoning {
	w.t.Helper()
	r := &reckoning{}
	w.settle(r)
	books, wrong := w.books()
	r.wrong = append(r.wrong, wrong...)
	for _, e := range errands {
		r.errand(w, e, books[strings.TrimPrefix(e.file(w), w.path("workspace")+"/")])
	}
	for _, user := range users(errands) {
		r.chat(w, user, errands)
	}
	if out := w.claw("audit", "verify"); out.code != 0 {
		r.bad("audit verify: %+v", out)
	}
	said := w.said.String()
	for _, word := range []string{"panic:", "DATA RACE", "fatal error:"} {
		if at := strings.Index(said, word); at >= 0 {
			r.bad("a process said: %.2000s", said[at:])
		}
	}
	for _, v := range w.tg.Violations() {
		r.bad("Telegram would not take: %s", v)
	}
	return r
}

func users(errands []*errand) []int64 {
	var out []int64
	for _, e := range errands {
		if !slices.Contains(out, e.user) {
			out = append(out, e.user)
		}
	}
	slices.Sort(out)
	return out
}

// settle waits for what follows an answer: removed containers, edited cards, results on disk.
func (w *world) settle(r *reckoning) {
	w.t.Helper()
	if !soon(func() bool { return w.besides() == 0 }) {
		out, _ := exec.Command("docker", "ps", "-a", "--filter", "label=org.secureclaw.instance="+w.instance(), "--format", "{{.ID}} {{.Status}} {{.CreatedAt}}").Output()
		r.bad("containers left:\n%s", out)
	}
	if !soon(func() bool { return w.tg.Pending() == 0 }) {
		r.bad("%d updates are not confirmed", w.tg.Pending())
	}
	open := func() (out []string) {
		books, _ := w.books()
		for name, b := range books {
			if len(b.results) == 0 {
				out = append(out, name)
			}
		}
		return out
	}
	if !soon(func() bool { return len(open()) == 0 }) {
		r.bad("intents without a result: %v", open())
	}
}

// soon looks again and again, for a few seconds.
func soon(is func() bool) bool {
	limit := time.After(8 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-limit:
			return false
		}
	}
	return true
}

// errand checks one errand's effect against the log and the chat.
func (r *reckoning) errand(w *world, e *errand, b *booked) {
	if b == nil {
		b = &booked{}
	}
	n := e.lines(w)
	r.effects += n
	told := told(w.tg.Chat(e.user), e, b.calls)
	acts := e.kind == errandAuto || e.kind == errandNotify || e.kind == errandAsk
	switch {
	case n > 1:
		r.bad("%s %s had its effect %d times", e.kind, e.mark, n)
	case n > 0 && len(b.calls) == 0:
		r.bad("%s %s had its effect without an intent", e.kind, e.mark)
	case n > 0 && !acts:
		r.bad("%s %s had an effect", e.kind, e.mark)
	case len(b.calls) > 1:
		r.bad("%s %s has %d intents", e.kind, e.mark, len(b.calls))
	case len(b.calls) > 0 && !acts:
		r.bad("%s %s has an intent", e.kind, e.mark)
	case len(b.results) != len(b.calls):
		r.bad("%s %s: results %v for calls %v", e.kind, e.mark, b.results, b.calls)
	case acts && len(b.calls) == 0 && !unsure(told):
		r.bad("%s %s never ran, and its user was told %q", e.kind, e.mark, told)
	case acts && slices.Contains(b.results, "ok") && n != 1:
		r.bad("%s %s is ok and had its effect %d times", e.kind, e.mark, n)
	}
	if slices.Contains(b.results, "unknown") {
		r.unknowns++
		if !unsure(told) {
			r.bad("how %s %s ended is unknown, and its user was told %q", e.kind, e.mark, told)
		}
	}
	noticed := func() bool {
		return slices.ContainsFunc(w.tg.Chat(e.user), func(s fake.Shown) bool { return holds(s, "notify-"+e.mark) && !holds(s, opening(e.mark)) })
	}
	if e.kind == errandNotify && slices.Contains(b.results, "ok") && !unsure(told) && !soon(noticed) {
		r.bad("%s %s ran, and its user got no notice, only %q", e.kind, e.mark, told)
	}
}

// unsure reports whether somebody was told that nobody knows how a call ended.
func unsure(told string) bool {
	return strings.Contains(told, "unknown") || strings.Contains(told, "nobody knows")
}

// told is everything that a user sees of an errand and its calls.
func told(chat []fake.Shown, e *errand, calls []string) string {
	var out []string
	for _, s := range chat {
		if holds(s, e.mark) || s.ReplyTo == e.message || slices.ContainsFunc(calls, func(call string) bool { return holds(s, call) }) {
			out = append(out, s.Text+s.Caption)
		}
	}
	return strings.Join(out, "\n")
}

// chat checks that a user sees one answer for each errand, whole, and no question that is still open.
func (r *reckoning) chat(w *world, user int64, errands []*errand) {
	chat := w.tg.Chat(user)
	for _, e := range errands {
		if e.user != user {
			continue
		}
		marks := []string{opening(e.mark), ending(e.mark)}
		if e.kind == errandLong {
			for i := range longParts {
				marks = append(marks, part(e.mark, i))
			}
		}
		most := 0
		for _, mark := range marks {
			n := shown(chat, mark)
			if n == 0 {
				r.bad("%s %s: %q was never shown to %d", e.kind, e.mark, mark, user)
			}
			most = max(most, n)
		}
		if most > 1 {
			r.twice = append(r.twice, fmt.Sprintf("%s %s ×%d", e.kind, e.mark, most))
		}
	}
	r.buttons(w, user)
}

// shown is how many messages hold a text.
func shown(chat []fake.Shown, text string) int {
	n := 0
	for _, s := range chat {
		if holds(s, text) {
			n++
		}
	}
	return n
}

// buttons presses what still has buttons although everything is decided: a second copy of a card, whose
// id was lost with the process that sent it. The press must change nothing and take the buttons away.
func (r *reckoning) buttons(w *world, user int64) {
	live := func() []fake.Shown {
		return slices.DeleteFunc(w.tg.Chat(user), func(s fake.Shown) bool { return len(s.Buttons) == 0 })
	}
	var copies []fake.Shown
	if soon(func() bool { copies = live(); return len(copies) == 0 || len(copies) <= len(r.twice) }) && len(copies) == 0 {
		return
	}
	presses := map[int64]string{}
	for _, s := range copies {
		r.twice = append(r.twice, fmt.Sprintf("card %.60q", s.Text))
		presses[s.MessageID] = w.tg.Press(user, s.MessageID, button(s, approve))
	}
	if !soon(func() bool { return len(live()) == 0 }) {
		for _, s := range live() {
			var heard []string
			for _, toast := range w.tg.Toasts() {
				if toast.CallbackID == presses[s.MessageID] {
					heard = append(heard, toast.Text)
				}
			}
			r.bad("user %d still sees buttons under message %d, and the press hears %q: %.300q\n%s", user, s.MessageID, heard, s.Text, w.phone(user).story())
		}
	}
}
