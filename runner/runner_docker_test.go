//go:build docker

package runner

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/secureclaw/secureclaw/internal/capability"
	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/runner/internal/sandbox"
)

const engineSocket = "/var/run/docker.sock"

// testImage is the sandbox's test executor in an image of its own.
func testImage(tb testing.TB) string {
	tb.Helper()
	binary := filepath.Join(tb.TempDir(), "executor")
	build := exec.Command("go", "build", "-trimpath", "-o", binary, "./internal/sandbox/testdata/executor")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		tb.Fatalf("build the test executor: %v\n%s", err, out)
	}
	data, err := os.ReadFile(binary)
	if err != nil {
		tb.Fatal(err)
	}
	sum := sha256.Sum256(data)
	name := "secureclaw-test/runner:" + hex.EncodeToString(sum[:8])
	c := engineClient(tb)
	if _, err := c.ImageInspect(tb.Context(), name); err == nil {
		return name
	}
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	if err := errors.Join(
		w.WriteHeader(&tar.Header{Name: "workspace/", Typeflag: tar.TypeDir, Mode: 0o755}),
		w.WriteHeader(&tar.Header{Name: "executor", Mode: 0o755, Size: int64(len(data))}),
	); err != nil {
		tb.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	imported, err := c.ImageImport(tb.Context(), client.ImageImportSource{Source: &files, SourceName: "-"}, name, client.ImageImportOptions{Changes: []string{`ENTRYPOINT ["/executor"]`}})
	if err != nil {
		tb.Fatal(err)
	}
	defer imported.Close()
	if _, err := io.Copy(io.Discard, imported); err != nil {
		tb.Fatal(err)
	}
	return name
}

func engineClient(tb testing.TB) *client.Client {
	tb.Helper()
	c, err := client.New(client.WithHost("unix://" + engineSocket))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	if _, err := c.Ping(tb.Context(), client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		tb.Fatalf("these tests need a container engine: %v", err)
	}
	return c
}

// dockerConfig runs the test executor for shell calls, with one writable folder.
func dockerConfig(tb testing.TB) *config.Config {
	tb.Helper()
	cfg := testConfig()
	cfg.Docker.Host = "unix://" + engineSocket
	work := tb.TempDir()
	if err := os.Chmod(work, 0o777); err != nil {
		tb.Fatal(err)
	}
	cfg.Mounts[0].Host = work
	e := cfg.Executors["shell"]
	e.Image = testImage(tb)
	cfg.Executors["shell"] = e
	return cfg
}

// workClaims grant the writable folder; each has a call of its own, by which its container is found.
func workClaims() capability.Claims {
	claims := testClaims()
	claims.Mounts = claims.Mounts[:1]
	claims.Call = "test-" + nonce()
	return claims
}

// alive counts containers of a call.
func alive(tb testing.TB, call string) int {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	list, err := engineClient(tb).ContainerList(ctx, client.ContainerListOptions{All: true, Filters: make(client.Filters).Add("label", "org.secureclaw.call="+call)})
	if err != nil {
		tb.Fatal(err)
	}
	return len(list.Items)
}

func (b *bed) start(tb testing.TB, claims capability.Claims, input string) (done func() []run.Event, hangUp func()) {
	tb.Helper()
	conn := b.dial(tb)
	order := b.order(tb, claims, input)
	if err := conn.Send(run.Request{Run: &order}); err != nil {
		tb.Fatal(err)
	}
	var first run.Event
	if err := conn.Receive(&first); err != nil || first.Started == nil {
		tb.Fatalf("first event = %+v, %v, want started", first, err)
	}
	return func() []run.Event {
		var events []run.Event
		for {
			var e run.Event
			if err := conn.Receive(&e); err != nil {
				return events
			}
			events = append(events, e)
		}
	}, func() { _ = conn.Close() }
}

func TestOneCall(t *testing.T) {
	b := newBed(t, dockerConfig(t))
	order := b.order(t, workClaims(), `{"arg":"/workspace/f","do":"write"}`)
	events := b.ask(t, run.Request{Run: &order})
	if len(events) != 2 || events[0].Started == nil || events[1].Result == nil {
		t.Fatalf("events = %+v, want started and a result", events)
	}
	result := *events[1].Result
	if result.Outcome != run.Finished || string(result.Output.Value) != `"ok"` {
		t.Errorf("result = %+v", result)
	}
	if data, err := os.ReadFile(filepath.Join(b.cfg.Mounts[0].Host, "f")); err != nil || string(data) != "written" {
		t.Errorf("on the host: %q, %v", data, err)
	}
	if tm := result.Timing; tm.Verify <= 0 || tm.Create <= 0 || tm.Start <= 0 || tm.Task <= 0 {
		t.Errorf("timing = %+v, want every part", tm)
	}
	t.Logf("%+v", result.Timing)
	steps := []string{StepVerified, sandbox.StepCreated, sandbox.StepStarted, sandbox.StepOutput}
	if got := b.passed(); !slices.Equal(got, steps) {
		t.Errorf("the call passed %q, want %q", got, steps)
	}
	if got := refusalOf(t, b.ask(t, run.Request{Run: &order})); got.Code != codeToken || !strings.Contains(got.Why, "used before") {
		t.Errorf("the same token again = %+v, want refusal %s", got, codeToken)
	}
	if got := b.passed(); !slices.Equal(got, steps) {
		t.Errorf("a refused call passed %q", got[len(steps):])
	}
}

