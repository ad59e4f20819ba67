//go:build docker

package e2e

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// door is a socket in front of the real engine that a story opens and closes. The engine itself,
// which other people use, is never touched.
type door struct {
	t    testing.TB
	path string

	mu    sync.Mutex
	ln    net.Listener
	conns []net.Conn
}

func newDoor(t testing.TB) *door {
	dir, err := os.MkdirTemp("", "claw-door")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{t: t, path: filepath.Join(dir, "docker.sock")}
	t.Cleanup(func() { d.close(); _ = os.RemoveAll(dir) })
	return d
}

// engineSocket is where the real engine listens.
func engineSocket() string {
	if path, ok := strings.CutPrefix(os.Getenv("DOCKER_HOST"), "unix://"); ok {
		return path
	}
	return "/var/run/docker.sock"
}

func (d *door) open() {
	d.t.Helper()
	ln, err := net.Listen("unix", d.path)
	if err != nil {
		d.t.Fatal(err)
	}
	d.mu.Lock()
	d.ln = ln
	d.mu.Unlock()
	go func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("unix", engineSocket())
			if err != nil {
				_ = in.Close()
				continue
			}
			d.mu.Lock()
			d.conns = append(d.conns, in, out)
			d.mu.Unlock()
			go pass(in, out)
			go pass(out, in)
		}
	}()
}

// pass copies until one side ends, and tells the other side so, because the engine goes by half-closed streams.
func pass(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.(*net.UnixConn).CloseWrite()
}

// close is an engine that stops: its socket is gone and every connection with it.
func (d *door) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ln != nil {
		_ = d.ln.Close() // removes the socket
		d.ln = nil
	}
	for _, c := range d.conns {
		_ = c.Close()
	}
	d.conns = nil
}

// Without an engine nothing runs, and everybody is told how to mend it. With one again, calls run, without a restart.
func TestEngineGoesAndComes(t *testing.T) {
	t.Parallel()
	for name, where := range map[string]func(d *door) setting{
		"docker.host": func(d *door) setting { return setting{config: "docker:\n  host: unix://" + d.path + "\n"} },
		"DOCKER_HOST": func(d *door) setting { return setting{env: []string{"DOCKER_HOST=unix://" + d.path}} },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDoor(t)
			w := startWorld(t, where(d)) // starts, although there is no engine
			w.eventually("up says what is missing, with a fix", func() bool {
				said := w.said.String()
				return strings.Contains(said, "runner The container engine does not answer") && strings.Contains(said, "  fix  Install and start Docker")
			})
			refused := func(when string) {
				t.Helper()
				doc := w.chat("run: id")
				if len(doc.Calls) != 1 || doc.Calls[0].Status != "refused" || !strings.Contains(doc.Calls[0].Content, "Fix: ") || !strings.Contains(doc.Calls[0].Content, "Not run: ") {
					t.Errorf("%s: %+v, want one refusal with a fix", when, doc.Calls)
				}
				status := w.claw("status")
				if status.code != 1 || !strings.Contains(status.stdout, "fix") {
					t.Errorf("%s: status = exit %d\n%s\nwant 1 and a fix", when, status.code, status.stdout)
				}
			}
			runs := func(when string) {
				t.Helper()
				if doc := w.chat("run: id"); len(doc.Calls) != 1 || doc.Calls[0].Status != "ok" || !strings.Contains(doc.Reply, "uid=1000") {
					t.Errorf("%s: %+v, want it to run", when, doc.Calls)
				}
				if status := w.claw("status"); status.code != 0 {
					t.Errorf("%s: status = exit %d\n%s", when, status.code, status.stdout)
				}
			}
			refused("before the engine is there")
			d.open()
			runs("with an engine")
			w.noContainer()
			d.close()
			refused("after the engine stopped")
			d.open()
			runs("with the engine again")
		})
	}
}

// An engine that goes in the middle of a call leaves an honest answer, and what it left behind is
// removed when it is back.
func TestEngineGoesInTheMiddle(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.open()
	w := startWorld(t, setting{config: "docker:\n  host: unix://" + d.path + "\n"})
	talk := w.newTalk("run: sleep 15")
	w.oneContainer()
	d.close()
	doc := talk()
	if len(doc.Calls) != 1 || doc.Calls[0].Status == "ok" || !strings.Contains(doc.Calls[0].Content, "unknown") {
		t.Errorf("calls = %+v, want one whose effects are unknown", doc.Calls)
	}
	d.open()
	if doc := w.chat("run: id"); !strings.Contains(doc.Reply, "uid=1000") {
		t.Errorf("the next call says %q", doc.Reply)
	}
	w.noContainer()
}
