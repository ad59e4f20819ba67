//go:build docker

package sandbox

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/client"
)

// keeperEnv makes this test binary a runner that keeps containers ready, and is killed: it holds what a
// keeperOrder says.
const keeperEnv = "SANDBOX_TEST_KEEPER"

type keeperOrder struct {
	Host, Instance string
	Usual          []Task
}

func TestMain(m *testing.M) {
	if order := os.Getenv(keeperEnv); order != "" {
		var o keeperOrder
		if err := json.Unmarshal([]byte(order), &o); err != nil {
			panic(err)
		}
		s := New(Options{Hosts: []string{o.Host}, Instance: o.Instance, Boot: "killed", Ready: 1 << 30, Starts: 2, Log: slog.New(slog.DiscardHandler)})
		s.Keep(context.Background(), o.Usual)
		return
	}
	os.Exit(m.Run())
}

// A runner that is killed leaves containers that wait. Their executors end when their stdin does, none gets
// a task, and the next runner of the installation removes them.
func TestReadyRunnerKilled(t *testing.T) {
	b := newBed(t)
	order := keeperOrder{Host: engineHost(), Instance: b.instance}
	for i := range 6 {
		task := b.task(t, "", "")
		task.Pids += int64(i)
		order.Usual = append(order.Usual, task)
	}
	text, err := json.Marshal(order)
	if err != nil {
		t.Fatal(err)
	}
	runner := exec.Command(os.Args[0])
	runner.Env = append(os.Environ(), keeperEnv+"="+string(text))
	if err := runner.Start(); err != nil {
		t.Fatal(err)
	}
	running := func() (running, all int) {
		t.Helper()
		list, err := b.c.ContainerList(t.Context(), client.ContainerListOptions{All: true, Filters: make(client.Filters).Add("label", labelInstance+"="+b.instance)})
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range list.Items {
			if item.State == "running" {
				running++
			}
		}
		return running, len(list.Items)
	}
	until := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(time.Minute); !ok(); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(end) {
				n, all := running()
				t.Fatalf("%s: %d of %d containers run", what, n, all)
			}
		}
	}
	until("six are ready", func() bool { n, _ := running(); return n == 6 })
	time.Sleep(200 * time.Millisecond)
	if err := runner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = runner.Wait()
	until("their executors end", func() bool { n, _ := running(); return n == 0 })
	if n := b.Sweep(t.Context()); n < 6 {
		t.Errorf("Sweep = %d, want the 6 that were left", n)
	}
	if _, all := running(); all != 0 {
		t.Errorf("%d containers are left after the sweep", all)
	}
}

// An engine that goes away takes what waits with it, for nobody can tell any more what was done to it. When
// it is back, others wait.
func TestReadyEngineGoes(t *testing.T) {
	gate := newGate(t, strings.TrimPrefix(engineHost(), "unix://"))
	b := newBedOf(t, Options{Hosts: []string{"unix://" + gate.path}, Instance: "test-" + token(), Ready: 32 << 20, Starts: 2})
	b.keep(t, []Task{b.task(t, "", "")})
	before := b.waits(t, b.task(t, "", ""))
	gate.shut()
	for end := time.Now().Add(20 * time.Second); len(b.pool.each()) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a container waits, and its engine is away")
		}
	}
	gate.open()
	if after := b.waits(t, b.task(t, "", "")); after.id == before.id {
		t.Errorf("the container from before the engine went waits again")
	}
	if id, got := b.served(t, b.task(t, "echo", "x")); id == before.id || string(got.Output.Value) != `"x"` {
		t.Errorf("Run = %+v in %s", got, id)
	}
}

// gate is a socket that leads to the engine while it is open.
type gate struct {
	path, engine string

	mu    sync.Mutex
	ln    net.Listener
	conns map[net.Conn]bool
}

func newGate(t *testing.T, engine string) *gate {
	t.Helper()
	dir, err := os.MkdirTemp("", "gate") // short: a socket's path has 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{path: filepath.Join(dir, "s"), engine: engine}
	g.open()
	t.Cleanup(func() { os.RemoveAll(dir) })
	return g
}

func (g *gate) open() {
	ln, err := net.Listen("unix", g.path)
	if err != nil {
		panic(err)
	}
	g.mu.Lock()
	g.ln, g.conns = ln, make(map[net.Conn]bool)
	g.mu.Unlock()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("unix", g.engine)
			if err != nil {
				c.Close()
				continue
			}
			g.mu.Lock()
			g.conns[c], g.conns[up] = true, true
			g.mu.Unlock()
			pass := func(to, from net.Conn) {
				_, _ = io.Copy(to, from)
				_ = to.(*net.UnixConn).CloseWrite()
			}
			go pass(c, up)
			go pass(up, c)
		}
	}()
}

// shut ends the socket and all that goes over it.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ln.Close()
	for c := range g.conns {
		c.Close()
	}
}
