package runner

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/secureclaw/secureclaw/internal/capability"
	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/domain"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
	"github.com/secureclaw/secureclaw/runner/internal/sandbox"
)

// webConfig knows one site with parts of its own, and one place where parts of any page may come from.
func webConfig() *config.Config {
	cfg := testConfig()
	cfg.TrustedDomains = []config.Site{{Name: "news.example.com", With: []string{"static.example.net", "*.img.example.net"}}, {Name: "*.example.org"}}
	e := cfg.Executors["web"]
	e.Domains = []string{"fonts.example.com"}
	cfg.Executors["web"] = e
	return cfg
}

func webClaims(domains ...string) capability.Claims {
	claims := testClaims()
	claims.Audience, claims.Tool, claims.Mounts, claims.Domains = "web", run.ToolBrowse, nil, domains
	return claims
}

func browseInput(tb testing.TB, in run.Browse) string {
	tb.Helper()
	if in.Extract == "" {
		in.Extract = run.ExtractText
	}
	data, err := strict.CanonicalOf(in)
	if err != nil {
		tb.Fatal(err)
	}
	return string(data)
}

func webTask(tb testing.TB, c capability.Claims, input string) strict.Value {
	tb.Helper()
	task := run.Task{Call: c.Call, Tool: c.Tool, Input: strict.Value(input), TimeoutMS: c.TimeoutMS, OutputCap: int(c.OutputCap)}
	for _, m := range c.Mounts {
		task.Roots = append(task.Roots, run.Root{Name: m.Name, Path: "/" + m.Name, Mode: m.Mode})
	}
	return canonical(tb, task)
}

// What a page may reach is its own host and what our configuration adds for it, whatever a token says.
func TestClipDomains(t *testing.T) {
	page := func(url string) string { return browseInput(t, run.Browse{URL: url}) }
	news := page("https://news.example.com/")
	for name, tc := range map[string]struct {
		input   string
		domains []string
		want    string // refusal; empty: taken
	}{
		"the host alone":               {news, []string{"news.example.com"}, ""},
		"with all that is configured":  {news, []string{"news.example.com", "static.example.net", "*.img.example.net", "fonts.example.com"}, ""},
		"parts without the host":       {news, []string{"fonts.example.com"}, ""},
		"a host that nobody trusts":    {page("https://evil.test/x?y=1"), []string{"evil.test"}, ""},
		"and parts of any page":        {page("https://evil.test/"), []string{"evil.test", "fonts.example.com"}, ""},
		"below a trusted wildcard":     {page("https://a.example.org/"), []string{"a.example.org"}, ""},
		"another alphabet":             {page("https://xn--bcher-kva.example/"), []string{"xn--bcher-kva.example"}, ""},
		"no domain":                    {news, nil, codeDomain},
		"a stranger beside it":         {news, []string{"news.example.com", "evil.test"}, codeDomain},
		"only a stranger":              {news, []string{"evil.test"}, codeDomain},
		"parts of another site":        {page("https://evil.test/"), []string{"evil.test", "static.example.net"}, codeDomain},
		"the trusted wildcard itself":  {page("https://a.example.org/"), []string{"*.example.org"}, codeDomain},
		"its neighbour":                {page("https://a.example.org/"), []string{"a.example.org", "b.example.org"}, codeDomain},
		"a wildcard around the host":   {news, []string{"*.example.com"}, codeDomain},
		"a wildcard above":             {news, []string{"*.com"}, codeDomain},
		"everything":                   {news, []string{"*"}, codeDomain},
		"a name of a configured wild":  {news, []string{"a.img.example.net"}, codeDomain},
		"the parent":                   {news, []string{"example.com"}, codeDomain},
		"the host in capitals":         {news, []string{"News.example.com"}, codeDomain},
		"the host with its dot":        {news, []string{"news.example.com."}, codeDomain},
		"the host with a port":         {news, []string{"news.example.com:443"}, codeDomain},
		"the host as a URL":            {news, []string{"https://news.example.com/"}, codeDomain},
		"an address":                   {news, []string{"93.184.216.34"}, codeDomain},
		"this computer":                {page("https://localhost/"), []string{"localhost"}, codeDomain},
		"a page by its address":        {page("https://127.0.0.1/"), []string{"127.0.0.1"}, codeDomain},
		"a page by a short address":    {page("https://127.1/"), []string{"127.1"}, codeDomain},
		"metadata":                     {page("https://169.254.169.254/"), []string{"news.example.com"}, codeDomain},
		"http":                         {page("http://news.example.com/"), []string{"news.example.com"}, codeDomain},
		"file":                         {page("file:///etc/passwd"), []string{"news.example.com"}, codeDomain},
		"data":                         {page("data:text/html,x"), []string{"news.example.com"}, codeDomain},
		"view-source":                  {page("view-source:https://news.example.com/"), []string{"news.example.com"}, codeDomain},
		"chrome":                       {page("chrome://version/"), []string{"news.example.com"}, codeDomain},
		"javascript":                   {page("javascript:1"), []string{"news.example.com"}, codeDomain},
		"blob":                         {page("blob:https://news.example.com/1"), []string{"news.example.com"}, codeDomain},
		"another port":                 {page("https://news.example.com:8443/"), []string{"news.example.com"}, codeDomain},
		"a user name":                  {page("https://news.example.com@evil.test/"), []string{"news.example.com"}, codeDomain},
		"no URL":                       {page(""), []string{"news.example.com"}, codeDomain},
		"not in its one form":          {page("https://NEWS.example.com"), []string{"news.example.com"}, codeTask},
		"the port written out":         {page("https://news.example.com:443/"), []string{"news.example.com"}, codeTask},
		"an input that is another's":   {`{"command":"id"}`, []string{"news.example.com"}, codeTask},
		"a URL in capitals beside one": {`{"URL":"https://evil.test/","extract":"text","url":"https://news.example.com/"}`, []string{"news.example.com"}, codeTask},
		"no input":                     {`{}`, []string{"news.example.com"}, codeDomain},
	} {
		t.Run(name, func(t *testing.T) {
			claims := webClaims(tc.domains...)
			task, names, refusal := clip(webConfig(), claims, webTask(t, claims, tc.input))
			if tc.want != "" {
				if refusal == nil || refusal.Code != tc.want || refusal.What == "" || refusal.Why == "" || refusal.Fix == "" {
					t.Errorf("clip(%s, %q) = %v, %+v, want refusal %s with why and fix", tc.input, tc.domains, names, refusal, tc.want)
				}
				if diff := cmp.Diff(sandbox.Task{}, task); diff != "" || names != nil {
					t.Errorf("a refusal comes with a task, or with names %v: %s", names, diff)
				}
				return
			}
			if refusal != nil {
				t.Fatalf("clip(%s, %q) = %+v", tc.input, tc.domains, *refusal)
			}
			var got []string
			for _, pattern := range names {
				got = append(got, string(pattern))
			}
			if diff := cmp.Diff(tc.domains, got); diff != "" || task.Kind != "web" || len(task.Mounts) > 0 || task.Out != nil {
				t.Errorf("clip(%s, %q) = %+v, names (-want +got):\n%s", tc.input, tc.domains, task, diff)
			}
		})
	}
}

