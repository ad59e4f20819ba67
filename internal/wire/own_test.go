package wire_test

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/wire"
)

// A protocol that is not ours has the same door: our own user comes in, and any other is hung up on.
func TestListenOwn(t *testing.T) {
	for name, tc := range map[string]struct {
		uid uint32 // of whom is let in
		in  bool
	}{
		"our own user": {uint32(os.Geteuid()), true},
		"another user": {uint32(os.Geteuid()) + 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			path := socketPath(t)
			ln, err := wire.ListenOwn(path)
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			wire.OwnForUID(ln, tc.uid)
			go func() {
				for {
					c, err := ln.Accept()
					if err != nil {
						return
					}
					_, _ = c.Write([]byte("x"))
					_ = c.Close()
				}
			}()
			c, err := net.Dial("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
			n, err := c.Read(make([]byte, 1))
			if got := n == 1; got != tc.in || !tc.in && !errors.Is(err, io.EOF) {
				t.Errorf("Read = %d, %v, want that it is let in: %t", n, err, tc.in)
			}
		})
	}
}
