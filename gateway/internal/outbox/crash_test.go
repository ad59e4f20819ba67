package outbox_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/gateway/internal/outbox"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// deaths ends the goroutine that reaches a step for the nth time, and says so. What this outbox does
// afterwards comes too late: the test lets go of it.
type deaths struct {
	step  string
	left  atomic.Int64
	ended chan struct{}
}

func (d *deaths) at(step string) {
	if step == d.step && d.left.Add(-1) == 0 {
		close(d.ended)
		runtime.Goexit()
	}
}

// do runs what may end in a step, and reports whether it did.
func (d *deaths) do(f func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
	select {
	case <-d.ended:
		return true
	default:
		return false
	}
}

// A gateway that ends at any step, any time it is reached: every part is seen, at most the one that
// was under way twice, and in order.
func TestADeathAtEachStep(t *testing.T) {
	parts := map[string]int{"long": 3, "card": 2, "file": 1, "menu": 1, "last": 1}
	for _, step := range []string{"outbox.put", "outbox.sending", "outbox.sent"} {
		for nth := 1; ; nth++ {
			d := &deaths{step: step, ended: make(chan struct{})}
			d.left.Store(int64(nth))
			died := false
			t.Run(fmt.Sprint(step, nth), func(t *testing.T) {
				w := newWorld(t, t.TempDir())
				w.step = d.at
				w.open()
				w.serve()
				w.ask(1)
				var seen []string
				if !putAll(w, d) {
					seen = showAll(w, d, parts, d.ended)
				}
				died = d.left.Load() <= 0
				w.end()
				// The next life has a new outbox over the same file.
				w.step = nil
				w.open()
				w.serve()
				defer w.end()
				if died {
					putAll(w, nil) // who asked for it does so again
					seen = append(seen, showAll(w, d, parts, nil)...)
				}
				check(t, seen, parts)
			})
			if !died {
				break // it is not reached so often
			}
		}
	}
}

func items() []outbox.Item {
	return []outbox.Item{item(wire.SendText, "7", "long"), about(1, item(wire.SendCard, "7", "card")), item(wire.SendFile, "7", "file"), aMenu("7", "menu"), item(wire.SendText, "7", "last")}
}

// putAll puts what is to be shown, until a death.
func putAll(w *world, d *deaths) bool {
	for _, i := range items() {
		if d == nil {
			w.put(i)
		} else if d.do(func() { w.put(i) }) {
			return true
		}
	}
	return false
}

// showAll plays the messenger until everything is shown or the gateway has ended.
func showAll(w *world, d *deaths, parts map[string]int, ended chan struct{}) (seen []string) {
	for {
		due, _, err := w.db.DueItems(context.Background(), telegram, w.clock())
		if err != nil {
			w.t.Fatalf("DueItems = %v", err)
		}
		if len(due) == 0 {
			if a, err := w.db.Approvals().Load(context.Background(), id(1)); err != nil || a.State != gate.Pending {
				return seen
			}
			w.move(1, gate.Pending, gate.Denied)
		}
		select {
		case down := <-w.downs:
			s := down.Send
			key := fmt.Sprint(s.Text, s.Part)
			if s.Card != nil && s.Card.State != string(gate.Pending) {
				key = s.Text + " edited"
			}
			seen = append(seen, key)
			if d.do(func() { w.sent(s, parts[s.Text], "m"+key) }) && ended != nil {
				return seen
			}
		case <-ended:
			return seen
		case <-time.After(20 * time.Second):
			w.t.Fatalf("nothing came after %q", seen)
		}
	}
}

func check(t *testing.T, seen []string, parts map[string]int) {
	t.Helper()
	t.Log(seen)
	count := map[string]int{}
	for _, key := range seen {
		count[key]++
	}
	want, twice := []string{"card edited"}, 0
	for key, n := range parts {
		for part := range n {
			want = append(want, fmt.Sprint(key, part))
		}
	}
	for _, key := range want {
		if count[key] == 0 {
			t.Errorf("%s was never seen", key)
		}
		twice += max(count[key]-1, 0)
	}
	if twice > 1 {
		t.Errorf("%d parts were seen twice, want one at most", twice)
	}
	texts := slices.DeleteFunc(slices.Compact(slices.Clone(seen)), func(key string) bool { return key[:4] == "card" })
	if fmt.Sprint(texts) != "[long0 long1 long2 file0 menu0 last0]" {
		t.Errorf("without the card the user saw %q", texts)
	}
}
