// Package gateway is the brain: it talks to the user's channels and to the model, decides about
// tool calls, and keeps memory, approvals and the audit log. [Run] wires it, and nothing else does.
//
// It holds the model key and the key that mints capability tokens. It has no hands: it never
// opens the engine's socket, starts no process and opens none of the user's files; what shall
// happen goes to the runner as a signed token. The one folder that it writes into beside its state
// is the inbox, and only what a user sent by a messenger.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/agent"
	"github.com/secureclaw/secureclaw/gateway/internal/audit"
	"github.com/secureclaw/secureclaw/gateway/internal/chat"
	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/dispatch"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/gateway/internal/heartbeat"
	"github.com/secureclaw/secureclaw/gateway/internal/memory"
	"github.com/secureclaw/secureclaw/gateway/internal/policy"
	"github.com/secureclaw/secureclaw/gateway/internal/sqlite"
	"github.com/secureclaw/secureclaw/gateway/internal/task"
	"github.com/secureclaw/secureclaw/internal/capability"
	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/wire"
)

// ErrOwned says that another gateway runs on this state folder.
var ErrOwned = sqlite.ErrLocked

// Options is what one gateway is made of.
type Options struct {
	Config   *config.Config
	Warnings []string
	Secrets  config.Secrets
	// State is the folder of the databases and the audit log, Socket where channels connect,
	// RunnerSocket where the runner listens.
	State, Socket, RunnerSocket string
	Version                     string
	Now                         func() time.Time
	Log                         *slog.Logger
	// Messengers are users of messengers, by their stable ids, beside those of the secrets; the first of each owns this SecureClaw there.
	Messengers map[string][]string
	// Step is called at each named step of a call, a message and an outbox item, for crash tests; nil does nothing.
	Step func(name string)
}

