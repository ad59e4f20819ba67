//go:build docker

package web_test

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/tunnel"
)

// process is one of a container, as the host sees it.
type process struct {
	pid  int
	line string // its arguments
}

// processes are those of the container, process 1 first.
func (c *waiting) processes(t testing.TB) []process {
	t.Helper()
	out, err := exec.Command("docker", "top", c.name, "-eo", "pid,args").Output()
	if err != nil {
		t.Fatalf("docker top: %v", err)
	}
	var all []process
	for line := range strings.Lines(string(out)) {
		number, args, _ := strings.Cut(strings.TrimSpace(line), " ")
		if pid, err := strconv.Atoi(number); err == nil {
			all = append(all, process{pid, args})
		}
	}
	return all
}

// browser is Chromium's first process in the container, 0 when there is none.
func (c *waiting) browser(t testing.TB) int {
	t.Helper()
	for _, p := range c.processes(t) {
		if strings.Contains(p.line, "--remote-debugging-pipe") && !strings.Contains(p.line, "--type=") {
			return p.pid
		}
	}
	return 0
}

// isGone reports whether a process of the host ended, or does within some seconds.
func isGone(pid int) bool {
	for range 100 {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err != nil {
			return true
		}
		time.Sleep(50 * time.Millisecond)
	}
	return false
}

var simple = run.Browse{URL: "https://example.com/plain", Extract: run.ExtractTree}

// Ready is said when the browser lives; nothing has left the container by then; and the call is done by
// that very browser.
func TestReady(t *testing.T) {
	w := newWorld(t, "example.com")
	began := make(chan int, 1)
	w.page("example.com", `<p>at last</p>`)
	c := w.launch(t).await(t)
	pid := c.browser(t)
	if pid == 0 {
		t.Fatalf("ready without a browser: %v", c.processes(t))
	}
	time.Sleep(30 * time.Second) // what Chromium does by itself after a while, it has done
	if asked := w.wanted(); len(asked) > 0 {
		t.Errorf("before the call the proxy was asked %q, want nothing", asked)
	}
	go func() {
		for len(w.wanted()) == 0 { // in the middle of the call
			time.Sleep(time.Millisecond)
		}
		began <- c.browser(t)
	}()
	out, value := c.call(t, 20*time.Second, run.Browse{URL: "https://example.com/", Extract: run.ExtractText,
		Actions: []run.BrowseAction{{Do: run.DoWait, Seconds: 2}}})
	if out.Status != run.OutputOK || !strings.Contains(value.Content.Text, "at last") {
		t.Errorf("the call after 30 s: %s", show(out, value, w))
	}
	if during := <-began; during != pid {
		t.Errorf("the call was done by process %d, ready was %d", during, pid)
	}
	if !isGone(pid) {
		t.Errorf("the browser %d outlived its call", pid)
	}
}

// What stood still for a while, as on a computer that slept, does its call.
func TestReadyAfterStandstill(t *testing.T) {
	w := newWorld(t, "example.com")
	c := w.launch(t).await(t)
	for _, command := range []string{"pause", "unpause"} {
		if out, err := exec.Command("docker", command, c.name).CombinedOutput(); err != nil {
			t.Fatalf("docker %s: %v %s", command, err, out)
		}
		time.Sleep(3 * time.Second)
	}
	if out, value := c.call(t, 20*time.Second, simple); out.Status != run.OutputOK {
		t.Errorf("the call: %s", show(out, value, w))
	}
}

// A browser that was killed while it waited is replaced by the call.
func TestReadyAndKilled(t *testing.T) {
	w := newWorld(t, "example.com")
	c := w.launch(t).await(t)
	pid := c.browser(t)
	if pid == 0 {
		t.Fatal("ready without a browser")
	}
	if out, err := exec.Command("kill", "-9", strconv.Itoa(pid)).CombinedOutput(); err != nil {
		t.Fatalf("kill: %v %s", err, out)
	}
	if !isGone(pid) {
		t.Fatalf("process %d is still there", pid)
	}
	if out, value := c.call(t, 20*time.Second, simple); out.Status != run.OutputOK {
		t.Errorf("the call: %s", show(out, value, w))
	}
}

