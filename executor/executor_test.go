package executor_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/internal/capability"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// noRaceSleep: a program with the race detector waits a second at its end unless told not to.
const noRaceSleep = "GORACE=atexit_sleep_ms=0"

// The test binary runs again as an executor with tools that misbehave.
func TestMain(m *testing.M) {
	if os.Getenv("EXECUTOR_UNDER_TEST") == "" {
		os.Exit(m.Run())
	}
	stdin, stdout, err := executor.Seal()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	tool := func(_ context.Context, call executor.Call) executor.Answer {
		fmt.Println(`{"call":"c","status":"ok"}`)
		fmt.Fprintln(os.NewFile(1, "one"), "by number")
		rest, err := os.ReadFile("/dev/fd/0")
		child, childErr := exec.Command("/bin/sh", "-c", "ls -l /proc/self/fd; cat").CombinedOutput()
		_, fdErr := os.ReadDir(fmt.Sprintf("/proc/%d/fd", os.Getpid()))
		return executor.Done(fmt.Sprintf("%q %v %q %v %v %d", rest, err, child, childErr, fdErr, call.Cap))
	}
	if os.Getenv("EXECUTOR_UNDER_TEST") == "orphans" {
		tool = orphans
	}
	os.Exit(executor.Serve(executor.Options{
		Kind: "shell", Stdin: stdin, Stdout: stdout, Key: os.Getenv(executor.KeyVariable), Now: time.Now,
		Tools: map[string]executor.Tool{"t": tool}, Orphans: os.Getenv("EXECUTOR_UNDER_TEST") == "orphans",
	}))
}

// gateway signs tasks.
type gateway struct {
	key    string
	minter *capability.Minter
}

func newGateway(t testing.TB) gateway {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return gateway{base64.StdEncoding.EncodeToString(public), capability.NewMinter(private, time.Now)}
}

func task() run.Task {
	return run.Task{
		Call: "c", Tool: "t", Input: strict.Value(`{}`), TimeoutMS: 1000, OutputCap: 4096,
		Roots: []run.Root{{Name: "work", Path: "/work", Mode: "ro"}},
	}
}

func claims() capability.Claims {
	return capability.Claims{
		Audience: "shell", Tool: "t", TimeoutMS: 1000, OutputCap: 4096, Memory: 1, CPUMillis: 1, Pids: 1, Session: "s", Call: "c",
		Mounts: []capability.Mount{{Name: "work", Mode: "ro"}},
	}
}

// envelope is the line that carries the task with a token for it.
func (g gateway) envelope(t testing.TB, task run.Task, claims capability.Claims) string {
	t.Helper()
	body, err := strict.CanonicalOf(task)
	if err != nil {
		t.Fatal(err)
	}
	claims.TaskSHA256 = capability.TaskDigest(body)
	token, err := g.minter.Mint(claims)
	if err != nil {
		t.Fatal(err)
	}
	line, err := strict.Encode(run.Envelope{Token: token, Task: body})
	if err != nil {
		t.Fatal(err)
	}
	return string(line) + "\n"
}

// serve runs Serve on one line and returns its answer.
func serve(t testing.TB, line, key string, now func() time.Time, tool executor.Tool) run.Output {
	t.Helper()
	var stdout bytes.Buffer
	code := executor.Serve(executor.Options{
		Kind: "shell", Stdin: strings.NewReader(line), Stdout: &stdout, Key: key, Now: now, Tools: map[string]executor.Tool{"t": tool},
	})
	raw := stdout.Bytes()
	if code != 0 || bytes.Count(raw, []byte("\n")) != 1 || len(raw) > executor.MaxLine {
		t.Fatalf("Serve = %d, %d bytes with %d lines, want 0 and one line", code, len(raw), bytes.Count(raw, []byte("\n")))
	}
	var out run.Output
	if err := strict.Decode(raw[:len(raw)-1], &out); err != nil {
		t.Fatalf("Serve wrote %.200q: %v", raw, err)
	}
	return out
}

