package main

import (
	"context"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/profile"
)

// The roles that can say where their time goes. A bridge cannot: it reads what strangers send.
const (
	gatewayRole = "gateway"
	runnerRole  = "runner"
)

// pprofFlag adds --pprof and says how to ask.
func pprofFlag(cmd *cobra.Command, g *globals) {
	cmd.Flags().BoolVar(&g.Pprof, "pprof", false, "serve profiles of gateway and runner on sockets in the runtime folder, to your own user alone")
	cmd.Example += `  With --pprof, in the runtime folder, which the log names (of a --home: its run/):
    curl --unix-socket pprof-gateway.sock http://x/debug/pprof/heap >heap.pb.gz
    curl --unix-socket pprof-runner.sock 'http://x/debug/pprof/profile?seconds=10' >cpu.pb.gz
    go tool pprof -top cpu.pb.gz`
}

// profileSocket is where a role's profiles are.
func profileSocket(dirs config.Dirs, role string) string {
	return filepath.Join(dirs.Runtime, "pprof-"+role+".sock")
}

// serveProfiles serves a role's profiles, if that was asked for, until what it returns is called. A
// role works without them: that they cannot be served is said and no more.
func serveProfiles(ctx context.Context, g *globals, dirs config.Dirs, role string) (stop func()) {
	if !g.Pprof {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		log := roleLog()
		if err := profile.Serve(ctx, profileSocket(dirs, role), log); ctx.Err() == nil {
			log.Warn("no profiles", "err", err)
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// profiled passes --pprof on to the roles that know it.
func profiled(roles []role) []role {
	out := slices.Clone(roles)
	for i, r := range out {
		if r.name == gatewayRole || r.name == runnerRole {
			out[i].argv = append(slices.Clone(r.argv), "--pprof")
		}
	}
	return out
}
