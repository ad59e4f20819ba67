//go:build docker

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/run"
)

// opened is browse for a call that the story expects to run, with what it brought back.
func (w *world) opened(url string) (call, run.BrowseResult) {
	w.t.Helper()
	c := w.does(browse(url))
	var out run.BrowseResult
	if at := strings.Index(c.Content, "{"); at >= 0 {
		_ = json.Unmarshal([]byte(c.Content[at:]), &out) // an answer without one is for the caller to judge
	}
	return c, out
}

// ways are the connections in the log, with how often: "shop.example.com allowed", "evil.test not_allowed".
func (w *world) ways() map[string]int64 {
	w.t.Helper()
	out := map[string]int64{}
	for _, line := range w.audit() {
		var entry struct {
			Kind   string     `json:"kind"`
			Fields run.Egress `json:"fields"`
		}
		if json.Unmarshal([]byte(line), &entry) != nil || entry.Kind != "egress" || entry.Fields.Total {
			continue
		}
		e := entry.Fields
		if e.Allowed {
			e.Code = "allowed"
		}
		out[e.Name+" "+e.Code] += max(1, e.Count)
	}
	return out
}

// onlyTheSite holds the wire to questions for the named hosts and to connections with the site.
func (s *street) onlyTheSite(hosts ...string) {
	s.t.Helper()
	if strange := s.wire.strange(); len(strange) > 0 {
		s.t.Errorf("on the wire, beside the tunnel's: %q, want nothing", strange)
	}
	for _, name := range s.dns.Names() {
		if !slices.Contains(hosts, name) {
			s.t.Errorf("the name server was asked for %s, want none but %q", name, hosts)
		}
	}
	for _, h := range s.site.Hellos() {
		if h.Plain || h.ECH || !slices.Contains(hosts, h.Name) {
			s.t.Errorf("the site saw %+v, want TLS for one of %q without ECH", h, hosts)
		}
	}
}

// A page that nobody spoke of before asks; the card names what it may reach; what comes back is the
// page's tree; the log has the connections; and on the wire there was nothing else.
func TestWebStory(t *testing.T) {
	t.Parallel()
	s := newStreet(t)
	s.answers("shop.example.com", "frame.example.net")
	w := s.live()
	w.model.Script(calls(browse("https://shop.example.com/rich?other=frame.example.net")), says("It is rich."))
	wait := w.newTalk("look at the shop")
	code := w.card()
	var cards []struct{ Domains []string }
	if out := w.claw("approvals", "--json"); json.Unmarshal([]byte(out.stdout), &cards) != nil || len(cards) != 1 || !slices.Equal(cards[0].Domains, []string{"shop.example.com"}) {
		t.Errorf("approvals --json = %s, want one card, for shop.example.com", out.stdout)
	}
	if out := w.claw("approvals"); !strings.Contains(out.stdout, "Domains    shop.example.com\n") {
		t.Errorf("approvals = %s, want a line with the domain and nothing else", out.stdout)
	}
	if total := s.wire.total(webPackets) + s.wire.total(namePackets); total != 0 {
		t.Errorf("%d packets before anybody approved", total)
	}
	if out := w.claw("approve", code); out.code != 0 {
		t.Fatalf("approve = %+v", out)
	}
	doc := wait()
	if doc.Reply != "It is rich." || len(doc.Calls) != 1 || doc.Calls[0].Status != "ok" || doc.Calls[0].Tier != "requireApproval" {
		t.Fatalf("chat = %+v, want one call that was approved and ran", doc)
	}
	var got run.BrowseResult
	if err := json.Unmarshal([]byte(doc.Calls[0].Content), &got); err != nil {
		t.Fatal(err)
	}
	if got.Title != "Rich page" || got.Status != 200 || got.URL != "https://shop.example.com/rich?other=frame.example.net" {
		t.Errorf("result = %+v, want the rich page", got)
	}
	for _, text := range []string{"h1: Rich", "in the open shadow", "row: Tea | 3", "Colour = green", "elsewhere.test/x"} {
		if !strings.Contains(got.Content.Text, text) {
			t.Errorf("the tree has no %q:\n%s", text, got.Content.Text)
		}
	}
	if strings.Contains(got.Content.Text, "hunter2") {
		t.Errorf("the tree has a password:\n%s", got.Content.Text)
	}
	if i := slices.IndexFunc(got.Blocked, func(b run.Blocked) bool { return b.Host == "frame.example.net" }); i < 0 || got.Blocked[i].Code != "not_allowed" {
		t.Errorf("blocked = %+v, want frame.example.net, not_allowed", got.Blocked)
	}
	if !strings.Contains(heard(w.model), "row: Tea | 3") {
		t.Errorf("the model did not hear the tree")
	}
	w.eventually("the log has connection, refusal and totals", func() bool {
		return w.entries("egress", `"name":"shop.example.com","allowed":true`, `"address":"`+siteAddress+`"`) > 0 &&
			w.entries("egress", `"name":"frame.example.net","allowed":false,"code":"not_allowed"`) > 0 &&
			w.entries("egress", `"total":true`) == 1
	})
	// Nothing that the page did not ask for: a browser has many reasons to call home when it starts.
	for way := range w.ways() {
		if way != "shop.example.com allowed" && way != "shop.example.com gone" && way != "frame.example.net not_allowed" {
			t.Errorf("the log has a connection %q", way)
		}
	}
	s.onlyTheSite("shop.example.com")
	if s.wire.total(webPackets) == 0 || s.wire.total(namePackets) == 0 {
		t.Errorf("the wiretap saw no packet of the page itself")
	}
	w.noContainer()
	if out := w.claw("audit", "verify"); out.code != 0 {
		t.Errorf("audit verify = %+v", out)
	}
}

