package dispatch_test

import (
	"context"
	"fmt"
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

// crowd is a runner stand-in that holds every task until the test lets it go, and notes in which order
// they came and how many it had at once.
type crowd struct {
	t     *testing.T
	tools map[string]gate.Tool
	all   sync.WaitGroup
	held  chan string   // the call that just came
	free  chan struct{} // lets one go

	mu      sync.Mutex
	now     map[string]int // tasks that are here, by session
	most    int
	ofOne   int
	results map[string]claw.ToolResult
}

func newCrowd(t *testing.T) *crowd {
	t.Helper()
	c := &crowd{t: t, tools: map[string]gate.Tool{}, held: make(chan string, 10000), free: make(chan struct{}, 10000), now: map[string]int{}, results: map[string]claw.ToolResult{}}
	key, err := capability.DeriveKey(strings.Repeat("k", 40))
	if err != nil {
		t.Fatal(err)
	}
	socket := peer(t, c.answer)
	for _, tool := range dispatch.New(dispatch.Options{Socket: socket, Program: "test", Minter: capability.NewMinter(key, time.Now), Config: browsing()}).Tools() {
		c.tools[tool.Spec().Name] = tool
	}
	return c
}

func (c *crowd) answer(order *run.Order, conn *wire.Conn) {
	var task run.Task
	if err := strict.Decode(order.Task, &task); err != nil {
		c.t.Error(err)
		return
	}
	session, _, _ := strings.Cut(task.Call, "/")
	c.mu.Lock()
	c.now[session]++
	all := 0
	for _, n := range c.now {
		all += n
	}
	c.most, c.ofOne = max(c.most, all), max(c.ofOne, c.now[session])
	c.mu.Unlock()
	c.held <- task.Call
	select {
	case <-c.free:
	case <-c.t.Context().Done():
	}
	c.mu.Lock()
	c.now[session]--
	c.mu.Unlock()
	_ = conn.Send(run.Event{Result: &run.Result{
		Outcome: run.Finished, Output: &run.Output{Call: task.Call, Status: run.OutputOK}, Timing: run.Timing{Queue: 5_000_000},
	}})
}

// call begins a call; its result is kept under its id.
func (c *crowd) call(ctx context.Context, session string, n int, tool, input string) {
	c.t.Helper()
	action, err := c.tools[tool].Prepare([]byte(input))
	if err != nil {
		c.t.Fatal(err)
	}
	id := fmt.Sprintf("%s/%d", session, n)
	c.all.Go(func() {
		r := c.tools[tool].Run(ctx, gate.Call{ID: claw.CallID(id), Session: claw.SessionID(session), Run: "r"}, action)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.results[id] = r
	})
}

func (c *crowd) reads(session string, n int) {
	c.t.Helper()
	c.call(c.t.Context(), session, n, run.ToolReadFile, `{"path":"a"}`)
}

// came waits for the next call that the runner gets.
func (c *crowd) came() string {
	c.t.Helper()
	select {
	case id := <-c.held:
		return id
	case <-time.After(20 * time.Second):
		c.t.Fatal("no call came to the runner")
		return ""
	}
}

// A hundred conversations with calls at once: all run, the runner never has more than its places.
func TestAHundredSessionsAtOnce(t *testing.T) {
	const sessions, each = 100, 3
	c := newCrowd(t)
	for range sessions * each {
		c.free <- struct{}{}
	}
	for s := range sessions {
		for n := range each {
			c.reads(fmt.Sprint("s", s), n)
		}
	}
	c.all.Wait()
	for id, r := range c.results {
		if r.Status != claw.OK {
			t.Fatalf("call %s = %+v", id, r)
		}
	}
	if len(c.results) != sessions*each || c.most > run.MaxCalls() || c.ofOne > run.MaxOfSession(run.MaxCalls()) {
		t.Errorf("%d results, at most %d with the runner at once and %d of one session; want %d, %d and %d",
			len(c.results), c.most, c.ofOne, sessions*each, run.MaxCalls(), run.MaxOfSession(run.MaxCalls()))
	}
}

// A session with dozens of calls has half of the places, and what comes later runs beside it.
func TestOneSessionLeavesRoomForOthers(t *testing.T) {
	c := newCrowd(t)
	ofOne := run.MaxOfSession(run.MaxCalls())
	for n := range 32 {
		c.reads("greedy", n)
	}
	for range ofOne {
		c.came()
	}
	c.reads("modest", 0)
	if got := c.came(); got != "modest/0" {
		t.Errorf("the next call with the runner is %s, want modest/0", got)
	}
	for n := range run.MaxCalls() - ofOne - 1 {
		c.reads("another", n)
		c.came()
	}
	// Now every place is taken, but those of the browsers are others: all of them can be had.
	for n := range run.MaxBrowsers() {
		c.call(t.Context(), fmt.Sprint("reader", n), n, run.ToolBrowse, `{"url":"https://example.com/"}`)
		if got := c.came(); !strings.HasPrefix(got, "reader") {
			t.Errorf("the next call with the runner is %s, want a page", got)
		}
	}
	for range 32 + run.MaxCalls() + run.MaxBrowsers() {
		c.free <- struct{}{}
	}
	c.all.Wait()
	if c.ofOne != ofOne {
		t.Errorf("%d calls of one session were with the runner at once, want %d", c.ofOne, ofOne)
	}
	if r := c.results["modest/0"]; time.Duration(r.Waited) < 5*time.Second || time.Duration(r.Waited) > 20*time.Second {
		t.Errorf("waited %v, want the 5s that the runner says and the moment here", r.Waited)
	}
}

// What is too much is refused in words, at once; what is stopped leaves.
func TestACallThatCannotWait(t *testing.T) {
	c := newCrowd(t)
	const most = 64
	ofOne := run.MaxOfSession(run.MaxCalls())
	ctx, stop := context.WithCancel(t.Context())
	for n := range ofOne {
		c.call(ctx, "greedy", n, run.ToolReadFile, `{"path":"a"}`)
		c.came()
	}
	for n := range most + 6 {
		c.call(ctx, "greedy", ofOne+n, run.ToolReadFile, `{"path":"a"}`)
	}
	refused := func() (list []claw.ToolResult) {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, r := range c.results {
			if r.Status == claw.Refused {
				list = append(list, r)
			}
		}
		return list
	}
	for limit := time.After(20 * time.Second); len(refused()) < 6; {
		select {
		case <-limit:
			t.Fatalf("%d calls were refused, want 6", len(refused()))
		case <-time.After(time.Millisecond):
		}
	}
	want := "Not run: This conversation has too many calls at once, so this one did not run.\n" +
		"Why: 64 of its calls wait already.\nFix: Ask for a few at a time, and for the rest when those have ended."
	if got := refused()[0].Content; got != want {
		t.Errorf("refused with %q, want %q", got, want)
	}
	stop()
	c.all.Wait()
	ended := map[claw.Status]int{}
	for _, r := range c.results {
		ended[r.Status]++
	}
	if ended[claw.Refused] != 6 || ended[claw.Cancelled] != ofOne+most {
		t.Errorf("ends %v, want 6 refused and %d cancelled", ended, ofOne+most)
	}
}
