// Package entity turns any string into what Telegram takes: a text, and entities with offsets in
// UTF-16 code units that say how it looks.
//
// [Render] reads Markdown, [Plain] does not, [Split] makes parts that fit one message. Whatever the
// string, Telegram takes the result: the text is valid UTF-8 and has something in it to see, entities
// lie within it, are sorted and nested as the Bot API demands, and every link has an address that the
// servers accept (they refuse the whole message for one that they do not).
//
// It refuses to hide: what the Markdown says is there to read, raw HTML and link definitions
// included. A link leads where it seems to lead, or its host stands behind it; only http, https and
// tg://resolve become links; nothing is ever fetched. Characters without a shape are dropped or made
// visible, see clean. Markdown that is too big or too twisted for a quick parse is shown as it is.
package entity

import (
	"strings"
)

// The types of entities that this package makes.
const (
	Bold       = "bold"
	Italic     = "italic"
	Strike     = "strikethrough"
	Code       = "code"
	Pre        = "pre"
	TextLink   = "text_link"
	Blockquote = "blockquote"
)

// Entity is one formatted range of a text. Offset and Length count UTF-16 code units.
type Entity struct {
	Type           string
	Offset, Length int
	URL, Language  string
}

// Message is a text and its formatting, sorted and well nested.
type Message struct {
	Text     string
	Entities []Entity
}

// MaxUnits is the most UTF-16 code units of one Telegram message.
const MaxUnits = 4096

// Empty stands for a text in which there is nothing to see: Telegram refuses an empty message.
const Empty = "(empty)"

// Render turns Markdown into one message of any length.
func Render(markdown string) Message {
	source := normal(markdown)
	if tooHard(source) {
		return plain(source)
	}
	w := &writer{atStart: true}
	r := &renderer{writer: w, source: []byte(source)}
	r.document()
	return w.message()
}

// Plain is a text as it is, without Markdown.
func Plain(text string) Message { return plain(normal(text)) }

func plain(text string) Message { return (&writer{buf: []byte(text)}).message() }

// normal is valid UTF-8 with line feeds as the only line ends.
func normal(text string) string {
	text = strings.ToValidUTF8(text, "\ufffd")
	return strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
}

// Units is the length of a string as Telegram counts it: in UTF-16 code units.
func Units(s string) int {
	n := 0
	for _, r := range s {
		n += units(r)
	}
	return n
}

func units(r rune) int {
	if r > 0xffff {
		return 2
	}
	return 1
}

// widthOf is how many columns a string takes in a font of fixed width, more or less.
func widthOf(s string) int {
	n := 0
	for _, r := range s {
		switch {
		case r >= 0x1100 && (r <= 0x115f || r >= 0x2e80 && r <= 0xa4cf || r >= 0xac00 && r <= 0xd7a3 || r >= 0xf900 && r <= 0xfaff ||
			r >= 0xfe30 && r <= 0xfe6f || r >= 0xff00 && r <= 0xff60 || r >= 0x1f300 && r <= 0x1faff || r >= 0x20000 && r <= 0x3fffd):
			n += 2
		case continues(r):
		default:
			n++
		}
	}
	return n
}
