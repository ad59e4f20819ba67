//go:build docker

package runner

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/secureclaw/secureclaw/internal/run"
)

// leftRunning: workers end with their call, and the next call finds nothing of theirs.
func leftRunning(t *testing.T, s *browsers) {
	b := s.open(t, nil)
	b.site.page("/workers", `<pre id=out></pre><script>
(async () => {
  const had = (await navigator.serviceWorker.getRegistrations()).length, mark = localStorage.getItem("mark") || document.cookie;
  localStorage.setItem("mark", "left"); document.cookie = "mark=left; max-age=9999; secure";
  new SharedWorker("/shared.js?u=https%3A%2F%2Fshared.EVIL%2F").port.start();
  await navigator.serviceWorker.register("/sw.js?u=https%3A%2F%2Fsw.EVIL%2F"); await navigator.serviceWorker.ready;
  await new Promise(end => setTimeout(end, 1500));
  out.textContent = "had " + had + " mark [" + mark + "] WORKERS DONE";
})().catch(e => { out.textContent = "broken " + e + " WORKERS DONE"; });
</script>`)
	for round := range 2 {
		claims := pageClaims(t, b.cfg, "site.example.com")
		v := b.visitWith(t, claims, run.Browse{URL: "https://site.example.com/workers", Actions: []run.BrowseAction{{Do: run.DoWait, Text: "WORKERS DONE", Seconds: 15}}})
		if v.result == nil || v.result.Output == nil || !strings.Contains(string(v.result.Output.Value), "had 0 mark []") {
			t.Fatalf("visit %d = %+v, want a page without anything of an earlier one", round, v)
		}
		awaitRemoval(t, claims.Call)
		_, _, requests := b.good.seen()
		for _, path := range []string{"/alive?sw", "/alive?shared"} {
			if !slices.Contains(requests, "site.example.com"+path) {
				t.Errorf("no request %s: the worker never ran; came %q", path, requests)
			}
		}
		time.Sleep(1500 * time.Millisecond) // twice as long as a worker waits
		if n, _, requests := b.good.seen(); n > 0 || len(requests) > 0 {
			t.Errorf("after the call came %d connections, %q", n, requests)
		}
		b.nothingEscaped(t, s, v)
	}
}

// twenty calls at once all come back whole, and leave neither container nor process.
func twenty(t *testing.T, s *browsers) {
	b := s.open(t, nil)
	began := time.Now()
	var calls sync.WaitGroup
	var mu sync.Mutex
	var took []time.Duration
	for range 20 {
		calls.Go(func() {
			v := b.visitWith(t, pageClaims(t, b.cfg, "site.example.com"), run.Browse{URL: "https://site.example.com/plain"})
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(began).Round(10*time.Millisecond))
			if v.refusal != nil || v.result == nil || v.result.Outcome != run.Finished || v.result.Output.Status != run.OutputOK || !strings.Contains(string(v.result.Output.Value), "nothing but words") {
				t.Errorf("one of twenty = refusal %+v, result %+v", v.refusal, v.result)
			}
		})
	}
	calls.Wait()
	t.Logf("20 calls, %d at once: %v, ended at %v", run.MaxBrowsers(), time.Since(began).Round(time.Millisecond), took)
	noneLeft(t, b)
}

// noneLeft wants neither a container of this bed nor a process of those named.
func noneLeft(t *testing.T, b *browser, containers ...string) {
	t.Helper()
	b.stop()
	c := engineClient(t)
	list, err := c.ContainerList(t.Context(), client.ContainerListOptions{All: true, Filters: make(client.Filters).Add("ancestor", b.cfg.Executors["web"].Image)})
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range list.Items {
		t.Errorf("container left: %s %s", item.Names, item.State)
	}
	for _, id := range containers {
		if left := living(id); len(left) > 0 {
			t.Errorf("processes left: %q", left)
		}
	}
}

// family is the id of a call's container, whose processes are there.
func family(t *testing.T, call string) (id string) {
	t.Helper()
	list, err := engineClient(t).ContainerList(t.Context(), client.ContainerListOptions{Filters: make(client.Filters).Add("label", "org.secureclaw.call="+call)})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("containers of the call: %+v, %v", list.Items, err)
	}
	id = list.Items[0].ID
	if got := living(id); !slices.Contains(got, "chromium") || len(got) < 5 {
		t.Fatalf("processes in the container of a browser: %q, want Chromium's", got)
	}
	return id
}

// living are the processes of a container, by the control group that no process of it can leave.
func living(container string) (names []string) {
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, proc := range all {
		if group, err := os.ReadFile(proc + "/cgroup"); err == nil && strings.Contains(string(group), container) {
			name, _ := os.ReadFile(proc + "/comm")
			names = append(names, strings.TrimSpace(string(name)))
		}
	}
	return names
}

// busy opens a page that never ends and returns when it is in the browser.
func (b *browser) busy(t *testing.T) (call string, done func() []run.Event, hangUp func()) {
	t.Helper()
	here := make(chan struct{}, 1)
	b.site.page("/busy", `<p>x</p><script>setInterval(() => fetch("/here"), 100)</script>`)
	b.site.mux.HandleFunc("/here", func(http.ResponseWriter, *http.Request) {
		select {
		case here <- struct{}{}:
		default:
		}
	})
	claims := pageClaims(t, b.cfg, "site.example.com")
	done, hangUp = b.start(t, claims, browseInput(t, run.Browse{URL: "https://site.example.com/busy", Actions: []run.BrowseAction{{Do: run.DoWait, Seconds: 30}}}))
	select {
	case <-here:
	case <-time.After(30 * time.Second):
		t.Fatal("the page did not come up")
	}
	return claims.Call, done, hangUp
}

// removed: a container that somebody takes away while it browses is a clear end.
func removed(t *testing.T, s *browsers) {
	b := s.open(t, nil)
	call, done, _ := b.busy(t)
	c := engineClient(t)
	id := family(t, call)
	if _, err := c.ContainerRemove(t.Context(), id, client.ContainerRemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	events := done()
	last := events[len(events)-1]
	if last.Result == nil || last.Result.Outcome != run.Broken || last.Result.Detail == "" || time.Since(began) > 10*time.Second {
		t.Errorf("events = %+v after %v, want the outcome %s at once", last, time.Since(began), run.Broken)
	}
	if total := events[len(events)-2].Egress; total == nil || !total.Total || total.Down == 0 {
		t.Errorf("before the end came %+v, want the totals", events[len(events)-2])
	}
	noneLeft(t, b, id)
}

func stopped(t *testing.T, s *browsers) {
	b := s.open(t, nil)
	call, done, _ := b.busy(t)
	id := family(t, call)
	began := time.Now()
	b.stop()
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("stopping took %v", took)
	}
	events := done()
	if last := events[len(events)-1]; last.Result == nil || last.Result.Outcome != run.Cancelled {
		t.Errorf("last event = %+v, want the outcome %s", last, run.Cancelled)
	}
	if n := alive(t, call); n != 0 {
		t.Errorf("%d containers after the runner stopped", n)
	}
	noneLeft(t, b, id)
}

func hungUp(t *testing.T, s *browsers) {
	b := s.open(t, nil)
	call, _, hangUp := b.busy(t)
	id := family(t, call)
	hangUp()
	awaitRemoval(t, call)
	time.Sleep(300 * time.Millisecond)
	b.good.seen()
	time.Sleep(500 * time.Millisecond)
	if n, _, requests := b.good.seen(); n+len(requests) > 0 {
		t.Errorf("after hanging up came %d connections, %q", n, requests)
	}
	noneLeft(t, b, id)
}
