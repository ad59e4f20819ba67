package wire_test

import (
	"testing"

	"github.com/secureclaw/secureclaw/internal/wire"
)

// A connection that was kept is worth something only as long as its peer is there and silent.
func TestQuiet(t *testing.T) {
	for name, tc := range map[string]struct {
		peer func(c *wire.Conn) error
		want bool
	}{
		"nothing happened": {func(*wire.Conn) error { return nil }, true},
		"the peer left":    {func(c *wire.Conn) error { return c.Close() }, false},
		"the peer spoke":   {func(c *wire.Conn) error { return c.Send(struct{}{}) }, false},
		"spoke and left":   {func(c *wire.Conn) error { _ = c.Send(struct{}{}); return c.Close() }, false},
	} {
		t.Run(name, func(t *testing.T) {
			path := socketPath(t)
			server := handshake(listen(t, path))
			client, err := wire.Dial(t.Context(), path, terminal)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			other := <-server
			if other.err != nil {
				t.Fatal(other.err)
			}
			defer other.conn.Close()
			if !client.Quiet() {
				t.Error("Quiet() = false of a new connection")
			}
			if err := tc.peer(other.conn); err != nil {
				t.Fatal(err)
			}
			if got := client.Quiet(); got != tc.want {
				t.Errorf("Quiet() = %t, want %t", got, tc.want)
			}
			if tc.want {
				// Asking took nothing away.
				var got struct{}
				if err := other.conn.Send(struct{}{}); err != nil || client.Receive(&got) != nil || !client.Quiet() {
					t.Errorf("afterwards: %v", err)
				}
				_ = client.Close()
				if client.Quiet() {
					t.Error("Quiet() = true of a closed connection")
				}
			}
		})
	}
}
