//go:build docker

package shell_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// image holds the tools that a command may use; the executor in it is replaced by this tree's.
const image = "secureclaw/executor-shell:latest"

// build compiles the executor as it ships.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "executor")
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, "../../cmd/executor-shell")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

// contained runs the command as process 1 of a container as the runner makes them.
func contained(t *testing.T, program, command string, limit time.Duration) (run.Output, run.ShellResult) {
	t.Helper()
	out := inNetwork(t, "none", program, command, limit)
	return out, result(t, out)
}

// inNetwork is contained in a network of the engine's.
func inNetwork(t *testing.T, network, program, command string, limit time.Duration) run.Output {
	t.Helper()
	key, line := envelope(t, sh("/tmp", command), limit)
	ctx, cancel := context.WithTimeout(t.Context(), limit+30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker", "run", "--rm", "-i", "--network="+network, "--read-only", "--user=1000:1000",
		"--cap-drop=ALL", "--security-opt=no-new-privileges", "--pids-limit=64", "--memory=256m", "--memory-swap=256m",
		"--tmpfs=/tmp:noexec,nosuid,nodev,size=16m,uid=1000,gid=1000,mode=700", "--log-driver=none",
		"--volume="+program+":/executor:ro", "--env="+executor.KeyVariable+"="+key, image)
	cmd.Stdin = bytes.NewReader(line)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	raw, err := cmd.Output()
	if err != nil {
		t.Fatalf("%.100s: %v, stderr %s", command, err, stderr.String())
	}
	if bytes.Count(raw, []byte("\n")) != 1 {
		t.Fatalf("%.100s: %d lines: %.500q, want one", command, bytes.Count(raw, []byte("\n")), raw)
	}
	var out run.Output
	if err := strict.Decode(raw[:len(raw)-1], &out); err != nil {
		t.Fatalf("%.100s wrote %.300q: %v", command, raw, err)
	}
	return out
}

// An engine that gives a container a network all the same gets nothing run in it.
func TestContainerWithANetworkRunsNothing(t *testing.T) {
	program := build(t)
	out := inNetwork(t, "host", program, "echo here", 20*time.Second)
	if out.Status != run.OutputRefused || !strings.Contains(out.Error, "has a network") || out.Value != nil {
		t.Errorf("a command in the host's network: %+v, want a refusal that names it", out)
	}
}

// tries are commands that reach for process 1. The runner's tests make them too, in containers that it started and in such
// as waited.
func tries(t *testing.T) map[string]string {
	t.Helper()
	data, err := os.ReadFile("testdata/process-1.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Commands map[string]string
	}
	if err := json.Unmarshal(data, &file); err != nil || len(file.Commands) < 8 {
		t.Fatalf("%d commands, %v", len(file.Commands), err)
	}
	return file.Commands
}

// Process 1 can be neither opened, nor read, nor killed by what it runs.
func TestContainerChannelIsOutOfReach(t *testing.T) {
	program := build(t)
	for name, command := range tries(t) {
		t.Run(name, func(t *testing.T) {
			if _, got := contained(t, program, command, 20*time.Second); got.ExitCode == 0 || !strings.Contains(got.Stderr.Text, "Permission denied") || got.Stdout.Text != "" {
				t.Errorf("%s = %+v, want %q", command, got, "Permission denied")
			}
		})
	}
	out, got := contained(t, program, "for n in {1..64}; do kill -$n 1; done 2>/dev/null; kill -9 -1; echo here", 20*time.Second)
	if out.Status != run.OutputOK {
		t.Errorf("after every signal: %s %+v, want an answer", out.Status, got)
	}
}

// One signal of each kind is dropped by the kernel or by the executor. Thousands of them meet its
// threads in every state.
func TestContainerSurvivesAStormOfSignals(t *testing.T) {
	program := build(t)
	for _, number := range []string{"{1..64}", "32", "33", "34"} {
		command := "for i in {1..4000}; do for n in " + number + "; do kill -$n 1; done; (( i % 500 )) || sleep 0.01; done 2>/dev/null; echo here"
		if number == "{1..64}" {
			command = strings.Replace(command, "4000", "200", 1)
		}
		if out, got := contained(t, program, command, 20*time.Second); out.Status != run.OutputOK || got.Stdout.Text != "here\n" {
			t.Errorf("after many of the signals %s: %s %+v, want an answer", number, out.Status, got)
		}
	}
}

func TestContainerSurvives(t *testing.T) {
	program := build(t)
	for name, tc := range map[string]struct {
		command string
		status  run.OutputStatus
		note    string
	}{
		"a fork bomb":             {":(){ :|:& };:; sleep 1000", run.OutputTimedOut, "process limit"},
		"a fork bomb that waits":  {"f() { f & f; }; f", run.OutputTimedOut, "process limit"},
		"a detached fork bomb":    {"setsid bash -c ':(){ :|:& };:' & sleep 1000", run.OutputTimedOut, "process limit"},
		"one large process":       {"tail /dev/zero", run.OutputOK, "memory limit"},
		"many large processes":    {"for i in {1..20}; do python3 -c 'import time; x = bytearray(40 << 20); time.sleep(1)' & done; wait", run.OutputOK, "memory limit"},
		"many small processes":    {"for i in {1..45}; do python3 -c 'import time; x = bytearray(3 << 20); time.sleep(2)' & done; wait", "", ""},
		"a full /tmp":             {"head -c 1G /dev/zero > /tmp/x; echo $?", run.OutputOK, ""},
		"threads up to the limit": {"python3 -c '\nimport threading,time\nwhile True:\n  try: threading.Thread(target=time.sleep, args=(60,)).start()\n  except RuntimeError: pass'", run.OutputTimedOut, "process limit"},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			out, got := contained(t, program, tc.command, 4*time.Second)
			if tc.status != "" && out.Status != tc.status || !strings.Contains(got.Note, tc.note) {
				t.Errorf("%s = %s, exit code %d, note %q, stderr %.200q, want %s and a note with %q", tc.command, out.Status, got.ExitCode, got.Note, got.Stderr.Text, tc.status, tc.note)
			}
			t.Logf("%s: %s after %v: %s", name, out.Status, time.Since(began), got.Note)
		})
	}
}
