package runner

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/capability"
	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/internal/wire"
	"github.com/secureclaw/secureclaw/runner/internal/sandbox"
)

// bed is a runner on a socket of its own, and the gateway's key.
type bed struct {
	cfg    *config.Config
	socket string
	minter *capability.Minter
	state  string
	stop   func()

	mu    sync.Mutex
	steps []string
}

// passed returns the steps that calls went through so far.
func (b *bed) passed() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.steps)
}

func (b *bed) step(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.steps = append(b.steps, name)
}

// newBed starts a runner under cfg. Stopping it must end without an error.
func newBed(tb testing.TB, cfg *config.Config) *bed {
	tb.Helper()
	return newBedWith(tb, cfg, seams{})
}

func newBedWith(tb testing.TB, cfg *config.Config, seam seams) *bed {
	tb.Helper()
	dir, err := os.MkdirTemp("", "sc") // short: socket paths end at 108 bytes
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return newBedIn(tb, cfg, dir, seam)
}

// newBedIn starts a runner on the state directory of an earlier one.
func newBedIn(tb testing.TB, cfg *config.Config, dir string, seam seams) *bed {
	tb.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	b := &bed{cfg: cfg, socket: filepath.Join(dir, "run", "runner.sock"), minter: capability.NewMinter(private, time.Now), state: dir}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- listen(ctx, Options{
			Config: cfg, Socket: b.socket, PublicKey: public, Boot: nonce(), StateDir: dir,
			Now: time.Now, Log: slog.New(slog.NewTextHandler(tb.Output(), nil)), Version: "test", Step: b.step, Ready: func() { close(ready) },
		}, seam)
	}()
	select {
	case <-ready:
	case err := <-done:
		tb.Fatalf("Run = %v", err)
	}
	stopped := false
	b.stop = func() {
		if !stopped {
			stopped = true
			cancel()
			if err := <-done; err != nil {
				tb.Errorf("Run = %v, want nil", err)
			}
		}
	}
	tb.Cleanup(b.stop)
	return b
}

func nonce() string {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

func (b *bed) dial(tb testing.TB) *wire.Conn {
	tb.Helper()
	conn, err := wire.Dial(tb.Context(), b.socket, wire.Hello{Role: "gateway", Program: "test"})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

// ask sends one request and returns every event until the end.
func (b *bed) ask(tb testing.TB, request run.Request) (events []run.Event) {
	tb.Helper()
	conn := b.dial(tb)
	defer conn.Close()
	if err := conn.Send(request); err != nil {
		tb.Fatal(err)
	}
	for {
		var e run.Event
		if err := conn.Receive(&e); err == io.EOF {
			return events
		} else if err != nil {
			tb.Fatalf("Receive = %v", err)
		}
		events = append(events, e)
	}
}

// order mints a token for claims and a task with input.
func (b *bed) order(tb testing.TB, claims capability.Claims, input string) run.Order {
	tb.Helper()
	task := run.Task{Call: claims.Call, Tool: claims.Tool, Input: strict.Value(input), TimeoutMS: claims.TimeoutMS, OutputCap: int(claims.OutputCap)}
	for _, m := range claims.Mounts {
		task.Roots = append(task.Roots, run.Root{Name: m.Name, Path: "/" + m.Name, Mode: m.Mode})
	}
	raw := canonical(tb, task)
	claims.TaskSHA256 = capability.TaskDigest(raw)
	token, err := b.minter.Mint(claims)
	if err != nil {
		tb.Fatal(err)
	}
	return run.Order{Token: token, Task: raw}
}

func refusalOf(tb testing.TB, events []run.Event) run.Refusal {
	tb.Helper()
	if len(events) != 1 || events[0].Refusal == nil {
		tb.Fatalf("events = %+v, want one refusal", events)
	}
	return *events[0].Refusal
}

// silentEngine is a socket that counts who comes and answers nobody.
func silentEngine(tb testing.TB) (host string, calls *atomic.Int64) {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "e.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = ln.Close() })
	calls = new(atomic.Int64)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			calls.Add(1)
			_ = c.Close()
		}
	}()
	return "unix://" + path, calls
}

