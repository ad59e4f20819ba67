//go:build docker

package runner

import (
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
)

// site serves the pages of the allowed hosts.
type site struct {
	mux     *http.ServeMux
	evil    string // domain of this run
	inside  atomic.Pointer[func() string]
	reports sync.Map
}

func newSite() *site {
	s := &site{mux: http.NewServeMux(), evil: os.Getenv(networkEnv) + ".evil.test"}
	s.page("/ok", "good answer")
	s.page("/plain", "<title>Plain</title><p>nothing but words</p>")
	s.mux.HandleFunc("/probes", func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		e := s.evil
		h.Set("Reporting-Endpoints", `default="https://reporting.`+e+`/x", csp="https://cspendpoint.`+e+`/x"`)
		h.Set("Report-To", `{"group":"default","max_age":9999,"endpoints":[{"url":"https://reportto.`+e+`/x"}]}`)
		h.Set("NEL", `{"report_to":"default","max_age":9999,"success_fraction":1.0,"failure_fraction":1.0}`)
		h.Set("Expect-CT", `max-age=9999, report-uri="https://expectct.`+e+`/x"`)
		h.Set("Content-Security-Policy-Report-Only", "default-src 'none'; report-uri https://reporturi."+e+"/x; report-to csp")
		h.Set("Alt-Svc", `h3=":443"; ma=9999, h3="altsvc.`+e+`:443"; ma=9999, h2="altsvc2.`+e+`:443"`)
		h.Add("Link", "<https://linkpreconnect."+e+">; rel=preconnect")
		h.Add("Link", "<https://linkpreload."+e+"/x>; rel=preload; as=script")
		h.Set("Speculation-Rules", `"https://speculation.`+e+`/x.json"`)
		h.Set("SourceMap", "https://sourcemap."+e+"/x.map")
		h.Set("Attribution-Reporting-Register-Source", `{"destination":"https://attributionheader.`+e+`","source_event_id":"1"}`)
		h.Set("Permissions-Policy", "unload=()")
		h.Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, strings.ReplaceAll(probesHTML, "EVIL", e))
	})
	s.mux.HandleFunc("/csp", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; report-uri https://csp."+s.evil+"/x")
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<img src="/blocked"><script>1</script>`)
	})
	s.mux.HandleFunc("/to", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.FormValue("u"), http.StatusFound) })
	s.script("/sw.js", `const u = new URL(location).searchParams.get("u");
self.addEventListener("install", e => { self.skipWaiting(); e.waitUntil(fetch(u).catch(() => 0)); });
self.addEventListener("activate", e => e.waitUntil(self.clients.claim()));
self.addEventListener("fetch", e => {});
setInterval(() => { fetch("/alive?sw").catch(() => 0); fetch(u).catch(() => 0); }, 700);`)
	s.script("/shared.js", `const u = new URL(location).searchParams.get("u");
onconnect = e => fetch(u).then(() => e.ports[0].postMessage("reached"), () => e.ports[0].postMessage("error"));
setInterval(() => fetch("/alive?shared").catch(() => 0), 700);`)
	s.page("/alive", "x")
	// What a test on the outside knows of the container that asks.
	s.mux.HandleFunc("/inside", func(w http.ResponseWriter, _ *http.Request) {
		if look := s.inside.Load(); look != nil {
			_, _ = io.WriteString(w, (*look)())
		}
	})
	s.mux.HandleFunc("/report", func(w http.ResponseWriter, r *http.Request) { s.reports.Store(r.FormValue("k"), r.FormValue("v")) })
	return s
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	s.mux.ServeHTTP(w, r)
}

func (s *site) page(path, html string) {
	s.mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, strings.ReplaceAll(html, "EVIL", s.evil))
	})
}

func (s *site) script(path, js string) {
	s.mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = io.WriteString(w, js)
	})
}
