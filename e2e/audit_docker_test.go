//go:build docker

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The log of a life with calls, refusals, questions and a crash verifies; edited, cut, swapped or
// repeated anywhere it does not, and the entry is named.
func TestAuditShowsTampering(t *testing.T) {
	t.Parallel()
	w := startWorld(t, setting{})
	if doc := w.chat("read ../../etc/passwd ;; write x to notes.md ;; run: id"); len(doc.Calls) != 3 {
		t.Fatalf("calls = %+v", doc.Calls)
	}
	if out := w.claw("chat", "--no-wait", "write x to .env"); out.code != 6 {
		t.Fatalf("%+v", out)
	}
	w.kill("gateway")
	if out := w.claw("deny", w.card(), "--reason", "never"); out.code != 0 {
		t.Fatalf("%+v", out)
	}
	w.stop()

	if out := w.claw("audit", "verify"); out.code != 0 || !strings.HasPrefix(out.stdout, "ok: ") {
		t.Fatalf("audit verify of an honest log = %+v", out)
	}
	out := w.claw("audit", "verify", "--json")
	var report struct{ OK bool }
	if err := json.Unmarshal([]byte(out.stdout), &report); err != nil || !report.OK || out.code != 0 {
		t.Fatalf("audit verify --json = %+v, %v", out, err)
	}
	for _, kind := range []string{"gateway.started", "message", "intent", "result", "refused", "approval.asked", "approval.decided"} {
		if w.entries(kind) == 0 {
			t.Errorf("no entry of %s", kind)
		}
	}

	files, _ := filepath.Glob(w.path("state/audit/*.jsonl"))
	if len(files) != 1 {
		t.Fatalf("segments = %v", files)
	}
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	lines := slices.Collect(strings.Lines(string(whole)))
	named := regexp.MustCompile(`\(entr(y|ies) (\d+)`)
	for at := 1; at < len(lines); at++ {
		for name, change := range map[string]func() []string{
			"edited":   func() []string { l := slices.Clone(lines); l[at] = edit(l[at]); return l },
			"cut out":  func() []string { return slices.Delete(slices.Clone(lines), at, at+1) },
			"cut off":  func() []string { return slices.Clone(lines[:at]) },
			"swapped":  func() []string { l := slices.Clone(lines); l[at], l[at-1] = l[at-1], l[at]; return l },
			"repeated": func() []string { return slices.Insert(slices.Clone(lines), at, lines[at]) },
		} {
			if err := os.WriteFile(files[0], []byte(strings.Join(change(), "")), 0o600); err != nil {
				t.Fatal(err)
			}
			out := w.claw("audit", "verify")
			if out.code != 1 || !named.MatchString(out.stderr) {
				t.Errorf("line %d %s: audit verify = exit %d\n%s%s\nwant 1 and the entry", at+1, name, out.code, out.stdout, out.stderr)
			}
		}
	}
	// Damage is no accident that a start could repair.
	if err := os.WriteFile(files[0], []byte(strings.Join(slices.Delete(slices.Clone(lines), 4, 5), "")), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := w.claw("up"); out.code != 3 || !strings.Contains(out.stderr, "the audit log is not what was written") {
		t.Errorf("up on a log that was tampered with = exit %d\n%s\nwant 3 and the damage", out.code, out.stderr)
	}
}

// edit changes one digit of a line's time: the smallest lie.
func edit(line string) string {
	at := strings.Index(line, `"time":"`) + len(`"time":"`) + 3
	digit := byte('0' + (line[at]-'0'+1)%10)
	return line[:at] + string(digit) + line[at+1:]
}
