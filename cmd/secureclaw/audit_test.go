package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// auditHome copies the log in testdata, changed by edit, into a home of its own.
func auditHome(t *testing.T, edit func(log []byte) []byte) string {
	t.Helper()
	home := t.TempDir()
	if err := os.CopyFS(filepath.Join(home, "state"), os.DirFS("testdata/state")); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(home, "state", "audit", "audit-000001.jsonl")
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, edit(data), 0o600); err != nil {
		t.Fatal(err)
	}
	return home
}

func runAudit(t *testing.T, home string, json bool, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := newAuditCmd(&globals{Home: home, JSON: json})
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func whole(log []byte) []byte { return log }

func TestAuditVerify(t *testing.T) {
	home := auditHome(t, whole)
	out, err := runAudit(t, home, false, "verify", "--witness", filepath.Join(home, "state", "audit", "checkpoints"))
	if err == nil {
		t.Errorf("verify with a file of several checkpoints as witness = %q, want it refused", out)
	}
	if out, err = runAudit(t, home, false, "verify"); err != nil || !strings.Contains(out, "ok: 6 entries in 1 segments, 2 signed checkpoints\n") {
		t.Errorf("verify = %q, %v", out, err)
	}
	if out, err = runAudit(t, home, true, "verify"); err != nil || !strings.Contains(out, `"ok": true`) {
		t.Errorf("verify --json = %q, %v", out, err)
	}
	for name, edit := range map[string]func([]byte) []byte{
		"edited": func(log []byte) []byte { return bytes.Replace(log, []byte("/workspace"), []byte("/workspacf"), 1) },
		"cut":    func(log []byte) []byte { return log[:len(log)-10] },
		"empty":  func([]byte) []byte { return nil },
	} {
		home := auditHome(t, edit)
		_, err := runAudit(t, home, false, "verify")
		f, ok := errors.AsType[*failure](err)
		if !ok || f.code != exitFailed || !strings.Contains(f.why, "audit-000001.jsonl line ") || !strings.Contains(f.fix, "mv ") {
			t.Errorf("verify of an %s log = %+v, want exit 1 with the line and a fix", name, err)
		}
		out, err := runAudit(t, home, true, "verify")
		if f, ok := errors.AsType[*failure](err); !ok || f.code != exitFailed || !strings.Contains(out, `"ok": false`) {
			t.Errorf("verify --json of an %s log = %q, %v", name, out, err)
		}
	}
	_, err = runAudit(t, t.TempDir(), false, "verify")
	if f, ok := errors.AsType[*failure](err); !ok || f.code != exitMissing {
		t.Errorf("verify without a log = %v, want exit %d", err, exitMissing)
	}
}

func TestAuditQueryAndTail(t *testing.T) {
	home := auditHome(t, whole)
	for _, tc := range []struct {
		args string
		want string // numbers of the entries
	}{
		{"query", "1 2 3 4 5 6"},
		{"query --kind intent", "4"},
		{"query --kind audit", "1 2 6"},
		{"query --kind aud", ""},
		{"query --tool list_directory", "4 5"},
		{"query --session s1 --limit 2", "3 4"},
		{"query --call c1", "4 5"},
		{"query --since 2026-11-22T08:03:00Z --until 2026-11-22T08:05:00Z", "3 4"},
		{"tail -n 2", "5 6"},
		{"tail -n 0", ""},
	} {
		out, err := runAudit(t, home, false, strings.Fields(tc.args)...)
		if err != nil {
			t.Errorf("audit %s: %v", tc.args, err)
		}
		var got []string
		for line := range strings.Lines(out) {
			got = append(got, strings.Fields(line)[0])
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("audit %s shows entries %v, want %s", tc.args, got, tc.want)
		}
	}
	out, err := runAudit(t, home, true, "query", "--kind", "message")
	if err != nil || !strings.HasPrefix(out, `{"seq":3,`) || strings.Count(out, "\n") != 1 || strings.Contains(out, "\u202e") {
		t.Errorf("query --json = %q, %v; want one harmless line", out, err)
	}
	for _, args := range []string{"query --since yesterday", "query --until 25:00", "tail -n -1", "verify more"} {
		if _, err := runAudit(t, home, false, strings.Fields(args)...); !errors.Is(err, errUsage) {
			t.Errorf("audit %s = %v, want a usage error", args, err)
		}
	}
}
