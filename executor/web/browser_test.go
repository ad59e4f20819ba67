package web

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/run"
)

// fakeBrowser is a program that answers every question as a browser with one blank tab would, as far as
// getting ready needs it. It notes each of its starts in the file that is returned.
func fakeBrowser(t testing.TB) (program, starts string) {
	t.Helper()
	dir := t.TempDir()
	program, starts = filepath.Join(dir, "browser"), filepath.Join(dir, "starts")
	ownTemporary(t)
	script := `#!/usr/bin/env python3
import os, json
open("` + starts + `", "a").write("%d\n" % os.getpid())
def say(m): os.write(4, json.dumps(m, separators=(",", ":")).encode() + b"\0")
rest = b""
while True:
    got = os.read(3, 65536)
    if not got: break
    *whole, rest = (rest + got).split(b"\0")
    for line in whole:
        m = json.loads(line)
        answer = {"id": m["id"], "result": {}}
        if "sessionId" in m: answer["sessionId"] = m["sessionId"]
        if m["method"] == "Target.attachToTarget": answer["result"] = {"sessionId": "S"}
        if m["method"] == "Runtime.evaluate": answer["result"] = {"result": {"type": "object", "className": "Window"}}
        if m["method"] == "Page.navigate": os.kill(os.getpid(), 9)
        if m["method"] == "Target.setDiscoverTargets" and "sessionId" not in m:
            say({"method": "Target.targetCreated", "params": {"targetInfo": {"targetId": "T", "type": "page", "title": "", "url": "about:blank", "attached": False, "canAccessOpener": False}}})
        say(answer)
`
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return program, starts
}

// ownTemporary keeps the profiles of this test's browsers apart from those of others.
func ownTemporary(t testing.TB) { t.Setenv("TMPDIR", t.TempDir()) }

// startsOf are the processes that were started.
func startsOf(t testing.TB, starts string) []string {
	t.Helper()
	raw, err := os.ReadFile(starts)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Fields(string(raw))
}

// gone fails the test when something of the program is left.
func gone(t testing.TB, program string) {
	t.Helper()
	if out, _ := exec.Command("pgrep", "-af", program).Output(); len(out) != 0 {
		t.Errorf("still running: %s", out)
	}
	if dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), "chromium-*", "First Run")); len(dirs) != 0 {
		t.Errorf("the profile %s is still there", dirs)
	}
}

func noWay(context.Context) (net.Conn, error) { return nil, errors.New("no") }

var somewhere = run.Browse{URL: "https://example.com/", Extract: run.ExtractText}

// A call takes the browser that was prepared, once; one that died meanwhile is replaced.
func TestPrepared(t *testing.T) {
	for name, tc := range map[string]struct {
		meanwhile func(t *testing.T, b *Browser)
		starts    int
	}{
		"it waits":   {func(*testing.T, *Browser) {}, 1},
		"it died":    {func(t *testing.T, b *Browser) { kill(t, b.window.browser); <-b.window.browser.pipe.gone }, 2},
		"its tab":    {func(t *testing.T, b *Browser) { b.window.watch.crashed = "the page made its process crash" }, 2},
		"it hung up": {func(t *testing.T, b *Browser) { b.window.browser.pipe.Close(); <-b.window.browser.pipe.gone }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			program, starts := fakeBrowser(t)
			b := New(Options{Chromium: program, Dial: noWay})
			if err := b.Prepare(); err != nil {
				t.Fatalf("Prepare = %v", err)
			}
			if !b.window.usable() || len(startsOf(t, starts)) != 1 {
				t.Fatalf("prepared: usable %v, started %q, want true and one", b.window.usable(), startsOf(t, starts))
			}
			if err := b.Prepare(); !errors.Is(err, errTaken) {
				t.Errorf("a second Prepare = %v, want %v", err, errTaken)
			}
			tc.meanwhile(t, b)
			browse := b.Tools()[run.ToolBrowse]
			if got := browse(t.Context(), call(t, somewhere)); !strings.Contains(got.Error, "the browser ended by itself") {
				t.Errorf("browse = %s %q, want the end of the browser, which it was sent to", got.Status, got.Error)
			}
			if got := browse(t.Context(), call(t, somewhere)); got.Status != run.OutputRefused || !strings.Contains(got.Error, "one call") {
				t.Errorf("a second browse = %s %q, want %s", got.Status, got.Error, run.OutputRefused)
			}
			if err := b.Prepare(); !errors.Is(err, errTaken) {
				t.Errorf("Prepare after the call = %v, want %v", err, errTaken)
			}
			b.Close()
			if got := startsOf(t, starts); len(got) != tc.starts {
				t.Errorf("started %q, want %d", got, tc.starts)
			}
			gone(t, program)
		})
	}
}

