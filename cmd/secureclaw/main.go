// Command secureclaw is what the user types: one file per verb, and the roles gateway, runner and bridge
// that `secureclaw up` starts as processes of their own.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/profile"
)

// version is set by the build (-ldflags "-X main.version=…").
var version = "dev"

// Exit codes, the same for every verb.
const (
	exitFailed  = 1 // it was tried and did not work
	exitUsage   = 2 // the command line is wrong
	exitConfig  = 3 // secureclaw.yaml or .env is invalid
	exitLogin   = 4 // needs login or pairing
	exitMissing = 5 // something that SecureClaw needs is not there
	exitRefused = 6 // a rule or a human said no, or nobody answered yet
)

// globals are the flags of every verb.
type globals struct {
	Home string
	JSON bool
	// Pprof is a flag of the verbs that start a role.
	Pprof bool
}

// dirs says where everything lives.
func (g *globals) dirs() (config.Dirs, error) {
	return config.Home(g.Home, os.Getenv)
}

// failure is an error with an exit code, told as what, why and fix.
type failure struct {
	code           int
	what, why, fix string
}

func (f *failure) Error() string { return f.what }

func main() {
	profile.Off()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

func run(ctx context.Context, args []string) int {
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if f, ok := errors.AsType[*failure](err); ok {
		if f.what != "" {
			fmt.Fprintf(os.Stderr, "error: %s\n", f.what)
		}
		if f.why != "" {
			fmt.Fprintf(os.Stderr, "  why  %s\n", f.why)
		}
		if f.fix != "" {
			fmt.Fprintf(os.Stderr, "  fix  %s\n", f.fix)
		}
		return f.code
	}
	if problems, ok := errors.AsType[config.Errors](err); ok {
		fmt.Fprintln(os.Stderr, problems.Error())
		return exitConfig
	}
	fmt.Fprintf(os.Stderr, "error: %v\n", err)
	if errors.Is(err, errUsage) {
		return exitUsage
	}
	return exitFailed
}

// errUsage marks what cobra found wrong with the command line.
var errUsage = errors.New("usage")

func newRoot() *cobra.Command {
	g := &globals{}
	root := &cobra.Command{
		Use:           "secureclaw",
		Short:         "A personal AI agent whose security is held by processes, containers and code",
		Version:       buildVersion(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          usageArgs(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().StringVar(&g.Home, "home", "", "folder with config/, .env, state/ and workspace/ (default: XDG folders)")
	root.PersistentFlags().BoolVar(&g.JSON, "json", false, "one JSON document on stdout (JSON lines for streams)")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w: %w\n  fix  see: %s --help", errUsage, err, cmd.CommandPath())
	})
	root.AddCommand(
		newInitCmd(g), newUpCmd(g), newChatCmd(g), newStatusCmd(g),
		newApprovalsCmd(g), newApproveCmd(g), newDenyCmd(g),
		newMemoriesCmd(g), newSessionsCmd(g), newHeartbeatsCmd(g), newUsageCmd(g),
		newConfigCmd(g), newPolicyCmd(g), newAuditCmd(g), newBenchCmd(g), newVersionCmd(g),
		newGatewayCmd(g), newRunnerCmd(g), newBridgeCmd(g),
	)
	return root
}

// usageArgs marks a wrong number of arguments as a usage error.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return fmt.Errorf("%w: %w\n  fix  see: %s --help", errUsage, err, cmd.CommandPath())
		}
		return nil
	}
}

func newVersionCmd(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print version and build", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if g.JSON {
				return printJSON(cmd.OutOrStdout(), map[string]string{"version": buildVersion(), "go": goVersion()})
			}
			fmt.Fprintf(cmd.OutOrStdout(), "secureclaw %s (%s)\n", buildVersion(), goVersion())
			return nil
		},
	}
}

func buildVersion() string { return version }

func goVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.GoVersion
	}
	return "unknown"
}
