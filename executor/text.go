package executor

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/secureclaw/secureclaw/internal/run"
)

const (
	// maxEncoded is the most bytes that one text may take as JSON, where a control character takes
	// six: two texts of a result and everything around them stay below MaxLine.
	maxEncoded = 480 << 10
	// cutNote is room for the line that states a cut.
	cutNote = 80
)

// Capture keeps the head and the tail of an output of any length in constant memory.
type Capture struct {
	limit int
	head  []byte // the first limit/2 bytes
	tail  []byte // a ring of the last limit-limit/2 bytes behind the head
	next  int    // where the ring goes on, once it is full
	total int64
}

// NewCapture returns a Capture for a text of at most limit bytes.
func NewCapture(limit int) *Capture { return &Capture{limit: limit} }

// Write takes p and never fails.
func (c *Capture) Write(p []byte) (int, error) {
	n := len(p)
	c.total += int64(n)
	take := min(c.limit/2-len(c.head), n)
	c.head, p = append(c.head, p[:take]...), p[take:]
	size := c.limit - c.limit/2
	if len(p) > size {
		p = p[len(p)-size:]
	}
	take = min(size-len(c.tail), len(p))
	c.tail, p = append(c.tail, p[:take]...), p[take:]
	for len(p) > 0 {
		took := copy(c.tail[c.next:], p)
		c.next, p = (c.next+took)%size, p[took:]
	}
	return n, nil
}

// Total is how many bytes were written.
func (c *Capture) Total() int64 { return c.total }

// Text returns what was kept as valid UTF-8, at most the limit in bytes.
func (c *Capture) Text() run.Text {
	tail := append(append(make([]byte, 0, len(c.tail)), c.tail[c.next:]...), c.tail[:c.next]...)
	if int64(len(c.head)+len(tail)) == c.total {
		return fit(append(c.head[:len(c.head):len(c.head)], tail...), c.limit)
	}
	return join(trimEnd(c.head), trimStart(tail), c.limit, c.total)
}

// CutText returns text as valid UTF-8 of at most limit bytes, its middle cut out where it is longer.
func CutText(text []byte, limit int) run.Text { return fit(text, limit) }

func fit(raw []byte, limit int) run.Text {
	if text, used, lossy := render(raw, limit, maxEncoded); used == len(raw) {
		return run.Text{Text: text, Bytes: int64(len(raw)), Lossy: lossy}
	}
	return join(raw, raw, limit, int64(len(raw)))
}

// join shows the start of head and the end of tail, with a line between them that states the cut.
func join(head, tail []byte, limit int, total int64) run.Text {
	half := max(limit-cutNote, 0) / 2
	first, used, lossyHead := render(head, half, maxEncoded/2)
	start := len(tail)
	for cost, size := 0, 0; start > 0; {
		r, width := utf8.DecodeLastRune(tail[:start])
		shown, encoded := costs(r, width)
		if size += shown; size > half {
			break
		}
		if cost += encoded; cost > maxEncoded/2 {
			break
		}
		start -= width
	}
	last, _, lossyTail := render(tail[start:], half, maxEncoded/2)
	var b strings.Builder
	b.WriteString(first)
	if first != "" && !strings.HasSuffix(first, "\n") {
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "[… %d of %d bytes are not shown …]\n", total-int64(used)-int64(len(tail)-start), total)
	b.WriteString(last)
	return run.Text{Text: b.String(), Bytes: total, Truncated: true, Lossy: lossyHead || lossyTail}
}

// Printable returns raw as valid UTF-8, each other byte as \xNN, and whether there was one.
func Printable(raw []byte) (text string, lossy bool) {
	text, _, lossy = render(raw, 4*len(raw), 6*len(raw))
	return text, lossy
}

// Head returns as much of the start of raw as fits into limit bytes, as [Printable] writes it, and
// how many bytes of raw that is.
func Head(raw []byte, limit int) (text string, used int, lossy bool) {
	return render(raw, limit, maxEncoded)
}

// render writes raw as valid UTF-8 until the text would be longer than limit bytes, or than encoded
// bytes as JSON.
func render(raw []byte, limit, encoded int) (text string, used int, lossy bool) {
	var b strings.Builder
	for used < len(raw) {
		r, width := utf8.DecodeRune(raw[used:])
		shown, cost := costs(r, width)
		if encoded -= cost; encoded < 0 || b.Len()+shown > limit {
			break
		}
		if r == utf8.RuneError && width == 1 {
			fmt.Fprintf(&b, `\x%02x`, raw[used])
			lossy = true
		} else {
			b.Write(raw[used : used+width])
		}
		used += width
	}
	return b.String(), used, lossy
}

// costs says how many bytes a rune takes in a text and in the JSON of that text.
func costs(r rune, width int) (shown, encoded int) {
	switch {
	case r == utf8.RuneError && width == 1:
		return 4, 5
	case r == '"' || r == '\\' || r == '\n' || r == '\t' || r == '\r' || r == '\b' || r == '\f':
		return 1, 2
	case r < ' ':
		return 1, 6
	default:
		return width, width
	}
}

// trimEnd drops the piece of a character that a cut left at the end.
func trimEnd(b []byte) []byte {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if last := b[len(b)-n:]; utf8.RuneStart(last[0]) {
			if !utf8.FullRune(last) {
				return b[:len(b)-n]
			}
			break
		}
	}
	return b
}

// trimStart drops the piece of a character that a cut left at the start.
func trimStart(b []byte) []byte {
	for n := 0; n < utf8.UTFMax && n < len(b); n++ {
		if utf8.RuneStart(b[n]) {
			return b[n:]
		}
	}
	return b
}
