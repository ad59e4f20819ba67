package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/secureclaw/secureclaw/internal/config"
)

// Times of the supervisor.
const (
	firstBackoff = 200 * time.Millisecond
	lastBackoff  = longestBackoff
	steadyAfter  = 30 * time.Second // a process that lived that long starts again at the first back-off
	stopGrace    = 10 * time.Second // from SIGTERM to SIGKILL
)

// role is one process that up keeps running: its arguments and its whole environment.
type role struct {
	name string
	argv []string
	env  []string
	// spare says that the others live without it: it never ends them, whatever it dies of.
	spare bool
}

// plan says which processes run and what each of them may know. A role's environment is written
// from nothing: what is not listed here, no secret above all, does not reach it.
func plan(self, home, boot string, secrets config.Secrets, publicKey string, environ []string) []role {
	base := pick(environ, "PATH", "HOME", "LANG", "TZ", "SECURECLAW_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
	base = append(base, envBoot+"="+boot)
	base = append(base, pick(environ, failpointEnv()...)...)
	args := func(name ...string) []string {
		argv := append([]string{self}, name...)
		if home != "" {
			argv = append(argv, "--home", home)
		}
		return argv
	}
	secret := secrets.Partition(publicKey)
	gateway := slices.Concat(base, pick(environ, "ANTHROPIC_BASE_URL", "OPENAI_BASE_URL"), secret.Gateway)
	runner := slices.Concat(base, pick(environ, "DOCKER_HOST"), secret.Runner)
	// The order of starting; stopping goes the other way.
	roles := []role{
		{name: "runner", argv: args("runner"), env: runner},
		{name: "gateway", argv: args("gateway"), env: gateway},
	}
	if secrets.TelegramBotToken != "" {
		roles = append(roles, role{name: "bridge", argv: args("bridge", "telegram"), env: slices.Concat(base, bridgeMemory(), secret.Bridge), spare: true})
	}
	return roles
}

// bridgeMemory keeps the bridge small: it holds nothing for long, so collecting often costs it little.
func bridgeMemory() []string { return []string{"GOMEMLIMIT=16MiB", "GOGC=50"} }

// pick returns the named variables of an environment.
func pick(environ []string, names ...string) []string {
	var out []string
	for _, kv := range environ {
		name, _, ok := strings.Cut(kv, "=")
		if ok && slices.Contains(names, name) {
			out = append(out, kv)
		}
	}
	return out
}

// supervisor starts roles, restarts what dies and stops them in order.
type supervisor struct {
	roles []role
	log   *slog.Logger
	now   func() time.Time
}

func newSupervisor(roles []role, log *slog.Logger, now func() time.Time) *supervisor {
	return &supervisor{roles: roles, log: log, now: now}
}

// fatalExit is the code by which a role says that starting it again cannot help: its
// configuration is invalid, or another gateway owns the state.
const fatalExit = exitConfig

// run keeps the roles alive until ctx ends or one of them says that it cannot run. It returns when all are gone.
func (s *supervisor) run(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	type keeper struct {
		stop context.CancelFunc
		done chan struct{}
	}
	var keepers []keeper
	for _, r := range s.roles {
		// Each has a context of its own, so that they can be stopped one after the other.
		roleCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
		k := keeper{stop, make(chan struct{})}
		keepers = append(keepers, k)
		go func() {
			defer close(k.done)
			if err := s.keep(roleCtx, r); err != nil {
				fail(err)
			}
		}()
	}
	<-ctx.Done()
	for _, k := range slices.Backward(keepers) {
		k.stop()
		<-k.done
	}
	return context.Cause(ctx)
}

// keep runs one role again and again.
func (s *supervisor) keep(ctx context.Context, r role) error {
	backoff := firstBackoff
	for {
		began := s.now()
		err := s.once(ctx, r)
		if ctx.Err() != nil {
			return nil
		}
		exit, exited := errors.AsType[*exec.ExitError](err)
		fatal := exited && exit.ExitCode() == fatalExit
		if fatal && !r.spare {
			return &failure{code: exitConfig, what: r.name + " cannot run", why: "see its message above", fix: "secureclaw config check"}
		}
		if s.now().Sub(began) > steadyAfter {
			backoff = firstBackoff
		}
		if fatal {
			backoff = lastBackoff // it will hardly be better at once
		}
		s.log.Warn("process ended, starting it again", roleKey, r.name, "err", err, "after", backoff)
		select {
		case <-time.After(backoff):
		case <-ctx.Done():
			return nil
		}
		backoff = min(backoff*2, lastBackoff)
	}
}

// once runs a role's process to its end. Cancelling asks it to stop, and kills it when it does not.
func (s *supervisor) once(ctx context.Context, r role) error {
	cmd := exec.CommandContext(ctx, r.argv[0], r.argv[1:]...)
	cmd.Env = r.env
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopGrace
	// A group of its own, so that Ctrl-C reaches only us and the order of stopping is ours; and no
	// orphan: when we die, even by SIGKILL, the kernel ends it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	reader, writer := io.Pipe()
	cmd.Stderr, cmd.Stdout = writer, writer
	logged := make(chan struct{})
	go func() { defer close(logged); s.forward(r.name, reader) }()
	// Pdeathsig fires when the starting thread ends; the goroutine is locked to it for the process's life.
	err := runLocked(cmd)
	_ = writer.Close()
	<-logged
	if err != nil {
		return fmt.Errorf("%s: %w", r.name, err)
	}
	return fmt.Errorf("%s: ended", r.name)
}

// forward writes a role's lines into our log, each with its name.
func (s *supervisor) forward(name string, r io.Reader) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if line = strings.TrimRight(line, "\n"); line != "" {
			s.log.Info(line, roleKey, name)
		}
		if err != nil {
			_, _ = io.Copy(io.Discard, r)
			return
		}
	}
}
