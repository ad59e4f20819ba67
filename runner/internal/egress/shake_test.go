package egress

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/secureclaw/secureclaw/internal/run"
)

// firstBytes is what a case sends after CONNECT.
type firstBytes struct {
	SNI        *[]string
	ECH        string // real or grease
	Inner      string
	ESNI       bool `json:"esni_ext_0xffce"`
	Records    int
	Segments   int  `json:"tcp_segments"`
	SplitInSNI bool `json:"split_inside_sni"`
	Size       int
	ThenStall  int `json:"bytes_then_stall"`
	Plaintext  string
	InnerHost  string `json:"host_header_inside"`
}

func (f firstBytes) bytes(t *testing.T) []byte {
	t.Helper()
	if f.Plaintext != "" {
		return []byte(f.Plaintext)
	}
	names := []string{"example.com"}
	if f.SNI != nil {
		names = *f.SNI
	}
	if f.ECH == "real" {
		return realECH(t, names[0], f.Inner)
	}
	h := plainHello(names...)
	if len(names) == 0 {
		h.extensions = h.extensions[1:]
	}
	if f.ECH != "" {
		h.with(greaseECH())
	}
	if f.ESNI {
		h.with(extension(0xffce, make([]byte, 200)))
	}
	for left := f.Size; left > 0; left -= 16 << 10 {
		h.with(extension(uint16(0x5000+left%1000), make([]byte, min(left, 16<<10))))
	}
	message := h.message()
	if f.SplitInSNI {
		at := bytes.Index(message, []byte(names[0])) + 2
		return append(records(message[:at], max(1, f.Records-1)), records(message[at:], 1)...)
	}
	out := records(message, max(1, f.Records, (len(message)+maxRecord-1)/maxRecord))
	if f.ThenStall > 0 {
		return out[:f.ThenStall]
	}
	return out
}

// cutter sends the first thing that is written in pieces.
type cutter struct {
	net.Conn
	records, segments int
	done              bool
}

func (c *cutter) Write(b []byte) (int, error) {
	if c.done {
		return c.Conn.Write(b)
	}
	c.done = true
	whole := b
	if c.records > 1 {
		whole = records(b[5:], c.records)
	}
	step := (len(whole) + max(1, c.segments) - 1) / max(1, c.segments)
	for len(whole) > 0 {
		n := min(step, len(whole))
		if _, err := c.Conn.Write(whole[:n]); err != nil {
			return 0, err
		}
		whole = whole[n:]
		if c.segments > 1 {
			time.Sleep(time.Millisecond) // so that the kernel does not join them again
		}
	}
	return len(b), nil
}

// shakesHands goes through the proxy to a real TLS server and asks it for a page.
func shakesHands(t *testing.T, r *rig, target string, f firstBytes) {
	t.Helper()
	name := target[:len(target)-len(":443")]
	if f.ECH != "" || f.ESNI || f.Size > 0 {
		t.Fatalf("%+v: no such ClientHello passes a real handshake", f)
	}
	server, roots := certificate(t, name)
	host := name
	if f.InnerHost != "" {
		host = f.InnerHost
	}
	r.site = func(conn net.Conn) { servePage(conn, &tls.Config{Certificates: []tls.Certificate{server}}) }
	events := r.attempt(func(conn net.Conn) {
		if status, code, err := ask(conn, connectTo(target)); status != http.StatusOK || err != nil {
			t.Errorf("CONNECT: %d %q, %v, want 200", status, code, err)
			return
		}
		got, err := fetchPage(&cutter{Conn: conn, records: f.Records, segments: f.Segments},
			&tls.Config{RootCAs: roots, ServerName: name}, host)
		if want := name + " " + host; got != want || err != nil {
			t.Errorf("the page is %q, %v, want %q", got, err, want)
		}
	})
	if got := verdict(events); got != "allow" {
		t.Errorf("told %+v, want allow", events)
	}
}

// servePage answers one request with the server name and Host that it saw.
func servePage(conn net.Conn, config *tls.Config) {
	s := tls.Server(conn, config)
	buf := make([]byte, 4<<10)
	n, err := s.Read(buf)
	if err != nil {
		return
	}
	_, rest, _ := bytes.Cut(buf[:n], []byte("Host: "))
	host, _, _ := bytes.Cut(rest, []byte("\r\n"))
	fmt.Fprintf(s, "%s %s", s.ConnectionState().ServerName, host)
	s.Close()
}

func fetchPage(conn net.Conn, config *tls.Config, host string) (string, error) {
	c := tls.Client(conn, config)
	if _, err := fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host); err != nil {
		return "", err
	}
	page, err := io.ReadAll(c)
	return string(page), err
}

func certificate(t testing.TB, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, roots
}

// pipes runs a Serve between pipes in a bubble of virtual time. browse is the browser; the returned
// events are without the totals. took is how long Serve ran.
func pipes(ctx context.Context, t *testing.T, r *rig, browse func(net.Conn)) (events []run.Egress, took time.Duration) {
	t.Helper()
	r.proxy.resolver = &trap{answer: publicAddress}
	var mu sync.Mutex
	begun := time.Now()
	task := r.proxy.Task(r.list, func(e run.Egress) {
		mu.Lock()
		defer mu.Unlock()
		if !e.Total {
			events = append(events, e)
		}
	})
	browser, served := net.Pipe()
	done := make(chan struct{})
	go func() {
		task.Serve(ctx, served)
		took = time.Since(begun)
		close(done)
	}()
	browse(browser)
	<-done
	task.Close()
	time.Sleep(time.Minute) // the other ends see that it is over
	return events, took
}

func staysSilent(t *testing.T) {
	r := newRig(t)
	r.proxy.limits = DefaultLimits()
	synctest.Test(t, func(t *testing.T) {
		var answer []byte
		events, took := pipes(t.Context(), t, r, func(conn net.Conn) { answer, _ = io.ReadAll(conn) })
		if got := verdict(events); got != "deny:idle" || took != 60*time.Second || !bytes.Contains(answer, []byte(`details="idle"`)) {
			t.Errorf("a silent stream: %s after %v, answer %q, want deny:idle after 1m0s", got, took, answer)
		}
	})
}

func outlivesItsTask(t *testing.T) {
	r := newRig(t)
	r.proxy.limits = DefaultLimits()
	synctest.Test(t, func(t *testing.T) {
		site, there := net.Pipe()
		r.proxy.connect = toPipe(site)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		events, took := pipes(ctx, t, r, func(conn net.Conn) {
			go trickle(there)
			if err := established(conn, "example.com"); err != nil {
				t.Error(err)
			}
			_, _ = io.Copy(io.Discard, conn)
		})
		if got := verdict(events); got != "deny:limit" || took != 30*time.Second {
			t.Errorf("a stream after the deadline: %s after %v, want deny:limit after 30s", got, took)
		}
	})
}
