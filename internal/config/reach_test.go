package config_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/domain"
)

// places are where a configuration may hold a name that is to be reached.
var places = map[string]string{
	"trustedDomains":        "trustedDomains:\n  - %s\n",
	"trustedDomains, group": "trustedDomains:\n  - name: %s\n",
	"with":                  "trustedDomains:\n  - name: example.org\n    with: [%s]\n",
	"executors.web.domains": "executors:\n  web:\n    domains: [%s]\n",
	"notify":                "actionTiers:\n  notify:\n    - {tool: browse_web, when: {domain: %s}}\n",
	"autoApprove, list":     "actionTiers:\n  autoApprove:\n    - {tool: browse_web, when: {domain: [%s]}}\n",
	"requireApproval":       "actionTiers:\n  requireApproval:\n    - {tool: browse_web, when: {domain: %s}}\n",
}

// refusedEverywhere wants name to be an error at its line and column, in every place, or in those given.
func refusedEverywhere(t *testing.T, name string, where ...string) {
	t.Helper()
	for place, text := range places {
		if len(where) > 0 && !slices.Contains(where, place) {
			continue
		}
		if place == "requireApproval" && name == "*" {
			continue // asking about everything is no wall that falls
		}
		quoted := fmt.Sprintf("%q", name) // JSON's and Go's escapes of these are YAML's
		text := fmt.Sprintf(text, quoted)
		_, _, err := config.Parse("x.yaml", []byte(text), "/home/ada")
		problems, ok := errors.AsType[config.Errors](err)
		if !ok {
			t.Errorf("%s: Parse accepts %q", place, name)
			continue
		}
		line, column := 0, 0
		for i, l := range strings.Split(text, "\n") {
			if at := strings.Index(l, quoted); at >= 0 {
				line, column = i+1, at+1
			}
		}
		if p := problems[0]; len(problems) != 1 || p.Line != line || p.Column != column || len(p.Message) < 20 {
			t.Errorf("%s: Parse of %q = %v, want one error at %d:%d", place, name, problems, line, column)
		}
	}
}

