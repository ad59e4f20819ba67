// Package tunnel carries many streams over the two pipes of one container: it is the only way out
// of the web executor, and the runner holds its other end.
//
//	executor (guest)                                   runner (host)
//	  │ ◀──────────────────── stream opened by the host: the answer, one line, written by the guest
//	  │ stream opened by the guest: one connection of the browser ──────────▶ served by the runner
//
// It promises limits that the guest cannot pass (streams at once, window, frame, idle time), that no
// more memory is used than they say, and that a frame which is not exactly right ends everything: there
// is no resynchronisation. What the bytes in a stream mean is not its business.
package tunnel

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/hashicorp/yamux"
)

// ErrProtocol says that the peer sent what no correct peer sends.
var ErrProtocol = errors.New("the tunnel's frames are malformed")

// Limits are the most that a guest can have. The zero Limits allow nothing.
type Limits struct {
	Streams int           // open at once; more are reset
	Window  int           // bytes in flight per stream and direction
	Idle    time.Duration // a stream that carries nothing for this long is closed
}

// Host is the runner's end.
type Host struct{}

// Accept starts the host's end over the container's stdout (in) and stdin (out). Each stream of the
// guest is given to serve in a goroutine of its own; serve returns when it is done with it.
func Accept(in io.Reader, out io.WriteCloser, l Limits, serve func(context.Context, net.Conn)) *Host {
	_ = yamux.DefaultConfig
	panic("not written yet")
}

// Answer is the stream that the guest writes its one line into; it ends when the guest closes it.
func (h *Host) Answer() io.Reader { panic("not written yet") }

// Close ends every stream and returns when every serve has returned. It returns why the tunnel ended
// before: ErrProtocol, an error of the pipes, or nil.
func (h *Host) Close() error { panic("not written yet") }

// Guest is the executor's end.
type Guest struct{}

// Open starts the guest's end over its stdin and stdout and waits for the host's stream.
func Open(ctx context.Context, in io.Reader, out io.Writer) (*Guest, error) {
	panic("not written yet")
}

// Dial opens one stream.
func (g *Guest) Dial(ctx context.Context) (net.Conn, error) { panic("not written yet") }

// Answer is where the executor writes its one line.
func (g *Guest) Answer() io.WriteCloser { panic("not written yet") }
