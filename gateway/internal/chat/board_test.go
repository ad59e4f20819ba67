package chat

import (
	"strings"
	"testing"

	"github.com/secureclaw/secureclaw/internal/wire"
)

// A channel that does not read costs a bounded amount of memory, whatever the size of the frames.
func TestSlowChannelIsDropped(t *testing.T) {
	for name, size := range map[string]int{"many small frames": 10, "few large frames": 900 << 10} {
		b := NewBoard(BoardOptions{})
		m := b.join("terminal")
		frame := wire.Down{Delta: &wire.Delta{Text: strings.Repeat("x", size)}}
		n := 0
		for m.send(frame) {
			n++
		}
		if held := n * size; held > maxQueued || n > queueLength {
			t.Errorf("%s: %d frames with %d bytes were kept for a channel that does not read", name, n, held)
		}
		select {
		case <-m.gone:
		default:
			t.Errorf("%s: the channel was not dropped", name)
		}
	}
}

// What was sent makes room again.
func TestReadingMakesRoom(t *testing.T) {
	m := NewBoard(BoardOptions{}).join("terminal")
	frame := wire.Down{Delta: &wire.Delta{Text: strings.Repeat("x", 1<<20)}}
	for range 100 {
		if !m.send(frame) {
			t.Fatal("a channel that reads was dropped")
		}
		m.sent(<-m.out)
	}
}
