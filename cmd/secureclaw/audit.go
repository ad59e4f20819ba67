package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/secureclaw/secureclaw/gateway"
	"github.com/secureclaw/secureclaw/internal/config"
)

func newAuditCmd(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use: "audit", Short: "Read and check the record of everything the agent did",
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newAuditTailCmd(g), newAuditQueryCmd(g), newAuditVerifyCmd(g))
	return cmd
}

func newAuditTailCmd(g *globals) *cobra.Command {
	var n int
	var follow bool
	cmd := &cobra.Command{
		Use: "tail", Short: "Show the newest entries", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			dirs, err := g.dirs()
			if err != nil {
				return err
			}
			if n < 0 {
				return fmt.Errorf("%w: -n %d: want 0 or more", errUsage, n)
			}
			return printEntries(cmd.OutOrStdout(), g, dirs.State, gateway.AuditTail(cmd.Context(), dirs.State, n, follow))
		},
	}
	cmd.Flags().IntVarP(&n, "lines", "n", 20, "how many entries")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with each new entry until Ctrl-C")
	return cmd
}

func newAuditQueryCmd(g *globals) *cobra.Command {
	var f gateway.AuditFilter
	var since, until string
	cmd := &cobra.Command{
		Use: "query", Short: "Show the entries that fit all flags, oldest first", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			dirs, err := g.dirs()
			if err != nil {
				return err
			}
			if f.Since, err = moment("since", since, time.Now()); err != nil {
				return err
			}
			if f.Until, err = moment("until", until, time.Now()); err != nil {
				return err
			}
			return printEntries(cmd.OutOrStdout(), g, dirs.State, gateway.AuditQuery(cmd.Context(), dirs.State, f))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.Kind, "kind", "", "kind, or its first word: intent, result, egress, refused, approval, approval.decided, …")
	flags.StringVar(&f.Session, "session", "", "session id")
	flags.StringVar(&f.Call, "call", "", "call id")
	flags.StringVar(&f.Tool, "tool", "", "tool name")
	flags.StringVar(&since, "since", "", "not before: 2h, 2026-11-22, or 2026-11-22T08:00:00Z")
	flags.StringVar(&until, "until", "", "before; same forms")
	flags.IntVar(&f.Limit, "limit", 0, "at most so many (0: all)")
	return cmd
}

func newAuditVerifyCmd(g *globals) *cobra.Command {
	var witness string
	cmd := &cobra.Command{
		Use: "verify", Short: "Check that nobody edited, cut or rewrote the log", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			dirs, err := g.dirs()
			if err != nil {
				return err
			}
			text := ""
			if witness != "" {
				data, err := os.ReadFile(witness)
				if err != nil {
					return &failure{exitMissing, "the witness cannot be read", err.Error(), "give the file with a checkpoint that you kept"}
				}
				if text = string(data); text == "" {
					return &failure{exitFailed, "the witness is empty", witness + " has no checkpoint in it", "give the file with a checkpoint that you kept"}
				}
			}
			// Without the secret (another machine, a copy of the log) the key beside the log must do.
			secrets, serr := config.LoadSecrets(dirs.Env, os.Environ(), config.SecretOptions{})
			if serr != nil || secrets.CapabilitySecret == "" {
				fmt.Fprintln(cmd.ErrOrStderr(), "note: no CAPABILITY_SECRET here, so the key that lies beside the log is trusted")
			}
			r, err := gateway.AuditVerify(cmd.Context(), dirs.State, secrets.CapabilitySecret.Reveal(), text)
			if g.JSON {
				out := struct {
					OK     bool                `json:"ok"`
					Error  string              `json:"error,omitempty"`
					Report gateway.AuditReport `json:"report"`
				}{OK: err == nil, Report: r}
				if err != nil {
					out.Error = err.Error()
				}
				if err := printJSON(cmd.OutOrStdout(), out); err != nil {
					return err
				}
				if !out.OK {
					return &failure{code: exitFailed}
				}
				return nil
			}
			if err != nil {
				return auditFailure(dirs.State, err)
			}
			printReport(cmd.OutOrStdout(), r)
			return nil
		},
	}
	cmd.Flags().StringVar(&witness, "witness", "", "file with a checkpoint that was kept elsewhere")
	return cmd
}

// auditFailure tells what is wrong with the log, and what to do.
func auditFailure(state string, err error) *failure {
	dir := filepath.Join(state, "audit")
	if errors.Is(err, fs.ErrNotExist) {
		return &failure{exitMissing, "there is no audit log yet", err.Error(), "start it once with: secureclaw up"}
	}
	if _, ok := errors.AsType[*gateway.AuditDamage](err); ok {
		return &failure{exitFailed, "the audit log is not what was written", err.Error(),
			fmt.Sprintf("keep it as evidence (mv %s %s.damaged); the next start begins a new one", dir, dir)}
	}
	return &failure{exitFailed, "the audit log could not be checked", err.Error(), "see that " + dir + " can be read and that the witness belongs to it"}
}

func printReport(w io.Writer, r gateway.AuditReport) {
	fmt.Fprintf(w, "ok: %d entries in %d segments, %d signed checkpoints\n", r.Entries, r.Segments, r.Checkpoints)
	fmt.Fprintf(w, "head      %d %s\n", r.Head.Size, r.Head.Root)
	if r.Unsigned > 0 {
		fmt.Fprintf(w, "unsigned  the last %d entries; the next checkpoint signs them\n", r.Unsigned)
	}
	if r.Torn > 0 {
		fmt.Fprintf(w, "torn      %d bytes of an unfinished last line; the next start cuts them and says so in the log\n", r.Torn)
	}
	if r.Recovered > 0 {
		fmt.Fprintf(w, "repaired  %d times after a crash; see: secureclaw audit query --kind audit.recovered\n", r.Recovered)
	}
}

// printEntries shows each entry on a line of its own; what is in it was made harmless when it was written.
func printEntries(w io.Writer, g *globals, state string, list iter.Seq2[gateway.AuditEntry, error]) error {
	for e, err := range list {
		if err != nil {
			return auditFailure(state, err)
		}
		if g.JSON {
			_, err = fmt.Fprintln(w, e.Line())
		} else {
			_, err = fmt.Fprintf(w, "%6d  %s  %-17s %s\n", e.Seq, e.Time.Local().Format(time.DateTime), visibleLine(e.Kind), names(e)+string(e.Fields))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func names(e gateway.AuditEntry) string {
	out := ""
	for _, m := range [...]struct{ name, text string }{{"session", e.Session}, {"run", e.Run}, {"call", e.Call}} {
		if m.text != "" {
			out += m.name + "=" + visibleLine(m.text) + " "
		}
	}
	return out
}

// moment reads a flag that names a time: so long ago, a local day, or RFC 3339.
func moment(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, text, time.Local); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("%w: --%s %q: want 2h, 2026-11-22, or 2026-11-22T08:00:00Z", errUsage, flag, text)
	}
	return t, nil
}