// What reads the Internet sees no folder, even where an edited configuration lists one.
func TestClipGivesABrowserNoFolder(t *testing.T) {
	cfg := webConfig()
	e := cfg.Executors["web"]
	e.Mounts = []string{"workspace", "notes"}
	cfg.Executors["web"] = e
	claims := webClaims("news.example.com")
	claims.Mounts = []capability.Mount{{Name: "notes", Mode: "ro"}}
	raw := webTask(t, claims, browseInput(t, run.Browse{URL: "https://news.example.com/"}))
	if _, _, refusal := clip(cfg, claims, raw); refusal == nil || refusal.Code != codeMount {
		t.Errorf("clip of a browser with a folder = %+v, want refusal %s", refusal, codeMount)
	}
}

// Whatever a token claims, no name passes that is neither the page's host nor configured for it.
func TestClipReachesOnlyWhatIsConfigured(t *testing.T) {
	hosts := []string{"news.example.com", "example.com", "evil.test", "a.example.org", "a.b.example.org", "static.example.net", "img.example.net"}
	names := append([]string{"*.example.com", "*.example.org", "*.img.example.net", "a.img.example.net", "a.b.img.example.net", "fonts.example.com", "b.example.org", "*.net", "*"}, hosts...)
	names = append(names, "*.test", "EVIL.test", "evil.test.", "localhost", "127.0.0.1", "")
	pattern := rapid.SampledFrom(names)
	taken := 0
	rapid.Check(t, func(rt *rapid.T) {
		cfg := webConfig()
		e := cfg.Executors["web"]
		e.Domains = rapid.SliceOfN(rapid.SampledFrom(names[:9]), 0, 2).Draw(rt, "domains")
		cfg.Executors["web"] = e
		host := rapid.SampledFrom(hosts).Draw(rt, "host")
		may, _ := cfg.Reach(domain.Name(host))
		// Half of what is claimed is right, so that the other half is what refuses.
		claims := webClaims(rapid.SliceOfNDistinct(rapid.OneOf(rapid.SampledFrom(may), pattern), 0, 4, rapid.ID).Draw(rt, "claims")...)
		task, list, refusal := clip(cfg, claims, webTask(t, claims, browseInput(t, run.Browse{URL: "https://" + host + "/"})))
		if refusal != nil {
			if list != nil || task.Kind != "" {
				rt.Fatalf("refused, and yet %v, %+v", list, task)
			}
			return
		}
		taken++
		for _, name := range append(slices.Clone(hosts), "x.test", "a.img.example.net", "a.b.img.example.net", "b.example.org", "fonts.example.com", "example.net", "localhost") {
			reaches := list.Covers(domain.Name(name))
			allowed := name == host || slices.ContainsFunc(may, func(p string) bool { return domain.Pattern(p).Covers(domain.Name(name)) })
			if reaches && !allowed {
				rt.Fatalf("a page of %s reaches %s by %q; configured are %q", host, name, claims.Domains, may)
			}
		}
	})
	if taken == 0 {
		t.Error("no claim was taken, so nothing was tested")
	}
}

// A kind without a network gets no name, not even one that a browser may reach.
func TestClipGivesOthersNoDomain(t *testing.T) {
	for _, kind := range []string{"shell", "file"} {
		cfg, claims := webConfig(), testClaims()
		claims.Audience, claims.Mounts, claims.Domains = kind, nil, []string{"fonts.example.com"}
		if kind == "file" {
			claims.Tool = run.ToolStat
		}
		_, names, refusal := clip(cfg, claims, taskOf(t, claims))
		if refusal == nil || refusal.Code != codeDomain || names != nil || !strings.Contains(refusal.Why, kind) {
			t.Errorf("clip(%s with a domain) = %v, %+v, want refusal %s", kind, names, refusal, codeDomain)
		}
	}
}
