//go:build docker

package sandbox

import (
	"archive/tar"
	"bytes"
	"context"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/secureclaw/secureclaw/internal/run"
)

// served runs t and returns the id of the container that it got.
func (b *bed) served(tb testing.TB, t Task) (id string, got run.Result) {
	tb.Helper()
	got, refusal := b.Sandbox.Run(tb.Context(), t, func(s run.Started) error { id = s.Container; return nil })
	if refusal != nil {
		tb.Fatalf("Run = refusal %+v", *refusal)
	}
	if got.Outcome != run.Finished {
		tb.Fatalf("Run = %+v, want finished", got)
	}
	return id, got
}

// traces are ways to touch a container that the engine shows afterwards.
func (b *bed) traces() map[string]func(ctx context.Context, id string) error {
	return map[string]func(ctx context.Context, id string) error{
		"other limits": func(ctx context.Context, id string) error {
			pids := int64(1000)
			_, err := b.c.ContainerUpdate(ctx, id, client.ContainerUpdateOptions{Resources: &container.Resources{PidsLimit: &pids}})
			return err
		},
		"paused": func(ctx context.Context, id string) error {
			_, err := b.c.ContainerPause(ctx, id, client.ContainerPauseOptions{})
			return err
		},
		"another name": func(ctx context.Context, id string) error {
			_, err := b.c.ContainerRename(ctx, id, client.ContainerRenameOptions{NewName: "secureclaw-other-" + token()})
			return err
		},
	}
}

// Whoever touches a waiting container, and however shortly: no call gets it.
func TestReadyTouched(t *testing.T) {
	b := newReadyBed(t, 32<<20)
	b.expect(b.task(t, "", ""))
	b.wake()
	exec := func(ctx context.Context, id string) error {
		made, err := b.c.ExecCreate(ctx, id, client.ExecCreateOptions{Cmd: []string{"/executor", "nothing"}})
		if err != nil {
			return err
		}
		// It may be gone already: that somebody wants to is enough.
		_, _ = b.c.ExecStart(ctx, made.ID, client.ExecStartOptions{Detach: true})
		return nil
	}
	touches := b.traces()
	maps.Copy(touches, map[string]func(ctx context.Context, id string) error{
		"a command in it": exec,
		"paused and on": func(ctx context.Context, id string) error {
			if _, err := b.c.ContainerPause(ctx, id, client.ContainerPauseOptions{}); err != nil {
				return err
			}
			_, err := b.c.ContainerUnpause(ctx, id, client.ContainerUnpauseOptions{})
			return err
		},
		"killed": func(ctx context.Context, id string) error {
			_, err := b.c.ContainerKill(ctx, id, client.ContainerKillOptions{Signal: "KILL"})
			return err
		},
		"started anew": func(ctx context.Context, id string) error {
			zero := 0
			// It may be gone before it runs again.
			_, _ = b.c.ContainerRestart(ctx, id, client.ContainerRestartOptions{Timeout: &zero})
			return nil
		},
		"a second reader": func(ctx context.Context, id string) error {
			got, err := b.c.ContainerAttach(ctx, id, client.ContainerAttachOptions{Stream: true, Stdin: true, Stdout: true})
			if err == nil {
				got.Close()
			}
			return err
		},
		"looked out of": func(ctx context.Context, id string) error {
			got, err := b.c.CopyFromContainer(ctx, id, client.CopyFromContainerOptions{SourcePath: "/executor"})
			if err == nil {
				got.Content.Close()
			}
			return err
		},
	})
	for name, touch := range touches {
		t.Run(name, func(t *testing.T) {
			waiting := b.waits(t, b.task(t, "", ""))
			if err := touch(t.Context(), waiting.id); err != nil {
				t.Fatalf("touch: %v", err)
			}
			// What leaves a trace is seen at once; of the rest the engine tells, a few ms later.
			if name == "a command in it" || name == "a second reader" || name == "looked out of" || name == "paused and on" {
				time.Sleep(200 * time.Millisecond)
			}
			if id, _ := b.served(t, b.task(t, "echo", "x")); id == waiting.id {
				t.Errorf("the call got the container that was touched")
			}
		})
	}
}

