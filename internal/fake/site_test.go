package fake_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secureclaw/secureclaw/internal/fake"
)

// visitor is a client that finds every name at the site.
func visitor(t *testing.T, s *fake.Site) *http.Client {
	t.Helper()
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: s.Roots()}, ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", s.Addr().String())
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

func get(t *testing.T, c *http.Client, url string) (*http.Response, string) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatalf("GET %s: %v", url, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		t.Fatalf("GET %s: %v", url, err)
	}
	return resp, string(body)
}

func TestSiteIsEveryHost(t *testing.T) {
	s := fake.NewSite(t)
	c := visitor(t, s)
	s.HTML("a.test", "/mine", "<title>mine</title>")
	for url, want := range map[string]string{
		"https://a.test/plain":                "Plain page",
		"https://b.example.org/":              "Plain page",
		"https://a.test/mine":                 "mine",
		"https://a.test/rich?other=b.test":    `src="https://b.test/frame"`,
		"https://a.test/wants?out=evil.test":  `const out="evil.test"`,
		"https://a.test/meta?to=/x":           "0;url=/x",
		"https://a.test/flood?n=3":            "i< 3",
		"https://a.test/status?code=503":      "It is a 503",
		"https://a.test/deep?levels=2":        "<div><div>",
		"https://a.test/download?bytes=4":     "dddd",
		"https://a.test/huge?nodes=400":       "row",
		"https://a.test/pdf":                  "%PDF-",
		"https://a.test/sw.js":                "addEventListener",
		"https://a.test/windows?to=%2Fx%3Fy":  "/x",
		"https://a.test/301?to=/json":         `"value"`,
		"https://a.test/mixed":                "http://a.test/image",
		"https://a.test/js?to=https://b.test": `location.replace("https://b.test")`,
	} {
		resp, body := get(t, c, url)
		if !strings.Contains(body, want) {
			t.Errorf("GET %s = %.200q, want %q in it", url, body, want)
		}
		if resp.Proto != "HTTP/2.0" {
			t.Errorf("GET %s came by %s, want HTTP/2.0", url, resp.Proto)
		}
	}
	if resp, _ := get(t, c, "https://b.test/mine"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a page of another host = %s, want 404", resp.Status)
	}
	if got := s.Asked("b.example.org"); len(got) != 1 || got[0].Path != "/" || !got[0].TLS {
		t.Errorf("Asked(b.example.org) = %+v, want the one request", got)
	}
	for _, h := range s.Hellos() {
		if h.Name == "" || h.ECH || h.Plain {
			t.Errorf("Hellos has %+v, want Go's own, with a name", h)
		}
	}
}

func TestSiteChainEndsAtThePage(t *testing.T) {
	c := visitor(t, fake.NewSite(t))
	resp, body := get(t, c, "https://a.test/chain")
	if resp.Request.URL.Path != "/meta" || !strings.Contains(body, "url=/js?to=/plain") {
		t.Errorf("GET /chain ends at %s with %.200q, want the page with the refresh", resp.Request.URL, body)
	}
}

func TestSiteFlaws(t *testing.T) {
	s := fake.NewSite(t)
	c := visitor(t, s)
	for name, tc := range map[string]struct {
		flaw fake.Flaw
		want string
	}{
		"expired.test": {fake.Expired, "expired"},
		"early.test":   {fake.Early, "not yet valid"},
		"other.test":   {fake.WrongName, "somebody-else.test"},
		"self.test":    {fake.SelfSigned, "unknown authority"},
	} {
		s.Spoil(name, tc.flaw)
		if resp, err := c.Get("https://" + name + "/"); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("GET https://%s/ = %v, %v, want an error about %q", name, resp, err, tc.want)
		}
	}
	s.Spoil("expired.test", fake.Sound)
	get(t, c, "https://expired.test/")
}

// resolver asks the stub and nobody else.
func resolver(d *fake.DNS) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, network, d.Addr().String())
	}}
}

func TestDNS(t *testing.T) {
	d := fake.NewDNS(t)
	d.Answer("a.test", "93.184.216.34", "2606:2800:220:1::1")
	d.Rebind("rebind.test", []string{"93.184.216.34"}, []string{"127.0.0.1"})
	d.Answer("long.test", "93.184.216.34")
	d.Break("long.test", fake.Truncated)
	d.Break("sick.test", fake.Servfail)
	d.Alias("alias.test", "a.test")
	d.Answer("liar.test", "93.184.216.34")
	r := resolver(d)
	look := func(network, name string) string {
		addrs, err := r.LookupNetIP(t.Context(), network, name+".")
		if err != nil {
			var failed *net.DNSError
			if e, ok := err.(*net.DNSError); ok {
				failed = e
			}
			if failed != nil && failed.IsNotFound {
				return "nothing"
			}
			return "error"
		}
		var out []string
		for _, a := range addrs {
			out = append(out, a.String())
		}
		return strings.Join(out, " ")
	}
	var got []string
	for _, ask := range [][2]string{
		{"ip4", "a.test"}, {"ip6", "a.test"}, {"ip4", "nobody.test"}, {"ip4", "rebind.test"}, {"ip4", "rebind.test"}, {"ip4", "rebind.test"},
		{"ip4", "long.test"}, {"ip4", "sick.test"}, {"ip4", "alias.test"},
	} {
		got = append(got, ask[1]+" "+look(ask[0], ask[1]))
	}
	want := []string{
		"a.test 93.184.216.34", "a.test 2606:2800:220:1::1", "nobody.test nothing", "rebind.test 93.184.216.34", "rebind.test 127.0.0.1", "rebind.test 127.0.0.1",
		"long.test 93.184.216.34", "sick.test error", "alias.test 93.184.216.34",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lookups (-want +got):\n%s", diff)
	}
	tcp := false
	for _, q := range d.Queries() {
		tcp = tcp || q.Network == "tcp" && q.Name == "long.test"
	}
	if !tcp {
		t.Errorf("Queries = %+v, want one for long.test over TCP", d.Queries())
	}
}
