//go:build docker

package runner

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/moby/moby/client"
)

// Baselines do their work in the shipped images, and say so when they could not: a program that is not
// there is quicker than any.
func TestPlain(t *testing.T) {
	folder := t.TempDir()
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{PlainFile: "hello\n", "policy.json": "{}"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	o := Options{Config: testConfig()}
	o.Config.Docker.Host = "unix://" + engineSocket
	for _, kind := range []string{"shell", "file"} {
		t.Run(kind, func(t *testing.T) {
			p, err := NewPlain(o, kind, folder)
			if err != nil {
				t.Fatal(err)
			}
			if took, err := p.Call(t.Context()); err != nil || took <= 0 {
				t.Errorf("Call = %v, %v", took, err)
			}
			if ok, err := p.Block(t.Context()); !ok || err != nil {
				t.Fatalf("Block = %v, %v", ok, err)
			}
			id := p.blocked.ID()
			for range 2 {
				if took, err := p.Exec(t.Context()); err != nil || took <= 0 {
					t.Errorf("Exec = %v, %v", took, err)
				}
				if took, err := p.Line(t.Context()); err != nil || took <= 0 {
					t.Errorf("Line = %v, %v", took, err)
				}
			}
			if err := p.Close(t.Context()); err != nil {
				t.Errorf("Close = %v", err)
			}
			if _, err := engineClient(t).ContainerInspect(t.Context(), id, client.ContainerInspectOptions{}); err == nil {
				t.Error("the shared container is still there")
			}
		})
	}
	t.Run("nothing to read", func(t *testing.T) {
		p, err := NewPlain(o, "file", t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close(t.Context())
		if took, err := p.Call(t.Context()); err == nil {
			t.Errorf("Call = %v, nil; want that its program failed", took)
		}
	})
}
