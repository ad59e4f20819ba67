package telegram_test

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/secureclaw/secureclaw/bridge/telegram"
	"github.com/secureclaw/secureclaw/internal/fake"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// The test binary is also the bridge as a process of its own, which a test can kill and measure.
func TestMain(m *testing.M) {
	if os.Getenv("BRIDGE_UNDER_TEST") != "" {
		bridgeUnderTest()
		return
	}
	goleak.VerifyTestMain(m)
}

func bridgeUnderTest() {
	killAt := os.Getenv("BRIDGE_KILL_AT")
	o := telegram.Options{
		Token: token, Allowed: []int64{owner, guest}, APIURL: os.Getenv("BRIDGE_API"), Socket: os.Getenv("BRIDGE_SOCKET"),
		Program: "test", Now: time.Now, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Step: func(step string) {
			if step == killAt {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		},
	}
	run := telegram.Run
	if killAt != "" || os.Getenv("BRIDGE_FAST") != "" {
		run = func(ctx context.Context, o telegram.Options) error { return telegram.RunFast(ctx, o) }
	}
	_ = run(context.Background(), o)
}

// process starts the bridge as a process.
func (w *world) process(env ...string) *exec.Cmd {
	w.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append([]string{"BRIDGE_UNDER_TEST=1", "BRIDGE_API=" + w.tg.URL(), "BRIDGE_SOCKET=" + w.d.path, "GOMEMLIMIT=16MiB"}, env...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// A bridge is killed at each of its steps, and the next one goes on. The gateway of this test asks again for what
// was not reported, as the outbox does, and takes each message and tap once.
func TestKilledAtEachStep(t *testing.T) {
	for _, step := range []string{"bridge.update", "bridge.accepted", "bridge.sending", "bridge.shown", "bridge.decided", "bridge.bubble"} {
		t.Run(step, func(t *testing.T) {
			w := newWorld(t)
			first := w.process("BRIDGE_KILL_AT=" + step)
			said := func() {
				update, _ := w.tg.Say(owner, "hello")
				go func() {
					_ = first.Wait()
					w.process("BRIDGE_FAST=1")
				}()
				w.confirmed(update)
			}
			switch step {
			case "bridge.update", "bridge.accepted":
				said()
				ids := map[string]bool{}
				for _, m := range saidAll(w.d) {
					ids[m.ID] = true
				}
				if len(ids) != 1 {
					t.Errorf("the gateway got the messages %v, want one, however often", ids)
				}
			case "bridge.decided":
				w.tg.Say(owner, "first")
				w.until("killed or confirmed", func(tg *fake.Telegram) bool { return tg.Pending() == 0 })
				w.tg.PressAs(owner, fake.Press{Message: 1, Data: data("a")})
				_ = first.Wait()
				w.process("BRIDGE_FAST=1")
				if text := w.toast(1); text != "✅ Approved once" {
					t.Errorf("toast = %q", text)
				}
				if a, b := nth(w.d, 1, "decide", aDecide), nth(w.d, 2, "decide", aDecide); a.Ref != b.Ref || a.Approval != b.Approval {
					t.Errorf("decisions %+v and %+v, want the same", a, b)
				}
			case "bridge.bubble":
				w.tg.Say(owner, "first")
				w.until("confirmed", func(tg *fake.Telegram) bool { return tg.Pending() == 0 })
				w.d.send(working("r1"), delta("r1", "picture"))
				_ = first.Wait()
				w.process("BRIDGE_FAST=1")
				w.d.await("the new bridge", func(ups []wire.Up) bool { return healthyAgain(ups) })
				w.d.show(wire.Send{Item: 1, Kind: wire.SendText, Run: "r1", Text: "the reply"})
				if got := w.texts(owner); len(got) != 2 || got[1] != "the reply" {
					t.Errorf("chat = %q: the bubble that nobody knows of, and the reply", got)
				}
			default:
				w.tg.Say(owner, "first")
				w.until("confirmed", func(tg *fake.Telegram) bool { return tg.Pending() == 0 })
				send := wire.Send{Item: 1, User: "42", Kind: wire.SendText, Text: "the answer"}
				w.d.send(wire.Down{Send: &send})
				_ = first.Wait()
				w.process("BRIDGE_FAST=1")
				w.d.await("the new bridge", func(ups []wire.Up) bool { return healthyAgain(ups) })
				w.d.show(send)
				want := map[string]int{"bridge.sending": 1, "bridge.shown": 2}[step]
				if got := w.texts(owner); len(got) != want {
					t.Errorf("chat = %q, want it %d times", got, want)
				}
			}
		})
	}
}

func saidAll(d *desk) []wire.Message { return said(d, aMessage) }

// healthyAgain reports whether a second bridge is there: the first one said ok once.
func healthyAgain(ups []wire.Up) bool {
	n := 0
	for _, up := range ups {
		if h := up.Health; h != nil && h.State == wire.HealthOK {
			n++
		}
	}
	return n >= 2
}
