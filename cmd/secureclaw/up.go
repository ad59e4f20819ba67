package main

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/secureclaw/secureclaw/internal/capability"
	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/wire"
)

func newUpCmd(g *globals) *cobra.Command {
	var chat bool
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start everything on this machine and keep it running",
		Long: `Reads .env, starts gateway and runner as processes of their own, and the bridge to Telegram when there
is a bot; gives each only its own secrets, restarts what dies, and stops them in order on Ctrl-C. With
--chat, a conversation in this terminal.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return up(cmd.Context(), g, chat, cmd.ErrOrStderr(), cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&chat, "chat", false, "talk to the agent in this terminal; its end stops everything")
	pprofFlag(cmd, g)
	return cmd
}

func up(ctx context.Context, g *globals, chat bool, stderr, stdout io.Writer) error {
	began := time.Now()
	dirs, err := g.dirs()
	if err != nil {
		return err
	}
	if err := dirs.Prepare(); err != nil {
		return err
	}
	if conn, err := dialGateway(ctx, g); err == nil {
		_ = conn.Close()
		return &failure{exitConfig, "SecureClaw is already running on this home", "a gateway answers at " + filepath.Join(dirs.Runtime, gatewaySocket), "talk to it: secureclaw chat" + homeFlag(g.Home) + "; or use another --home"}
	}
	cfg, warnings, err := config.Load(dirs.Config, config.LoadOptions{Dirs: dirs, Env: os.Getenv})
	if err != nil {
		return err
	}
	if err := checkRules(dirs.Config, cfg); err != nil {
		return err
	}
	for _, w := range warnings {
		fmt.Fprintf(stderr, "warning: %s\n", w)
	}
	messenger, more, err := messengerPlan(dirs, os.Environ())
	if err != nil {
		return err
	}
	for _, w := range more {
		fmt.Fprintf(stderr, "warning: %s\n", visible(w.String()))
	}
	log, closeLog, err := openLog(dirs, chat, stderr)
	if err != nil {
		return err
	}
	defer closeLog()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done, status, err := launch(ctx, g, dirs, os.Environ(), log)
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "ready in %d ms · %s · runner %s%s · %s\n", time.Since(began).Milliseconds(), status.Model, status.Runner, messenger, talkHint(g, chat))
	for _, m := range cfg.Mounts {
		fmt.Fprintf(stderr, "shared   %s (%s) as %s\n", m.Host, m.Mode, m.Container)
	}
	if status.Runner != "ok" && status.Fix != "" {
		fmt.Fprintf(stderr, "  fix  %s\n", status.Fix)
	}
	if chat {
		conn, err := dialGateway(ctx, g)
		if err == nil {
			err = chatInteractive(ctx, conn, place{session: terminalSession, home: g.Home, stops: true}, os.Stdin, stdout)
			_ = conn.Close()
		}
		cancel()
		return errors.Join(err, ignoreCancel(<-done))
	}
	return ignoreCancel(<-done)
}

// messengerPlan says for the line of readiness which messenger is started, and what is wrong with it.
// Nothing waits for a messenger: the network may be away, and everything else works.
func messengerPlan(dirs config.Dirs, environ []string) (words string, warnings []config.Warning, err error) {
	secrets, err := config.LoadSecrets(dirs.Env, environ, config.SecretOptions{})
	if err != nil || secrets.TelegramBotToken == "" {
		return "", nil, err
	}
	return " · telegram connecting", secrets.Warnings(dirs.Env), nil
}

// launch starts the roles and returns when they are ready. Its channel gets one value when all of them are gone.
func launch(ctx context.Context, g *globals, dirs config.Dirs, environ []string, log *slog.Logger) (<-chan error, *wire.GatewayStatus, error) {
	secrets, err := config.LoadSecrets(dirs.Env, environ, config.SecretOptions{Generate: true})
	if err != nil {
		return nil, nil, err
	}
	key, err := capability.DeriveKey(secrets.CapabilitySecret.Reveal())
	if err != nil {
		return nil, nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, nil, fmt.Errorf("own program file: %w", err)
	}
	public := base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
	roles := plan(self, g.Home, newRef(), secrets, public, environ)
	if g.Pprof {
		roles = profiled(roles)
	}
	s := newSupervisor(roles, log, time.Now)

	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		defer cancel()
		done <- s.run(ctx)
	}()
	status, err := awaitReady(ctx, g, dirs, done)
	if err != nil {
		cancel()
		return nil, nil, errors.Join(err, ignoreCancel(<-done))
	}
	return done, status, nil
}

// awaitReady asks until gateway and runner both answer, or the supervisor gives up.
func awaitReady(ctx context.Context, g *globals, dirs config.Dirs, done chan error) (*wire.GatewayStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if status, err := tryStatus(ctx, g); err == nil && status.RunnerUp {
			return status, nil
		}
		select {
		case err := <-done:
			done <- nil // whoever waits next finds it ended
			return nil, err
		case <-ctx.Done():
			return nil, &failure{exitFailed, "SecureClaw did not become ready in a minute", "gateway or runner does not answer", "read the log: " + filepath.Join(dirs.State, "secureclaw.log")}
		case <-tick.C:
		}
	}
}

func tryStatus(ctx context.Context, g *globals) (*wire.GatewayStatus, error) {
	conn, err := dialGateway(ctx, g)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return fetchStatus(ctx, conn)
}

func talkHint(g *globals, chat bool) string {
	if chat {
		return "Ctrl-D leaves and stops everything"
	}
	return "talk: secureclaw chat" + homeFlag(g.Home)
}

// openLog is stderr, or a file when the terminal is used for talking.
func openLog(dirs config.Dirs, chat bool, stderr io.Writer) (*slog.Logger, func(), error) {
	if !chat {
		return slog.New(newLines(stderr)), func() {}, nil
	}
	path := filepath.Join(dirs.State, "secureclaw.log")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("log: %w", err)
	}
	return slog.New(newLines(file)), func() { _ = file.Close() }, nil
}

func ignoreCancel(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
