//go:build docker

package sandbox

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/tunnel"
)

// engineHost is the real engine. A test that cannot reach it fails: a fence nobody tried is no fence.
func engineHost() string {
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		return host
	}
	return "unix:///var/run/docker.sock"
}

// testImage is testdata/executor in an image of its own, made once for each content.
func testImage(tb testing.TB) string {
	tb.Helper()
	binary := filepath.Join(tb.TempDir(), "executor")
	build := exec.Command("go", "build", "-trimpath", "-o", binary, "./testdata/executor")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		tb.Fatalf("build the test executor: %v\n%s", err, out)
	}
	data, err := os.ReadFile(binary)
	if err != nil {
		tb.Fatal(err)
	}
	sum := sha256.Sum256(data)
	name := "secureclaw-test/executor:" + hex.EncodeToString(sum[:8])
	c := rawClient(tb)
	ctx := tb.Context()
	if _, err := c.ImageInspect(ctx, name); err == nil {
		return name
	}
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	for _, dir := range []string{"tmp/", "notes/", "work/", "usr/", "etc/", "run/", "var/tmp/", "home/"} {
		if err := w.WriteHeader(&tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o755}); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.WriteHeader(&tar.Header{Name: "executor", Mode: 0o755, Size: int64(len(data))}); err != nil {
		tb.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	imported, err := c.ImageImport(ctx, client.ImageImportSource{Source: &files, SourceName: "-"}, name, client.ImageImportOptions{Changes: []string{`ENTRYPOINT ["/executor"]`}})
	if err != nil {
		tb.Fatalf("import the test image: %v", err)
	}
	defer imported.Close()
	if _, err := io.Copy(io.Discard, imported); err != nil {
		tb.Fatal(err)
	}
	return name
}

func rawClient(tb testing.TB) *client.Client {
	tb.Helper()
	c, err := client.New(client.WithHost(engineHost()))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	if _, err := c.Ping(tb.Context(), client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		tb.Fatalf("these tests need a container engine: %v", err)
	}
	return c
}

func token() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// bench is one sandbox of its own instance.
type bed struct {
	*Sandbox
	image string
	c     *client.Client
	ready bool // each task that can wait for it gets a container that was started before
}

func newBed(tb testing.TB) *bed { return newBedAt(tb, engineHost(), "test-"+token()) }

func newBedAt(tb testing.TB, host, instance string) *bed {
	tb.Helper()
	return newBedOf(tb, Options{Hosts: []string{host}, Instance: instance})
}

// newReadyBed keeps containers ready, within a budget of so many bytes.
func newReadyBed(tb testing.TB, budget int64, usual ...Task) *bed {
	tb.Helper()
	b := newBedOf(tb, Options{Hosts: []string{engineHost()}, Instance: "test-" + token(), Ready: budget, Starts: 2})
	b.keep(tb, usual)
	return b
}

func newBedOf(tb testing.TB, o Options) *bed {
	tb.Helper()
	o.Boot, o.Dir, o.Log = token(), filepath.Join(tb.TempDir(), "runner"), slog.New(slog.NewTextHandler(tb.Output(), nil))
	b := &bed{Sandbox: New(o), image: testImage(tb), c: rawClient(tb)}
	tb.Cleanup(func() {
		b.Close()
		if left := b.containers(tb); len(left) > 0 {
			tb.Errorf("containers left behind: %v", left)
		}
	})
	return b
}

// bothWays runs a test with containers that are started for each call, and with containers that waited: what
// holds of the ones must hold of the others.
func bothWays(t *testing.T, test func(t *testing.T, b *bed)) {
	t.Run("cold", func(t *testing.T) { test(t, newBed(t)) })
	t.Run("ready", func(t *testing.T) {
		b := newReadyBed(t, 2<<30)
		b.ready = true
		test(t, b)
	})
}

// Run is [Sandbox.Run], with a container that waited where the bed is to have one.
func (b *bed) Run(ctx context.Context, t Task, started func(run.Started) error) (run.Result, *run.Refusal) {
	waited := b.ready && b.prepared(ctx, t)
	result, refusal := b.Sandbox.Run(ctx, t, started)
	if waited && refusal == nil && !result.Timing.Ready {
		panic("the call did not get the container that waited for it")
	}
	return result, refusal
}

