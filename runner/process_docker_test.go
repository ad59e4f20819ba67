//go:build docker

package runner

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/run"
)

// What a command does to reach the executor that started it comes to nothing, and the executor answers all the same.
func TestCommandsDoNotReachTheExecutor(t *testing.T) { bothWays(t, commandsDoNotReachTheExecutor) }

func commandsDoNotReachTheExecutor(t *testing.T, keep config.Bytes) {
	data, err := os.ReadFile("../executor/shell/testdata/process-1.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Commands map[string]string }
	if err := json.Unmarshal(data, &file); err != nil || len(file.Commands) < 8 {
		t.Fatalf("%d commands, %v", len(file.Commands), err)
	}
	b, _ := hideBed(t, keep)
	for name, command := range file.Commands {
		t.Run(name, func(t *testing.T) {
			e := b.shellEvent(t, run.AccessRead, command)
			b.came(t, e.Result)
			if got := output(t, e); !strings.Contains(got, "Permission denied") || strings.Contains(got, `"exit_code":0`) {
				t.Errorf("%s = %s, want Permission denied", command, got)
			}
		})
	}
	got := b.shell(t, run.AccessRead, "for n in {1..64}; do kill -$n 1; done 2>/dev/null; kill -9 -1; echo here")
	if !strings.Contains(got, "exit_code") {
		t.Errorf("after every signal: %s, want an answer", got)
	}
}
