package secureclaw_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/secureclaw/secureclaw"

// pkg is what go list says of one package, ours or not.
type pkg struct {
	ImportPath string
	Name       string
	Standard   bool
	Imports    []string
	Deps       []string // all that it reaches
	Error      *struct{ Err string }
}

// graph holds all packages by path; see short.
type graph map[string]pkg

// load asks the go command once for everything that the module holds and reaches.
func load(t *testing.T) graph {
	t.Helper()
	watch(t)
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-tags=docker", "-json=ImportPath,Name,Standard,Imports,Deps,Error", "./...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	g := graph{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		g.add(p)
	}
	if len(g.ours("")) < 5 {
		t.Fatalf("go list found %d packages of ours: these tests would prove nothing", len(g.ours("")))
	}
	return g
}

// watch lists every folder of ours in this process, because go test repeats an old result as
// "(cached)" unless a file changed that the test itself looked at; it does not see what go list reads.
func watch(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && name != "." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (g graph) add(p pkg) {
	p.Imports, p.Deps = shorten(p.Imports), shorten(p.Deps)
	g[short(p.ImportPath)] = p
}

// ours marks a package of ours, whose name is then as in the table.
const ours = "ours:"

func short(importPath string) string {
	if importPath == module {
		return ours
	}
	if rest, ok := strings.CutPrefix(importPath, module+"/"); ok {
		return ours + rest
	}
	return importPath
}

func shorten(paths []string) []string {
	out := make([]string, len(paths))
	for i, p := range paths {
		out[i] = short(p)
	}
	return out
}

// ours lists our packages at and below each prefix, as the table names them, in order.
func (g graph) ours(prefixes ...string) []string {
	var out []string
	for name := range maps.Keys(g) {
		rel, ok := strings.CutPrefix(name, ours)
		if ok && slices.ContainsFunc(prefixes, func(p string) bool { return under(rel, p) }) {
			out = append(out, rel)
		}
	}
	slices.Sort(out)
	return out
}

func under(name, prefix string) bool {
	return prefix == "" || name == prefix || strings.HasPrefix(name, prefix+"/")
}

// through follows the imports of a package of ours through our own packages only, and returns what
// those import of others', each with the path that leads to it.
func (g graph) through(start string) map[string]string {
	found := map[string]string{}
	seen := map[string]bool{}
	var walk func(name, way string)
	walk = func(name, way string) {
		if seen[name] {
			return
		}
		seen[name] = true
		for _, imp := range g[ours+name].Imports {
			if rel, ok := strings.CutPrefix(imp, ours); ok {
				walk(rel, way+" → "+rel)
			} else if _, ok := found[imp]; !ok {
				found[imp] = way + " → " + imp
			}
		}
	}
	walk(start, start)
	return found
}

// reaches reports whether the package of others' is, or leads to, target.
func (g graph) reaches(name, target string) bool {
	return name == target || slices.Contains(g[name].Deps, target)
}

// importers says which of names imports one of targets itself.
func importers(g graph, names []string, targets ...string) []string {
	var out []string
	for _, name := range names {
		for _, imp := range g[ours+name].Imports {
			if slices.Contains(targets, imp) {
				out = append(out, fmt.Sprintf("%s imports %s", name, imp))
			}
		}
	}
	return out
}

// reachers says which of names reaches a package that is bad, by whatever way.
func reachers(g graph, names []string, bad func(string) bool) []string {
	var out []string
	for _, name := range names {
		for _, dep := range g[ours+name].Deps {
			if bad(dep) {
				out = append(out, fmt.Sprintf("%s reaches %s: try go list -deps, or go mod why", name, dep))
			}
		}
	}
	return out
}

// except lists our packages without names.
func except(g graph, names ...string) []string {
	return slices.DeleteFunc(g.ours(""), func(name string) bool { return slices.Contains(names, name) })
}

// sorted ranges over m in the order of its keys, so that failures always look the same.
func sorted(m map[string]string) func(func(string, string) bool) {
	return func(yield func(string, string) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}