func TestNothingRunsWithoutItsToken(t *testing.T) {
	g, other := newGateway(t), newGateway(t)
	good := g.envelope(t, task(), claims())
	later := func(d time.Duration) func() time.Time { return func() time.Time { return time.Now().Add(d) } }
	with := func(change func(*run.Task, *capability.Claims)) string {
		t, c := task(), claims()
		change(&t, &c)
		return g.envelope(nopTB{}, t, c)
	}
	for name, tc := range map[string]struct {
		line, key string
		now       func() time.Time
		want      string
	}{
		"another gateway's key":    {good, other.key, time.Now, "token refused (signature)"},
		"no key":                   {good, "", time.Now, "no verifying key"},
		"half a key":               {good, g.key[:20], time.Now, "no verifying key"},
		"no clock":                 {good, g.key, nil, "token refused"},
		"expired":                  {good, g.key, later(time.Minute), "token refused (time)"},
		"early":                    {good, g.key, later(-10 * time.Minute), "token refused (time)"},
		"another executor":         {with(func(_ *run.Task, c *capability.Claims) { c.Audience = "file" }), g.key, time.Now, "token refused (audience)"},
		"another task":             {strings.Replace(good, `"call":"c"`, `"call":"d"`, 1), g.key, time.Now, "token refused (task)"},
		"the same task in spaces":  {strings.Replace(good, `"call":"c"`, `"call": "c"`, 1), g.key, time.Now, "token refused (task)"},
		"no token":                 {`{"token":"","task":{}}` + "\n", g.key, time.Now, "token refused"},
		"another tool":             {with(func(_ *run.Task, c *capability.Claims) { c.Tool = "u" }), g.key, time.Now, "token is for tool"},
		"another call":             {with(func(_ *run.Task, c *capability.Claims) { c.Call = "d" }), g.key, time.Now, "token is for call"},
		"no such tool":             {with(func(k *run.Task, c *capability.Claims) { k.Tool, c.Tool = "u", "u" }), g.key, time.Now, "has no tool"},
		"a mount not in the token": {with(func(_ *run.Task, c *capability.Claims) { c.Mounts = nil }), g.key, time.Now, "does not name the mount"},
		"more than the mount":      {with(func(k *run.Task, _ *capability.Claims) { k.Roots[0].Mode = "rw" }), g.key, time.Now, "wants to write"},
		"a mode that nobody knows": {with(func(k *run.Task, _ *capability.Claims) { k.Roots[0].Mode = "" }), g.key, time.Now, "want ro or rw"},
		"a root with dots":         {with(func(k *run.Task, _ *capability.Claims) { k.Roots[0].Path = "/work/.." }), g.key, time.Now, "clean absolute"},
		"no time limit":            {with(func(k *run.Task, _ *capability.Claims) { k.TimeoutMS = 0 }), g.key, time.Now, "no time limit"},
		"no output limit":          {with(func(k *run.Task, _ *capability.Claims) { k.OutputCap = 0 }), g.key, time.Now, "no output limit"},
		"unknown field":            {strings.Replace(good, `{`, `{"x":1,`, 1), g.key, time.Now, "envelope"},
		"duplicate field":          {strings.Replace(good, `{`, `{"token":"",`, 1), g.key, time.Now, "envelope"},
		"two values":               {strings.TrimSuffix(good, "\n") + "{}\n", g.key, time.Now, "envelope"},
		"empty":                    {"", g.key, time.Now, "no task on stdin"},
		"cut":                      {strings.TrimSuffix(good, "\n"), g.key, time.Now, "cut after"},
		"longer than a frame":      {strings.Repeat(" ", executor.MaxLine) + good, g.key, time.Now, "longer than"},
		"a frame before the frame": {"\n" + good, g.key, time.Now, "envelope"},
	} {
		t.Run(name, func(t *testing.T) {
			ran := false
			out := serve(t, tc.line, tc.key, tc.now, func(context.Context, executor.Call) executor.Answer {
				ran = true
				return executor.Done(nil)
			})
			if out.Status != run.OutputRefused || !strings.Contains(out.Error, tc.want) || ran {
				t.Errorf("Serve = %s %q, ran %v, want refused with %q and nothing run", out.Status, out.Error, ran, tc.want)
			}
		})
	}
	if out := serve(t, good, g.key, time.Now, func(context.Context, executor.Call) executor.Answer { return executor.Done(1) }); out.Status != run.OutputOK {
		t.Errorf("the good envelope: %s %q, want ok", out.Status, out.Error)
	}
}

