//go:build docker

package sandbox

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/run"
)

// shout answers a line in capitals.
func shout(_ context.Context, conn net.Conn) {
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil {
		_, _ = io.WriteString(conn, strings.ToUpper(strings.TrimSpace(line)))
	}
}

func TestWebTask(t *testing.T) {
	bothWays(t, func(t *testing.T, b *bed) {
		for name, tc := range map[string]struct {
			do, arg string
			out     func(context.Context, net.Conn)
			want    string
		}{
			"answers":             {"echo", "héllo", shout, `"héllo"`},
			"has a way out":       {"fetch", "hello", shout, `"HELLO"`},
			"has no way out":      {"fetch", "hello", nil, `"connection reset"`},
			"ends in mid-sending": {"answer-and-hold", "10", func(ctx context.Context, conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }, `"held"`},
			"lingers":             {"linger", "", shout, `"x"`}, // the line is good; the container goes all the same
		} {
			t.Run(name, func(t *testing.T) {
				task := b.webTask(t, tc.do, tc.arg)
				task.Out = tc.out
				var refused int64
				task.Refused = func(n int64) { refused = n }
				got := b.do(t, task)
				if got.Outcome != run.Finished || string(got.Output.Value) != tc.want {
					t.Fatalf("Run = %s %q %+v, want %s", got.Outcome, got.Detail, got.Output, tc.want)
				}
				if (refused > 0) != (tc.out == nil) {
					t.Errorf("refused %d connections", refused)
				}
			})
		}
	})
}

func TestHostileWebExecutors(t *testing.T) {
	bothWays(t, func(t *testing.T, b *bed) {
		for do, tc := range map[string]struct {
			want    run.Outcome
			because string
		}{
			"noise":       {run.Broken, "malformed"},
			"unframed":    {run.Broken, "malformed"},
			"length":      {run.Broken, "length 4294967295"},
			"reply-twice": {run.Broken, "more than one line"},
			"ping":        {run.Broken, "ping"},
			"pings":       {run.Broken, "ping"},
			"half":        {run.Broken, "status 0"},
			"no-line":     {run.Broken, "without a line"},
			"huge":        {run.Broken, "longer than"},
			"stderr":      {run.Broken, "stderr"},
			"wrong-call":  {run.Broken, "another"},
			"dies":        {run.Broken, "status 3"},
		} {
			t.Run(do, func(t *testing.T) {
				begin := time.Now()
				task := b.webTask(t, do, "")
				task.Out = shout
				got := b.do(t, task)
				if got.Outcome != tc.want || !strings.Contains(got.Detail, tc.because) || got.Output != nil {
					t.Errorf("Run(%s) = %s %q %+v, want %s with %q", do, got.Outcome, got.Detail, got.Output, tc.want, tc.because)
				}
				if took := time.Since(begin); took > 15*time.Second {
					t.Errorf("Run(%s) took %v, as if nobody had noticed", do, took)
				}
			})
		}
		// The answer is known by its nonce. What comes behind it is never read.
		for _, do := range []string{"second-frame", "answer-twice", "half-after"} {
			t.Run(do, func(t *testing.T) {
				task := b.webTask(t, do, "")
				task.Out = shout
				if got := b.do(t, task); got.Outcome == run.Finished && string(got.Output.Value) != `"x"` {
					t.Errorf("Run(%s) = %+v, want the first line or none", do, got)
				}
			})
		}
		t.Run("memory", func(t *testing.T) {
			task := b.webTask(t, "memory", "")
			task.Memory = 48 << 20
			if got := b.do(t, task); got.Outcome != run.OutOfMem {
				t.Errorf("a memory bomb under 48 MiB = %+v, want %s", got, run.OutOfMem)
			}
		})
	})
}

