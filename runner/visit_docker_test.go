//go:build docker

package runner

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/secureclaw/secureclaw/internal/capability"
	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/domain"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

const webImage = "secureclaw/executor-web:latest"

// browserImage is the shipped web executor with one thing more: it trusts the authority. It is
// removed at the end.
func browserImage(tb testing.TB, a *authority) string {
	tb.Helper()
	policy, err := json.Marshal(map[string]any{"CACertificates": []string{base64.StdEncoding.EncodeToString(a.der)}})
	if err != nil {
		tb.Fatal(err)
	}
	return derivedImage(tb, "FROM "+webImage+"\nCOPY file /etc/chromium/policies/managed/test-authority.json\n", policy)
}

// hostileImage is a web executor that plays scripts.
func hostileImage(tb testing.TB) string {
	tb.Helper()
	binary := filepath.Join(tb.TempDir(), "hostile")
	build := exec.Command("go", "build", "-trimpath", "-o", binary, "./testdata/hostile")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		tb.Fatalf("build the hostile executor: %v\n%s", err, out)
	}
	data, err := os.ReadFile(binary)
	if err != nil {
		tb.Fatal(err)
	}
	return derivedImage(tb, "FROM scratch\nCOPY file /executor\nENTRYPOINT [\"/executor\"]\n", data)
}

func derivedImage(tb testing.TB, dockerfile string, file []byte) string {
	tb.Helper()
	dir, name := tb.TempDir(), "secureclaw-test/web:"+nonce()
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o644), os.WriteFile(filepath.Join(dir, "file"), file, 0o755)); err != nil {
		tb.Fatal(err)
	}
	build := exec.CommandContext(tb.Context(), "docker", "build", "--quiet", "--tag", name, dir)
	if out, err := build.CombinedOutput(); err != nil {
		tb.Fatalf("docker build: %v\n%s(make images builds %s)", err, out, webImage)
	}
	c := engineClient(tb)
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if _, err := c.ImageRemove(ctx, name, client.ImageRemoveOptions{Force: true, PruneChildren: true}); err != nil {
			tb.Errorf("remove %s: %v", name, err)
		}
	})
	return name
}

// browserConfig runs image for web calls, with room for a browser. One site is configured with a
// place for its parts.
func browserConfig(tb testing.TB, image string) *config.Config {
	tb.Helper()
	cfg := testConfig()
	cfg.Docker.Host = "unix://" + engineSocket
	e := cfg.Executors["web"]
	e.Image, e.Memory, e.CPUs, e.Pids = image, 1<<30, 2, 512
	e.Timeout, e.Tmp, e.FileSize, e.OutputCap = config.Duration(60*time.Second), 256<<20, 128<<20, 128<<10
	cfg.Executors["web"] = e
	cfg.TrustedDomains = []config.Site{{Name: "site.example.com", With: []string{"parts.example.com"}}}
	return cfg
}

// visit is one finished call of browse_web.
type visit struct {
	events  []run.Event // all of them
	egress  []run.Egress
	started *run.Started
	result  *run.Result
	refusal *run.Refusal
	page    run.BrowseResult
}

// allowed and denied are the names that the way out decided about, sorted. What the browser gave up
// itself, before it said a word there, is neither.
func (v visit) allowed() []string { return v.decided(true) }
func (v visit) denied() []string  { return v.decided(false) }

func (v visit) decided(allowed bool) []string {
	var names []string
	for _, e := range v.egress {
		if e.Allowed == allowed && !e.Total && e.Code != "gone" {
			names = append(names, e.Name)
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(names)))
}

// pageClaims grant what the gateway would for a page of url.
func pageClaims(tb testing.TB, cfg *config.Config, host string) capability.Claims {
	tb.Helper()
	e := cfg.Executors["web"]
	names, _ := cfg.Reach(domain.Name(host))
	claims := webClaims(names...)
	claims.Call = "test-" + nonce()
	claims.ID = "" // minted
	claims.TimeoutMS, claims.OutputCap = 55_000, int64(e.OutputCap)
	claims.Memory, claims.CPUMillis, claims.Pids = int64(e.Memory), int64(e.CPUs*1000), e.Pids
	return claims
}

// visitWith does one call and reads all that the runner says about it.
func (b *bed) visitWith(tb testing.TB, claims capability.Claims, in run.Browse) visit {
	tb.Helper()
	order := b.order(tb, claims, browseInput(tb, in))
	return sorted(tb, b.ask(tb, run.Request{Run: &order}))
}

func sorted(tb testing.TB, events []run.Event) visit {
	tb.Helper()
	v := visit{events: events}
	for i, e := range events {
		switch {
		case e.Started != nil:
			if i > 0 {
				tb.Errorf("event %d is started, want it first", i)
			}
			v.started = e.Started
		case e.Egress != nil:
			if v.started == nil || v.result != nil {
				tb.Errorf("event %d, %+v, does not lie between started and result", i, *e.Egress)
			}
			v.egress = append(v.egress, *e.Egress)
		case e.Result != nil:
			v.result = e.Result
		case e.Refusal != nil:
			v.refusal = e.Refusal
		}
	}
	if v.result != nil {
		totals := 0
		for i, e := range v.egress {
			if e.Total {
				if totals++; i != len(v.egress)-1 {
					tb.Errorf("the totals are told as number %d of %d", i, len(v.egress))
				}
			}
		}
		if totals != 1 {
			tb.Errorf("totals are told %d times, want once", totals)
		}
	}
	return v
}

// open visits a page and wants it to come back whole.
func (b *bed) open(tb testing.TB, url string, change func(*run.Browse)) visit {
	tb.Helper()
	host, _, _ := strings.Cut(strings.TrimPrefix(url, "https://"), "/")
	in := run.Browse{URL: url, Extract: run.ExtractText}
	if change != nil {
		change(&in)
	}
	v := b.visitWith(tb, pageClaims(tb, b.cfg, host), in)
	switch {
	case v.refusal != nil:
		tb.Fatalf("refused: %+v", *v.refusal)
	case v.result == nil:
		tb.Fatalf("events = %+v, want a result", v.events)
	case v.result.Outcome != run.Finished || v.result.Output == nil:
		tb.Fatalf("outcome = %s: %s", v.result.Outcome, v.result.Detail)
	}
	if len(v.result.Output.Value) > 0 {
		if err := strict.Decode(v.result.Output.Value, &v.page); err != nil {
			tb.Fatalf("the page's value: %v\n%s", err, v.result.Output.Value)
		}
	}
	if v.result.Output.Status != run.OutputOK {
		tb.Fatalf("status = %s: %s\n%s\n%+v", v.result.Output.Status, v.result.Output.Error, v.result.Output.Value, v.egress)
	}
	return v
}
