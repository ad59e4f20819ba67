//go:build docker

package runner

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/secureclaw/secureclaw/internal/run"
)

// BenchmarkBrowse opens a page on loopback by a whole call (token, container with Chromium, tunnel, way out,
// answer in hand) in three ways by turns: of a runner that keeps a browser ready, of one that does not, and
// by Chromium itself in a plain container of the same image on the host's network, which prints the page's
// DOM and ends. plain-ms is without that container's removal. ready-found is how many calls of the first
// kind found a browser; only those count as ready.
func BenchmarkBrowse(b *testing.B) {
	a := newAuthority(b)
	pages := newSite()
	w := newWorld(b, a, pages)
	image := browserImage(b, a)
	// The policy in the image forbids the internal page by which Chromium prints a DOM.
	policy, err := json.Marshal(map[string]any{"CACertificates": []string{base64.StdEncoding.EncodeToString(a.der)}})
	if err != nil {
		b.Fatal(err)
	}
	bare := derivedImage(b, "FROM "+webImage+"\nCOPY file /etc/chromium/policies/managed/secureclaw.json\n", policy)
	cold, keeping := browserConfig(b, image), browserConfig(b, image)
	keeping.Runner.Ready.Memory = 512 << 20
	coldBed, readyBed := newBedWith(b, cold, w.seam()), newBedWith(b, keeping, w.seam())
	open := func(bd *bed) (float64, bool) {
		began := time.Now()
		v := bd.open(b, "https://site.example.com/plain", func(in *run.Browse) { in.Extract = run.ExtractTree })
		return time.Since(began).Seconds() * 1000, v.result.Timing.Ready
	}
	var ready, calls, plains, toPlain, readyToPlain []float64
	for i := range b.N + 1 {
		readyBed.awaitBrowser(b)
		quick, found := open(readyBed)
		// The next one starts at once, and nobody else shall pay for that.
		readyBed.awaitBrowser(b)
		call, _ := open(coldBed)
		plain := plainBrowser(b, bare, fmt.Sprintf("MAP site.example.com:443 %s:%d", w.good.address, w.good.port), "https://site.example.com/plain", "nothing but words").Seconds() * 1000
		if i == 0 {
			continue // the first of each warms the caches
		}
		calls, plains, toPlain = append(calls, call), append(plains, plain), append(toPlain, call/plain)
		if found {
			ready, readyToPlain = append(ready, quick), append(readyToPlain, quick/plain)
		}
	}
	median := func(list []float64) float64 {
		if len(list) == 0 {
			return 0
		}
		slices.Sort(list)
		return list[len(list)/2]
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(len(ready)), "ready-found")
	b.ReportMetric(median(ready), "ready-ms")
	b.ReportMetric(median(readyToPlain), "ready/plain")
	b.ReportMetric(median(calls), "call-ms")
	b.ReportMetric(median(plains), "plain-ms")
	b.ReportMetric(median(toPlain), "call/plain")
}

// awaitBrowser waits until a browser is ready, for as long as one may take to start.
func (b *bed) awaitBrowser(tb testing.TB) {
	tb.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		for _, e := range b.ask(tb, run.Request{Status: &struct{}{}}) {
			if e.Status != nil && slices.ContainsFunc(e.Status.Ready, func(r run.Ready) bool { return r.Kind == "web" && r.Containers > 0 }) {
				return
			}
		}
	}
}

// plainBrowser is the baseline: create, attach, start, read what Chromium prints, wait.
func plainBrowser(tb testing.TB, image, rules, url, want string) time.Duration {
	tb.Helper()
	c := engineClient(tb)
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	// Our own filter: with the engine's, Chromium's sandbox could not start.
	filter, err := os.ReadFile("internal/sandbox/seccomp/browser.json")
	if err != nil {
		tb.Fatal(err)
	}
	began := time.Now()
	made, err := c.ContainerCreate(ctx, client.ContainerCreateOptions{
		Config: &container.Config{
			Image: image, AttachStdout: true, Env: []string{"HOME=/tmp"}, User: "1000:1000",
			Entrypoint: []string{"/usr/lib/chromium/chromium"},
			Cmd:        []string{"--headless=new", "--disable-gpu", "--disable-software-rasterizer", "--user-data-dir=/tmp/profile", "--host-resolver-rules=" + rules, "--dump-dom", url},
		},
		HostConfig: &container.HostConfig{NetworkMode: "host", SecurityOpt: []string{"seccomp=" + string(filter)}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	defer func() {
		_, err := c.ContainerRemove(context.WithoutCancel(ctx), made.ID, client.ContainerRemoveOptions{Force: true})
		if err != nil {
			tb.Error(err)
		}
	}()
	stream, err := c.ContainerAttach(ctx, made.ID, client.ContainerAttachOptions{Stream: true, Stdout: true})
	if err != nil {
		tb.Fatal(err)
	}
	defer stream.Close()
	wait := c.ContainerWait(ctx, made.ID, client.ContainerWaitOptions{Condition: container.WaitConditionNextExit})
	if _, err := c.ContainerStart(ctx, made.ID, client.ContainerStartOptions{}); err != nil {
		tb.Fatal(err)
	}
	var out, errs bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &errs, stream.Reader); err != nil {
		tb.Fatal(err)
	}
	select {
	case <-wait.Result:
	case err := <-wait.Error:
		tb.Fatal(err)
	}
	took := time.Since(began)
	if !strings.Contains(out.String(), want) {
		tb.Fatalf("the plain browser printed %q, want a page with %q\n%s", out.String(), want, errs.String())
	}
	return took
}
