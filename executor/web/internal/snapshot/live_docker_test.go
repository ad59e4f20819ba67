//go:build docker

package snapshot

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/chromedp"
)

// Live tests run the very test binary again inside the web executor's image, where Chromium is, in a
// container without a network: its loopback is enough for the sites that they need. So there is one
// binary and no protocol between two halves of a test.
//
//	go test -tags docker .             TestLive starts the container
//	  └ docker run … /snapshot.test    the tests named TestInside

const (
	liveImage = "secureclaw/executor-web:latest"
	insideEnv = "SNAPSHOT_INSIDE" // where the results of -update go, inside
)

func TestLive(t *testing.T) {
	if os.Getenv(insideEnv) != "" {
		t.Skip("this is the inside")
	}
	out := t.TempDir()
	if err := os.Chmod(out, 0o777); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "snapshot.test")
	build := exec.Command("go", "test", "-c", "-tags", "docker", "-trimpath", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go test -c: %v\n%s", err, said)
	}
	testdata, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	seccomp, err := filepath.Abs("../../../../runner/internal/sandbox/seccomp/browser.json")
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("snapshot-test-%d", os.Getpid())
	defer exec.Command("docker", "rm", "--force", name).Run()
	args := []string{"run", "--rm", "--name", name, "--network", "none", "--read-only", "--cap-drop", "ALL",
		"--security-opt", "no-new-privileges", "--security-opt", "seccomp=" + seccomp,
		"--memory", "2g", "--pids-limit", "512", "--tmpfs", "/tmp:rw,nosuid,nodev,size=512m,uid=1000,gid=1000,mode=700",
		"--volume", binary + ":/snapshot.test:ro", "--volume", testdata + ":/tests/testdata:ro", "--volume", out + ":/out",
		"--env", insideEnv + "=/out", "--workdir", "/tests", "--entrypoint", "/snapshot.test", liveImage,
		"-test.run", "^TestInside", "-test.timeout", "8m"}
	if testing.Verbose() {
		args = append(args, "-test.v")
	}
	if *update {
		args = append(args, "-update")
	}
	cmd := exec.CommandContext(t.Context(), "docker", args...)
	said, err := cmd.CombinedOutput()
	t.Logf("%s", said)
	if err != nil {
		t.Fatalf("docker run: %v", err)
	}
	if !*update {
		return
	}
	files, err := filepath.Glob(filepath.Join(out, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join("testdata", filepath.Base(file)), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// inside skips a test where there is no Chromium.
func inside(t *testing.T) {
	t.Helper()
	if os.Getenv(insideEnv) == "" {
		t.Skip("runs in the container that TestLive starts")
	}
}

// browse is start with a browser that lives as long as the test.
func browse(t *testing.T, extra map[string]string) context.Context {
	t.Helper()
	tab, end := start(t, extra)
	t.Cleanup(end)
	return tab
}

// start starts Chromium for which every name leads to one site, which serves testdata/pages and what
// is in extra. Its own sandbox is on.
func start(t *testing.T, extra map[string]string) (tab context.Context, end func()) {
	t.Helper()
	inside(t)
	var ends []func()
	end = func() {
		for _, f := range slices.Backward(ends) {
			f()
		}
	}
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := extra[r.URL.Path]
		if !ok {
			data, err := os.ReadFile(filepath.Join("testdata", "pages", filepath.Base(r.URL.Path)))
			if err != nil {
				http.NotFound(w, r)
				return
			}
			text = string(data)
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, text)
	}))
	ends = append(ends, site.Close)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(site.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	program := os.Getenv("SNAPSHOT_CHROMIUM")
	if program == "" {
		program = "/usr/lib/chromium/chromium"
	}
	dir, err := os.MkdirTemp("", "profile-")
	if err != nil {
		t.Fatal(err)
	}
	ends = append(ends, func() { os.RemoveAll(dir) })
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.UserDataDir(dir), chromedp.Env("HOME="+dir),
		chromedp.Flag("remote-debugging-pipe", true), chromedp.Flag("site-per-process", true), chromedp.Flag("disable-gpu", true),
		chromedp.Flag("window-size", "1280,900"),
		chromedp.Flag("host-resolver-rules", "MAP * 127.0.0.1:"+port),
		chromedp.ModifyCmdFunc(func(c *exec.Cmd) { unprivileged(t, c, dir) }),
	)...)
	ends = append(ends, cancel)
	silent := func(string, ...any) {}
	tab, closeTab := chromedp.NewContext(allocator, chromedp.WithLogf(silent), chromedp.WithErrorf(silent))
	ends = append(ends, closeTab)
	if err := chromedp.Do(tab); err != nil {
		t.Fatal(err)
	}
	// As package web does: what is not needed is off.
	if _, err := chromedp.Call(tab, dom.Disable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	return tab, end
}

func visit(t *testing.T, tab context.Context, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab, time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
		t.Fatalf("Navigate(%s): %v", url, err)
	}
	time.Sleep(200 * time.Millisecond) // for frames of other processes
}
