package dispatch_test

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/dispatch"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/internal/capability"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// counter is a runner stand-in that counts connections and the requests on each.
type counter struct {
	ln  *wire.Listener
	all sync.WaitGroup

	mu       sync.Mutex
	conns    []*wire.Conn
	requests []int // of each connection
	ended    []chan struct{}
	dead     bool
}

func count(t *testing.T, socket string) *counter {
	t.Helper()
	ln, err := wire.Listen(socket, wire.Hello{Role: "runner", Program: "test"})
	if err != nil {
		t.Fatal(err)
	}
	c := &counter{ln: ln}
	c.all.Go(func() {
		for {
			pending, err := ln.Accept()
			if err != nil {
				return
			}
			conn, err := pending.Handshake()
			if err != nil {
				continue
			}
			ended := make(chan struct{})
			c.mu.Lock()
			if c.dead {
				_ = conn.Close()
			}
			n := len(c.conns)
			c.conns, c.requests, c.ended = append(c.conns, conn), append(c.requests, 0), append(c.ended, ended)
			c.mu.Unlock()
			c.all.Go(func() { defer close(ended); c.serve(n, conn) })
		}
	})
	t.Cleanup(c.kill)
	return c
}

// serve answers every request, also a second one that a runner would refuse: the test counts them.
func (c *counter) serve(n int, conn *wire.Conn) {
	for {
		var req run.Request
		if conn.Receive(&req) != nil || req.Run == nil {
			return
		}
		c.mu.Lock()
		c.requests[n]++
		c.mu.Unlock()
		_ = conn.Send(run.Event{Started: &run.Started{Container: "c"}})
		_ = conn.Send(run.Event{Result: &run.Result{Outcome: run.Finished, Output: &run.Output{Call: "call_1", Status: run.OutputOK, Value: strict.Value(`{}`)}}})
	}
}

// kill ends it as the end of its process would: everything it holds is closed.
func (c *counter) kill() {
	_ = c.ln.Close()
	c.mu.Lock()
	c.dead = true
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.mu.Unlock()
	c.all.Wait()
}

// requestsOn returns the requests on each connection, once there were as many connections.
func (c *counter) requestsOn(t *testing.T, conns int) []int {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for limit := time.After(20 * time.Second); ; {
		c.mu.Lock()
		requests := append([]int(nil), c.requests...)
		c.mu.Unlock()
		if len(requests) >= conns {
			return requests
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%d connections were made, want %d", len(requests), conns)
		}
	}
}

func reader(t *testing.T, socket string, idle time.Duration) func() claw.ToolResult {
	t.Helper()
	key, err := capability.DeriveKey(strings.Repeat("k", 40))
	if err != nil {
		t.Fatal(err)
	}
	d := dispatch.New(dispatch.Options{Socket: socket, Program: "test", Minter: capability.NewMinter(key, time.Now), Config: settings()})
	d.SpareFor(idle)
	for _, tool := range d.Tools() {
		if tool.Spec().Name == run.ToolReadFile {
			action, err := tool.Prepare([]byte(`{"path":"a"}`))
			if err != nil {
				t.Fatal(err)
			}
			return func() claw.ToolResult {
				return tool.Run(context.Background(), gate.Call{ID: "call_1", Session: "s"}, action)
			}
		}
	}
	t.Fatal("no read_file")
	return nil
}

// Each call finds a connection ready, and none carries two.
func TestAConnectionIsReadyAndCarriesOneCall(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "run", "r.sock")
	c := count(t, socket)
	call := reader(t, socket, time.Hour)
	for i := range 10 {
		if got := call(); got.Status != claw.OK {
			t.Fatalf("call %d = %+v", i, got)
		}
		requests := c.requestsOn(t, i+2)
		if len(requests) != i+2 {
			t.Errorf("after call %d there were %d connections, want one ahead: %d", i, len(requests), i+2)
		}
		for n, r := range requests {
			if r > 1 || n <= i && r != 1 {
				t.Errorf("after call %d connection %d carried %d requests", i, n, r)
			}
		}
	}
}

func TestManyCallsAtOnceKeepAFewConnections(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "run", "r.sock")
	c := count(t, socket)
	call := reader(t, socket, time.Hour)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if got := call(); got.Status != claw.OK {
				t.Errorf("call = %+v", got)
			}
		})
	}
	all.Wait()
	requests := c.requestsOn(t, 21)
	total := 0
	for n, r := range requests {
		if total += r; r > 1 {
			t.Errorf("connection %d carried %d requests", n, r)
		}
	}
	if total != 20 {
		t.Errorf("%d requests arrived, want 20", total)
	}
	ended := make(chan struct{}, len(requests))
	for _, e := range c.ended {
		go func() { <-e; ended <- struct{}{} }()
	}
	for range len(requests) - dispatch.SpareMost { // those that come late were kept
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Fatalf("more than %d connections stay open", dispatch.SpareMost)
		}
	}
	if len(ended) == dispatch.SpareMost {
		t.Error("no connection is ready for the next call")
	}
}

// The runner that a connection was made to may be gone when it is needed: the next one gets the call.
func TestARestartedRunnerGetsTheNextCall(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "run", "r.sock")
	first := count(t, socket)
	call := reader(t, socket, time.Hour)
	if got := call(); got.Status != claw.OK {
		t.Fatalf("call = %+v", got)
	}
	first.requestsOn(t, 2)
	first.kill()
	second := count(t, socket)
	if got := call(); got.Status != claw.OK {
		t.Errorf("call after the restart = %+v", got)
	}
	if requests := second.requestsOn(t, 2); requests[0] != 1 {
		t.Errorf("the new runner saw %v", requests)
	}
	second.kill()
	if got := call(); got.Status != claw.Refused || !strings.Contains(got.Content, "Fix:") {
		t.Errorf("call without a runner = %+v, want it refused: nothing can have run", got)
	}
}

func TestAnIdleConnectionIsDropped(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "run", "r.sock")
	c := count(t, socket)
	call := reader(t, socket, 20*time.Millisecond)
	if got := call(); got.Status != claw.OK {
		t.Fatalf("call = %+v", got)
	}
	c.requestsOn(t, 2)
	c.mu.Lock()
	ahead := c.ended[1]
	c.mu.Unlock()
	select {
	case <-ahead:
	case <-time.After(20 * time.Second):
		t.Fatal("the connection for the next call stays open")
	}
	if got := call(); got.Status != claw.OK {
		t.Errorf("call afterwards = %+v", got)
	}
}
