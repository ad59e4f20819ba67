package file

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

const (
	// maxMessage is the longest message of rg that is read; a longer one is about a line that nobody reads.
	maxMessage = 1 << 20
	// maxLineShown is how much of a matching line is shown, around the match.
	maxLineShown = 500
	beforeMatch  = 100
	// matchOverhead is the JSON around a match.
	matchOverhead = 40
)

// collector takes rg's messages and keeps the matches.
type collector struct {
	limit int
	room  int // bytes of text left
	base  string

	matches  []run.Match
	full     bool // there may be more
	finished bool // rg came to its end
	long     int  // matches on lines too long to read
	broken   int  // messages that were not understood
}

// message is one line that rg writes with --json: begin, match, context, end or summary.
type message struct {
	Type string       `json:"type"`
	Data strict.Value `json:"data"`
}

// found is the data of a match.
type found struct {
	Path   bytesOrText `json:"path"`
	Lines  bytesOrText `json:"lines"`
	Line   int         `json:"line_number"`
	Offset int64       `json:"absolute_offset"`
	Parts  []struct {
		Match bytesOrText `json:"match"`
		Start int         `json:"start"`
		End   int         `json:"end"`
	} `json:"submatches"`
}

// bytesOrText is how rg writes what may not be UTF-8.
type bytesOrText struct {
	Text  string `json:"text"`
	Bytes string `json:"bytes"` // base64
}

func (b bytesOrText) raw() []byte {
	if b.Bytes == "" {
		return []byte(b.Text)
	}
	raw, err := base64.StdEncoding.DecodeString(b.Bytes)
	if err != nil {
		return nil
	}
	return raw
}

// consume reads messages until the end or until there are enough matches.
func (c *collector) consume(r io.Reader) {
	in := bufio.NewReaderSize(r, 64<<10)
	var line []byte
	for !c.full {
		line = line[:0]
		size := 0
		for {
			piece, err := in.ReadSlice('\n')
			if size += len(piece); size <= maxMessage {
				line = append(line, piece...)
			}
			if err == nil {
				break
			}
			if err != bufio.ErrBufferFull {
				return
			}
		}
		if size > maxMessage {
			if bytes.HasPrefix(line, []byte(`{"type":"match"`)) {
				c.long++
			}
			continue
		}
		c.take(line)
	}
}

// take reads one message.
func (c *collector) take(line []byte) {
	var m message
	if err := strict.Decode(line, &m); err != nil {
		c.broken++
		return
	}
	switch m.Type {
	case "summary":
		c.finished = true
		return
	case "match":
	default:
		return
	}
	var f found
	if err := strict.Decode(m.Data, &f); err != nil {
		c.broken++
		return
	}
	start := 0
	if len(f.Parts) > 0 {
		start = f.Parts[0].Start
	}
	match := run.Match{Path: place(c.base, f.Path.raw()), Line: f.Line, Text: excerpt(f.Lines.raw(), start)}
	if c.room -= len(match.Path) + len(match.Text) + matchOverhead; c.room < 0 || len(c.matches) == c.limit {
		c.full = true
		return
	}
	c.matches = append(c.matches, match)
}

// excerpt is a line as text, cut around the match when it is long.
func excerpt(line []byte, start int) string {
	line = bytes.TrimRight(line, "\r\n")
	from, to := 0, len(line)
	if len(line) > maxLineShown {
		from = max(0, min(start-beforeMatch, len(line)-maxLineShown))
		to = from + maxLineShown
		for step := 0; step < utf8.UTFMax && from < to && !utf8.RuneStart(line[from]); step++ {
			from++
		}
		for step := 0; step < utf8.UTFMax && to > from && to < len(line) && !utf8.RuneStart(line[to]); step++ {
			to--
		}
	}
	text, _ := executor.Printable(line[from:to])
	if from > 0 {
		text = "…" + text
	}
	if to < len(line) {
		text += "…"
	}
	return text
}

func (c *collector) note() string {
	var long, broken string
	if c.long > 0 {
		long = fmt.Sprintf("%d matches on lines over %d KiB are left out", c.long, maxMessage>>10)
	}
	if c.broken > 0 {
		broken = fmt.Sprintf("%d messages of the search program were not understood", c.broken)
	}
	return joinNotes(long, broken)
}