// prepared waits until a container waits that t would get; false says that t would be refused.
func (b *bed) prepared(ctx context.Context, t Task) bool {
	b.expect(t)
	b.wake()
	for {
		asked := t
		c, refusal := b.engine.connect(ctx)
		if refusal != nil {
			return false
		}
		p, refusal := b.place(ctx, c, &asked)
		if refusal != nil {
			return false
		}
		want, err := shapeOf(asked, p)
		if err != nil {
			return false
		}
		for _, waiting := range b.pool.each() {
			if waiting.shape == want {
				return true
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// keep runs the keeper until the test ends.
func (b *bed) keep(tb testing.TB, usual []Task) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); b.Keep(ctx, usual) }()
	tb.Cleanup(func() { stop(); <-done })
}

// withTask lists the containers that have or had a task. What the keeper is just making or removing has
// none, and is known a moment later.
func (b *bed) withTask(tb testing.TB) []string {
	tb.Helper()
	var left []string
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		left = slices.DeleteFunc(b.containers(tb), func(name string) bool {
			b.pool.mu.Lock()
			defer b.pool.mu.Unlock()
			for _, waiting := range b.pool.watched {
				if "/"+waiting.name == name {
					return true
				}
			}
			return false
		})
		if len(left) == 0 || !b.ready {
			break
		}
	}
	return left
}

func (b *bed) containers(tb testing.TB) []string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	list, err := b.c.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: make(client.Filters).Add("label", labelInstance+"="+b.instance)})
	if err != nil {
		tb.Fatal(err)
	}
	var out []string
	for _, item := range list.Items {
		out = append(out, item.Names[0])
	}
	return out
}

// created makes a container that is not started.
func (b *bed) created(tb testing.TB, c *connection, t Task) (*box, *run.Refusal) {
	p, refusal := b.place(tb.Context(), c, &t)
	if refusal != nil {
		return nil, refusal
	}
	return b.create(tb.Context(), c, t, p, nil)
}

func (b *bed) task(tb testing.TB, do, arg string) Task { return b.taskOf(tb, do, arg, false) }

// webTask is a task for a web executor, good or hostile, with limits for its way out and no way out.
func (b *bed) webTask(tb testing.TB, do, arg string) Task {
	task := b.taskOf(tb, do, arg, true)
	task.Kind = kindWeb
	task.Tunnel = tunnel.Limits{Streams: 64, Window: tunnel.Window, Idle: time.Minute}
	return task
}

func (b *bed) taskOf(tb testing.TB, do, arg string, web bool) Task {
	tb.Helper()
	input, err := strict.Encode(map[string]any{"do": do, "arg": arg, "tunnel": web})
	if err != nil {
		tb.Fatal(err)
	}
	task, err := strict.CanonicalOf(run.Task{Call: "call-1", Tool: run.ToolShell, Input: input, TimeoutMS: 1000, OutputCap: 1024})
	if err != nil {
		tb.Fatal(err)
	}
	envelope, err := strict.Encode(run.Envelope{Token: "t", Task: task, Nonce: testNonce})
	if err != nil {
		tb.Fatal(err)
	}
	return Task{
		ID: token(), Call: "call-1", Kind: "shell", Image: b.image, Runtime: "runc",
		Memory: 128 << 20, NanoCPUs: 1e9, Pids: 64, Tmp: 16 << 20, FileSize: 1 << 20,
		Timeout: 20 * time.Second, VerifyKey: "a2V5", Envelope: envelope, Nonce: testNonce,
	}
}

// testNonce is that of every test's task.
const testNonce = "0123456789abcdef0123456789abcdef"

func noStart(run.Started) error { return nil }

// do runs a task that must end with a result.
func (b *bed) do(tb testing.TB, t Task) run.Result {
	tb.Helper()
	result, refusal := b.Run(tb.Context(), t, noStart)
	if refusal != nil {
		tb.Fatalf("Run = refusal %+v, want a result", *refusal)
	}
	return result
}

func TestEcho(t *testing.T) {
	bothWays(t, func(t *testing.T, b *bed) {
		var started run.Started
		result, refusal := b.Run(t.Context(), b.task(t, "echo", "héllo"), func(s run.Started) error { started = s; return nil })
		if refusal != nil {
			t.Fatalf("Run = %+v", *refusal)
		}
		if result.Outcome != run.Finished || result.Output == nil || string(result.Output.Value) != `"héllo"` {
			t.Errorf("Run = %+v, want the echo", result)
		}
		if len(started.Container) != 64 || !strings.HasPrefix(started.Image, "sha256:") {
			t.Errorf("started = %+v, want ids", started)
		}
		t.Logf("timing %+v", result.Timing)
	})
}
