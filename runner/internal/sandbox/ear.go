package sandbox

import (
	"bufio"
	"io"
)

// ear listens to an executor's stdout from its start on, before there is a task: what speaks or ends
// unasked is noticed when it happens.
type ear struct {
	in    *bufio.Reader
	heard chan struct{} // closed at the first byte of stdout, or at its end
}

func newEar(stdout io.Reader) *ear {
	return &ear{in: bufio.NewReaderSize(stdout, 4<<10), heard: make(chan struct{})}
}

// listen returns when there is something to read. It is called once.
func (e *ear) listen() {
	_, _ = e.in.Peek(1) // the error comes again at the read
	close(e.heard)
}

// silent reports whether nothing was heard yet.
func (e *ear) silent() bool {
	select {
	case <-e.heard:
		return false
	default:
		return true
	}
}

// Read implements io.Reader.
func (e *ear) Read(p []byte) (int, error) {
	<-e.heard
	return e.in.Read(p)
}
