package card

import (
	"fmt"
	"slices"
	"strings"

	"github.com/secureclaw/secureclaw/internal/wire"
)

// shown are the arguments of a card as it shows them. Of a call that opens a page the address comes
// first, and what it does there is put in words that hold every letter of it, one line for each step.
func shown(c wire.Card, input []byte) []argument {
	args := arguments(input)
	c.Input = input
	if c.Site() == "" {
		return args
	}
	at := slices.IndexFunc(args, func(a argument) bool { return a.name == "url" })
	if at < 0 {
		return args
	}
	address := args[at]
	args = slices.Insert(slices.Delete(args, at, at+1), 0, address)
	steps := c.Steps()
	if at := slices.IndexFunc(args, func(a argument) bool { return a.name == "actions" }); at >= 0 && len(steps) > 0 {
		args[at].text = strings.Join(steps, "\n")
		args[at].size = fmt.Sprintf("%d steps", len(steps))
		if len(steps) == 1 {
			args[at].size = "1 step"
		}
	}
	return args
}

// site names the host of a call that opens a page, above its address, in which it could be overlooked.
func (p *page) site(c wire.Card) {
	if site := c.Site(); site != "" {
		p.row("Site", oneLine(site, 300))
	}
}
