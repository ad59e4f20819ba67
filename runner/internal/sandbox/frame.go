package sandbox

import (
	"bufio"
	"bytes"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// The engine sends stdout and stderr of a container over one connection, in chunks with a header
// of eight bytes: stream (1 stdout, 2 stderr), three zeros, length.
const (
	headerBytes = 8
	streamOut   = 1
	streamErr   = 2
	maxChunk    = 1 << 20 // engines copy through buffers of 32 KiB
	maxStderr   = 1 << 20 // an executor that says more on stderr is out of control
	keptStderr  = 4 << 10
)

// readyLine is the first thing that an executor says.
var readyLine = []byte(run.ReadyLine + "\n")

var (
	errChunk  = errors.New("the engine's stream is malformed")
	errStderr = fmt.Errorf("the executor wrote more than %d bytes to stderr", maxStderr)
	errMore   = errors.New("the executor wrote more than one line")
)

// demux reads stdout out of an attach stream. Of stderr it keeps the head, for our own log.
type demux struct {
	r      io.Reader
	ready  chan struct{} // closed when the executor said that it waits for its envelope
	left   int           // bytes of the current chunk still to be read
	stream byte          // stream of the current chunk
	stderr []byte
	total  int // bytes of stderr seen
}

func newDemux(r io.Reader) *demux { return &demux{r: r, ready: make(chan struct{})} }

// Read returns bytes of stdout. The stream may only end between chunks.
func (d *demux) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if d.left == 0 {
			if err := d.header(); err != nil {
				return 0, err
			}
			continue
		}
		if d.stream == streamErr {
			if err := d.skip(); err != nil {
				return 0, err
			}
			continue
		}
		n, err := d.r.Read(p[:min(len(p), d.left)])
		d.left -= n
		if n > 0 {
			return n, nil
		}
		if err != nil {
			return 0, cut(err)
		}
	}
}

func (d *demux) header() error {
	var h [headerBytes]byte
	if _, err := io.ReadFull(d.r, h[:]); err != nil {
		return err // io.EOF exactly at a boundary, else ErrUnexpectedEOF
	}
	n := binary.BigEndian.Uint32(h[4:])
	if h[0] != streamOut && h[0] != streamErr || h[1]|h[2]|h[3] != 0 || n > maxChunk {
		return fmt.Errorf("%w: header % x", errChunk, h)
	}
	d.stream, d.left = h[0], int(n)
	return nil
}

// skip reads the rest of a chunk of stderr.
func (d *demux) skip() error {
	if d.total += d.left; d.total > maxStderr {
		return errStderr
	}
	chunk := make([]byte, d.left)
	if _, err := io.ReadFull(d.r, chunk); err != nil {
		return cut(err)
	}
	d.left = 0
	known := len(d.stderr) >= len(readyLine)
	d.stderr = append(d.stderr, chunk[:min(len(chunk), keptStderr-len(d.stderr))]...)
	if !known && bytes.HasPrefix(d.stderr, readyLine) {
		close(d.ready)
	}
	return nil
}

// cut makes the end of the stream inside a chunk an error.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// answer is what came on stdout: one line, or what was wrong.
type answer chan lineOrError

type lineOrError struct {
	line []byte
	err  error
}

// read takes one line. It never keeps more than one frame in memory, and it reads only until the first thing
// that is wrong; what is there already behind the line is wrong.
func (a answer) read(stdout io.Reader) {
	in := bufio.NewReaderSize(stdout, 32<<10)
	line, err := strict.ReadLine(in, wire.MaxFrame)
	if err == nil && in.Buffered() > 0 {
		err = errMore
	}
	a <- lineOrError{line, err}
}

// parseOutput reads the executor's line. It must be the answer to this call, by who got its envelope: a
// line that was meant for another call names that, and one that a command wrote in the executor's name
// cannot have the nonce.
func parseOutput(line []byte, call, nonce string) (*run.Output, error) {
	var out run.Output
	if err := strict.Decode(line, &out); err != nil {
		return nil, fmt.Errorf("the executor's line is no result: %w", err)
	}
	if out.Call == "" && out.Status == run.OutputRefused {
		// It could not even trust the envelope, so it names no call: say why, it is our own mistake.
		return nil, fmt.Errorf("the executor answered call \"\": it refused its task: %.200q", out.Error)
	}
	if out.Call != call {
		return nil, fmt.Errorf("the executor answered call %.40q, asked was %.40q", out.Call, call)
	}
	if nonce == "" || subtle.ConstantTimeCompare([]byte(out.Nonce), []byte(nonce)) != 1 {
		return nil, errors.New("the result is not from the executor: it has not the nonce of the task")
	}
	out.Nonce = ""
	switch out.Status {
	case run.OutputOK, run.OutputFailed, run.OutputRefused, run.OutputTimedOut:
		return &out, nil
	default:
		return nil, fmt.Errorf("the executor's result has status %.40q", out.Status)
	}
}
