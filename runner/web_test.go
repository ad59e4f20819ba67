package runner

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/internal/run"
)

// Decisions go out in order and all of them before the end, also to a gateway that reads slowly, and
// whoever decides never waits for it.
func TestReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 300
		var got []string
		r := newReport(func(e run.Event) error {
			time.Sleep(time.Second)
			got = append(got, e.Egress.Name)
			return nil
		})
		r.open()
		var want []string
		began := time.Now()
		for i := range most {
			want = append(want, fmt.Sprint(i))
			r.add(run.Egress{Name: fmt.Sprint(i)})
		}
		if waited := time.Since(began); waited != 0 {
			t.Errorf("adding waited %v for the gateway", waited)
		}
		r.close()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("told before close returned (-want +got):\n%s", diff)
		}
		r.add(run.Egress{Name: "late"})
		synctest.Wait()
		if len(got) > most {
			t.Errorf("told after the end: %q", got[most:])
		}
	})
}

func TestReportEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := 0
		r := newReport(func(run.Event) error { told++; return errors.New("gone") })
		r.open()
		for range 3 {
			r.add(run.Egress{})
		}
		r.close()
		if told != 1 {
			t.Errorf("told a gateway that is gone %d times, want 1", told)
		}
		never := newReport(func(run.Event) error { t.Error("told about a task that never started"); return nil })
		never.add(run.Egress{})
		never.close()
	})
}

// Many connections decide at once, while the report ends.
func TestReportFromManySides(t *testing.T) {
	told := 0
	r := newReport(func(run.Event) error { told++; return nil })
	r.open()
	var sides sync.WaitGroup
	for range 16 {
		sides.Go(func() {
			for range 100 {
				r.add(run.Egress{})
			}
		})
	}
	sides.Wait()
	r.close()
	if told != 1600 {
		t.Errorf("told %d decisions, want 1600", told)
	}
}

// Nobody browses before the first proof, nor after one that failed; a later proof opens again.
func TestCanary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		verdicts := []error{nil, errors.New("evil.test was let through"), errors.New("still"), nil}
		proofs := 0
		var log strings.Builder
		c := newCanary(func(ctx context.Context) error {
			if _, ok := ctx.Deadline(); !ok {
				t.Error("a proof without a deadline")
			}
			time.Sleep(2 * time.Second)
			proofs++
			return verdicts[min(proofs, len(verdicts))-1]
		}, slog.New(slog.NewTextHandler(&log, nil)))
		done := make(chan struct{})
		go func() { c.run(ctx); close(done) }()

		if got := c.refusal(ctx); got != nil || time.Since(began) != 2*time.Second {
			t.Errorf("the first call = %+v after %v, want it allowed with the proof, after 2 s", got, time.Since(began))
		}
		time.Sleep(proveEvery - time.Second) // 2 s + 1 h - 1 s: the second proof runs, and the first still holds
		if got := c.refusal(ctx); got != nil {
			t.Errorf("while the second proof runs = %+v, want the first verdict", got)
		}
		time.Sleep(2 * time.Second)
		got := c.refusal(ctx)
		if got == nil || got.Code != codeCanary || !strings.Contains(got.Why, "evil.test was let through") || got.Fix == "" {
			t.Errorf("after a proof that failed = %+v, want refusal %s", got, codeCanary)
		}
		time.Sleep(proveEvery)
		if got := c.refusal(ctx); got == nil || !strings.Contains(got.Why, "still") {
			t.Errorf("after the next that failed = %+v", got)
		}
		time.Sleep(proveEvery)
		if got := c.refusal(ctx); got != nil {
			t.Errorf("after a proof that held again = %+v, want nil", got)
		}
		cancel()
		<-done
		if words := log.String(); strings.Count(words, "level=ERROR") != 2 || !strings.Contains(words, "evil.test") || !strings.Contains(words, "enabled again") {
			t.Errorf("log = %q, want two errors that say what was let through, and that browsing is enabled again", words)
		}
		if proofs != 4 {
			t.Errorf("%d proofs in three hours and a bit, want 4", proofs)
		}
	})
}

func TestCanaryBeforeTheFirstProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCanary(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { c.run(ctx); close(done) }()
		began := time.Now()
		if got := c.refusal(t.Context()); got == nil || got.Code != codeCanary || time.Since(began) != provePatience {
			t.Errorf("without a verdict = %+v after %v, want a refusal after %v", got, time.Since(began), provePatience)
		}
		gone, leave := context.WithCancel(t.Context())
		leave()
		if got := c.refusal(gone); got == nil || time.Since(began) != provePatience {
			t.Errorf("for a caller that left = %+v after %v, want a refusal at once", got, time.Since(began))
		}
		time.Sleep(proveTimeout)
		if got := c.refusal(t.Context()); got == nil || !strings.Contains(got.Why, "deadline") {
			t.Errorf("after a proof that never ended = %+v, want a refusal", got)
		}
		cancel()
		<-done
	})
}

// The canary of a program is the proxy's own, and it holds.
func TestCanaryOfARealRunner(t *testing.T) {
	s := testServer(t)
	s.web.canary.once(t.Context())
	if got := s.web.canary.refusal(t.Context()); got != nil {
		t.Errorf("the canary of a new runner = %+v", *got)
	}
}

// A runner whose canary fails lets nobody browse.
func TestNoBrowsingWithoutAProof(t *testing.T) {
	cfg := webConfig()
	cfg.Docker.Host, _ = silentEngine(t)
	b := newBedWith(t, cfg, seams{canary: func(context.Context) error { return errors.New("evil.test was let through") }})
	claims := webClaims("evil.test")
	order := b.order(t, claims, browseInput(t, run.Browse{URL: "https://evil.test/"}))
	if got := refusalOf(t, b.ask(t, run.Request{Run: &order})); got.Code != codeCanary || !strings.Contains(got.Why, "let through") {
		t.Errorf("refusal = %+v, want %s", got, codeCanary)
	}
}

// The exception for tests is out of a program's reach: in the whole module nothing outside of tests
// names it but the package that has it, and the one seam through which tests of this package pass it
// is empty where programs come by.
func TestExemptionIsForTests(t *testing.T) {
	empty, uses := 0, 0
	root := ".."
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && path != root):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil // half-written, so it does not build either
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Ident:
				if n.Name == "Exempt" && dir != "../runner/internal/egress" {
					t.Errorf("%s names Exempt", path)
				}
				if n.Name == "seams" && dir == "../runner" {
					uses++
				}
			case *ast.CompositeLit:
				if id, ok := n.Type.(*ast.Ident); ok && id.Name == "seams" && dir == "../runner" {
					if empty++; len(n.Elts) > 0 {
						t.Errorf("%s sets a seam", path)
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// The type, its one empty value, and the three functions that hand it down.
	if empty != 1 || uses != 5 {
		t.Errorf("seams is made %d times and named %d times outside of tests, want 1 and 5: look at who else could set one", empty, uses)
	}
}
