//go:build docker

package runner

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secureclaw/secureclaw/runner/internal/egress"
)

// world stands for the Internet on loopback: a resolver that knows every name, and two places. All
// names below evil.test lead to the second, so that whatever gets out to them is seen there.
type world struct {
	good, evil *place

	mu    sync.Mutex
	asked []string // names that were looked up
}

// place is a server at an address of its own.
type place struct {
	address netip.Addr
	port    uint16

	mu    sync.Mutex
	came  int            // connections
	names []string       // server names of the handshakes
	asked []string       // requests: host and path
	raw   func(net.Conn) // serves instead of HTTPS
}

func (w *world) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := strings.TrimSuffix(host, ".")
	w.asked = append(w.asked, name)
	if name == "evil.test" || strings.HasSuffix(name, ".evil.test") {
		return []netip.Addr{w.evil.address}, nil
	}
	return []netip.Addr{w.good.address}, nil
}

func (w *world) lookedUp() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Compact(slices.Sorted(slices.Values(w.asked)))
}

// authority signs for every name.
type authority struct {
	cert *x509.Certificate
	der  []byte
	key  *ecdsa.PrivateKey

	mu     sync.Mutex
	leaves map[string]*tls.Certificate
}

func newAuthority(tb testing.TB) *authority {
	tb.Helper()
	a := &authority{leaves: map[string]*tls.Certificate{}}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		tb.Fatal(err)
	}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(72 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if a.der, err = x509.CreateCertificate(rand.Reader, a.cert, a.cert, &a.key.PublicKey, a.key); err != nil {
		tb.Fatal(err)
	}
	return a
}

func (a *authority) leaf(name string) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.leaves[name] != nil {
		return a.leaves[name], nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		// Whoever would ask these is seen.
		OCSPServer: []string{"http://ocsp.evil.test/"}, CRLDistributionPoints: []string{"http://crl.evil.test/ca.crl"}, IssuingCertificateURL: []string{"http://aia.evil.test/ca.crt"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return nil, err
	}
	a.leaves[name] = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return a.leaves[name], nil
}

// newWorld starts both places. pages serves the good one over HTTPS; evil takes everything.
func newWorld(tb testing.TB, a *authority, pages http.Handler) *world {
	tb.Helper()
	w := &world{good: newPlace(tb, "127.83.0.1", a, pages)}
	w.evil = newPlace(tb, "127.83.0.2", a, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Access-Control-Allow-Origin", "*")
		_, _ = io.WriteString(rw, "evil was reached")
	}))
	return w
}

func newPlace(tb testing.TB, address string, a *authority, pages http.Handler) *place {
	tb.Helper()
	ln, err := net.Listen("tcp", address+":0")
	if err != nil {
		tb.Fatal(err)
	}
	at := netip.MustParseAddrPort(ln.Addr().String())
	p := &place{address: at.Addr(), port: at.Port()}
	server := &http.Server{
		Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			p.mu.Lock()
			p.asked = append(p.asked, r.Host+r.URL.RequestURI())
			p.mu.Unlock()
			pages.ServeHTTP(rw, r)
		}),
		ErrorLog: log.New(io.Discard, "", 0),
	}
	front := &front{Listener: ln, place: p}
	config := &tls.Config{
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			p.mu.Lock()
			p.names = append(p.names, hello.ServerName)
			p.mu.Unlock()
			return a.leaf(hello.ServerName)
		},
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(tls.NewListener(front, config)) }()
	tb.Cleanup(func() { _ = server.Close(); <-done })
	return p
}

// front counts connections, and keeps those that a test serves by itself.
type front struct {
	net.Listener
	place *place
}

func (f *front) Accept() (net.Conn, error) {
	for {
		c, err := f.Listener.Accept()
		if err != nil {
			return nil, err
		}
		f.place.mu.Lock()
		f.place.came++
		raw := f.place.raw
		f.place.mu.Unlock()
		if raw == nil {
			return c, nil
		}
		go raw(c)
	}
}

// serveRaw makes a place take bytes as they come.
func (p *place) serveRaw(serve func(net.Conn)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.raw = serve
}

// seen is what a place saw since the last time it was asked.
func (p *place) seen() (connections int, names, requests []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	connections, names, requests = p.came, slices.Compact(slices.Sorted(slices.Values(p.names))), p.asked
	p.came, p.names, p.asked = 0, nil, nil
	return connections, names, requests
}

// paths are the requests that came, without forgetting them.
func (p *place) paths() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

// seam leads every way out to this world.
func (w *world) seam() seams {
	return seams{way: func(o *egress.Options) {
		o.Resolver = w
		o.Exempt = map[netip.Addr]uint16{w.good.address: w.good.port, w.evil.address: w.evil.port}
	}}
}
