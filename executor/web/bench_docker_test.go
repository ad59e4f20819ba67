//go:build docker

package web_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/run"
)

// BenchmarkReady is a call of a container that waited for it, from the task to the answer: without the
// container's start and end.
func BenchmarkReady(b *testing.B) {
	w := newWorld(b, "example.com")
	var took []float64
	for range b.N {
		c := w.launch(b).await(b)
		time.Sleep(time.Second) // what Chromium still does after its start is not the call's
		if out, value := c.call(b, 60*time.Second, run.Browse{URL: "https://example.com/plain", Extract: run.ExtractTree}); out.Status != run.OutputOK {
			b.Fatal(show(out, value, w))
		}
		took = append(took, c.took.Seconds()*1000)
	}
	slices.Sort(took)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(took[len(took)/2], "median-ms")
	b.ReportMetric(took[0], "least-ms")
}

// BenchmarkCold compares a whole call, container included, with Chromium itself started in a container
// of the same image, with a network, to print the same page.
func BenchmarkCold(b *testing.B) {
	w := newWorld(b, "example.com")
	b.Run("call", func(b *testing.B) {
		for b.Loop() {
			if out, value := w.browse(b, 60*time.Second, run.Browse{URL: "https://example.com/plain", Extract: run.ExtractTree}); out.Status != run.OutputOK {
				b.Fatal(show(out, value, w))
			}
		}
	})
	b.Run("plain", func(b *testing.B) {
		for b.Loop() {
			// Not under the image's policy, which forbids the page of its own that Chromium prints with.
			args := w.container()
			args[len(args)-1] = "--volume=" + filepath.Dir(w.policy) + ":/etc/chromium/policies/managed:ro"
			args = append(args, "--network=host", "--entrypoint=/usr/lib/chromium/chromium", image, "--headless", "--user-data-dir=/tmp/p",
				"--no-first-run", "--disable-gpu", "--disable-software-rasterizer", fmt.Sprintf("--host-resolver-rules=MAP example.com %s", w.site.Addr()), "--dump-dom", "https://example.com/plain")
			out, err := exec.CommandContext(b.Context(), "docker", args...).CombinedOutput()
			if err != nil || !strings.Contains(string(out), "<h1>") {
				b.Fatalf("%v\n%s", err, out)
			}
		}
	})
}
