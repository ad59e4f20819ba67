package dispatch_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/gateway/internal/dispatch"
	"github.com/secureclaw/secureclaw/gateway/internal/gate"
	"github.com/secureclaw/secureclaw/gateway/internal/policy"
	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/domain"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// browsing is a configuration with a browser that trusts these sites.
func browsing(sites ...config.Site) *config.Config {
	cfg := settings()
	cfg.Executors["web"] = config.Executor{Memory: 1 << 30, CPUs: 2, Pids: 512, Timeout: config.Duration(time.Minute), OutputCap: 64 << 10, Domains: []string{"fonts.example.net"}}
	cfg.TrustedDomains = sites
	cfg.ActionTiers.Notify = []config.Rule{{Tool: run.ToolBrowse, When: map[string]config.Patterns{"domain": {config.TrustedKeyword}}}}
	return cfg
}

func browser(t testing.TB, cfg *config.Config, o dispatch.Options) gate.Tool {
	t.Helper()
	o.Config = cfg
	for _, tool := range dispatch.New(o).Tools() {
		if tool.Spec().Name == run.ToolBrowse {
			return tool
		}
	}
	t.Fatal("there is no browse_web")
	return nil
}

func urlInput(t testing.TB, url string) []byte {
	t.Helper()
	in, err := strict.Encode(run.Browse{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	in = bytes.Replace(in, []byte(`,"extract":""`), nil, 1)
	return in
}

var placeholder = regexp.MustCompile(`<(\d+) KiB base64[^>]*>`)

// Each case of a URL is an argument of browse_web: what the tool refuses, it refuses with its code; what
// is not on the list may be asked about and never runs by itself, and its question names that host.
func TestCasesOfURLs(t *testing.T) {
	data, err := os.ReadFile("../../../internal/domain/testdata/ssrf-cases.json")
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
	var allow []config.Site
	covered := map[string]int{}
	for _, c := range cases {
		if c.Kind == "conventions" {
			for _, name := range c.Input.(map[string]any)["allow"].([]any) {
				allow = append(allow, config.Site{Name: name.(string)})
			}
		}
	}
	cfg := browsing(allow...)
	cfg.Executors["web"] = func(e config.Executor) config.Executor { e.Domains = nil; return e }(cfg.Executors["web"])
	tool := browser(t, cfg, dispatch.Options{})
	rules, err := policy.New(cfg.ActionTiers, cfg)
	if err != nil {
		t.Fatal(err)
	}
	judge := func(action claw.Action, seen claw.Label) policy.Verdict {
		var args map[string]any
		if err := strict.Decode(action.Input, &args); err != nil {
			t.Fatal(err)
		}
		call := policy.Call{Tool: run.ToolBrowse, Args: args, Domains: action.Domains}
		return rules.Flow(call, seen, nil, rules.Classify(call))
	}
	clean, mixed := claw.UserLabel(), claw.Label{Integrity: claw.External, Privacy: claw.Private}
	for _, c := range cases {
		if c.Kind != "url" {
			continue
		}
		t.Run(c.ID, func(t *testing.T) {
			url, ok := c.Input.(string)
			if !ok {
				t.Fatalf("case %s: %v is no text", c.ID, c.Input)
			}
			if m := placeholder.FindStringSubmatch(url); m != nil {
				kib, _ := strconv.Atoi(m[1])
				url = strings.Replace(url, m[0], base64.RawURLEncoding.EncodeToString(noise(kib<<10)), 1)
			}
			action, err := tool.Prepare(urlInput(t, url))
			code, denied := strings.CutPrefix(c.Expect, "deny:")
			covered[c.Expect]++
			switch {
			case c.Expect == "allow":
				if v := judge(action, clean); err != nil || v.Tier != claw.Notify {
					t.Errorf("Prepare(%.100q) = %v, tier %v; want it to open and to be told (%s)", url, err, v.Tier, c.Why)
				}
			case code == string(domain.CodeNotAllowed):
				v := judge(action, clean)
				if err != nil || v.Tier != claw.Ask || len(action.Domains) != 1 || slices.ContainsFunc(allow, func(s config.Site) bool { return strings.HasSuffix(action.Domains[0], strings.TrimPrefix(s.Name, "*")) }) {
					t.Errorf("Prepare(%.100q) = %q, %v, tier %v; want a question about that host alone (%s)", url, action.Domains, err, v.Tier, c.Why)
				}
			case code == "needs_approval":
				if err != nil { // longer than any URL may be: refused outright
					if !strings.Contains(err.Error(), "url_too_long: ") {
						t.Fatalf("Prepare(%.100q) = %v, want it too long or asked about", url, err)
					}
					if action, err = tool.Prepare(urlInput(t, url[:domain.MaxURL])); err != nil {
						t.Fatal(err)
					}
				}
				if v := judge(action, mixed); v.Tier != claw.Ask || !strings.Contains(v.Rule, "address may carry") {
					t.Errorf("%.100q is %+v in a conversation that could leak, want a question that says so (%s)", url, v, c.Why)
				}
				if v := judge(action, clean); v.Tier != claw.Notify {
					t.Errorf("%.100q is %+v in a conversation of the user alone", url, v)
				}
			case denied:
				if err == nil || !strings.Contains(err.Error(), "url: "+code+": ") {
					t.Errorf("Prepare(%.100q) = %q, %v; want a refusal with %s (%s)", url, action.Input, err, code, c.Why)
				}
			default:
				t.Fatalf("case %s expects %q, which this test does not know", c.ID, c.Expect)
			}
		})
	}
	if len(covered) < 8 {
		t.Errorf("only %v: the file lost its cases of URLs", covered)
	}
}

func TestPrepareBrowse(t *testing.T) {
	tool := browser(t, browsing(config.Site{Name: "docs.example.com", With: []string{"cdn.example.com", "*.img.example.com"}}), dispatch.Options{})
	const fonts = "fonts.example.net"
	for name, tc := range map[string]struct {
		in, want string
		domains  []string
	}{
		"a page": {`{"url":"HTTPS://Example.COM."}`, `{"extract":"tree","url":"https://example.com/"}`, []string{"example.com", fonts}},
		"a site with companions": {`{"url":"https://docs.example.com/a?b=c#d","extract":"text","max_chars":200}`, `{"extract":"text","max_chars":200,"url":"https://docs.example.com/a?b=c#d"}`,
			[]string{"docs.example.com", "cdn.example.com", "*.img.example.com", fonts}},
		"another alphabet": {`{"url":"https://bücher.example/"}`, `{"extract":"tree","url":"https://xn--bcher-kva.example/"}`, []string{"xn--bcher-kva.example", fonts}},
		"every action": {`{"url":"https://example.com/","actions":[{"do":"click","ref":"[e1]"},{"do":"type","ref":"e2","text":"a\nb"},{"do":"type","ref":"e2"},{"do":"select","ref":"e3","text":"x"},` +
			`{"do":"scroll"},{"do":"scroll","ref":"e4"},{"do":"wait","seconds":3},{"do":"wait","text":"x"},{"do":"wait","text":"x","seconds":30},{"do":"back"},{"do":"press","text":"Enter"},{"do":"press","ref":"e5","text":"a"}]}`,
			`{"actions":[{"do":"click","ref":"e1"},{"do":"type","ref":"e2","text":"a\nb"},{"do":"type","ref":"e2"},{"do":"select","ref":"e3","text":"x"},` +
				`{"do":"scroll","text":"down"},{"do":"scroll","ref":"e4"},{"do":"wait","seconds":3},{"do":"wait","text":"x"},{"do":"wait","seconds":30,"text":"x"},{"do":"back"},{"do":"press","text":"Enter"},{"do":"press","ref":"e5","text":"a"}],"extract":"tree","url":"https://example.com/"}`,
			[]string{"example.com", fonts}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tool.Prepare([]byte(tc.in))
			if err != nil {
				t.Fatalf("Prepare(%s): %v", tc.in, err)
			}
			if string(got.Input) != tc.want || got.Executor != "web" || len(got.Mounts) != 0 || got.TimeoutMS != 60_000 {
				t.Errorf("Prepare(%s) = %+v, want %s", tc.in, got, tc.want)
			}
			if diff := cmp.Diff(tc.domains, got.Domains); diff != "" {
				t.Errorf("domains of %s (-want +got):\n%s", tc.in, diff)
			}
			if again, err := tool.Prepare(got.Input); err != nil || !reflect.DeepEqual(again, got) {
				t.Errorf("Prepare(%s) again = %+v, %v", got.Input, again, err)
			}
		})
	}
}

func TestPrepareBrowseRefuses(t *testing.T) {
	tool := browser(t, browsing(), dispatch.Options{})
	acts := func(actions string) string { return `{"url":"https://example.com/","actions":[` + actions + `]}` }
	for name, tc := range map[string]struct{ in, want string }{
		"no URL":               {`{}`, "url is missing"},
		"an empty URL":         {`{"url":""}`, "bad_url"},
		"a domain beside":      {`{"url":"https://example.com/","domain":"evil.test"}`, "unknown"},
		"domains beside":       {`{"url":"https://example.com/","domains":["evil.test"]}`, "unknown"},
		"two URLs":             {`{"url":"https://example.com/","url":"https://evil.test/"}`, "duplicate"},
		"another letter case":  {`{"URL":"https://example.com/"}`, "unknown"},
		"a list of URLs":       {`{"url":["https://example.com/"]}`, "url"},
		"unknown extract":      {`{"url":"https://example.com/","extract":"html"}`, "extract"},
		"too few characters":   {`{"url":"https://example.com/","max_chars":199}`, "max_chars is 199"},
		"too many characters":  {`{"url":"https://example.com/","max_chars":65537}`, "max_chars is 65537"},
		"negative characters":  {`{"url":"https://example.com/","max_chars":-1}`, "max_chars is -1"},
		"21 actions":           {acts(strings.TrimSuffix(strings.Repeat(`{"do":"back"},`, 21), ",")), "21 actions"},
		"no action":            {acts(`{}`), "do is"},
		"an unknown action":    {acts(`{"do":"upload","ref":"e1","text":"/etc/passwd"}`), `do is "upload"`},
		"an unknown field":     {acts(`{"do":"click","ref":"e1","button":"right"}`), "unknown"},
		"click on nothing":     {acts(`{"do":"back"},{"do":"click"}`), "actions[1]: click takes a ref"},
		"click with a text":    {acts(`{"do":"click","ref":"e1","text":"x"}`), "click takes"},
		"type into nothing":    {acts(`{"do":"type","text":"x"}`), "type takes"},
		"type for seconds":     {acts(`{"do":"type","ref":"e1","text":"x","seconds":1}`), "type takes"},
		"select nothing":       {acts(`{"do":"select","ref":"e1"}`), "select takes"},
		"scroll sideways":      {acts(`{"do":"scroll","text":"left"}`), "text is"},
		"scroll both":          {acts(`{"do":"scroll","ref":"e1","text":"down"}`), "scroll takes"},
		"wait for nothing":     {acts(`{"do":"wait"}`), "wait takes"},
		"wait on a ref":        {acts(`{"do":"wait","ref":"e1","seconds":1}`), "wait takes"},
		"wait too long":        {acts(`{"do":"wait","seconds":31}`), "seconds is 31"},
		"wait backwards":       {acts(`{"do":"wait","seconds":-1}`), "seconds is -1"},
		"wait too often":       {acts(`{"do":"wait","seconds":30},{"do":"wait","seconds":30}`), "wait 60 s"},
		"back to a ref":        {acts(`{"do":"back","ref":"e1"}`), "back takes nothing"},
		"press nothing":        {acts(`{"do":"press","ref":"e1"}`), "press takes"},
		"a NUL":                {acts(`{"do":"type","ref":"e1","text":"a\u0000b"}`), "control character"},
		"an escape":            {acts(`{"do":"type","ref":"e1","text":"a\u001bb"}`), "control character"},
		"a line break to find": {acts(`{"do":"wait","text":"a\nb"}`), "control character"},
		"a ref with a break":   {acts(`{"do":"click","ref":"e\n1"}`), "ref is none"},
		"a long ref":           {acts(`{"do":"click","ref":"` + strings.Repeat("e", 257) + `"}`), "ref is none"},
		"a long text":          {acts(`{"do":"type","ref":"e1","text":"` + strings.Repeat("e", 8193) + `"}`), "text has 8193 bytes"},
		"long texts":           {acts(strings.TrimSuffix(strings.Repeat(`{"do":"type","ref":"e1","text":"`+strings.Repeat("e", 8192)+`"},`, 3), ",")), "texts of all actions"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tool.Prepare([]byte(tc.in))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Prepare(%.200s) = %s, %v; want an error with %q", tc.in, got.Input, err, tc.want)
			}
		})
	}
}

