package domain_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/publicsuffix"

	"github.com/secureclaw/secureclaw/internal/domain"
)

// rules reads suffixes.txt, which must be sorted: it is searched by halving.
func rules(t *testing.T) []string {
	t.Helper()
	raw, err := os.ReadFile("suffixes.txt")
	if err != nil {
		t.Fatal(err)
	}
	text, ok := strings.CutSuffix(string(raw), "\n")
	list := strings.Split(text, "\n")
	if !ok || !slices.IsSorted(list) {
		t.Fatalf("suffixes.txt: ends in a newline %t, sorted %t, want both", ok, slices.IsSorted(list))
	}
	return list
}

// The list is the one of the module that go.mod names, rule by rule. A new version of the module is
// the day to write it again.
func TestSuffixesAreTheModules(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}", "golang.org/x/net/publicsuffix").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(out)), "table_test.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	ast.Inspect(file.Scope.Lookup("rules").Decl.(ast.Node), func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			rule, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, rule)
		}
		return true
	})
	slices.Sort(want)
	if got := rules(t); !slices.Equal(got, want) {
		t.Errorf("suffixes.txt has %d rules, the module %d; print the module's sorted, one a line", len(got), len(want))
	}
}

// Every rule, its parent and what is below it, judged by the module's own code.
func TestPublicSuffix(t *testing.T) {
	seen := map[string]bool{}
	check := func(name string) {
		if seen[name] || name == "" {
			return
		}
		seen[name] = true
		below := "zzqqzz." + name
		suffix, _ := publicsuffix.PublicSuffix(below)
		want := suffix == name || suffix == below
		if got := domain.PublicSuffix(domain.Name(name)); got != want {
			t.Errorf("PublicSuffix(%q) = %t, want %t: the suffix of %s is %s", name, got, want, below, suffix)
		}
	}
	for _, rule := range rules(t) {
		name := strings.TrimPrefix(strings.TrimPrefix(rule, "!"), "*.")
		_, parent, _ := strings.Cut(name, ".")
		check(name)
		check(parent)
		check("zzqq." + name)
		check("yy.zzqq." + name)
	}
	check("unknown")
	check("name.unknown")
}

// A last label that we call special must not be one that strangers can register below.
func TestSpecialNamesAreNotDelegated(t *testing.T) {
	for _, rule := range rules(t) {
		last := rule[strings.LastIndexByte(rule, '.')+1:]
		_, err := domain.Parse("a." + strings.TrimLeft(last, "!*"))
		// Both are in the list and no place for a page: addresses written backwards, and Tor.
		if err != nil && last != "arpa" && last != "onion" {
			t.Errorf("Parse(a.%s) = %v, but the suffix is public (rule %s)", last, err, rule)
		}
	}
}
