package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/secureclaw/secureclaw/internal/strict"
)

// A line has one form: the members in this order, no spaces, prev last. So the chain can be walked
// by looking at both ends of a line, without parsing what is between.
//
//	{"seq":7,"time":"…","kind":"…"[,"session":"…"][,"run":"…"][,"call":"…"],"fields":{…},"prev":"…"}
const (
	openSeq     = `{"seq":`
	openTime    = `,"time":"`
	openKind    = `,"kind":"`
	openSession = `,"session":"`
	openRun     = `,"run":"`
	openCall    = `,"call":"`
	openFields  = `,"fields":`
	openPrev    = `,"prev":"`
	closeLine   = `"}`
	tailLen     = len(openPrev) + 2*sha256.Size + len(closeLine)
)

var errForm = errors.New("not a line that this log writes")

// leafHash is the hash of a line in chain and tree.
func leafHash(line []byte) tlog.Hash { return tlog.RecordHash(line) }

// appendMiddle writes a line between its time and its prev; the caller's goroutine does it, not the writer.
func appendMiddle(b []byte, kind, session, run, call string, fields []byte) []byte {
	for _, m := range [...]struct{ open, text string }{
		{openKind, kind}, {openSession, session}, {openRun, run}, {openCall, call},
	} {
		if m.text != "" {
			b = append(b, m.open...)
			b = appendEscaped(b, m.text)
			b = append(b, '"')
		}
	}
	b = append(b, openFields...)
	return append(b, fields...)
}

func appendLine(b []byte, seq uint64, at time.Time, middle []byte, prev tlog.Hash) []byte {
	b = append(b, openSeq...)
	b = strconv.AppendUint(b, seq, 10)
	b = append(b, openTime...)
	b = at.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, '"')
	b = append(b, middle...)
	b = append(b, openPrev...)
	b = hex.AppendEncode(b, prev[:])
	return append(b, closeLine...)
}

// header is what the chain and a filter need of a line. The names are as in the line: escaped.
type header struct {
	seq                            uint64
	time, kind, session, run, call []byte
	fields, prev                   []byte
}

// parseHeader splits a line without looking into its fields.
func parseHeader(line []byte) (h header, ok bool) {
	if len(line) < tailLen || !bytes.HasPrefix(line, []byte(openSeq)) {
		return h, false
	}
	tail := line[len(line)-tailLen:]
	if string(tail[:len(openPrev)]) != openPrev || string(tail[tailLen-len(closeLine):]) != closeLine {
		return h, false
	}
	h.prev = tail[len(openPrev) : tailLen-len(closeLine)]
	rest := line[len(openSeq) : len(line)-tailLen]
	i := 0
	for ; i < len(rest) && rest[i] >= '0' && rest[i] <= '9'; i++ {
		if i > 18 {
			return h, false
		}
		h.seq = h.seq*10 + uint64(rest[i]-'0')
	}
	if i == 0 || rest[0] == '0' {
		return h, false
	}
	rest = rest[i:]
	if h.time, rest = cutMember(rest, openTime); h.time == nil {
		return h, false
	}
	if h.kind, rest = cutMember(rest, openKind); h.kind == nil {
		return h, false
	}
	h.session, rest = cutMember(rest, openSession)
	h.run, rest = cutMember(rest, openRun)
	h.call, rest = cutMember(rest, openCall)
	if !bytes.HasPrefix(rest, []byte(openFields)) {
		return h, false
	}
	h.fields = rest[len(openFields):]
	return h, len(h.fields) >= 2 && h.fields[0] == '{'
}

// cutMember returns the string that follows open, still escaped, and what is behind its quote; nil when b has no such member.
func cutMember(b []byte, open string) (text, rest []byte) {
	if len(b) < len(open) || string(b[:len(open)]) != open {
		return nil, b
	}
	for i := len(open); i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return b[len(open):i], b[i+1:]
		}
	}
	return nil, b
}

// unescape returns the text of a string as it is in a line.
func unescape(text []byte) (string, error) {
	if bytes.IndexByte(text, '\\') < 0 {
		return string(text), nil
	}
	var s string
	err := strict.Decode(append(append([]byte{'"'}, text...), '"'), &s)
	return s, err
}

