// Package card shows an approval as a Telegram message that hides nothing.
//
// [Render] makes the question or, once it is decided, what became of it. Exact bytes or no button: a
// card has buttons only if every argument stands on it to the last character, or if File holds the
// canonical JSON of the whole input and the card says its size and SHA-256. Everything that is not
// ours is shown as code, in which characters without a shape, or that look like others, are marked
// as ‹U+202E›; no argument can make a line of the card's own. What a call does on a page is shown in
// words that can be read back to the letter.
//
// It refuses buttons for what cannot be judged here: input that is no JSON, binary, over 64 KiB, or
// with more folders and domains than fit. Such a card says how to decide in a terminal.
//
// The order is the sender's duty: File first, then the card. If the file was not delivered, the card
// goes out without its buttons, see [Card.Undelivered].
package card

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/secureclaw/secureclaw/bridge/telegram/internal/entity"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// Bounds of a card.
const (
	maxInput  = 64 << 10 // bytes of canonical input that may be decided here
	comfort   = 3500     // units of a card that a reader still takes in; past it, arguments go into a file
	maxShown  = 30       // arguments on a card without a file
	maxBegins = 10       // arguments whose beginning is on a card with a file
)

// Button is one button under a card. Data comes back when it is tapped, see [ParseData].
type Button struct{ Text, Data string }

// File holds arguments that do not fit on the card: the canonical JSON of the whole input.
type File struct {
	Name string
	Data []byte
}

// Card is an approval ready to be sent. If File is not nil it must be delivered before the card.
type Card struct {
	Message entity.Message
	Buttons [][]Button
	File    *File

	code string
}

// Undelivered is the card when its file could not be delivered: without buttons, and with the reason.
func (c Card) Undelivered() Card {
	p := &page{text: c.Message.Text, entities: slices.Clone(c.Message.Entities), units: entity.Units(c.Message.Text)}
	p.elsewhere("The file could not be sent, so nothing can be decided here.", c.code)
	return Card{Message: p.message(), code: c.code}
}

// Render shows an approval as it stands, with times in loc. The error is that of a card which names
// no approval.
func Render(c wire.Card, loc *time.Location) (Card, error) {
	if c.ID == "" || c.State == "" {
		return Card{}, errors.New("card: an approval needs an id and a state")
	}
	if loc == nil {
		loc = time.UTC
	}
	input, obstacle := judged(c)
	if obstacle == "" {
		if p, ok := complete(c, input, loc); ok {
			return Card{Message: p.message(), Buttons: buttons(c), code: c.Code}, nil
		}
		if p, file, ok := withFile(c, input, loc); ok {
			out := Card{Message: p.message(), Buttons: buttons(c), code: c.Code}
			if c.State == pending {
				out.File = file
			}
			return out, nil
		}
		obstacle = "It names more than fits on a card."
	}
	return Card{Message: without(c, input, obstacle, loc).message(), code: c.Code}, nil
}

// judged returns the canonical input, or why there can be no button.
func judged(c wire.Card) (input []byte, obstacle string) {
	input, err := strict.Canonical(c.Input)
	switch {
	case err != nil:
		return nil, "Its arguments cannot be read in one way only."
	case len(input) > maxInput:
		return input, fmt.Sprintf("Its arguments have %d bytes, which is too much to judge here.", len(input))
	case binary(input):
		return input, "Its arguments are binary."
	case c.State == pending && buttons(c) == nil:
		return input, "Its name or its digest is malformed."
	}
	return input, ""
}

// complete is the card with every argument on it.
func complete(c wire.Card, input []byte, loc *time.Location) (*page, bool) {
	p := &page{}
	p.title(c)
	p.site(c)
	args := shown(c, input)
	if len(args) > maxShown {
		return nil, false
	}
	whole := true
	for _, a := range args {
		whole = p.argument(a, entity.MaxUnits, "cut") && whole
	}
	whole = p.facts(c) && whole
	p.state(c, loc)
	p.legend()
	return p, whole && p.units <= comfort
}

// withFile is the card with the beginnings of the arguments, and the file with all of them.
func withFile(c wire.Card, input []byte, loc *time.Location) (*page, *File, bool) {
	sum := sha256.Sum256(input)
	file := &File{Name: fileName(c.Code), Data: input}
	rest := &page{}
	rest.row("File", fmt.Sprintf("%s, %d bytes: all arguments, complete", file.Name, len(input)))
	rest.row("SHA-256", fmt.Sprintf("%x of the file", sum))
	whole := rest.facts(c)
	rest.state(c, loc)
	p := &page{}
	p.title(c)
	p.site(c)
	p.begin(shown(c, input), comfort-p.units-rest.units-legendUnits, "only the beginning is below, all of it is in the file")
	p.append(rest)
	p.legend()
	return p, file, whole && p.units <= entity.MaxUnits
}

// without is the card that cannot be decided here.
func without(c wire.Card, input []byte, obstacle string, loc *time.Location) *page {
	rest := &page{}
	rest.facts(c)
	rest.state(c, loc)
	if c.State == pending {
		rest.elsewhere(obstacle, c.Code)
	}
	p := &page{}
	p.title(c)
	p.site(c)
	if input != nil {
		p.begin(shown(c, input), comfort-p.units-rest.units-legendUnits, "only the beginning is below")
	}
	p.append(rest)
	p.legend()
	return p
}

func fileName(code string) string {
	clean := strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, code)
	return "approval-" + clean[:min(len(clean), 16)] + ".json"
}

// Why is the question that a user answers with his reason for a denial.
func Why(c wire.Card) entity.Message {
	p := &page{}
	p.add(entity.Bold, "💬 Why not "+oneLine(c.Tool, 64)+" ("+oneLine(c.Code, 16)+")?")
	p.add("", "\nAnswer by replying to this message: the agent reads your words, and the call does not run. Until then the question stays open.")
	return p.message()
}
