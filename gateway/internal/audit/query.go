package audit

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/secureclaw/secureclaw/internal/strict"
)

// Filter chooses entries. An empty field chooses all; the fields are joined by "and".
type Filter struct {
	Kind    string // the kind, or its beginning up to a dot: "approval" finds approval.asked
	Session string
	Call    string
	Tool    string    // the member "tool" of the fields, or of their member "action" or "call"
	Since   time.Time // at or after
	Until   time.Time // before
	After   uint64    // entries with a greater number
	Limit   int       // how many at most; 0 is no limit
}

// Query returns the entries of the log in dir that f chooses, oldest first. It needs no lock: a
// writer may be at work, and a log that is damaged or broken is read as far as it can be. An error
// ends it.
func Query(ctx context.Context, dir string, f Filter) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		c, err := openCursor(dir, f.After)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		defer c.close()
		for count := 0; f.Limit <= 0 || count < f.Limit; {
			if err := ctx.Err(); err != nil {
				yield(Entry{}, err)
				return
			}
			line, h, err := c.next()
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(Entry{}, err)
				return
			}
			e, ok, err := f.match(line, h)
			if err != nil {
				err = c.wrap(err)
			}
			if ok || err != nil {
				count++
				if !yield(e, err) || err != nil {
					return
				}
			}
		}
	}
}

// match looks at the ends of a line first and decodes it only when they fit.
func (f *Filter) match(line []byte, h header) (Entry, bool, error) {
	if h.seq <= f.After || !f.kind(h.kind) || f.Session != "" && h.session == nil || f.Call != "" && h.call == nil {
		return Entry{}, false, nil
	}
	if f.Tool != "" && !bytes.Contains(h.fields, []byte(`"tool":`)) {
		return Entry{}, false, nil
	}
	e, err := DecodeEntry(line)
	if err != nil {
		return Entry{}, false, err
	}
	ok := (f.Session == "" || e.Session == f.Session) && (f.Call == "" || e.Call == f.Call) &&
		(f.Since.IsZero() || !e.Time.Before(f.Since)) && (f.Until.IsZero() || e.Time.Before(f.Until)) &&
		(f.Tool == "" || toolOf(e.Fields) == f.Tool)
	return e, ok, nil
}

func (f *Filter) kind(kind []byte) bool {
	rest, ok := bytes.CutPrefix(kind, []byte(f.Kind))
	return f.Kind == "" || ok && (len(rest) == 0 || rest[0] == '.' || f.Kind[len(f.Kind)-1] == '.')
}

// toolOf returns the tool that an entry is about, empty for none.
func toolOf(fields strict.Value) string {
	var m map[string]any
	if strict.Decode(fields, &m) != nil {
		return ""
	}
	for _, v := range []any{m, m["action"], m["call"]} {
		if inner, ok := v.(map[string]any); ok {
			if tool, ok := inner["tool"].(string); ok {
				return tool
			}
		}
	}
	return ""
}

// cursor reads the lines of a log in order, over the borders of segments, while it grows.
type cursor struct {
	dir     string
	segment int
	file    *os.File
	lr      *lineReader
}

// openCursor opens the segment that holds the entry after the given one.
func openCursor(dir string, after uint64) (*cursor, error) {
	last, err := listSegments(dir)
	if _, ok := errors.AsType[*Damage](err); ok {
		last, err = 1, nil // read what is there: Verify is who complains
	}
	if err != nil {
		return nil, err
	}
	n := max(last, 1)
	for ; n > 1; n-- {
		if h, err := firstLine(dir, n); err == nil && h.seq <= after+1 {
			break
		}
	}
	c := &cursor{dir: dir, segment: n}
	return c, c.open()
}

func (c *cursor) open() error {
	f, err := os.Open(filepath.Join(c.dir, segmentName(c.segment)))
	if err != nil {
		return err
	}
	c.close()
	c.file, c.lr = f, newLineReader(f)
	return nil
}

func (c *cursor) close() {
	if c.file != nil {
		c.file.Close()
	}
}

// next returns the next line; io.EOF when there is none yet.
func (c *cursor) next() ([]byte, header, error) {
	for {
		line, err := c.lr.next()
		if err == nil {
			h, ok := parseHeader(line)
			if !ok {
				return nil, h, c.wrap(errForm)
			}
			return line, h, nil
		}
		if err != io.EOF {
			return nil, header{}, c.wrap(err)
		}
		if !exists(c.dir, c.segment+1) {
			return nil, header{}, io.EOF
		}
		// The next segment exists, so this one is complete; what came since we met its end is still read.
		if line, err := c.lr.next(); err == nil {
			h, ok := parseHeader(line)
			if !ok {
				return nil, h, c.wrap(errForm)
			}
			return line, h, nil
		}
		c.segment++
		if err := c.open(); err != nil {
			return nil, header{}, err
		}
	}
}

func (c *cursor) wrap(err error) error {
	return &Damage{Segment: segmentName(c.segment), Line: c.lr.lines, Reason: err.Error()}
}
