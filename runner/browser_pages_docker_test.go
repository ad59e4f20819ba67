//go:build docker

package runner

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/moby/moby/client"

	"github.com/secureclaw/secureclaw/internal/run"
)

// insideOf reads from the host what a running browser's container has: its interfaces, and the port
// of its relay.
func insideOf(t *testing.T) string {
	c := engineClient(t)
	list, err := c.ContainerList(context.Background(), client.ContainerListOptions{Filters: make(client.Filters).Add("label", "org.secureclaw.call")})
	if err != nil {
		t.Error(err)
		return ""
	}
	for _, item := range list.Items {
		if !strings.HasPrefix(item.Labels["org.secureclaw.call"], "test-") || !strings.HasPrefix(item.Image, "sha256:") && !strings.Contains(item.Image, "secureclaw-test/web") {
			continue
		}
		got, err := c.ContainerInspect(context.Background(), item.ID, client.ContainerInspectOptions{})
		if err != nil || got.Container.State == nil || got.Container.State.Pid == 0 {
			continue
		}
		proc := fmt.Sprintf("/proc/%d/net/", got.Container.State.Pid)
		dev, err := os.ReadFile(proc + "dev")
		if err != nil {
			continue
		}
		if n := strings.Count(string(dev), "\n"); n != 3 || !strings.Contains(string(dev), "lo:") {
			t.Errorf("the container has interfaces beside lo:\n%s", dev)
		}
		var ports []string
		for _, table := range []string{"tcp", "tcp6"} {
			data, _ := os.ReadFile(proc + table)
			for _, line := range strings.Split(string(data), "\n") {
				f := strings.Fields(line)
				if len(f) > 3 && f[3] == "0A" {
					_, hex, _ := strings.Cut(f[1], ":")
					port, _ := strconv.ParseUint(hex, 16, 16)
					ports = append(ports, fmt.Sprint(port))
				}
			}
		}
		return strings.Join(ports, " ")
	}
	return ""
}

// relayPort: a page that knows the port of the relay gets nothing from it.
func relayPort(t *testing.T, s *browsers) {
	b := s.open(t, nil)
	look := func() string { return insideOf(t) }
	b.site.inside.Store(&look)
	b.site.page("/relay", `<p>relay</p><pre id=out></pre><script>
(async () => {
  const ports = (await (await fetch("/inside")).text()).split(" ").filter(Boolean), said = ["ports " + ports.length];
  for (const port of ports) for (const host of ["[::1]", "127.0.0.1", "localhost", "0.0.0.0", "127.1", "2130706433", "[::ffff:127.0.0.1]", "relay.EVIL"]) {
    for (const scheme of ["http", "https"]) for (const mode of ["cors", "no-cors"]) {
      const u = scheme + "://" + host + ":" + port + "/secret-of-the-page";
      try {
        const r = await Promise.race([fetch(u, {mode, method: "POST", body: "CONNECT evil.test:443 HTTP/1.1\r\n\r\n"}), new Promise((_, no) => setTimeout(no, 1500))]);
        said.push("GOT " + u + " " + r.type + " " + r.status + " " + await r.text());
      } catch (e) {}
    }
    for (const scheme of ["ws", "wss"]) await new Promise(end => {
      try { const w = new WebSocket(scheme + "://" + host + ":" + port + "/"); w.onopen = () => { said.push("OPEN " + host); end(); }; w.onerror = end; setTimeout(end, 1000); } catch (e) { end(); }
    });
  }
  const f = document.createElement("iframe"); f.src = "http://127.0.0.1:" + ports[0] + "/framed"; document.body.append(f);
  await new Promise(end => { f.onload = end; setTimeout(end, 1500); });
  out.textContent = said.join("\n") + "\nRELAY DONE";
})().catch(e => { out.textContent = "broken " + e + " RELAY DONE"; });
</script>`)
	v := b.bed.open(t, "https://site.example.com/relay", func(in *run.Browse) {
		in.Actions = []run.BrowseAction{{Do: run.DoWait, Text: "RELAY DONE", Seconds: 30}}
	})
	text := v.page.Content.Text
	if !strings.Contains(text, "RELAY DONE") || strings.Contains(text, "ports 0") || strings.Contains(text, "broken") {
		t.Errorf("the page shows %q, want that it tried the relay's port", text)
	}
	if strings.Contains(text, "OPEN ") || strings.Contains(text, "secret-of-the-page\n") || strings.Contains(text, "CONNECT evil") {
		t.Errorf("the relay answered a page: %q", text)
	}
	for _, line := range strings.Split(text, "\n") {
		// Plain HTTP gets the proxy's refusal at most, and a page of another origin cannot read it.
		if strings.HasPrefix(strings.TrimSpace(line), "GOT ") && !strings.Contains(line, " opaque 0") {
			t.Errorf("a page could read what the relay answers: %q", line)
		}
	}
	b.nothingEscaped(t, s, v)
}