// nopTB stands in where a table is built before its subtests run.
type nopTB struct{ testing.TB }

func (nopTB) Helper()           {}
func (nopTB) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// The zero Options and the zero Answer say no.
func TestZeroMeansNo(t *testing.T) {
	var stdout bytes.Buffer
	g := newGateway(t)
	executor.Serve(executor.Options{Stdin: strings.NewReader(g.envelope(t, task(), claims())), Stdout: &stdout})
	if !strings.Contains(stdout.String(), `"refused"`) {
		t.Errorf("Serve with zero Options wrote %s, want a refusal", stdout.String())
	}
	if out := executor.Perform(t.Context(), task(), func(context.Context, executor.Call) executor.Answer { return executor.Answer{} }); out.Status != run.OutputFailed {
		t.Errorf("the zero Answer became %s, want failed", out.Status)
	}
}

// The lower limit counts, whoever set it.
func TestLimitsAreTheLower(t *testing.T) {
	g := newGateway(t)
	k, c := task(), claims()
	k.OutputCap, c.OutputCap, k.TimeoutMS = 1<<30, 1<<40, 60_000
	got, err := executor.Accept([]byte(strings.TrimSpace(g.envelope(t, k, c))), "shell", g.key, time.Now)
	if err != nil || got.OutputCap != executor.MaxCap || got.TimeoutMS != 1000 {
		t.Errorf("Accept = cap %d, timeout %d ms (%v), want %d and 1000", got.OutputCap, got.TimeoutMS, err, executor.MaxCap)
	}
}

func TestPerformAlwaysAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		tool   executor.Tool
		status run.OutputStatus
		want   string
		took   time.Duration
	}{
		"panics": {func(context.Context, executor.Call) executor.Answer { panic("the secret is 42") }, run.OutputFailed, "a defect", 0},
		"never comes back": {func(context.Context, executor.Call) executor.Answer {
			time.Sleep(time.Hour)
			return executor.Done(1)
		}, run.OutputTimedOut, "did not end", 2200 * time.Millisecond},
		"comes back with what it has": {func(ctx context.Context, _ executor.Call) executor.Answer {
			<-ctx.Done()
			return executor.TimedOut("half", "cut")
		}, run.OutputTimedOut, "cut", time.Second},
		"an ended context as error": {func(ctx context.Context, _ executor.Call) executor.Answer {
			<-ctx.Done()
			return executor.AnswerTo(fmt.Errorf("reading: %w", ctx.Err()))
		}, run.OutputTimedOut, "time limit", time.Second},
		"a refusal as error": {func(context.Context, executor.Call) executor.Answer {
			return executor.AnswerTo(fmt.Errorf("path: %w", executor.Refuse("no")))
		}, run.OutputRefused, "no", 0},
		"an error":       {func(context.Context, executor.Call) executor.Answer { return executor.AnswerTo(errors.New("disk")) }, run.OutputFailed, "disk", 0},
		"not to be JSON": {func(context.Context, executor.Call) executor.Answer { return executor.Done("\xff") }, run.OutputFailed, "cannot be written", 0},
		"an error with hostile bytes": {func(context.Context, executor.Call) executor.Answer {
			return executor.Failed("%s", "\xff"+strings.Repeat("\x00", 1<<20))
		}, run.OutputFailed, `\xff`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				out := executor.Perform(t.Context(), task(), tc.tool)
				if out.Status != tc.status || !strings.Contains(out.Error, tc.want) || strings.Contains(out.Error, "42") || len(out.Error) > 2100 {
					t.Errorf("Perform = %s %.200q, want %s %q", out.Status, out.Error, tc.status, tc.want)
				}
				if took := time.Since(began); took != tc.took {
					t.Errorf("Perform took %v, want %v", took, tc.took)
				}
				time.Sleep(2 * time.Hour) // let the tool end that never comes back
			})
		})
	}
}

func TestResultThatDoesNotFit(t *testing.T) {
	g := newGateway(t)
	out := serve(t, g.envelope(t, task(), claims()), g.key, time.Now, func(context.Context, executor.Call) executor.Answer {
		return executor.Done(strings.Repeat("\x01", executor.MaxLine/6))
	})
	if out.Status != run.OutputFailed || !strings.Contains(out.Error, "one frame") || out.Call != "c" {
		t.Errorf("Serve = %s %q, want a failure that says why", out.Status, out.Error)
	}
}

