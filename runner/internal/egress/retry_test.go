package egress

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/internal/domain"
)

func TestHelloRetry(t *testing.T) {
	server, roots := certificate(t, "example.com")
	config := &tls.Config{Certificates: []tls.Certificate{server}, CurvePreferences: []tls.CurveID{tls.CurveP521}, MinVersion: tls.VersionTLS13}
	t.Run("the same name", func(t *testing.T) {
		r := newRig(t)
		r.site = func(conn net.Conn) { servePage(conn, config) }
		events := r.attempt(func(conn net.Conn) {
			_, _, _ = ask(conn, connectTo("example.com:443"))
			c := &tls.Config{RootCAs: roots, ServerName: "example.com"}
			if got, err := fetchPage(conn, c, "example.com"); got != "example.com example.com" || err != nil {
				t.Errorf("the page is %q, %v, want example.com example.com", got, err)
			}
		})
		if got := verdict(events); got != "allow" {
			t.Errorf("told %+v, want allow", events)
		}
	})
	helloRetry := func() []byte {
		return records(append(append([]byte{messageServer, 0, 0, 60, 3, 3}, retryRandom...), make([]byte, 26)...), 1)
	}
	for name, tc := range map[string]struct {
		second []byte
		early  bool // sent with the first, not after the site's answer
		want   string
		passes bool   // reaches the site
		before string // what the site says before it asks
	}{
		"the same name, with a change of ciphers": {append([]byte(emptySpec), plainHello("example.com").bytes()...), false, "allow", true, ""},
		"another name":                           {plainHello("evil.test").bytes(), false, "deny:sni_mismatch", false, ""},
		"another name at once":                   {plainHello("evil.test").bytes(), true, "deny:sni_mismatch", false, ""},
		"another name after a change of ciphers": {append([]byte(emptySpec), plainHello("evil.test").bytes()...), false, "deny:sni_mismatch", false, ""},
		"another name in pieces":                 {records(plainHello("evil.test").message(), 50), false, "deny:sni_mismatch", false, ""},
		"hidden":                                 {plainHello("example.com").with(greaseECH()).bytes(), false, "deny:ech", false, ""},
		"two changes of ciphers":                 {append([]byte(emptySpec+emptySpec), plainHello("evil.test").bytes()...), false, "deny:not_tls", false, ""},
		"a long change of ciphers":               {append([]byte("\x14\x03\x03\x00\x02\x01\x01"), plainHello("evil.test").bytes()...), false, "deny:bad_hello", false, ""},
		"data":                                   {[]byte("\x17\x03\x03\x00\x01\x01"), false, "deny:not_tls", false, ""},
		"nothing":                                {nil, false, "deny:hello_timeout", false, ""},
		"an alert":                               {[]byte("\x15\x03\x03\x00\x02\x02\x28"), false, "allow", false, ""},
		"another name after a warning":           {plainHello("evil.test").bytes(), false, "deny:sni_mismatch", false, warning},
		"the same name after a warning":          {plainHello("example.com").bytes(), false, "allow", true, warning},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			if tc.want == "deny:hello_timeout" {
				r.impatient()
			}
			first := plainHello("example.com").bytes()
			reached := make(chan string, 1)
			r.site = func(conn net.Conn) {
				_, _ = io.ReadFull(conn, make([]byte, len(first)))
				if tc.early {
					time.Sleep(50 * time.Millisecond) // long enough for the second to overtake us, if it could
				}
				_, _ = conn.Write(append([]byte(tc.before), helloRetry()...))
				rest := make([]byte, 4<<10)
				n := 0
				for {
					m, err := conn.Read(rest[n:])
					if n += m; err != nil || n >= len(tc.second) && n > 0 {
						break
					}
				}
				reached <- string(rest[:n])
			}
			events := r.attempt(func(conn net.Conn) {
				_, _, _ = ask(conn, connectTo("example.com:443"))
				_, _ = conn.Write(first)
				if !tc.early {
					_, _ = io.ReadFull(conn, make([]byte, len(tc.before)+len(helloRetry())))
				}
				_, _ = conn.Write(tc.second)
				_, _ = io.Copy(io.Discard, conn)
			})
			if got := verdict(events); got != tc.want {
				t.Errorf("told %+v, want %s", events, tc.want)
			}
			got := strings.TrimPrefix(<-reached, emptySpec)
			if want := strings.TrimPrefix(string(tc.second), emptySpec); tc.passes && got != want || !tc.passes && got != "" {
				t.Errorf("the site received %x, want the second ClientHello: %t", got, tc.passes)
			}
		})
	}
}

// warning is what a server says that does not know the name.
const warning = "\x15\x03\x03\x00\x02\x01\x70"

func TestAsksRetry(t *testing.T) {
	retry := records(append(append([]byte{messageServer, 0, 0, 60, 3, 3}, retryRandom...), make([]byte, 26)...), 1)
	for name, tc := range map[string]struct {
		start     []byte
		again, ok bool
		code      domain.Code
	}{
		"nothing":               {nil, false, false, ""},
		"part of a record":      {retry[:retryPeek-1], false, false, ""},
		"retry":                 {retry[:retryPeek], true, true, ""},
		"ServerHello":           {serverHello()[:retryPeek], false, true, ""},
		"part of an alert":      {[]byte{recordAlert}, false, false, ""},
		"an alert":              {[]byte(warning), false, false, ""},
		"retry after alerts":    {append([]byte(warning+warning+warning+warning), retry[:retryPeek]...), true, true, ""},
		"answer after an alert": {append([]byte(warning), serverHello()[:retryPeek]...), false, true, ""},
		"five alerts":           {[]byte(warning + warning + warning + warning + warning), false, false, codeBadHello},
		"a long alert":          {[]byte("\x15\x03\x03\x00\x03\x01\x70"), false, false, codeBadHello},
		"change of ciphers":     {append([]byte(emptySpec), retry...), false, false, codeBadHello},
		"application data":      {[]byte("\x17\x03\x03"), false, false, codeBadHello},
		"heartbeat":             {[]byte("\x18\x03\x03"), false, false, codeBadHello},
		"HTTP":                  {[]byte("HTTP/1.1 400"), false, true, ""},
		"another message":       {[]byte{recordHandshake, 3, 3, 0, 9, 11}, false, true, ""},
		"HelloRequest":          {append([]byte("\x16\x03\x03\x00\x04\x00\x00\x00\x00"), retry...), false, false, codeBadHello},
		"ServerHello in pieces": {records(retry[5:], 30)[:retryPeek], false, false, codeBadHello},
	} {
		t.Run(name, func(t *testing.T) {
			again, ok, err := asksRetry(tc.start)
			if again != tc.again || ok != tc.ok || domain.CodeOf(err) != tc.code {
				t.Errorf("asksRetry(%x) = %t, %t, %v, want %t, %t, %q", tc.start, again, ok, err, tc.again, tc.ok, tc.code)
			}
		})
	}
}
