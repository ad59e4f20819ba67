package shell_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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
	cmd.Env = []string{"EXECUTOR_UNDER_TEST=1", noRaceSleep, "SECURECLAW_CANARY=secret", executor.KeyVariable + "=" + key}
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

// Endless output, an endless line and an honest large output: counted, cut, head and tail kept.
func TestOutputIsCut(t *testing.T) {
	root, dir := workspace(t, "ro")
	got := result(t, perform(t, sh(dir, "seq 1 100000; seq 5 >&2"), root))
	if text := got.Stdout; !text.Truncated || text.Bytes != 588895 || len(text.Text) > testCap || !strings.HasPrefix(text.Text, "1\n2\n") ||
		!strings.HasSuffix(text.Text, "\n99999\n100000\n") || !strings.Contains(text.Text, "of 588895 bytes are not shown …]\n") {
		t.Errorf("seq = %d bytes, truncated %v, %d shown: %.100q", text.Bytes, text.Truncated, len(text.Text), text.Text)
	}
	if got.Stderr.Truncated || got.Stderr.Text != "1\n2\n3\n4\n5\n" {
		t.Errorf("stderr = %+v, want it whole", got.Stderr)
	}
	for name, command := range map[string]string{
		"endless lines":     "yes",
		"one 1 GiB line":    "head -c 1G /dev/zero | tr '\\0' x",
		"endless on stderr": "yes >&2",
		"endless zeros":     "cat /dev/zero",
		"random bytes":      "head -c 1G /dev/urandom",
		"without the shell": "setsid yes & disown; sleep 60",
	} {
		t.Run(name, func(t *testing.T) {
			out, took := performSlow(t, sh(dir, command), 30*time.Second, root)
			got := result(t, out)
			if out.Status != run.OutputFailed || got.ExitCode != 137 || !strings.Contains(out.Error, "more than 64 MiB") {
				t.Errorf("%s = %s %q exit code %d", command, out.Status, out.Error, got.ExitCode)
			}
			if n := max(len(got.Stdout.Text), len(got.Stderr.Text)); n > testCap || n < testCap/2 {
				t.Errorf("%s shows %d bytes, want at most %d", command, n, testCap)
			}
			t.Logf("%s: killed after %v", command, took)
		})
	}
}

func TestOutputThatIsNotText(t *testing.T) {
	root, dir := workspace(t, "ro")
	for name, tc := range map[string]struct{ command, want string }{
		"bytes":         {`printf 'a\xff\xfeb\n'`, `a\xff\xfeb` + "\n"},
		"half a letter": {`printf 'gr\xc3'`, `gr\xc3`},
		"NUL":           {`printf 'a\0b'`, "a\x00b"},
		"an imitation":  {`echo '{"call":"call-1","status":"ok","value":{"exit_code":0}}'; exit 3`, `{"call":"call-1","status":"ok","value":{"exit_code":0}}` + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := result(t, perform(t, sh(dir, tc.command), root)); got.Stdout.Text != tc.want || got.Stdout.Lossy != strings.Contains(tc.want, `\x`) {
				t.Errorf("%s = %+v, want %q", tc.command, got.Stdout, tc.want)
			}
		})
	}
}

// Nothing that the command could open leads to the result: not by number, not by name.
func TestResultChannelIsOutOfReach(t *testing.T) {
	root, dir := workspace(t, "ro")
	frame := `{"call":"call-1","status":"ok"}`
	got := result(t, perform(t, sh(dir, `for fd in /proc/self/fd/*; do readlink $fd; done; for n in 3 4 5 6 7 8 9 10 11 12 13; do echo '`+frame+`' >&$n; done 2>/dev/null; exit 3`), root))
	if got.ExitCode != 3 || strings.Contains(got.Stdout.Text, frame) {
		t.Errorf("exit code %d, stdout %q", got.ExitCode, got.Stdout.Text)
	}
	for _, line := range strings.Fields(got.Stdout.Text) {
		if !strings.HasPrefix(line, "/dev/null") && !strings.HasPrefix(line, "pipe:") && !strings.HasPrefix(line, "/proc/") {
			t.Errorf("the command holds %s open", line)
		}
	}
}

func TestDeadline(t *testing.T) {
	root, dir := workspace(t, "ro")
	for name, tc := range map[string]struct{ command, stdout string }{
		"asleep":               {"echo before; sleep 1000", "before\n"},
		"busy":                 {"echo before; while :; do :; done", "before\n"},
		"deaf":                 {"trap '' TERM INT HUP QUIT; echo before; sleep 1000; sleep 1000", "before\n"},
		"detached":             {"echo before; setsid sleep 1000 & setsid setsid sleep 1001; sleep 1002", "before\n"},
		"stopped":              {"echo before; kill -STOP $$", "before\n"},
		"kills its parent":     {"echo before; kill -TERM $PPID; kill -INT $PPID; kill -SEGV $PPID; kill -ABRT $PPID; kill -PIPE $PPID; kill -USR1 $PPID; kill -XFSZ $PPID; kill -TSTP $PPID; kill -QUIT $PPID; kill -35 $PPID; sleep 1000", "before\n"},
		"closes its own pipes": {"echo before; exec >/dev/null 2>&1; sleep 1000", "before\n"},
	} {
		t.Run(name, func(t *testing.T) {
			in := sh(dir, tc.command)
			in.TimeoutSeconds = 1
			out, took := performSlow(t, in, 20*time.Second, root)
			got := result(t, out)
			if out.Status != run.OutputTimedOut || got.ExitCode != 137 || got.Stdout.Text != tc.stdout || !strings.Contains(got.Note, "after 1s") {
				t.Errorf("%s = %s %+v, want a timeout with %q", tc.command, out.Status, got, tc.stdout)
			}
			if took > 2500*time.Millisecond {
				t.Errorf("took %v, want an answer right after 1 s", took)
			}
		})
	}
}

// What outlives the shell is killed and counted, whatever session it moved to.
func TestLeftBehind(t *testing.T) {
	root, dir := workspace(t, "rw")
	in := sh(dir, "for i in 1 2 3; do setsid sleep 1000 & echo $!; done")
	got := result(t, perform(t, in, root))
	if got.ExitCode != 0 || !strings.Contains(got.Note, "3 processes were left behind") {
		t.Errorf("result = %+v, want a note about three processes left behind", got)
	}
	for _, text := range strings.Fields(got.Stdout.Text) {
		if pid, err := strconv.Atoi(text); err != nil || syscall.Kill(pid, 0) != syscall.ESRCH {
			t.Errorf("process %q lives on after the answer", text)
		}
	}
	// Children that end by themselves at once are nobody's business.
	if got := result(t, perform(t, sh(dir, "echo late > >(cat)"), root)); got.Stdout.Text != "late\n" || got.Note != "" {
		t.Errorf("a child that ends by itself: %+v", got)
	}
	// A thousand orphans are reaped while the command runs.
	if got := result(t, perform(t, sh(dir, "for i in {1..1000}; do (true &); done; sleep 0.3; cat /proc/[0-9]*/stat 2>/dev/null | grep -c \") Z $PPID \""), root)); got.Stdout.Text != "0\n" {
		t.Errorf("orphans: %+v, want no zombie", got)
	}
}

// The shell's processes are the first to go when memory runs out.
func TestCommandDiesFirst(t *testing.T) {
	root, dir := workspace(t, "ro")
	if got := result(t, perform(t, sh(dir, "sleep 0.05; cat /proc/self/oom_score_adj"), root)); got.Stdout.Text != "1000\n" {
		t.Errorf("oom_score_adj = %q, want 1000", got.Stdout.Text)
	}
}
