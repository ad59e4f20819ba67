//go:build docker

package runner

import (
	_ "embed"
	"slices"
	"strings"
	"testing"

	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/runner/internal/egress"
)

// What pages try, in the shipped browser. All of these tests run in a network of their own, with one
// way out that leads nowhere, so that every packet which leaves beside the way out is counted. The
// places outside stand on loopback; the hosts that no page may reach would answer there too.

//go:embed testdata/pages/probes.html
var probesHTML string

// browsers is what the tests of this file share: one image, one network.
type browsers struct {
	authority *authority
	image     string
	out       *wiretap
	probes    *probePage
	plain     bool // the plain page was opened
	keep      config.Bytes
}

// browser is a runner in a world of its own.
type browser struct {
	*bed
	*world
	site *site
}

func (s *browsers) open(tb testing.TB, limits func(*egress.Limits)) *browser {
	tb.Helper()
	pages := newSite()
	w := newWorld(tb, s.authority, pages)
	cfg := browserConfig(tb, s.image)
	cfg.Executors = map[string]config.Executor{kindWeb: cfg.Executors[kindWeb]}
	cfg.Runner.Ready.Memory = s.keep
	b := newBedWith(tb, cfg, limited(w.seam(), limits))
	b.prepared(tb, kindWeb)
	return &browser{b, w, pages}
}

// nothingEscaped is what holds after every page: outside saw the allowed hosts and nobody else, and
// nothing left beside the way out.
func (b *browser) nothingEscaped(tb testing.TB, s *browsers, v visit) {
	tb.Helper()
	may := []string{"parts.example.com", "site.example.com"}
	subset := func(what string, names []string) {
		for _, name := range names {
			if !slices.Contains(may, name) {
				tb.Errorf("%s: %q, want none but %q", what, name, may)
			}
		}
	}
	subset("let through", v.allowed())
	subset("looked up", b.lookedUp())
	_, names, _ := b.good.seen()
	subset("TLS for", names)
	if n, names, requests := b.evil.seen(); n > 0 {
		tb.Errorf("a host that is not allowed got %d connections, for %q, with %q", n, names, requests)
	}
	for _, e := range v.egress {
		// What a page asks for is refused and told. Nobody else asks: no vendor, no updater.
		name := e.Name
		known := name == "" || e.Allowed || slices.Contains([]string{"limit", "gone"}, e.Code) && slices.Contains(may, name) || strings.HasSuffix(name, "."+b.site.evil) || strings.HasSuffix(name, ".evil.test") ||
			slices.Contains([]string{"dns.google", "cloudflare-dns.com", "169.254.169.254", "fd00:ec2::254", "[fd00:ec2::254]", "203.0.113.9"}, name)
		if !known {
			tb.Errorf("the browser by itself asked for %q", name)
		}
	}
	if packets := s.out.packets(); len(packets) > 0 {
		tb.Errorf("%d packets left beside the way out: %x", len(packets), packets)
	}
}

// TestBrowser is the parent of all, so that they share image and network.
func TestBrowser(t *testing.T) {
	if !inNetwork(t) {
		return
	}
	s := &browsers{authority: newAuthority(t), out: tapWayOut(t)}
	s.image = browserImage(t, s.authority)
	byCase := map[string]func(*testing.T, *browsers){
		// On the page that tries everything; its names are those that must have been refused.
		"S259": probed(), "S260": probed(), "S261": probed("dns.google", "cloudflare-dns.com"),
		"S263": probed("websocket.EVIL", "workersocket.EVIL", "socketstream.EVIL"), "S269": probed("beacon.EVIL", "keepalive.EVIL"),
		"S262": startup, "S270": startup, "S266": relayPort, "S272": downloads, "S273": leftRunning,
	}
	for _, c := range cases(t, "browser", 10) {
		t.Run(c.ID, func(t *testing.T) {
			test := byCase[c.ID]
			if test == nil {
				t.Fatalf("%s (%s: %s) has no test", c.ID, c.Input, c.Why)
			}
			test(t, s)
		})
	}
	for name, test := range map[string]func(*testing.T, *browsers){
		"probes": everyProbe, "flood": flood, "navigations": navigations, "redirects": redirects, "bombs": bombs, "twenty at once": twenty,
		"removed while browsing": removed, "stopped while browsing": stopped, "hung up while browsing": hungUp, "screenshot": screenshot,
	} {
		t.Run(name, func(t *testing.T) { test(t, s) })
	}
	// And in a browser that waited for its page.
	ready := &browsers{authority: s.authority, image: s.image, out: s.out, keep: keepSome}
	for name, test := range map[string]func(*testing.T, *browsers){
		"probes": everyProbe, "redirects": redirects, "screenshot": screenshot,
	} {
		t.Run("ready/"+name, func(t *testing.T) { test(t, ready) })
	}
}

