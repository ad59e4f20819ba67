package file

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// sample is how much of a file's start tells text from data.
const sample = 8 << 10

// read returns whole lines of a text file, as many as fit. A binary file is only described.
func read(ctx context.Context, call executor.Call) executor.Answer {
	var in run.ReadFile
	if err := strict.Decode(call.Input, &in); err != nil {
		return executor.Refused("arguments: %v", err)
	}
	if in.Offset < 0 || in.Limit < 0 {
		return executor.Refused("offset %d and limit %d must not be negative", in.Offset, in.Limit)
	}
	f, st, err := openRegular(call.Roots, in.Path, os.O_RDONLY)
	if err != nil {
		return executor.AnswerTo(err)
	}
	defer f.Close()
	result := run.ReadFileResult{Path: in.Path, Size: min(st.Size, maxInteger)}
	start := make([]byte, sample)
	n, err := f.ReadAt(start, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return executor.AnswerTo(executor.Explain(in.Path, err))
	}
	if isBinary(start[:n]) {
		result.Binary, result.Note = true, "binary file, its content is not shown"
		return executor.Done(result)
	}
	// What is appended from here on is not part of the answer: a file that grows faster than we read
	// must not keep us reading.
	lines := &lineReader{ctx: ctx, in: bufio.NewReaderSize(io.LimitReader(f, st.Size), 64<<10)}
	if err := lines.skip(max(in.Offset, 1) - 1); err != nil {
		if errors.Is(err, io.EOF) {
			result.Note = fmt.Sprintf("the file has only %d lines", lines.read)
			return executor.Done(result)
		}
		return cut(err, in.Path, result)
	}
	if err := lines.collect(&result, in.Limit, call.Cap); err != nil {
		return cut(err, in.Path, result)
	}
	if result.Binary = bytes.IndexByte([]byte(result.Content), 0) >= 0; result.Binary {
		result.Content, result.Note = "", "binary data in these lines, they are not shown"
		result.FirstLine, result.LastLine, result.Truncated, result.Lossy = 0, 0, false, false
	}
	return executor.Done(result)
}

// cut is the answer when reading was stopped by the deadline or an error.
func cut(err error, path string, result run.ReadFileResult) executor.Answer {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		result.Truncated = true
		return executor.TimedOut(result, "%q could not be read to these lines within the time limit", path)
	}
	return executor.AnswerTo(executor.Explain(path, err))
}

// isBinary says whether the start of a file is no text: a NUL byte, or more than a tenth of bytes
// that are no UTF-8. Text in an older encoding stays readable by that.
func isBinary(start []byte) bool {
	if bytes.IndexByte(start, 0) >= 0 {
		return true
	}
	bad := 0
	for rest := start; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		if r == utf8.RuneError && size == 1 && utf8.FullRune(rest) {
			bad++
		}
		rest = rest[size:]
	}
	return bad > max(len(start)/10, 3)
}

// lineReader reads lines of any length in constant memory.
type lineReader struct {
	ctx  context.Context
	in   *bufio.Reader
	read int // complete lines, or a last one without a newline
}

// skip reads over n lines. It returns io.EOF when there is no line behind them.
func (l *lineReader) skip(n int) error {
	begun := false
	for l.read < n {
		piece, err := l.piece()
		switch {
		case err == io.EOF && begun:
			l.read++
			return io.EOF
		case err != nil:
			return err
		}
		if begun = !bytes.HasSuffix(piece, newline); !begun {
			l.read++
		}
	}
	if n == 0 {
		return nil // an empty file has a first line to ask for
	}
	_, err := l.in.Peek(1)
	return err
}

var newline = []byte("\n")

// piece returns the next part of a line, to its newline or as much as fits the buffer.
func (l *lineReader) piece() ([]byte, error) {
	if err := l.ctx.Err(); err != nil {
		return nil, err
	}
	piece, err := l.in.ReadSlice('\n')
	if len(piece) > 0 || errors.Is(err, bufio.ErrBufferFull) {
		return piece, nil
	}
	return nil, err
}

// collect fills the result with lines until limit (when not zero), the end, or size bytes of text.
func (l *lineReader) collect(result *run.ReadFileResult, limit, size int) error {
	var raw []byte
	first, whole := l.read+1, 0 // whole is how much of raw is complete lines
	last := l.read
	for (limit == 0 || last-first+1 < limit) && len(raw) <= size {
		piece, err := l.piece()
		if err == io.EOF {
			if whole < len(raw) {
				whole, last = len(raw), last+1
			}
			break
		}
		if err != nil {
			return err
		}
		raw = append(raw, piece...)
		if bytes.HasSuffix(piece, newline) {
			whole, last = len(raw), last+1
		}
	}
	_, err := l.in.Peek(1)
	more := err == nil || whole < len(raw)
	text, used, lossy := executor.Head(raw[:whole], size)
	if used < whole || whole == 0 && len(raw) > 0 {
		more = true
		if end := bytes.LastIndexByte(raw[:used], '\n') + 1; end > 0 {
			// Only whole lines, so that the next call can go on at LastLine+1.
			last = first + bytes.Count(raw[:end], newline) - 1
			text, _, lossy = executor.Head(raw[:end], size)
		} else {
			text, used, lossy = executor.Head(raw, size)
			last = first
			result.Note = fmt.Sprintf("line %d is longer than the limit; its first %d bytes are shown", first, used)
		}
	}
	if last >= first {
		result.FirstLine, result.LastLine = first, last
	}
	result.Content, result.Lossy, result.Truncated = text, lossy, more
	return nil
}