// Where no browser can start, nobody says ready, and a call is told why.
func TestNeverReady(t *testing.T) {
	w := newWorld(t, "example.com")
	w.options = []string{"--volume=/dev/null:/usr/lib/chromium/chromium:ro"}
	c := w.launch(t)
	out, _ := c.call(t, 20*time.Second, simple)
	if out.Status != run.OutputFailed || !strings.Contains(out.Error, "start Chromium: ") {
		t.Errorf("the call = %s %q, want %s and why", out.Status, out.Error, run.OutputFailed)
	}
	select {
	case <-c.ready:
		t.Error("it said that it is ready")
	default:
	}
}

// A runner that goes away without a task leaves nothing behind.
func TestReadyWithoutTask(t *testing.T) {
	w := newWorld(t, "example.com")
	c := w.launch(t).await(t)
	all := c.processes(t)
	if len(all) < 5 {
		t.Fatalf("ready with %v, want a browser", all)
	}
	began := time.Now()
	if err := c.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if !isGone(p.pid) {
			t.Errorf("still there: %d %s", p.pid, p.line)
		}
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("its end took %v", took)
	}
}

// A second envelope is no task: what follows the first belongs to the tunnel, which refuses it.
func TestReadyTakesOneTask(t *testing.T) {
	w := newWorld(t, "example.com")
	c := w.launch(t).await(t)
	pid := c.browser(t)
	first, second := w.envelope(t, c.key, simple, 20*time.Second), w.envelope(t, c.key, run.Browse{URL: "https://example.com/second"}, 20*time.Second)
	if _, err := c.stdin.Write(append(first, second...)); err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(c.stdout)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(said, []byte(`"call":`)) {
		t.Errorf("two envelopes were answered with %q", said)
	}
	if asked := w.wanted(); len(asked) > 0 {
		t.Errorf("two envelopes made it ask for %q", asked)
	}
	if !isGone(pid) {
		t.Errorf("the browser %d is still there", pid)
	}

	// And behind a whole tunnel, what is written after the first task goes nowhere.
	c = w.launch(t).await(t)
	if _, err := c.stdin.Write(w.envelope(t, c.key, simple, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	host := tunnel.Accept(t.Context(), c.stdout, c.stdin, tunnel.Limits{Streams: 64, Window: tunnel.Window, Idle: time.Minute}, w.proxy)
	answer := bufio.NewReader(host.Answer())
	if _, err := strict.ReadLine(answer, executor.MaxLine); err != nil {
		t.Fatal(err)
	}
	_, _ = c.stdin.Write(second) // it may be gone already
	if rest, _ := io.ReadAll(answer); len(rest) > 0 {
		t.Errorf("behind the answer came %q", rest)
	}
	host.Close()
	for _, line := range w.site.Asked("example.com") {
		if strings.Contains(line.Path, "second") {
			t.Errorf("the site was asked %q", line.Path)
		}
	}
}

// Nothing that waits knows anything worth stealing: process 1 has the key that verifies, and Chromium
// not even that.
func TestReadyHoldsNoSecret(t *testing.T) {
	w := newWorld(t, "example.com")
	c := w.launch(t).await(t)
	public := base64.StdEncoding.EncodeToString(c.key.Public().(ed25519.PublicKey))
	for i, p := range c.processes(t) {
		environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.pid))
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 { // Chromium writes its arguments over its environment
			if bytes.Contains(environ, []byte("SECURECLAW")) || bytes.Contains(environ, []byte(public)) || strings.Contains(p.line, public) {
				t.Errorf("process %d (%.60s) knows %q", i, p.line, environ)
			}
			continue
		}
		for variable := range strings.SplitSeq(strings.Trim(string(environ), "\x00"), "\x00") {
			switch name, value, _ := strings.Cut(variable, "="); name {
			case "HOME", "PATH", "HOSTNAME", "LANG", "TZ":
			case executor.KeyVariable:
				if value != public {
					t.Errorf("process 1 has %s, want %s", variable, public)
				}
			default:
				t.Errorf("process 1 has %s", variable)
			}
		}
	}
}