// Who configured no browser offers none.
func TestNoBrowserNoTool(t *testing.T) {
	for _, tool := range dispatch.New(dispatch.Options{Config: settings()}).Tools() {
		if tool.Spec().Name == run.ToolBrowse {
			t.Error("browse_web is offered without executors.web")
		}
	}
}

// Whatever the model writes, a call reaches the host of its URL and what is configured, by the URL that
// runs; and prepared again it is the same.
func TestBrowseReachesWhatItSays(t *testing.T) {
	cfg := browsing(config.Site{Name: "*.example.com", With: []string{"cdn.example.com"}})
	tool := browser(t, cfg, dispatch.Options{})
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.OneOf(rapid.SampledFrom([]string{"https://", "HTTPS:", "//", "/", "\\", "@", ":443", ":", "#", "?", "example.com", "evil.test", "www.", "%2f", "%00", "127.0.0.1", "[::1]", ".", "。", "é", "xn--", " ", "\t", "a"}), rapid.String())
		url := "https://" + strings.Join(rapid.SliceOfN(part, 0, 6).Draw(t, "parts"), "")
		in, err := json.Marshal(map[string]string{"url": url})
		if err != nil {
			t.Fatal(err)
		}
		action, err := tool.Prepare(in)
		if err != nil {
			return
		}
		var args run.Browse
		if err := strict.Decode(action.Input, &args); err != nil {
			t.Fatal(err)
		}
		host := action.Domains[0]
		if rest, ok := strings.CutPrefix(args.URL, "https://"+host+"/"); !ok || len(args.URL) > domain.MaxURL || strings.ContainsAny(rest, " \t\n\\") {
			t.Fatalf("Prepare(%q) opens %q and names %q", url, args.URL, action.Domains)
		}
		if want, _ := cfg.Reach(domain.Name(host)); !slices.Equal(want, action.Domains) {
			t.Fatalf("Prepare(%q) reaches %q, the configuration says %q", url, action.Domains, want)
		}
		if again, err := tool.Prepare(action.Input); err != nil || !reflect.DeepEqual(again, action) {
			t.Fatalf("Prepare(%s) again = %+v, %v", action.Input, again, err)
		}
	})
}

