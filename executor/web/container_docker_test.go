//go:build docker

package web_test

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/executor"
	"github.com/secureclaw/secureclaw/internal/capability"
	"github.com/secureclaw/secureclaw/internal/domain"
	"github.com/secureclaw/secureclaw/internal/fake"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/tunnel"
)

// image holds Chromium; the executor in it is replaced by this tree's.
const image = "secureclaw/executor-web:latest"

// built is where the executor is compiled to, for all tests of this run.
var built string

func TestMain(m *testing.M) {
	var err error
	if built, err = os.MkdirTemp("", "executor-web-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(built)
	os.Exit(code)
}

// program compiles the executor as it ships, once.
var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(built, "executor")
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, "../../cmd/executor-web")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %v\n%s", err, out)
	}
	return path, nil
})

// world is a small Internet: every name leads to one site, behind a proxy that lets through a list of
// names and answers as the runner's does.
type world struct {
	site    *fake.Site
	allowed []string
	memory  string   // of the container
	policy  string   // what Chromium is told beside the image's policy
	options []string // of the container, beside its usual ones

	mu    sync.Mutex
	asked []string // the first line of every request to the proxy
}

func newWorld(t testing.TB, allowed ...string) *world {
	t.Helper()
	site := fake.NewSite(t)
	w := &world{site: site, allowed: allowed, memory: "1g", policy: filepath.Join(t.TempDir(), "test.json")}
	w.trust(t, site.AuthorityDER())
	return w
}

// trust makes Chromium trust an authority, as a company's policy would.
func (w *world) trust(t testing.TB, der []byte) {
	t.Helper()
	if _, err := x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	policy, err := json.Marshal(map[string]any{"CACertificates": []string{base64.StdEncoding.EncodeToString(der)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.policy, policy, 0o644); err != nil {
		t.Fatal(err)
	}
}

// handle serves a host.
func (w *world) handle(host string, h http.HandlerFunc) { w.site.Handle(host, "*", h) }

// page puts HTML at the root of a host.
func (w *world) page(host, text string) { w.site.HTML(host, "/", text) }

// proxy is the other end of every stream.
func (w *world) proxy(_ context.Context, conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	request, err := http.ReadRequest(r)
	if err != nil {
		return
	}
	w.mu.Lock()
	w.asked = append(w.asked, request.Method+" "+request.RequestURI)
	w.mu.Unlock()
	if code := w.judge(request); code != "" {
		fmt.Fprintf(conn, "HTTP/1.1 403 Forbidden\r\nProxy-Status: secureclaw; error=http_request_denied; details=%q\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", code)
		return
	}
	to, err := net.Dial("tcp", w.site.Addr().String())
	if err != nil {
		return
	}
	defer to.Close()
	io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
	down := make(chan struct{})
	go func() {
		defer close(down)
		io.Copy(conn, to)
		conn.Close()
	}()
	io.Copy(to, r)
	to.Close()
	<-down
}

func (w *world) judge(request *http.Request) string {
	if request.Method != http.MethodConnect {
		return "method"
	}
	name, err := domain.ParseAuthority(request.RequestURI)
	if err != nil {
		return string(domain.CodeOf(err))
	}
	if list, err := domain.ParseList(w.allowed); err != nil || !list.Covers(name) {
		return "not_allowed"
	}
	return ""
}

// wanted are the first lines that the proxy got.
func (w *world) wanted() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.asked)
}

// envelope is a call with its token.
func (w *world) envelope(t testing.TB, private ed25519.PrivateKey, in run.Browse, limit time.Duration) []byte {
	t.Helper()
	if in.Extract == "" {
		in.Extract = run.ExtractText
	}
	input, err := strict.CanonicalOf(in)
	if err != nil {
		t.Fatal(err)
	}
	task, err := strict.CanonicalOf(run.Task{Call: "call-1", Tool: run.ToolBrowse, Input: input, TimeoutMS: limit.Milliseconds(), OutputCap: executor.MaxCap})
	if err != nil {
		t.Fatal(err)
	}
	token, err := capability.NewMinter(private, time.Now).Mint(capability.Claims{
		Audience: "web", Tool: run.ToolBrowse, TaskSHA256: capability.TaskDigest(task), Domains: w.allowed, TimeoutMS: limit.Milliseconds(),
		OutputCap: executor.MaxCap, Memory: 1 << 30, CPUMillis: 2000, Pids: 512, Session: "s", Call: "call-1",
	})
	if err != nil {
		t.Fatal(err)
	}
	line, err := strict.Encode(run.Envelope{Token: token, Task: task})
	if err != nil {
		t.Fatal(err)
	}
	return append(line, '\n')
}

