//go:build docker

package dispatch_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/dispatch"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/internal/capability"
	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/runner"
)

// startRunner runs a runner of this tree with a real engine and returns its socket.
func startRunner(tb testing.TB, cfg *config.Config, key ed25519.PublicKey) string {
	tb.Helper()
	state, err := os.MkdirTemp("/tmp", "sc-dispatch-") // short: it holds a socket
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(state) })
	socket := filepath.Join(state, "run", "r.sock")
	ctx, stop := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- runner.Run(ctx, runner.Options{
			Config: cfg, Socket: socket, PublicKey: key, Boot: "test", StateDir: state, DockerHost: os.Getenv("DOCKER_HOST"),
			Now: time.Now, Log: slog.New(slog.NewTextHandler(tb.Output(), nil)), Version: "test", Ready: func() { close(ready) },
		})
	}()
	tb.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			tb.Errorf("runner: %v", err)
		}
	})
	select {
	case <-ready:
	case err := <-done:
		done <- nil
		tb.Fatalf("runner: %v", err)
	}
	return socket
}

// sendFrom sends a file of dir through real containers.
func sendFrom(t *testing.T, dir, name string) (claw.ToolResult, []delivered) {
	t.Helper()
	key, err := capability.DeriveKey(strings.Repeat("k", 40))
	if err != nil {
		t.Fatal(err)
	}
	cfg, _, err := config.Parse("x.yaml", []byte("mounts: [{name: workspace, host: "+dir+", container: /workspace, mode: rw}]\n"), "/home/ada")
	if err != nil {
		t.Fatal(err)
	}
	socket := startRunner(t, cfg, key.Public().(ed25519.PublicKey))
	var got []delivered
	deliver := func(_ context.Context, call gate.Call, name, mime, caption string, data []byte) error {
		got = append(got, delivered{call, name, mime, caption, data})
		return nil
	}
	for _, tool := range dispatch.New(dispatch.Options{Socket: socket, Program: "test", Minter: capability.NewMinter(key, time.Now), Config: cfg, Deliver: deliver}).Tools() {
		if tool.Spec().Name != run.ToolSendFile {
			continue
		}
		action, err := tool.Prepare([]byte(`{"path":"` + name + `"}`))
		if err != nil {
			t.Fatal(err)
		}
		return tool.Run(t.Context(), gate.Call{ID: "call_send", Session: "s", Run: "r"}, action), got
	}
	t.Fatal("no send_file")
	return claw.ToolResult{}, nil
}

func shared(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// The images must have been built before (make images).
func TestSendsThreeMegabytesThroughContainers(t *testing.T) {
	dir, want := shared(t), noise(3_000_000)
	if err := os.WriteFile(filepath.Join(dir, "a.bin"), want, 0o644); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	result, got := sendFrom(t, dir, "a.bin")
	if result.Status != claw.OK || len(got) != 1 || !bytes.Equal(got[0].data, want) || got[0].name != "a.bin" {
		t.Fatalf("send = %+v, delivered %d times, want the very bytes once", result, len(got))
	}
	t.Logf("%d bytes in %v, of it %v in containers", len(want), time.Since(began), result.Container)
}

func TestAFileThatGrowsIsNotSent(t *testing.T) {
	dir := shared(t)
	path := filepath.Join(dir, "log")
	if err := os.WriteFile(path, noise(3_000_000), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	stop, grown := make(chan struct{}), make(chan error, 1)
	go func() {
		tick := time.NewTicker(2 * time.Millisecond) // a container takes fifty times as long
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if _, err := f.WriteString("one more line\n"); err != nil {
					grown <- err
					return
				}
			case <-stop:
				grown <- nil
				return
			}
		}
	}()
	result, got := sendFrom(t, dir, "log")
	close(stop)
	if err := errors.Join(<-grown, f.Close()); err != nil {
		t.Fatal(err)
	}
	if result.Status != claw.Failed || len(got) != 0 || !strings.Contains(result.Content, "changed while it was read") {
		t.Errorf("send = %+v, delivered %d times, want it failed for the change", result, len(got))
	}
}

func TestContainersSendNoLinks(t *testing.T) {
	dir := shared(t)
	if err := os.Symlink("/proc/1/environ", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if result, got := sendFrom(t, dir, "link"); result.Status != claw.Refused || len(got) != 0 {
		t.Errorf("send = %+v, delivered %d times, want it refused", result, len(got))
	}
}
