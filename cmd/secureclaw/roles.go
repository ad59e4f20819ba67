package main

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/secureclaw/secureclaw/bridge/telegram"
	"github.com/secureclaw/secureclaw/gateway"
	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/seal"
	"github.com/secureclaw/secureclaw/runner"
)

// Names in the environment of the roles that are not secrets of the user's.
const (
	envPublicKey = "CAPABILITY_PUBLIC_KEY"
	envBoot      = "SECURECLAW_BOOT"
)

func newGatewayCmd(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use: "gateway", Short: "Run the gateway alone (a role that `up` starts)", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return runGateway(cmd.Context(), g) },
	}
	pprofFlag(cmd, g)
	return cmd
}

func newRunnerCmd(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use: "runner", Short: "Run the runner alone (a role that `up` starts)", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return runRunner(cmd.Context(), g) },
	}
	pprofFlag(cmd, g)
	return cmd
}

func newBridgeCmd(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use: "bridge", Short: "Run a bridge to a messenger alone (a role that `up` starts)", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use: "telegram", Short: "Run the bridge to Telegram", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return runTelegram(cmd.Context(), g) },
	})
	return cmd
}

// runGateway takes its secrets from the environment alone: the supervisor (or a service manager)
// decided what this process may know.
func runGateway(ctx context.Context, g *globals) error {
	if err := gateway.Seal(); err != nil {
		return err
	}
	dirs, cfg, warnings, err := loadAll(g)
	if err != nil {
		return err
	}
	secrets, err := config.LoadSecrets("", os.Environ(), config.SecretOptions{})
	if err != nil {
		return err
	}
	if secrets.CapabilitySecret == "" {
		return &failure{exitConfig, "the gateway has no CAPABILITY_SECRET", "it is in .env, which only `secureclaw up` reads", "secureclaw up, or put it into the service's environment"}
	}
	defer serveProfiles(ctx, g, dirs, gatewayRole)()
	err = gateway.Run(ctx, gateway.Options{
		Config: cfg, Warnings: warnings, Secrets: secrets,
		State: dirs.State, Socket: filepath.Join(dirs.Runtime, gatewaySocket), RunnerSocket: filepath.Join(dirs.Runtime, runnerSocket),
		Version: buildVersion(), Now: time.Now, Log: roleLog(), Step: stepHook(),
	})
	if errors.Is(err, gateway.ErrOwned) {
		return &failure{exitConfig, "another gateway owns this state folder", err.Error(), "stop it first, or use another --home"}
	}
	if _, ok := errors.AsType[*gateway.AuditDamage](err); ok {
		// Starting again would find the same damage.
		f := auditFailure(dirs.State, err)
		f.code = exitConfig
		return f
	}
	return err
}

func runRunner(ctx context.Context, g *globals) error {
	dirs, cfg, _, err := loadAll(g)
	if err != nil {
		return err
	}
	key, err := base64.StdEncoding.DecodeString(os.Getenv(envPublicKey))
	if err != nil || len(key) != ed25519.PublicKeySize {
		return &failure{exitConfig, "the runner has no " + envPublicKey, "without the verifying key every task would be refused", "secureclaw up derives it; for a service: secureclaw config explain capability"}
	}
	boot := os.Getenv(envBoot)
	if boot == "" {
		boot = newRef()
	}
	defer serveProfiles(ctx, g, dirs, runnerRole)()
	return runner.Run(ctx, runner.Options{
		Config: cfg, Socket: filepath.Join(dirs.Runtime, runnerSocket), PublicKey: ed25519.PublicKey(key), Boot: boot, StateDir: dirs.State,
		DockerHost: os.Getenv("DOCKER_HOST"), RuntimeDir: os.Getenv("XDG_RUNTIME_DIR"), Now: time.Now, Log: roleLog(), Version: buildVersion(), Step: stepHook(),
	})
}

// runTelegram reads no file, not even the configuration: a token, a list of users, and the gateway's socket.
func runTelegram(ctx context.Context, g *globals) error {
	if err := seal.Process(); err != nil {
		return err
	}
	dirs, err := g.dirs()
	if err != nil {
		return err
	}
	secrets, err := config.LoadSecrets("", os.Environ(), config.SecretOptions{})
	if err != nil {
		return err
	}
	if secrets.TelegramBotToken == "" {
		return &failure{exitConfig, "the bridge has no TELEGRAM_BOT_TOKEN", "it is in .env, which only `secureclaw up` reads", "secureclaw init sets it; for a service, put it into its environment"}
	}
	lean()
	return telegram.Run(ctx, telegram.Options{
		Token: secrets.TelegramBotToken.Reveal(), Allowed: secrets.AllowedUserIDs, APIURL: secrets.TelegramAPIURL,
		Socket: filepath.Join(dirs.Runtime, gatewaySocket), Program: "secureclaw " + buildVersion(),
		Now: time.Now, Log: roleLog(), Step: stepHook(), Location: time.Local,
	})
}

// loadAll reads folders and configuration.
func loadAll(g *globals) (config.Dirs, *config.Config, []string, error) {
	dirs, err := g.dirs()
	if err != nil {
		return config.Dirs{}, nil, nil, err
	}
	cfg, found, err := config.Load(dirs.Config, config.LoadOptions{Dirs: dirs, Env: os.Getenv})
	if err != nil {
		return config.Dirs{}, nil, nil, err
	}
	var warnings []string
	for _, w := range found {
		warnings = append(warnings, w.String())
	}
	return dirs, cfg, warnings, nil
}

// roleLog writes plain lines; the supervisor adds the role's name and the time.
func roleLog() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey && os.Getenv(envBoot) != "" {
			return slog.Attr{}
		}
		return a
	}}))
}