// Pages that do what they can to send something elsewhere, to keep the browser, or to break it: each
// call ends with a clear result, and not one packet went anywhere but to the site's own address. The
// name server would answer for every host that they want.
func TestWebHostilePages(t *testing.T) {
	t.Parallel()
	s := newStreet(t)
	const shop, evil = "shop.example.com", "evil.example.net"
	s.answers(shop, evil, "prefetch."+evil, "preconnect."+evil, "stun."+evil, "turn."+evil, "dns.google", "localhost", "www.example.com")
	w := s.live(shop)
	for name, tc := range map[string]struct {
		path string
		wait time.Duration // the most that the call may take
		want func(c call, r run.BrowseResult) bool
	}{
		"every way out": {"/wants?out=" + evil, time.Minute, func(_ call, r run.BrowseResult) bool {
			return r.Title != "" && slices.ContainsFunc(r.Blocked, func(b run.Blocked) bool { return b.Host == evil && b.Count > 3 })
		}},
		"10,000 requests elsewhere": {"/flood?out=" + evil, time.Minute, func(_ call, r run.BrowseResult) bool {
			return slices.ContainsFunc(r.Blocked, func(b run.Blocked) bool { return b.Host == evil })
		}},
		"10,000 requests home": {"/flood", time.Minute, titled("Flood")},
		"an offer of HTTP/3":   {"/altsvc", 40 * time.Second, noted},
		"parts without TLS":    {"/mixed", 40 * time.Second, titled("Mixed")},
		"a redirect elsewhere": {"/302?to=https://" + evil + "/", 40 * time.Second, explained},
		"a redirect to http":   {"/302?to=http://" + shop + "/plain", 40 * time.Second, explained},
		"a redirect to a port": {"/307?to=https://" + shop + ":8443/", 40 * time.Second, explained},
		"a redirect to a file": {"/302?to=file:///etc/passwd", 40 * time.Second, explained},
		"an address":           {"/302?to=https://169.254.169.254/", 40 * time.Second, explained},
		"a script that leaves": {"/js?to=https://" + evil + "/", 40 * time.Second, explained},
		"a redirect to itself": {"/loop", 40 * time.Second, explained},
		"a chain of redirects": {"/chain", 40 * time.Second, titled("Plain page")},
		"never settles":        {"/restless", 50 * time.Second, titled("Restless")},
		"never answers":        {"/hang", time.Minute, explained},
		"never ends":           {"/drip", time.Minute, noted},
		"dialogs":              {"/dialogs", 50 * time.Second, titled("Dialogs")},
		"windows":              {"/windows?to=https://" + evil + "/", 40 * time.Second, titled("Windows")},
		"2 GiB of download":    {"/download", time.Minute, noted},
		"200,000 nodes":        {"/huge", time.Minute, noted},
		"20,000 levels":        {"/deep", time.Minute, noted},
		"a PDF":                {"/pdf", 40 * time.Second, noted},
		"text that looks other": {"/bidi", 40 * time.Second, func(_ call, r run.BrowseResult) bool {
			return !strings.ContainsAny(r.Content.Text+r.Title, "\u202e\u2066\u200b")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := w.in(t)
			begin := time.Now()
			c, r := w.opened("https://" + shop + tc.path)
			if took := time.Since(begin); took > tc.wait {
				t.Errorf("%s took %v, want at most %v", tc.path, took, tc.wait)
			}
			if !tc.want(c, r) {
				t.Errorf("%s = %s %.1500s", tc.path, c.Status, c.Content)
			}
			if strings.Contains(c.Content, "root:x:0") {
				t.Errorf("%s: a file of the container is in the result: %.500s", tc.path, c.Content)
			}
			s := *s
			s.t = t
			s.onlyTheSite(shop)
			t.Logf("%s %v %.300s", c.Status, time.Since(begin).Round(time.Millisecond), c.Content)
		})
	}
	if asked := s.site.Asked(evil); len(asked) > 0 {
		t.Errorf("the site was asked for %s: %+v", evil, asked)
	}
	w.noContainer()
	for way := range w.ways() {
		name, code, _ := strings.Cut(way, " ")
		if code == "allowed" && name != shop {
			t.Errorf("the log has a connection %q; want %s allowed and nothing else", way, shop)
		}
		// No page here asks for these; a browser has many reasons to call home.
		for _, vendor := range []string{"google.com", "googleapis.com", "gstatic.com", "duckduckgo.com", "debian.org"} {
			if strings.HasSuffix(name, vendor) {
				t.Errorf("the log has a connection %q, which no page asked for", way)
			}
		}
	}
}

