package sandbox

import (
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"
)

// Whatever a request can say is in the shape, but for what belongs to one call.
func TestShape(t *testing.T) {
	base := func() (Task, place) { return exampleTask(), examplePlace() }
	of := func(change func(*Task, *place)) shape {
		t.Helper()
		task, p := base()
		if change != nil {
			change(&task, &p)
		}
		s, err := shapeOf(task, p)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	same := of(nil)
	for name, change := range map[string]func(*Task, *place){
		"id":        func(t *Task, _ *place) { t.ID = "other" },
		"call":      func(t *Task, _ *place) { t.Call = "other" },
		"envelope":  func(t *Task, _ *place) { t.Envelope = []byte("other") },
		"nonce":     func(t *Task, _ *place) { t.Nonce = "other" },
		"timeout":   func(t *Task, _ *place) { t.Timeout++ },
		"deadline":  func(_ *Task, p *place) { p.deadline = p.deadline.Add(time.Hour) },
		"shown":     func(t *Task, _ *place) { t.Shown = "/other" }, // what it does is in what is covered
		"hide":      func(t *Task, _ *place) { t.Mounts[0].Hide = []string{"other"} },
		"image":     func(t *Task, _ *place) { t.Image = "other" }, // its id counts
		"tunnel":    func(t *Task, _ *place) { t.Tunnel.Streams++ },
		"the slice": func(t *Task, _ *place) { t.Mounts = append([]Mount(nil), t.Mounts...) },
	} {
		if of(change) != same {
			t.Errorf("another %s is another shape, want the same", name)
		}
	}
	seen := map[shape]string{same: "nothing"}
	for name, change := range map[string]func(*Task, *place){
		"kind":       func(t *Task, _ *place) { t.Kind = "web" },
		"image id":   func(_ *Task, p *place) { p.imageID = "sha256:other" },
		"entrypoint": func(_ *Task, p *place) { p.entrypoint = []string{"/other"} },
		"runtime":    func(t *Task, _ *place) { t.Runtime = "runsc" },
		"memory":     func(t *Task, _ *place) { t.Memory++ },
		"processors": func(t *Task, _ *place) { t.NanoCPUs++ },
		"pids":       func(t *Task, _ *place) { t.Pids++ },
		"tmp":        func(t *Task, _ *place) { t.Tmp++ },
		"file size":  func(t *Task, _ *place) { t.FileSize++ },
		"key":        func(t *Task, _ *place) { t.VerifyKey = "other" },
		"source":     func(t *Task, _ *place) { t.Mounts[0].Source = "/other" },
		"target":     func(t *Task, _ *place) { t.Mounts[0].Target = "/other" },
		"mode":       func(t *Task, _ *place) { t.Mounts[0].Writable = !t.Mounts[0].Writable },
		"one mount":  func(t *Task, _ *place) { t.Mounts = t.Mounts[:1] },
		"no mount":   func(t *Task, _ *place) { t.Mounts = nil },
		"boot":       func(_ *Task, p *place) { p.boot = "other" },
		"instance":   func(_ *Task, p *place) { p.instance = "other" },
		"a cover":    func(_ *Task, p *place) { p.hidden[1][0].rel = "other" },
		"a folder":   func(_ *Task, p *place) { p.hidden[1][0].dir = true },
		"an inode":   func(_ *Task, p *place) { p.hidden[1][0].ino++ },
		"a device":   func(_ *Task, p *place) { p.hidden[1][0].dev++ },
		"a change":   func(_ *Task, p *place) { p.hidden[1][0].changed++ },
		"one cover":  func(_ *Task, p *place) { p.hidden[1] = p.hidden[1][:1] },
		"no cover":   func(_ *Task, p *place) { p.hidden = nil },
		"the covers": func(_ *Task, p *place) { p.veil.file = "/other" },
	} {
		s := of(change)
		if other, twice := seen[s]; twice {
			t.Errorf("another %s is the shape of another %s, want one of its own", name, other)
		}
		seen[s] = name
	}
}

// A field that Task gets later must be judged here: is it of the container, or of one call?
func TestShapeKnowsEveryField(t *testing.T) {
	known := []string{"ID", "Call", "Kind", "Image", "Runtime", "Memory", "NanoCPUs", "Pids", "Tmp", "FileSize", "Mounts", "Shown", "Timeout", "VerifyKey", "Envelope", "Nonce", "Out", "Tunnel", "Refused"}
	var have []string
	for f := range reflect.TypeFor[Task]().Fields() {
		have = append(have, f.Name)
	}
	if !reflect.DeepEqual(have, known) {
		t.Errorf("Task has the fields %v, judged are %v", have, known)
	}
}

func TestAnchors(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "shared")
	again := func() {
		t.Helper()
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	again()
	held, err := hold([]Mount{{Source: folder}})
	if err != nil {
		t.Fatal(err)
	}
	defer held.close()
	if err := held.check(); err != nil {
		t.Errorf("check of what is as it was: %v", err)
	}
	if err := os.WriteFile(filepath.Join(folder, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := held.check(); err != nil {
		t.Errorf("check after a file was written: %v", err)
	}
	// File systems like to give a number again at once; not one that is held.
	for range 50 {
		again()
		if held.check() == nil {
			t.Fatal("check of a folder that was removed and made again: no error")
		}
	}
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	if held.check() == nil {
		t.Error("check of a folder that is gone: no error")
	}
	if err := os.Symlink(t.TempDir(), folder); err != nil {
		t.Fatal(err)
	}
	if held.check() == nil {
		t.Error("check of a folder that became a link: no error")
	}
	if held, err := hold([]Mount{{Source: folder}}); err == nil {
		held.close()
		t.Error("hold of a link: no error")
	}
	if err := (anchors)(nil).check(); err != nil {
		t.Errorf("check of nothing: %v", err)
	}
}

// A folder with hard links takes the place of the one in which a secret was covered: path, file and its times
// are the same, and the cover is gone with the other folder.
func TestShapeKnowsTheFolderOfACover(t *testing.T) {
	dir := t.TempDir()
	mount := filepath.Join(dir, "mount")
	for _, folder := range []string{filepath.Join(mount, "sub"), filepath.Join(dir, "other")} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	secret := filepath.Join(mount, "sub", "key.pem")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(secret, filepath.Join(dir, "other", "key.pem")); err != nil {
		t.Fatal(err)
	}
	s := New(Options{Instance: "i", Dir: filepath.Join(dir, "covers"), Log: slog.New(slog.DiscardHandler)})
	task := Task{Kind: "shell", Mounts: []Mount{{Source: mount, Target: "/notes", Hide: []string{"**/*.pem"}}}}
	look := func() (covers, shape) {
		found, refusal := s.hide(t.Context(), task)
		if refusal != nil {
			t.Fatal(*refusal)
		}
		got, err := shapeOf(task, place{covers: found})
		if err != nil {
			t.Fatal(err)
		}
		return found, got
	}
	found, before := look()
	if _, again := look(); again != before {
		t.Errorf("shapeOf = %x, want %x: nothing changed", again, before)
	}
	for _, move := range [][2]string{{"mount/sub", "old"}, {"other", "mount/sub"}} {
		if err := os.Rename(filepath.Join(dir, move[0]), filepath.Join(dir, move[1])); err != nil {
			t.Fatal(err)
		}
	}
	if _, after := look(); after == before {
		t.Errorf("shapeOf = %x, as before the folder was another one", after)
	}
	if why := s.exposed(t.Context(), task, found.hidden); why == "" {
		t.Error("exposed says nothing, and the cover is gone")
	}
}

// The keeper looks a container over that a call has taken meanwhile and ends: the race detector has its say
// here. Its folders are let go of once, for their descriptors' numbers are given to others.
func TestAnchorsAreComparedWhileTheyAreLetGo(t *testing.T) {
	held, err := hold([]Mount{{Source: t.TempDir()}})
	if err != nil {
		t.Fatal(err)
	}
	b := waiter("a", shapeNamed("a"), time.Now())
	b.held = held
	b.once.Do(func() {}) // it has no stream to hang up
	var looking sync.WaitGroup
	looking.Go(func() { _ = b.held.check() })
	b.release()
	other, err := os.Open(os.DevNull) // gets the number that is free now
	if err != nil {
		t.Fatal(err)
	}
	b.release()
	looking.Wait()
	if err := other.Close(); err != nil {
		t.Errorf("release closed what is another's: %v", err)
	}
}
