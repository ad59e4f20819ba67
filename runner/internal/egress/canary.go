package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/secureclaw/secureclaw/internal/domain"
	"github.com/secureclaw/secureclaw/internal/run"
)

// Names and addresses of the canary. RFC 2606 keeps the names for nobody; the addresses are only ever
// handed to the canary's own connect.
const (
	canaryListed   domain.Name = "listed.example"
	canaryUnlisted domain.Name = "unlisted.example"
)

// canary is one attempt and what must come of it.
type canary struct {
	what    string
	connect domain.Name // asked for in CONNECT
	hello   domain.Name // named in the ClientHello
	address string      // what the DNS says
	want    domain.Code // empty: it must pass, or the others prove nothing
	asked   bool        // the DNS
	dialled bool
	passed  bool // bytes
}

var canaries = []canary{
	{"a name that is not listed", canaryUnlisted, canaryUnlisted, "93.184.216.34", domain.CodeNotAllowed, false, false, false},
	{"a listed name with the address of a cloud's metadata service", canaryListed, canaryListed, "169.254.169.254", "link_local", true, false, false},
	{"a listed name with a private address", canaryListed, canaryListed, "10.0.0.1", "private", true, false, false},
	{"a ClientHello for another name", canaryListed, canaryUnlisted, "93.184.216.34", codeSNIMismatch, true, true, false},
	{"a listed name with a public address", canaryListed, canaryListed, "93.184.216.34", "", true, true, true},
}

// Canary proves, with no network, that the very code that serves tasks refuses an unlisted name, a
// listed one with a private address, and a ClientHello for another name. Its error says what was let
// through. So that the proof is not that nothing works, one connection that may pass must pass.
func (p *Proxy) Canary(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var found []error
	for _, c := range canaries {
		if err := c.fly(ctx, *p); err != nil {
			found = append(found, fmt.Errorf("canary, %s: %w", c.what, err))
		}
	}
	return errors.Join(found...)
}

// trap stands for the DNS and the network, and remembers what came to it.
type trap struct {
	answer  netip.Addr
	mu      sync.Mutex
	asked   bool
	dialled bool
	bytes   int64
	work    sync.WaitGroup
}

func (t *trap) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked = true
	return []netip.Addr{t.answer}, nil
}

func (t *trap) connect(context.Context, netip.AddrPort) (net.Conn, error) {
	site, ours := net.Pipe()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dialled = true
	t.work.Go(func() {
		defer ours.Close()
		n, _ := ours.Read(make([]byte, 1))
		t.mu.Lock()
		defer t.mu.Unlock()
		t.bytes += int64(n)
	})
	return site, nil
}

// fly makes one attempt with a copy of the proxy that has the trap in place of the world.
func (c canary) fly(ctx context.Context, p Proxy) error {
	world := &trap{answer: netip.MustParseAddr(c.address)}
	p.resolver, p.connect = world, world.connect
	var mu sync.Mutex
	var code domain.Code
	allowed := false
	task := p.Task(domain.List{domain.Pattern(canaryListed)}, func(e run.Egress) {
		mu.Lock()
		defer mu.Unlock()
		if !e.Total {
			code, allowed = domain.Code(e.Code), e.Allowed
		}
	})
	browser, served := net.Pipe()
	var serving sync.WaitGroup
	serving.Go(func() { task.Serve(ctx, served) })
	c.browse(ctx, browser)
	serving.Wait()
	world.work.Wait()
	task.Close()

	passed := world.bytes > 0
	switch {
	case code != c.want || allowed != (c.want == ""):
		return fmt.Errorf("decided %q (allowed: %t), want %q", code, allowed, c.want)
	case world.asked != c.asked:
		return fmt.Errorf("the DNS was asked: %t, want %t", world.asked, c.asked)
	case world.dialled != c.dialled:
		return fmt.Errorf("%s was dialled: %t, want %t", c.address, world.dialled, c.dialled)
	case passed != c.passed:
		return fmt.Errorf("bytes reached the site: %t, want %t", passed, c.passed)
	}
	return nil
}

// browse does what a browser does until somebody hangs up, and closes its end. The request is
// written beside the reading: a pipe holds nothing, and a refusal may come before anything was read.
func (c canary) browse(ctx context.Context, conn net.Conn) {
	var asking sync.WaitGroup
	defer asking.Wait()
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	asking.Go(func() {
		_, _ = fmt.Fprintf(conn, "CONNECT %[1]s:443 HTTP/1.1\r\nHost: %[1]s:443\r\n\r\n", c.connect)
	})
	answer, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: http.MethodConnect})
	if err != nil || answer.StatusCode != http.StatusOK {
		return
	}
	// The handshake fails, because nobody is there to shake hands with.
	_ = tls.Client(conn, &tls.Config{ServerName: string(c.hello), MinVersion: tls.VersionTLS12}).HandshakeContext(ctx)
	_, _ = io.Copy(io.Discard, conn)
}
