//go:build docker

package snapshot

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestInsideRecords reads every page of testdata/pages, and writes what Chromium said when asked to.
func TestInsideRecords(t *testing.T) {
	tab := browse(t, nil)
	fmt.Printf("%-8s %8s %8s %8s %8s %8s %8s\n", "bytes", "HTML", "DOM text", "aria", "tree", "text", "ms")
	for _, name := range recorded {
		visit(t, tab, "http://example.test/"+name+".html")
		var took time.Duration
		var c *capture
		for range 3 {
			begun := time.Now()
			again, err := take(tab)
			if err != nil {
				t.Fatalf("take(%s): %v", name, err)
			}
			if d := time.Since(begun); c == nil || d < took {
				took = d
			}
			c = again
		}
		raw, err := chromedp.Run(tab, chromedp.Evaluate[string](`document.body.innerText`))
		if err != nil {
			t.Fatal(err)
		}
		html, err := os.Stat(filepath.Join("testdata", "pages", name+".html"))
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		p := newPage(c)
		tree, text := p.Tree(1<<20), p.Text(1<<20)
		took += time.Since(begun)
		fmt.Printf("%-8s %8d %8d %8d %8d %8d %8d\n", name, html.Size(), len(raw), len(ariaSnapshot(c)), len(tree.Text), len(text.Text), took.Milliseconds())
		if len(c.Notes) > 0 {
			t.Errorf("%s: notes %q, want none", name, c.Notes)
		}
		if len(c.Parts[0].Trees) != len(c.Parts[0].Snapshot.Documents) {
			t.Errorf("%s: %d accessibility trees of %d documents", name, len(c.Parts[0].Trees), len(c.Parts[0].Snapshot.Documents))
		}
		if *update {
			data, err := record(c)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(os.Getenv(insideEnv), name+".json.gz"), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}
