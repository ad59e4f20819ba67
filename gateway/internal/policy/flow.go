package policy

import (
	"maps"
	"slices"
	"strings"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// Flow is the verdict on a call in the light of what its conversation has seen. When that holds text
// of strangers and something private, a stranger may be steering, and whatever the call sends to the
// world may be what it is after: an address, or a text for a form. Such a call asks, whatever its tier,
// unless all that it sends was written by the user or is a link that a page gave. Nothing gets looser.
//
// quoted reports whether a text stands word for word in what the user wrote, or as a link in a page;
// nil says that nothing does. The start page of a site that is itself among the trusted domains says
// nothing, and does not ask; below a wildcard its name could.
//
// What is left: a click or a key like Enter is a choice among what the page offers, and can say a
// little to that page.
func (p *Policy) Flow(call Call, seen claw.Label, quoted func(text string) bool, v Verdict) Verdict {
	if len(call.Domains) == 0 || seen.Integrity == claw.Owned || seen.Integrity == claw.ByUser || seen.Privacy == claw.Public {
		return v
	}
	if quoted == nil {
		quoted = func(string) bool { return false }
	}
	what := p.sends(call, quoted)
	if what == "" {
		return v
	}
	return Verdict{Tier: claw.Ask, Rule: v.Rule + "; asked because " + what + " may carry what this conversation has read", Reason: v.Reason}
}

// sends names the part of a call that could say something new to the world, or returns "". What it
// does not know counts as such a part.
func (p *Policy) sends(call Call, quoted func(string) bool) string {
	for _, arg := range slices.Sorted(maps.Keys(call.Args)) {
		switch v := call.Args[arg]; arg {
		case "extract", "max_chars": // for us, not for the page
		case "url":
			address, ok := v.(string)
			if !ok || !p.startPage(call.Domains[0], address) && !quoted(address) {
				return "the page's address"
			}
		case "actions":
			actions, ok := v.([]any)
			if !ok {
				return "what it does on the page"
			}
			for _, a := range actions {
				if what := actionSends(a, quoted); what != "" {
					return what
				}
			}
		default:
			return "the call"
		}
	}
	return ""
}

// startPage reports whether the address holds nothing but a name that stands in the configuration.
func (p *Policy) startPage(host, address string) bool {
	name := targetOf(host).name
	return name != "" && p.trust().Named(name) && address == "https://"+string(name)+"/"
}

// actionSends names what a step on the page sends to it, beside which element was chosen.
func actionSends(a any, quoted func(string) bool) string {
	action, _ := a.(map[string]any)
	text, _ := action["text"].(string)
	switch action["do"] {
	case "click", "scroll", "wait", "back": // the text that wait looks for stays with us
		return ""
	case "press":
		if keyName(text) {
			return ""
		}
		return "the key that is pressed"
	case "type", "select":
		if text == "" || quoted(text) {
			return ""
		}
		return "the text that is entered"
	}
	return "what it does on the page"
}

// keyName reports whether a key is one by name, like Enter or Shift+Tab. One that writes a character
// could spell out a secret.
func keyName(key string) bool {
	return slices.Contains([]string{
		"enter", "tab", "escape", "backspace", "delete", "arrowup", "arrowdown", "arrowleft", "arrowright", "pageup", "pagedown", "home", "end",
	}, strings.TrimPrefix(strings.ToLower(key), "shift+"))
}