func kill(t testing.TB, c *chromium) {
	t.Helper()
	p, err := os.FindProcess(c.group)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
}

// A call that comes while the browser starts waits for that one, and not beyond its own time.
func TestCallWhilePreparing(t *testing.T) {
	program, starts := fakeBrowser(t)
	b := New(Options{Chromium: program, Dial: noWay})
	var preparing sync.WaitGroup
	preparing.Go(func() { _ = b.Prepare() })
	got := b.Tools()[run.ToolBrowse](t.Context(), call(t, somewhere))
	preparing.Wait()
	if !strings.Contains(got.Error, "the browser ended by itself") || len(startsOf(t, starts)) != 1 {
		t.Errorf("browse = %s %q with %q, want one browser, sent to the page", got.Status, got.Error, startsOf(t, starts))
	}
	gone(t, program)

	silent := filepath.Join(t.TempDir(), "browser")
	if err := os.WriteFile(silent, []byte("#!/bin/sh\nexec sleep 60\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	b = New(Options{Chromium: silent, Dial: noWay})
	preparing.Go(func() {
		if err := b.Prepare(); err == nil {
			t.Error("Prepare of a browser that says nothing succeeded")
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	got = b.Tools()[run.ToolBrowse](ctx, call(t, somewhere))
	if took := time.Since(began); got.Status != run.OutputTimedOut || !strings.Contains(got.Error, "did not start") || took > 2*time.Second {
		t.Errorf("browse = %s %q after %v, want %s within its time", got.Status, got.Error, took, run.OutputTimedOut)
	}
	preparing.Wait()
	gone(t, silent)
}

// Where preparing failed, the call tries by itself and says what is wrong.
func TestPreparingFails(t *testing.T) {
	ownTemporary(t)
	path := filepath.Join(t.TempDir(), "browser")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho 'No usable sandbox!' >&2; exit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	b := New(Options{Chromium: path, Dial: noWay})
	if err := b.Prepare(); err == nil {
		t.Fatal("Prepare of a program that ends succeeded")
	}
	gone(t, path)
	got := b.Tools()[run.ToolBrowse](t.Context(), call(t, somewhere))
	if got.Status != run.OutputFailed || !strings.Contains(got.Error, "No usable sandbox!") {
		t.Errorf("browse = %s %q, want %s and the browser's reason", got.Status, got.Error, run.OutputFailed)
	}
	for name, o := range map[string]Options{"nothing": {}, "no way": {Chromium: path}, "no browser": {Dial: noWay}} {
		if err := New(o).Prepare(); !errors.Is(err, errNoWay) {
			t.Errorf("%s: Prepare = %v, want %v", name, err, errNoWay)
		}
	}
}

// Without a call all of it ends with Close, also what is only being prepared, and no call comes after.
func TestCloseWithoutCall(t *testing.T) {
	program, _ := fakeBrowser(t)
	b := New(Options{Chromium: program, Dial: noWay})
	if err := b.Prepare(); err != nil {
		t.Fatal(err)
	}
	b.Close()
	b.Close()
	gone(t, program)
	if got := b.Tools()[run.ToolBrowse](t.Context(), call(t, somewhere)); got.Status != run.OutputRefused {
		t.Errorf("browse after Close = %s %q, want %s", got.Status, got.Error, run.OutputRefused)
	}

	silent := filepath.Join(t.TempDir(), "browser")
	if err := os.WriteFile(silent, []byte("#!/bin/sh\nexec sleep 60\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	b = New(Options{Chromium: silent, Dial: noWay})
	var preparing sync.WaitGroup
	preparing.Go(func() { _ = b.Prepare() })
	for { // until it has begun
		b.mu.Lock()
		begun := b.prepared != nil
		b.mu.Unlock()
		if begun {
			break
		}
		pause(t.Context(), time.Millisecond)
	}
	b.Close()
	preparing.Wait()
	gone(t, silent)
}

// Before the call a connection leads nowhere and nobody is asked for one.
func TestNoWayBeforeTheCall(t *testing.T) {
	program, _ := fakeBrowser(t)
	asked := make(chan struct{}, 10)
	b := New(Options{Chromium: program, Dial: func(context.Context) (net.Conn, error) {
		asked <- struct{}{}
		return nil, errors.New("no")
	}})
	if err := b.Prepare(); err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	connect := func() {
		t.Helper()
		conn, err := net.Dial("tcp", b.window.relay.address())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read = %d, %v, want the end at once", n, err)
		}
	}
	connect()
	if len(asked) != 0 {
		t.Error("a way out was asked for before the call")
	}
	b.window.called.Store(true)
	connect()
	if len(asked) != 1 {
		t.Errorf("%d ways out were asked for in the call, want 1", len(asked))
	}
}
