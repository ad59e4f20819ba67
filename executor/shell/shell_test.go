package shell_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/executor/shell"
	"github.com/secureclaw/secureclaw/internal/capability"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

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
		Kind: "shell", Stdin: stdin, Stdout: stdout, Key: os.Getenv(executor.KeyVariable), Now: time.Now, Tools: shell.Tools(),
	}))
}

const testCap = 8 << 10

// perform runs in as an executor of its own and returns its one line.
func perform(t testing.TB, in run.Shell, roots ...run.Root) run.Output {
	t.Helper()
	out, _ := performSlow(t, in, 20*time.Second, roots...)
	return out
}

func performSlow(t testing.TB, in run.Shell, limit time.Duration, roots ...run.Root) (run.Output, time.Duration) {
	t.Helper()
	key, line := envelope(t, in, limit, roots...)
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{"EXECUTOR_UNDER_TEST=1", "SECURECLAW_CANARY=secret", executor.KeyVariable + "=" + key}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stdin = bytes.NewReader(line)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	began := time.Now()
	raw, err := cmd.Output()
	took := time.Since(began)
	if err != nil {
		t.Fatalf("executor(%.200q): %v, stderr %s", in.Command, err, stderr.String())
	}
	if bytes.Count(raw, []byte("\n")) != 1 || len(raw) > executor.MaxLine {
		t.Fatalf("executor(%.200q) wrote %d lines and %d bytes, want one line of at most %d", in.Command, bytes.Count(raw, []byte("\n")), len(raw), executor.MaxLine)
	}
	var out run.Output
	if err := strict.Decode(raw[:len(raw)-1], &out); err != nil {
		t.Fatalf("executor(%.200q) wrote %.300q: %v", in.Command, raw, err)
	}
	return out, took
}

func envelope(t testing.TB, in run.Shell, limit time.Duration, roots ...run.Root) (key string, line []byte) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	task, err := strict.CanonicalOf(run.Task{
		Call: "call-1", Tool: run.ToolShell, Input: must(strict.CanonicalOf(in)), Roots: roots,
		TimeoutMS: limit.Milliseconds(), OutputCap: testCap,
	})
	if err != nil {
		t.Fatal(err)
	}
	claims := capability.Claims{
		Audience: "shell", Tool: run.ToolShell, TaskSHA256: capability.TaskDigest(task), TimeoutMS: limit.Milliseconds(),
		OutputCap: testCap, Memory: 1 << 28, CPUMillis: 1000, Pids: 64, Session: "s", Call: "call-1",
	}
	for _, root := range roots {
		claims.Mounts = append(claims.Mounts, capability.Mount{Name: root.Name, Mode: root.Mode})
	}
	token, err := capability.NewMinter(private, time.Now).Mint(claims)
	if err != nil {
		t.Fatal(err)
	}
	line = must(strict.Encode(run.Envelope{Token: token, Task: task}))
	return base64.StdEncoding.EncodeToString(public), append(line, '\n')
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// result decodes the value of an answer.
func result(t testing.TB, out run.Output) run.ShellResult {
	t.Helper()
	var r run.ShellResult
	if err := strict.Decode(out.Value, &r); err != nil {
		t.Fatalf("value %.300q of status %s (%s): %v", out.Value, out.Status, out.Error, err)
	}
	return r
}

// workspace returns a fresh folder as a root, and its path.
func workspace(t testing.TB, mode string) (run.Root, string) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return run.Root{Name: "work", Path: dir, Mode: mode}, dir
}

func sh(dir, text string) run.Shell {
	return run.Shell{Command: text, WorkingDirectory: dir, Access: run.AccessRead}
}

func TestCommand(t *testing.T) {
	root, dir := workspace(t, "rw")
	for name, tc := range map[string]struct {
		command        string
		code           int
		stdout, stderr string
	}{
		"both streams apart":  {"echo out; echo err >&2", 0, "out\n", "err\n"},
		"exit code":           {"exit 7", 7, "", ""},
		"killed by itself":    {"kill -TERM $$", 143, "", ""},
		"killed by SIGKILL":   {"kill -KILL $$", 137, "", ""},
		"not found":           {"no-such-program 2>/dev/null", 127, "", ""},
		"working directory":   {"pwd", 0, dir + "\n", ""},
		"stdin is empty":      {"cat; readlink /proc/self/fd/0", 0, "/dev/null\n", ""},
		"pipes break":         {"yes | head -n 1", 0, "y\n", ""},
		"signals are default": {"sleep 5 & kill -TERM $!; wait $!", 143, "", ""},
		"bash is the dialect": {"[[ abc =~ ^a(.)c$ ]] && echo ${BASH_REMATCH[1]}", 0, "b\n", ""},
		"clean environment":   {"env | cut -d= -f1 | sort | tr '\\n' ' '", 0, "HOME LANG PATH PWD SHLVL TERM TMPDIR _ ", ""},
	} {
		t.Run(name, func(t *testing.T) {
			out := perform(t, sh(dir, tc.command), root)
			got := result(t, out)
			if out.Status != run.OutputOK || out.Call != "call-1" || got.ExitCode != tc.code || got.Stdout.Text != tc.stdout || got.Stderr.Text != tc.stderr {
				t.Errorf("%s = %s %+v, want exit code %d, stdout %q, stderr %q", tc.command, out.Status, got, tc.code, tc.stdout, tc.stderr)
			}
		})
	}
}

func TestRefusedBeforeAnythingRuns(t *testing.T) {
	root, dir := workspace(t, "ro")
	outside, canary := workspace(t, "ro")
	_ = outside
	if err := os.Symlink(canary, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		in   run.Shell
		want string
	}{
		"outside":              {sh(canary, "touch ran"), "in no mounted folder"},
		"the root directory":   {sh("/", "touch ran"), "in no mounted folder"},
		"empty":                {sh("", "touch ran"), "not absolute"},
		"dots":                 {sh(dir+"/../"+filepath.Base(canary), "touch ran"), "not clean"},
		"link":                 {sh(dir+"/link", "touch ran"), "is a link"},
		"missing":              {sh(dir+"/none", "touch ran"), "does not exist"},
		"no command":           {sh(dir, ""), "empty"},
		"NUL":                  {sh(dir, "touch ran\x00"), "NUL"},
		"too long":             {sh(dir, strings.Repeat("x", 1<<17)), "at most"},
		"no access":            {run.Shell{Command: "touch ran", WorkingDirectory: dir}, "access"},
		"write in a ro mount":  {run.Shell{Command: "touch ran", WorkingDirectory: dir, Access: run.AccessWrite}, "read-only"},
		"negative time":        {run.Shell{Command: "touch ran", WorkingDirectory: dir, Access: run.AccessRead, TimeoutSeconds: -1}, "timeout_seconds"},
		"a name that is alike": {sh(dir+"x", "touch ran"), "in no mounted folder"},
	} {
		t.Run(name, func(t *testing.T) {
			out := perform(t, tc.in, root)
			if out.Status == run.OutputOK || !strings.Contains(out.Error, tc.want) || len(out.Value) > 0 {
				t.Errorf("%q in %q = %s %q %s, want a refusal with %q", tc.in.Command, tc.in.WorkingDirectory, out.Status, out.Error, out.Value, tc.want)
			}
		})
	}
	for _, place := range []string{dir, canary, "/"} {
		if _, err := os.Lstat(filepath.Join(place, "ran")); err == nil {
			t.Errorf("a refused command ran in %s", place)
		}
	}
}
