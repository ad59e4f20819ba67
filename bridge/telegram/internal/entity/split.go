package entity

import (
	"strings"
	"unicode"
)

// maxEntities is how many entities of one message Telegram keeps; it drops the rest in silence.
const maxEntities = 100

// How good a place for a cut is, best last. The tree of the Markdown shows in the text: blocks are
// parted by an empty line outside code, list items and lines by a line feed.
const (
	anywhere  = iota // between two runes
	character        // between two characters as a reader counts them
	wordIn           // between words, inside code or a link
	word
	sentence
	codeLine // between lines of a block of code
	line
	item  // between lines of which the second is not indented
	block // between blocks, unless the first is a heading
)

// least tells how full, in percent, a part must be for a cut of this kind: a better cut that leaves
// a part nearly empty is worse than the next kind.
func least(kind int) int {
	switch kind {
	case block, item:
		return 30
	case line, codeLine:
		return 40
	case sentence:
		return 50
	default:
		return 0
	}
}

// Split cuts a message into parts of at most limit UTF-16 code units, and at most 100 entities. All
// that it leaves out are blanks at the cuts. An entity that a cut goes through ends there and begins
// again, a block of code with its language. A limit under 2 counts as 2, the length of one emoji.
func Split(m Message, limit int) []Message {
	limit = max(limit, 2)
	if Units(m.Text) <= limit && len(m.Entities) <= maxEntities {
		return []Message{m}
	}
	c := newCutter(m)
	var parts []Message
	for from := c.skip(0); from < len(c.text); {
		to := c.next(from, limit)
		if part := c.part(from, to); part.Text != "" {
			parts = append(parts, part)
		}
		from = c.skip(to)
	}
	if len(parts) == 0 {
		parts = []Message{{Text: Empty}}
	}
	return parts
}

// cutter counts in runes; at tells where each begins in UTF-16.
type cutter struct {
	text     []rune
	at       []int
	entities []Entity
	in       []byte      // for each rune: which kinds of entity hold both it and the one before it
	bold     map[int]int // where bold text begins, by where it ends
}

const (
	inPre   = 1
	inSolid = 2 // code or link
)

func newCutter(m Message) *cutter {
	c := &cutter{text: []rune(m.Text), entities: m.Entities}
	c.at = make([]int, len(c.text)+1)
	for i, r := range c.text {
		c.at[i+1] = c.at[i] + units(r)
	}
	c.in = make([]byte, len(c.text)+1)
	c.bold = map[int]int{}
	for _, e := range m.Entities {
		bit := byte(0)
		switch e.Type {
		case Pre:
			bit = inPre
		case Code, TextLink:
			bit = inSolid
		case Bold:
			c.bold[e.Offset+e.Length] = e.Offset
			continue
		default:
			continue
		}
		for i := c.rune(e.Offset) + 1; i < len(c.text) && c.at[i] < e.Offset+e.Length; i++ {
			c.in[i] |= bit
		}
	}
	return c
}

// rune is the index of the rune at an offset.
func (c *cutter) rune(offset int) int {
	lo, hi := 0, len(c.at)-1
	for lo < hi {
		if mid := (lo + hi) / 2; c.at[mid] < offset {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// skip passes over blanks, but not over the indent of a line of code.
func (c *cutter) skip(i int) int {
	start := i
	for i < len(c.text) && blank(c.text[i]) {
		i++
	}
	if i < len(c.text) && i > start && c.in[i]&inPre != 0 {
		for i > start && c.text[i-1] != '\n' {
			i--
		}
	}
	return i
}

// next is where the part that begins at from ends.
func (c *cutter) next(from, limit int) int {
	end := from
	for end < len(c.text) && c.at[end+1]-c.at[from] <= limit {
		end++
	}
	if most := c.most(from); most < end {
		end = max(most, from+1)
	} else if end == len(c.text) {
		return end
	}
	best, at, size := -1, end, c.at[end]-c.at[from]
	for i := end; i > from; i-- {
		kind := c.kind(i)
		if kind > best && (c.at[i]-c.at[from])*100 >= least(kind)*size {
			best, at = kind, i
		}
	}
	return at
}

// most is the rune up to which a part that begins at from holds no more entities than Telegram keeps.
func (c *cutter) most(from int) int {
	n := 0
	for _, e := range c.entities {
		if e.Offset+e.Length <= c.at[from] {
			continue
		}
		if n++; n > maxEntities {
			return c.rune(e.Offset)
		}
	}
	return len(c.text)
}

// kind tells how good a cut before rune i is.
func (c *cutter) kind(i int) int {
	if i == len(c.text) {
		return block
	}
	before, after := c.text[i-1], c.text[i]
	switch {
	case before == '\n' && c.in[i]&inPre != 0:
		return codeLine
	case before == '\n' && i > 1 && c.text[i-2] == '\n' && !c.heading(i-2):
		return block
	case before == '\n' && after != ' ' && after != '\n':
		return item
	case before == '\n':
		return line
	case c.in[i] != 0 && unicode.IsSpace(before):
		return wordIn
	case unicode.IsSpace(before) && i > 1 && strings.ContainsRune(".!?…:;", c.text[i-2]), strings.ContainsRune("。！？；", before):
		return sentence
	case unicode.IsSpace(before):
		return word
	case !joined(c.text, i):
		return character
	default:
		return anywhere
	}
}

// heading reports whether the line that ends before rune i is bold all over, and so belongs to what follows.
func (c *cutter) heading(i int) bool {
	offset, ok := c.bold[c.at[i]]
	if !ok {
		return false
	}
	start := c.rune(offset)
	return start == 0 || c.text[start-1] == '\n'
}

// part is what stands between two runes.
func (c *cutter) part(from, to int) Message {
	text := string(c.text[from:to])
	var spans []span
	bytesAt := func(offset int) int {
		i := min(max(c.rune(offset), from), to)
		return len(string(c.text[from:i]))
	}
	for _, e := range c.entities {
		if e.Offset >= c.at[to] || e.Offset+e.Length <= c.at[from] {
			continue
		}
		s := span{kind: e.Type, url: e.URL, language: e.Language}
		if s.start, s.end = trim(text, s.kind, bytesAt(e.Offset), bytesAt(e.Offset+e.Length)); s.start < s.end {
			spans = append(spans, s)
		}
	}
	sortSpans(spans)
	text = strings.TrimRightFunc(text, blank)
	return Message{Text: text, Entities: entities(text, spans, 0)}
}