// Run is the gateway's life. It returns when ctx ends and everything is stored, or when it cannot go on.
func Run(ctx context.Context, o Options) (err error) {
	started := o.Now()
	rules, err := policy.New(o.Config.ActionTiers, o.Config)
	if err != nil {
		return fmt.Errorf("actionTiers: %w", err)
	}
	db, err := sqlite.Open(ctx, filepath.Join(o.State, "gateway"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	auditKey, err := capability.DeriveAuditKey(o.Secrets.CapabilitySecret.Reveal())
	if err != nil {
		return err
	}
	log, err := audit.Open(filepath.Join(o.State, "audit"), audit.Options{
		Key: auditKey, Redact: o.Secrets.Known(), Now: o.Now, Log: o.Log,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()

	mintKey, err := capability.DeriveKey(o.Secrets.CapabilitySecret.Reveal())
	if err != nil {
		return err
	}
	var desk *chat.Desk // made last; nothing is shown before it serves
	box := newOutbox(o, db, log, func() *chat.Desk { return desk })
	board := chat.NewBoard(chat.BoardOptions{Outbox: box, Users: users(o), Inbox: inbox(o.Config), Root: root(db), Now: o.Now, Log: o.Log})
	hands := dispatch.New(dispatch.Options{
		Socket: o.RunnerSocket, Program: "secureclaw " + o.Version, Minter: capability.NewMinter(mintKey, o.Now), Config: o.Config,
		Deliver: board.Deliver, Keep: board.Keep, Egress: egress(o, log),
	})
	known, err := memory.New(memory.Options{Store: db, Owner: users(o).Person, Now: o.Now, Log: o.Log, Location: time.Local})
	if err != nil {
		return err
	}
	defer known.Close() // before the database
	door, err := gate.New(gate.Options{
		Tools: slices.Concat(hands.Tools(), known.Tools(), task.Tool(db, o.Now)), Policy: rules, Store: db.Approvals(), Audit: log, Asker: board,
		Expiry: expiry(o.Config.Approvals), Now: o.Now, Log: o.Log, Step: o.Step,
	})
	if err != nil {
		return err
	}
	model, err := newModel(o)
	if err != nil {
		return err
	}
	purse := &budget{limits: o.Config.Limits, store: db, now: o.Now, announce: board.Announce}
	mind, err := agent.New(agent.Options{
		Model: model, Hands: door, History: db, Prompt: prompt(o), Recall: known, Budget: purse, Leave: task.ToolPlan,
		Context: o.Config.LLM.Context, MaxTokens: o.Config.LLM.MaxTokens, Rounds: o.Config.LLM.Iterations, Now: o.Now, Log: o.Log, Step: o.Step,
	})
	if err != nil {
		return err
	}

	tasks, err := task.New(task.Options{
		Agent: mind, Store: db, Fate: door.Fate, TokensPerTask: o.Config.Limits.TokensPerTask, Now: o.Now, Log: o.Log, Step: o.Step,
	})
	if err != nil {
		return err
	}
	clock, err := heartbeat.New(heartbeat.Options{
		Heartbeats: heartbeats(o.Config), Store: db, Now: o.Now, Log: o.Log, Step: o.Step,
		Beat: func(ctx context.Context, msg claw.Message) error { return desk.Beat(ctx, msg) },
	})
	if err != nil {
		return err
	}
	kept := &keep{
		o: o, db: db, memory: known, clock: clock, budget: purse, note: note(o, log), record: record(log), desk: func() *chat.Desk { return desk },
	}
	desk = chat.New(chat.Options{
		Board: board, Agent: tasks, Tasks: tasks, Gate: door, Store: db, Now: o.Now, Log: o.Log, Step: o.Step,
		Clock: clock, Memories: known, Manage: kept.managers(), Inbox: inbox(o.Config), LateAfter: time.Duration(o.Config.Approvals.LateAfter),
		Foresee: func(ctx context.Context, msg claw.Message) func() {
			known.Foresee(msg.Origin, msg.Text)
			return mind.Foresee(ctx, msg.Session, msg.Origin)
		},
		Note:    note(o, log),
		Journal: journal(o, log),
		Record: func(ctx context.Context, msg claw.Message, run claw.RunID) error {
			_, err := log.Append(ctx, audit.Record{Kind: "message", Session: string(msg.Session), Run: string(run), Fields: map[string]any{
				"id": msg.ID, "channel": msg.Origin.Channel, "user": msg.Origin.User, "text": msg.Text,
			}})
			return err
		},
		Status: func(ctx context.Context) wire.GatewayStatus {
			s := status(ctx, o, started, model.Name(), hands, door, log, desk)
			purse.show(ctx, &s)
			return s
		},
	})
	ln, err := wire.Listen(o.Socket, wire.Hello{Role: "gateway", Program: "secureclaw " + o.Version})
	if err != nil {
		return err
	}
	unknown, err := recoverCalls(ctx, o, db, door, log, board)
	if err != nil {
		return err
	}
	o.Warnings = append(slices.Clip(o.Warnings), unknown...) // before anybody can ask for the status
	if _, err := log.Append(ctx, audit.Record{Kind: "gateway.started", Fields: map[string]any{"version": o.Version, "model": model.Name()}}); err != nil {
		return err
	}
	var watched *browsing
	if _, ok := o.Config.Executors["web"]; ok {
		watched = &browsing{status: hands.Status, announce: board.Announce, note: note(o, log), now: o.Now, off: wasOff(ctx, o)}
	}
	return serve(ctx, desk, door, clock, watched, ln)
}

// root finds the conversation that a session works for. One that cannot be read is its own: it only decides
// who looks on.
func root(db *sqlite.DB) func(claw.SessionID) claw.SessionID {
	return func(session claw.SessionID) claw.SessionID {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if parent, err := db.Parent(ctx, session); err == nil && parent != "" {
			return parent
		}
		return session
	}
}

// serve runs the loops of the gateway; the end of desk or door ends the others. watched may be nil.
func serve(ctx context.Context, desk *chat.Desk, door *gate.Gate, clock *heartbeat.Clock, watched *browsing, ln *wire.Listener) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var beside sync.WaitGroup
	defer func() { cancel(nil); beside.Wait() }()
	if watched != nil {
		beside.Go(func() { watched.run(ctx) })
	}
	beside.Go(func() {
		if err := clock.Run(ctx); err != nil && ctx.Err() == nil {
			cancel(err) // a clock that stands still must not look like one that goes
		}
	})
	expired := make(chan error, 1)
	go func() {
		err := door.RunExpiry(ctx)
		cancel(err)
		expired <- err
	}()
	err := desk.Serve(ctx, ln)
	cancel(err)
	if other := <-expired; err == nil && !errors.Is(other, context.Canceled) {
		err = other
	}
	return err
}

// expiry says how long a question stays open, by who set its run in motion.
func expiry(a config.Approvals) func(claw.Origin) time.Duration {
	return func(origin claw.Origin) time.Duration {
		if origin.Channel == "heartbeat" {
			return time.Duration(a.HeartbeatExpiry)
		}
		return time.Duration(a.Expiry)
	}
}

// prompt tells the model of the folders that executors see, and of the owner when it is he who speaks.
func prompt(o Options) agent.Prompt {
	p := agent.Prompt{Location: time.Local, Profile: func(origin claw.Origin) agent.Profile {
		if users(o).Person(origin) != claw.Owner {
			return agent.Profile{}
		}
		return agent.Profile{Name: o.Config.User.Name, About: o.Config.User.About}
	}}
	for _, m := range o.Config.Mounts {
		p.Folders = append(p.Folders, agent.Folder{Path: m.Container, Mode: m.Mode})
	}
	return p
}

// status gathers what `secureclaw status` shows.
func status(ctx context.Context, o Options, started time.Time, model string, hands *dispatch.Dispatch, door *gate.Gate, log *audit.Log, desk *chat.Desk) wire.GatewayStatus {
	s := wire.GatewayStatus{
		Version: o.Version, PID: os.Getpid(), Started: started, Model: model, Audit: "ok", Runner: "ok",
		Running: desk.Running(), Warnings: o.Warnings,
	}
	if err := log.Err(); err != nil {
		s.Audit = "broken, so nothing runs: " + err.Error()
	}
	if pending, err := door.Pending(ctx); err == nil {
		s.Pending = len(pending)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	runner, err := hands.Status(ctx)
	if err != nil {
		s.Runner, s.Fix = err.Error(), "secureclaw up starts it; look into its log"
		if _, ok := o.Config.Executors["web"]; ok {
			s.Browsing = "the runner does not answer"
		}
		return s
	}
	s.RunnerUp, s.Engine, s.ReadyMost = true, runner.Engine, runner.ReadyMost
	for _, r := range runner.Ready {
		s.Ready = append(s.Ready, wire.Ready(r))
	}
	problem := runner.Problem
	for _, e := range runner.Executors {
		if problem == nil && e.Kind != "web" {
			problem = e.Problem
		}
	}
	if problem != nil {
		s.Runner, s.Fix = sentences(problem.What, problem.Why), problem.Fix
	}
	if _, ok := o.Config.Executors["web"]; ok {
		s.Browsing = "ok"
		if web := problemOf(runner, "web"); web != nil {
			s.Browsing = sentences(web.What, web.Why, web.Fix)
		}
	}
	return s
}