// A request without a good token, or one that clips to a refusal, never reaches the engine.
func TestRefusedBeforeTheEngine(t *testing.T) {
	s := testServer(t)
	host, calls := silentEngine(t)
	s.box = sandbox.New(sandbox.Options{Hosts: []string{host}, Instance: "i", Boot: "b", Log: slog.New(slog.DiscardHandler)})
	mine := &bed{minter: s.minter(s.clock)}
	foreign := &bed{minter: testServer(t).minter(s.clock)} // another key
	change := func(f func(*capability.Claims)) run.Order {
		claims := testClaims()
		f(&claims)
		return mine.order(t, claims, `{}`)
	}
	good := mine.order(t, testClaims(), `{}`)
	widened := good
	widened.Task = strict.Value(strings.Replace(string(good.Task), `"ro"`, `"rw"`, 1))
	none := good
	none.Token = "eyJhbGciOiJub25lIiwidHlwIjoic2VjdXJlY2xhdy1jYXArand0In0." + strings.Split(good.Token, ".")[1] + "."
	used := mine.order(t, testClaims(), `{}`)
	if _, refusal := s.verify(used); refusal != nil {
		t.Fatal(*refusal)
	}
	for name, tc := range map[string]struct {
		order run.Order
		want  string
	}{
		"no token":         {run.Order{Task: good.Task}, codeToken},
		"another's key":    {foreign.order(t, testClaims(), `{}`), codeToken},
		"alg none":         {none, codeToken},
		"another task":     {widened, codeToken},
		"cut token":        {run.Order{Token: good.Token[:len(good.Token)-1], Task: good.Task}, codeToken},
		"huge token":       {run.Order{Token: strings.Repeat("a", 9000), Task: good.Task}, codeToken},
		"used before":      {used, codeToken},
		"another audience": {change(func(c *capability.Claims) { c.Audience = "gateway" }), codeToken},
		"another executor": {change(func(c *capability.Claims) { c.Audience = "web" }), codeTask},
		"rw of a ro mount": {change(func(c *capability.Claims) { c.Mounts[1].Mode = "rw" }), codeMount},
		"unknown mount":    {change(func(c *capability.Claims) { c.Mounts[0].Name = "etc" }), codeMount},
		"network":          {change(func(c *capability.Claims) { c.Domains = []string{"example.org"} }), codeDomain},
	} {
		t.Run(name, func(t *testing.T) {
			_, refusal := s.run(t.Context(), tc.order, func(e run.Event) error {
				t.Errorf("told %+v", e)
				return nil
			})
			if refusal == nil || refusal.Code != tc.want {
				t.Errorf("run = %+v, want refusal %s", refusal, tc.want)
			}
		})
	}
	if n := calls.Load(); n != 0 {
		t.Errorf("the engine was called %d times by refused requests", n)
	}
	// The same counter does see a request that is good.
	if _, refusal := s.run(t.Context(), good, nil); refusal == nil || refusal.Code != sandbox.CodeEngine || calls.Load() == 0 {
		t.Errorf("run = %+v after %d calls, want refusal %s by the engine", refusal, calls.Load(), sandbox.CodeEngine)
	}
}

func TestRequestsThatAreNone(t *testing.T) {
	cfg := testConfig()
	cfg.Docker.Host, _ = silentEngine(t)
	b := newBed(t, cfg)
	order := b.order(t, testClaims(), `{}`)
	for name, request := range map[string]any{
		"empty":         run.Request{},
		"both":          run.Request{Run: &order, Status: &struct{}{}},
		"unknown field": map[string]any{"exec": "id"},
		"letter case":   map[string]any{"Status": struct{}{}},
	} {
		t.Run(name, func(t *testing.T) {
			conn := b.dial(t)
			if err := conn.Send(request); err != nil {
				t.Fatal(err)
			}
			var e run.Event
			if err := conn.Receive(&e); err != nil || e.Refusal == nil || e.Refusal.Code != codeRequest {
				t.Errorf("answer to %s = %+v, %v, want refusal %s", name, e, err, codeRequest)
			}
		})
	}
}

