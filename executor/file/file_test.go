package file_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/executor/file"
	"github.com/secureclaw/secureclaw/internal/capability"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// noRaceSleep: a program with the race detector waits a second at its end unless told not to.
const noRaceSleep = "GORACE=atexit_sleep_ms=0"

// The test binary runs again as the executor, through stdin and stdout.
func TestMain(m *testing.M) {
	if os.Getenv("EXECUTOR_UNDER_TEST") == "" {
		os.Exit(m.Run())
	}
	stdin, stdout, err := executor.Seal()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(executor.Serve(executor.Options{
		Kind: "file", Stdin: stdin, Stdout: stdout, Key: os.Getenv(executor.KeyVariable), Now: time.Now, Tools: file.Tools(),
	}))
}

const testCap = 64 << 10

// perform runs a tool in an executor of its own and returns its one line.
func perform(t testing.TB, tool string, in any, roots ...run.Root) run.Output {
	t.Helper()
	out, _ := performLimited(t, tool, in, 20*time.Second, roots...)
	return out
}

func performLimited(t testing.TB, tool string, in any, limit time.Duration, roots ...run.Root) (run.Output, *os.ProcessState) {
	t.Helper()
	return performBy(t, os.Args[0], tool, in, limit, roots...)
}

// shipped builds the executor as it ships. Its memory is what counts: a test binary is larger, and
// with the race detector several times so.
func shipped(t testing.TB) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "executor")
	cmd := exec.Command("go", "build", "-trimpath", "-o", program, "../../cmd/executor-file")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return program
}

func performBy(t testing.TB, program, tool string, in any, limit time.Duration, roots ...run.Root) (run.Output, *os.ProcessState) {
	t.Helper()
	key, line := envelope(t, tool, in, limit, roots...)
	cmd := exec.Command(program)
	cmd.Env = []string{"EXECUTOR_UNDER_TEST=1", noRaceSleep, executor.KeyVariable + "=" + key}
	cmd.Stdin = bytes.NewReader(line)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	raw, err := cmd.Output()
	if err != nil {
		t.Fatalf("executor(%s %+v): %v, stderr %s", tool, in, err, stderr.String())
	}
	if bytes.Count(raw, []byte("\n")) != 1 || len(raw) > executor.MaxLine {
		t.Fatalf("executor(%s) wrote %d lines and %d bytes, want one line of at most %d", tool, bytes.Count(raw, []byte("\n")), len(raw), executor.MaxLine)
	}
	var out run.Output
	if err := strict.Decode(raw[:len(raw)-1], &out); err != nil {
		t.Fatalf("executor(%s) wrote %.300q: %v", tool, raw, err)
	}
	return out, cmd.ProcessState
}

func envelope(t testing.TB, tool string, in any, limit time.Duration, roots ...run.Root) (key string, line []byte) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	task := must(strict.CanonicalOf(run.Task{
		Call: "call-1", Tool: tool, Input: must(strict.CanonicalOf(in)), Roots: roots,
		TimeoutMS: limit.Milliseconds(), OutputCap: testCap,
	}))
	claims := capability.Claims{
		Audience: "file", Tool: tool, TaskSHA256: capability.TaskDigest(task), TimeoutMS: limit.Milliseconds(),
		OutputCap: testCap, Memory: 1 << 28, CPUMillis: 1000, Pids: 64, Session: "s", Call: "call-1",
	}
	for _, root := range roots {
		claims.Mounts = append(claims.Mounts, capability.Mount{Name: root.Name, Mode: root.Mode})
	}
	token := must(capability.NewMinter(private, time.Now).Mint(claims))
	line = must(strict.Encode(run.Envelope{Token: token, Task: task}))
	return base64.StdEncoding.EncodeToString(public), append(line, '\n')
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// value decodes the value of an answer with status ok.
func value[T any](t testing.TB, out run.Output) T {
	t.Helper()
	var v T
	if out.Status != run.OutputOK {
		t.Fatalf("status %s: %s, want ok", out.Status, out.Error)
	}
	if err := strict.Decode(out.Value, &v); err != nil {
		t.Fatalf("value %.300q: %v", out.Value, err)
	}
	return v
}

// workspace returns a fresh folder as a root.
func workspace(t testing.TB, mode string) run.Root {
	t.Helper()
	return run.Root{Name: "work", Path: must(filepath.EvalSymlinks(t.TempDir())), Mode: mode}
}

// put writes a file below the root and returns its path.
func put(t testing.TB, root run.Root, rel, content string) string {
	t.Helper()
	path := filepath.Join(root.Path, rel)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// wantNo expects that nothing was done, with a reason that holds want.
func wantNo(t testing.TB, out run.Output, want string) {
	t.Helper()
	if out.Status != run.OutputRefused && out.Status != run.OutputFailed || len(out.Value) > 0 || !strings.Contains(out.Error, want) {
		t.Errorf("answer = %s %q %.200s, want none and a reason with %q", out.Status, out.Error, out.Value, want)
	}
}
