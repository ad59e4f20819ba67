package gateway_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/gateway"
	"github.com/secureclaw/secureclaw/gateway/internal/audit"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
	"github.com/secureclaw/secureclaw/internal/capability"
	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
)

const (
	owner = 4001
	guest = 4002
	key   = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGH"
)

// home is a whole gateway without a runner; the rehearsal model answers.
type home struct {
	t    *testing.T
	dir  string
	stop func()
}

func newHome(t *testing.T) *home { return &home{t: t, dir: t.TempDir(), stop: func() {}} }

func (h *home) start() {
	t := h.t
	t.Helper()
	cfg, _, err := config.Load(filepath.Join(h.dir, "secureclaw.yaml"), config.LoadOptions{Dirs: config.Dirs{Home: h.dir}, Env: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- gateway.Run(ctx, gateway.Options{
			Config: cfg, Secrets: config.Secrets{CapabilitySecret: key, AllowedUserIDs: []int64{owner, guest}},
			State: filepath.Join(h.dir, "state"), Socket: filepath.Join(h.dir, "run", "g.sock"), RunnerSocket: filepath.Join(h.dir, "run", "r.sock"),
			Version: "test", Now: time.Now, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		})
	}()
	stopped := false
	h.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	t.Cleanup(h.stop)
	h.listens()
}

// listens waits until a channel can connect.
func (h *home) listens() {
	h.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		if conn, err := net.Dial("unix", filepath.Join(h.dir, "run", "g.sock")); err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatal("the gateway does not listen")
		}
		time.Sleep(time.Millisecond)
	}
}

