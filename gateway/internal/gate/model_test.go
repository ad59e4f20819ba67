package gate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
)

// modelled is what one approval should be, by a model that knows only the rules.
type modelled struct {
	approval gate.Approval
	state    gate.State  // as the model sees it
	end      claw.Status // the one result that must come out, by return or by Resumed
	waiter   <-chan claw.ToolResult
	asked    time.Time
}

// machine drives a gate through asking, answering, the passing of time, stops and restarts, and
// compares it with the model after each step.
type machine struct {
	*rapid.T
	w     *world
	calls map[claw.CallID]*modelled
	order []claw.CallID
	stop  context.CancelCauseFunc
	ctx   context.Context
	owner chan error
}

// live starts a life of the gateway.
func (m *machine) live() {
	m.w.restart()
	if _, err := m.w.gate.Recover(context.Background(), nil); err != nil {
		m.Fatal(err)
	}
	m.ctx, m.stop = context.WithCancelCause(context.Background())
	m.owner = make(chan error, 1)
	go func(g *gate.Gate, ctx context.Context) { m.owner <- g.RunExpiry(ctx) }(m.w.gate, m.ctx)
	synctest.Wait()
}

// die ends it; every wait returns.
func (m *machine) die() {
	m.stop(gate.ErrShutdown)
	if err := <-m.owner; err != nil {
		m.Fatal(err)
	}
	for id, c := range m.calls {
		if c.waiter == nil {
			continue
		}
		if got := <-c.waiter; got.Status != claw.Cancelled {
			m.Fatalf("at shutdown Run(%s) = %+v, want cancelled", id, got)
		}
		c.waiter = nil
	}
}

func (m *machine) Ask(*rapid.T) {
	id := claw.CallID(fmt.Sprintf("c%d", len(m.order)+1))
	call := newCall(string(id))
	call.Session = claw.SessionID(rapid.SampledFrom([]string{"s1", "s2"}).Draw(m.T, "session"))
	out := make(chan claw.ToolResult, 1)
	go func(g *gate.Gate, ctx context.Context) { out <- g.Run(ctx, call, askNote, text(string(id))) }(m.w.gate, m.ctx)
	a := m.w.question()
	m.calls[id] = &modelled{approval: a, state: gate.Pending, waiter: out, asked: time.Now()}
	m.order = append(m.order, id)
}

func (m *machine) Answer(t *rapid.T) {
	if len(m.order) == 0 {
		t.Skip("nothing asked")
	}
	id := rapid.SampledFrom(m.order).Draw(t, "call")
	c := m.calls[id]
	d := gate.Decision{Allow: rapid.Bool().Draw(t, "allow"), By: "1000", Channel: "terminal"}
	got, err := m.w.gate.Decide(context.Background(), c.approval.ID, d)
	switch c.state {
	case gate.Pending:
		if err != nil {
			m.Fatalf("Decide(%s, %v) = %v while pending", id, d.Allow, err)
		}
		c.state, c.end = gate.Denied, claw.Denied
		if d.Allow {
			c.state, c.end = gate.Done, claw.OK
		}
	case gate.Expired:
		if !errors.Is(err, gate.ErrExpired) {
			m.Fatalf("Decide(%s) = %v, %v after the deadline, want ErrExpired", id, got.State, err)
		}
	default:
		if !errors.Is(err, gate.ErrDecided) {
			m.Fatalf("Decide(%s) = %v, %v when %s, want ErrDecided", id, got.State, err, c.state)
		}
	}
}

func (m *machine) Wait(t *rapid.T) {
	time.Sleep(time.Duration(rapid.IntRange(1, 20*60).Draw(t, "seconds")) * time.Second)
	m.pass()
}

// pass expires in the model what the clock has passed.
func (m *machine) pass() {
	for _, c := range m.calls {
		if c.state == gate.Pending && time.Since(c.asked) >= gate.DefaultExpiry {
			c.state, c.end = gate.Expired, claw.Expired
		}
	}
}

