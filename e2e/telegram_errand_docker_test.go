//go:build docker

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/secureclaw/secureclaw/internal/fake"
)

// errandRules has a tier for each kind of errand.
const errandRules = `
actionTiers:
  requireApproval:
    - tool: write_file
      when: {path: "/workspace/ask-*"}
      reason: the story asks
  notify:
    - tool: write_file
      when: {path: "/workspace/notify-*"}
      reason: the story tells
  autoApprove:
    - tool: write_file
      when: {path: "/workspace/auto-*"}
      reason: the story does
    - tool: read_file
      when: {path: ["/workspace/**", "/inbox/**"]}
      reason: the story reads
    - tool: run_shell_command
      when: {access: read}
      reason: the story runs
    - tool: send_file
      when: {path: "/workspace/**"}
      reason: the story sends
`

// The kinds of errands. Each but the texts is one call, which appends the errand's mark to a file of its own.
const (
	errandText   = "text"   // an answer without a call
	errandLong   = "long"   // an answer of three messages
	errandAuto   = "auto"   // a call that nobody is asked about
	errandNotify = "notify" // a call that the user is told of
	errandAsk    = "ask"    // a call that the user approves
	errandDeny   = "deny"   // a call that the user denies
)

// errand is one message of a user and all that it must come to.
type errand struct {
	kind, mark string
	user       int64
	message    int64 // its id on Telegram
	began      time.Time
	took       time.Duration
}

// longParts is how many paragraphs a long answer has: enough for three messages.
const longParts = 24

var errandWords = regexp.MustCompile(`errand (\w+) (\w+)`)

// plays is a model without a memory: what it says follows from the conversation alone, so that it
// says the same when a gateway that died asks it again.
func plays(req fake.Request) fake.Step {
	at := len(req.Turns) - 1
	last := req.Turns[at]
	for ; at >= 0; at-- {
		if req.Turns[at].Role == "user" && errandWords.MatchString(req.Turns[at].Text) {
			break
		}
	}
	if at < 0 {
		return says("I heard: " + last.Text)
	}
	all := errandWords.FindAllStringSubmatch(req.Turns[at].Text, -1)
	kind, mark := all[len(all)-1][1], all[len(all)-1][2]
	if len(last.Results) > 0 {
		return says(closing(mark, last.Results[0].Content))
	}
	switch kind {
	case errandText:
		return says(closing(mark, "done"))
	case errandLong:
		answer := says(long(mark))
		answer.Chunks = []int{1200}
		answer.Delay = 300 * time.Millisecond // long enough for a bubble
		return answer
	case errandDeny:
		kind = errandAsk
	}
	call := writes("/workspace/"+kind+"-"+mark, mark+"\n")
	call.ID = "toolu_" + mark
	return fake.Answer{Text: "I will do " + mark + ".", Calls: []fake.Call{call}, Usage: fake.Usage{Input: 100, Output: 10}}
}

func opening(mark string) string { return "«" + mark + "»" }
func ending(mark string) string  { return "«/" + mark + "»" }

var unsaid = regexp.MustCompile(`[^\pL\pN.,:; -]+`)

// closing is the model's last word about an errand: what the call came to, in plain letters.
func closing(mark, result string) string {
	result = unsaid.ReplaceAllString(result, " ")
	return opening(mark) + " " + result[:min(len(result), 300)] + " " + ending(mark)
}

func part(mark string, i int) string { return fmt.Sprintf("§%s.%d§", mark, i) }

func long(mark string) string {
	var b strings.Builder
	b.WriteString(opening(mark) + " a long story\n\n")
	for i := range longParts {
		fmt.Fprintf(&b, "%s %s\n\n", part(mark, i), strings.Repeat("and so it went on ", 20))
	}
	return b.String() + "the end " + ending(mark)
}

// file is where an errand's effect is.
func (e *errand) file(w *world) string {
	kind := e.kind
	if kind == errandDeny {
		kind = errandAsk
	}
	return w.path("workspace/" + kind + "-" + e.mark)
}

// do runs an errand to the end that its user sees: one answer, and no question left open.
func (p *phone) do(ctx context.Context, e *errand) error {
	e.user, e.began = p.user, time.Now()
	e.message = p.says("errand " + e.kind + " " + e.mark)
	if e.kind == errandAsk || e.kind == errandDeny {
		verb := deny
		if e.kind == errandAsk {
			verb = approve
		}
		var card fake.Shown
		// A call that was lost before its question was stored is never asked about: then only the answer comes.
		if err := p.until(ctx, "the question of "+e.mark, func(chat []fake.Shown) bool {
			i := slices.IndexFunc(chat, func(s fake.Shown) bool { return button(s, deny) != "" && holds(s, e.mark) })
			if i >= 0 {
				card = chat[i]
			}
			return i >= 0 || answered(chat, e.mark)
		}); err != nil {
			return err
		}
		if card.MessageID != 0 {
			p.w.tg.Press(p.user, card.MessageID, button(card, verb))
		}
	}
	err := p.until(ctx, "the answer of "+e.mark, func(chat []fake.Shown) bool { return answered(chat, e.mark) })
	e.took = time.Since(e.began)
	return err
}

// answered reports whether the chat shows the end of an errand's answer, and not in a bubble that still grows.
func answered(chat []fake.Shown, mark string) bool {
	return slices.ContainsFunc(chat, func(s fake.Shown) bool { return strings.HasSuffix(strings.TrimSpace(s.Text), ending(mark)) })
}

// lines is how often an errand had its effect.
func (e *errand) lines(w *world) int {
	data, err := os.ReadFile(e.file(w))
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	if err != nil {
		w.t.Errorf("effect of %s: %v", e.mark, err)
	}
	return strings.Count(string(data), e.mark)
}

// booked is what the audit log knows of the calls of one errand.
type booked struct {
	calls   []string // with an intent
	results []string // statuses
}

// books reads the log once for all errands: intents and results by the errand's file.
func (w *world) books() (map[string]*booked, []string) {
	w.t.Helper()
	byPath, byCall := map[string]*booked{}, map[string]*booked{}
	var wrong []string
	for _, line := range w.audit() {
		var entry struct {
			Kind, Call string
			Fields     struct {
				Input  struct{ Path string }
				Status string
			}
		}
		if !strings.Contains(line, `"kind":"intent"`) && !strings.Contains(line, `"kind":"result"`) {
			continue
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			wrong = append(wrong, fmt.Sprintf("audit line %q: %v", line, err))
			continue
		}
		if entry.Kind == "intent" {
			name := strings.TrimPrefix(entry.Fields.Input.Path, "/workspace/")
			b := byPath[name]
			if b == nil {
				b = &booked{}
				byPath[name] = b
			}
			b.calls = append(b.calls, entry.Call)
			byCall[entry.Call] = b
			continue
		}
		if b := byCall[entry.Call]; b != nil {
			b.results = append(b.results, entry.Fields.Status)
		}
	}
	return byPath, wrong
}
