package fake

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Site is the web for tests: one HTTPS server (HTTP/1.1 and HTTP/2) that is every host. It answers a
// name with a certificate of its own authority, made when the name is first asked for, and keeps what it saw.
//
// What is on a host is in the table of [Site.page], by path, the same on every host, until a test puts
// something else there with [Site.Handle] or [Site.HTML].
type Site struct {
	done      chan struct{}
	authority authority
	addr      netip.AddrPort

	mu       sync.Mutex
	pages    map[string]http.HandlerFunc // by host and path
	flaws    map[string]Flaw
	leaves   map[string]*tls.Certificate
	hellos   []Hello
	requests []SiteRequest
}

// Hello is what a client said at the start of a TLS connection.
type Hello struct {
	Name  string // SNI
	ALPN  []string
	ECH   bool // its extension was there, greased or real
	From  netip.AddrPort
	At    time.Time
	Plain bool // it was not TLS at all: a connection to the port for http:
}

// SiteRequest is one request that arrived.
type SiteRequest struct {
	Method, Host, Path, Query string
	Proto                     string // HTTP/1.1, HTTP/2.0
	TLS                       bool
	Header                    http.Header
	Body                      string // its first 64 KiB
	At                        time.Time
}

// NewSite serves on loopback, on a free port. Names reach it when a resolver or a proxy leads them there.
func NewSite(tb testing.TB) *Site {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	return NewSiteOn(tb, l, nil)
}

// NewSiteOn serves on listeners that the test made, in another network namespace perhaps: one for
// https: and, unless it is nil, one for http:.
func NewSiteOn(tb testing.TB, https, plain net.Listener) *Site {
	tb.Helper()
	s := &Site{
		done: make(chan struct{}), authority: newAuthority(tb),
		pages: map[string]http.HandlerFunc{}, flaws: map[string]Flaw{}, leaves: map[string]*tls.Certificate{},
	}
	s.addr, _ = netip.ParseAddrPort(https.Addr().String())
	quiet := log.New(io.Discard, "", 0) // clients that hang up are what this is for
	var served sync.WaitGroup
	serve := func(server *http.Server, run func() error) {
		served.Go(func() { _ = run() })
		tb.Cleanup(func() { _ = server.Close() })
	}
	secure := &http.Server{Handler: http.HandlerFunc(s.answer), ErrorLog: quiet, TLSConfig: &tls.Config{
		GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) { return s.leaf(h.ServerName) },
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			s.greet(Hello{Name: h.ServerName, ALPN: h.SupportedProtos, ECH: slices.Contains(h.Extensions, echExtension)}, h.Conn)
			return nil, nil
		},
	}}
	tb.Cleanup(served.Wait)
	serve(secure, func() error { return secure.ServeTLS(https, "", "") })
	if plain != nil {
		open := &http.Server{Handler: http.HandlerFunc(s.answer), ErrorLog: quiet, ConnState: func(c net.Conn, state http.ConnState) {
			if state == http.StateNew {
				s.greet(Hello{Plain: true}, c)
			}
		}}
		serve(open, func() error { return open.Serve(plain) })
	}
	tb.Cleanup(func() { close(s.done) })
	return s
}

// echExtension is encrypted_client_hello.
const echExtension = 0xfe0d

// Addr is where https: is served.
func (s *Site) Addr() netip.AddrPort { return s.addr }

// Handle puts something at a path of a host; "*" stands for every path.
func (s *Site) Handle(host, path string, h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages[host+path] = h
}

// HTML puts a page at a path of a host.
func (s *Site) HTML(host, path, text string) { s.Handle(host, path, html(text)) }

// Requests returns all that arrived until now, in order.
func (s *Site) Requests() []SiteRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Asked returns the requests for a host.
func (s *Site) Asked(host string) []SiteRequest {
	return slices.DeleteFunc(s.Requests(), func(r SiteRequest) bool { return r.Host != host })
}

// Hellos returns the starts of all connections, also of those that never became a request.
func (s *Site) Hellos() []Hello {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.hellos)
}

// Forget drops what was seen, and no page.
func (s *Site) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests, s.hellos = nil, nil
}

// maxSeen bounds what is kept: a page that floods is one of the pages here.
const maxSeen = 50_000

func (s *Site) greet(h Hello, c net.Conn) {
	h.At = time.Now()
	h.From, _ = netip.ParseAddrPort(c.RemoteAddr().String())
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.hellos) < maxSeen {
		s.hellos = append(s.hellos, h)
	}
}

func (s *Site) answer(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	host, _, _ := strings.Cut(r.Host, ":")
	s.mu.Lock()
	if len(s.requests) < maxSeen {
		s.requests = append(s.requests, SiteRequest{
			Method: r.Method, Host: host, Path: r.URL.Path, Query: r.URL.RawQuery, Proto: r.Proto, TLS: r.TLS != nil,
			Header: r.Header.Clone(), Body: string(body), At: time.Now(),
		})
	}
	h := s.pages[host+r.URL.Path]
	if h == nil {
		h = s.pages[host+"*"]
	}
	s.mu.Unlock()
	if h == nil {
		h = s.page(r.URL.Path)
	}
	if h == nil {
		h = http.NotFound
	}
	h(w, r)
}

// hang waits until the client gives up or the test ends.
func (s *Site) hang(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-s.done:
	}
}
