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
//
// The frames are yamux's. Its code trusts the other side more than a container deserves (a ping costs a
// goroutine, a window update is believed), so a guard of ours stands before it at the host's end: it
// reads every header first, knows the state of every stream, and passes on only what a correct guest
// can have sent at that moment. The entry points are [Accept] and [Open].
//
// What one guest can make the host hold: for each of Limits.Streams three times Limits.Window of bytes
// that nobody has read yet (the buffers of yamux double as they grow), 32 KiB of state for all streams
// there ever were, 1 MiB of refusals that the guest does not read, and 400 KiB for reading and writing.
package tunnel

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/hashicorp/yamux"
)

var (
	// ErrProtocol says that the peer sent what no correct peer sends.
	ErrProtocol = errors.New("the tunnel's frames are malformed")
	// ErrIdle is what reading and writing say on a stream that carried nothing for Limits.Idle. It is a
	// timeout, as in [net.Error].
	ErrIdle error = idleError{}
	// ErrLimit is why a stream ended that was still open when its tunnel's time was over.
	ErrLimit = errors.New("the tunnel's time is over")
)

// idleError is also an [os.ErrDeadlineExceeded], for those who know the tunnel only as connections.
type idleError struct{}

func (idleError) Error() string     { return "nothing was sent for too long" }
func (idleError) Timeout() bool     { return true }
func (idleError) Temporary() bool   { return false }
func (idleError) Is(err error) bool { return err == os.ErrDeadlineExceeded }

// Window is the smallest [Limits].Window and what a guest uses: yamux gives every stream that much to
// begin with, whatever one sets. On a container's pipes a larger one makes nothing faster.
const Window = 256 << 10

// Limits are the most that a guest can have. The zero Limits allow nothing.
type Limits struct {
	Streams int           // open at once; more are reset
	Window  int           // bytes in flight per stream and direction; less than Window allows no stream
	Idle    time.Duration // a stream that carries nothing for this long is closed
}

// sane are limits that yamux can keep: those that cannot be kept allow nothing.
func (l Limits) sane() Limits {
	if l.Streams <= 0 || l.Window < Window || l.Window > maxWindow || l.Idle <= 0 {
		return Limits{Window: Window}
	}
	return l
}

const (
	maxWindow = 64 << 20
	// maxOpened is how many streams a guest can open in its life, refused ones too. A page that opens a
	// thousand in a second for minutes stays below it.
	maxOpened = 1 << 18
	// stuck is how long a frame may wait for a peer that does not read.
	stuck = 30 * time.Second
	// lingering is how long a stream that one end closed waits for the other to close it too. The guest
	// waits longer, so that it is the host who decides, and nothing gives up while the answer is taken.
	lingering      = 5 * time.Second
	guestLingering = 30 * time.Second
)

// settings are those of both ends.
func settings(streams, window int, lingering time.Duration) *yamux.Config {
	return &yamux.Config{
		// The guard lets no more streams wait than this, so that yamux never has to drop one.
		AcceptBacklog:          max(streams, 1),
		EnableKeepAlive:        false, // nobody pings: a container's pipes do not fall asleep
		KeepAliveInterval:      time.Hour,
		ConnectionWriteTimeout: stuck,
		MaxStreamWindowSize:    uint32(window),
		StreamOpenTimeout:      0, // a goroutine for each stream, to notice what the task's deadline ends anyway
		StreamCloseTimeout:     lingering,
		LogOutput:              io.Discard, // a stranger could fill it
	}
}