// titled wants a page with a title.
func titled(title string) func(call, run.BrowseResult) bool {
	return func(c call, r run.BrowseResult) bool { return c.Status == "ok" && r.Title == title }
}

// explained wants words on why there is no page of that kind, or the page on which it ended.
func explained(c call, r run.BrowseResult) bool {
	return c.Content != "" && (len(r.Notes)+len(r.Blocked) > 0 || c.Status == "failed")
}

// noted wants an end of any kind that is said.
func noted(c call, r run.BrowseResult) bool {
	return c.Status == "ok" || c.Status == "failed" && c.Content != ""
}

// What a name stands for is judged when it is asked for, and that very address is dialled.
func TestWebNamesOfPrivateAddresses(t *testing.T) {
	t.Parallel()
	s := newStreet(t)
	// Listeners where a browser that was let through would end.
	traps := map[string]*trap{}
	s.within(s.here, func() error {
		for _, addr := range []string{"127.0.0.1", ownAddress} {
			l, err := newTrap(t, addr+":443")
			if err != nil {
				return err
			}
			traps[addr] = l
		}
		return nil
	})
	s.answers("good.example.com")
	hosts := []string{"good.example.com"}
	for name, sets := range map[string][][]string{
		"private.example.com":  {{"10.0.0.1"}},
		"loopback.example.com": {{"127.0.0.1"}},
		"metadata.example.com": {{"169.254.169.254"}},
		"mixed.example.com":    {{siteAddress, "192.168.0.1"}},
		"self.example.com":     {{ownAddress}},
		"mapped.example.com":   {{siteAddress, "::ffff:10.0.0.1"}},
		"rebind.example.com":   {{siteAddress}, {"127.0.0.1"}},
	} {
		s.dns.Rebind(name, sets...)
		hosts = append(hosts, name)
	}
	s.dns.Alias("alias.example.com", "private.example.com")
	hosts = append(hosts, "alias.example.com", "nothing.example.com")
	w := s.live(hosts...)

	if c, r := w.opened("https://good.example.com/plain"); c.Status != "ok" || r.Title != "Plain page" {
		t.Fatalf("good.example.com = %s %.500s, want the page", c.Status, c.Content)
	}
	for _, name := range []string{"private", "loopback", "metadata", "mixed", "self", "mapped", "alias", "nothing"} {
		c, r := w.opened("https://" + name + ".example.com/plain")
		if r.Title == "Plain page" || c.Status == "ok" && r.Status == 200 {
			t.Errorf("%s.example.com = %s %.500s, want no page", name, c.Status, c.Content)
		}
		if len(s.site.Asked(name+".example.com")) > 0 {
			t.Errorf("%s.example.com was reached", name)
		}
	}
	// The page comes by the first answer. Its next connections find the second one, and are refused; the
	// server closes the first so that there are some.
	s.site.Handle("rebind.example.com", "/", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Connection", "close")
		rw.Header().Set("Content-Type", "text/html")
		fmt.Fprint(rw, `<title>rebound</title><h1>first</h1><p id=o>…<script>
setTimeout(async()=>{for(let i=0;i<5;i++){try{await fetch("/secret?"+i,{mode:"no-cors"});o.textContent="reached";return}catch{}}o.textContent="kept out"},300)</script>`)
	})
	c, r := w.opened("https://rebind.example.com/")
	if r.Title != "rebound" {
		t.Errorf("rebind.example.com = %s %.500s, want the page of the first answer", c.Status, c.Content)
	}
	if again, _ := w.opened("https://rebind.example.com/plain"); again.Status == "ok" && strings.Contains(again.Content, "Plain page") {
		t.Errorf("rebind.example.com, the second time, = %.500s, want no page", again.Content)
	}
	for addr, l := range traps {
		if n := l.count(); n > 0 {
			t.Errorf("%d connections to %s:443 in the installation's own network", n, addr)
		}
	}
	s.onlyTheSite(hosts...)
	codes := map[string]bool{}
	for way := range w.ways() {
		codes[way] = true
	}
	t.Logf("ways %v", codes)
	for _, name := range []string{"private", "loopback", "metadata", "mixed", "self", "mapped", "alias"} {
		if codes[name+".example.com allowed"] {
			t.Errorf("the log has %s.example.com as allowed", name)
		}
	}
}

