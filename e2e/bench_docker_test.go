//go:build docker

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// benchRun is one `secureclaw bench` in a folder for temporary files of its own.
type benchRun struct {
	temp   string
	cmd    *exec.Cmd
	stdout bytes.Buffer
	pipe   *bufio.Reader
	stderr strings.Builder // what was read of it
}

func startBench(t *testing.T, environ []string, args ...string) *benchRun {
	t.Helper()
	b := &benchRun{temp: t.TempDir()}
	b.cmd = exec.Command(program(), append([]string{"bench"}, args...)...)
	b.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + b.temp, "TMPDIR=" + b.temp}, environ...)
	b.cmd.Stdout = &b.stdout
	pipe, err := b.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	b.pipe = bufio.NewReader(pipe)
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return b
}

// until reads what it says of its progress up to a line with the words.
func (b *benchRun) until(t *testing.T, words string) {
	t.Helper()
	for {
		line, err := b.pipe.ReadString('\n')
		b.stderr.WriteString(line)
		if strings.Contains(line, words) {
			return
		}
		if err != nil {
			t.Fatalf("it never said %q: %s", words, b.stderr.String())
		}
	}
}

// end waits for it and looks for what it left: files, processes, containers.
func (b *benchRun) end(t *testing.T) (code int) {
	t.Helper()
	if _, err := io.Copy(&b.stderr, b.pipe); err != nil {
		t.Error(err)
	}
	err := b.cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(b.temp, "secureclaw-bench-*")); len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range lines {
		if line, _ := os.ReadFile(path); bytes.Contains(line, []byte(b.temp)) {
			t.Errorf("a process is left: %q", line)
		}
	}
	out, err := exec.Command("docker", "ps", "-aq", "--filter", "label=org.secureclaw.plain="+strconv.Itoa(b.cmd.Process.Pid)).Output()
	if err != nil || len(out) > 0 {
		t.Errorf("plain containers are left: %s (%v)", out, err)
	}
	return code
}

// A small run measures every kind, as a document and as a picture.
func TestBench(t *testing.T) {
	picture := filepath.Join(t.TempDir(), "bars.svg")
	b := startBench(t, nil, "-n", "2", "--pages", "1", "--starts", "1", "--idle", "100ms", "--at-once", "2", "--json", "--svg", picture)
	if code := b.end(t); code != 0 {
		t.Fatalf("bench ended with %d: %s", code, b.stderr.String())
	}
	var report struct {
		Calls []struct {
			Kind  string
			Cold  struct{ P50 float64 } `json:"cold_ms"`
			Plain struct{ P50 float64 } `json:"plain_ms"`
			Fork  struct{ P50 float64 } `json:"fork_ms"`
		}
		AtOnce []struct {
			Calls, Failed int
		} `json:"at_once"`
		Processes []struct {
			Role     string
			Resident float64 `json:"resident_mb"`
		}
	}
	if err := json.Unmarshal(b.stdout.Bytes(), &report); err != nil {
		t.Fatalf("%v: %s", err, b.stdout.String())
	}
	var kinds, roles []string
	for _, k := range report.Calls {
		kinds = append(kinds, k.Kind)
		if k.Cold.P50 <= 0 || k.Plain.P50 <= 0 || k.Fork.P50 <= 0 || k.Fork.P50 >= k.Plain.P50 {
			t.Errorf("%+v, want times above nothing, and a process cheaper than a container", k)
		}
	}
	for _, p := range report.Processes {
		roles = append(roles, p.Role)
		if p.Resident < 5 || p.Resident > 200 {
			t.Errorf("%s holds %v MB", p.Role, p.Resident)
		}
	}
	if got := strings.Join(kinds, " ") + ", " + strings.Join(roles, " "); got != "shell file web, gateway runner bridge" {
		t.Errorf("measured %s", got)
	}
	if len(report.AtOnce) != 1 || report.AtOnce[0].Calls != 4 || report.AtOnce[0].Failed != 0 {
		t.Errorf("at once: %+v, want 4 calls and no failure", report.AtOnce)
	}
	drawn, err := os.ReadFile(picture)
	if err != nil || xml.Unmarshal(drawn, new(struct{ XMLName xml.Name })) != nil || !bytes.Contains(drawn, []byte("<rect")) {
		t.Errorf("the picture: %v\n%s", err, drawn)
	}
}

// Whenever it is interrupted, nothing is left.
func TestBenchInterrupted(t *testing.T) {
	for _, at := range []string{"starting", "idle", "calls of shell"} {
		t.Run(at, func(t *testing.T) {
			b := startBench(t, nil, "--starts", "1", "--idle", "1s")
			b.until(t, at)
			time.Sleep(300 * time.Millisecond) // into the midst of it
			if err := b.cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			if code := b.end(t); code != 1 || !strings.Contains(b.stderr.String(), "error: interrupted") {
				t.Errorf("ended with %d: %s", code, b.stderr.String())
			}
		})
	}
}

// Without an engine there is no figure, and the user reads why.
func TestBenchWithoutEngine(t *testing.T) {
	b := startBench(t, []string{"DOCKER_HOST=unix:///nowhere/docker.sock"})
	if code := b.end(t); code != 5 || !strings.Contains(b.stderr.String(), "/nowhere/docker.sock") || !strings.Contains(b.stderr.String(), "  fix  ") {
		t.Errorf("ended with %d: %s", code, b.stderr.String())
	}
}