// What an earlier start saw used, this one does not know: nothing minted before it counts.
func TestTokenOlderThanRunner(t *testing.T) {
	s := testServer(t)
	minter := s.minter(s.clock.Add(-2 * time.Second))
	order := (&bed{minter: minter}).order(t, testClaims(), `{}`)
	if _, refusal := s.verify(order); refusal == nil || refusal.Code != codeToken || !strings.Contains(refusal.Why, "older") {
		t.Errorf("verify = %+v, want refusal %s for age", refusal, codeToken)
	}
	order = (&bed{minter: s.minter(s.clock)}).order(t, testClaims(), `{}`)
	if _, refusal := s.verify(order); refusal != nil {
		t.Errorf("verify of a token of this second = %+v", refusal)
	}
	if _, refusal := s.verify(order); refusal == nil || !strings.Contains(refusal.Why, "used before") {
		t.Errorf("verify again = %+v, want a replay", refusal)
	}
}

type stillServer struct {
	*server
	clock time.Time
	key   ed25519.PrivateKey
}

func (s stillServer) minter(now time.Time) *capability.Minter {
	return capability.NewMinter(s.key, func() time.Time { return now })
}

func testServer(tb testing.TB) stillServer {
	tb.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	clock := time.Now()
	s, err := newServer(Options{
		Config: testConfig(), PublicKey: public, Boot: "b", StateDir: "/s", Now: func() time.Time { return clock }, Log: slog.New(slog.DiscardHandler), Version: "test",
	}, seams{})
	if err != nil {
		tb.Fatal(err)
	}
	return stillServer{s, clock, private}
}

func TestHosts(t *testing.T) {
	for name, tc := range map[string]struct {
		conf, env, runtimeDir string
		want                  string
	}{
		"configured wins":  {"unix:///a", "unix:///b", "/run/user/1", "unix:///a"},
		"environment next": {"", "unix:///b", "/run/user/1", "unix:///b"},
		"the usual places": {"", "", "/run/user/1", "unix:///var/run/docker.sock unix:///run/user/1/docker.sock unix:///run/user/1/podman/podman.sock unix:///run/podman/podman.sock"},
		"no runtime dir":   {"", "", "", "unix:///var/run/docker.sock unix:///run/podman/podman.sock"},
	} {
		got := hosts(Options{Config: &config.Config{Docker: config.Docker{Host: tc.conf}}, DockerHost: tc.env, RuntimeDir: tc.runtimeDir})
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s: hosts = %q, want %q", name, got, tc.want)
		}
	}
}

func TestOptionsThatAreMissing(t *testing.T) {
	if err := Run(t.Context(), Options{}); err == nil {
		t.Error("Run without options = nil, want an error")
	}
}

// An engine that is away is a refusal with a fix; which one depends on what is wrong.
func TestEngineAway(t *testing.T) {
	dir := t.TempDir()
	dead := filepath.Join(dir, "dead.sock")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ host, why, fix string }{
		"no socket":    {"unix://" + dir + "/none.sock", "no socket at", "Install and start Docker"},
		"stopped":      {"unix://" + dead, "is stopped", "systemctl start docker"},
		"over TCP":     {"tcp://127.0.0.1:2375", "cannot be used", "unix:///var/run/docker.sock"},
		"over nothing": {"/var/run/docker.sock", "cannot be used", "unix:///var/run/docker.sock"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig()
			cfg.Docker.Host = tc.host
			b := newBed(t, cfg)
			order := b.order(t, testClaims(), `{}`)
			got := refusalOf(t, b.ask(t, run.Request{Run: &order}))
			if got.Code != "engine" || !strings.Contains(got.Why, tc.why) || !strings.Contains(got.Fix, tc.fix) {
				t.Errorf("refusal = %+v, want engine, why %q, fix %q", got, tc.why, tc.fix)
			}
			events := b.ask(t, run.Request{Status: &struct{}{}})
			if len(events) != 1 || events[0].Status == nil || events[0].Status.Problem == nil || events[0].Status.Engine != "" || len(events[0].Status.Executors) != 3 {
				t.Errorf("status = %+v, want one with the problem", events)
			}
		})
	}
}

func BenchmarkVerifyClip(b *testing.B) {
	s := testServer(b)
	orders := make([]run.Order, b.N)
	bed := &bed{minter: s.minter(s.clock)}
	for i := range orders {
		orders[i] = bed.order(b, testClaims(), `{"command":"id","working_directory":"/workspace","timeout_seconds":10,"access":"read"}`)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for _, order := range orders {
		claims, refusal := s.verify(order)
		if refusal == nil {
			_, _, refusal = s.sandboxTask(claims, order)
		}
		if refusal != nil && !strings.Contains(refusal.Why, "no room") {
			b.Fatal(*refusal)
		}
	}
}