// navigations: a page that leads elsewhere, by any scheme, gets nowhere and ends as a result.
func navigations(t *testing.T, s *browsers) {
	for name, to := range map[string]string{
		"file": "file:///etc/passwd", "view-source": "view-source:https://site.example.com/ok", "chrome": "chrome://version/", "chrome settings": "chrome://settings/",
		"about": "about:version", "data": "data:text/html,<script>fetch('https://data.EVIL/')</script>DATA", "javascript": "javascript:fetch('https://js.EVIL/')",
		"blob": "blob:https://site.example.com/none", "filesystem": "filesystem:https://site.example.com/temporary/x", "devtools": "devtools://devtools/bundled/inspector.html",
		"http": "http://nav.EVIL/", "evil": "https://nav.EVIL/", "port": "https://site.example.com:8443/", "loopback": "https://127.0.0.1/", "metadata": "http://169.254.169.254/latest/",
		"ftp": "ftp://nav.EVIL/", "mailto": "mailto:a@nav.EVIL", "intent": "intent://nav.EVIL/#Intent;scheme=https;end", "extension": "chrome-extension://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/x",
		"user name": "https://site.example.com@nav.EVIL/", "localhost": "http://localhost:9222/json",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := s.open(t, nil)
			to := strings.ReplaceAll(to, "EVIL", b.site.evil)
			b.site.page("/go", `<a id=a href="`+strings.ReplaceAll(to, `"`, "&quot;")+`">elsewhere</a><p>START</p><script>
const u = a.href; try { window.open(u) } catch (e) {} try { a.click() } catch (e) {} try { location.href = u } catch (e) {}</script>`)
			claims := pageClaims(t, b.cfg, "site.example.com")
			v := b.visitWith(t, claims, run.Browse{URL: "https://site.example.com/go", Actions: []run.BrowseAction{{Do: run.DoWait, Seconds: 1}}})
			if v.result == nil || v.result.Outcome != run.Finished || v.result.Output == nil {
				t.Fatalf("refusal %+v, result %+v of %d events; want that it finished", v.refusal, v.result, len(v.events))
			}
			value := string(v.result.Output.Value)
			for _, secret := range []string{"root:x:0", "daemon:", "Command Line", "--remote-debugging", "evil was reached"} {
				if strings.Contains(value, secret) {
					t.Errorf("the page of %s shows %q: %s", to, secret, value)
				}
			}
			b.nothingEscaped(t, s, v)
		})
	}
}

// redirects: a redirect is a new decision.
func redirects(t *testing.T, s *browsers) {
	b := s.open(t, nil)
	v := b.bed.open(t, "https://site.example.com/to?u=https%3A%2F%2Fparts.example.com%2Fplain", nil)
	if !strings.Contains(v.page.Content.Text, "nothing but words") || v.page.URL != "https://parts.example.com/plain" {
		t.Errorf("a redirect to a host that is configured = %+v", v.page)
	}
	b.nothingEscaped(t, s, v)
	for _, to := range []string{"https%3A%2F%2Fnext.EVIL%2F", "http%3A%2F%2Fparts.example.com%2F", "https%3A%2F%2F93.184.216.34%2F", "file%3A%2F%2F%2Fetc%2Fpasswd", "https%3A%2F%2Fparts.example.com%3A8443%2F"} {
		v := b.visitWith(t, pageClaims(t, b.cfg, "site.example.com"), run.Browse{URL: "https://site.example.com/to?u=" + strings.ReplaceAll(to, "EVIL", b.site.evil)})
		if v.result == nil || v.result.Outcome != run.Finished || v.result.Output == nil || strings.Contains(string(v.result.Output.Value), "root:") {
			t.Errorf("a redirect to %s = %+v, want a clear result", to, v)
			continue
		}
		t.Logf("%s: %s %s %s", to, v.result.Output.Status, v.result.Output.Error, v.result.Output.Value)
		b.nothingEscaped(t, s, v)
	}
}

func screenshot(t *testing.T, s *browsers) {
	b := s.open(t, nil)
	v := b.bed.open(t, "https://site.example.com/plain", func(in *run.Browse) { in.Extract = run.ExtractScreenshot })
	if v.page.Image == nil || len(v.page.Image.Data) == 0 || len(v.page.Image.Data) > run.MaxPicture {
		t.Errorf("picture = %+v", v.page.Image)
	}
	b.nothingEscaped(t, s, v)
}
