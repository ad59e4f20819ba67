//go:build docker

package sandbox

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/secureclaw/secureclaw/internal/run"
)

func TestHostileExecutors(t *testing.T) {
	bothWays(t, func(t *testing.T, b *bed) {
		for do, tc := range map[string]struct {
			want    run.Outcome
			because string
		}{
			"two":        {run.Broken, "more than one line"},
			"two-late":   {run.Finished, ""},    // what comes later is never read
			"forged":     {run.Broken, "nonce"}, // as something that the executor started would write it
			"trailing":   {run.Broken, "more than one line"},
			"garbage":    {run.Broken, "no result"},
			"duplicate":  {run.Broken, "duplicate"},
			"cut":        {run.Broken, "cut"},
			"huge":       {run.Broken, "longer than"},
			"endless":    {run.Broken, "longer than"},
			"dies":       {run.Broken, "status 3"},
			"stderr":     {run.Broken, "stderr"},
			"wrong-call": {run.Broken, "another"},
			"linger":     {run.Finished, ""}, // its line is good; the container goes all the same
		} {
			t.Run(do, func(t *testing.T) {
				begin := time.Now()
				got := b.do(t, b.task(t, do, ""))
				if got.Outcome != tc.want || !strings.Contains(got.Detail, tc.because) {
					t.Errorf("Run(%s) = %s %q, want %s with %q", do, got.Outcome, got.Detail, tc.want, tc.because)
				}
				if (got.Output != nil) != (tc.want == run.Finished) {
					t.Errorf("Run(%s) has output %+v at outcome %s", do, got.Output, got.Outcome)
				}
				if took := time.Since(begin); took > 15*time.Second {
					t.Errorf("Run(%s) took %v, as if nobody had noticed", do, took)
				}
			})
		}
	})
}

func TestDeadlineKills(t *testing.T) {
	bothWays(t, func(t *testing.T, b *bed) {
		task := b.task(t, "silent", "")
		task.Timeout = time.Second
		got := b.do(t, task)
		if got.Outcome != run.TimedOut {
			t.Errorf("Run = %+v, want %s", got, run.TimedOut)
		}
		if us := got.Timing.Task; us < 900_000 || us > 8_000_000 {
			t.Errorf("killed after %d µs, want about a second", us)
		}
		b.cleanups.Wait()
		if left := b.withTask(t); len(left) > 0 {
			t.Errorf("after the deadline there is %v", left)
		}
	})
}

func TestCancelKills(t *testing.T) {
	bothWays(t, func(t *testing.T, b *bed) {
		ctx, cancel := context.WithCancel(t.Context())
		got, refusal := b.Run(ctx, b.task(t, "silent", ""), func(run.Started) error {
			cancel()
			return nil
		})
		if refusal != nil || got.Outcome != run.Cancelled {
			t.Errorf("Run = %+v %+v, want %s", got, refusal, run.Cancelled)
		}
		b.cleanups.Wait()
		if left := b.withTask(t); len(left) > 0 {
			t.Errorf("after the cancel there is %v", left)
		}
	})
}

// Who could not be told that the task starts is not given one that starts.
func TestNobodyToTell(t *testing.T) {
	bothWays(t, func(t *testing.T, b *bed) {
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		task := b.task(t, "write", "/work/f")
		task.Mounts = []Mount{{Source: dir, Target: "/work", Writable: true}}
		_, refusal := b.Run(t.Context(), task, func(run.Started) error { return errors.New("gone") })
		if refusal == nil || refusal.Code != CodeCancelled {
			t.Errorf("Run = %+v, want refusal %s", refusal, CodeCancelled)
		}
		b.cleanups.Wait()
		if _, err := os.Stat(filepath.Join(dir, "f")); err == nil {
			t.Error("the task ran although nobody could be told")
		}
	})
}

