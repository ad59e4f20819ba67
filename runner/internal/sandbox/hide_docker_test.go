//go:build docker

package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/moby/moby/client"

	"github.com/secureclaw/secureclaw/internal/run"
)

// A file that was hidden and goes away before the container starts leaves a cover without a place.
// Then nothing starts, and above all nothing is made in the user's folder.
func TestCoverOfWhatIsGone(t *testing.T) {
	bothWays(t, func(t *testing.T, b *bed) {
		v, err := makeVeil(filepath.Join(t.TempDir(), "runner"))
		if err != nil {
			t.Fatal(err)
		}
		for name, h := range map[string]hidden{"file": {rel: ".env"}, "folder": {rel: "a/.ssh", dir: true}, "a folder became a file": {rel: "plain", dir: true}, "a file became a folder": {rel: "b"}} {
			t.Run(name, func(t *testing.T) {
				work := tree(t, "plain", "b/")
				task := b.task(t, "echo", "x")
				task.Mounts = []Mount{{Source: work, Target: "/work"}}
				image, refusal := b.Sandbox.image(t.Context(), mustConnect(t, b), task.Image)
				if refusal != nil {
					t.Fatal(*refusal)
				}
				config, host := spec(task, place{imageID: image.id, entrypoint: image.entrypoint, instance: b.instance, covers: covers{hidden: [][]covered{{{hidden: h}}}, veil: v}})
				made, err := b.c.ContainerCreate(t.Context(), client.ContainerCreateOptions{Config: config, HostConfig: host})
				if err != nil {
					t.Fatal(err)
				}
				_, err = b.c.ContainerStart(t.Context(), made.ID, client.ContainerStartOptions{})
				if _, rmErr := b.c.ContainerRemove(t.Context(), made.ID, client.ContainerRemoveOptions{Force: true}); rmErr != nil {
					t.Fatal(rmErr)
				}
				if err == nil {
					t.Error("the container started without its cover")
				}
				left, err := filepath.Glob(filepath.Join(work, "*"))
				if _, hiddenErr := os.Lstat(filepath.Join(work, ".env")); err != nil || len(left) != 2 || !os.IsNotExist(hiddenErr) {
					t.Errorf("in the user's folder now: %q, %v, %v", left, err, hiddenErr)
				}
			})
		}
	})
}

// BenchmarkCovers is a whole call, to its result, in a folder of so many secrets.
func BenchmarkCovers(b *testing.B) {
	for _, n := range []int{0, 10, 100, 500} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			bd := newBed(b)
			var names []string
			for i := range n {
				names = append(names, fmt.Sprintf("d%d/.env", i))
			}
			task := func() Task {
				t := bd.task(b, "echo", "x")
				t.Mounts = []Mount{{Source: tree(b, names...), Target: "/work", Hide: shipped()}}
				return t
			}
			bd.do(b, task()) // warm
			for b.Loop() {
				b.StopTimer()
				t := task()
				b.StartTimer()
				if got := bd.do(b, t); got.Outcome != run.Finished {
					b.Fatalf("Run = %+v", got)
				}
			}
		})
	}
}
