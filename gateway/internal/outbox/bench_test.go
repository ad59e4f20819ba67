package outbox_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/secureclaw/secureclaw/internal/wire"
)

func BenchmarkPut(b *testing.B) {
	w := newWorld(b, b.TempDir())
	w.open()
	defer w.end()
	n := 0
	for b.Loop() {
		n++
		w.put(item(wire.SendText, "7", fmt.Sprint(n)))
	}
}

// One item from its Put to the Sent that is stored: two transactions, and a look at what is due.
func BenchmarkPutToSent(b *testing.B) {
	w := newWorld(b, b.TempDir())
	w.open()
	w.serve()
	defer w.end()
	n := 0
	for b.Loop() {
		n++
		key := fmt.Sprint(n)
		w.put(item(wire.SendText, "7", key))
		w.feed.Sent(context.Background(), wire.Sent{Item: w.send(key, 0).Item, Part: 0, Parts: 1, Ref: key})
	}
}