// What a tool or its child prints, reads or opens has no way to the channel.
func TestSealedProgram(t *testing.T) {
	g := newGateway(t)
	program, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	in, inEnd, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, outEnd, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = []string{"EXECUTOR_UNDER_TEST=1", noRaceSleep, executor.KeyVariable + "=" + g.key}
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, outEnd, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	channel := []string{pipeName(t, in), pipeName(t, outEnd)}
	outEnd.Close()
	if _, err := inEnd.WriteString(g.envelope(t, task(), claims()) + "more input that nobody reads\n"); err != nil {
		t.Fatal(err)
	}
	inEnd.Close()
	raw, err := io.ReadAll(out)
	if err = errors.Join(err, cmd.Wait()); err != nil || bytes.Count(raw, []byte("\n")) != 1 || !strings.Contains(string(raw), "/dev/null") {
		t.Fatalf("program wrote %q (%v), stderr %s, want one line", raw, err, stderr.String())
	}
	if !strings.Contains(stderr.String(), `{"call":"c","status":"ok"}`) {
		t.Errorf("stderr = %q, want the stray print", stderr.String())
	}
	for _, secret := range append(channel, "more input", "by number", g.key) {
		if strings.Contains(string(raw), secret) {
			t.Errorf("the answer %s holds %q", raw, secret)
		}
	}
}

// pipeName is how /proc shows the pipe.
func pipeName(t testing.TB, f *os.File) string {
	t.Helper()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("pipe:[%d]", info.Sys().(*syscall.Stat_t).Ino)
}

// carried is a way for the answer that is not stdout.
type carried struct {
	bytes.Buffer
	rest   string // of stdin
	closed int
	err    error
}

func (c *carried) Close() error { c.closed++; return c.err }

// What carries more than one line gets all of stdin behind the envelope, and the answer of every
// outcome; stdout gets nothing of ours.
func TestCarry(t *testing.T) {
	g := newGateway(t)
	good := g.envelope(t, task(), claims())
	var stdout bytes.Buffer
	serve := func(c *carried, line string, refuse error) int {
		stdout.Reset()
		return executor.Serve(executor.Options{
			Kind: "shell", Stdin: strings.NewReader(line), Stdout: &stdout, Key: g.key, Now: time.Now,
			Tools: map[string]executor.Tool{"t": func(context.Context, executor.Call) executor.Answer {
				return executor.Done(c.rest)
			}},
			Carry: func(stdin io.Reader, out io.Writer) (io.WriteCloser, error) {
				rest, err := io.ReadAll(stdin)
				c.rest = string(rest)
				if out != &stdout {
					t.Error("Carry got another stdout")
				}
				return c, errors.Join(err, refuse)
			},
		})
	}
	for name, tc := range map[string]struct {
		line  string
		taken error // by Close
		code  int
		want  string
	}{
		"a good task":       {good + "\x00frames\n", nil, 0, `"value":"\u0000frames\n"`},
		"nothing behind it": {good, nil, 0, `"value":""`},
		"a refused token":   {strings.Replace(good, `"call":"c"`, `"call":"d"`, 1) + "frames", nil, 0, `"refused"`},
		"no envelope":       {"what?\nframes", nil, 0, `"refused"`},
		"not taken":         {good, errors.New("hung up"), 1, `"value"`},
	} {
		t.Run(name, func(t *testing.T) {
			c := &carried{err: tc.taken}
			code := serve(c, tc.line, nil)
			if code != tc.code || !strings.Contains(c.String(), tc.want) || strings.Count(c.String(), "\n") != 1 || c.closed != 1 || stdout.Len() > 0 {
				t.Errorf("Serve = %d, carried %q, closed %d times, stdout %q, want %d and one line with %s", code, c.String(), c.closed, stdout.String(), tc.code, tc.want)
			}
		})
	}
	c := &carried{}
	if code := serve(c, good, errors.New("no tunnel")); code != 1 || c.Len()+stdout.Len() > 0 {
		t.Errorf("Serve without a carrier = %d, wrote %q and %q, want 1 and nothing", code, c.String(), stdout.String())
	}
	// Without a line there is nothing to carry: the refusal goes where everybody can see it.
	if code := serve(c, "cut", nil); code != 0 || c.Len() > 0 || !strings.Contains(stdout.String(), "no task on stdin") {
		t.Errorf("Serve without an envelope = %d, wrote %q and %q", code, c.String(), stdout.String())
	}
}

