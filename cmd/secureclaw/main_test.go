package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "rewrite golden files")

// TestMain runs this binary again as the program, or as a supervisor of one sleeping process.
func TestMain(m *testing.M) {
	switch os.Getenv("SECURECLAW_UNDER_TEST") {
	case "main":
		main()
	case "supervisor":
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		sleeper := role{name: "sleeper", argv: []string{"/bin/sh", "-c", "echo $$ >" + os.Getenv("PID_FILE") + "; exec sleep 1000"}, env: []string{"PATH=" + os.Getenv("PATH")}}
		_ = newSupervisor([]role{sleeper}, slog.New(slog.DiscardHandler), time.Now).run(ctx)
	default:
		os.Exit(m.Run())
	}
}

// claw runs the program with a home of its own.
func claw(t *testing.T, home string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = []string{"SECURECLAW_UNDER_TEST=main", "SECURECLAW_HOME=" + home, "PATH=" + os.Getenv("PATH"), "HOME=" + home}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// golden compares with a file in testdata; -update rewrites it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestHelp(t *testing.T) {
	seen := map[string]bool{}
	var walk func(cmd *cobra.Command, path []string)
	walk = func(cmd *cobra.Command, path []string) {
		name := strings.Join(append([]string{"help"}, path...), "-") + ".golden"
		seen[name] = true
		t.Run(strings.Join(path, " "), func(t *testing.T) {
			var out bytes.Buffer
			root := newRoot()
			root.SetOut(&out)
			root.SetArgs(append(path[:len(path):len(path)], "--help"))
			if err := root.ExecuteContext(t.Context()); err != nil {
				t.Fatal(err)
			}
			golden(t, name, out.String())
		})
		for _, sub := range cmd.Commands() {
			if sub.Name() != "help" && sub.Name() != "completion" {
				walk(sub, append(path[:len(path):len(path)], sub.Name()))
			}
		}
	}
	walk(newRoot(), nil)
	files, err := filepath.Glob("testdata/help*.golden")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !seen[filepath.Base(file)] {
			t.Errorf("%s is the help of no verb: delete it", file)
		}
	}
}

func TestExitCodes(t *testing.T) {
	broken := t.TempDir()
	if err := os.MkdirAll(filepath.Join(broken, "config"), 0o700); err != nil {
		t.Fatal(err)
	}
	bad := "llm:\n  modle: x\n  iterations: 99\nmounts: 7\n"
	if err := os.WriteFile(filepath.Join(broken, "config", "secureclaw.yaml"), []byte(bad), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		home string
		args string
		code int
		says []string // on stderr
	}{
		"help":                   {"", "--help", 0, nil},
		"no verb":                {"", "", 0, nil},
		"version":                {"", "version", 0, nil},
		"unknown verb":           {"", "chatt", exitUsage, []string{"chatt", "fix"}},
		"unknown flag":           {"", "chat --yes hello", exitUsage, []string{"--yes", "fix"}},
		"nothing approves all":   {"", "chat --approve-all hello", exitUsage, []string{"--approve-all"}},
		"too many arguments":     {"", "approve A B", exitUsage, []string{"fix"}},
		"no argument":            {"", "deny", exitUsage, []string{"fix"}},
		"--json without a text":  {"", "chat --json", exitUsage, nil},
		"unknown key":            {"", "config explain llm.modle", exitUsage, []string{"did you mean", "model"}},
		"all errors at once":     {broken, "config check", exitConfig, []string{"yaml:2:", "yaml:3:", "yaml:4:", "modle", "model"}},
		"up on a broken file":    {broken, "up", exitConfig, []string{"yaml:2:", "yaml:3:", "yaml:4:"}},
		"chat, not running":      {"", "chat hello", exitMissing, []string{"not running", "fix", "secureclaw up"}},
		"status, not running":    {"", "status", exitMissing, []string{"not running"}},
		"approve, not running":   {"", "approve ABCD", exitMissing, []string{"not running"}},
		"approvals, not running": {"", "approvals", exitMissing, []string{"not running"}},
		"gateway alone":          {"", "gateway", exitConfig, []string{"CAPABILITY_SECRET", "fix"}},
		"runner alone":           {"", "runner", exitConfig, []string{"CAPABILITY_PUBLIC_KEY", "fix"}},
		"audit of nothing":       {"", "audit verify", exitMissing, []string{"no audit log"}},
	} {
		t.Run(name, func(t *testing.T) {
			home := tc.home
			if home == "" {
				home = t.TempDir()
			}
			_, stderr, code := claw(t, home, strings.Fields(tc.args)...)
			if code != tc.code {
				t.Errorf("secureclaw %s = exit %d, want %d\n%s", tc.args, code, tc.code, stderr)
			}
			for _, want := range tc.says {
				if !strings.Contains(stderr, want) {
					t.Errorf("secureclaw %s says\n%s\nwant %q in it", tc.args, stderr, want)
				}
			}
		})
	}
}
