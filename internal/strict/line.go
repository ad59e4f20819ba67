package strict

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
)

// ErrLine is a line that is too long or was cut.
var ErrLine = errors.New("bad line")

// ReadLine reads up to a newline, which it drops, and refuses a line longer than limit bytes
// without reading it to its end. A last line without a newline was cut, and is an error.
func ReadLine(r *bufio.Reader, limit int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > limit {
			return nil, fmt.Errorf("%w: longer than %d bytes", ErrLine, limit)
		}
		if len(line)+len(part) > cap(line) {
			// Twice as long each time: append alone would copy a long line some ten times.
			line = slices.Grow(line, max(len(part), min(len(line), limit-len(line))))
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(line) == 0:
			return nil, io.EOF
		case errors.Is(err, io.EOF):
			return nil, fmt.Errorf("%w: cut after %d bytes", ErrLine, len(line))
		default:
			return nil, err
		}
	}
}