func TestCasesOfConfiguration(t *testing.T) {
	data, err := os.ReadFile("../domain/testdata/ssrf-cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		ID, Kind, Expect, Why string
		Input                 any
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	covered := 0
	for _, c := range cases {
		if c.Kind != "config" {
			continue
		}
		covered++
		t.Run(c.ID, func(t *testing.T) {
			name, ok := c.Input.(string)
			if !ok || c.Expect != "deny:config" {
				t.Fatalf("case %s: %v is %q, and this test knows names that are refused alone", c.ID, c.Input, c.Expect)
			}
			refusedEverywhere(t, name)
		})
	}
	if covered == 0 {
		t.Error("the file has no case of the configuration")
	}
}

func TestNamesThatAreNone(t *testing.T) {
	for _, name := range []string{
		"*.", "**", "*.*", "*.*.example.com", "**.example.com", "*example.com", "ex*mple.com", "example.com*", "?.example.com", "[a-z].example.com", "{a,b}.example.com",
		".example.com", "example..com", "example.com.", "example.com..", "*.example.com.", "-a.example.com", "a-.example.com", "a_b.example.com", strings.Repeat("a", 64) + ".example.com", strings.Repeat("a.", 130) + "com",
		"https://example.com", "//example.com", "example.com:443", "*.example.com:443", "user@example.com", "example.com?x", "example.com#x", `example.com\x`, "example.com/", " example.com", "example.com ", "example.com\n", "exam\tple.com", "a.example.com,b.example.com", "example.com\x00",
		"EXAMPLE.com", "*.Example.com", "münchen.example", "*.bücher.example", "exаmple.com", "example。com", "①②.example", "a\u200bb.example",
		"localhost", "a.localhost", "*.localhost", "printer", "*.local", "nas.local", "router.lan", "x.internal", "*.home.arpa", "metadata.google.internal", "x.onion", "kubernetes.default.svc.cluster.local",
		"127.0.0.1", "127.1", "2130706433", "0x7f.1", "017700000001", "0", "[::1]", "::1", "fe80::1%eth0", "1.2.3.4.5", "*.1", "*.0.0.1", "10.0.0.0/8", "example.123", "example.0x1f",
		"*.com", "*.co.uk", "*.github.io", "*.s3.amazonaws.com", "*.cloudfront.net", "*.herokuapp.com", "*.blogspot.com", "*.xn--p1ai", "*.kawasaki.jp", "*.foo.kawasaki.jp", "*.pages.dev", "*.azurewebsites.net",
		"trusteddomains", "trustedDomain", "true", "1.5",
	} {
		t.Run(name, func(t *testing.T) { refusedEverywhere(t, name, "trustedDomains, group", "notify") })
	}
	for _, name := range []string{"*.city.kawasaki.jp", "example.com", "*.example.com", "a.b.c.example.co.uk", "*.example.co.uk", "foo.github.io", "*.foo.github.io", "xn--bcher-kva.example", "1password.com", "3.example.com", "*.www.ck"} {
		for place, text := range places {
			if _, _, err := config.Parse("x.yaml", fmt.Appendf(nil, text, fmt.Sprintf("%q", name)), "/home/ada"); err != nil {
				t.Errorf("%s: Parse refuses %q: %v", place, name, err)
			}
		}
	}
}

func TestReach(t *testing.T) {
	cfg, warnings := parse(t, `
executors:
  web: {domains: [fonts.example.net, both.example.net]}
actionTiers:
  notify: [{tool: browse_web, when: {domain: trustedDomains}}]
trustedDomains:
  - example.com
  - "*.example.com"
  - name: docs.example.com
    with: [cdn.example.net, "*.img.example.net", both.example.net]
`)
	if len(warnings) > 0 {
		t.Errorf("warnings: %v", warnings)
	}
	const fonts, both = "fonts.example.net", "both.example.net"
	for host, want := range map[domain.Name]struct {
		names          []string
		trusted, named bool
	}{
		"example.com":       {[]string{"example.com", fonts, both}, true, true},
		"www.example.com":   {[]string{"www.example.com", fonts, both}, true, false},
		"docs.example.com":  {[]string{"docs.example.com", "cdn.example.net", "*.img.example.net", both, fonts}, true, true},
		"a.b.example.com":   {[]string{"a.b.example.com", fonts, both}, false, false},
		"notexample.com":    {[]string{"notexample.com", fonts, both}, false, false},
		"cdn.example.net":   {[]string{"cdn.example.net", fonts, both}, false, false}, // a companion is no site
		"a.img.example.net": {[]string{"a.img.example.net", fonts, both}, false, false},
		"fonts.example.net": {[]string{fonts, both}, false, false},
		"":                  {[]string{"", fonts, both}, false, false},
	} {
		names, trusted := cfg.Reach(host)
		if diff := cmp.Diff(want.names, names); diff != "" || trusted != want.trusted || cfg.Named(host) != want.named {
			t.Errorf("Reach(%q) = trusted %v, Named %v, want %v and %v; names (-want +got):\n%s", host, trusted, cfg.Named(host), want.trusted, want.named, diff)
		}
	}
	var none config.Config
	if names, trusted := none.Reach("example.com"); trusted || !slices.Equal(names, []string{"example.com"}) || none.Named("example.com") || none.Named("") {
		t.Errorf("the zero Config reaches %q, trusted %v", names, trusted)
	}
}

// What configuration adds does not depend on what is opened: nothing that a model or a page chooses adds a name.
func TestReachAddsOnlyWhatIsConfigured(t *testing.T) {
	cfg, _ := parse(t, "executors: {web: {domains: [fonts.example.net]}}\ntrustedDomains: [{name: '*.example.com', with: [cdn.example.net]}, example.org]\n")
	known := []string{"fonts.example.net", "cdn.example.net"}
	rapid.Check(t, func(t *rapid.T) {
		host := domain.Name(strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "www", "example", "com", "org", "net", "cdn", "*", ""}), 0, 5).Draw(t, "labels"), "."))
		names, _ := cfg.Reach(host)
		if names[0] != string(host) {
			t.Fatalf("Reach(%q) = %q, want the host first", host, names)
		}
		for _, name := range names[1:] {
			if !slices.Contains(known, name) {
				t.Fatalf("Reach(%q) = %q: %s stands in no list", host, names, name)
			}
		}
	})
}