// probePage is the page that tries every way out that we know of, opened once for all who ask.
type probePage struct {
	evil   string
	said   map[string]string // what each probe noted
	denied []string
}

func (s *browsers) probe(t *testing.T) *probePage {
	t.Helper()
	if s.probes != nil {
		return s.probes
	}
	b := s.open(t, nil)
	look := func() string { return insideOf(t) }
	b.site.inside.Store(&look)
	v := b.bed.open(t, "https://site.example.com/probes", func(in *run.Browse) {
		in.Actions = []run.BrowseAction{{Do: run.DoWait, Text: "PROBES DONE", Seconds: 30}}
	})
	b.came(t, v.result)
	text := v.page.Content.Text
	p := &probePage{evil: b.site.evil, said: map[string]string{}, denied: v.denied()}
	_, after, _ := strings.Cut(text, "SAID ")
	for _, pair := range strings.Split(after, "; ") {
		k, said, _ := strings.Cut(pair, "=")
		p.said[strings.TrimSpace(k)] = said
	}
	t.Logf("%d refused: %q", len(p.denied), p.denied)
	t.Logf("said: %q", p.said)
	// The page did run, and what it may reach it reached.
	if p.said["control"] != "good answer" || p.said["parts"] != "good answer" || !strings.Contains(text, "PROBES DONE") {
		t.Fatalf("the page shows %q, %q; want that its probes ran and the allowed ones came through", text, v.page.Notes)
	}
	for name, said := range p.said {
		if strings.Contains(said, "evil was reached") || strings.Contains(said, "root:") || said == "open" {
			t.Errorf("the probe %s reached out: %q", name, said)
		}
	}
	for _, path := range []string{"/ok", "/inside"} {
		if !slices.Contains(b.good.paths(), "site.example.com"+path) {
			t.Errorf("nobody asked for %s", path)
		}
	}
	b.nothingEscaped(t, s, v)
	s.probes = p
	return p
}

// probed is one case of that page.
func probed(refused ...string) func(*testing.T, *browsers) {
	return func(t *testing.T, s *browsers) {
		p := s.probe(t)
		for _, name := range refused {
			if name = strings.ReplaceAll(name, "EVIL", p.evil); !slices.Contains(p.denied, name) {
				t.Errorf("nobody asked for %s, so nothing was tested; refused were %q", name, p.denied)
			}
		}
	}
}

// everyProbe wants that the page tried: without these names in the refusals it proves nothing.
func everyProbe(t *testing.T, s *browsers) {
	p := s.probe(t)
	for _, name := range []string{
		"fetch", "xhr", "syncxhr", "websocket", "eventsource", "beacon", "keepalive", "img", "css", "cssimport", "background", "font", "script", "module", "iframe",
		"srcdoc", "refresh", "object", "embed", "video", "svg", "form", "worker", "importscripts", "serviceworker", "shared", "redirect", "favicon", "preload", "csp",
	} {
		if !slices.Contains(p.denied, name+"."+p.evil) {
			t.Errorf("nobody asked for %s.%s: did the probe run? It said %q", name, p.evil, p.said[name])
		}
	}
	if got := p.said["webrtc"]; got != "candidates 0" && !strings.HasPrefix(got, "error") {
		t.Errorf("WebRTC found ways to be reached: %q", got)
	}
}

// startup: a plain page makes the browser ask for that page's host and for nothing else, before it and
// after it.
func startup(t *testing.T, s *browsers) {
	if s.plain {
		return // two cases, one page
	}
	s.plain = true
	b := s.open(t, nil)
	v := b.bed.open(t, "https://site.example.com/plain", func(in *run.Browse) {
		in.Actions = []run.BrowseAction{{Do: run.DoWait, Seconds: 15}} // updaters come late
	})
	if !strings.Contains(v.page.Content.Text, "nothing but words") {
		t.Errorf("page = %+v", v.page)
	}
	if len(v.denied()) > 0 || !slices.Equal(v.allowed(), []string{"site.example.com"}) {
		t.Errorf("let through %q, refused %q; want the page's host alone", v.allowed(), v.denied())
	}
	b.nothingEscaped(t, s, v)
}