// DecodeEntry reads one line without its newline. It refuses every line that would be written
// differently, so an entry has one spelling.
func DecodeEntry(line []byte) (Entry, error) {
	h, ok := parseHeader(line)
	if !ok {
		return Entry{}, errForm
	}
	e := Entry{Seq: h.seq, Prev: string(h.prev), Fields: bytes.Clone(h.fields)}
	for _, m := range []struct {
		to   *string
		text []byte
	}{{&e.Kind, h.kind}, {&e.Session, h.session}, {&e.Run, h.run}, {&e.Call, h.call}} {
		text, err := unescape(m.text)
		if err != nil {
			return Entry{}, fmt.Errorf("%w: %w", errForm, err)
		}
		*m.to = text
	}
	at, err := time.Parse(time.RFC3339Nano, string(h.time))
	if err != nil {
		return Entry{}, fmt.Errorf("%w: %w", errForm, err)
	}
	e.Time = at.UTC()
	var fields strict.Value
	if err := strict.Decode(h.fields, &fields); err != nil {
		return Entry{}, fmt.Errorf("%w: fields: %w", errForm, err)
	}
	if again, err := e.line(); err != nil || !bytes.Equal(again, line) || !plain(line) {
		return Entry{}, errForm
	}
	return e, nil
}

// Line returns the entry as it is in the log, without a newline. Control and invisible characters
// in it are escaped, so it can be shown as it is.
func (e Entry) Line() string {
	b, err := e.line()
	if err != nil {
		return ""
	}
	return string(b)
}

func (e Entry) line() ([]byte, error) {
	prev, err := hex.DecodeString(e.Prev)
	if err != nil || len(prev) != tlog.HashSize {
		return nil, errForm
	}
	return appendLine(nil, e.Seq, e.Time, appendMiddle(nil, e.Kind, e.Session, e.Run, e.Call, e.Fields), tlog.Hash(prev)), nil
}

// lineReader reads lines from a file that may still grow: after io.EOF, next can be called again.
type lineReader struct {
	r          io.Reader
	buf        []byte // buf[0] is never part of a line: hash needs the byte before
	start, end int
	first, n   int   // the line that next returned: its place in buf, its length
	lines      int   // how many lines were returned
	off        int64 // file offset behind the last line returned
}

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{r: r, buf: make([]byte, 256<<10), start: 1, end: 1}
}

// next returns the next whole line without its newline, valid until the next call. io.EOF means no
// whole line is left; rest tells whether a part of one is.
func (lr *lineReader) next() ([]byte, error) {
	scanned := 0
	for {
		if i := bytes.IndexByte(lr.buf[lr.start+scanned:lr.end], '\n'); i >= 0 {
			lr.first, lr.n = lr.start, scanned+i
			lr.start += lr.n + 1
			lr.off += int64(lr.n) + 1
			lr.lines++
			return lr.buf[lr.first : lr.first+lr.n], nil
		}
		scanned = lr.end - lr.start
		if scanned > maxLine {
			return nil, fmt.Errorf("%w: longer than %d bytes", errForm, maxLine)
		}
		if lr.end == len(lr.buf) {
			if lr.start == 1 {
				lr.buf = append(lr.buf, make([]byte, len(lr.buf))...)
			}
			copy(lr.buf[1:], lr.buf[lr.start:lr.end])
			lr.end -= lr.start - 1
			lr.start = 1
		}
		n, err := lr.r.Read(lr.buf[lr.end:])
		lr.end += n
		if n == 0 && err != nil {
			return nil, err
		}
	}
}

// rest is the unfinished line at the end of the file, after next returned io.EOF.
func (lr *lineReader) rest() []byte { return lr.buf[lr.start:lr.end] }

// hash is leafHash of the line that next returned, without a copy: the byte before it is spent, so
// it becomes the zero byte that a leaf begins with.
func (lr *lineReader) hash() tlog.Hash {
	lr.buf[lr.first-1] = 0
	return sha256.Sum256(lr.buf[lr.first-1 : lr.first+lr.n])
}
