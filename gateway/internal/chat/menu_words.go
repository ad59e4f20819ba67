package chat

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/secureclaw/secureclaw/internal/wire"
)

// This file makes the buttons of menus and reads them, and cuts words to the room that a menu has.

// button is one button; its label is cut to what a phone shows.
func button(label, data string) wire.Button {
	label = printable(label, 32)
	if label == "" {
		label = "…"
	}
	return wire.Button{Label: label, Data: data}
}

// inRows puts buttons into rows of some.
func inRows(buttons []wire.Button, each int) [][]wire.Button {
	var rows [][]wire.Button
	for len(buttons) > 0 {
		n := min(each, len(buttons))
		rows = append(rows, buttons[:n:n])
		buttons = buttons[n:]
	}
	return rows
}

// counted is the part of n things that a page shows, and the buttons to the pages beside it. A page that is not
// there any more is the last one.
func counted(n, page, each int) (from, to int, nav [][]wire.Button) {
	last := max(0, (n-1)/each)
	page = min(max(page, 0), last)
	var row []wire.Button
	if page > 0 {
		row = append(row, button("◀", fmt.Sprintf("p:%d", page-1)))
	}
	if page < last {
		row = append(row, button(fmt.Sprintf("▶ %d of %d", page+2, last+1), fmt.Sprintf("p:%d", page+1)))
	}
	if row != nil {
		nav = [][]wire.Button{row}
	}
	return page * each, min(n, (page+1)*each), nav
}

// number reads what a button says, in its one spelling.
func number(arg string, most int64) (int64, error) {
	n, err := strconv.ParseInt(arg, 10, 64)
	if err != nil || n < 0 || n > most || strconv.FormatInt(n, 10) != arg {
		return 0, errNoButton
	}
	return n, nil
}

// tag stands for a name on a button and in a place: names are long, and words.
func tag(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:8])
}

func isTag(arg string) bool {
	return len(arg) == 16 && strings.Trim(arg, "0123456789abcdef") == ""
}

// arguments is what stands behind a command.
func arguments(text string) string {
	i := strings.IndexAny(text, " \n\t")
	if i < 0 {
		return ""
	}
	return strings.TrimSpace(text[i:])
}

// short is a name as Markdown, cut to some characters.
func short(text string, most int) string { return escape(printable(text, most)) }

// units is the length of a text as Telegram counts it, in UTF-16.
func units(text string) int {
	n := utf8.RuneCountInString(text)
	for _, r := range text {
		if r > 0xffff {
			n++
		}
	}
	return n
}

// cutNote is more than what [beginning] adds to a text that it cuts, and what stands around it.
const cutNote = 48

// beginning is the start of a text, as Markdown on one line, of at most some UTF-16 units. It says when there is more.
func beginning(text string, most int) string {
	all := printable(text, utf8.RuneCountInString(text)+1)
	n, end := 0, len(all)
	for i, r := range all {
		if n += units(string(r)); n > most {
			end = i
			break
		}
	}
	if end == len(all) {
		return escape(all)
	}
	return escape(all[:end]) + fmt.Sprintf("… (%d of %d characters shown)", utf8.RuneCountInString(all[:end]), utf8.RuneCountInString(all))
}
