package tunnel

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/yamux"
)

// stream is one stream as a [net.Conn]. Beyond yamux's own it tells an end that the peer made from one
// that the tunnel came to, and a closed stream is closed for reading too.
type stream struct {
	raw *yamux.Stream
	// finished says whether the peer ended what it sends; ended is why everything ended, if it did.
	finished func() bool
	ended    func() error

	stopped  atomic.Pointer[error] // why it may be used no more
	closing  sync.Once
	last     atomic.Int64 // when bytes were last carried, in nanoseconds since born
	born     time.Time
	idle     *time.Timer // nil: it may be idle
	patience time.Duration
}

var _ net.Conn = (*stream)(nil)

// watch ends s with [ErrIdle] when it carries nothing for d.
func (s *stream) watch(d time.Duration) {
	s.patience, s.born = d, time.Now()
	s.idle = time.AfterFunc(math.MaxInt64, func() {
		if quiet := time.Since(s.born) - time.Duration(s.last.Load()); quiet < d {
			s.idle.Reset(d - quiet)
			return
		}
		s.stop(ErrIdle)
	})
	s.idle.Reset(d)
}

func (s *stream) carried(n int) {
	if n > 0 && s.patience > 0 {
		s.last.Store(int64(time.Since(s.born)))
	}
}

// stop makes reading and writing return err.
func (s *stream) stop(err error) {
	s.stopped.CompareAndSwap(nil, &err)
	_ = s.raw.SetDeadline(time.Unix(1, 0))
}

// because is err as users of a net.Conn know it.
func (s *stream) because(err error) error {
	if stopped := s.stopped.Load(); stopped != nil {
		return *stopped
	}
	if errors.Is(err, yamux.ErrTimeout) {
		return os.ErrDeadlineExceeded
	}
	if errors.Is(err, io.EOF) && s.finished() {
		return io.EOF
	}
	if why := s.ended(); why != nil {
		return why
	}
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Read implements net.Conn. io.EOF means that the peer closed the stream, and nothing else.
func (s *stream) Read(p []byte) (int, error) {
	if stopped := s.stopped.Load(); stopped != nil {
		return 0, *stopped
	}
	n, err := s.raw.Read(p)
	s.carried(n)
	if err != nil {
		err = s.because(err)
	}
	return n, err
}

// Write implements net.Conn.
func (s *stream) Write(p []byte) (int, error) {
	if stopped := s.stopped.Load(); stopped != nil {
		return 0, *stopped
	}
	n, err := s.raw.Write(p)
	s.carried(n)
	if err != nil {
		err = s.because(err)
	}
	return n, err
}

// CloseWrite says that nothing more is sent; reading goes on.
func (s *stream) CloseWrite() error { return s.raw.Close() }

// Close implements net.Conn.
func (s *stream) Close() error {
	err := net.ErrClosed
	s.closing.Do(func() {
		if s.idle != nil {
			s.idle.Stop()
		}
		err = s.raw.Close()
		s.stop(net.ErrClosed)
	})
	return err
}

// LocalAddr implements net.Conn.
func (s *stream) LocalAddr() net.Addr { return address(s.raw.StreamID()) }

// RemoteAddr implements net.Conn.
func (s *stream) RemoteAddr() net.Addr { return address(s.raw.StreamID()) }

// SetDeadline implements net.Conn.
func (s *stream) SetDeadline(t time.Time) error { return s.deadline(s.raw.SetDeadline, t) }

// SetReadDeadline implements net.Conn.
func (s *stream) SetReadDeadline(t time.Time) error { return s.deadline(s.raw.SetReadDeadline, t) }

// SetWriteDeadline implements net.Conn.
func (s *stream) SetWriteDeadline(t time.Time) error { return s.deadline(s.raw.SetWriteDeadline, t) }

func (s *stream) deadline(set func(time.Time) error, t time.Time) error {
	err := set(t)
	if stopped := s.stopped.Load(); stopped != nil {
		// It was stopped in between: what stopped it must not be postponed.
		_ = s.raw.SetDeadline(time.Unix(1, 0))
		return *stopped
	}
	return err
}

// address of a stream: it has no other.
type address uint32

func (address) Network() string  { return "tunnel" }
func (a address) String() string { return fmt.Sprintf("stream %d", uint32(a)) }
