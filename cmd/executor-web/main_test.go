package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/internal/capability"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/tunnel"
)

// The test binary runs again as the program.
func TestMain(m *testing.M) {
	if os.Getenv("EXECUTOR_UNDER_TEST") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// program starts the executor with stdin and stdout as pipes, and gives it line.
func program(t *testing.T, key, line string) (stdin *os.File, stdout io.ReadCloser, wait func() (stderr string, err error)) {
	t.Helper()
	in, stdin, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{"EXECUTOR_UNDER_TEST=1", "GORACE=atexit_sleep_ms=0", executor.KeyVariable + "=" + key}
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	out.Close()
	if _, err := io.WriteString(stdin, line); err != nil {
		t.Fatal(err)
	}
	return stdin, stdout, func() (string, error) { err := cmd.Wait(); return stderr.String(), err }
}

// envelope is a line for a task of the tool with a token for it.
func envelope(t *testing.T, tool, input string) (key, line string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	task, err := strict.CanonicalOf(run.Task{Call: "call-1", Tool: tool, Input: strict.Value(input), TimeoutMS: 10_000, OutputCap: 4096})
	if err != nil {
		t.Fatal(err)
	}
	token, err := capability.NewMinter(private, time.Now).Mint(capability.Claims{
		Audience: "web", Tool: tool, TaskSHA256: capability.TaskDigest(task), TimeoutMS: 10_000, OutputCap: 4096,
		Memory: 1 << 30, CPUMillis: 1000, Pids: 512, Session: "s", Call: "call-1", Domains: []string{"example.com"},
	})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := strict.Encode(run.Envelope{Token: token, Task: task})
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(public), string(raw) + "\n"
}

// Every outcome, also a refused token, comes as one line in the answer's stream; then the program ends.
func TestAnswersThroughTheTunnel(t *testing.T) {
	key, good := envelope(t, run.ToolBrowse, `{"url":"file:///etc/passwd","extract":"tree"}`)
	_, shell := envelope(t, "run_shell", `{}`)
	otherKey, unknown := envelope(t, "run_shell", `{}`)
	for name, tc := range map[string]struct{ key, line, want string }{
		"a tool that refuses":  {key, good, `"status":"refused"`},
		"a tool it has not":    {otherKey, unknown, "has no tool"},
		"another key":          {key, shell, "token refused"},
		"no key":               {"", good, "no verifying key"},
		"a task that was bent": {key, strings.Replace(good, "passwd", "shadow", 1), "token refused"},
		"no envelope":          {key, "{}\n", "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			stdin, stdout, wait := program(t, tc.key, tc.line)
			host := tunnel.Accept(t.Context(), stdout, stdin, tunnel.Limits{}, func(context.Context, net.Conn) {})
			line, err := bufio.NewReader(host.Answer()).ReadString('\n')
			if err != nil {
				t.Errorf("no line: %v", errors.Join(err, host.Err()))
			}
			if _, err := io.ReadAll(host.Answer()); err != nil {
				t.Errorf("after the line: %v, want the end", err)
			}
			stderr, err := wait()
			// Whether it was ready by then depends on what is faster, and on whether there is a Chromium.
			if err != nil || stderr != "" && stderr != run.ReadyLine+"\n" || !strings.Contains(line, tc.want) {
				t.Errorf("answered %q, ended with %v, said %q, want %s", line, err, stderr, tc.want)
			}
			<-host.Done()
			if err := host.Close(); err != nil {
				t.Errorf("the tunnel ended with %v", err)
			}
		})
	}
}

// A runner that begins no tunnel gets no word, and no task is done.
func TestNoTunnelNoTask(t *testing.T) {
	key, line := envelope(t, run.ToolBrowse, `{"url":"https://example.com/","extract":"tree"}`)
	stdin, stdout, wait := program(t, key, line)
	stdin.Close()
	said, err := io.ReadAll(stdout)
	if len(said) > 0 || err != nil {
		t.Errorf("stdout %q, %v, want nothing", said, err)
	}
	var exit *exec.ExitError
	if _, err := wait(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("ended with %v, want status 1", err)
	}
}

// Without a task the program says that there was none, and ends.
func TestNoTask(t *testing.T) {
	key, _ := envelope(t, run.ToolBrowse, `{}`)
	stdin, stdout, wait := program(t, key, "")
	stdin.Close()
	said, err := io.ReadAll(stdout)
	if err != nil || !strings.Contains(string(said), "no task on stdin") {
		t.Errorf("stdout %q, %v, want a refusal", said, err)
	}
	if stderr, err := wait(); err != nil {
		t.Errorf("ended with %v, said %q", err, stderr)
	}
}