func TestToolSeesTheTokensDomains(t *testing.T) {
	g, c := newGateway(t), claims()
	c.Domains = []string{"example.com", "*.cdn.test"}
	var got []string
	serve(t, g.envelope(t, task(), c), g.key, time.Now, func(_ context.Context, call executor.Call) executor.Answer {
		got = call.Domains
		return executor.Done(nil)
	})
	if !slices.Equal(got, c.Domains) {
		t.Errorf("Call.Domains = %q, want %q", got, c.Domains)
	}
}

// Orphans are taken, and who waits for a child of his own still gets its end.
func TestOrphansAreTaken(t *testing.T) {
	g := newGateway(t)
	program, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	k, c := task(), claims()
	k.TimeoutMS, c.TimeoutMS = 20_000, 20_000
	cmd := exec.Command(program)
	cmd.Env = []string{"EXECUTOR_UNDER_TEST=orphans", "PATH=/usr/bin:/bin", noRaceSleep, executor.KeyVariable + "=" + g.key}
	cmd.Stdin = strings.NewReader(g.envelope(t, k, c))
	raw, err := cmd.Output()
	if err != nil || !strings.Contains(string(raw), `"status":"ok"`) {
		t.Errorf("program wrote %q, %v, want ok", raw, err)
	}
}

// orphans starts processes that outlive their parent, and waits until none is left, dead or alive.
func orphans(ctx context.Context, _ executor.Call) executor.Answer {
	if err := exec.Command("/bin/sh", "-c", "sleep 0.1 & sleep 0.1 & sleep 0.2 & exit 0").Run(); err != nil {
		return executor.Failed("sh: %v", err)
	}
	slow := exec.Command("/bin/sh", "-c", "sleep 1; exit 7")
	if err := slow.Run(); slow.ProcessState == nil || slow.ProcessState.ExitCode() != 7 {
		return executor.Failed("a child of our own: %v", err)
	}
	for {
		stats, _ := filepath.Glob("/proc/[0-9]*/stat")
		left := 0
		for _, name := range stats {
			stat, _ := os.ReadFile(name)
			if fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])); len(fields) > 1 && fields[1] == fmt.Sprint(os.Getpid()) {
				left++
			}
		}
		if left == 0 {
			return executor.Done(nil)
		}
		select {
		case <-ctx.Done():
			return executor.Failed("%d are left", left)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Ready is said once there is nothing to do but the task, and not where preparing failed.
func TestReady(t *testing.T) {
	for name, tc := range map[string]struct {
		prepare func() error
		want    string
	}{
		"nothing to prepare": {nil, run.ReadyLine + "\n"},
		"prepared":           {func() error { return nil }, run.ReadyLine + "\n"},
		"preparing failed":   {func() error { return errors.New("no browser") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var said strings.Builder
			executor.Await(executor.Options{Prepare: tc.prepare, Ready: &said})
			if said.String() != tc.want {
				t.Errorf("said %q, want %q", said.String(), tc.want)
			}
		})
	}
}

// What is rehearsed is a task that no key signed: no tool may get it, and no line leaves.
func TestARehearsalRunsNoTool(t *testing.T) {
	g := newGateway(t)
	var out, said strings.Builder
	tool := func(context.Context, executor.Call) executor.Answer {
		t.Error("a tool was called without a task")
		return executor.Done(nil)
	}
	executor.Await(executor.Options{
		Kind: "shell", Stdin: strings.NewReader(""), Stdout: &out, Key: g.key, Now: time.Now, Ready: &said,
		Tools: map[string]executor.Tool{"none": tool, "": tool, "rehearsal": tool},
	})
	if out.Len() > 0 || said.String() != run.ReadyLine+"\n" {
		t.Errorf("stdout %q, ready %q; want nothing, and that it is ready", out.String(), said.String())
	}
}