// The schema of an action names the fields of its type, and the bounds that are checked.
func TestSchemaOfActions(t *testing.T) {
	var schema struct {
		Properties struct {
			URL     struct{ MaxLength int }
			Extract struct{ Enum []string }
			Actions struct {
				MaxItems int
				Items    struct {
					Properties map[string]struct {
						Enum             []string
						Minimum, Maximum int
					}
				}
			}
		}
	}
	if err := json.Unmarshal(browser(t, browsing(), dispatch.Options{}).Spec().Schema, &schema); err != nil {
		t.Fatal(err)
	}
	p := schema.Properties
	if p.URL.MaxLength != domain.MaxURL || p.Actions.MaxItems != run.MaxActions || p.Actions.Items.Properties["seconds"].Maximum != 30 {
		t.Errorf("bounds of the schema: %+v", p)
	}
	if diff := cmp.Diff([]string{run.ExtractTree, run.ExtractText, run.ExtractLinks, run.ExtractScreenshot}, p.Extract.Enum); diff != "" {
		t.Errorf("extract (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{run.DoClick, run.DoType, run.DoSelect, run.DoScroll, run.DoWait, run.DoBack, run.DoPress}, p.Actions.Items.Properties["do"].Enum); diff != "" {
		t.Errorf("do (-want +got):\n%s", diff)
	}
	for f := range reflect.TypeFor[run.BrowseAction]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if _, ok := p.Actions.Items.Properties[name]; !ok {
			t.Errorf("the schema of an action lacks %q", name)
		}
	}
}
