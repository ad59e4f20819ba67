//go:build docker

package web_test

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/run"
)

// TestRedirects does every case of the kind redirect: what a page is sent on to is refused by the
// proxy, the answer says so in words, and nothing else was asked for.
func TestRedirects(t *testing.T) {
	raw, err := os.ReadFile("../../internal/domain/testdata/ssrf-cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []struct {
		ID     string          `json:"id"`
		Kind   string          `json:"kind"`
		Input  json.RawMessage `json:"input"`
		Expect string          `json:"expect"`
	}
	if err := json.Unmarshal(raw, &rows); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, row := range rows {
		if row.Kind != "redirect" {
			continue
		}
		n++
		var input struct{ Start, Location string }
		if err := json.Unmarshal(row.Input, &input); err != nil {
			t.Fatalf("%s: %v", row.ID, err)
		}
		code, ok := strings.CutPrefix(row.Expect, "deny:")
		if !ok {
			t.Fatalf("%s expects %q, which no test covers", row.ID, row.Expect)
		}
		ways := map[string]string{"location": input.Location}
		if strings.Contains(input.Location, "meta refresh") {
			_, to, _ := strings.Cut(input.Location, "to ")
			ways = map[string]string{"meta": to, "script": to}
		}
		for way, to := range ways {
			t.Run(row.ID+"/"+way, func(t *testing.T) { redirect(t, input.Start, way, to, code) })
		}
	}
	if n == 0 {
		t.Error("there is no case of the kind redirect")
	}
}

// TestMoreRedirects are further forms of the same.
func TestMoreRedirects(t *testing.T) {
	for name, tc := range map[string]struct{ way, to, code string }{
		"307":                       {"307", "https://evil.test/", "not_allowed"},
		"subdomain":                 {"location", "https://www.example.com/", "not_allowed"},
		"IPv6":                      {"location", "https://[::1]/", "ip_literal"},
		"decimal address":           {"location", "https://2130706433/", "ip_literal"},
		"localhost":                 {"location", "https://localhost/", "special_name"},
		"no dot":                    {"location", "https://router/", "special_name"},
		"port 8443":                 {"location", "https://example.com:8443/", "port"},
		"port 80":                   {"location", "https://example.com:80/", "port"},
		"http to another":           {"location", "http://evil.test/", "scheme"},
		"http with a port":          {"location", "http://example.com:8080/", "scheme"},
		"script to an address":      {"script", "https://169.254.169.254/latest/meta-data/", "ip_literal"},
		"script to http":            {"script", "http://example.com/", "scheme"},
		"meta to a port":            {"meta", "https://example.com:22/", "port"},
		"form":                      {"form", "https://evil.test/", "not_allowed"},
		"header Refresh":            {"refresh", "https://evil.test/", "not_allowed"},
		"script after a second":     {"later", "https://evil.test/", "not_allowed"},
		"two hops":                  {"twice", "https://evil.test/", "not_allowed"},
		"user name before the host": {"location", "https://a:b@evil.test/", "userinfo"},
	} {
		t.Run(name, func(t *testing.T) { redirect(t, "https://example.com/r", tc.way, tc.to, tc.code) })
	}
}

func redirect(t *testing.T, start, way, to, code string) {
	w := newWorld(t, "example.com", "*.allowed.test")
	w.handle("example.com", func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		switch {
		case r.URL.Path == "/again":
			http.Redirect(rw, r, to, http.StatusFound)
		case r.URL.Path != "/r":
			http.NotFound(rw, r)
		case way == "location":
			rw.Header().Set("Location", to)
			rw.WriteHeader(http.StatusFound)
		case way == "307":
			http.Redirect(rw, r, to, http.StatusTemporaryRedirect)
		case way == "twice":
			http.Redirect(rw, r, "/again", http.StatusFound)
		case way == "meta":
			rw.Write([]byte(`<meta http-equiv="refresh" content="0;url=` + to + `">`))
		case way == "refresh":
			rw.Header().Set("Refresh", "0;url="+to)
			rw.Write([]byte(`<p>wait`))
		case way == "script":
			rw.Write([]byte(`<script>location = "` + to + `"</script>`))
		case way == "later":
			rw.Write([]byte(`<script>const t = setInterval(() => document.body.append("."), 50); setTimeout(() => { clearInterval(t); location = "` + to + `" }, 1000)</script>`))
		case way == "form":
			rw.Write([]byte(`<form method=post action="` + to + `"><input name=a value=b></form><script>document.forms[0].submit()</script>`))
		}
	})
	answer, value := w.browse(t, 20*time.Second, run.Browse{URL: start})
	if answer.Status != run.OutputFailed || !strings.Contains(answer.Error, "("+code+")") || !strings.Contains(answer.Error, "redirected to ") {
		t.Errorf("browse(%s -> %s) = %s %q, want %s naming the code %s\n%s",
			start, to, answer.Status, answer.Error, run.OutputFailed, code, show(answer, value, w))
	}
	if strings.Contains(answer.Error, "call browse_web") != (code == "not_allowed") {
		t.Errorf("browse(%s -> %s) says %q; only a name that could be allowed is worth another call", start, to, answer.Error)
	}
	if answer.Status == run.OutputFailed && value.Status != 0 && value.Status/100 != 3 {
		t.Errorf("browse(%s -> %s) has status %d of no page", start, to, value.Status)
	}
}