// Many pages at once are slower, and nothing else: each call has its own container, its own way out and its own
// result, and nothing of any is left. There is no model here, so this is what somebody sees without an account.
func TestWebManyAtOnce(t *testing.T) {
	t.Parallel()
	s := newStreet(t)
	const n = 20
	var hosts []string
	for i := range n {
		hosts = append(hosts, fmt.Sprintf("shop%d.example.com", i))
		s.site.HTML(hosts[i], "/", fmt.Sprintf("<title>shop %d</title><h1>This is shop %d</h1>", i, i))
	}
	s.answers(hosts...)
	w := s.liveWith(nil, hosts...)
	var waits []func() document
	begin := time.Now()
	for _, host := range hosts {
		waits = append(waits, w.newTalk("browse https://"+host+"/"))
	}
	for i, wait := range waits {
		doc := wait()
		if len(doc.Calls) != 1 || doc.Calls[0].Status != "ok" || !strings.Contains(doc.Calls[0].Content, fmt.Sprintf("This is shop %d\\n", i)) {
			t.Errorf("%s = %.1000q, %+v, want its page", hosts[i], doc.Reply, doc.Calls)
		}
	}
	t.Logf("%d pages at once: %v", n, time.Since(begin).Round(time.Millisecond))
	w.noContainer()
	s.onlyTheSite(hosts...)
	for i, host := range hosts {
		if got := w.ways()[host+" allowed"]; got == 0 {
			t.Errorf("the log has no connection to %s", hosts[i])
		}
	}
}

// The browser that ships keeps its own sandbox: seen from the host, while a page hangs. When the call
// is cancelled nothing of it is left.
func TestWebBrowserIsSandboxed(t *testing.T) {
	t.Parallel()
	s := newStreet(t)
	s.answers("shop.example.com")
	w := s.live("shop.example.com")
	w.model.Script(calls(browse("https://shop.example.com/restless")), says("done"))
	wait := w.newTalk("look")
	id := w.oneContainer()
	var pids []int
	w.eventually("the page's process is there and shut in", func() bool {
		out, err := exec.Command("docker", "top", id, "-eo", "pid,args").Output()
		if err != nil {
			return false
		}
		pids = nil
		shut := false
		for _, line := range strings.Split(string(out), "\n")[1:] {
			pid, args, _ := strings.Cut(strings.TrimSpace(line), " ")
			n, err := strconv.Atoi(pid)
			if err != nil {
				continue
			}
			pids = append(pids, n)
			for _, flag := range []string{" --no-sandbox", " --disable-seccomp-filter-sandbox", " --disable-namespace-sandbox", " --single-process", " --in-process-gpu"} {
				if strings.Contains(args, flag) {
					t.Errorf("a process of the browser has%s: %s", flag, args)
				}
			}
			status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", n))
			if strings.Contains(args, "--type=renderer") && strings.Contains(string(status), "Seccomp_filters:\t2") {
				shut = true
			}
		}
		return shut
	})
	wait()
	w.noContainer()
	for _, pid := range pids {
		if args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && strings.Contains(string(args), "chromium") {
			t.Errorf("process %d of the browser is left: %.100q", pid, args)
		}
	}
}