func (h *home) dial(role string) *wire.Conn {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := wire.Dial(ctx, filepath.Join(h.dir, "run", "g.sock"), wire.Hello{Role: role, Program: "test"})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// await reads frames up to one that is looked for; of a bridge, it says that everything is shown.
func (h *home) await(conn *wire.Conn, what string, is func(wire.Down) bool) {
	h.t.Helper()
	alarm := time.AfterFunc(20*time.Second, func() { _ = conn.Close() })
	defer alarm.Stop()
	for {
		var d wire.Down
		if err := conn.Receive(&d); err != nil {
			h.t.Fatalf("waiting for %s: %v", what, err)
		}
		if s := d.Send; s != nil {
			up := wire.Up{Sent: &wire.Sent{Item: s.Item, Part: s.Part, Parts: s.Part + 1, Ref: fmt.Sprint(s.Item)}}
			if s.Card != nil {
				up.Sent.State = s.Card.State
			}
			if err := conn.Send(up); err != nil {
				h.t.Fatal(err)
			}
		}
		if is(d) {
			return
		}
	}
}

func text(user int, words ...string) func(wire.Down) bool {
	return func(d wire.Down) bool {
		if d.Send == nil || d.Send.Kind != wire.SendText || d.Send.User != fmt.Sprint(user) {
			return false
		}
		for _, w := range words {
			if !strings.Contains(d.Send.Text, w) {
				return false
			}
		}
		return true
	}
}

// Calls that an earlier gateway began and of which nobody knows how they ended: whoever caused them
// is told, once, and so is every terminal.
func TestUnknownEndsAreTold(t *testing.T) {
	h := newHome(t)
	h.leaveBehind()
	h.start()
	terminal := h.dial("terminal")
	h.await(terminal, "a notice", func(d wire.Down) bool { return d.Notice != nil && strings.Contains(d.Notice.Text, "--call call_auto") })
	if err := terminal.Send(wire.Up{Query: &wire.Query{Ref: "s", What: wire.QueryStatus}}); err != nil {
		t.Fatal(err)
	}
	h.await(terminal, "the warnings", func(d wire.Down) bool {
		return d.Answer != nil && d.Answer.Status != nil && strings.Contains(fmt.Sprint(d.Answer.Status.Warnings), "--call call_asked")
	})
	bridge := h.dial("telegram")
	seen := map[string]bool{}
	h.await(bridge, "three sentences", func(d wire.Down) bool {
		if text(guest, "call\\_known")(d) {
			t.Errorf("a call whose result the conversation has is told as unknown: %q", d.Send.Text)
		}
		for name, is := range map[string]func(wire.Down) bool{
			"auto":     text(guest, "write\\_file", time.Now().Format("2006-01-02"), "may have had effects", "not repeated", "audit query --call call\\_auto"),
			"approved": text(guest, "run\\_shell\\_command", "call\\_asked"),
			"terminal": text(owner, "read\\_file", "call\\_terminal"),
		} {
			seen[name] = seen[name] || is(d)
		}
		return seen["auto"] && seen["approved"] && seen["terminal"]
	})
	// With the answer to a question in hand we know that what came before is stored as shown.
	quiet := func(id string) {
		t.Helper()
		for _, user := range []int{guest, owner} {
			if err := bridge.Send(wire.Up{Message: &wire.Message{ID: fmt.Sprint(id, user), User: fmt.Sprint(user), Text: "/nonsense"}}); err != nil {
				t.Fatal(err)
			}
			h.await(bridge, "an answer", func(d wire.Down) bool {
				if d.Send != nil && strings.Contains(d.Send.Text, "audit query") {
					t.Errorf("told again: %q", d.Send.Text)
				}
				return text(user, "There is no command")(d)
			})
		}
	}
	quiet("a")
	h.stop()
	h.start()
	bridge = h.dial("telegram")
	quiet("b")
}

// leaveBehind makes a state folder in which two calls began unasked and one was approved and started.
func (h *home) leaveBehind() {
	t := h.t
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	secret, err := capability.DeriveAuditKey(key)
	must(err)
	must(os.MkdirAll(filepath.Join(h.dir, "state"), 0o700))
	log, err := audit.Open(filepath.Join(h.dir, "state", "audit"), audit.Options{Key: ed25519.PrivateKey(secret), Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	must(err)
	for call, origin := range map[string]claw.Origin{
		"call_auto":     {Channel: "telegram", User: fmt.Sprint(guest)},
		"call_terminal": {Channel: "terminal", User: "1000"},
		"call_known":    {Channel: "telegram", User: fmt.Sprint(guest)}, // its result is in the conversation
	} {
		tool := map[string]string{"call_auto": "write_file", "call_terminal": "read_file", "call_known": "stat"}[call]
		_, err := log.Append(t.Context(), audit.Record{Kind: audit.KindIntent, Session: "s", Run: "r", Call: call, Fields: map[string]any{
			"tool": tool, "input": map[string]any{"path": "/x"}, "origin": origin, "step": 1,
		}})
		must(err)
	}
	must(log.Close())
	db, err := sqlite.Open(t.Context(), filepath.Join(h.dir, "state", "gateway"))
	must(err)
	now := time.Now()
	_, err = db.CreateSession(t.Context(), claw.Session{ID: "s", Channel: "telegram", User: fmt.Sprint(guest), Created: now})
	must(err)
	must(db.AppendTurn(t.Context(), "s", claw.Turn{Role: claw.User, Results: []claw.ToolResult{{Call: "call_known", Tool: "stat", Status: claw.OK}}}))
	a := gate.Approval{
		ID: strings.Repeat("a", 32), Code: "ABCD", State: gate.Pending, Asked: now, Deadline: now.Add(time.Hour),
		Call:   gate.Call{ID: "call_asked", Session: "s", Run: "r", Origin: claw.Origin{Channel: "telegram", User: fmt.Sprint(guest)}},
		Action: claw.Action{Tool: "run_shell_command", Input: strict.Value(`{}`)}, Digest: strings.Repeat("b", 64),
	}
	must(db.Approvals().Insert(t.Context(), a))
	for _, to := range [][2]gate.State{{gate.Pending, gate.Allowed}, {gate.Allowed, gate.Started}} {
		change := gate.Change{At: now}
		if to[1] == gate.Allowed {
			change.Decision = &gate.Decision{Allow: true, By: fmt.Sprint(guest), Channel: "telegram"}
		}
		if ok, err := db.Approvals().Move(t.Context(), a.ID, to[0], to[1], change); err != nil || !ok {
			t.Fatal(ok, err)
		}
	}
	must(db.Close())
}

// A whole gateway answers a messenger's user, and says what its audit log says.
func TestMessengerTalksToAGateway(t *testing.T) {
	h := newHome(t)
	h.start()
	bridge := h.dial("telegram")
	say := func(id string, user int, what string) {
		t.Helper()
		if err := bridge.Send(wire.Up{Message: &wire.Message{ID: id, User: fmt.Sprint(user), Text: what, Sent: time.Now()}}); err != nil {
			t.Fatal(err)
		}
	}
	say("m1", owner, "hello")
	h.await(bridge, "an answer", text(owner))
	say("m2", 666, "hello")
	h.await(bridge, "a refusal", func(d wire.Down) bool { return d.Fault != nil && d.Fault.Code == "user" })
	say("m3", owner, "/status")
	h.await(bridge, "the status", text(owner, "version test", "Telegram: ok", "Runner: the runner does not answer"))
	say("m4", owner, "/audit")
	h.await(bridge, "the audit log", text(owner, "message from telegram 4001", "not allowed: telegram 666", "written without a fault"))
	say("m5", owner, "/heartbeats")
	h.menu(bridge, owner, "No heartbeat is configured")
}
