package snapshot

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// update rewrites what the recorded pages become; with the build tag docker it records the pages of
// testdata/pages anew before.
var update = flag.Bool("update", false, "rewrite testdata")

// recorded are the pages of testdata/pages whose answers of Chromium lie beside them.
var recorded = []string{"docs", "form", "forum", "news", "search", "shop", "table", "tricks"}

func record(c *capture) ([]byte, error) {
	data, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func recording(t testing.TB, name string) *capture {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", name+".json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	var c capture
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	return &c
}

// TestGolden compares what recorded pages become with what was reviewed.
func TestGolden(t *testing.T) {
	for _, name := range recorded {
		t.Run(name, func(t *testing.T) {
			p := newPage(recording(t, name))
			got := "# tree\n" + p.Tree(1<<20).Text + "# text\n" + p.Text(1<<20).Text + "# links\n" + p.Links(1<<20).Text
			file := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		})
	}
}

// TestRough compares the same pages as they are read without the browser's accessibility tree.
func TestRough(t *testing.T) {
	for _, name := range []string{"form", "tricks"} {
		t.Run(name, func(t *testing.T) {
			c := recording(t, name)
			for i := range c.Parts {
				c.Parts[i].Trees = nil
			}
			got := newPage(c).Tree(1 << 20).Text
			file := filepath.Join("testdata", name+".rough.golden")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		})
	}
}

// TestNothingIsLost holds the tree against the accessibility tree itself: every text, and every name,
// value, placeholder and address of what can be acted on, stands in it.
func TestNothingIsLost(t *testing.T) {
	for _, name := range recorded {
		c := recording(t, name)
		p := newPage(c)
		tree := p.Tree(1 << 20).Text
		flat := squash(strings.ReplaceAll(tree, "\n", " "))
		has := func(what, text string) {
			text = squash(clean(fold(text)))
			if strings.ContainsAny(text, "[]|=") { // which may be written otherwise
				return
			}
			if !strings.Contains(flat, text) {
				t.Errorf("%s: the tree has no %s %q", name, what, text)
			}
		}
		for _, part := range c.Parts {
			for _, frame := range part.Trees {
				parts := make(map[int]bool) // of a date, which is written as one
				for i := range frame.Nodes {
					n := &frame.Nodes[i]
					for _, kid := range n.Kids {
						parts[kid] = parts[i] || roleOf(n.Role).word == "date"
					}
					if parts[i] {
						continue
					}
					switch r := roleOf(n.Role); {
					case n.Role == "StaticText" && n.Props["editable"] == "":
						for _, line := range strings.Split(n.Name, "\n") {
							has("text", line)
						}
					case n.Role == "image":
						has("picture", n.Name)
					case r.kind == control && !r.named:
						has("name", n.Name)
						if n.Role != "spinbutton" { // 4.2 is 4.199999809265137 there
							has("value", n.Value)
						}
					}
					if n.Props["url"] != "" && n.Role == "link" {
						if to := shortURL(p.url, n.Props["url"]); !strings.Contains(tree, " "+to) {
							t.Errorf("%s: no link leads to %s", name, to)
						}
					}
				}
			}
		}
	}
}
