package openai

import (
	"bufio"
	"bytes"
	"io"

	"github.com/secureclaw/secureclaw/gateway/internal/llm/internal/link"
)

// events reads the data of server-sent events, as the HTML standard defines them: lines end in LF, CR LF or
// CR, several data lines are one text, comments and all other fields are skipped, a blank line ends the
// event, and what the end of the stream leaves without a blank line is no event.
type events struct {
	r     *bufio.Reader
	first bool
	skip  bool // the last line ended in CR: an LF right behind it belongs to that end
}

func newEvents(r io.Reader) *events {
	return &events{r: bufio.NewReaderSize(r, 32<<10), first: true}
}

// next returns the data of the next event that has some, or io.EOF at a clean end.
func (e *events) next() ([]byte, error) {
	var data []byte
	some := false
	for {
		line, err := e.line()
		if err != nil {
			return nil, err
		}
		if len(line) == 0 {
			if some {
				return data, nil
			}
			continue
		}
		value, ok := bytes.CutPrefix(line, []byte("data"))
		if !ok || len(value) > 0 && value[0] != ':' {
			continue
		}
		value = bytes.TrimPrefix(bytes.TrimPrefix(value, []byte(":")), []byte(" "))
		if len(data)+len(value) > link.MaxEvent {
			return nil, link.ErrTooLong
		}
		if some {
			data = append(data, '\n')
		}
		data, some = append(data, value...), true
	}
}

// line returns the next line without its end. A line that the stream's end cut is dropped.
func (e *events) line() ([]byte, error) {
	var line []byte
	for {
		// Peek waits for one byte only; what else is buffered comes for nothing.
		if _, err := e.r.Peek(1); err != nil {
			return nil, err
		}
		part, _ := e.r.Peek(e.r.Buffered())
		if e.skip && part[0] == '\n' {
			e.skip = false
			_, _ = e.r.Discard(1)
			continue
		}
		e.skip = false
		end := bytes.IndexAny(part, "\r\n")
		if end < 0 {
			line = append(line, part...)
			_, _ = e.r.Discard(len(part))
			if len(line) > link.MaxEvent {
				return nil, link.ErrTooLong
			}
			continue
		}
		line = append(line, part[:end]...)
		e.skip = part[end] == '\r'
		_, _ = e.r.Discard(end + 1)
		if e.first {
			e.first = false
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		return line, nil
	}
}