// A refused request makes no container: the engine is asked, not our own books.
func TestRefusedMakesNoContainer(t *testing.T) {
	cfg := dockerConfig(t)
	cfg.Mounts[0].Mode = "ro"
	b := newBed(t, cfg)
	claims := workClaims()
	widened := b.order(t, claims, `{"arg":"","do":"echo"}`)
	if got := refusalOf(t, b.ask(t, run.Request{Run: &widened})); got.Code != codeMount {
		t.Errorf("refusal = %+v, want %s", got, codeMount)
	}
	forged := newBed(t, cfg).order(t, claims, `{"arg":"","do":"echo"}`)
	if got := refusalOf(t, b.ask(t, run.Request{Run: &forged})); got.Code != codeToken {
		t.Errorf("refusal = %+v, want %s", got, codeToken)
	}
	if n := alive(t, claims.Call); n != 0 {
		t.Errorf("%d containers of refused requests", n)
	}
}

func TestHangingUpKills(t *testing.T) {
	b := newBed(t, dockerConfig(t))
	claims := workClaims()
	claims.TimeoutMS = 30_000 // the deadline must not be what kills
	_, hangUp := b.start(t, claims, `{"arg":"","do":"silent"}`)
	if n := alive(t, claims.Call); n != 1 {
		t.Fatalf("%d containers while the call runs, want 1", n)
	}
	hangUp()
	awaitRemoval(t, claims.Call) // while the runner goes on
	if n := alive(t, claims.Call); n != 0 {
		t.Errorf("%d containers after hanging up, want none", n)
	}
}

// awaitRemoval returns when the engine says that the container of a call is gone.
func awaitRemoval(tb testing.TB, call string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 15*time.Second)
	defer cancel()
	c := engineClient(tb)
	list, err := c.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: make(client.Filters).Add("label", "org.secureclaw.call="+call)})
	if err != nil {
		tb.Fatal(err)
	}
	for _, item := range list.Items {
		wait := c.ContainerWait(ctx, item.ID, client.ContainerWaitOptions{Condition: container.WaitConditionRemoved})
		select {
		case <-wait.Result:
		case err := <-wait.Error:
			if !cerrdefs.IsNotFound(err) {
				tb.Fatalf("container of %s is not removed: %v", call, err)
			}
		}
	}
}

func TestStoppingTheRunnerKills(t *testing.T) {
	b := newBed(t, dockerConfig(t))
	claims := workClaims()
	done, _ := b.start(t, claims, `{"arg":"","do":"silent"}`)
	b.stop()
	events := done()
	if len(events) != 1 || events[0].Result == nil || events[0].Result.Outcome != run.Cancelled {
		t.Errorf("events = %+v, want the outcome %s", events, run.Cancelled)
	}
	if n := alive(t, claims.Call); n != 0 {
		t.Errorf("%d containers after the runner stopped, want none", n)
	}
}

func TestStatus(t *testing.T) {
	cfg := dockerConfig(t)
	e := cfg.Executors["file"]
	e.Image = "secureclaw-test/none:latest"
	cfg.Executors["file"] = e
	b := newBed(t, cfg)
	events := b.ask(t, run.Request{Status: &struct{}{}})
	if len(events) != 1 || events[0].Status == nil {
		t.Fatalf("events = %+v", events)
	}
	s := *events[0].Status
	if s.Problem != nil || !strings.HasPrefix(s.Engine, "Docker ") || !strings.Contains(s.Engine, ", API 1.") || s.Version != "test" {
		t.Errorf("status = %+v", s)
	}
	got := map[string]string{}
	for _, e := range s.Executors {
		got[e.Kind] = ""
		if e.Problem != nil {
			got[e.Kind] = e.Problem.Code
		} else if !strings.HasPrefix(e.ImageID, "sha256:") {
			t.Errorf("%s has image id %q", e.Kind, e.ImageID)
		}
	}
	if got["shell"] != "" || got["file"] != "image" || got["web"] != "" {
		t.Errorf("problems = %v, want one: image, of file", got)
	}
}