// A file cannot be put into it at all.
func TestReadyTakesNoFile(t *testing.T) {
	b := newReadyBed(t, 32<<20)
	b.expect(b.task(t, "", ""))
	b.wake()
	waiting := b.waits(t, b.task(t, "", ""))
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	if err := w.WriteHeader(&tar.Header{Name: "x", Mode: 0o755, Size: 0}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.c.CopyToContainer(t.Context(), waiting.id, client.CopyToContainerOptions{DestinationPath: "/usr", Content: &files}); err == nil {
		t.Error("a file was put into the read-only container")
	}
}

// An image that was built anew is what the next call gets, at once.
func TestReadyImageChanges(t *testing.T) {
	b := newReadyBed(t, 32<<20)
	name := "secureclaw-test/moving:" + token()
	tag := func(source string) {
		t.Helper()
		if _, err := b.c.ImageTag(t.Context(), client.ImageTagOptions{Source: source, Target: name}); err != nil {
			t.Fatal(err)
		}
	}
	tag(b.image)
	t.Cleanup(func() { _, _ = b.c.ImageRemove(context.Background(), name, client.ImageRemoveOptions{}) })
	task := b.task(t, "echo", "x")
	task.Image = name
	b.expect(task)
	b.wake()
	before := b.waits(t, task)

	b.build(t, name, "LABEL again=1")
	task = b.task(t, "echo", "x")
	task.Image = name
	var started run.Started
	got, refusal := b.Sandbox.Run(t.Context(), task, func(s run.Started) error { started = s; return nil })
	if refusal != nil || got.Outcome != run.Finished {
		t.Fatalf("Run = %+v %+v", got, refusal)
	}
	if started.Container == before.id || started.Image == before.imageID {
		t.Errorf("the call ran in %s of image %s, which is the old one", started.Container, started.Image)
	}
	// The old one goes, and one of the new image waits.
	if after := b.waits(t, task); after.imageID == before.imageID {
		t.Errorf("a container of the old image waits")
	}
}

// A folder that was removed and made again is another one: the call sees the new.
func TestReadyFolderChanges(t *testing.T) {
	b := newReadyBed(t, 32<<20)
	folder := filepath.Join(t.TempDir(), "shared")
	fresh := func(text string) {
		t.Helper()
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "file"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	read := func() Task {
		task := b.task(t, "read", "/work/file")
		task.Mounts = []Mount{{Source: folder, Target: "/work"}}
		return task
	}
	fresh("first")
	b.expect(read())
	b.wake()
	before := b.waits(t, read())
	// A file that is written meanwhile is no reason for another container.
	if err := os.WriteFile(filepath.Join(folder, "file"), []byte("second"), 0o644); err != nil {
		t.Fatal(err)
	}
	if id, got := b.served(t, read()); id != before.id || string(got.Output.Value) != `"second ok"` {
		t.Errorf("read = %s in %s, want the second text in %s", got.Output.Value, id, before.id)
	}
	for _, text := range []string{"third", "fourth", "fifth"} {
		before = b.waits(t, read())
		fresh(text)
		if id, got := b.served(t, read()); id == before.id || string(got.Output.Value) != `"`+text+` ok"` {
			t.Errorf("read = %s in %s, want %q, and not in %s, which has the folder that is gone", got.Output.Value, id, text, before.id)
		}
	}
}

// A cover falls when its file is replaced. The container that waits with it is not used, also when the new
// file got the number of the old.
func TestReadyCoverFalls(t *testing.T) {
	b := newReadyBed(t, 32<<20)
	folder := t.TempDir()
	secret := filepath.Join(folder, ".env")
	write := func(text string) {
		t.Helper()
		next := secret + ".new"
		if err := os.WriteFile(next, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, secret); err != nil {
			t.Fatal(err)
		}
	}
	read := func() Task {
		task := b.task(t, "read", "/work/.env")
		task.Mounts = []Mount{{Source: folder, Target: "/work", Hide: []string{".env"}}}
		return task
	}
	write("SECRET=0")
	b.expect(read())
	b.wake()
	for i := range 6 {
		before := b.waits(t, read())
		if i%2 == 0 {
			write("SECRET=1")
			write("SECRET=2") // may have the first one's number again
		} else if err := os.Remove(secret); err != nil {
			t.Fatal(err)
		} else {
			write("SECRET=3")
		}
		id, got := b.served(t, read())
		if id == before.id {
			t.Errorf("round %d: the call got the container whose cover fell", i)
		}
		if strings.Contains(string(got.Output.Value), "SECRET") {
			t.Errorf("round %d: the call read %s", i, got.Output.Value)
		}
	}
}

// One container, one task: what is handed over after that comes to nothing.
func TestReadyOneTask(t *testing.T) {
	b := newReadyBed(t, 32<<20)
	b.expect(b.task(t, "", ""))
	b.wake()
	first := b.task(t, "echo", "first")
	b.waits(t, first)
	g := b.glance(t.Context(), first)
	defer g.end()
	p, refusal := b.place(t.Context(), mustConnect(t, b), &first)
	if refusal != nil {
		t.Fatal(*refusal)
	}
	taken := b.pick(t.Context(), first, p, g)
	if taken == nil {
		t.Fatal("pick gave none")
	}
	defer b.remove(t.Context(), taken)
	defer taken.release()
	if !taken.bind() {
		t.Fatal("bind = false before the first task")
	}
	if got := b.converse(t.Context(), taken, first); got.Outcome != run.Finished || string(got.Output.Value) != `"first"` {
		t.Fatalf("the first task = %+v", got)
	}
	if taken.bind() {
		t.Error("bind = true for a second task")
	}
	// As a runner with a defect would: past bind, into the stream.
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	taken.answer = make(answer, 1)
	if got := b.converse(ctx, taken, b.task(t, "echo", "second")); got.Outcome == run.Finished {
		t.Errorf("a second task in the same container = %+v, want none", got)
	}
}

// The budget holds at every moment, whatever is asked for.
func TestReadyBudget(t *testing.T) {
	const budget = 40 << 20
	b := newReadyBed(t, budget)
	stop := make(chan struct{})
	most := make(chan int)
	go func() {
		n := 0
		for {
			select {
			case <-stop:
				most <- n
				return
			case <-time.After(20 * time.Millisecond):
				var sum int64
				for _, r := range b.Ready() {
					sum += r.Bytes
				}
				if sum > budget {
					t.Errorf("%d bytes wait, the budget is %d", sum, int64(budget))
				}
				n = max(n, len(b.pool.each()))
			}
		}
	}()
	for i := range 40 {
		task := b.task(t, "echo", "x")
		task.Pids += int64(i % 20)
		b.served(t, task)
	}
	close(stop)
	if n := <-most; n == 0 || n > 12 {
		t.Errorf("at most %d waited, want some and a few", n)
	}
}

// What the engine shows tells by itself, also when its news come late or not at all.
func TestReadyComparedWithoutNews(t *testing.T) {
	b := newReadyBed(t, 64<<20)
	b.expect(b.task(t, "", ""))
	b.wake()
	for name, touch := range b.traces() {
		t.Run(name, func(t *testing.T) {
			task := b.task(t, "", "")
			waiting := b.waits(t, task)
			if !b.pool.forget(waiting, false, time.Now()) { // taken, as by a call
				t.Fatal("the container does not wait any more")
			}
			defer b.discard(waiting)
			if err := waiting.untouched(t.Context(), nil); err != nil {
				t.Fatalf("untouched = %v, before anybody did anything", err)
			}
			if err := touch(t.Context(), waiting.id); err != nil {
				t.Fatal(err)
			}
			if err := waiting.untouched(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "otherwise") {
				t.Errorf("untouched = %v, want that the engine shows it otherwise", err)
			}
			b.wake()
		})
	}
}
