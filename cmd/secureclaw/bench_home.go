package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/wire"
	"github.com/secureclaw/secureclaw/runner"
)

// benchHome is a SecureClaw of bench's own: a folder, its processes, a connection.
type benchHome struct {
	g      *globals
	dirs   config.Dirs
	cfg    *config.Config
	status *wire.GatewayStatus // when it was ready
	took   time.Duration       // until then
	conn   *wire.Conn
	stop   func() error
	// most is how many containers of a kind were seen waiting.
	most map[string]int
}

// openBenchHome starts one. ready is its runner.ready.memory, empty for what everybody has. Without a key
// of its own it rehearses: no model's time is measured, and no money spent.
func openBenchHome(ctx context.Context, folder, ready string, environ []string) (*benchHome, error) {
	h := &benchHome{g: &globals{Home: folder}, most: make(map[string]int)}
	var err error
	if h.dirs, err = h.g.dirs(); err != nil {
		return nil, err
	}
	if err := h.dirs.Prepare(); err != nil {
		return nil, err
	}
	if err := writeBenchConfig(h.dirs.Config, ready); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(folder, "workspace", runner.PlainFile), []byte("hello\n"), 0o644); err != nil {
		return nil, err
	}
	if h.cfg, _, err = config.Load(h.dirs.Config, config.LoadOptions{Dirs: h.dirs, Env: os.Getenv}); err != nil {
		return nil, err
	}
	// Its own context, so that its processes end in order, and before anything is removed.
	living, cancel := context.WithCancel(ctx)
	environ = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + folder, "DOCKER_HOST=" + os.Getenv("DOCKER_HOST"), "XDG_RUNTIME_DIR=" + os.Getenv("XDG_RUNTIME_DIR")}, environ...)
	began := time.Now()
	done, status, err := launch(living, h.g, h.dirs, environ, slog.New(slog.DiscardHandler))
	if err != nil {
		cancel()
		return nil, err
	}
	h.took, h.status = time.Since(began), status
	h.stop = func() error { cancel(); return ignoreCancel(<-done) }
	if status.Runner != "ok" {
		_ = h.stop()
		return nil, &failure{exitMissing, "no call can run, so nothing can be measured", status.Runner, status.Fix}
	}
	if h.conn, err = dialGateway(ctx, h.g); err != nil {
		_ = h.stop()
		return nil, err
	}
	return h, nil
}

// writeBenchConfig writes down what differs from the configuration that everybody starts with.
func writeBenchConfig(path, ready string) error {
	// A name below .example stands for nobody, so its page is the one that cannot be reached.
	text := "trustedDomains: [" + benchSite + "]\n"
	if ready != "" {
		text += "runner: {ready: {memory: " + ready + "}}\n"
	}
	return os.WriteFile(path, []byte(text), 0o600)
}

// close ends its processes, which remove their containers.
func (h *benchHome) close() error {
	_ = h.conn.Close()
	return h.stop()
}

// options are those of a runner that looks at the same engine and, for [runner.Weigh], the same installation.
func (h *benchHome) options() runner.Options {
	return runner.Options{
		Config: h.cfg, DockerHost: os.Getenv("DOCKER_HOST"), RuntimeDir: os.Getenv("XDG_RUNTIME_DIR"), StateDir: h.dirs.State,
		Log: slog.New(slog.DiscardHandler),
	}
}

// Waiting for containers.
const (
	benchPoll    = 10 * time.Millisecond
	benchPatient = 4 * time.Second
)

// settle waits until as many containers wait as did before, and nothing changes any more. Who keeps none
// is left alone for as long as a removal takes.
func (h *benchHome) settle(ctx context.Context) error {
	if h.status.ReadyMost == 0 {
		return pause(ctx, 100*time.Millisecond)
	}
	deadline := time.Now().Add(benchPatient)
	var before string
	calm := 0
	for {
		status, err := fetchStatus(ctx, h.conn)
		if err != nil {
			return err
		}
		enough := len(status.Ready) > 0
		counts := make(map[string]int)
		for _, r := range status.Ready {
			counts[r.Kind] = r.Containers
		}
		for kind, most := range h.most {
			enough = enough && counts[kind] >= most
		}
		if now := fmt.Sprint(status.Ready); now == before {
			calm++
		} else {
			before, calm = now, 0
		}
		late := time.Now().After(deadline)
		if enough && calm >= 10 || late {
			// Fewer than once may be all that are still wanted.
			h.most = counts
			return nil
		}
		if err := pause(ctx, benchPoll); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return &failure{code: exitFailed, what: "interrupted"}
	}
}