func TestRefusals(t *testing.T) {
	b := newBed(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(t.TempDir(), "missing")
	for name, tc := range map[string]struct {
		change func(*Task)
		want   string
	}{
		"missing image":     {func(t *Task) { t.Image = "secureclaw-test/none:latest" }, CodeImage},
		"malformed image":   {func(t *Task) { t.Image = "NOT an image" }, CodeImage},
		"missing runtime":   {func(t *Task) { t.Runtime = "runsc-not-here" }, CodeRuntime},
		"missing folder":    {func(t *Task) { t.Mounts = []Mount{{Source: missing, Target: "/work"}} }, CodeMount},
		"file as a folder":  {func(t *Task) { t.Mounts = []Mount{{Source: file, Target: "/work"}} }, CodeMount},
		"relative folder":   {func(t *Task) { t.Mounts = []Mount{{Source: "work", Target: "/work"}} }, CodeMount},
		"no memory limit":   {func(t *Task) { t.Memory = 0 }, CodeLimit},
		"no process limit":  {func(t *Task) { t.Pids = 0 }, CodeLimit},
		"no cpu limit":      {func(t *Task) { t.NanoCPUs = 0 }, CodeLimit},
		"no deadline":       {func(t *Task) { t.Timeout = 0 }, CodeLimit},
		"too little memory": {func(t *Task) { t.Memory = 1 << 20 }, CodeEngine},
	} {
		t.Run(name, func(t *testing.T) {
			task := b.task(t, "echo", "x")
			tc.change(&task)
			_, refusal := b.Run(t.Context(), task, func(run.Started) error {
				t.Error("started")
				return nil
			})
			if refusal == nil || refusal.Code != tc.want {
				t.Errorf("Run = %+v, want refusal %s", refusal, tc.want)
			}
			b.cleanups.Wait()
			if left := b.withTask(t); len(left) > 0 {
				t.Errorf("a container was made: %v", left)
			}
		})
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("the missing folder was made")
	}
}

// An image that brings more than an executor is refused after create and removed before start.
func TestImageWithMore(t *testing.T) {
	b := newBed(t)
	for name, change := range map[string]string{
		"volume":   `VOLUME /data`,
		"variable": `ENV LD_PRELOAD=/x.so`,
		"no entry": `ENTRYPOINT []`,
	} {
		t.Run(name, func(t *testing.T) {
			tag := "secureclaw-test/more:" + strings.ReplaceAll(name, " ", "-")
			b.build(t, tag, change)
			task := b.task(t, "echo", "x")
			task.Image = tag
			_, refusal := b.Run(t.Context(), task, func(run.Started) error {
				t.Error("started")
				return nil
			})
			want := CodeFence
			if name == "no entry" {
				want = CodeImage
			}
			if refusal == nil || refusal.Code != want {
				t.Errorf("Run = %+v, want refusal %s", refusal, want)
			}
			b.cleanups.Wait()
			if left := b.withTask(t); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// An id cannot be used twice while the first call lives.
func TestSameIDTwice(t *testing.T) {
	bothWays(t, func(t *testing.T, b *bed) {
		first := b.task(t, "silent", "")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		_, refusal := b.Run(ctx, first, func(run.Started) error {
			second := b.task(t, "echo", "x")
			second.ID = first.ID
			if _, refusal := b.Run(t.Context(), second, noStart); refusal == nil || refusal.Code != CodeFence {
				t.Errorf("the same id again = %+v, want refusal %s", refusal, CodeFence)
			}
			cancel()
			return nil
		})
		if refusal != nil {
			t.Errorf("Run = %+v", refusal)
		}
	})
}

// A runner that was killed leaves containers. The next one of the same installation removes them,
// leaves another installation's alone, and does not touch its own.
func TestSweep(t *testing.T) {
	old, other := newBed(t), newBed(t)
	abandon := func(b *bed) string {
		t.Helper()
		c, refusal := b.engine.connect(t.Context())
		if refusal != nil {
			t.Fatal(refusal)
		}
		box, refusal := b.created(t, c, b.task(t, "silent", ""))
		if refusal != nil {
			t.Fatal(refusal)
		}
		if err := box.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		box.release()
		return box.id
	}
	abandon(old)
	abandon(old)
	kept := abandon(other)
	now := newBedAt(t, engineHost(), old.instance)
	mine := ownedBox(t, now)
	if n := now.Sweep(t.Context()); n != 2 {
		t.Errorf("Sweep = %d, want 2", n)
	}
	left := now.containers(t)
	if len(left) != 1 || left[0] != "/"+mine.name {
		t.Errorf("after the sweep there is %v, want only %s", left, mine.name)
	}
	if len(other.containers(t)) != 1 {
		t.Error("another installation's container was removed")
	}
	if now.Swept() != 2 {
		t.Errorf("Swept = %d, want 2", now.Swept())
	}
	now.remove(t.Context(), mine)
	if _, err := now.c.ContainerRemove(t.Context(), kept, client.ContainerRemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
}

// ownedBox makes a living container of b's that a call owns.
func ownedBox(t *testing.T, b *bed) *box {
	t.Helper()
	c, refusal := b.engine.connect(t.Context())
	if refusal != nil {
		t.Fatal(refusal)
	}
	made, refusal := b.created(t, c, b.task(t, "silent", ""))
	if refusal != nil {
		t.Fatal(refusal)
	}
	t.Cleanup(made.release)
	return made
}

// build makes an image of the test executor with one line more.
func (b *bed) build(tb testing.TB, tag, change string) {
	tb.Helper()
	dockerfile := "FROM " + b.image + "\n" + change + "\n"
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	if err := w.WriteHeader(&tar.Header{Name: "Dockerfile", Mode: 0o644, Size: int64(len(dockerfile))}); err != nil {
		tb.Fatal(err)
	}
	if _, err := w.Write([]byte(dockerfile)); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	built, err := b.c.ImageBuild(tb.Context(), &files, client.ImageBuildOptions{Tags: []string{tag}, Remove: true, ForceRemove: true})
	if err != nil {
		tb.Fatal(err)
	}
	defer built.Body.Close()
	if _, err := io.Copy(io.Discard, built.Body); err != nil {
		tb.Fatal(err)
	}
}