func (m *machine) Stop(t *rapid.T) {
	session := claw.SessionID(rapid.SampledFrom([]string{"s1", "s2"}).Draw(t, "session"))
	if err := m.w.gate.Cancel(context.Background(), session); err != nil {
		m.Fatal(err)
	}
	for _, c := range m.calls {
		if c.state == gate.Pending && c.approval.Call.Session == session {
			c.state, c.end = gate.Cancelled, claw.Cancelled
		}
	}
}

func (m *machine) Restart(t *rapid.T) {
	m.die()
	time.Sleep(time.Duration(rapid.IntRange(0, 40*60).Draw(t, "seconds down")) * time.Second)
	m.pass()
	m.live()
}

// Check compares the gate with the model.
func (m *machine) Check(*rapid.T) {
	synctest.Wait()
	effects := map[string]int{}
	for _, line := range m.w.effects() {
		effects[line]++
	}
	var open []string
	for _, id := range m.order {
		c := m.calls[id]
		stored, err := m.w.gate.Approval(context.Background(), c.approval.ID)
		if err != nil || stored.State != c.state {
			m.Fatalf("%s is %s, %v, want %s", id, stored.State, err, c.state)
		}
		if c.state == gate.Pending {
			open = append(open, string(id))
		}
		ran := map[bool]int{true: 1}[c.state == gate.Done]
		if effects[string(id)] != ran {
			m.Fatalf("%s had %d effects when %s, want %d", id, effects[string(id)], c.state, ran)
		}
		if kinds := m.w.audit.kinds(id); slices.Contains(kinds, "intent") != (ran == 1) {
			m.Fatalf("%s has the records %q when %s", id, kinds, c.state)
		}
		m.checkEnd(id, c)
	}
	pending, err := m.w.gate.Pending(context.Background())
	var got []string
	for _, a := range pending {
		got = append(got, string(a.Call.ID))
	}
	if err != nil || !slices.Equal(got, open) {
		m.Fatalf("Pending = %q, %v, want %q", got, err, open)
	}
}

// checkEnd wants exactly one result for each call that ended: by return if somebody waits, else by
// Resumed; a cancelled call that nobody waits for goes nowhere.
func (m *machine) checkEnd(id claw.CallID, c *modelled) {
	results := m.w.desk.results(id)
	if c.waiter != nil {
		select {
		case r := <-c.waiter:
			results = append(results, r)
			c.waiter = nil
			m.w.desk.mu.Lock()
			m.w.desk.resumed[id] = results // counted from now on
			m.w.desk.mu.Unlock()
		default:
		}
	}
	switch {
	case c.state == gate.Pending && len(results) > 0:
		m.Fatalf("%s is pending and has the results %+v", id, results)
	case c.state == gate.Cancelled && len(results) == 0 && c.waiter == nil: // by /stop after a restart
	case c.state != gate.Pending && (len(results) != 1 || results[0].Status != c.end):
		m.Fatalf("%s is %s and has the results %+v, want one %s", id, c.state, results, c.end)
	}
}

func TestApprovalsFollowTheModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var failure any
		// Each history has a bubble of its own, with its own time. Rapid ends a history by a panic,
		// which has to leave the bubble before it goes on.
		synctest.Test(t, func(t *testing.T) {
			m := &machine{T: rt, w: newWorld(t, nil), calls: map[claw.CallID]*modelled{}}
			m.live()
			defer func() {
				failure = recover()
				m.stop(gate.ErrShutdown)
				<-m.owner
				synctest.Wait()
			}()
			rt.Repeat(map[string]func(*rapid.T){
				"Ask": m.Ask, "Answer": m.Answer, "Wait": m.Wait, "Stop": m.Stop, "Restart": m.Restart, "": m.Check,
			})
		})
		if failure != nil {
			panic(failure)
		}
	})
}
