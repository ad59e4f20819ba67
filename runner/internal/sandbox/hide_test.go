package sandbox

import (
	"path"
	"strings"
	"testing"

	"github.com/bmatcuk/doublestar/v4"
	"pgregory.net/rapid"

	"github.com/google/go-cmp/cmp"
)

// shipped is the built-in list of the configuration, which this package does not know.
func shipped() []string {
	return []string{
		"**/{.env*,*.env}",
		"**/{.env*,*.env}/**",
		"**/{.ssh,.gnupg,.aws,.azure,.kube,.docker,.password-store,gcloud}{,/**}",
		"**/{id_*,*_rsa,*_dsa,*_ecdsa,*_ed25519,authorized_keys}",
		"**/*.{pem,key,p8,p12,pfx,jks,keystore,kdbx,ppk,asc,gpg,age}",
		"**/*{token,secret,credential,password,passwd,apikey,api_key}*",
		"**/*{token,secret,credential,password,passwd,apikey,api_key}*/**",
		"**/{.netrc,_netrc,.pgpass,.my.cnf,.npmrc,.pypirc,.git-credentials,.htpasswd,.vault*,kubeconfig*,*.tfstate*,*.tfvars}",
	}
}

func TestGlobs(t *testing.T) {
	for name, tc := range map[string]struct {
		patterns []string
		rel      string
		want     bool
	}{
		"at the top":             {shipped(), ".env", true},
		"deep":                   {shipped(), "a/b/.env.local", true},
		"letter case":            {shipped(), "A/Server.PEM", true},
		"a folder":               {shipped(), "x/.ssh", true},
		"part of a name":         {shipped(), "my_API_KEY_2", true},
		"an ordinary name":       {shipped(), "src/environment.go", false},
		"a name like one":        {shipped(), "docs/keys.md", false},
		"an ordinary folder":     {shipped(), "ssh", false},
		"a line break":           {shipped(), ".env\nx", true},
		"no UTF-8":               {shipped(), "a/.env\xff", true},
		"no UTF-8 in front":      {shipped(), "\xffserver.pem", true},
		"empty list":             {nil, ".env", false},
		"anchored":               {[]string{"private"}, "private", true},
		"anchored, deeper":       {[]string{"private"}, "a/private", false},
		"anchored with a tail":   {[]string{"private/**"}, "private", true},
		"anchored path":          {[]string{"config/*.yaml"}, "config/X.YAML", true},
		"a class":                {[]string{"**/[a-c]x"}, "d/Bx", true},
		"a class of others":      {[]string{"**/[^A-Z]x"}, "d/ax", true},
		"an escape":              {[]string{`**/\*`}, "d/*", true},
		"an escape is no star":   {[]string{`**/\*`}, "d/e", false},
		"one letter":             {[]string{"**/?.k"}, "d/e.k", true},
		"a star inside":          {[]string{"**/a*b"}, "d/axxB", true},
		"everything":             {[]string{"**"}, "d/e", true},
		"everything by name":     {[]string{"**/*"}, "d/e", true},
		"braces in braces":       {[]string{"**/{a,{b,c}d}"}, "x/cd", true},
		"braces over folders":    {[]string{"**/{a/b,c}"}, "x/a/b", true},
		"braces of nothing":      {[]string{"**/a{,b}"}, "x/ab", true},
		"a brace in a class":     {[]string{"**/[{]a"}, "x/{a", true},
		"many braces":            {[]string{"**/" + strings.Repeat("{a,b}", 9)}, "x/" + strings.Repeat("ab", 4) + "a", true},
		"ends at a star":         {[]string{"**/*token*{,/**}"}, "x/api_token", true},
		"ends at a star, class":  {[]string{"**/[a-z]*{,/**}"}, "x/k", true},
		"ends at a star, escape": {[]string{`**/\.k*{,/**}`}, "x/.k", true},
	} {
		t.Run(name, func(t *testing.T) {
			g, ok := compile(tc.patterns)
			if got := ok && g.match(tc.rel, path.Base(tc.rel)); got != tc.want {
				t.Errorf("match(%q) by %q = %v, want %v", tc.rel, tc.patterns, got, tc.want)
			}
		})
	}
}

