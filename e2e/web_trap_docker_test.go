//go:build docker

package e2e

import (
	"net"
	"sync/atomic"
	"testing"
)

// trap is a listener that nobody may reach.
type trap struct{ n atomic.Int64 }

func newTrap(t testing.TB, addr string) (*trap, error) {
	l, err := net.Listen("tcp4", addr)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = l.Close() })
	out := &trap{}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			out.n.Add(1)
			_ = c.Close()
		}
	}()
	return out, nil
}

func (t *trap) count() int64 { return t.n.Load() }