// A call carries its names in a token of at most 8 KiB, so what would not fit is an error of the file.
func TestListsAreBounded(t *testing.T) {
	names := func(n, length int) string {
		var out []string
		for i := range n {
			name := fmt.Sprintf("n%d", i)
			for len(name) < length-len(".example.net")-64 {
				name += "." + strings.Repeat("a", 63)
			}
			name += "." + strings.Repeat("b", max(1, length-len(name)-len(".example.net")-1))
			out = append(out, name+".example.net")
		}
		return "[" + strings.Join(out, ", ") + "]"
	}
	sites := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "  - s%d.example.com\n", i)
		}
		return b.String()
	}
	for name, tc := range map[string]struct{ text, want string }{
		"32 companions":         {"trustedDomains: [{name: example.com, with: " + names(32, 30) + "}]", ""},
		"33 companions":         {"trustedDomains: [{name: example.com, with: " + names(33, 30) + "}]", "trustedDomains[0].with: 33 names, the most is 32"},
		"33 for all sites":      {"executors: {web: {domains: " + names(33, 30) + "}}", "executors.web.domains: 33 names, the most is 32"},
		"long ones":             {"trustedDomains: [{name: example.com, with: " + names(20, 240) + "}]", "trustedDomains[0].with: a call may reach 21 names"},
		"long ones for all":     {"executors: {web: {domains: " + names(20, 240) + "}}", "executors.web.domains: a call may reach 21 names"},
		"both together":         {"executors: {web: {domains: " + names(10, 240) + "}}\ntrustedDomains: [{name: '*.example.com', with: [" + strings.ReplaceAll(names(7, 240)[1:], "n", "m") + "}]", "trustedDomains[0].with: a call may reach 18 names"},
		"one through two sites": {"trustedDomains: [{name: '*.example.com', with: " + names(10, 210) + "}, {name: www.example.com, with: " + strings.ReplaceAll(names(10, 210), "n", "m") + "}]", "trustedDomains[1].with: a call may reach 21 names"},
		"1000 sites":            {"trustedDomains:\n" + sites(1000), ""},
		"1001 sites":            {"trustedDomains:\n" + sites(1001), "trustedDomains: 1001 sites, the most is 1000"},
	} {
		_, _, err := config.Parse("x.yaml", []byte(tc.text), "/home/ada")
		if (err != nil) != (tc.want != "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: Parse = %.300v, want an error with %q", name, err, tc.want)
		}
	}
}

func TestSitesThatChangeNothingWarn(t *testing.T) {
	const web, tells = "executors: {web: {}}\n", "actionTiers: {notify: [{tool: browse_web, when: {domain: trustedDomains}}]}\n"
	for name, tc := range map[string]struct{ text, want string }{
		"as meant":       {web + tells + "trustedDomains: [example.com]", ""},
		"built-in rules": {"trustedDomains: [example.com]", ""},
		"no site":        {"executors: {file: {}}\n" + tells, ""},
		"no browser":     {"executors: {file: {}}\n" + tells + "trustedDomains: [example.com]", "executors has no web"},
		"no rule":        {web + "actionTiers: {notify: []}\ntrustedDomains: [example.com]", "no rule of notify"},
		"by name":        {web + "actionTiers: {autoApprove: [{tool: browse_web, when: {domain: example.com}}]}\ntrustedDomains: [example.com]", ""},
		"any page":       {web + "actionTiers: {autoApprove: [{tool: browse_web}]}", "runs unasked"},
	} {
		_, warnings := parse(t, tc.text)
		if (len(warnings) > 0) != (tc.want != "") || len(warnings) > 0 && !strings.Contains(warnings[0].Message, tc.want) {
			t.Errorf("%s: warnings %v, want %q", name, warnings, tc.want)
		}
	}
}

func TestSitesExplainThemselves(t *testing.T) {
	cfg, _ := parse(t, "trustedDomains:\n  - example.org\n  - name: example.com\n    with: [cdn.example.net]\n")
	for key, want := range map[string]struct {
		value any
		from  string
	}{
		"trustedDomains[0]":         {map[string]any{"name": "example.org", "with": []any{}}, "secureclaw.yaml:2"},
		"trustedDomains[0].name":    {"example.org", "secureclaw.yaml:2"},
		"trustedDomains[1].with":    {[]any{"cdn.example.net"}, "secureclaw.yaml:4"},
		"trustedDomains[1].with[0]": {"cdn.example.net", "secureclaw.yaml:4"},
	} {
		got, err := cfg.Explain(key)
		if diff := cmp.Diff(want.value, got.Value); err != nil || diff != "" || got.From != want.from || got.Meaning == "" {
			t.Errorf("Explain(%s) = %+v, %v; want it from %s and (-want +got):\n%s", key, got, err, want.from, diff)
		}
	}
	all := values(cfg)
	if all["trustedDomains[0]"] != "example.org" || all["trustedDomains[1]"] != "example.com, with cdn.example.net" {
		t.Errorf("Settings = %v", all)
	}
	if empty := values(&config.Config{}); !cmp.Equal(empty["trustedDomains"], []any{}) {
		t.Errorf("Settings of no sites has %v", empty["trustedDomains"])
	}
}

// Who does not ask for a browser has none.
func TestBrowserIsListedOrAbsent(t *testing.T) {
	for text, want := range map[string]bool{
		"":                      true, // built in
		"executors: {file: {}}": false,
		"executors: {web: {}}":  true,
		"executors: {}":         false,
	} {
		cfg, _ := parse(t, text)
		web, ok := cfg.Executors["web"]
		if ok != want || ok && (web.Image != "secureclaw/executor-web:latest" || web.Memory != 1<<30 || web.CPUs != 2 || web.Tmp != 256<<20 || web.FileSize != 256<<20 || len(web.Mounts)+len(web.Domains) > 0) {
			t.Errorf("Parse(%q): web is %+v, %v; want it there: %v", text, web, ok, want)
		}
	}
}