// container is how the runner makes the containers of a browser, but for the network.
func (w *world) container() []string {
	return []string{"run", "--rm", "-i", "--read-only", "--user=1000:1000", "--ipc=private",
		"--cap-drop=ALL", "--security-opt=no-new-privileges", "--security-opt=seccomp=../../runner/internal/sandbox/seccomp/browser.json",
		"--pids-limit=512", "--memory=" + w.memory, "--memory-swap=" + w.memory, "--shm-size=256m", "--ulimit=nofile=4096", "--ulimit=core=0",
		"--tmpfs=/tmp:noexec,nosuid,nodev,size=256m,uid=1000,gid=1000,mode=700", "--log-driver=none",
		"--volume=" + w.policy + ":/etc/chromium/policies/managed/test.json:ro"}
}

// browse makes one call in a container as the runner makes them, and returns what it wrote. The time
// is the executor's own, from the task to the answer.
func (w *world) browse(t testing.TB, limit time.Duration, in run.Browse) (run.Output, run.BrowseResult) {
	t.Helper()
	return w.launch(t).call(t, limit, in)
}

// waiting is a container that has no task yet.
type waiting struct {
	world  *world
	name   string
	key    ed25519.PrivateKey
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout io.Reader
	ready  chan struct{}   // closed when it said so
	said   strings.Builder // what else stderr got; complete when quiet is closed
	quiet  chan struct{}
	took   time.Duration // of the call, from the task to the answer
}

// launch starts a container.
func (w *world) launch(t testing.TB) *waiting {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &waiting{world: w, name: "executor-web-" + strings.ToLower(rand.Text()), key: private, ready: make(chan struct{}), quiet: make(chan struct{})}
	args := append(append(w.container(), w.options...), "--name="+c.name, "--network=none", "--volume="+path+":/executor:ro",
		"--env="+executor.KeyVariable+"="+base64.StdEncoding.EncodeToString(public), image)
	c.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), "docker", args...)
	var errs io.Reader
	var err1, err2, err3 error
	c.stdin, err1 = c.cmd.StdinPipe()
	c.stdout, err2 = c.cmd.StdoutPipe()
	errs, err3 = c.cmd.StderrPipe()
	if err := errors.Join(err1, err2, err3, c.cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = exec.Command("docker", "rm", "-f", c.name).Run() // it is mostly gone
		_ = c.cmd.Wait()
	})
	go func() {
		defer close(c.quiet)
		for lines := bufio.NewScanner(errs); lines.Scan(); {
			if lines.Text() == run.ReadyLine {
				close(c.ready) // a second one would be a defect
				continue
			}
			c.said.WriteString(lines.Text() + "\n")
		}
	}()
	return c
}

// await returns when the container is ready.
func (c *waiting) await(t testing.TB) *waiting {
	t.Helper()
	select {
	case <-c.ready:
	case <-time.After(time.Minute):
		t.Fatalf("the container is not ready after a minute")
	}
	return c
}

// call gives the container its task.
func (c *waiting) call(t testing.TB, limit time.Duration, in run.Browse) (run.Output, run.BrowseResult) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit+30*time.Second)
	defer cancel()
	began := time.Now()
	if _, err := c.stdin.Write(c.world.envelope(t, c.key, in, limit)); err != nil {
		t.Fatal(err)
	}
	host := tunnel.Accept(ctx, c.stdout, c.stdin, tunnel.Limits{Streams: 64, Window: tunnel.Window, Idle: time.Minute}, c.world.proxy)
	raw, readErr := strict.ReadLine(bufio.NewReader(host.Answer()), executor.MaxLine)
	c.took = time.Since(began)
	closeErr := host.Close()
	<-c.quiet
	if err := c.cmd.Wait(); readErr != nil || closeErr != nil && ctx.Err() != nil {
		t.Fatalf("browse(%s): answer %v, tunnel %v, program %v, stderr %s", in.URL, readErr, closeErr, err, c.said.String())
	}
	if c.took > limit+1500*time.Millisecond+5*time.Second { // the container's start is in it
		t.Errorf("browse(%s) took %v with a limit of %v", in.URL, c.took, limit)
	}
	var out run.Output
	if err := strict.Decode(raw, &out); err != nil {
		t.Fatalf("browse(%s) wrote %.300q: %v", in.URL, raw, err)
	}
	var value run.BrowseResult
	if len(out.Value) > 0 {
		if err := strict.Decode(out.Value, &value); err != nil {
			t.Fatalf("browse(%s) has the value %.300q: %v", in.URL, out.Value, err)
		}
	}
	for _, line := range c.world.wanted() {
		if strings.Contains(line, ".google.com:") || strings.Contains(line, ".googleapis.com:") {
			t.Errorf("browse(%s): Chromium asked for %q by itself", in.URL, line)
		}
	}
	return out, value
}

// show is all of a call for a failure message.
func show(out run.Output, value run.BrowseResult, w *world) string {
	content := value.Content.Text
	return fmt.Sprintf("%s %q\nurl %s (%d) %q\nredirects %.300q\nactions %q\ncontent %.300q\nnotes %q\nblocked %+v\nproxy %.500q",
		out.Status, out.Error, value.URL, value.Status, value.Title, value.Redirects, value.Actions, content, value.Notes, value.Blocked, slices.Compact(w.wanted()))
}