// The fast forms hide all that doublestar matches, and nothing that it does not match there or just below.
func TestGlobsAgreeWithDoublestar(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[ab.A]{0,2}(\[[ab,}{^]{1,2}\]|\\[ab*{,])?[*?]?[ab_\-ü]{0,2}[*]?`)
		name := rapid.OneOf(word, rapid.Map(rapid.SliceOfN(word, 1, 3), func(list []string) string { return "{" + strings.Join(list, ",") + "}" }))
		pattern := rapid.OneOf(
			rapid.Custom(func(t *rapid.T) string {
				return "**/" + name.Draw(t, "name") + name.Draw(t, "more") + rapid.SampledFrom([]string{"", "{,/**}", "/**"}).Draw(t, "tail")
			}),
			rapid.Custom(func(t *rapid.T) string { return name.Draw(t, "top") + "/" + name.Draw(t, "name") }),
			rapid.SampledFrom(shipped()),
		)
		patterns := rapid.SliceOfN(pattern.Filter(func(p string) bool {
			return doublestar.ValidatePattern(p) && p != "" && !strings.Contains(p, "{}") // empty braces match nothing there
		}), 1, 4).Draw(t, "patterns")
		part := rapid.OneOf(rapid.StringMatching(`[abAB.\-_üÜ]{1,5}`), rapid.SampledFrom([]string{".env", ".ENV.x", "id_rsa", "a.PEM", "Token", "\xff.env", "x\ny.key", "ſ", "K"}))
		rel := strings.Join(rapid.SliceOfN(part.Filter(func(s string) bool { return s != "." && s != ".." }), 1, 3).Draw(t, "rel"), "/")

		judge := func(rel string) bool {
			for _, p := range patterns {
				if doublestar.MatchUnvalidated(p, rel) || doublestar.MatchUnvalidated(strings.ToLower(p), strings.ToLower(rel)) {
					return true
				}
			}
			return false
		}
		// As the scan goes: from the top, and what is below something hidden is not asked about.
		g, ok := compile(patterns)
		if !ok {
			t.Fatalf("compile(%q) finds too many", patterns)
		}
		at := ""
		for i := range len(rel) + 1 {
			if (i == len(rel) || rel[i] == '/') && g.match(rel[:i], path.Base(rel[:i])) {
				at = rel[:i]
				break
			}
		}
		if judge(rel) && at == "" {
			t.Errorf("%q is not hidden by %q, and doublestar matches it", rel, patterns)
		}
		// Written out, for doublestar itself misses a name that ends at the star of "a*{,b}".
		var plain []string
		for _, p := range patterns {
			plain = append(plain, alternatives(p)...)
		}
		patterns = plain
		if at != "" && !judge(at) && !judge(at+"/x") {
			t.Errorf("%q is hidden at %q by %q, and doublestar matches neither it nor what is below", rel, at, patterns)
		}
	})
}

func TestAlternatives(t *testing.T) {
	for pattern, want := range map[string][]string{
		"a":                         {"a"},
		"{a,b}":                     {"b", "a"},
		"x{a,{b,c}}y":               {"xcy", "xby", "xay"},
		"{,/**}":                    {"/**", ""},
		`\{a,b}`:                    {`\{a,b}`},
		"[{]{a,b}":                  {"[{]b", "[{]a"},
		"{a":                        {"{a"},
		"{a,b}{c,d}":                {"bd", "bc", "ad", "ac"},
		"a{b}c":                     {"abc"},
		"{a,b}-{a,b}}":              {"b-b}", "b-a}", "a-b}", "a-a}"},
		`{a\,b,c}`:                  {"c", `a\,b`},
		"{[,}],b}":                  {"b", "[,}]"},
		`[\]{]{a}`:                  {`[\]{]a`},
		strings.Repeat("{a,b}", 12): nil,
	} {
		if diff := cmp.Diff(want, alternatives(pattern)); diff != "" {
			t.Errorf("alternatives(%q) (-want +got):\n%s", pattern, diff)
		}
	}
}
