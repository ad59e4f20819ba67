//go:build docker

package runner

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secureclaw/secureclaw/internal/capability"
	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// The images of this release keep to the contract: they start under every fence, verify their
// token and answer. They must have been built before.
func TestShippedExecutors(t *testing.T) { bothWays(t, shippedExecutors) }

func shippedExecutors(t *testing.T, keep config.Bytes) {
	cfg := dockerConfig(t)
	cfg.Runner.Ready.Memory = keep
	delete(cfg.Executors, kindWeb)
	shell := cfg.Executors["shell"]
	shell.Image = "secureclaw/executor-shell:latest"
	shell.Mounts = []string{"workspace"}
	cfg.Executors["shell"] = shell
	for kind, e := range cfg.Executors { // as the claims are
		e.Memory, e.CPUs, e.Pids = 128<<20, 0.5, 32
		cfg.Executors[kind] = e
	}
	if err := os.WriteFile(filepath.Join(cfg.Mounts[0].Host, "note"), []byte("hello from the host\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	b := newBed(t, cfg)
	for name, tc := range map[string]struct {
		kind, tool string
		input      any
		want       string
	}{
		"shell": {"shell", run.ToolShell, run.Shell{Command: "id -u; cat note; env | cut -d= -f1 | sort | tr '\\n' ' '", WorkingDirectory: "/workspace", TimeoutSeconds: 5, Access: run.AccessRead}, "1000\\nhello from the host"},
		"file":  {"file", run.ToolReadFile, run.ReadFile{Path: "/workspace/note"}, "hello from the host"},
	} {
		t.Run(name, func(t *testing.T) {
			claims := workClaims()
			claims.Audience, claims.Tool = tc.kind, tc.tool
			claims.Mounts = []capability.Mount{{Name: "workspace", Mode: "ro"}}
			input, err := strict.CanonicalOf(tc.input)
			if err != nil {
				t.Fatal(err)
			}
			b.prepared(t, tc.kind)
			order := b.order(t, claims, string(input))
			events := b.ask(t, run.Request{Run: &order})
			last := events[len(events)-1]
			if last.Refusal != nil {
				t.Fatalf("refused: %+v (make images builds them)", *last.Refusal)
			}
			b.came(t, last.Result)
			if last.Result.Outcome != run.Finished || last.Result.Output.Status != run.OutputOK || !strings.Contains(string(last.Result.Output.Value), tc.want) {
				t.Fatalf("result = %+v, output %+v, want %q", last.Result, last.Result.Output, tc.want)
			}
			if strings.Contains(string(last.Result.Output.Value), "SECURECLAW") {
				t.Errorf("a command sees our variables: %s", last.Result.Output.Value)
			}
			t.Logf("%s %+v", last.Result.Output.Value, last.Result.Timing)
		})
	}
}
