package wire

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/secureclaw/secureclaw/internal/strict"
)

// This file says in words what a call of browse_web would do, for everybody who shows cards. The words
// hold every letter of the arguments that they stand for: whoever reads them has read the call.

// toolBrowse is the tool whose cards are put in words.
const toolBrowse = "browse_web"

// step is one action of browse_web.
type step struct {
	Do      string `json:"do"`
	Ref     string `json:"ref,omitzero"`
	Text    string `json:"text,omitzero"`
	Seconds int    `json:"seconds,omitzero"`
}

// Site is the host that a call of browse_web asks for: the one in its URL, if that is the first of its
// domains. Empty for any other call.
func (c *Card) Site() string {
	var address string
	if c.Tool != toolBrowse || len(c.Domains) == 0 || decodeMember(c.Input, "url", &address) != nil {
		return ""
	}
	rest, ok := strings.CutPrefix(address, "https://"+c.Domains[0])
	if !ok || rest != "" && rest[0] != '/' {
		return ""
	}
	return c.Domains[0]
}

// Steps are the actions of a call of browse_web in words, one line each, whatever the texts in them
// hold. Nil when there are none, or when one of them is more than these words say: then only the
// arguments themselves say it.
func (c *Card) Steps() []string {
	var steps []step
	if c.Tool != toolBrowse || decodeMember(c.Input, "actions", &steps) != nil {
		return nil
	}
	var out []string
	for i, s := range steps {
		words := s.words()
		if words == "" {
			return nil
		}
		out = append(out, fmt.Sprintf("%d. %s", i+1, words))
	}
	return out
}

// decodeMember reads one member of an object, whole: what is read says all that stands there.
func decodeMember(input strict.Value, member string, into any) error {
	var all map[string]strict.Value
	if err := strict.Decode(input, &all); err != nil {
		return err
	}
	if err := strict.Decode(all[member], into); err != nil {
		return err
	}
	was, err := strict.Canonical(all[member])
	if err != nil {
		return err
	}
	if now, err := strict.CanonicalOf(into); err != nil || !bytes.Equal(was, now) {
		return fmt.Errorf("%s says more than is known here", member)
	}
	return nil
}

// words says what a step does, and is empty for one that has another shape than its kind.
func (s step) words() string {
	ref, text := refWords(s.Ref), quoted(s.Text)
	has := func(ref, text, seconds bool) bool {
		return (s.Ref != "") == ref && (s.Text != "") == text && (s.Seconds > 0) == seconds && s.Seconds >= 0
	}
	switch {
	case s.Do == "click" && has(true, false, false):
		return "clicks " + ref
	case s.Do == "type" && has(true, true, false):
		return "types " + text + " into " + ref
	case s.Do == "type" && has(true, false, false):
		return "empties " + ref
	case s.Do == "select" && has(true, true, false):
		return "selects " + text + " in " + ref
	case s.Do == "scroll" && has(true, false, false):
		return "scrolls to " + ref
	case s.Do == "scroll" && has(false, true, false) && direction.MatchString(s.Text):
		return "scrolls " + s.Text
	case s.Do == "wait" && has(false, false, true):
		return fmt.Sprintf("waits %d s", s.Seconds)
	case s.Do == "wait" && has(false, true, false):
		return "waits for " + text
	case s.Do == "wait" && has(false, true, true):
		return fmt.Sprintf("waits for %s, at most %d s", text, s.Seconds)
	case s.Do == "back" && has(false, false, false):
		return "goes back"
	case s.Do == "press" && has(false, true, false):
		return "presses " + text
	case s.Do == "press" && has(true, true, false):
		return "presses " + text + " on " + ref
	}
	return ""
}

var (
	direction = regexp.MustCompile(`^(down|up|top|bottom)$`)
	plainRef  = regexp.MustCompile(`^[A-Za-z0-9]{1,32}$`)
)

// refWords is a ref, in quotes unless it is a word that cannot be read as one of ours.
func refWords(ref string) string {
	if plainRef.MatchString(ref) {
		return ref
	}
	return quoted(ref)
}

// quoted is a text on one line between quotes, as JSON writes it: where it ends is never in doubt.
func quoted(text string) string {
	data, err := strict.Encode(text)
	if err != nil {
		return ""
	}
	return string(data)
}