// 10,000 connections at once cost little, are told as one number, and cost the call nothing.
func TestWebTaskThatFloods(t *testing.T) {
	bothWays(t, func(t *testing.T, b *bed) {
		task := b.webTask(t, "flood", "")
		var served, most, told atomic.Int64
		var now atomic.Int64
		task.Out = func(ctx context.Context, _ net.Conn) {
			served.Add(1)
			for n := now.Add(1); n > most.Load(); {
				most.Store(n)
			}
			<-ctx.Done()
			now.Add(-1)
		}
		calls := 0
		task.Refused = func(n int64) { calls++; told.Store(n) }
		got := b.do(t, task)
		if got.Outcome != run.Finished {
			t.Fatalf("Run = %+v, want %s", got, run.Finished)
		}
		if calls != 1 || told.Load()+served.Load() != 10_000 || served.Load() != 64 || most.Load() > 64 {
			t.Errorf("of 10,000: %d refused in %d calls, %d served, %d at once, want 9936 in 1, 64, 64", told.Load(), calls, served.Load(), most.Load())
		}
	})
}

// The deadline closes every stream, who serves them finds it in his context, and none of them is left
// when Run returns.
func TestDeadlineClosesTheTunnel(t *testing.T) {
	bothWays(t, func(t *testing.T, b *bed) {
		for _, do := range []string{"hold", "never", "deaf", "silent"} {
			t.Run(do, func(t *testing.T) {
				task := b.webTask(t, do, "5")
				task.Timeout = time.Second
				var serving, deadline atomic.Int64
				task.Out = func(ctx context.Context, conn net.Conn) {
					serving.Add(1)
					if do == "deaf" {
						_, _ = io.Copy(conn, zeros{})
					} else {
						_, _ = io.Copy(io.Discard, conn)
					}
					if errors.Is(ctx.Err(), context.DeadlineExceeded) {
						deadline.Add(1)
					}
					time.Sleep(50 * time.Millisecond)
					serving.Add(-1)
				}
				got := b.do(t, task)
				if got.Outcome != run.TimedOut {
					t.Errorf("Run = %+v, want %s", got, run.TimedOut)
				}
				if us := got.Timing.Task; us > 8_000_000 {
					t.Errorf("killed after %d µs, want about a second", us)
				}
				if n := serving.Load(); n != 0 {
					t.Errorf("%d are still served after Run", n)
				}
				if n := deadline.Load(); do == "hold" && n != 5 {
					t.Errorf("%d of 5 found the deadline in their context", n)
				}
			})
		}
	})
}

// zeros never end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestCancelClosesTheTunnel(t *testing.T) {
	bothWays(t, func(t *testing.T, b *bed) {
		task := b.webTask(t, "hold", "3")
		ctx, cancel := context.WithCancel(t.Context())
		var left atomic.Int64
		var once sync.Once
		task.Out = func(_ context.Context, conn net.Conn) {
			once.Do(cancel)
			_, _ = io.Copy(io.Discard, conn)
			left.Add(1)
		}
		got, refusal := b.Run(ctx, task, noStart)
		if refusal != nil || got.Outcome != run.Cancelled || left.Load() == 0 {
			t.Errorf("Run = %+v %+v with %d left, want %s", got, refusal, left.Load(), run.Cancelled)
		}
	})
}

// Twenty at once, each with its own way out, and nothing is left of them.
func TestTwentyWebTasks(t *testing.T) {
	b := newBed(t)
	before := runtime.NumGoroutine()
	var work sync.WaitGroup
	for i := range 20 {
		work.Go(func() {
			task := b.webTask(t, "fetch", "call "+strconv.Itoa(i))
			task.Out = shout
			task.Timeout = time.Minute
			want := `"CALL ` + strconv.Itoa(i) + `"`
			if got, refusal := b.Run(t.Context(), task, noStart); refusal != nil || got.Outcome != run.Finished || string(got.Output.Value) != want {
				t.Errorf("call %d = %+v %+v, want %s", i, got, refusal, want)
			}
		})
	}
	work.Wait()
	b.cleanups.Wait()
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before+10 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > before+10 {
		stacks := make([]byte, 1<<20)
		t.Errorf("%d goroutines, before there were %d:\n%s", n, before, stacks[:runtime.Stack(stacks, true)])
	}
	if fds, err := os.ReadDir("/proc/self/fd"); err != nil || len(fds) > 60 {
		t.Errorf("%d descriptors are open, %v", len(fds), err)
	}
}
