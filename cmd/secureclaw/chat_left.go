package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/secureclaw/secureclaw/internal/wire"
)

// shownRun is how much of one run is on the screen. A user may send a message while another one is being
// answered, so there can be several.
type shownRun struct {
	plan shownPlan
	text strings.Builder // what the model wrote since its last call or the last turn of its task
}

// progress shows what is new in a plan. A tick may come behind the words of the answer, which stay shown.
func (r *shownRun) progress(w io.Writer, now wire.Progress) {
	if now.Iteration != r.plan.iteration {
		r.text.Reset()
	}
	r.plan.show(w, now)
}

// shows reports whether an answer streamed to the screen already. Blanks do not count: the lines of a task
// that are meant for the gateway are taken out of both, and not with the same blanks around them.
func (r *shownRun) shows(answer string) bool {
	const enough = 32 << 10 // the gateway cuts a very long answer, and says so at its end
	shown, answer := unspaced(r.text.String()), unspaced(answer)
	if len(answer) > enough {
		return strings.Contains(shown, answer[:enough])
	}
	return strings.HasSuffix(shown, answer)
}

func unspaced(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, text)
}

// sent is a message of the user's that has no reply yet.
type sent struct {
	session string
	stored  bool // the gateway said that it has it
}

// greet says what is at work in the conversation already.
func (c *conversation) greet(ctx context.Context) error {
	page, err := manage[wire.TasksPage](ctx, c.conn, wire.ManageSessionsTasks, wire.SessionPart{ID: c.session})
	if broken(err) || ctx.Err() != nil {
		return err
	}
	if err != nil || len(page.Tasks) == 0 || page.Tasks[0].State != "open" {
		return nil // a conversation that has not begun has no tasks either
	}
	t := page.Tasks[0]
	fmt.Fprintf(c.out, "(a task is at work in this conversation, turn %d of at most %d: %s · /stop stops it)\n", t.Iteration, t.Most, shortLine(t.Request, 80))
	return nil
}

// place is where a conversation in a terminal begins.
type place struct {
	session string
	home    string // --home, for commands that the user is told to type
	stops   bool   // SecureClaw itself stops when the chat is left
}

// left is how the conversation ends: it tells what becomes of the messages that have no reply.
func (c *conversation) left(ctx context.Context, err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() == nil && err != nil {
		return unanswered(err, c.place.home, c.unanswered)
	}
	said := map[string]bool{}
	for _, m := range c.unanswered {
		if m.stored && !said[m.session] {
			said[m.session] = true
			c.freshLine()
			fmt.Fprintf(c.out, "(%s)\n", goesOn(m.session, c.place.home, c.place.stops))
		}
	}
	return nil
}

// goesOn says that leaving stops nothing.
func goesOn(session, home string, stops bool) string {
	if stops {
		return fmt.Sprintf("what you asked for goes on by itself when SecureClaw runs again; then it is in: secureclaw sessions show %s%s", session, homeFlag(home))
	}
	return fmt.Sprintf("what you asked for goes on; to see it: secureclaw sessions show %[1]s%[2]s   to stop it: secureclaw sessions stop %[1]s%[2]s", session, homeFlag(home))
}

// hangUp is the failure that the connection to the gateway broke.
type hangUp struct{ *failure }

func (h hangUp) Unwrap() error { return h.failure }

func broken(err error) bool {
	_, ok := errors.AsType[hangUp](err)
	return ok
}

// unanswered tells what becomes of messages when the gateway is gone. One that was accepted is answered at the
// next start, so whoever sends it again has the work done twice.
func unanswered(err error, home string, open map[string]*sent) error {
	f, ok := errors.AsType[*failure](err)
	if !ok || !broken(err) || len(open) == 0 {
		return err
	}
	out := *f
	stored, unsure := map[string]bool{}, map[string]bool{}
	for _, m := range open {
		if m.stored {
			stored[m.session] = true
		} else {
			unsure[m.session] = true
		}
	}
	var why, fix []string
	for _, session := range slices.Sorted(maps.Keys(stored)) {
		why = append(why, "your message is stored and goes on by itself when SecureClaw runs again: do not send it again")
		fix = append(fix, fmt.Sprintf("secureclaw status%s; its answer will be in: secureclaw sessions show %s%s", homeFlag(home), session, homeFlag(home)))
	}
	for _, session := range slices.Sorted(maps.Keys(unsure)) {
		why = append(why, "the gateway did not say that it has stored your last message, so most likely it must be sent again")
		fix = append(fix, fmt.Sprintf("send it again if it is not in: secureclaw sessions show %s%s", session, homeFlag(home)))
	}
	out.why, out.fix = strings.Join(why, "; "), strings.Join(fix, "\n       ")
	return &out
}
