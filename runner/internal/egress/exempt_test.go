package egress

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// No program can make an address pass that is not public. Outside tests Options.Exempt is set in at most
// one place, which hands on an unexported field; and that field is set in tests only.
func TestNoProgramSetsExempt(t *testing.T) {
	files := parse(t, "../../..")
	exempt := settings(files, "Exempt")
	found := findings(files)
	if len(exempt) > 1 {
		t.Errorf("Exempt is set in %d places, want one at most", len(exempt))
	}
	for _, f := range found {
		t.Error(f)
	}
}

// findings are sentences about each way around the rule.
func findings(files map[string]*ast.File) (out []string) {
	for path, value := range settings(files, "Exempt") {
		field := lastName(value)
		file, _, _ := strings.Cut(path, ":")
		switch {
		case field == "" || ast.IsExported(field):
			out = append(out, path+" sets Exempt to more than an unexported field")
		case !strings.HasPrefix(file, "runner/"):
			out = append(out, path+" sets Exempt outside runner")
		default:
			for path := range settings(files, field) {
				if where, _, _ := strings.Cut(path, ":"); filepath.Dir(where) == filepath.Dir(file) {
					out = append(out, path+" sets "+field+", which becomes Exempt, in a program")
				}
			}
		}
	}
	for path, file := range files {
		// egress.Options{a, b, c, d} names no field, and a conversion from a like struct none either.
		if path != "runner/internal/egress/egress.go" && unnamedOptions(file) {
			out = append(out, path+" builds egress.Options without names of fields")
		}
	}
	slices.Sort(out)
	return out
}

// parse reads every Go file of the module that is not a test.
func parse(t *testing.T, root string) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	set := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && d.Name() != "..") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		files[filepath.ToSlash(rel)] = file
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if files["runner/internal/egress/egress.go"] == nil || len(files) < 100 {
		t.Fatalf("%d files below %s without this package, want the whole module", len(files), root)
	}
	return files
}

// settings finds where a field of this name gets a value: in a composite literal, by an assignment
// or through its address. The key is the file and where in all files that is.
func settings(files map[string]*ast.File, field string) map[string]ast.Expr {
	found := map[string]ast.Expr{}
	for path, file := range files {
		note := func(n ast.Node, value ast.Expr) {
			found[fmt.Sprintf("%s:%d", path, n.Pos())] = value
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok && key.Name == field {
					note(n, n.Value)
				}
			case *ast.AssignStmt:
				for i, left := range n.Lhs {
					if index, ok := left.(*ast.IndexExpr); ok {
						left = index.X // m[k] = v changes what m is
					}
					if s, ok := left.(*ast.SelectorExpr); ok && s.Sel.Name == field {
						note(n, n.Rhs[min(i, len(n.Rhs)-1)])
					}
				}
			case *ast.UnaryExpr:
				if s, ok := n.X.(*ast.SelectorExpr); ok && n.Op == token.AND && s.Sel.Name == field {
					note(n, n.X)
				}
			}
			return true
		})
	}
	return found
}

// lastName is f of x.f, and of f.
func lastName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.Ident:
		return e.Name
	}
	return ""
}

func unnamedOptions(file *ast.File) (found bool) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CompositeLit:
			if isOptions(n.Type) && len(n.Elts) > 0 {
				_, named := n.Elts[0].(*ast.KeyValueExpr)
				found = found || !named
			}
		case *ast.CallExpr:
			found = found || isOptions(n.Fun)
		}
		return true
	})
	return found
}

func isOptions(e ast.Expr) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != "Options" {
		return false
	}
	pkg, ok := s.X.(*ast.Ident)
	return ok && pkg.Name == "egress"
}

// The rule finds what it is there for.
func TestExemptFindings(t *testing.T) {
	for name, tc := range map[string]struct {
		path, source string
		want         string
	}{
		"a field handed on":      {"runner/web.go", "package runner\nvar p = egress.New(egress.Options{Exempt: o.exempt})", ""},
		"a map":                  {"runner/web.go", "package runner\nvar p = egress.New(egress.Options{Exempt: map[netip.Addr]uint16{}})", "more than an unexported field"},
		"a call":                 {"runner/web.go", "package runner\nvar p = egress.New(egress.Options{Exempt: load()})", "more than an unexported field"},
		"an exported field":      {"runner/web.go", "package runner\nvar p = egress.New(egress.Options{Exempt: o.Open})", "more than an unexported field"},
		"an assignment":          {"runner/web.go", "package runner\nfunc f() { o.Exempt = loopback() }", "more than an unexported field"},
		"an entry":               {"runner/web.go", "package runner\nfunc f() { o.Exempt[a] = 1 }", "more than an unexported field"},
		"an address":             {"runner/web.go", "package runner\nfunc f() { flag(&o.Exempt) }", "more than an unexported field"},
		"another package":        {"cmd/secureclaw/up.go", "package main\nvar p = egress.Options{Exempt: o.exempt}", "outside runner"},
		"the field set":          {"runner/web.go", "package runner\nvar p = egress.Options{Exempt: o.exempt}\nfunc f() { o.exempt = x }", "in a program"},
		"the field in a literal": {"runner/web.go", "package runner\nvar p = egress.Options{Exempt: o.exempt}\nvar q = options{exempt: x}", "in a program"},
		"without names":          {"runner/web.go", "package runner\nvar p = egress.Options{nil, l, nil, x}", "without names"},
		"converted":              {"runner/web.go", "package runner\nvar p = egress.Options(like)", "without names"},
	} {
		t.Run(name, func(t *testing.T) {
			file, err := parser.ParseFile(token.NewFileSet(), tc.path, tc.source, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(findings(map[string]*ast.File{tc.path: file}), "\n")
			if (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
				t.Errorf("findings in %q = %q, want %q", tc.source, got, tc.want)
			}
		})
	}
}