// proxy stands before the engine's socket and can be away. The real engine is never stopped.
type proxy struct {
	path string
	mu   sync.Mutex
	ln   *net.UnixListener
	open map[net.Conn]struct{}
}

func newProxy(tb testing.TB) *proxy {
	tb.Helper()
	p := &proxy{path: filepath.Join(tb.TempDir(), "docker.sock"), open: map[net.Conn]struct{}{}}
	p.up(tb)
	tb.Cleanup(p.down)
	return p
}

func (p *proxy) up(tb testing.TB) {
	tb.Helper()
	_ = os.Remove(p.path)
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: p.path, Net: "unix"})
	if err != nil {
		tb.Fatal(err)
	}
	ln.SetUnlinkOnClose(false) // a stopped engine leaves its socket
	p.ln = ln
	go func() {
		for {
			c, err := ln.AcceptUnix()
			if err != nil {
				return
			}
			go p.carry(c)
		}
	}()
}

func (p *proxy) carry(c *net.UnixConn) {
	up, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: engineSocket, Net: "unix"})
	if err != nil {
		_ = c.Close()
		return
	}
	p.mu.Lock()
	p.open[c], p.open[up] = struct{}{}, struct{}{}
	p.mu.Unlock()
	var both sync.WaitGroup
	for _, pair := range [][2]*net.UnixConn{{c, up}, {up, c}} {
		both.Go(func() {
			_, _ = io.Copy(pair[0], pair[1])
			_ = pair[0].CloseWrite()
		})
	}
	both.Wait()
	_, _ = c.Close(), up.Close()
}

// down stops listening and cuts every connection, as a killed engine does.
func (p *proxy) down() {
	_ = p.ln.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		_ = c.Close()
		delete(p.open, c)
	}
}

// Stopped before a call: a refusal with a fix. Started again: it works, without a restart of ours.
// Stopped during a call: the outcome is told as unknown, and the container goes once the engine is back.
func TestEngineStopsAndComesBack(t *testing.T) {
	cfg := dockerConfig(t)
	p := newProxy(t)
	cfg.Docker.Host = "unix://" + p.path
	b := newBed(t, cfg)
	echo := func() []run.Event {
		order := b.order(t, workClaims(), `{"arg":"x","do":"echo"}`)
		return b.ask(t, run.Request{Run: &order})
	}
	works := func(when string) {
		t.Helper()
		if events := echo(); len(events) != 2 || events[1].Result == nil || events[1].Result.Outcome != run.Finished {
			t.Fatalf("%s: events = %+v, want a result", when, events)
		}
	}
	works("before")

	p.down()
	if got := refusalOf(t, echo()); got.Code != "engine" || !strings.Contains(got.Why, "is stopped") || !strings.Contains(got.Fix, "needs no restart") {
		t.Errorf("stopped before a call: %+v", got)
	}
	p.up(t)
	works("back again")

	claims := workClaims()
	done, _ := b.start(t, claims, `{"arg":"","do":"silent"}`)
	p.down()
	events := done()
	if len(events) != 1 || events[0].Result == nil || events[0].Result.Outcome != run.Broken || !strings.Contains(events[0].Result.Detail, "unknown") {
		t.Errorf("stopped during a call: %+v, want %s and that its effects are unknown", events, run.Broken)
	}
	if n := alive(t, claims.Call); n != 1 {
		t.Fatalf("%d containers while nobody can remove it, want 1", n)
	}
	p.up(t)
	works("back once more") // and sweeps first
	if n := alive(t, claims.Call); n != 0 {
		t.Errorf("%d containers after the engine came back, want none", n)
	}
}

// A runner that is killed cannot clean up; its successor does, before its first call.
func TestOrphansOfAKilledRunner(t *testing.T) {
	cfg := dockerConfig(t)
	p := newProxy(t)
	cfg.Docker.Host = "unix://" + p.path
	b := newBed(t, cfg)
	claims := workClaims()
	_, hangUp := b.start(t, claims, `{"arg":"","do":"silent"}`)
	p.down() // the runner can do nothing any more, as if it had been killed
	hangUp()
	b.stop()
	if n := alive(t, claims.Call); n != 1 {
		t.Fatalf("%d orphans, want 1", n)
	}
	p.up(t)
	next := newBedIn(t, cfg, b.state, seams{})
	order := next.order(t, workClaims(), `{"arg":"x","do":"echo"}`)
	if events := next.ask(t, run.Request{Run: &order}); len(events) != 2 {
		t.Errorf("events = %+v, want a result", events)
	}
	if n := alive(t, claims.Call); n != 0 {
		t.Errorf("%d orphans after the next runner's first call, want none", n)
	}
}
